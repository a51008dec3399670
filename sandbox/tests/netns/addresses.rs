//! Which addresses are the node's own: those that the kernel delivers, also by
//! routes of type `local`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sandbox::probe::{self, Outcome};
use sandbox::{Host, tcp};

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    networks_of_local_routes_are_judged,
    a_proxys_default_route_is_not,
);

/// Leads both networks from the stranger to the node.
fn lead(from: &Host, node: &Host) {
    from.namespace
        .ip([
            format!(
                "route add 198.51.100.0/24 via {} onlink dev eth0",
                node.v4.0
            ),
            format!("route add 192.0.2.7 via {} onlink dev eth0", node.v4.0),
            format!(
                "route add 2001:db8:a::/48 via {} onlink dev eth0",
                node.v6.0
            ),
        ])
        .unwrap();
}

fn networks_of_local_routes_are_judged(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let (node, from) = (&fixture.lab.node, &fixture.lab.stranger);
    lead(from, node);
    // While the daemon runs: it hears of them.
    node.namespace
        .ip([
            "route add local 198.51.100.0/24 dev lo",
            "route add local 192.0.2.7 dev lo",
            "route add local 2001:db8:a::/48 dev lo",
        ])
        .unwrap();
    let known = |network: &str| {
        let status = fixture.fw_ctl.must(&["status", "-v"]).unwrap();
        status
            .lines()
            .any(|line| line.trim_end().ends_with(network))
    };
    let end = Instant::now() + Duration::from_secs(10);
    for network in ["198.51.100.0/24", "192.0.2.7", "2001:db8:a::/48"] {
        while !known(network) {
            assert!(Instant::now() < end, "{network}: {}", fixture.fw_ctl.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    for address in ["198.51.100.77", "192.0.2.7", "2001:db8:a:1::77"] {
        let to = |port| SocketAddr::new(address.parse().unwrap(), port);
        let probe = |port| probe::tcp(&from.namespace, None, to(port));
        assert_eq!(probe(80), Outcome::Answered, "{address} {xdp}");
        assert_eq!(probe(22), Outcome::Silence, "{address} {xdp}");
    }
    assert_eq!(fixture.node.seen(tcp(22)), 0);
    assert!(!fixture.fw_ctl.status().unwrap().is_degraded());
}

/// A transparent proxy's table says nothing about the node's addresses: what the
/// node forwards must not be judged for it.
fn a_proxys_default_route_is_not(xdp: &'static str) {
    let Some(fixture) = Fixture::prepare(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let mut fixture = fixture;
    let node = fixture.lab.node.namespace.clone();
    node.sysctl("net/ipv4/ip_forward", "1").unwrap();
    node.ip([
        "rule add fwmark 0x200/0xf00 lookup 2004",
        "route add local 0.0.0.0/0 dev lo table 2004",
    ])
    .unwrap();
    fixture.restart_daemon();
    let (from, pod) = (&fixture.lab.stranger, &fixture.lab.pod);
    let via = fixture.lab.node.v4.0;
    let route = format!("route add {}/32 via {via} onlink dev eth0", pod.v4.0);
    from.namespace.ip([route]).unwrap();
    let _served = sandbox::Servers::start(pod, &[tcp(22)]).unwrap();
    let to = SocketAddr::new(pod.v4.0.into(), 22);
    assert_eq!(
        probe::tcp(&from.namespace, None, to),
        Outcome::Answered,
        "{xdp}"
    );
}
