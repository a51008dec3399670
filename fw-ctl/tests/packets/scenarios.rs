//! The table.

use fw_common::wire::Counter::{
    self, Allowed, Audited, Builtin, Dropped, Failsafe, Forwarded, Multicast, NotIp, NotLocal,
    Related, Reply,
};
use fw_common::wire::DropReason::{
    DefaultDeny, DenyRule, ExtensionHeaders, FragmentWithoutFirst, Invalid, VlanTags,
};
use fw_ctl::compile::plan::Mode;
use fw_ctl::datapath::frame::Payload;

use crate::frames::*;
use crate::plan::{DENY_IN, DENY_OUT, FAILSAFE, OUT, PUBLIC, SSH, TELNET};

/// Which way a packet of the table goes.
pub enum Way {
    In,
    Out,
    Forwarded,
    /// No packet: the plan is replaced by the same in this mode.
    Reload(Mode),
}

/// One packet.
pub struct Step {
    pub what: &'static str,
    pub way: Way,
    pub frame: Vec<u8>,
    pub expect: Counter,
    /// The rule in the event.
    pub rule: u16,
    pub vlan: u16,
    /// An allowed packet that is reported, being the first of its connection.
    pub begins: bool,
}

/// Packets in order.
pub struct Scenario {
    pub name: &'static str,
    pub mode: Mode,
    pub steps: Vec<Step>,
}

fn step(what: &'static str, way: Way, frame: Vec<u8>, expect: Counter, rule: u16) -> Step {
    Step {
        what,
        way,
        frame,
        expect,
        rule,
        vlan: 0,
        begins: true,
    }
}

fn into(what: &'static str, frame: Vec<u8>, expect: Counter, rule: u16) -> Step {
    step(what, Way::In, frame, expect, rule)
}

fn out(what: &'static str, frame: Vec<u8>, expect: Counter, rule: u16) -> Step {
    step(what, Way::Out, frame, expect, rule)
}

fn reload(mode: Mode) -> Step {
    step("reload", Way::Reload(mode), Vec::new(), Counter::NoPlan, 0)
}

impl Step {
    /// Inside a connection: allowed, but not reported again.
    fn quiet(mut self) -> Self {
        self.begins = false;
        self
    }
    fn in_vlan(mut self, vlan: u16) -> Self {
        self.vlan = vlan;
        self
    }
}

fn enforced(name: &'static str, steps: Vec<Step>) -> Scenario {
    Scenario {
        name,
        mode: Mode::Enforce,
        steps,
    }
}

pub fn all() -> Vec<Scenario> {
    let mut all = vec![];
    all.extend(policy());
    all.extend(connections());
    all.extend(icmp_errors());
    all.extend(fragments());
    all.extend(headers());
    all.extend(surroundings());
    all.extend(audit());
    all
}

fn policy() -> Vec<Scenario> {
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

fn connections() -> Vec<Scenario> {
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

fn icmp_errors() -> Vec<Scenario> {
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

fn fragments() -> Vec<Scenario> {
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

fn headers() -> Vec<Scenario> {
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

fn surroundings() -> Vec<Scenario> {
    let mut arp = vec![0; 60];
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut lldp = arp.clone();
    lldp[12..14].copy_from_slice(&[0x88, 0xcc]);
    let mut far = icmp("fe80::2", "fe80::1", 135, 0);
    far[21] = 64;
    let mut broadcast = udp((NODE, 5000), ("10.0.0.255", 5000));
    broadcast[..6].fill(0xff);
    vec![
        enforced(
            "not our business",
            vec![
                into("ARP", arp.clone(), NotIp, 0),
                out("ARP out", arp, NotIp, 0),
                into("LLDP", lldp, NotIp, 0),
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
            "built-ins",
            vec![
                into(
                    "neighbour solicitation",
                    icmp("fe80::2", "fe80::1", 135, 0),
                    Builtin,
                    0,
                ),
                into(
                    "neighbour advertisement",
                    icmp(STRANGER6, NODE6, 136, 0),
                    Builtin,
                    0,
                ),
                into("solicitation from afar", far, Dropped(DefaultDeny), DENY_IN),
                into(
                    "redirect is none",
                    icmp("fe80::2", "fe80::1", 137, 0),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                out(
                    "solicitation out",
                    icmp("fe80::1", "fe80::2", 135, 0),
                    Builtin,
                    0,
                ),
                into("DHCP answer", udp((STRANGER, 67), (NODE, 68)), Builtin, 0),
                out("DHCP renewal", udp((NODE, 68), (STRANGER, 67)), Builtin, 0),
                into(
                    "DHCP server's port",
                    udp((STRANGER, 68), (NODE, 67)),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
                into(
                    "DHCPv6 answer",
                    udp(("fe80::2", 547), ("fe80::1", 546)),
                    Builtin,
                    0,
                ),
                into(
                    "DHCPv6 ports in IPv4",
                    udp((STRANGER, 547), (NODE, 546)),
                    Dropped(DefaultDeny),
                    DENY_IN,
                ),
            ],
        ),
    ]
}

fn audit() -> Vec<Scenario> {
    let (attacker, closed) = ((STRANGER, 4000), (NODE, 22));
    let cut = tcp(attacker, closed, SYN)[..50].to_vec();
    vec![Scenario {
        name: "audit passes everything, and what it passed is cut by enforcing",
        mode: Mode::Audit,
        steps: vec![
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
    }]
}
