//! The addresses by which other hosts know this one.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::netlink::{Link, Network};

/// Kinds of links whose addresses are for what runs on the host, or for what is carried through
/// it: services (kube-proxy), a resolver of the node (`dummy`), the pod network.
const INNER: [&str; 3] = ["dummy", "vxlan", "geneve"];

/// The addresses of a host that belong into its Node object: global ones, but not those of
/// loopback devices, of bridges for containers, and of the pod networks. The daemon knows all
/// of them by itself; here they are for other nodes.
pub(super) fn of(network: &Network, pods: &[IpNet]) -> Vec<IpAddr> {
    let outer = network.addresses.iter().filter(|entry| {
        let address = entry.address;
        let is_outer = |link| !is_inner(network, link);
        entry.global
            && !address.is_loopback()
            && !pods.iter().any(|pods| pods.contains(&address))
            && network.link(entry.link).is_some_and(is_outer)
    });
    let mut found: Vec<IpAddr> = outer.map(|entry| entry.address).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn is_inner(network: &Network, link: &Link) -> bool {
    if link.kind == "bridge" {
        let mut members = network.links.iter();
        let is_wire = |member: &Link| !matches!(member.kind.as_str(), "veth" | "tun");
        return !members.any(|one| one.master == Some(link.index) && is_wire(one));
    }
    link.loopback || INNER.contains(&link.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Address;

    fn link(index: u32, kind: &str, master: Option<u32>) -> Link {
        Link {
            index,
            kind: kind.to_owned(),
            loopback: index == 1,
            master,
            ..Link::default()
        }
    }

    #[test]
    fn addresses_of_containers_and_services_are_left_out() {
        let address = |link, address: &str, global| Address {
            link,
            address: address.parse().unwrap(),
            global,
        };
        let network = Network {
            links: vec![
                link(1, "", None),
                link(2, "", None),
                link(3, "bridge", None),
                link(4, "veth", Some(3)),
                link(5, "bridge", None),
                link(6, "", Some(5)),
                link(7, "dummy", None),
                link(8, "vxlan", None),
                link(9, "veth", None),
                link(10, "bond", None),
            ],
            addresses: vec![
                address(1, "127.0.0.1", false),
                address(1, "10.99.0.1", true),
                address(2, "2001:db8::10", true),
                address(2, "fe80::10", false),
                address(3, "172.17.0.1", true),
                address(5, "10.0.0.10", true),
                address(7, "10.43.0.1", true),
                address(8, "10.42.0.0", true),
                address(9, "10.42.0.17", true),
                address(10, "192.0.2.10", true),
                address(10, "10.0.0.10", true),
            ],
            ..Network::default()
        };
        let pods = ["10.42.0.0/16".parse().unwrap()];
        let found = of(&network, &pods);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.10", "192.0.2.10", "2001:db8::10"]);
        let found = of(&network, &[]);
        let veth: IpAddr = "10.42.0.17".parse().unwrap();
        assert!(found.contains(&veth), "{found:?}");
    }
}
