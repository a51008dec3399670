//! What depends on the VLAN: rules of some VLANs only, and VLANs that are not admitted.

use fw_common::wire::Counter::{
    Allowed, Audited, Builtin, Dropped, Failsafe, Multicast, NotLocal, Reply,
};
use fw_common::wire::DropReason::{DefaultDeny, DenyRule, Invalid, VlanNotAdmitted};
use fw_common::wire::RULE_BAN;
use fw_ctl::compile::plan::Mode;

use super::{Counter, Scenario, Step, Until, audited, ban, enforced, into, out, reload};
use crate::frames::*;
use crate::plan::{DENY_IN, DENY_OUT, FAILSAFE, OUT, SSH, UNADMITTED, VLAN_SSH};

const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;
/// Has rules of its own.
const OWN: u16 = 300;
/// Is not admitted.
const FOREIGN: u16 = 999;

/// The same step in a VLAN.
fn within(
    vlan: u16,
    step: fn(&'static str, Vec<u8>, Counter, u16) -> Step,
    what: &'static str,
    frame: &[u8],
    (expect, rule): (Counter, u16),
) -> Step {
    step(what, tagged(frame, &[(Q, vlan)]), expect, rule).in_vlan(vlan)
}

pub fn scenarios() -> Vec<Scenario> {
    let denied = (Dropped(DefaultDeny), DENY_IN);
    let foreign = (Dropped(VlanNotAdmitted), UNADMITTED);
    let ssh = tcp((STRANGER, 50000), (NODE, 22), SYN);
    let ssh6 = tcp((STRANGER6, 50000), (NODE6, 22), SYN);
    let web = tcp((STRANGER, 50000), (NODE, 80), SYN);
    let admin = tcp((ADMIN, 50000), (NODE, 22), SYN);
    let (here, there) = ((NODE, 40000), (STRANGER, 443));
    let (peer, failsafe) = ((STRANGER, 50000), (NODE, 2222));
    let double = |outer, inner| tagged(&ssh, &[(AD, outer), (Q, inner)]);
    vec![
        enforced(
            "the outermost id decides which rules hold",
            vec![
                into("untagged", ssh.clone(), denied.0, DENY_IN),
                into("priority", tagged(&ssh, &[(Q, 0)]), denied.0, DENY_IN),
                within(299, into, "another VLAN", &ssh, denied),
                within(OWN, into, "in the VLAN", &ssh, (Allowed, VLAN_SSH)),
                within(310, into, "the last of them", &ssh6, (Allowed, VLAN_SSH)),
                within(311, into, "beyond", &ssh6, denied),
                into("outer", double(OWN, 7), Allowed, VLAN_SSH).in_vlan(OWN),
                into("inner", double(7, OWN), denied.0, DENY_IN).in_vlan(7),
                into("behind a priority", double(0, OWN), Allowed, VLAN_SSH).in_vlan(OWN),
                within(OWN, into, "what others may", &web, denied),
                within(OWN, into, "whom others let", &admin, (Allowed, VLAN_SSH)),
                within(211, into, "elsewhere", &admin, (Allowed, SSH)),
            ],
        ),
        enforced(
            "a reply is judged by its VLAN, a connection is known in all",
            vec![
                within(OWN, into, "in", &ssh, (Allowed, VLAN_SSH)),
                within(
                    OWN,
                    out,
                    "needs no memory",
                    &tcp((NODE, 22), (STRANGER, 50000), SYN_ACK),
                    (Allowed, 0),
                )
                .quiet(),
                out(
                    "and has none",
                    tcp((NODE, 22), (STRANGER, 50000), SYN_ACK),
                    Dropped(DefaultDeny),
                    DENY_OUT,
                ),
                within(OWN, out, "out", &tcp(here, there, SYN), (Allowed, 0)).quiet(),
                within(OWN, into, "back", &tcp(there, here, SYN_ACK), (Reply, 0)),
                into("untagged", tcp(there, here, ACK), Reply, 0),
                within(7, into, "elsewhere", &tcp(there, here, ACK), (Reply, 0)),
            ],
        ),
        enforced(
            "nothing that is judged passes in a VLAN which is not admitted",
            vec![
                within(FOREIGN, into, "allowed", &admin, foreign),
                within(FOREIGN, into, "denied", &ssh, foreign),
                within(FOREIGN, into, "IPv6", &ssh6, foreign),
                within(
                    FOREIGN,
                    into,
                    "data",
                    &tcp((ADMIN, 1), (NODE, 22), ACK),
                    foreign,
                ),
                within(
                    FOREIGN,
                    into,
                    "UDP",
                    &udp((ADMIN, 1), (NODE, 9000)),
                    foreign,
                ),
                within(FOREIGN, into, "a ping", &icmp(ADMIN, NODE, 8, 0), foreign),
                within(FOREIGN, out, "out", &tcp(here, there, SYN), foreign),
                within(FOREIGN, out, "out", &icmp(NODE6, ADMIN6, 128, 0), foreign),
                into(
                    "outer",
                    tagged(&admin, &[(AD, FOREIGN), (Q, 7)]),
                    foreign.0,
                    UNADMITTED,
                )
                .in_vlan(FOREIGN),
                into(
                    "inner",
                    tagged(&admin, &[(AD, 7), (Q, FOREIGN)]),
                    Allowed,
                    SSH,
                )
                .in_vlan(7),
                within(
                    FOREIGN,
                    into,
                    "what cannot be read",
                    &tcp((ADMIN, 1), (NODE, 22), SYN)[..50],
                    (Dropped(Invalid), 0),
                ),
            ],
        ),
        enforced(
            "what is not judged, or before policy, passes in every VLAN",
            vec![
                within(
                    FOREIGN,
                    into,
                    "not for the node",
                    &tcp((ADMIN, 1), ("10.0.0.2", 22), SYN),
                    (NotLocal, 0),
                ),
                within(
                    FOREIGN,
                    into,
                    "DHCP",
                    &udp((ADMIN, 67), (NODE, 68)),
                    (Builtin, 0),
                ),
                within(
                    FOREIGN,
                    out,
                    "a group",
                    &udp((NODE, 5353), ("224.0.0.251", 5353)),
                    (Multicast, 0),
                ),
            ],
        ),
        enforced(
            "failsafe holds in a VLAN that is not admitted, and what answers it passes",
            vec![
                within(
                    FOREIGN,
                    out,
                    "nothing to answer",
                    &tcp(failsafe, peer, SYN_ACK),
                    foreign,
                ),
                within(
                    FOREIGN,
                    into,
                    "SYN",
                    &tcp(peer, failsafe, SYN),
                    (Failsafe, FAILSAFE),
                ),
                within(
                    FOREIGN,
                    out,
                    "SYN ACK",
                    &tcp(failsafe, peer, SYN_ACK),
                    (Reply, 0),
                ),
                within(
                    FOREIGN,
                    into,
                    "ACK",
                    &tcp(peer, failsafe, ACK),
                    (Failsafe, FAILSAFE),
                )
                .quiet(),
                within(
                    FOREIGN,
                    out,
                    "to another port",
                    &tcp(failsafe, (STRANGER, 50001), ACK),
                    foreign,
                ),
            ],
        ),
        enforced(
            "no connection reaches into a VLAN that is not admitted",
            vec![
                out("SYN", tcp(here, there, SYN), Allowed, OUT),
                within(
                    FOREIGN,
                    into,
                    "answered there",
                    &tcp(there, here, SYN_ACK),
                    foreign,
                ),
                within(FOREIGN, into, "and again", &tcp(there, here, ACK), foreign),
                within(
                    FOREIGN,
                    into,
                    "an error about it",
                    &error(STRANGER, NODE, 3, 1, &tcp(here, there, SYN)),
                    foreign,
                ),
                into("answered here", tcp(there, here, SYN_ACK), Reply, 0),
            ],
        ),
        enforced(
            "a ban comes before the VLAN",
            vec![
                ban(ADMIN, Until::Never),
                within(
                    FOREIGN,
                    into,
                    "denied",
                    &admin,
                    (Dropped(DenyRule), RULE_BAN),
                ),
                within(OWN, into, "allowed", &admin, (Dropped(DenyRule), RULE_BAN)),
            ],
        ),
        audited(
            "in audit mode a VLAN that is not admitted is reported, once a connection",
            vec![
                within(
                    FOREIGN,
                    into,
                    "first",
                    &admin,
                    (Audited(VlanNotAdmitted), UNADMITTED),
                ),
                within(
                    FOREIGN,
                    into,
                    "more of it",
                    &tcp((ADMIN, 50000), (NODE, 22), ACK),
                    (Audited(VlanNotAdmitted), UNADMITTED),
                )
                .quiet(),
                reload(Mode::Enforce),
                within(
                    FOREIGN,
                    into,
                    "dropped from now on",
                    &tcp((ADMIN, 50000), (NODE, 22), ACK),
                    foreign,
                ),
            ],
        ),
    ]
}
