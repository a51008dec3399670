//! Where the node's addresses are: in which VLAN packets for them come, and whether they
//! meet the filter at all. Sockets tell neither.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::netlink::{Cause, Choice, Demand, Link, Network, plan};
use crate::vlans::UNTAGGED;

/// Links on links deeper than this are taken for a loop.
const MAX_STACK: u32 = 8;

/// The place of each address that a link carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<IpAddr, Place>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    vlan: u16,
    filtered: bool,
}

impl Places {
    /// The places on links that are filtered as `demand` wants it.
    ///
    /// An address is where its link is. Packets for it may come by other links, too
    /// (Linux does not mind), but rarely do.
    #[must_use]
    pub fn of(network: &Network, demand: Demand<'_>) -> Self {
        let stack = Stack {
            network,
            choices: plan(network, demand)
                .into_iter()
                .map(|(link, choice)| (link.index, choice))
                .collect(),
        };
        let mut places: BTreeMap<IpAddr, Place> = BTreeMap::new();
        for entry in &network.addresses {
            let Some(link) = network.link(entry.link) else {
                continue;
            };
            let place = Place {
                vlan: stack.vlan(link, MAX_STACK).unwrap_or(UNTAGGED),
                filtered: stack.is_filtered(link, MAX_STACK),
            };
            // On several links, as link-local ones may be: filtered if one is.
            let known = places.entry(entry.address).or_insert(place);
            if place.filtered && !known.filtered {
                *known = place;
            }
        }
        Self(places)
    }

    /// The VLAN in which packets for the address come; 0 for none.
    #[must_use]
    pub fn vlan(&self, address: IpAddr) -> u16 {
        self.0.get(&address).map_or(UNTAGGED, |place| place.vlan)
    }

    /// Whether packets for the address meet the filter. One that is on no link, but
    /// routed to the node, may come by any.
    #[must_use]
    pub fn is_filtered(&self, address: IpAddr) -> bool {
        self.0.get(&address).is_none_or(|place| place.filtered)
    }
}

struct Stack<'a> {
    network: &'a Network,
    choices: BTreeMap<u32, Choice>,
}

impl<'a> Stack<'a> {
    /// Whether a packet that climbs to `link` is judged somewhere on its way.
    fn is_filtered(&self, link: &Link, depth: u32) -> bool {
        if link.loopback || depth == 0 {
            return true;
        }
        let here = match self.choices.get(&link.index) {
            Some(Choice::Leave { cause, .. }) => *cause != Cause::Meant,
            Some(Choice::Filter(_)) | None => true,
        };
        let master = || link.master.and_then(|index| self.network.link(index));
        here || self
            .below(link)
            .any(|below| self.is_filtered(below, depth - 1))
            || master().is_some_and(|master| self.is_chosen(master))
    }

    fn is_chosen(&self, link: &Link) -> bool {
        self.choices.get(&link.index).is_some_and(Choice::is_filter)
    }

    /// The tag that frames for `link` have where they are judged.
    fn vlan(&self, link: &Link, depth: u32) -> Option<u16> {
        if depth == 0 || self.is_chosen(link) {
            return None;
        }
        let mut below = self.below(link);
        link.vlan
            .or_else(|| below.find_map(|below| self.vlan(below, depth - 1)))
    }

    /// What it sits on, and its members.
    fn below(&self, link: &Link) -> impl Iterator<Item = &'a Link> {
        let (index, parent) = (link.index, link.parent);
        let is_below =
            move |other: &&Link| other.master == Some(index) || parent == Some(other.index);
        self.network.links.iter().filter(is_below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Interfaces;
    use crate::netlink::Address;

    fn link(index: u32, name: &str, kind: &str) -> Link {
        Link {
            index,
            name: name.into(),
            up: true,
            kind: kind.into(),
            ..Link::default()
        }
    }

    /// eth0 with a VLAN 212, of which a bridge has a port; eth1, and a VLAN 5 on it; lo.
    fn network() -> Network {
        let links = vec![
            Link {
                loopback: true,
                ..link(1, "lo", "")
            },
            link(2, "eth0", ""),
            link(3, "eth1", ""),
            Link {
                parent: Some(2),
                vlan: Some(212),
                master: Some(5),
                ..link(4, "eth0.212", "vlan")
            },
            link(5, "br0", "bridge"),
            Link {
                parent: Some(3),
                vlan: Some(5),
                ..link(6, "eth1.5", "vlan")
            },
        ];
        let addresses = (1..)
            .zip(&links)
            .map(|(number, link)| Address {
                link: link.index,
                address: IpAddr::from([10, 0, 0, number]),
                global: true,
            })
            .collect();
        Network {
            links,
            addresses,
            ..Network::default()
        }
    }

    fn places(include: &[&str], exclude: &[&str]) -> Vec<(u16, bool)> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let wanted = Interfaces {
            include: texts(include),
            exclude: texts(exclude),
            ..Interfaces::default()
        };
        let demand = Demand {
            wanted: &wanted,
            needs_tags: true,
        };
        let places = Places::of(&network(), demand);
        (1..=6)
            .map(|number| IpAddr::from([10, 0, 0, number]))
            .map(|address| (places.vlan(address), places.is_filtered(address)))
            .collect()
    }

    #[test]
    fn a_vlan_is_that_of_the_tag_where_it_is_judged() {
        assert_eq!(
            places(&["auto"], &[]),
            [
                (0, true),
                (0, true),
                (0, true),
                (212, true),
                (212, true),
                (5, true)
            ]
        );
    }

    #[test]
    fn what_is_excluded_is_filtered_only_if_what_is_below_is() {
        assert_eq!(
            places(&["auto"], &["eth1*"]),
            [
                (0, true),
                (0, true),
                (0, false),
                (212, true),
                (212, true),
                (5, false)
            ]
        );
        // The VLAN is excluded, but judged on its carrier all the same.
        assert_eq!(places(&["auto"], &["eth1.5"])[5], (5, true));
        // It alone is judged: where its tag is off already.
        let alone = places(&["eth1.5"], &[]);
        assert_eq!((alone[2], alone[5]), ((0, false), (0, true)));
    }

    #[test]
    fn what_is_on_no_link_may_come_by_any() {
        let places = Places::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        assert!(places.is_filtered(address));
        assert_eq!(places.vlan(address), UNTAGGED);
    }
}
