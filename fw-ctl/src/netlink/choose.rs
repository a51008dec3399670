//! Which links are filtered: a pure function of the configuration and the links.
//!
//! One verdict per packet: a packet should meet the filter on exactly one link of
//! the stack that it climbs. So of a bond or bridge and its members only the
//! master is chosen, and of a VLAN and the link that carries it only the carrier,
//! where the tag is still in sight.

use super::{Link, Network};
use crate::config::Interfaces;
use crate::glob::glob_match;

/// What is done with one link, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is filtered.
    Filter,
    /// It is left alone.
    Leave {
        /// Why.
        why: String,
        /// Traffic of the node may pass here unfiltered: said in `status`.
        gap: bool,
    },
}

/// Links on links deeper than this are taken for a loop.
const MAX_STACK: u32 = 8;

/// Decides on every link, in the order of `network.links`.
#[must_use]
pub fn choose<'a>(network: &'a Network, wanted: &Interfaces) -> Vec<(&'a Link, Choice)> {
    network
        .links
        .iter()
        .map(|link| (link, decide(network, wanted, link, MAX_STACK)))
        .collect()
}

/// Names in `interfaces.include` that no interface has. A pattern is no name: that
/// it fits nothing yet is ordinary.
#[must_use]
pub fn missing<'a>(network: &Network, wanted: &'a Interfaces) -> Vec<&'a str> {
    let is_name = |pattern: &&str| *pattern != "auto" && !pattern.contains(['*', '?', '[']);
    let exists = |name: &str| network.links.iter().any(|link| link.name == name);
    let names = wanted.include.iter().map(String::as_str).filter(is_name);
    names.filter(|name| !exists(name)).collect()
}

fn decide(network: &Network, wanted: &Interfaces, link: &Link, depth: u32) -> Choice {
    if link.loopback {
        return leave("loopback");
    }
    if let Some(pattern) = wanted.exclude.iter().find(|p| glob_match(p, &link.name)) {
        return leave(format!("excluded by `interfaces.exclude`: {pattern}"));
    }
    let named = wanted
        .include
        .iter()
        .any(|p| p != "auto" && glob_match(p, &link.name));
    if !named && !wanted.include.iter().any(|p| p == "auto") {
        return leave("not in `interfaces.include`");
    }
    if !link.ethernet {
        return Choice::Leave {
            why: "not filtered: no Ethernet header".into(),
            gap: named || link.up,
        };
    }
    if named {
        return Choice::Filter;
    }
    automatic(network, wanted, link, depth)
}

fn automatic(network: &Network, wanted: &Interfaces, link: &Link, depth: u32) -> Choice {
    match link.kind.as_str() {
        "dummy" => return leave("a dummy has no peers"),
        "ifb" => return leave("sees copies of what another link has received"),
        // What a VRF receives was received by its member before, and judged there.
        "vrf" => return leave("its members are filtered"),
        "veth" | "netkit" if !network.has_global_address(link.index) => {
            return leave(format!("{} without a global address", link.kind));
        }
        _ => {}
    }
    if let Some(master) = link.master {
        match network.link(master) {
            Some(master) if master.kind == "vrf" => {}
            Some(master) => return leave(format!("belongs to {}", master.name)),
            None => return leave(format!("belongs to link {master}")),
        }
    }
    if matches!(
        link.kind.as_str(),
        "vlan" | "macvlan" | "ipvlan" | "macvtap" | "ipvtap"
    ) && depth > 0
        && let Some(parent) = link.parent.and_then(|index| network.link(index))
        && covered(network, wanted, parent, depth - 1)
    {
        return leave(format!("filtered on {}, which carries it", parent.name));
    }
    Choice::Filter
}

/// Whether what passes `link` is judged there or below it.
fn covered(network: &Network, wanted: &Interfaces, link: &Link, depth: u32) -> bool {
    if decide(network, wanted, link, depth) == Choice::Filter {
        return true;
    }
    depth > 0
        && matches!(link.kind.as_str(), "vlan" | "macvlan" | "ipvlan")
        && link
            .parent
            .and_then(|index| network.link(index))
            .is_some_and(|parent| covered(network, wanted, parent, depth - 1))
}

fn leave(why: impl Into<String>) -> Choice {
    Choice::Leave {
        why: why.into(),
        gap: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Address;
    use super::*;

    fn link(index: u32, name: &str, kind: &str) -> Link {
        Link {
            index,
            name: name.into(),
            ethernet: true,
            up: true,
            kind: kind.into(),
            ..Link::default()
        }
    }

    fn machine() -> Network {
        let master = |link: Link, master| Link {
            master: Some(master),
            ..link
        };
        let parent = |link: Link, parent| Link {
            parent: Some(parent),
            ..link
        };
        let no_ethernet = |link: Link| Link {
            ethernet: false,
            ..link
        };
        let links = vec![
            Link {
                loopback: true,
                ethernet: false,
                ..link(1, "lo", "")
            },
            link(2, "eth0", ""),
            master(link(3, "eth1", ""), 5),
            master(link(4, "eth2", ""), 5),
            link(5, "bond0", "bond"),
            parent(link(6, "bond0.100", "vlan"), 5),
            parent(link(7, "bond0.100.7", "vlan"), 6),
            master(link(8, "eth3", ""), 9),
            link(9, "br0", "bridge"),
            parent(link(10, "eth3.30", "vlan"), 8),
            link(11, "dummy0", "dummy"),
            link(12, "veth1", "veth"),
            link(13, "veth2", "veth"),
            no_ethernet(link(14, "wg0", "wireguard")),
            Link {
                up: false,
                ..no_ethernet(link(15, "sit0", "sit"))
            },
            parent(link(16, "macvlan0", "macvlan"), 2),
            link(17, "vxlan0", "vxlan"),
            link(18, "red", "vrf"),
            master(link(19, "eth4", ""), 18),
            link(20, "ifb0", "ifb"),
            master(link(21, "veth3", "veth"), 9),
        ];
        let global = |link, address: &str| Address {
            link,
            address: address.parse().unwrap(),
            global: true,
        };
        Network {
            links,
            addresses: vec![
                global(13, "10.0.0.1"),
                global(11, "10.0.0.2"),
                global(21, "10.0.0.3"),
            ],
            ..Network::default()
        }
    }

    fn chosen(include: &[&str], exclude: &[&str]) -> Vec<String> {
        let wanted = Interfaces {
            include: include.iter().map(|s| (*s).into()).collect(),
            exclude: exclude.iter().map(|s| (*s).into()).collect(),
            ..Interfaces::default()
        };
        choose(&machine(), &wanted)
            .into_iter()
            .filter(|(_, choice)| *choice == Choice::Filter)
            .map(|(link, _)| link.name.clone())
            .collect()
    }

    #[test]
    fn what_is_filtered() {
        let auto = ["eth0", "bond0", "br0", "eth3.30", "veth2", "vxlan0", "eth4"];
        let table: [(&[&str], &[&str], &[&str]); 7] = [
            (&["auto"], &[], &auto),
            (
                &["auto", "dummy0"],
                &[],
                &[
                    "eth0", "bond0", "br0", "eth3.30", "dummy0", "veth2", "vxlan0", "eth4",
                ],
            ),
            (&["eth[12]"], &[], &["eth1", "eth2"]),
            (&["wg0", "lo"], &[], &[]),
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
                    "vxlan0",
                    "eth4",
                ],
            ),
            (&["*"], &["*"], &[]),
        ];
        for (include, exclude, expected) in table {
            assert_eq!(
                chosen(include, exclude),
                expected,
                "{include:?} - {exclude:?}"
            );
        }
    }

    #[test]
    fn names_without_an_interface_are_told_and_patterns_are_not() {
        let wanted = Interfaces {
            include: ["auto", "eth0", "eth9", "ens*", "wan[01]", "p?p1", "tun0"]
                .map(Into::into)
                .into(),
            ..Interfaces::default()
        };
        assert_eq!(missing(&machine(), &wanted), ["eth9", "tun0"]);
    }

    #[test]
    fn reasons_and_gaps() {
        let wanted = Interfaces::default();
        let network = machine();
        let choices = choose(&network, &wanted);
        let of = |name: &str| match choices.iter().find(|(link, _)| link.name == name) {
            Some((_, Choice::Leave { why, gap })) => (why.as_str(), *gap),
            _ => panic!("{name} is filtered"),
        };
        assert_eq!(of("eth1"), ("belongs to bond0", false));
        assert_eq!(
            of("bond0.100"),
            ("filtered on bond0, which carries it", false)
        );
        assert_eq!(
            of("bond0.100.7"),
            ("filtered on bond0.100, which carries it", false)
        );
        assert_eq!(of("veth1"), ("veth without a global address", false));
        assert_eq!(of("wg0"), ("not filtered: no Ethernet header", true));
        assert_eq!(of("sit0"), ("not filtered: no Ethernet header", false));
        assert_eq!(of("lo"), ("loopback", false));
    }
}
