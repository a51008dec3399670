//! What policy says of new connections.

use fw_common::wire::Counter::{Allowed, Dropped, Failsafe};
use fw_common::wire::DropReason::{DefaultDeny, DenyRule};
use fw_ctl::datapath::frame::Payload;

use super::{Scenario, enforced, into, out};
use crate::frames::*;
use crate::plan::{DENY_IN, DENY_OUT, FAILSAFE, OUT, PUBLIC, SSH, TELNET};

pub fn scenarios() -> Vec<Scenario> {
    let other = |protocol| packet(STRANGER, NODE, Payload::Other { protocol });
    vec![
        enforced(
            "policy, IPv4",
            vec![
                into(
                    "admin, 22",
                    tcp((ADMIN, 4000), (NODE, 22), SYN),
                    Allowed,
                    SSH,
                ),
                into(
                    "stranger, 22",
                    tcp((STRANGER, 4000), (NODE, 22), SYN),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "stranger, 80",
                    tcp((STRANGER, 4000), (NODE, 80), SYN),
                    Allowed,
                    PUBLIC,
                ),
                into(
                    "admin, 23",
                    tcp((ADMIN, 4000), (NODE, 23), SYN),
                    Dropped(DenyRule),
                    TELNET,
                ),
                into(
                    "stranger, failsafe",
                    tcp((STRANGER, 4000), (NODE, 2222), SYN),
                    Failsafe,
                    FAILSAFE,
                ),
                into(
                    "UDP 80 is not TCP 80",
                    udp((STRANGER, 4000), (NODE, 80)),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "admin, UDP 9000",
                    udp((ADMIN, 4000), (NODE, 9000)),
                    Allowed,
                    SSH,
                ),
                into("echo request", icmp(STRANGER, NODE, 8, 0), Allowed, PUBLIC),
                into(
                    "timestamp request",
                    icmp(STRANGER, NODE, 13, 0),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into("VRRP", other(112), Allowed, PUBLIC),
                into("GRE", other(47), Dropped(DefaultDeny), DENY_IN),
            ],
        ),
        enforced(
            "policy, IPv6",
            vec![
                into(
                    "admin, 22",
                    tcp((ADMIN6, 4000), (NODE6, 22), SYN),
                    Allowed,
                    SSH,
                ),
                into(
                    "stranger, 22",
                    tcp((STRANGER6, 4000), (NODE6, 22), SYN),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "stranger, 80",
                    tcp((STRANGER6, 4000), (NODE6, 80), SYN),
                    Allowed,
                    PUBLIC,
                ),
                into(
                    "admin, 23",
                    tcp((ADMIN6, 4000), (NODE6, 23), SYN),
                    Dropped(DenyRule),
                    TELNET,
                ),
                into(
                    "echo request",
                    icmp(STRANGER6, NODE6, 128, 0),
                    Allowed,
                    PUBLIC,
                ),
                into(
                    "to localhost, from the wire",
                    tcp((STRANGER6, 4000), ("::1", 10_250), SYN),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "to localhost in IPv4, from the wire",
                    tcp((STRANGER, 4000), ("127.0.0.1", 10_250), SYN),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "to a link-local address",
                    tcp(("fe80::2", 4000), ("fe80::1", 22), SYN),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
            ],
        ),
        enforced(
            "policy, egress",
            vec![
                out(
                    "443",
                    tcp((NODE, 40000), (STRANGER, 443), SYN),
                    Allowed,
                    OUT,
                ),
                out(
                    "25",
                    tcp((NODE, 40000), (STRANGER, 25), SYN),
                    Dropped(DefaultDeny),
                    DENY_OUT,
                ),
                out(
                    "443, IPv6",
                    tcp((NODE6, 40000), (STRANGER6, 443), SYN),
                    Allowed,
                    OUT,
                ),
                out("DNS", udp((NODE, 40000), (STRANGER, 53)), Allowed, OUT),
                out(
                    "NTP",
                    udp((NODE, 40000), (STRANGER, 123)),
                    Dropped(DefaultDeny),
                    DENY_OUT,
                ),
            ],
        ),
    ]
}
