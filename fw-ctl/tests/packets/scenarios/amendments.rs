//! A plan that is amended by the classes of single addresses, as for pods that come and
//! go.

use fw_common::wire::Counter::{Allowed, Dropped, Failsafe};
use fw_common::wire::DropReason::{DefaultDeny, DenyRule};
use fw_common::wire::RULE_BAN;
use fw_ctl::compile::plan::Mode;

use super::{Scenario, Until, amend, ban, enforced, into, out, reload};
use crate::frames::*;
use crate::plan::{DENY_IN, FAILSAFE, OUT, SSH};

pub fn scenarios() -> Vec<Scenario> {
    let ssh = |from| tcp((from, 50000), (NODE, 22), SYN);
    let ssh6 = |from| tcp((from, 50000), (NODE6, 22), SYN);
    let denied = Dropped(DefaultDeny);
    vec![
        enforced(
            "addresses come and go without a new generation",
            vec![
                into("before", ssh(STRANGER), denied, DENY_IN),
                amend(&[(STRANGER, 1), (STRANGER6, 1)]),
                into("one that came", ssh(STRANGER), Allowed, SSH),
                into("in IPv6", ssh6(STRANGER6), Allowed, SSH),
                into("the one beside it", ssh("203.0.113.10"), denied, DENY_IN),
                into("in IPv6", ssh6("2001:db8::a"), denied, DENY_IN),
                into("as before", ssh(ADMIN), Allowed, SSH),
                into(
                    "an IPv6 address that looks like it",
                    ssh6("::ffff:203.0.113.9"),
                    denied,
                    DENY_IN,
                ),
                out(
                    "out",
                    tcp((NODE, 40000), (STRANGER, 443), SYN),
                    Allowed,
                    OUT,
                ),
                amend(&[(STRANGER6, 1), (ADMIN, 0)]),
                into("one that went", ssh(STRANGER), denied, DENY_IN),
                into("one that stayed", ssh6(STRANGER6), Allowed, SSH),
                into("one whose network stayed", ssh(ADMIN), denied, DENY_IN),
                into("that network", ssh("10.0.1.8"), Allowed, SSH),
                reload(Mode::Enforce),
                into(
                    "no amendment of the former plan",
                    ssh6(STRANGER6),
                    denied,
                    DENY_IN,
                ),
                into("nor of this one", ssh(ADMIN), Allowed, SSH),
                amend(&[(STRANGER, 1)]),
                into("what came now", ssh(STRANGER), Allowed, SSH),
                into(
                    "nothing of what came before",
                    ssh6(STRANGER6),
                    denied,
                    DENY_IN,
                ),
            ],
        ),
        enforced(
            "a ban holds for an address that came",
            vec![
                amend(&[(STRANGER, 1)]),
                ban(STRANGER, Until::Never),
                into("SSH", ssh(STRANGER), Dropped(DenyRule), RULE_BAN),
                into(
                    "failsafe",
                    tcp((STRANGER, 50000), (NODE, 2222), SYN),
                    Failsafe,
                    FAILSAFE,
                ),
            ],
        ),
    ]
}
