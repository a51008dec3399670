//! Rules that allow up to a rate.

use fw_common::wire::Counter::{Allowed, Audited, Dropped, Reply};
use fw_common::wire::DropReason::RateLimited;
use fw_ctl::compile::plan::Mode;
use fw_ctl::datapath::frame::Payload;

use super::{Scenario, Step, Way, audited, enforced, into, out, reload, step};
use crate::frames::*;
use crate::plan::{OUT, PUBLIC_TWO_AN_HOUR, TOGETHER, TWO_AN_HOUR, TWO_AND_ONE_A_SECOND};

/// The port from which clients ask: egress to it is allowed, so that an answer is not
/// known by policy as one.
const CLIENT: u16 = 53;
/// Whose pings are limited.
const PINGS: &str = "192.0.2.9";
/// Whose pings are limited.
const PINGS6: &str = "2001:db8:2::9";
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
                )
                .quiet(),
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
                into("second", second(), Allowed, TWO_AND_ONE_A_SECOND).quiet(),
                into("third", second(), over, TWO_AND_ONE_A_SECOND),
                wait(),
                into("one more", second(), Allowed, TWO_AND_ONE_A_SECOND).quiet(),
                into("and no more", second(), over, TWO_AND_ONE_A_SECOND),
            ],
        ),
        answered("an answer frees nobody of a rate: UDP, IPv4", |port| {
            [
                udp((STRANGER, port), (NODE, HOUR)),
                udp((NODE, HOUR), (STRANGER, port)),
            ]
        }),
        answered("an answer frees nobody of a rate: UDP, IPv6", |port| {
            [
                udp((STRANGER6, port), (NODE6, HOUR)),
                udp((NODE6, HOUR), (STRANGER6, port)),
            ]
        }),
        answered("an answer frees nobody of a rate: SCTP", |port| {
            [
                sctp((STRANGER, port), (NODE, HOUR)),
                sctp((NODE, HOUR), (STRANGER, port)),
            ]
        }),
        answered(
            "an answer frees nobody of a rate: ESP, which has no ports",
            |_| {
                let esp = |from, to| packet(from, to, Payload::Other { protocol: 50 });
                [esp(STRANGER, NODE), esp(NODE, STRANGER)]
            },
        ),
        asked(
            "answers to the node pass beyond a rate: UDP, IPv4",
            STRANGER,
            NODE,
        ),
        asked(
            "answers to the node pass beyond a rate: UDP, IPv6",
            STRANGER6,
            NODE6,
        ),
        enforced(
            "pings up to a rate, and the node's own beside, IPv4",
            pings(PINGS, NODE, [8, 0]),
        ),
        enforced(
            "pings up to a rate, and the node's own beside, IPv6",
            pings(PINGS6, NODE6, [128, 129]),
        ),
        audited(
            "audit reports what is beyond a rate, and enforcing goes on counting",
            vec![
                into("first", hour(STRANGER, 1), Allowed, two),
                into("second", hour(STRANGER, 1), Allowed, two).quiet(),
                into("third", hour(STRANGER, 1), Audited(RateLimited), two),
                out("its answer", udp((NODE, HOUR), (STRANGER, 1)), Reply, 0),
                reload(Mode::Enforce),
                into("cut", hour(STRANGER, 2), over, two),
            ],
        ),
    ]
}

/// One client, always from the same port. `frames` makes what it sends and what the
/// server answers.
fn answered(name: &'static str, frames: fn(u16) -> [Vec<u8>; 2]) -> Scenario {
    let [question, answer] = frames(CLIENT);
    let over = Dropped(RateLimited);
    let asks = || into("question", question.clone(), Allowed, TWO_AN_HOUR);
    let answers = || out("its answer", answer.clone(), Allowed, OUT).quiet();
    enforced(
        name,
        vec![
            asks(),
            answers(),
            asks().quiet(),
            answers(),
            into("beyond", question.clone(), over, TWO_AN_HOUR),
            answers(),
            into("still beyond", question, over, TWO_AN_HOUR),
        ],
    )
}

/// What answers the node passes beyond a rate that it falls under, what else comes from
/// there does not.
fn asked(name: &'static str, peer: &'static str, node: &'static str) -> Scenario {
    let question = || udp((node, HOUR), (peer, CLIENT));
    let answer = || udp((peer, CLIENT), (node, HOUR));
    let over = Dropped(RateLimited);
    enforced(
        name,
        vec![
            out("question", question(), Allowed, OUT),
            into("answer", answer(), Allowed, TWO_AN_HOUR).quiet(),
            into("answer", answer(), Allowed, TWO_AN_HOUR).quiet(),
            into("answer beyond", answer(), Reply, 0),
            out("question", question(), Allowed, OUT).quiet(),
            into("answer beyond", answer(), Reply, 0),
            into(
                "no answer",
                udp((peer, CLIENT + 1), (node, HOUR)),
                over,
                TWO_AN_HOUR,
            ),
        ],
    )
}

fn pings(peer: &'static str, node: &'static str, [request, reply]: [u8; 2]) -> Vec<Step> {
    let over = Dropped(RateLimited);
    let two = PUBLIC_TWO_AN_HOUR;
    vec![
        into("first", echo(peer, node, request, 1), Allowed, two),
        out("its answer", echo(node, peer, reply, 1), Reply, 0),
        into("second", echo(peer, node, request, 1), Allowed, two).quiet(),
        out("its answer", echo(node, peer, reply, 1), Reply, 0),
        into("beyond", echo(peer, node, request, 1), over, two),
        into("another beyond", echo(peer, node, request, 2), over, two),
        out("own", echo(node, peer, request, 3), Allowed, OUT),
        into("answer", echo(peer, node, reply, 3), Reply, 0),
        into("answer", echo(peer, node, reply, 3), Reply, 0),
    ]
}
