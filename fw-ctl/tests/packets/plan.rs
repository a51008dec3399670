//! The plan of the table, written by hand: what the compiler makes of policies is
//! tested elsewhere, here only what the datapath makes of a plan.

use std::net::IpAddr;

use fw_common::wire::{Builtin, Direction, RULE_NO_POLICY, VLANS, VerdictWord};
use fw_ctl::compile::plan::{DirectionPlan, Mode, Plan, PlanRule};
use fw_ctl::lookup::Runs;
use fw_ctl::netlink::LocalAddresses;
use ipnet::IpNet;

/// Default deny of ingress, and of egress.
pub const DENY_IN: u16 = 2;
pub const DENY_OUT: u16 = 3;
/// TCP 22 and UDP 9000 from 10.0.1.0/24 and `fd00:1::/64`.
pub const SSH: u16 = 4;
/// TCP 80, ICMP echo requests of both families and VRRP from anybody.
pub const PUBLIC: u16 = 5;
/// A deny rule for TCP 23.
pub const TELNET: u16 = 6;
/// Failsafe: TCP 2222.
pub const FAILSAFE: u16 = 7;
/// Egress to TCP 443, UDP and SCTP 53, echo requests and ESP to anybody.
pub const OUT: u16 = 8;

/// TCP, UDP and SCTP 7000 and ESP from anybody, `2/h per /24 /56`.
pub const TWO_AN_HOUR: u16 = 9;
/// UDP 7001 from anybody, `1/s per /32 burst 2`.
pub const TWO_AND_ONE_A_SECOND: u16 = 10;
/// UDP 7002 from anybody, `2/h` for all together.
pub const TOGETHER: u16 = 11;
/// What is [`PUBLIC`], from 192.0.2.0/24 and `2001:db8:2::/48`, `2/h per /32 /128`.
pub const PUBLIC_TWO_AN_HOUR: u16 = 12;
/// VLANs 300 to 310: TCP 22 from anybody, and nothing else; egress has no policy.
pub const VLAN_SSH: u16 = 13;
/// VLAN 999 is not admitted.
pub const UNADMITTED: u16 = 14;

/// 10.0.0.1, `fd00::1` and a link-local address; 198.51.100.0/24 and
/// `2001:db8:a::/48` as a whole.
pub fn local() -> LocalAddresses {
    let networks = [
        "10.0.0.1/32",
        "fd00::1/128",
        "fe80::1/128",
        "198.51.100.0/24",
        "2001:db8:a::/48",
    ];
    let networks = networks.map(|text| text.parse::<IpNet>().expect("a network"));
    networks.into_iter().collect()
}

/// The plan in one mode.
pub fn plan(mode: Mode) -> Plan {
    let rule = |name: &str, direction, allow| PlanRule {
        policy: "table".into(),
        rule: name.into(),
        origin: String::new(),
        direction,
        allow,
        match_type: "all",
        rate: None,
        vlans: None,
        log: String::new(),
    };
    let limited = |name, rate: &str| PlanRule {
        rate: Some(rate.parse().expect("a rate")),
        ..rule(name, Some(Direction::Ingress), true)
    };
    let (ingress, egress) = (Some(Direction::Ingress), Some(Direction::Egress));
    Plan {
        mode,
        builtins: Builtin::ALL,
        peers: Runs::of(
            &[
                ("10.0.1.0/24", 1),
                ("192.0.2.0/24", 2),
                ("2001:db8:2::/48", 2),
                ("fd00:1::/64", 1),
            ]
            .map(|(prefix, class)| (prefix.parse().expect("a prefix"), class)),
        ),
        rows: 3,
        vlans: vlans(),
        directions: [inbound(), outbound()],
        rules: vec![
            rule("no-policy", None, true),
            rule("banned-peer", None, false),
            rule("default-deny", ingress, false),
            rule("default-deny", egress, false),
            rule("ingress[0]", ingress, true),
            rule("ingress[1]", ingress, true),
            rule("ingressDeny[0]", ingress, false),
            rule("failsafe[0]", ingress, true),
            rule("egress[0]", egress, true),
            limited("ingress[2]", "2/h per /24 /56"),
            limited("ingress[3]", "1/s per /32 burst 2"),
            limited("ingress[4]", "2/h"),
            limited("ingress[5]", "2/h per /32 /128"),
            rule("ingress[6]", ingress, true),
            rule("vlan-not-admitted", None, false),
        ],
    }
}

/// Classes: 0 the rest, 1 those with a policy of their own, 2 not admitted.
fn vlans() -> Vec<u16> {
    let class = |vlan| match vlan {
        300..=310 => 1,
        999 => 2,
        _ => 0,
    };
    (0..VLANS).map(class).collect()
}

/// The plan with other classes for single addresses.
pub fn amended(mode: Mode, singles: &[(&str, u16)]) -> Plan {
    let mut plan = plan(mode);
    let singles = singles.iter().map(|(address, class)| {
        let address: IpAddr = address.parse().expect("an address");
        (address, *class)
    });
    plan.peers = plan.peers.with(&singles.collect());
    plan
}

/// Columns: 0 the rest, 1 SSH, 2 public, 3 telnet, 4 failsafe, 5 to 7 up to a rate.
fn inbound() -> DirectionPlan {
    let deny = VerdictWord::default_deny(DENY_IN);
    let common = [
        VerdictWord::deny(TELNET),
        VerdictWord::failsafe(FAILSAFE),
        VerdictWord::limited(TWO_AN_HOUR),
        VerdictWord::limited(TWO_AND_ONE_A_SECOND),
        VerdictWord::limited(TOGETHER),
    ];
    let mut plan = empty(8);
    plan.ports[0][22] = 1;
    plan.ports[1][9_000] = 1;
    plan.ports[0][80] = 2;
    plan.icmp[0][8] = 2;
    plan.icmp[1][128] = 2;
    plan.protocols[112] = 2;
    plan.ports[0][23] = 3;
    plan.ports[0][2_222] = 4;
    plan.ports[0][7_000] = 5;
    plan.ports[1][7_000] = 5;
    plan.ports[2][7_000] = 5;
    plan.protocols[50] = 5;
    plan.ports[1][7_001] = 6;
    plan.ports[1][7_002] = 7;
    let public = VerdictWord::allow(PUBLIC);
    for (ssh, public) in [
        (deny, public),
        (VerdictWord::allow(SSH), public),
        (deny, VerdictWord::limited(PUBLIC_TWO_AN_HOUR)),
    ] {
        plan.cells.extend([deny, ssh, public]);
        plan.cells.extend(common);
    }
    let (failsafe, unadmitted) = (VerdictWord::failsafe(FAILSAFE), unadmitted());
    for _ in 0..3 {
        plan.cells
            .extend([deny, VerdictWord::allow(VLAN_SSH), deny]);
        plan.cells.extend([deny, failsafe, deny, deny, deny]);
    }
    for _ in 0..3 {
        plan.cells.extend([unadmitted; 4]);
        plan.cells
            .extend([failsafe, unadmitted, unadmitted, unadmitted]);
    }
    plan
}

/// Columns: 0 the rest, 1 allowed.
fn outbound() -> DirectionPlan {
    let mut plan = empty(2);
    plan.ports[0][443] = 1;
    plan.ports[1][53] = 1;
    plan.ports[2][53] = 1;
    plan.protocols[50] = 1;
    plan.icmp[0][8] = 1;
    plan.icmp[1][128] = 1;
    for _ in 0..3 {
        plan.cells
            .extend([VerdictWord::default_deny(DENY_OUT), VerdictWord::allow(OUT)]);
    }
    plan.cells.extend([VerdictWord::allow(RULE_NO_POLICY); 6]);
    plan.cells.extend([unadmitted(); 6]);
    plan
}

fn unadmitted() -> VerdictWord {
    VerdictWord::unadmitted(UNADMITTED)
}

fn empty(columns: u32) -> DirectionPlan {
    DirectionPlan {
        columns,
        ports: [vec![0; 65_536], vec![0; 65_536], vec![0; 65_536]],
        icmp: [vec![0; 256], vec![0; 256]],
        protocols: vec![0; 256],
        cells: Vec::new(),
    }
}
