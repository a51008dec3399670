//! A named interface that is not there: the node is degraded, and says so, until
//! it appears.

use std::time::{Duration, Instant};

use crate::fixture::{Fixture, INGRESS_WEB};

#[test]
fn a_named_interface_that_is_missing_is_told_and_filtered_once_it_appears() {
    let Some(mut fixture) = Fixture::prepare("off", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let config = fixture.fw_ctl.files().config.clone();
    let text = std::fs::read_to_string(&config).unwrap();
    let include = r#"include = ["eth0", "eth9"]"#;
    let text = text.replace(r#"include = ["eth0"]"#, include);
    assert!(text.contains(include));
    std::fs::write(&config, text).unwrap();

    fixture.restart_daemon();
    let answer = fixture.fw_ctl.ask(&["status"]).unwrap();
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    for part in ["interface eth9", "no such interface", "try: ip link"] {
        assert!(answer.stdout.contains(part), "{part} in: {}", answer.stdout);
    }
    let status = fixture.fw_ctl.status().unwrap();
    assert_eq!(status.ingress(), Some("tc"), "eth0 is filtered: {status:?}");

    let node = &fixture.lab.node.namespace;
    node.ip(["link add eth9 type veth peer name peer9"])
        .unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = fixture.fw_ctl.ask(&["status"]).unwrap();
        if answer.code == 0 && answer.stdout.contains("eth9") {
            break;
        }
        assert!(Instant::now() < end, "{}", answer.stdout);
        std::thread::sleep(Duration::from_millis(100));
    }
}
