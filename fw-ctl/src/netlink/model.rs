//! Links and addresses as plain values, so that choosing among them needs no kernel.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::link::LinkLayerType;

use super::LocalAddresses;

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What its frames begin with.
    pub framing: Framing,
    /// It is a loopback device.
    pub loopback: bool,
    /// It is administratively up.
    pub up: bool,
    /// `IFLA_INFO_KIND`: `veth`, `vlan`, `bond`, …; empty for hardware.
    pub kind: String,
    /// Index of the bond, bridge, team or VRF that it belongs to.
    pub master: Option<u32>,
    /// Index of the link that it sits on, if that is in this namespace.
    pub parent: Option<u32>,
    /// Of a VLAN device, the id that its frames have on that link.
    pub vlan: Option<u16>,
    /// Largest packet that it sends, in bytes.
    pub mtu: u32,
    /// What it does to packets before any program sees them.
    pub offloads: Offloads,
    /// Id of the XDP program on it, whosever it is.
    pub xdp: Option<u32>,
}

/// What a driver does to packets that are received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// It takes VLAN tags out of the frames (`rx-vlan-offload` of ethtool).
    pub strips_tags: bool,
    /// The hypervisor hands over whole segments, larger than the MTU, as long as no XDP
    /// program is there (virtio with guest offloads).
    pub takes_segments: bool,
}

/// What the frames of a link begin with, which its type (`ARPHRD_*` of `linux/if_arp.h`) tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// An Ethernet header.
    #[default]
    Ethernet,
    /// Nothing: IP at once, as in tunnels.
    None,
    /// Something else: InfiniBand, IEEE 802.15.4, …
    Other,
}

impl Framing {
    /// That of a type of link.
    #[must_use]
    pub fn of(kind: LinkLayerType) -> Self {
        use LinkLayerType as Type;
        match kind {
            // Frames of the loopback device have the header, too, but for their addresses.
            Type::Ether | Type::Loopback => Self::Ethernet,
            Type::None
            | Type::Rawip
            | Type::Tunnel
            | Type::Tunnel6
            | Type::Sit
            | Type::Ipgre
            | Type::Ip6gre
            | Type::Ppp
            | Type::Slip
            | Type::Cslip
            | Type::Slip6
            | Type::Cslip6 => Self::None,
            _ => Self::Other,
        }
    }
}

/// One address of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Index of the link that carries it.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// Its scope is global (or site), not link or host.
    pub global: bool,
}

/// Everything there is at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Sorted by index.
    pub links: Vec<Link>,
    /// Sorted.
    pub addresses: Vec<Address>,
    /// Destinations of routes of type `local` and `anycast`: what the kernel takes
    /// for its own beside its addresses. Sorted.
    pub local_routes: Vec<IpNet>,
}

impl Network {
    /// The link with this index.
    #[must_use]
    pub fn link(&self, index: u32) -> Option<&Link> {
        let at = self.links.binary_search_by_key(&index, |link| link.index);
        self.links.get(at.ok()?)
    }

    /// The addresses that make a packet the node's own: all unicast ones, also
    /// link-local ones and those that a routing protocol announces from `lo`, IPv6
    /// anycast ones, and what local routes add; but not loopback addresses, which
    /// the datapath knows by itself.
    #[must_use]
    pub fn local_addresses(&self) -> LocalAddresses {
        let addresses = self
            .addresses
            .iter()
            .map(|entry| IpNet::from(entry.address));
        addresses
            .chain(self.local_routes.iter().copied())
            .filter(|network| !is_loopback(network) && !is_unspecified(network))
            .collect()
    }

    /// Whether the link carries an address of global scope.
    #[must_use]
    pub fn has_global_address(&self, index: u32) -> bool {
        self.addresses
            .iter()
            .any(|entry| entry.link == index && entry.global)
    }
}

/// Nothing but loopback addresses is in it.
fn is_loopback(network: &IpNet) -> bool {
    let whole = network.prefix_len() >= if network.addr().is_ipv4() { 8 } else { 128 };
    whole && network.addr().is_loopback()
}

/// It is `0.0.0.0` or `::`, not a network that begins there.
fn is_unspecified(network: &IpNet) -> bool {
    network.addr().is_unspecified() && network.prefix_len() == network.max_prefix_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_no_local_ones_but_others_on_lo_are() {
        let address = |text: &str, link| Address {
            link,
            address: text.parse().unwrap(),
            global: true,
        };
        let network = Network {
            links: Vec::new(),
            addresses: vec![
                address("127.0.0.1", 1),
                address("127.0.0.53", 1),
                address("::1", 1),
                address("192.0.2.53", 1),
                address("10.0.0.1", 2),
                address("fe80::1", 2),
            ],
            ..Network::default()
        };
        let expected = ["192.0.2.53", "10.0.0.1", "fe80::1"];
        assert_eq!(
            network.local_addresses(),
            expected
                .iter()
                .map(|text| text.parse::<IpAddr>().unwrap())
                .collect()
        );
    }

    #[test]
    fn local_routes_add_to_the_addresses() {
        let route = |text: &&str| text.parse().unwrap();
        let network = Network {
            local_routes: [
                "0.0.0.0/0",
                "10.0.0.1/32",
                "127.0.0.0/8",
                "127.0.0.1/32",
                "198.51.100.0/24",
                "::1/128",
                "fe80::/128",
            ]
            .iter()
            .map(route)
            .collect(),
            ..Network::default()
        };
        assert_eq!(
            network.local_addresses().texts(),
            ["10.0.0.1", "fe80::", "0.0.0.0/0", "198.51.100.0/24"]
        );
    }
}
