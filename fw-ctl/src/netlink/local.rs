//! The addresses that make a packet the node's own business.
//!
//! What counts is what the kernel delivers: every address of the node, and what a
//! route of type `local` says beside (`ip route add local 198.51.100.0/24 dev lo`,
//! known as any-IP). The datapath looks single addresses up in a hash and asks for
//! networks only where there are some.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use fw_common::wire::Address;
use ipnet::IpNet;

/// What no network makes the node's, in the mapped form of [`Address`]: the kernel
/// takes multicast and broadcast before it asks the routes, and a network of IPv6
/// says nothing about IPv4.
const EXCEPTED: [(u8, Ipv6Addr); 4] = [
    (8, Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)),
    (96, Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)),
    (100, Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xe000, 0)),
    (128, Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xffff, 0xffff)),
];

/// Single addresses and networks of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    single: BTreeSet<IpAddr>,
    networks: BTreeSet<IpNet>,
}

impl LocalAddresses {
    /// Adds a network; one of a single address is that address.
    pub fn insert(&mut self, network: IpNet) {
        if network.prefix_len() == network.max_prefix_len() {
            self.single.insert(network.addr());
        } else {
            self.networks.insert(network.trunc());
        }
    }

    /// Whether packets for `address` are delivered to the node.
    #[must_use]
    pub fn contains(&self, address: &IpAddr) -> bool {
        let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
        self.single.contains(address)
            || !address.is_multicast()
                && !broadcast
                && self
                    .networks
                    .iter()
                    .any(|network| network.contains(address))
    }

    /// All of it as networks, of which some have one address.
    pub fn all(&self) -> impl Iterator<Item = IpNet> {
        let single = self.single.iter().map(|address| IpNet::from(*address));
        single.chain(self.networks.iter().copied())
    }

    /// The single addresses.
    #[must_use]
    pub fn single(&self) -> &BTreeSet<IpAddr> {
        &self.single
    }

    /// The networks of more than one address.
    #[must_use]
    pub fn networks(&self) -> &BTreeSet<IpNet> {
        &self.networks
    }

    /// Everything as text, for `status`: `10.0.0.1`, `198.51.100.0/24`.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let single = self.single.iter().map(ToString::to_string);
        single
            .chain(self.networks.iter().map(ToString::to_string))
            .collect()
    }

    /// Of what [`Self::texts`] has written; what is neither an address nor a network is left out.
    #[must_use]
    pub fn of_texts<T: AsRef<str>>(texts: &[T]) -> Self {
        let read = |text: &T| {
            let text = text.as_ref();
            let network = text.parse::<IpNet>().ok();
            network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        };
        texts.iter().filter_map(read).collect()
    }

    /// All of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            single: self.single.union(&other.single).copied().collect(),
            networks: self.networks.union(&other.networks).copied().collect(),
        }
    }

    /// The networks as the datapath's trie holds them: by prefix length and network
    /// in mapped form, whether the longest that fits makes an address the node's.
    #[must_use]
    pub fn trie(&self) -> BTreeMap<(u8, Address), bool> {
        let mut trie: BTreeMap<(u8, Address), bool> = self
            .networks
            .iter()
            .map(|network| match network {
                IpNet::V4(v4) => ((v4.prefix_len() + 96, IpAddr::from(v4.addr()).into()), true),
                IpNet::V6(v6) => ((v6.prefix_len(), IpAddr::from(v6.addr()).into()), true),
            })
            .collect();
        for (length, network) in EXCEPTED {
            let network = Address::v6(network.octets());
            let covers =
                |&(wider, of): &(u8, Address)| wider < length && network.masked(6, wider) == of;
            if trie.keys().any(covers) {
                trie.entry((length, network)).or_insert(false);
            }
        }
        trie
    }
}

impl FromIterator<IpAddr> for LocalAddresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        Self {
            single: addresses.into_iter().collect(),
            networks: BTreeSet::new(),
        }
    }
}

impl FromIterator<IpNet> for LocalAddresses {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let mut all = Self::default();
        for network in networks {
            all.insert(network);
        }
        all
    }
}

impl<const N: usize> From<[IpAddr; N]> for LocalAddresses {
    fn from(addresses: [IpAddr; N]) -> Self {
        addresses.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(networks: &[&str]) -> LocalAddresses {
        let networks = networks.iter().map(|text| text.parse::<IpNet>().unwrap());
        networks.collect()
    }

    #[test]
    fn texts_are_read_as_they_are_written() {
        let all = local(&["10.0.0.1/32", "fd00::1/128", "198.51.100.0/24", "fd01::/64"]);
        assert_eq!(LocalAddresses::of_texts(&all.texts()), all);
        assert_eq!(
            LocalAddresses::of_texts(&["what", ""]),
            LocalAddresses::default()
        );
        let other = local(&["10.0.0.1/32", "10.0.0.2/32"]);
        assert_eq!(all.and(&other).single().len(), 3);
    }

    #[test]
    fn a_network_of_one_address_is_that_address() {
        let local = local(&["10.0.0.1/32", "fd00::1/128", "198.51.100.7/24"]);
        assert_eq!(local.single().len(), 2);
        assert_eq!(local.texts(), ["10.0.0.1", "fd00::1", "198.51.100.0/24"]);
        for (address, is_local) in [
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("198.51.100.255", true),
            ("198.51.101.0", false),
            ("fd00::2", false),
        ] {
            assert_eq!(local.contains(&address.parse().unwrap()), is_local);
        }
        assert_eq!(local.trie().len(), 1, "nothing needs an exception");
    }

    /// The longest prefix in the trie, as the kernel finds it, says what
    /// [`LocalAddresses::contains`] says.
    #[test]
    fn whole_families_leave_out_the_other_one_and_multicast() {
        let probes = [
            "192.0.2.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "2001:db8::1",
            "ff02::1",
            "::",
        ];
        for (networks, expected) in [
            (
                &["::/0"][..],
                [false, false, false, false, false, true, false, true],
            ),
            (
                &["0.0.0.0/0"],
                [true, false, false, true, false, false, false, false],
            ),
            (
                &["0.0.0.0/0", "::/0"],
                [true, false, false, true, false, true, false, true],
            ),
            (
                &["2000::/3"],
                [false, false, false, false, false, true, false, false],
            ),
        ] {
            let local = local(networks);
            let trie = local.trie();
            for (probe, expected) in probes.iter().zip(expected) {
                let address: IpAddr = probe.parse().unwrap();
                assert_eq!(
                    local.contains(&address),
                    expected,
                    "{probe} in {networks:?}"
                );
                let key = Address::from(address);
                let longest = (0..=128)
                    .rev()
                    .find_map(|length| trie.get(&(length, key.masked(6, length))));
                assert_eq!(longest == Some(&true), expected, "{probe} in {trie:?}");
            }
        }
    }
}
