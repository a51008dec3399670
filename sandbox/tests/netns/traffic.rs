//! Policy decides about real connections, small and large.

use sandbox::ping::ping;
use sandbox::probe::{self, Connection, Outcome};
use sandbox::{Family, tcp, udp};

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    allowed_is_answered_and_denied_is_silent,
    large_packets_pass_whole_or_not_at_all
);

fn allowed_is_answered_and_denied_is_silent(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let (lab, node) = (&fixture.lab, &fixture.lab.node);
    for from in [&lab.stranger, &lab.jump, &lab.node2] {
        for family in Family::BOTH {
            let case = format!("{} {family} {xdp}", from.name);
            let from = &from.namespace;
            let tcp = |port| probe::tcp(from, None, node.socket(family, port));
            let udp = |port| probe::udp(from, None, node.socket(family, port));
            assert_eq!(tcp(80), Outcome::Answered, "{case}");
            assert_eq!(tcp(22), Outcome::Silence, "{case}");
            assert_eq!(tcp(23), Outcome::Silence, "{case}: dropped, not refused");
            assert_eq!(udp(53), Outcome::Answered, "{case}");
            assert_eq!(udp(8472), Outcome::Silence, "{case}");
            assert_eq!(
                ping(from, node.address(family), 1, 56),
                Outcome::Answered,
                "{case}"
            );
        }
    }
    assert_eq!(fixture.node.seen(tcp(22)), 0);
    assert_eq!(fixture.node.seen(udp(8472)), 0);
    assert_eq!(fixture.node.seen(tcp(80)), 6);
    assert_eq!(fixture.node.seen(udp(53)), 6);
}

fn large_packets_pass_whole_or_not_at_all(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let (node, from) = (&fixture.lab.node, &fixture.lab.stranger.namespace);
    for family in Family::BOTH {
        let case = format!("{family} {xdp}");
        // In fragments, there and back.
        for size in [3_000, 9_000, 40_000] {
            let outcome = probe::udp_of_size(from, None, node.socket(family, 53), size);
            assert_eq!(outcome, Outcome::Answered, "{size} bytes {case}");
            let outcome = ping(from, node.address(family), 7, size);
            assert_eq!(outcome, Outcome::Answered, "ping {size} bytes {case}");
        }
        let denied = probe::udp_of_size(from, None, node.socket(family, 8472), 9_000);
        assert_eq!(denied, Outcome::Silence, "{case}");
        // Segmentation offload makes frames of up to 64 KiB of it.
        let mut connection = Connection::open(from, None, node.socket(family, 80)).unwrap();
        connection
            .bulk(16 << 20)
            .unwrap_or_else(|error| panic!("bulk {case}: {error}"));
    }
    assert_eq!(fixture.node.seen(udp(8472)), 0);
}
