//! Who began a connection: the kernel forgets it as soon as the handshake is over, but
//! a port on which somebody listens is one to which peers connect. Where nobody listens
//! any more, the side whose port a kernel has chosen was the client.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::Began;
use super::wire::Row;

/// Ports that the kernel chooses for who does not care
/// (`net.ipv4.ip_local_port_range`, also for IPv6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ephemeral(pub RangeInclusive<u16>);

impl Default for Ephemeral {
    /// The kernel's own default.
    fn default() -> Self {
        Self(32_768..=60_999)
    }
}

impl Ephemeral {
    /// That of the network namespace of the calling thread; where it cannot be read, the
    /// default.
    #[must_use]
    pub fn here() -> Self {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        text.ok()
            .and_then(|text| Self::read(&text))
            .unwrap_or_default()
    }

    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(str::parse);
        let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Self(first..=last))
    }
}

/// Where somebody listens; of UDP, where a socket is bound and connected to nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners(BTreeSet<Listener>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Listener {
    protocol: u8,
    port: u16,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    /// One address.
    One(IpAddr),
    /// Every IPv4 address.
    EveryV4,
    /// Every IPv6 address.
    EveryV6,
}

impl At {
    fn every(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::EveryV4,
            IpAddr::V6(_) => Self::EveryV6,
        }
    }
}

impl Listeners {
    /// Adds a socket that listens.
    pub(super) fn add(&mut self, protocol: u8, row: &Row) {
        let (address, port) = (row.local.ip(), row.local.port());
        let mut add = |at| self.0.insert(Listener { protocol, port, at });
        if !address.is_unspecified() {
            add(At::One(address));
            return;
        }
        // `::` without more takes IPv4, too; a mapped `0.0.0.0` takes nothing else.
        add(At::every(address));
        if address.is_ipv6() && !row.v6_only {
            add(At::EveryV4);
        }
    }

    /// Whether somebody listens at this end of a connection.
    #[must_use]
    pub fn is_server(&self, protocol: u8, end: SocketAddr) -> bool {
        let (address, port) = (end.ip(), end.port());
        [At::One(address), At::every(address)]
            .into_iter()
            .any(|at| self.0.contains(&Listener { protocol, port, at }))
    }

    /// Who began the connection between these ends.
    #[must_use]
    pub fn began(
        &self,
        ephemeral: &Ephemeral,
        protocol: u8,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Began {
        // A peer's kernel has another range perhaps, but most have one like ours.
        let chosen = |end: SocketAddr| ephemeral.0.contains(&end.port());
        if self.is_server(protocol, local) {
            Began::Peer
        } else if chosen(local) {
            Began::Node
        } else if chosen(remote) {
            Began::Peer
        } else {
            Began::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TCP, UDP};
    use super::*;

    fn listening(sockets: &[(u8, &str, bool)]) -> Listeners {
        let mut listeners = Listeners::default();
        for (protocol, local, v6_only) in sockets {
            let local: SocketAddr = local.parse().unwrap();
            let row = Row {
                family: 0,
                state: 0,
                local,
                remote: local,
                v6_only: *v6_only,
                owner: 0,
                inode: 0,
                group: None,
            };
            listeners.add(*protocol, &row);
        }
        listeners
    }

    #[test]
    fn a_port_that_is_listened_on_is_one_that_peers_connect_to() {
        let listeners = listening(&[
            (TCP, "0.0.0.0:22", false),
            (TCP, "[::]:80", false),
            (TCP, "[::]:443", true),
            (TCP, "10.0.0.10:40000", false),
            (TCP, "[fd00::10]:40001", false),
            (UDP, "0.0.0.0:53", false),
        ]);
        let ephemeral = Ephemeral::default();
        for (protocol, local, remote, expected) in [
            (TCP, "10.0.0.10:22", 1, Began::Peer),
            (TCP, "[fd00::10]:22", 1, Began::Unknown),
            (TCP, "10.0.0.10:80", 1, Began::Peer),
            (TCP, "[fd00::10]:80", 1, Began::Peer),
            (TCP, "10.0.0.10:443", 1, Began::Unknown),
            (TCP, "[fd00::10]:443", 1, Began::Peer),
            (TCP, "10.0.0.10:40000", 1, Began::Peer),
            (TCP, "10.0.0.11:40000", 1, Began::Node),
            (TCP, "[fd00::10]:40001", 1, Began::Peer),
            (TCP, "[fd00::11]:40001", 1, Began::Node),
            (TCP, "10.0.0.11:40001", 40_000, Began::Node),
            (TCP, "10.0.0.10:53", 1, Began::Unknown),
            (TCP, "10.0.0.10:53", 40_000, Began::Peer),
            (UDP, "10.0.0.10:53", 1, Began::Peer),
            (UDP, "10.0.0.10:60999", 1, Began::Node),
            (UDP, "10.0.0.10:61000", 1, Began::Unknown),
        ] {
            let remote = SocketAddr::from(([10, 0, 0, 1], remote));
            let began = listeners.began(&ephemeral, protocol, local.parse().unwrap(), remote);
            assert_eq!(began, expected, "{protocol} {local} {remote}");
        }
    }

    #[test]
    fn the_range_is_read_as_the_kernel_writes_it() {
        assert_eq!(
            Ephemeral::read("1024\t65000\n"),
            Some(Ephemeral(1_024..=65_000))
        );
        for wrong in ["", "1024", "a b", "1 70000"] {
            assert_eq!(Ephemeral::read(wrong), None, "{wrong}");
        }
    }
}
