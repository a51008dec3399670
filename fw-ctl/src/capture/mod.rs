//! Packets that were dropped, with their bytes: from the daemon, which taps the datapath while
//! somebody captures, to a file that tshark reads.

mod captures;
pub mod file;
mod hex;
pub mod pcapng;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use captures::{Capture, Captures, Open, Opened, Tapped};

use crate::observe::filter::Filters;
use crate::observe::{Flow, Lost, Record};

/// Bytes of a packet that are captured at most.
pub const MAX_SNAPLEN: u32 = 16_384;
/// As many unless somebody asks for another number: a frame of Ethernet with two tags.
pub const SNAPLEN: u32 = 1_522;

/// What somebody wants to capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureQuery {
    /// Bytes of each packet at most, 1 to [`MAX_SNAPLEN`].
    pub snaplen: u32,
    /// Of which packets: those of which any flow matches.
    #[serde(default)]
    pub filters: Filters,
}

/// What the bytes of a packet begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// An IP header: the interface has no link layer.
    Ip,
}

/// A packet that was dropped, or would have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// What became of it.
    pub record: Arc<Record>,
    /// What its bytes begin with.
    pub link: Link,
    /// Bytes that it had.
    pub length: u32,
    /// Its first ones; at most as many as were asked for.
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
}

impl Packet {
    /// Its first bytes only.
    fn cut(mut self, snaplen: u32) -> Self {
        self.bytes.truncate(snaplen as usize);
        self
    }

    fn is_wanted(&self, filters: &Filters) -> bool {
        Flow::of(&self.record).iter().any(|flow| filters.tell(flow))
    }
}

/// What those who capture are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caught {
    /// A packet.
    Packet(Arc<Packet>),
    /// Packets that were dropped, of which there is nothing more.
    Lost(Lost),
}
