//! What is not our business.

use fw_common::wire::Counter::{Allowed, Dropped, Multicast, NotIp, NotLocal};
use fw_common::wire::DropReason::DefaultDeny;

use super::{Scenario, enforced, into, out};
use crate::frames::*;
use crate::plan::{DENY_IN, DENY_OUT, PUBLIC};

pub fn scenarios() -> Vec<Scenario> {
    let mut lldp = vec![0; 60];
    lldp[12..14].copy_from_slice(&[0x88, 0xcc]);
    let mut broadcast = udp((NODE, 5000), ("10.0.0.255", 5000));
    broadcast[..6].fill(0xff);
    vec![
        enforced(
            "not our business",
            vec![
                into("LLDP", lldp.clone(), NotIp, 0),
                out("LLDP out", lldp, NotIp, 0),
                into(
                    "to somebody else",
                    tcp((STRANGER, 1), ("10.0.0.2", 22), SYN),
                    NotLocal,
                    0,
                ),
                into(
                    "multicast",
                    udp((STRANGER, 5353), ("224.0.0.251", 5353)),
                    NotLocal,
                    0,
                ),
                into(
                    "to somebody else, unreadable",
                    tcp((STRANGER, 1), ("10.0.0.2", 22), SYN)[..40].to_vec(),
                    NotLocal,
                    0,
                ),
                out(
                    "under a foreign address",
                    udp(("10.42.0.9", 1), (STRANGER, 123)),
                    NotLocal,
                    0,
                ),
                into(
                    "to no address",
                    udp((STRANGER6, 1), ("::", 22)),
                    NotLocal,
                    0,
                ),
                out(
                    "by a host that has no address yet",
                    udp(("::", 1), (STRANGER6, 22)),
                    NotLocal,
                    0,
                ),
                out(
                    "multicast out",
                    udp((NODE, 5353), ("224.0.0.251", 5353)),
                    Multicast,
                    0,
                ),
                out(
                    "multicast out, IPv6",
                    udp((NODE6, 5353), ("ff02::fb", 5353)),
                    Multicast,
                    0,
                ),
                out(
                    "limited broadcast",
                    udp((NODE, 68), ("255.255.255.255", 67)),
                    Multicast,
                    0,
                ),
                out("broadcast of the subnet", broadcast, Multicast, 0),
            ],
        ),
        enforced(
            "networks of a local route",
            vec![
                into(
                    "in",
                    tcp((STRANGER, 1), ("198.51.100.77", 22), SYN),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "in, IPv6",
                    tcp((STRANGER6, 1), ("2001:db8:a:1::77", 22), SYN),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "in, allowed",
                    tcp((STRANGER, 1), ("198.51.100.1", 80), SYN),
                    Allowed,
                    PUBLIC,
                ),
                out(
                    "out",
                    tcp(("198.51.100.1", 1), (STRANGER, 25), SYN),
                    Dropped(DefaultDeny),
                    DENY_OUT,
                ),
                into(
                    "beside it",
                    tcp((STRANGER, 1), ("198.51.101.0", 22), SYN),
                    NotLocal,
                    0,
                ),
                into(
                    "beside it, IPv6",
                    tcp((STRANGER6, 1), ("2001:db8:b::1", 22), SYN),
                    NotLocal,
                    0,
                ),
            ],
        ),
    ]
}
