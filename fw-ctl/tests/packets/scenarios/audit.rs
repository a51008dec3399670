//! Audit passes everything, and is followed by enforcing.

use fw_common::wire::Counter::{Allowed, Audited, Dropped, Reply};
use fw_common::wire::DropReason::{DefaultDeny, DenyRule, Invalid};
use fw_ctl::compile::plan::Mode;

use super::{Scenario, audited, into, out, reload};
use crate::frames::*;
use crate::plan::{DENY_IN, DENY_OUT, OUT, TELNET};

pub fn scenarios() -> Vec<Scenario> {
    let (attacker, closed) = ((STRANGER, 4000), (NODE, 22));
    let cut = tcp(attacker, closed, SYN)[..50].to_vec();
    vec![audited(
        "audit passes everything, and what it passed is cut by enforcing",
        vec![
            into(
                "denied",
                tcp(attacker, closed, SYN),
                Audited(DefaultDeny),
                DENY_IN,
            ),
            into(
                "by a deny rule",
                tcp((ADMIN, 1), (NODE, 23), SYN),
                Audited(DenyRule),
                TELNET,
            ),
            into("unreadable", cut.clone(), Audited(Invalid), 0),
            out(
                "the server's answer",
                tcp(closed, attacker, SYN_ACK),
                Reply,
                0,
            ),
            into(
                "data, reported no more",
                tcp(attacker, closed, ACK),
                Audited(DefaultDeny),
                DENY_IN,
            )
            .quiet(),
            out(
                "denied out",
                tcp((NODE, 40000), (STRANGER, 25), SYN),
                Audited(DefaultDeny),
                DENY_OUT,
            ),
            into(
                "its answer",
                tcp((STRANGER, 25), (NODE, 40000), SYN_ACK),
                Reply,
                0,
            ),
            out(
                "allowed out",
                tcp((NODE, 40001), (STRANGER, 443), SYN),
                Allowed,
                OUT,
            ),
            reload(Mode::Enforce),
            into(
                "the attacker's data",
                tcp(attacker, closed, ACK),
                Dropped(DefaultDeny),
                DENY_IN,
            ),
            out(
                "the node's data to 25",
                tcp((NODE, 40000), (STRANGER, 25), ACK),
                Dropped(DefaultDeny),
                DENY_OUT,
            ),
            into(
                "the good connection lives",
                tcp((STRANGER, 443), (NODE, 40001), SYN_ACK),
                Reply,
                0,
            ),
            into("unreadable, now", cut, Dropped(Invalid), 0),
        ],
    )]
}
