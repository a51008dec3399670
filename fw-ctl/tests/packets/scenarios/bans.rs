//! Banned peers: nothing passes but failsafe and what answers it.

use fw_common::wire::Counter::{
    Allowed, Audited, Builtin, Dropped, Failsafe, Forwarded, NotLocal, Reply,
};
use fw_common::wire::DropReason::{DefaultDeny, DenyRule};
use fw_common::wire::RULE_BAN;
use fw_ctl::compile::plan::Mode;

use super::{Scenario, Step, Until, Way, audited, ban, enforced, into, out, reload, step};
use crate::frames::*;
use crate::plan::{DENY_IN, DENY_OUT, FAILSAFE, OUT, PUBLIC, SSH};

/// Dropped by the ban.
fn cut(step: fn(&'static str, Vec<u8>, super::Counter, u16) -> Step, frame: Vec<u8>) -> Step {
    step("of a banned peer", frame, Dropped(DenyRule), RULE_BAN)
}

pub fn scenarios() -> Vec<Scenario> {
    let (admin, ssh) = ((ADMIN, 50000), (NODE, 22));
    let (node, web) = ((NODE, 40000), (STRANGER, 443));
    let (peer, failsafe) = ((STRANGER, 50000), (NODE, 2222));
    vec![
        enforced(
            "a ban denies what policy allows, in both directions and families",
            vec![
                into("before", tcp(admin, ssh, SYN), Allowed, SSH),
                ban(ADMIN, Until::Never),
                ban(ADMIN6, Until::Never),
                cut(into, tcp(admin, ssh, SYN)),
                cut(into, tcp(admin, ssh, ACK)),
                cut(into, tcp(admin, (NODE, 80), SYN)),
                cut(into, udp((ADMIN, 1), (NODE, 9000))),
                cut(into, icmp(ADMIN, NODE, 8, 0)),
                cut(into, tcp((ADMIN6, 1), (NODE6, 22), SYN)),
                cut(into, udp((ADMIN6, 1), (NODE6, 9000))),
                cut(into, icmp(ADMIN6, NODE6, 128, 0)),
                cut(out, tcp((NODE, 1), (ADMIN, 443), SYN)),
                cut(out, udp((NODE, 1), (ADMIN, 53))),
                cut(out, icmp(NODE, ADMIN, 8, 0)),
                cut(out, tcp((NODE6, 1), (ADMIN6, 443), SYN)),
                cut(out, icmp(NODE6, ADMIN6, 128, 0)),
                into(
                    "the one beside it",
                    tcp(("10.0.1.8", 50000), ssh, SYN),
                    Allowed,
                    SSH,
                ),
                into(
                    "what is not for the node",
                    tcp(admin, ("10.0.0.2", 22), SYN),
                    NotLocal,
                    0,
                ),
                into("a built-in", udp((ADMIN, 67), (NODE, 68)), Builtin, 0),
            ],
        ),
        enforced(
            "a ban cuts connections that are there",
            vec![
                into("SYN", tcp(admin, ssh, SYN), Allowed, SSH),
                out("SYN ACK", tcp(ssh, admin, SYN_ACK), Reply, 0),
                out("SYN out", tcp(node, web, SYN), Allowed, OUT),
                into("its answer", tcp(web, node, SYN_ACK), Reply, 0),
                ban(ADMIN, Until::Later),
                ban(STRANGER, Until::Later),
                cut(into, tcp(admin, ssh, ACK)),
                cut(out, tcp(ssh, admin, ACK)),
                cut(into, tcp(web, node, ACK)),
                cut(out, tcp(node, web, ACK)),
            ],
        ),
        enforced(
            "a ban that has run out",
            vec![
                ban(ADMIN, Until::Passed),
                ban(STRANGER, Until::Passed),
                into("allowed", tcp(admin, ssh, SYN), Allowed, SSH),
                out("its answer", tcp(ssh, admin, SYN_ACK), Reply, 0),
                into(
                    "denied by policy",
                    tcp((STRANGER, 1), ssh, SYN),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
            ],
        ),
        enforced(
            "failsafe holds for banned peers, and what answers it passes",
            vec![
                ban(STRANGER, Until::Never),
                out(
                    "nothing to answer",
                    tcp(failsafe, peer, SYN_ACK),
                    Dropped(DenyRule),
                    RULE_BAN,
                ),
                into("SYN", tcp(peer, failsafe, SYN), Failsafe, FAILSAFE),
                out("SYN ACK", tcp(failsafe, peer, SYN_ACK), Reply, 0),
                into("ACK", tcp(peer, failsafe, ACK), Failsafe, FAILSAFE).quiet(),
                out(
                    "to another port",
                    tcp(failsafe, (STRANGER, 50001), ACK),
                    Dropped(DenyRule),
                    RULE_BAN,
                ),
                cut(into, tcp((STRANGER, 2222), (NODE, 22), SYN)),
                cut(into, tcp((STRANGER, 2222), (NODE, 40000), ACK)),
            ],
        ),
        enforced(
            "what is forwarded is not judged, but what answers it is",
            vec![
                ban(STRANGER, Until::Never),
                step(
                    "masqueraded",
                    Way::Forwarded,
                    tcp((NODE, 41000), web, SYN),
                    Forwarded,
                    0,
                ),
                cut(into, tcp(web, (NODE, 41000), SYN_ACK)),
            ],
        ),
        audited(
            "in audit mode a ban is reported, and holds after the next reload",
            vec![
                ban(ADMIN, Until::Never),
                into("SYN", tcp(admin, ssh, SYN), Audited(DenyRule), RULE_BAN),
                out(
                    "its answer",
                    tcp(ssh, admin, SYN_ACK),
                    Audited(DenyRule),
                    RULE_BAN,
                )
                .quiet(),
                into(
                    "another",
                    tcp((STRANGER, 1), (NODE, 80), SYN),
                    Allowed,
                    PUBLIC,
                ),
                reload(Mode::Enforce),
                cut(into, tcp(admin, ssh, ACK)),
                out(
                    "denied by policy as before",
                    tcp((NODE, 1), (STRANGER, 25), SYN),
                    Dropped(DefaultDeny),
                    DENY_OUT,
                ),
            ],
        ),
    ]
}
