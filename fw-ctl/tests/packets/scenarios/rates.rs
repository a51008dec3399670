//! Rules that allow up to a rate.

use fw_common::wire::Counter::{Allowed, Audited, Dropped, Reply};
use fw_common::wire::DropReason::RateLimited;
use fw_ctl::compile::plan::Mode;

use super::{Scenario, Way, enforced, into, out, reload, step};
use crate::frames::*;
use crate::plan::{OUT, TOGETHER, TWO_AN_HOUR, TWO_AND_ONE_A_SECOND};

/// The port of [`TWO_AN_HOUR`].
const HOUR: u16 = 7_000;
/// The port of [`TWO_AND_ONE_A_SECOND`].
const SECOND: u16 = 7_001;
/// The port of [`TOGETHER`].
const ALL: u16 = 7_002;

pub fn scenarios() -> Vec<Scenario> {
    let hour = |from, port| udp((from, port), (NODE, HOUR));
    let hour6 = |from| udp((from, 4000), (NODE6, HOUR));
    let over = Dropped(RateLimited);
    let two = TWO_AN_HOUR;
    let syn = |port| tcp((STRANGER, port), (NODE, HOUR), SYN);
    let second = || udp((STRANGER, 4000), (NODE, SECOND));
    let wait = || step("a second passes", Way::Wait, vec![], Allowed, 0);
    vec![
        enforced(
            "a rate for each /24, IPv4",
            vec![
                into("first", hour("203.0.113.9", 1), Allowed, two),
                into(
                    "another of the network",
                    hour("203.0.113.77", 2),
                    Allowed,
                    two,
                ),
                into("a third", hour("203.0.113.9", 3), over, two),
                into("a fourth", hour("203.0.113.200", 1), over, two),
                into("of another network", hour("203.0.112.9", 1), Allowed, two),
                into("of another rule", second(), Allowed, TWO_AND_ONE_A_SECOND),
                reload(Mode::Enforce),
                into(
                    "a reload is no new beginning",
                    hour("203.0.113.9", 1),
                    over,
                    two,
                ),
                into(
                    "not for the other either",
                    hour("203.0.112.9", 1),
                    Allowed,
                    two,
                ),
                into("whose second it was", hour("203.0.112.9", 1), over, two),
            ],
        ),
        enforced(
            "a rate for each /56, IPv6",
            vec![
                into("first", hour6("2001:db8:0:100::1"), Allowed, two),
                into(
                    "another of the network",
                    hour6("2001:db8:0:1ff::2"),
                    Allowed,
                    two,
                ),
                into("a third", hour6("2001:db8:0:180::3"), over, two),
                into(
                    "of another network",
                    hour6("2001:db8:0:200::1"),
                    Allowed,
                    two,
                ),
            ],
        ),
        enforced(
            "a rate for all together, of both families",
            vec![
                into("IPv4", udp((STRANGER, 1), (NODE, ALL)), Allowed, TOGETHER),
                into("IPv6", udp((STRANGER6, 1), (NODE6, ALL)), Allowed, TOGETHER),
                into("another", udp((ADMIN, 1), (NODE, ALL)), over, TOGETHER),
            ],
        ),
        enforced(
            "of TCP only what would begin is counted",
            vec![
                into("first", syn(1), Allowed, two),
                into("data", tcp((STRANGER, 1), (NODE, HOUR), ACK), Allowed, two).quiet(),
                into("more", tcp((STRANGER, 1), (NODE, HOUR), ACK), Allowed, two).quiet(),
                into("second", syn(2), Allowed, two),
                into("third", syn(3), over, two),
                into(
                    "the first goes on",
                    tcp((STRANGER, 1), (NODE, HOUR), ACK),
                    Allowed,
                    two,
                )
                .quiet(),
                into(
                    "and ends",
                    tcp((STRANGER, 1), (NODE, HOUR), FIN_ACK),
                    Allowed,
                    two,
                )
                .quiet(),
                into("UDP counts with it", hour(STRANGER, 1), over, two),
            ],
        ),
        enforced(
            "the rate gives again what time passes for",
            vec![
                into("first", second(), Allowed, TWO_AND_ONE_A_SECOND),
                into("second", second(), Allowed, TWO_AND_ONE_A_SECOND),
                into("third", second(), over, TWO_AND_ONE_A_SECOND),
                wait(),
                into("one more", second(), Allowed, TWO_AND_ONE_A_SECOND),
                into("and no more", second(), over, TWO_AND_ONE_A_SECOND),
            ],
        ),
        enforced(
            "answers to the node pass beyond a rate",
            vec![
                out("question", udp((NODE, HOUR), (STRANGER, 53)), Allowed, OUT),
                into("answer", udp((STRANGER, 53), (NODE, HOUR)), Allowed, two),
                into("answer", udp((STRANGER, 53), (NODE, HOUR)), Allowed, two),
                into("answer", udp((STRANGER, 53), (NODE, HOUR)), Reply, 0),
                into("no answer", udp((STRANGER, 54), (NODE, HOUR)), over, two),
            ],
        ),
        Scenario {
            name: "audit reports what is beyond a rate, and enforcing goes on counting",
            mode: Mode::Audit,
            steps: vec![
                into("first", hour(STRANGER, 1), Allowed, two),
                into("second", hour(STRANGER, 1), Allowed, two),
                into("third", hour(STRANGER, 1), Audited(RateLimited), two),
                out("its answer", udp((NODE, HOUR), (STRANGER, 1)), Reply, 0),
                reload(Mode::Enforce),
                into("cut", hour(STRANGER, 2), over, two),
            ],
        },
    ]
}
