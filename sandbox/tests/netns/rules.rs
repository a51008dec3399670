//! What rules have decided, over reloads, restarts and boots.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use sandbox::Family;
use sandbox::probe::{self, Outcome};

use crate::fixture::Fixture;
use crate::on_xdp_and_tc;

on_xdp_and_tc!(counters_belong_to_what_a_rule_says,);

const DNS: &str = r#"
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "53", protocol: UDP}
"#;

/// The same rule, behind another.
const MOVED: &str = r#"
  # The rule for DNS comes second now.
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "7001", protocol: UDP}
  - toPorts:
    - ports:
      - {port: "53", protocol: UDP}
"#;

/// In its place another rule.
const CHANGED: &str = r#"
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "7002", protocol: UDP}
"#;

fn rules(fixture: &Fixture) -> Vec<serde_json::Value> {
    let rules = fixture.fw_ctl.must(&["rules", "-o", "json"]).unwrap();
    let rules: serde_json::Value = serde_json::from_str(&rules).unwrap();
    rules["rules"].as_array().unwrap().clone()
}

fn rule(fixture: &Fixture, name: &str) -> serde_json::Value {
    let rules = rules(fixture);
    let mut found = rules.iter().filter(|rule| {
        rule["policy"] == "dns" && rule["rule"] == name && rule["verdict"] == "allow"
    });
    let rule = found.next().unwrap_or_else(|| panic!("{name}: {rules:?}"));
    rule.clone()
}

/// One datagram to the port, answered or not.
fn ask(fixture: &Fixture, port: u16) -> Outcome {
    let node = fixture.lab.node.socket(Family::V4, port);
    probe::udp(&fixture.lab.stranger.namespace, None, node)
}

fn counters_belong_to_what_a_rule_says(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("dns", DNS)]) else {
        return;
    };
    let first = rule(&fixture, "ingress[0]");
    assert_eq!(
        (&first["packets"], &first["last_hit"]),
        (&0.into(), &().into())
    );
    for _ in 0..3 {
        assert_eq!(ask(&fixture, 53), Outcome::Answered);
    }
    let hit = rule(&fixture, "ingress[0]");
    assert_eq!(hit["packets"], 3, "{hit}");
    assert_eq!(hit["since"], first["since"]);
    let bytes = hit["bytes"].as_u64().unwrap();
    assert!(hit["last_hit"].as_str() >= hit["since"].as_str(), "{hit}");
    let text = fixture.fw_ctl.must(&["rules"]).unwrap();
    assert!(
        text.contains("LAST HIT") && text.contains("never"),
        "{text}"
    );
    let used = fixture.fw_ctl.ask(&["rules", "--unused", "1h"]).unwrap();
    assert_eq!(
        (used.code, used.stdout.lines().count()),
        (0, 1),
        "{}",
        used.stdout
    );
    assert!(
        used.stderr.contains("not been counted for so long"),
        "{}",
        used.stderr
    );

    fixture.write_policy("dns", MOVED);
    fixture.reload();
    assert_eq!(rule(&fixture, "ingress[1]")["packets"], 3);
    assert_eq!(rule(&fixture, "ingress[0]")["packets"], 0);
    assert_eq!(ask(&fixture, 53), Outcome::Answered);
    assert_eq!(ask(&fixture, 7001), Outcome::Answered);
    assert_eq!(rule(&fixture, "ingress[1]")["packets"], 4);
    assert_eq!(rule(&fixture, "ingress[0]")["packets"], 1);

    // Nobody reads what is counted meanwhile, and nothing of it is lost.
    fixture.kill_daemon();
    assert_eq!(ask(&fixture, 53), Outcome::Answered);
    fixture.restart_daemon();
    assert_eq!(rule(&fixture, "ingress[1]")["packets"], 5);
    assert_eq!(ask(&fixture, 53), Outcome::Answered);

    let daemon = fixture.daemon.take().unwrap();
    kill(daemon.pid(), Signal::SIGTERM).unwrap();
    daemon.wait(Duration::from_secs(10)).unwrap();
    // As after a boot: the kernel holds nothing.
    fixture.fw_ctl.must(&["detach"]).unwrap();
    fixture.restart_daemon();
    let after = rule(&fixture, "ingress[1]");
    assert_eq!(after["packets"], 6, "{after}");
    assert_eq!(after["since"], first["since"]);
    assert!(after["bytes"].as_u64() >= Some(bytes * 2), "{after}");

    // Other words are another rule, and the old one goes on where it was when it is back.
    fixture.write_policy("dns", CHANGED);
    fixture.reload();
    assert_eq!(rule(&fixture, "ingress[0]")["packets"], 0);
    fixture.write_policy("dns", DNS);
    fixture.reload();
    assert_eq!(rule(&fixture, "ingress[0]")["packets"], 6);
}
