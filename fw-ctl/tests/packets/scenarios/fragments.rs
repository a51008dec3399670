//! Fragments follow their first one.

use fw_common::wire::Counter::{Allowed, Dropped};
use fw_common::wire::DropReason::{DefaultDeny, FragmentWithoutFirst, Invalid};

use super::{Scenario, enforced, into, out};
use crate::frames::*;
use crate::plan::{DENY_IN, OUT, SSH};

pub fn scenarios() -> Vec<Scenario> {
    let good = udp((ADMIN, 4000), (NODE, 9000));
    let bad = udp((STRANGER, 4000), (NODE, 9000));
    let good6 = udp((ADMIN6, 4000), (NODE6, 9000));
    vec![
        enforced(
            "fragments follow their first one, IPv4",
            vec![
                into(
                    "later, without a first",
                    later(&good, 1, 185, false),
                    Dropped(FragmentWithoutFirst),
                    0,
                ),
                into("first", fragment(&good, 2, 0, true), Allowed, SSH),
                into("middle", later(&good, 2, 185, true), Allowed, SSH),
                into("last", later(&good, 2, 370, false), Allowed, SSH),
                into(
                    "last of another",
                    later(&good, 3, 370, false),
                    Dropped(FragmentWithoutFirst),
                    0,
                ),
                into(
                    "first, denied",
                    fragment(&bad, 2, 0, true),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "later, denied",
                    later(&bad, 2, 185, false),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "of another protocol",
                    later(&tcp((ADMIN, 1), (NODE, 2), SYN), 2, 185, false),
                    Dropped(FragmentWithoutFirst),
                    0,
                ),
                into(
                    "first, too short for its ports",
                    fragment(&good[..38], 4, 0, true),
                    Dropped(Invalid),
                    0,
                ),
            ],
        ),
        enforced(
            "fragments follow their first one, IPv6",
            vec![
                into(
                    "later, without a first",
                    fragment6(&good6, 1, 185, false),
                    Dropped(FragmentWithoutFirst),
                    0,
                ),
                into("first", fragment6(&good6, 70_000, 0, true), Allowed, SSH),
                into("last", fragment6(&good6, 70_000, 185, false), Allowed, SSH),
                into(
                    "an atomic fragment is whole",
                    fragment6(&good6, 5, 0, false),
                    Allowed,
                    SSH,
                ),
            ],
        ),
        enforced(
            "the two sides number their packets apart",
            vec![
                out(
                    "first, out",
                    fragment(&udp((NODE, 9000), (ADMIN, 53)), 9, 0, true),
                    Allowed,
                    OUT,
                ),
                into(
                    "later, in, same number",
                    later(&good, 9, 185, false),
                    Dropped(FragmentWithoutFirst),
                    0,
                ),
            ],
        ),
    ]
}
