//! Errors about packets that went the other way.

use fw_common::wire::Counter::{Allowed, Builtin, Dropped, Related};
use fw_common::wire::DropReason::DefaultDeny;

use super::{Scenario, enforced, into, out};
use crate::frames::*;
use crate::plan::{DENY_IN, OUT};

pub fn scenarios() -> Vec<Scenario> {
    let asked = udp((NODE, 40000), (STRANGER, 53));
    let asked6 = tcp((NODE6, 40000), (STRANGER6, 443), SYN);
    let served = tcp((NODE, 80), (STRANGER, 4000), ACK);
    let router = "198.51.100.1";
    vec![enforced(
        "ICMP errors by the packet that they quote",
        vec![
            into(
                "about nothing",
                error(router, NODE, 3, 1, &asked),
                Dropped(DefaultDeny),
                DENY_IN,
            ),
            out("asked", asked.clone(), Allowed, OUT),
            into(
                "unreachable, from a router",
                error(router, NODE, 3, 1, &asked),
                Related,
                0,
            ),
            into(
                "time exceeded",
                error(router, NODE, 11, 0, &asked),
                Related,
                0,
            ),
            into(
                "quoting another port",
                error(router, NODE, 3, 1, &udp((NODE, 40001), (STRANGER, 53))),
                Dropped(DefaultDeny),
                DENY_IN,
            ),
            into(
                "quoting another sender",
                error(
                    router,
                    NODE,
                    3,
                    1,
                    &udp(("10.0.0.2", 40000), (STRANGER, 53)),
                ),
                Dropped(DefaultDeny),
                DENY_IN,
            ),
            out("IPv6", asked6.clone(), Allowed, OUT),
            into(
                "unreachable, IPv6",
                error("2001:db8::1", NODE6, 1, 0, &asked6),
                Related,
                0,
            ),
            into(
                "about a reply that needs no state",
                error(router, NODE, 3, 1, &served),
                Related,
                0,
            ),
            into(
                "fragmentation needed, about anything",
                error(router, NODE, 3, 4, &asked),
                Builtin,
                0,
            ),
            into(
                "packet too big, about anything",
                error("2001:db8::1", NODE6, 2, 0, &asked6),
                Builtin,
                0,
            ),
            into(
                "quote cut short",
                error(router, NODE, 3, 1, &asked[..36]),
                Dropped(DefaultDeny),
                DENY_IN,
            ),
        ],
    )]
}
