//! Rules that allow up to a rate, with real sockets.

use std::net::IpAddr;

use sandbox::Family;
use sandbox::probe::{self, Connection, Outcome};

use crate::fixture::{Fixture, policy};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    beyond_a_rate_new_connections_are_dropped_and_old_ones_go_on,
    an_answer_frees_nobody_of_a_rate_but_answers_to_the_node_pass,
);

const WEB: &str = r#"
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "80", protocol: TCP}
      - {port: "53", protocol: UDP}
      - {port: "5354", protocol: UDP}
"#;
/// A port of [`WEB`] from which the node itself asks.
const OWN: u16 = 5_354;

/// [`WEB`] in force, three an hour for each peer, so that no time that a test takes gives
/// any back.
fn limited(xdp: &'static str) -> Option<Fixture> {
    let mut fixture = Fixture::prepare(xdp, "enforce", &[])?;
    let annotated = policy("web", WEB).replacen(
        "  name: web\n",
        "  name: web\n  annotations: {fw-ctl.io/rate: 3/h per /32 /128}\n",
        1,
    );
    let place = fixture.fw_ctl.files().policies.join("web.yaml");
    std::fs::write(place, annotated).unwrap();
    fixture.restart_daemon();
    Some(fixture)
}

fn beyond_a_rate_new_connections_are_dropped_and_old_ones_go_on(xdp: &'static str) {
    let Some(fixture) = limited(xdp) else {
        return;
    };
    let (lab, node) = (&fixture.lab, &fixture.lab.node);
    let from = &lab.stranger.namespace;
    for family in Family::BOTH {
        let case = format!("{family} {xdp}");
        let web = node.socket(family, 80);
        let mut first = Connection::open(from, None, web).unwrap();
        assert_eq!(probe::tcp(from, None, web), Outcome::Answered, "{case}");
        let dns = probe::udp(from, None, node.socket(family, 53));
        assert_eq!(dns, Outcome::Answered, "{case}");
        assert_eq!(probe::tcp(from, None, web), Outcome::Silence, "{case}");
        let dns = probe::udp(from, None, node.socket(family, 53));
        assert_eq!(dns, Outcome::Silence, "{case}");
        first
            .talk("still here")
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        fixture.reload();
        assert_eq!(
            probe::tcp(from, None, web),
            Outcome::Silence,
            "reloaded {case}"
        );
        first
            .talk("and here")
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        let other: IpAddr = lab.node2.address(family);
        assert_ne!(other, lab.stranger.address(family));
        let another = probe::tcp(&lab.node2.namespace, None, web);
        assert_eq!(another, Outcome::Answered, "another peer {case}");
    }
    let counted = fixture.fw_ctl.must(&["rules"]).unwrap();
    let rule = counted
        .lines()
        .find(|line| line.contains("ingress[0]") && line.contains("allow"));
    let rule = rule.unwrap_or_else(|| panic!("no such rule in\n{counted}"));
    assert!(rule.contains("allow 3/h per /32 /128 burst 3"), "{rule}");
    assert!(
        counted.starts_with("DIRECTION") && counted.contains("LIMITED"),
        "{counted}"
    );
    let status = fixture.fw_ctl.must(&["status", "-o", "json"]).unwrap();
    assert!(status.contains("dropped/rate-limited"), "{status}");
}

fn an_answer_frees_nobody_of_a_rate_but_answers_to_the_node_pass(xdp: &'static str) {
    let Some(fixture) = limited(xdp) else {
        return;
    };
    let (node, stranger) = (&fixture.lab.node, &fixture.lab.stranger);
    for family in Family::BOTH {
        let case = format!("{family} {xdp}");
        let to = node.socket(family, 53);
        let answered = probe::datagrams(&stranger.namespace, Some(4_000), to, 6);
        assert_eq!(answered.unwrap(), 3, "{case}");
        // Its answers fall under the limit, too, and there is nothing left of it.
        let to = stranger.socket(family, 7_001);
        let answered = probe::datagrams(&node.namespace, Some(OWN), to, 6);
        assert_eq!(answered.unwrap(), 6, "{case}");
    }
}
