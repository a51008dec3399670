//! `fw-ctl doctor` beside a daemon that filters.

use crate::fixture::{Fixture, INGRESS_WEB};

#[test]
fn it_says_where_an_interface_is_judged_and_what_a_dead_daemon_leaves() {
    let Some(mut fixture) = Fixture::start("native", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let doctor = |fixture: &Fixture| fixture.fw_ctl.ask(&["doctor"]).unwrap();
    let healthy = doctor(&fixture);
    assert!(
        healthy.stdout.contains(": native XDP\n"),
        "{}",
        healthy.stdout
    );
    assert!(
        healthy.stdout.contains("mode enforce"),
        "{}",
        healthy.stdout
    );
    assert!(!healthy.stdout.contains("not ours"), "{}", healthy.stdout);
    assert!(!healthy.stdout.contains("  missing "), "{}", healthy.stdout);

    // Without the daemon its filter goes on.
    fixture.kill_daemon();
    let left = doctor(&fixture);
    assert_eq!(left.code, 1, "{}", left.stdout);
    for part in ["still filters", "try: systemctl start fw-ctl"] {
        assert!(left.stdout.contains(part), "{part} in: {}", left.stdout);
    }
}

#[test]
fn a_configuration_that_is_refused_is_told_and_no_obstacle() {
    let Some(fixture) = Fixture::start("off", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let config = &fixture.fw_ctl.files().config;
    std::fs::write(config, "[interfaces]\nxdpp = \"off\"\n").unwrap();
    let config = config.to_str().unwrap();
    let said = fixture.fw_ctl.ask(&["doctor", "--config", config]).unwrap();
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(
        said.stdout.contains("missing  configuration"),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("xdpp"), "{}", said.stdout);
}
