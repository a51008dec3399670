//! Somebody else's XDP program is on the interface already.

use std::time::{Duration, Instant};

use sandbox::bpf::ForeignXdp;

use crate::fixture::{Fixture, INGRESS_WEB};

#[test]
fn it_is_named_and_never_displaced() {
    let Some(mut fixture) = Fixture::prepare("native", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let node = fixture.lab.node.namespace.clone();
    let foreign = ForeignXdp::attach(&node, "eth0").unwrap();
    let id = foreign.id.to_string();
    let attached = || node.run("ip", &["link", "show", "eth0"]).unwrap();
    assert!(attached().contains(&format!("id {id} ")));

    // Whether the daemon refuses to start or serves without that interface, it
    // says which program is in the way, and never claims to filter there by XDP.
    let mut daemon = fixture.fw_ctl.spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let told = loop {
        let words = |text: &str| {
            text.split(|c: char| !c.is_alphanumeric())
                .any(|word| word == id)
        };
        if let Some(status) = daemon.ended().unwrap() {
            assert!(!status.success(), "{status}");
            break words(&fixture.fw_ctl.log());
        }
        if let Ok(status) = fixture.fw_ctl.status() {
            let ingress = status.ingress().unwrap_or("none").to_owned();
            assert!(!ingress.starts_with("xdp"), "{status:?}");
            assert!(status.is_degraded(), "native XDP was asked for: {status:?}");
            let answer = fixture.fw_ctl.ask(&["status"]).unwrap();
            assert_eq!(answer.code, 1, "{}", answer.stdout);
            for part in ["eth0: `interfaces.xdp`", "bpftool prog show id", "not ours"] {
                assert!(answer.stdout.contains(part), "{part} in: {}", answer.stdout);
            }
            break words(&format!("{}\n{}", answer.stdout, answer.stderr));
        }
        assert!(Instant::now() < end, "the daemon neither ends nor serves");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(told, "program {id} is named:\n{}", fixture.fw_ctl.log());
    assert!(
        attached().contains(&format!("id {id} ")),
        "it is still there"
    );

    // When it is gone, the interface is protected.
    drop(daemon);
    drop(foreign);
    fixture.restart_daemon();
    let status = fixture.fw_ctl.status().unwrap();
    assert_eq!(status.ingress(), Some("xdp-native"), "{status:?}");
}
