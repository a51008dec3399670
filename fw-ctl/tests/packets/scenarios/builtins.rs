//! What passes before any policy, by name; and, switched off, what becomes of it: policy
//! decides, and of what policy cannot name a counter says that it is off.

use fw_common::wire::Builtin as Name;
use fw_common::wire::Counter::{Audited, Builtin, Dropped, Multicast, NotIp};
use fw_common::wire::DropReason::{ArpOff, DefaultDeny};
use fw_ctl::compile::plan::Mode;
use fw_ctl::datapath::frame::Payload;

use super::{Scenario, Step, audited, enforced, into, out, reload, without};
use crate::frames::*;
use crate::plan::{DENY_IN, DENY_OUT};

/// The node, and somebody else, on the link.
const LINK: &str = "fe80::1";
const NEIGHBOUR: &str = "fe80::2";

/// A message of multicast listener discovery, as it is sent.
fn mld(source: &str, destination: &str, kind: u8) -> Vec<u8> {
    icmp(source, destination, kind, 0)
}

fn igmp(source: &str, destination: &str) -> Vec<u8> {
    packet(source, destination, Payload::Other { protocol: 2 })
}

fn denied_in(what: &'static str, frame: Vec<u8>) -> Step {
    into(what, frame, Dropped(DefaultDeny), DENY_IN)
}

fn denied_out(what: &'static str, frame: Vec<u8>) -> Step {
    out(what, frame, Dropped(DefaultDeny), DENY_OUT)
}

fn passes_in(what: &'static str, frame: Vec<u8>) -> Step {
    into(what, frame, Builtin, 0)
}

fn passes_out(what: &'static str, frame: Vec<u8>) -> Step {
    out(what, frame, Builtin, 0)
}

pub fn scenarios() -> Vec<Scenario> {
    let mut all = address_resolution();
    all.extend(neighbor_discovery());
    all.extend(dhcp());
    all.extend(groups());
    all.extend(path_mtu());
    all
}

fn address_resolution() -> Vec<Scenario> {
    let asked = || arp([10, 0, 0, 9], [10, 0, 0, 1]);
    let asks = || arp([10, 0, 0, 1], [10, 0, 0, 9]);
    let in_vlan = |id| tagged(&asked(), &[(0x8100, id)]);
    let mut reverse = asked();
    reverse[13] = 0x35;
    let mut odd = asked();
    odd[14] = 6;
    let off = |what, frame| into(what, frame, Dropped(ArpOff), 0);
    vec![
        enforced(
            "ARP",
            vec![
                passes_in("a request", asked()),
                passes_out("the node asks", asks()),
                passes_in("in a VLAN", in_vlan(7)),
                passes_in("in a VLAN that is not admitted", in_vlan(999)),
                passes_in("behind two tags", tagged(&in_vlan(6), &[(0x88a8, 5)])),
            ],
        ),
        without(
            "ARP, switched off",
            &[Name::Arp],
            vec![
                off("a request", asked()),
                off("in a VLAN", in_vlan(7)).in_vlan(7),
                off("behind two tags", tagged(&in_vlan(6), &[(0x88a8, 5)])).in_vlan(5),
                off("of no hardware that is known", odd),
                off("cut short", asked()[..54].to_vec()),
                out("the node asks", asks(), Dropped(ArpOff), 0),
                into("RARP is another protocol", reverse, NotIp, 0),
                passes_in("IPv6 needs none", icmp(NEIGHBOUR, LINK, 135, 0)),
            ],
        ),
        Scenario {
            builtins: Name::ALL & !Name::Arp.bit(),
            ..audited(
                "ARP, switched off, in audit mode",
                vec![
                    into("a request", asked(), Audited(ArpOff), 0),
                    out("the node asks", asks(), Audited(ArpOff), 0),
                    reload(Mode::Enforce),
                    off("enforced", asked()),
                ],
            )
        },
    ]
}

/// RFC 4861 says what is valid, RFC 4890 which of it a firewall must let pass.
fn neighbor_discovery() -> Vec<Scenario> {
    let of = |source, kind| icmp(source, LINK, kind, 0);
    let atomic = |frame: &[u8]| piece(frame, 9, 0..16, false);
    vec![
        enforced(
            "neighbour discovery",
            vec![
                passes_in("solicitation", of(NEIGHBOUR, 135)),
                passes_in("advertisement", icmp(STRANGER6, NODE6, 136, 0)),
                passes_in("solicitation of routers", of("::", 133)),
                passes_in("advertisement of a router", of(NEIGHBOUR, 134)),
                passes_in("inverse solicitation", of(NEIGHBOUR, 141)),
                passes_in("inverse advertisement", of(NEIGHBOUR, 142)),
                passes_in("certification path solicitation", of("::", 148)),
                passes_in("certification path", of(NEIGHBOUR, 149)),
                passes_out("the node asks", icmp(LINK, NEIGHBOUR, 135, 0)),
                passes_out("the node answers", icmp(NODE6, STRANGER6, 136, 0)),
                passes_in(
                    "with options that are no fragment",
                    extended(&of(NEIGHBOUR, 135), &[(60, 0)]),
                ),
                denied_in("from afar", with_hops(of(NEIGHBOUR, 135), 254)),
                denied_in("of another code", icmp(NEIGHBOUR, LINK, 135, 1)),
                denied_in("solicitation of nobody to one address", of("::", 135)),
                denied_in("advertisement of nobody", of("::", 136)),
                denied_in("a router with a global address", of(STRANGER6, 134)),
                denied_in("a router without an address", of("::", 134)),
                denied_in("a path of a global address", of(STRANGER6, 149)),
                denied_in("redirect: for policy", of(NEIGHBOUR, 137)),
                denied_in("node information: for policy", of(NEIGHBOUR, 139)),
                denied_in("in an atomic fragment", atomic(&of(NEIGHBOUR, 135))),
                denied_in("in fragments", piece(&of(NEIGHBOUR, 136), 10, 0..16, true)),
            ],
        ),
        without(
            "neighbour discovery, switched off",
            &[Name::NeighborDiscovery],
            vec![
                denied_in("solicitation", of(NEIGHBOUR, 135)),
                denied_in("advertisement of a router", of(NEIGHBOUR, 134)),
                denied_out("the node asks", icmp(LINK, NEIGHBOUR, 135, 0)),
                out(
                    "a group",
                    icmp(LINK, "ff02::1:ff00:2", 135, 0),
                    Multicast,
                    0,
                ),
            ],
        ),
        without(
            "neighbour discovery without multicast",
            &[Name::Multicast],
            vec![
                passes_out("a group", icmp(LINK, "ff02::1:ff00:2", 135, 0)),
                denied_out("a name", udp((NODE6, 5353), ("ff02::fb", 5353))),
                denied_out("in IPv4", udp((NODE, 5353), ("224.0.0.251", 5353))),
            ],
        ),
    ]
}

fn dhcp() -> Vec<Scenario> {
    let answer = || udp((STRANGER, 67), (NODE, 68));
    let answer6 = || udp((NEIGHBOUR, 547), (LINK, 546));
    let renewal = || udp((NODE, 68), (STRANGER, 67));
    let renewal6 = || udp((LINK, 546), (NEIGHBOUR, 547));
    vec![
        enforced(
            "DHCP clients",
            vec![
                passes_in("answer", answer()),
                passes_out("renewal", renewal()),
                passes_in("answer, IPv6", answer6()),
                passes_out("renewal, IPv6", renewal6()),
                denied_in(
                    "a client's port to a server's",
                    udp((STRANGER, 68), (NODE, 67)),
                ),
                denied_out("as a server", udp((NODE, 67), (STRANGER, 68))),
                denied_in("ports of IPv6 in IPv4", udp((STRANGER, 547), (NODE, 546))),
                denied_in("ports of IPv4 in IPv6", udp((NEIGHBOUR, 67), (LINK, 68))),
            ],
        ),
        without(
            "DHCP clients, switched off",
            &[Name::DhcpV4],
            vec![
                denied_in("answer", answer()),
                denied_out("renewal", renewal()),
                passes_in("the other is on", answer6()),
            ],
        ),
        without(
            "DHCPv6 clients, switched off",
            &[Name::DhcpV6],
            vec![
                denied_in("answer", answer6()),
                denied_out("renewal", renewal6()),
                passes_in("the other is on", answer()),
            ],
        ),
    ]
}

fn groups() -> Vec<Scenario> {
    let report = || igmp(NODE, "224.0.0.22");
    let query = || igmp(STRANGER, NODE);
    let report6 = || mld(LINK, "ff02::16", 143);
    let query6 = || mld(NEIGHBOUR, LINK, 130);
    let bare = |frame: &[u8]| {
        let mut bare = frame.to_vec();
        bare[14] = 0x45;
        bare.drain(34..38);
        with_length(bare)
    };
    vec![
        enforced(
            "IGMP and MLD",
            vec![
                out("report, to a group", report(), Multicast, 0),
                out("report, to a group, IPv6", report6(), Multicast, 0),
                passes_in("query", query()),
                passes_in("query in a VLAN", tagged(&query(), &[(0x8100, 7)])),
                passes_in("query, IPv6", query6()),
                passes_in("report of version 1", mld(NEIGHBOUR, LINK, 131)),
                passes_in("report of nobody", mld("::", LINK, 143)),
                passes_in("done", mld(NEIGHBOUR, LINK, 132)),
                passes_in("multicast router", mld(NEIGHBOUR, LINK, 151)),
                passes_in("multicast router is sought", mld(NEIGHBOUR, LINK, 152)),
                passes_in("multicast router ends", mld(NEIGHBOUR, LINK, 153)),
                passes_out("to one address", igmp(NODE, STRANGER)),
                passes_out("to one address, IPv6", mld(LINK, NEIGHBOUR, 131)),
                denied_in("from afar", with_hops(query(), 2)),
                denied_in("without options", bare(&query())),
                denied_in("from afar, IPv6", with_hops(query6(), 255)),
                denied_in("without options, IPv6", unalerting(&query6())),
                denied_in("query of a global address", mld(STRANGER6, NODE6, 130)),
                denied_in("query of nobody", mld("::", LINK, 130)),
                denied_in("report of a global address", mld(STRANGER6, NODE6, 143)),
                denied_in("multicast router of nobody", mld("::", LINK, 151)),
                denied_in("what is not listed", {
                    let mut other = query6();
                    other[62] = 154;
                    other
                }),
                denied_in("another protocol with a Router Alert and TTL 1", {
                    let mut other = query();
                    other[23] = 103;
                    other
                }),
            ],
        ),
        without(
            "IGMP, switched off",
            &[Name::Igmp],
            vec![
                denied_in("query", query()),
                denied_out("to one address", igmp(NODE, STRANGER)),
                out("what goes to groups passes", report(), Multicast, 0),
                passes_in("the other is on", query6()),
            ],
        ),
        without(
            "MLD, switched off",
            &[Name::Mld],
            vec![
                denied_in("query", query6()),
                denied_out("to one address", mld(LINK, NEIGHBOUR, 131)),
                out("what goes to groups passes", report6(), Multicast, 0),
                passes_in("the other is on", query()),
            ],
        ),
        without(
            "IGMP and MLD without multicast",
            &[Name::Multicast],
            vec![
                passes_out("report", report()),
                passes_out("report, IPv6", report6()),
                denied_out("a name", udp((NODE, 5353), ("224.0.0.251", 5353))),
            ],
        ),
        without(
            "neither IGMP and MLD nor multicast",
            &[Name::Multicast, Name::Igmp, Name::Mld],
            vec![
                denied_out("report", report()),
                denied_out("report, IPv6", report6()),
            ],
        ),
    ]
}

fn path_mtu() -> Vec<Scenario> {
    let about = tcp((NODE, 443), (STRANGER, 4000), ACK);
    let about6 = tcp((NODE6, 443), (STRANGER6, 4000), ACK);
    let (router, router6) = ("198.51.102.1", "2001:db8::1");
    let small = || error(router, NODE, 3, 4, &about);
    let small6 = || error(router6, NODE6, 2, 0, &about6);
    vec![
        enforced(
            "path MTU",
            vec![
                passes_in("fragmentation needed", small()),
                passes_in("packet too big", small6()),
                passes_in("without what it is about", icmp(router, NODE, 3, 4)),
                passes_in("of another code", error(router6, NODE6, 2, 9, &about6)),
                passes_out("the node says it", error(NODE, STRANGER, 3, 4, &about)),
                passes_out("the node says it, IPv6", icmp(NODE6, STRANGER6, 2, 0)),
                denied_in("another code of type 3", error(router, NODE, 3, 3, &about)),
                denied_in("type 2 of IPv4", icmp(router, NODE, 2, 0)),
                denied_in("type 3 code 4 of IPv6", icmp(router6, NODE6, 3, 4)),
            ],
        ),
        without(
            "path MTU of IPv4, switched off",
            &[Name::FragmentationNeeded],
            vec![
                denied_in("fragmentation needed", small()),
                denied_out("the node says it", error(NODE, STRANGER, 3, 4, &about)),
                passes_in("the other is on", small6()),
            ],
        ),
        without(
            "path MTU of IPv6, switched off",
            &[Name::PacketTooBig],
            vec![
                denied_in("packet too big", small6()),
                denied_out("the node says it", icmp(NODE6, STRANGER6, 2, 0)),
                passes_in("the other is on", small()),
            ],
        ),
    ]
}
