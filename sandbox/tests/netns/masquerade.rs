//! Pods that leave under the node's address are not the node: default deny for the
//! node in both directions must not take the network from them.

use sandbox::Family;
use sandbox::ping::ping;
use sandbox::probe::{self, Connection, Outcome};

use crate::fixture::{EGRESS_NOTHING, Fixture, INGRESS_NOTHING};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(pods_keep_the_network_under_default_deny);

fn pods_keep_the_network_under_default_deny(xdp: &'static str) {
    let specs = [("in", INGRESS_NOTHING), ("out", EGRESS_NOTHING)];
    let Some(fixture) = Fixture::start(xdp, "enforce", &specs) else {
        return;
    };
    let (lab, stranger) = (&fixture.lab, &fixture.lab.stranger);
    lab.masquerade().unwrap();
    let pod = &lab.pod.namespace;
    for family in Family::BOTH {
        let case = format!("{family} {xdp}");
        let tcp = probe::tcp(pod, None, stranger.socket(family, 80));
        assert_eq!(tcp, Outcome::Answered, "{case}");
        let udp = probe::udp(pod, None, stranger.socket(family, 53));
        assert_eq!(udp, Outcome::Answered, "{case}");
        let echo = ping(pod, stranger.address(family), 11, 56);
        assert_eq!(echo, Outcome::Answered, "{case}");
        let mut bulk = Connection::open(pod, None, stranger.socket(family, 80)).unwrap();
        bulk.bulk(8 << 20)
            .unwrap_or_else(|error| panic!("bulk {case}: {error}"));
        // The node itself is as closed as before.
        let own = probe::tcp(&lab.node.namespace, None, stranger.socket(family, 80));
        assert_eq!(own, Outcome::Silence, "{case}");
        let new = probe::tcp(&stranger.namespace, None, lab.node.socket(family, 80));
        assert_eq!(new, Outcome::Silence, "{case}");
    }
}
