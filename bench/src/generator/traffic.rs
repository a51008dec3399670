//! What a stream of packets looks like, and what varies from one to the next.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sandbox::Family;

use super::template::{Mac, Shape, Template};

/// Where packets come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Anywhere in a block of half a billion unicast addresses ([`RANDOM_V4`],
    /// [`RANDOM_V6`]), equally often.
    Random,
    /// Addresses of one family, equally often.
    Listed(Vec<IpAddr>),
}

/// A port of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Always this one.
    One(u16),
    /// `count` ports from `first`, equally often.
    Among {
        /// The lowest.
        first: u16,
        /// How many.
        count: u16,
    },
}

/// How many flows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {
    /// Each packet is the first of a new one.
    New,
    /// As many, in random order.
    Of(u32),
}

/// Packets of one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Headers and length.
    pub shape: Shape,
    /// The node's address, and the hardware address of its interface.
    pub to: (IpAddr, Mac),
    /// Source addresses.
    pub sources: Sources,
    /// How many flows.
    pub flows: Flows,
    /// Source ports.
    pub source_port: Ports,
    /// Destination ports.
    pub destination_port: Ports,
}

/// What the generator sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Packets of one shape, written one by one.
    Stream(Stream),
    /// Frames of any kinds, in random order; at most [`SLOT`] bytes each.
    Replay(Vec<Vec<u8>>),
}

/// First address of the random IPv4 sources: 32.0.0.0/3.
pub const RANDOM_V4: Ipv4Addr = Ipv4Addr::new(32, 0, 0, 0);
/// Bits of an IPv4 source that are random.
pub const RANDOM_V4_MASK: u32 = 0x1fff_ffff;
/// First 32 bits of the random IPv6 sources are of this block: `2400::/8`.
pub const RANDOM_V6: Ipv6Addr = Ipv6Addr::new(0x2400, 0, 0, 0, 0, 0, 0, 0);
/// Bytes of a frame of a replay, shorter ones padded as Ethernet does.
pub const SLOT: usize = 96;

impl Traffic {
    /// The frame that live frames are made of.
    #[must_use]
    pub fn first_frame(&self) -> Vec<u8> {
        match self {
            Self::Stream(stream) => stream.template().frame,
            Self::Replay(_) => vec![0; SLOT],
        }
    }

    /// What the program reads at random: addresses as in the packet, or frames.
    #[must_use]
    pub fn memory(&self) -> Vec<u8> {
        match self {
            Self::Stream(Stream {
                sources: Sources::Listed(addresses),
                ..
            }) => addresses.iter().flat_map(octets).collect(),
            Self::Stream(_) => Vec::new(),
            Self::Replay(frames) => frames
                .iter()
                .flat_map(|frame| {
                    assert!(frame.len() <= SLOT, "a frame of a replay is too long");
                    let mut slot = frame.clone();
                    slot.resize(SLOT, 0);
                    slot
                })
                .collect(),
        }
    }
}

impl Stream {
    /// The frame with zeros where the program writes.
    #[must_use]
    pub fn template(&self) -> Template {
        let zero = match self.to.0 {
            IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        Template::new(self.shape, zero, SocketAddr::new(self.to.0, 0), self.to.1)
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        match self.to.0 {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
