//! The plan as a table: links in, what is judged where and how out.

use super::super::{Address, Framing};
use super::*;
use crate::config::XdpSetting;

/// A link: `name kind`, and behind it `<master` or `@parent`, by name; `!` is one that
/// takes tags out, `~` one without an Ethernet header, `?` one with another header, `_`
/// one that is down, `^` one that takes segments, `+` one with an address.
fn network(text: &str) -> Network {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let index_of = |name: &str| {
        let at = lines.iter().position(|l| l.split(' ').next() == Some(name));
        Some(at.unwrap_or_else(|| panic!("no link {name}")) as u32 + 1)
    };
    let mut found = Network::default();
    for line in &lines {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let mut link = Link {
            index: index_of(name).unwrap(),
            name: name.into(),
            up: true,
            loopback: name == "lo",
            ..Link::default()
        };
        for word in words {
            match word.split_at(1) {
                ("<", master) => link.master = index_of(master),
                ("@", parent) => link.parent = index_of(parent),
                ("!", "") => link.offloads.strips_tags = true,
                ("~", "") => link.framing = Framing::None,
                ("?", "") => link.framing = Framing::Other,
                ("_", "") => link.up = false,
                ("^", "") => link.offloads.takes_segments = true,
                ("+", "") => found.addresses.push(Address {
                    link: link.index,
                    address: "10.0.0.1".parse().unwrap(),
                    global: true,
                }),
                _ if word == "nic" => {}
                _ => link.kind = word.into(),
            }
        }
        found.links.push(link);
    }
    found
}

fn wanted(include: &[&str], exclude: &[&str]) -> Interfaces {
    Interfaces {
        include: include.iter().map(|s| (*s).into()).collect(),
        exclude: exclude.iter().map(|s| (*s).into()).collect(),
        ..Interfaces::default()
    }
}

/// `name: how` for every link that is filtered.
fn filtered(network: &Network, wanted: &Interfaces, needs_tags: bool) -> Vec<String> {
    let demand = Demand { wanted, needs_tags };
    plan(network, demand)
        .into_iter()
        .filter_map(|(link, choice)| match choice {
            Choice::Filter(wish) => {
                Some(format!("{}: {}", link.name, wish.modes().join(", else ")))
            }
            Choice::Leave { .. } => None,
        })
        .collect()
}

const NATIVE: &str = "xdp-native, else tc";

fn all(how: &str, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{name}: {how}")).collect()
}

const BOND: &str = "lo nic
    eth0 nic <bond0
    eth1 nic <bond0
    bond0 bond
    bond0.212 vlan @bond0 +";

const MACHINE: &str = "lo nic
    eth0 nic
    eth1 nic <bond0
    eth2 nic <bond0
    bond0 bond
    bond0.100 vlan @bond0
    bond0.100.7 vlan @bond0.100
    eth3 nic <br0
    br0 bridge
    eth3.30 vlan @eth3
    dummy0 dummy +
    veth1 veth
    veth2 veth +
    wg0 wireguard ~
    ib0 ipoib ?
    macvlan0 macvlan @eth0
    vxlan0 vxlan
    red vrf
    eth4 nic <red
    ifb0 ifb
    veth3 veth <br0 +";

/// What it is, the links, and what is filtered.
const EACH: &[(&str, &str, &[&str])] = &[
    ("a NIC", "eth0 nic +", &["eth0: xdp-native, else tc"]),
    ("loopback", "lo nic +", &[]),
    (
        "a VLAN on a NIC",
        "eth0 nic\n eth0.5 vlan @eth0 +",
        &["eth0: xdp-native, else tc"],
    ),
    (
        "QinQ",
        "eth0 nic\n eth0.5 vlan @eth0\n eth0.5.6 vlan @eth0.5 +",
        &["eth0: xdp-native, else tc"],
    ),
    (
        "macvlan and ipvlan",
        "eth0 nic\n mv0 macvlan @eth0 +\n iv0 ipvlan @eth0 +",
        &["eth0: xdp-native, else tc"],
    ),
    (
        "a VLAN whose carrier is in another namespace",
        "eth0.5 vlan +",
        &["eth0.5: tc"],
    ),
    (
        "a VLAN on a bridge's port, which the bridge never sees",
        "eth0 nic <br0\n br0 bridge +\n eth0.5 vlan @eth0 +",
        &["br0: tc", "eth0.5: tc"],
    ),
    (
        "a bridge",
        "eth0 nic <br0\n tap0 tun <br0\n br0 bridge +",
        &["br0: tc"],
    ),
    (
        "a VLAN on a bridge",
        "eth0 nic <br0\n br0 bridge\n br0.5 vlan @br0 +",
        &["br0: tc"],
    ),
    (
        "a bridge over a bond",
        "eth0 nic <bond0\n eth1 nic <bond0\n bond0 bond <br0\n br0 bridge +",
        &["br0: tc"],
    ),
    (
        "tunnels: outside and inside",
        "eth0 nic +\n vxlan0 vxlan @eth0 +\n gnv0 geneve +\n gre0 gretap @eth0 +",
        &[
            "eth0: xdp-native, else tc",
            "vxlan0: tc",
            "gnv0: tc",
            "gre0: tc",
        ],
    ),
    (
        "MACsec: outside is not IP",
        "eth0 nic\n macsec0 macsec @eth0 +",
        &["eth0: xdp-native, else tc", "macsec0: tc"],
    ),
    (
        "a team",
        "eth0 nic <team0\n eth1 nic <team0\n team0 team +",
        &["eth0: xdp-native, else tc", "eth1: xdp-native, else tc"],
    ),
    (
        "virtio with guest offloads, and without",
        "eth0 nic ^ +\n eth1 nic +",
        &["eth0: tc", "eth1: xdp-native, else tc"],
    ),
    (
        "a tunnel that is down, but not those that the kernel makes by itself",
        "tun7 ipip ~ _\n tunl0 ipip ~ _\n sit0 sit ~",
        &["tun7: tc", "sit0: tc"],
    ),
    (
        "the members of a VRF",
        "eth0 nic <red +\n red vrf",
        &["eth0: xdp-native, else tc"],
    ),
    (
        "veth: not those of containers",
        "veth0 veth\n veth1 veth +\n veth2 veth\n veth2.5 vlan @veth2 +",
        &["veth1: tc", "veth2: tc"],
    ),
    (
        "what has no Ethernet header",
        "eth0 nic +\n wg0 wireguard ~ +\n ipip0 ipip ~ @eth0 +\n sit0 sit ~\n gre0 gre ~\n \
     tun0 tun ~ +\n ppp0 ppp ~ +\n v6 ip6tnl ~\n wwan0 wwan ~ <red\n red vrf",
        &[
            "eth0: xdp-native, else tc",
            "wg0: tc",
            "ipip0: tc",
            "sit0: tc",
            "gre0: tc",
            "tun0: tc",
            "ppp0: tc",
            "v6: tc",
            "wwan0: tc",
        ],
    ),
    (
        "somebody's master",
        "eth0 nic <sw0\n sw0 openvswitch",
        &["sw0: xdp-native, else tc"],
    ),
];

#[test]
fn every_kind_of_device_by_itself() {
    for (what, links, expected) in EACH {
        let found = filtered(&network(links), &Interfaces::default(), false);
        assert_eq!(found, *expected, "{what}");
    }
}

#[test]
fn a_bond_is_judged_on_its_members_if_that_can_be_native() {
    let members = all(NATIVE, &["eth0", "eth1"]);
    let auto = Interfaces::default();
    assert_eq!(filtered(&network(BOND), &auto, false), members);
    // By its name alone, too.
    let named = wanted(&["bond0"], &[]);
    assert_eq!(filtered(&network(BOND), &named, false), members);
    // Without members, the bond waits with TC.
    let empty = network("bond0 bond\n bond0.212 vlan @bond0 +");
    assert_eq!(filtered(&empty, &auto, false), ["bond0: tc"]);
    // One member must be left alone: what it brings is judged all the same.
    let excluded = wanted(&["auto"], &["eth1"]);
    assert_eq!(filtered(&network(BOND), &excluded, false), ["bond0: tc"]);
    // Of veth, TC would be all that the members get.
    let veths = BOND.replace("nic <", "veth <");
    assert_eq!(filtered(&network(&veths), &auto, false), ["bond0: tc"]);
    // One of each: each gets what it can have.
    let mixed = network("eth0 nic <bond0\n veth0 veth <bond0\n bond0 bond");
    assert_eq!(
        filtered(&mixed, &auto, false),
        ["eth0: xdp-native, else tc", "veth0: tc"]
    );
    // What carries the address may be named alone.
    let vlan = wanted(&["bond0.212"], &[]);
    assert_eq!(filtered(&network(BOND), &vlan, false), ["bond0.212: tc"]);
}

#[test]
fn what_is_forced_is_forced_on_the_members_of_a_bond_too() {
    let forced = |xdp| Interfaces {
        xdp,
        ..Interfaces::default()
    };
    let links = network(BOND);
    for (setting, expected) in [
        (XdpSetting::Native, all("xdp-native", &["eth0", "eth1"])),
        (XdpSetting::Generic, all("xdp-generic", &["eth0", "eth1"])),
        (XdpSetting::Off, all("tc", &["bond0"])),
    ] {
        assert_eq!(
            filtered(&links, &forced(setting), false),
            expected,
            "{setting:?}"
        );
    }
    let veths = network(&BOND.replace("nic <", "veth <"));
    let native = forced(XdpSetting::Native);
    let expected = all("xdp-native", &["eth0", "eth1"]);
    assert_eq!(filtered(&veths, &native, false), expected);
    // Never on the bond: no member with a program of ours could join it.
    let empty = network("bond0 bond");
    assert_eq!(filtered(&empty, &native, false), ["bond0: tc"]);
}

#[test]
fn a_bridge_over_a_vlan_that_is_judged_on_the_wire_is_judged_on_its_other_ports() {
    let links = network(
        "eth0 nic <bond0
        eth1 nic <bond0
        bond0 bond
        bond0.100 vlan @bond0 +
        bond0.212 vlan @bond0 <br212
        tap7 tun <br212
        veth7 veth <br212
        br212 bridge +
        br212.9 vlan @br212 +",
    );
    let auto = Interfaces::default();
    let demand = Demand {
        wanted: &auto,
        needs_tags: false,
    };
    assert_eq!(
        filtered(&links, &auto, false),
        [
            "eth0: xdp-native, else tc",
            "eth1: xdp-native, else tc",
            "tap7: xdp-native, else tc",
            "veth7: tc"
        ]
    );
    let why: Vec<_> = plan(&links, demand)
        .into_iter()
        .filter_map(|(link, choice)| match choice {
            Choice::Leave {
                why,
                gap: false,
                cause: Cause::Elsewhere,
            } => Some(format!("{}: {why}", link.name)),
            _ => None,
        })
        .collect();
    assert_eq!(
        why,
        [
            "bond0: filtered on its members: eth0, eth1",
            "bond0.100: filtered on bond0, which carries it",
            "bond0.212: filtered on bond0, which carries it",
            "br212: filtered on its ports: bond0.212, tap7, veth7",
            "br212.9: filtered on br212, which carries it",
        ]
    );
    // Nothing on the wire is asked for: the bridge itself.
    let bridge = wanted(&["br212"], &[]);
    assert_eq!(filtered(&links, &bridge, false), ["br212: tc"]);
}

#[test]
fn tags_that_rules_need_are_read_where_they_are() {
    let auto = Interfaces::default();
    let stripping = BOND.replace("eth0 nic", "eth0 nic !");
    let links = network(&stripping);
    assert_eq!(
        filtered(&links, &auto, false),
        all(NATIVE, &["eth0", "eth1"])
    );
    assert_eq!(
        filtered(&links, &auto, true),
        ["eth0: tc", "eth1: xdp-native, else tc"]
    );
    let native = Interfaces {
        xdp: XdpSetting::Native,
        ..Interfaces::default()
    };
    assert_eq!(
        filtered(&links, &native, true),
        ["eth0: tc", "eth1: xdp-native"],
        "TC is slower than was asked for, which status says; XDP would be wrong"
    );
}

#[test]
fn a_bridge_hides_tags_from_generic_xdp() {
    let links = network("eth0 nic <br0\n br0 bridge +");
    let forced = |xdp| Interfaces {
        xdp,
        ..Interfaces::default()
    };
    let generic = forced(XdpSetting::Generic);
    assert_eq!(filtered(&links, &generic, false), ["br0: xdp-generic"]);
    assert_eq!(filtered(&links, &generic, true), ["br0: tc"]);
    // What cannot be is not planned.
    let native = forced(XdpSetting::Native);
    assert_eq!(filtered(&links, &native, false), ["br0: tc"]);
}

#[test]
fn what_is_included_and_excluded() {
    let auto = [
        "eth0", "eth1", "eth2", "br0", "eth3.30", "veth2", "wg0", "vxlan0", "eth4",
    ];
    let table: [(&[&str], &[&str], &[&str]); 8] = [
        (&["auto"], &[], &auto),
        (
            &["auto", "dummy0"],
            &[],
            &[
                "eth0", "eth1", "eth2", "br0", "eth3.30", "dummy0", "veth2", "wg0", "vxlan0",
                "eth4",
            ],
        ),
        (&["eth[12]"], &[], &["eth1", "eth2"]),
        // Named beside what carries it: judged once all the same.
        (&["auto", "bond0.100", "veth3"], &[], &auto),
        (&["wg0", "ib0", "lo"], &[], &["wg0"]),
        // An excluded carrier covers nothing: its VLAN is chosen.
        (
            &["auto"],
            &["bond0"],
            &[
                "eth0",
                "bond0.100",
                "br0",
                "eth3.30",
                "veth2",
                "wg0",
                "vxlan0",
                "eth4",
            ],
        ),
        (
            &["auto"],
            &["bond0", "bond0.100"],
            &[
                "eth0",
                "bond0.100.7",
                "br0",
                "eth3.30",
                "veth2",
                "wg0",
                "vxlan0",
                "eth4",
            ],
        ),
        (&["*"], &["*"], &[]),
    ];
    for (include, exclude, expected) in table {
        let links = network(MACHINE);
        let found = filtered(&links, &wanted(include, exclude), false);
        let names: Vec<_> = found.iter().map(|f| f.split(':').next().unwrap()).collect();
        assert_eq!(names, expected, "{include:?} - {exclude:?}");
    }
}

#[test]
fn names_without_an_interface_are_told_and_patterns_are_not() {
    let names = ["auto", "eth0", "eth9", "ens*", "wan[01]", "p?p1", "tun0"];
    let wanted = wanted(&names, &[]);
    assert_eq!(missing(&network(MACHINE), &wanted), ["eth9", "tun0"]);
}

#[test]
fn reasons_and_gaps() {
    let links = network(MACHINE);
    let wanted = Interfaces::default();
    let demand = Demand {
        wanted: &wanted,
        needs_tags: false,
    };
    let choices = plan(&links, demand);
    let of = |name: &str| match choices.iter().find(|(link, _)| link.name == name) {
        Some((_, Choice::Leave { why, gap, .. })) => (why.as_str(), *gap),
        _ => panic!("{name} is filtered"),
    };
    for (name, why, gap) in [
        ("bond0", "filtered on its members: eth1, eth2", false),
        ("bond0.100", "filtered on bond0, which carries it", false),
        (
            "bond0.100.7",
            "filtered on bond0.100, which carries it",
            false,
        ),
        ("eth3", "belongs to br0", false),
        ("veth1", "veth without a global address", false),
        (
            "ib0",
            "not filtered: neither an Ethernet header nor IP at once",
            true,
        ),
        ("lo", "loopback", false),
    ] {
        assert_eq!(of(name), (why, gap), "{name}");
    }
}

#[test]
fn links_in_a_circle_end() {
    // No kernel allows it; a plan must not hang on a listing that changed under it.
    let mut links = network("a bridge <b\n b bridge <a\n c vlan @d\n d vlan @c");
    let auto = Interfaces::default();
    filtered(&links, &auto, false);
    links.links[0].master = Some(1);
    filtered(&links, &auto, true);
}

#[test]
fn what_has_no_ethernet_header_is_never_given_xdp() {
    let links = network("wg0 wireguard ~ +\n ib0 ipoib ? +");
    for xdp in [
        XdpSetting::Auto,
        XdpSetting::Native,
        XdpSetting::Generic,
        XdpSetting::Off,
    ] {
        let wanted = Interfaces {
            xdp,
            ..Interfaces::default()
        };
        let demand = Demand {
            wanted: &wanted,
            needs_tags: true,
        };
        let wish = Choice::Filter(Wish::Tc("no Ethernet header: TC".into()));
        assert_eq!(plan(&links, demand)[0].1, wish, "{xdp:?}");
    }
    assert_eq!(
        filtered(&links, &wanted(&["auto"], &["wg*"]), false),
        [""; 0]
    );
}
