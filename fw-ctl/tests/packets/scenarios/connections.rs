//! Replies, and what only looks like one.

use fw_common::wire::Counter::{Allowed, Dropped, Forwarded, NotLocal, Reply};
use fw_common::wire::DropReason::DefaultDeny;
use fw_ctl::compile::plan::Mode;

use super::{Scenario, Way, enforced, into, out, reload, step};
use crate::frames::*;
use crate::plan::{DENY_IN, DENY_OUT, OUT, PUBLIC, SSH};

pub fn scenarios() -> Vec<Scenario> {
    let (node, web) = ((NODE, 40000), (STRANGER, 443));
    let (admin, ssh) = ((ADMIN, 50000), (NODE, 22));
    vec![
        enforced(
            "replies to the node's own TCP connection",
            vec![
                into(
                    "nothing began yet",
                    tcp(web, node, SYN_ACK),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                out("SYN", tcp(node, web, SYN), Allowed, OUT),
                into("SYN ACK", tcp(web, node, SYN_ACK), Reply, 0),
                out("ACK", tcp(node, web, ACK), Allowed, OUT).quiet(),
                into("data", tcp(web, node, ACK), Reply, 0),
                into(
                    "a SYN is no reply",
                    tcp(web, node, SYN),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "another port",
                    tcp(web, (NODE, 40001), ACK),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "another host",
                    tcp(("203.0.113.10", 443), node, ACK),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into("FIN", tcp(web, node, FIN_ACK), Reply, 0),
                out("last ACK", tcp(node, web, ACK), Allowed, OUT).quiet(),
            ],
        ),
        enforced(
            "replies to admitted connections under egress default deny",
            vec![
                out(
                    "nothing began yet",
                    tcp(ssh, admin, ACK),
                    Dropped(DefaultDeny),
                    DENY_OUT,
                ),
                into("SYN", tcp(admin, ssh, SYN), Allowed, SSH),
                out("SYN ACK", tcp(ssh, admin, SYN_ACK), Reply, 0),
                into("ACK", tcp(admin, ssh, ACK), Allowed, SSH).quiet(),
                out("data", tcp(ssh, admin, ACK), Reply, 0),
                out(
                    "a SYN is no reply",
                    tcp(ssh, admin, SYN),
                    Dropped(DefaultDeny),
                    DENY_OUT,
                ),
            ],
        ),
        enforced(
            "UDP and echo both ways",
            vec![
                out("DNS", udp((NODE6, 5353), (STRANGER6, 53)), Allowed, OUT),
                into("answer", udp((STRANGER6, 53), (NODE6, 5353)), Reply, 0),
                into(
                    "from another port",
                    udp((STRANGER6, 54), (NODE6, 5353)),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                out("echo", echo(NODE, STRANGER, 8, 77), Allowed, OUT),
                into("echo reply", echo(STRANGER, NODE, 0, 77), Reply, 0),
                into(
                    "of another echo",
                    echo(STRANGER, NODE, 0, 78),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "echo request from outside",
                    echo(STRANGER6, NODE6, 128, 5),
                    Allowed,
                    PUBLIC,
                ),
                out("its reply", echo(NODE6, STRANGER6, 129, 5), Reply, 0),
                into("UDP 9000", udp((ADMIN, 4000), (NODE, 9000)), Allowed, SSH),
                out("its answer", udp((NODE, 9000), (ADMIN, 4000)), Reply, 0),
            ],
        ),
        enforced(
            "what is no TCP is reported once, whichever way it goes on",
            vec![
                into("asked", udp((ADMIN, 53), (NODE, 9000)), Allowed, SSH),
                into("again", udp((ADMIN, 53), (NODE, 9000)), Allowed, SSH).quiet(),
                out(
                    "answered, by a rule of its own",
                    udp((NODE, 9000), (ADMIN, 53)),
                    Allowed,
                    OUT,
                )
                .quiet(),
                into(
                    "from another port",
                    udp((ADMIN, 54), (NODE, 9000)),
                    Allowed,
                    SSH,
                ),
                out("echo", echo(NODE, STRANGER, 8, 77), Allowed, OUT),
                out("the next", echo(NODE, STRANGER, 8, 77), Allowed, OUT).quiet(),
                out("another", echo(NODE, STRANGER, 8, 78), Allowed, OUT),
                out("SCTP", sctp((NODE, 9), (STRANGER, 53)), Allowed, OUT),
                out("and on", sctp((NODE, 9), (STRANGER, 53)), Allowed, OUT).quiet(),
                reload(Mode::Enforce),
                into(
                    "a reload begins nothing",
                    udp((ADMIN, 53), (NODE, 9000)),
                    Allowed,
                    SSH,
                )
                .quiet(),
                into("a SYN always does", tcp(admin, ssh, SYN), Allowed, SSH),
                into("once more", tcp(admin, ssh, SYN), Allowed, SSH),
            ],
        ),
        enforced(
            "what the node forwards under its own address",
            vec![
                step(
                    "to a port that egress denies",
                    Way::Forwarded,
                    tcp((NODE, 30000), (STRANGER, 25), SYN),
                    Forwarded,
                    0,
                ),
                into(
                    "the answer",
                    tcp((STRANGER, 25), (NODE, 30000), SYN_ACK),
                    Reply,
                    0,
                ),
                step(
                    "UDP",
                    Way::Forwarded,
                    udp((NODE, 30001), (STRANGER, 123)),
                    Forwarded,
                    0,
                ),
                into("its answer", udp((STRANGER, 123), (NODE, 30001)), Reply, 0),
                step(
                    "under a pod's address",
                    Way::Forwarded,
                    udp(("10.42.0.9", 30001), (STRANGER, 123)),
                    NotLocal,
                    0,
                ),
            ],
        ),
        enforced(
            "a connection that was there before the firewall",
            vec![
                out("the node is the client", tcp(node, web, ACK), Allowed, OUT).quiet(),
                into("its server", tcp(web, node, ACK), Reply, 0),
                into("the node is the server", tcp(admin, ssh, ACK), Allowed, SSH).quiet(),
                out("its answer", tcp(ssh, admin, ACK), Reply, 0),
                out(
                    "a reset begins nothing",
                    tcp((NODE, 40009), web, RST),
                    Allowed,
                    OUT,
                )
                .quiet(),
                into(
                    "so this is no reply",
                    tcp(web, (NODE, 40009), ACK),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
            ],
        ),
    ]
}
