//! Audit mode drops nothing and says what it would drop.

use std::time::Duration;

use sandbox::ping::ping;
use sandbox::probe::{self, Outcome};
use sandbox::{Family, Monitor, tcp};

use crate::fixture::{EGRESS_NOTHING, Fixture, INGRESS_NOTHING};
use crate::on_xdp_and_tc;

const PATIENCE: Duration = Duration::from_secs(3);

on_xdp_and_tc!(nothing_is_dropped_and_everything_is_told);

fn nothing_is_dropped_and_everything_is_told(xdp: &'static str) {
    let specs = [("in", INGRESS_NOTHING), ("out", EGRESS_NOTHING)];
    let Some(fixture) = Fixture::start(xdp, "audit", &specs) else {
        return;
    };
    let monitor = Monitor::start(&fixture.fw_ctl, &["-t", "policy-verdict"]).unwrap();
    let (node, stranger) = (&fixture.lab.node, &fixture.lab.stranger);
    for (number, family) in (0..).zip(Family::BOTH) {
        let case = format!("{family} {xdp}");
        let pairs = [
            (stranger, node, 46_000 + number),
            (node, stranger, 47_000 + number),
        ];
        for (from, to, port) in pairs {
            let outcome = probe::tcp(&from.namespace, Some(port), to.socket(family, 22));
            assert_eq!(outcome, Outcome::Answered, "{case}");
            let verdict = monitor.verdict(PATIENCE, |verdict| verdict.source.1 == Some(port));
            let verdict = verdict.unwrap_or_else(|| panic!("nothing reported: {case}"));
            assert_eq!(verdict.action, "audit", "{case}");
            assert_eq!(
                verdict.destination,
                (to.address(family), Some(22)),
                "{case}"
            );
            let large = probe::udp_of_size(&from.namespace, None, to.socket(family, 53), 9_000);
            assert_eq!(large, Outcome::Answered, "{case}");
            let echo = ping(&from.namespace, to.address(family), port, 56);
            assert_eq!(echo, Outcome::Answered, "{case}");
        }
    }
    assert!(
        monitor
            .verdicts()
            .iter()
            .all(|verdict| verdict.action != "deny")
    );
    assert_eq!(fixture.node.seen(tcp(22)), 2);
}
