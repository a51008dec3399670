//! Tags, options, extension headers, and what is broken.

use fw_common::wire::Counter::{Allowed, Dropped};
use fw_common::wire::DropReason::{DefaultDeny, ExtensionHeaders, Invalid, VlanTags};

use super::{Scenario, enforced, into};
use crate::frames::*;
use crate::plan::{DENY_IN, SSH};

pub fn scenarios() -> Vec<Scenario> {
    let good = tcp((ADMIN, 4000), (NODE, 22), SYN);
    let good6 = tcp((ADMIN6, 4000), (NODE6, 22), SYN);
    let bad6 = tcp((STRANGER6, 4000), (NODE6, 22), SYN);
    let (q, ad) = (0x8100, 0x88a8);
    let mut version = good.clone();
    version[14] = 0x65;
    let mut length = good.clone();
    length[14] = 0x44;
    vec![
        enforced(
            "VLAN tags",
            vec![
                into("802.1Q", tagged(&good, &[(q, 212)]), Allowed, SSH).in_vlan(212),
                into(
                    "802.1Q, denied",
                    tagged(&bad6, &[(q, 212)]),
                    Dropped(DefaultDeny),
                    DENY_IN,
                )
                .in_vlan(212),
                into("priority tag", tagged(&good, &[(q, 0)]), Allowed, SSH),
                into("QinQ", tagged(&good6, &[(ad, 100), (q, 7)]), Allowed, SSH).in_vlan(100),
                into(
                    "three tags",
                    tagged(&good, &[(ad, 1), (q, 2), (q, 3)]),
                    Dropped(VlanTags),
                    0,
                ),
            ],
        ),
        enforced(
            "options and extension headers",
            vec![
                into("options", with_options(&good, 3), Allowed, SSH),
                into("all options", with_options(&good, 10), Allowed, SSH),
                into("hop-by-hop", extended(&good6, &[(0, 0)]), Allowed, SSH),
                into(
                    "three, long ones",
                    extended(&good6, &[(0, 2), (60, 5), (43, 2)]),
                    Allowed,
                    SSH,
                ),
                into(
                    "as many as are followed",
                    extended(&good6, &[(60, 0); 8]),
                    Allowed,
                    SSH,
                ),
                into(
                    "as many, denied",
                    extended(&bad6, &[(60, 0); 8]),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "one more",
                    extended(&good6, &[(60, 0); 9]),
                    Dropped(ExtensionHeaders),
                    0,
                ),
                into(
                    "longer than the frame",
                    extended(&good6, &[(60, 0)])[..60].to_vec(),
                    Dropped(Invalid),
                    0,
                ),
            ],
        ),
        enforced(
            "headers that contradict themselves or are cut short",
            vec![
                into("IPv4 with version 6", version, Dropped(Invalid), 0),
                into("header of four words", length, Dropped(Invalid), 0),
                into("IPv4 header cut", good[..30].to_vec(), Dropped(Invalid), 0),
                into("IPv6 header cut", good6[..50].to_vec(), Dropped(Invalid), 0),
                into("TCP header cut", good[..50].to_vec(), Dropped(Invalid), 0),
                into(
                    "UDP header cut",
                    udp((ADMIN, 1), (NODE, 9000))[..40].to_vec(),
                    Dropped(Invalid),
                    0,
                ),
                into(
                    "tag cut",
                    tagged(&good, &[(q, 5)])[..16].to_vec(),
                    Dropped(Invalid),
                    0,
                ),
            ],
        ),
    ]
}
