//! Fragmented packets under way.

use super::{Address, L4, pod};

/// The fragments of one packet (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct FragmentKey {
    /// Address of the node.
    pub local: Address,
    /// Address of the peer.
    pub remote: Address,
    /// Identification: 16 bits in IPv4, 32 in IPv6, as in the header.
    pub id: u32,
    /// IP protocol number in IPv4, where it is part of the name; else 0.
    pub protocol: u8,
    /// [`super::Direction`]: the two sides number their packets apart.
    pub direction: u8,
    /// Zero.
    pub pad: [u8; 2],
}

/// What is remembered of a fragmented packet, from its first fragment on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentState {
    /// The transport header.
    pub l4: L4,
    /// Seconds of the monotonic clock when the first fragment was seen.
    pub seen: u32,
    /// Where the data of the first fragment ends, in bytes.
    pub first_end: u16,
    /// Zero.
    pub pad: [u8; 2],
    /// What of it has passed so far.
    pub progress: FragmentProgress,
}

/// How much of a fragmented packet has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentProgress {
    /// Bytes of data in all fragments together; more than a packet can have once
    /// nothing of it may pass any more.
    pub bytes: u32,
    /// Bytes of data of the whole packet, as its last fragment says; 0: not seen yet.
    pub total: u16,
    /// Fragments, the first one included.
    pub fragments: u16,
}

pod!(FragmentKey: 40, FragmentState: 24, FragmentProgress: 8);
