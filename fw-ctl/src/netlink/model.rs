//! Links and addresses as plain values, so that choosing among them needs no kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Frames begin with an Ethernet header (`ARPHRD_ETHER`).
    pub ethernet: bool,
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
    /// By index.
    pub links: Vec<Link>,
    /// Sorted.
    pub addresses: Vec<Address>,
}

impl Network {
    /// The link with this index.
    #[must_use]
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The unicast addresses that make a packet the node's own: all of them, also
    /// link-local ones and those that a routing protocol announces from `lo`, but
    /// not loopback addresses, which never cross a filtered link.
    #[must_use]
    pub fn local_addresses(&self) -> BTreeSet<IpAddr> {
        self.addresses
            .iter()
            .map(|entry| entry.address)
            .filter(|address| !address.is_loopback() && !address.is_unspecified())
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
        };
        let expected = ["192.0.2.53", "10.0.0.1", "fe80::1"];
        assert_eq!(
            network.local_addresses(),
            expected.iter().map(|text| text.parse().unwrap()).collect()
        );
    }
}
