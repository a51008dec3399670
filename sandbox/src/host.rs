//! A machine of the lab.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Namespace;

/// Hardware address.
pub type Mac = [u8; 6];

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        })
    }
}

/// A namespace with one uplink, `eth0`, and an address of each family on it.
#[derive(Clone, Debug)]
pub struct Host {
    /// `node`, `jump`, …
    pub name: &'static str,
    /// Its namespace.
    pub namespace: Namespace,
    /// IPv4 address and prefix length.
    pub v4: (Ipv4Addr, u8),
    /// IPv6 address and prefix length.
    pub v6: (Ipv6Addr, u8),
    /// Hardware address of `eth0`.
    pub mac: Mac,
}

impl Host {
    /// Its address of a family.
    #[must_use]
    pub fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.0.into(),
            Family::V6 => self.v6.0.into(),
        }
    }

    /// Its address of a family with a port.
    #[must_use]
    pub fn socket(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(family), port)
    }

    /// Forgets all neighbours, so that the next packet needs ARP or neighbour
    /// discovery again.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn flush_neighbours(&self) -> crate::Result<()> {
        self.namespace.ip(["neigh flush all"])
    }
}
