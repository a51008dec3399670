//! Everything behind the fixed part of the network header, in one step.

use super::fragment::{Fragment, Part};
use super::icmp::{self, Quoted};
use super::ip::{self, Ip};
use super::{Packet, forget_range, transport};
use crate::wire::{DropReason, L4};

/// What is behind the network header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Behind {
    /// The transport header; of a later fragment only the protocol.
    pub l4: L4,
    /// Which part of the packet this is.
    pub fragment: Fragment,
    /// The packet that an ICMP error quotes.
    pub quoted: Quoted,
    /// Whether `quoted` is filled in.
    pub quotes: bool,
    /// Whether it has a Fragment header of IPv6, also an atomic one.
    pub fragmented: bool,
}

/// Reads it into `behind`. The reason, if it cannot be read.
///
/// A function of its own in the kernel, too: it is the only one with offsets
/// that depend on the packet, and the verifier need not carry them into the
/// decision (a tenth of the instructions to verify).
#[inline(never)]
pub fn read<P: Packet>(packet: &P, ip: &Ip, behind: &mut Behind) -> Option<DropReason> {
    let mut ip = Ip {
        offset: forget_range(ip.offset),
        ..*ip
    };
    let followed = ip::follow(packet, &mut ip);
    // The extension headers are followed as far as the frame goes, so that a chain
    // which ends beyond the fragment is found out (RFC 7112).
    if let Part::First = ip.fragment.part
        && ip.offset + transport::fixed_part(ip.protocol) > ip.end
    {
        return Some(DropReason::TinyFragment);
    }
    match followed {
        Ok(fragmented) => behind.fragmented = fragmented,
        Err(reason) => return Some(reason),
    }
    behind.fragment = ip.fragment;
    behind.l4.protocol = ip.protocol;
    if let Part::Later = ip.fragment.part {
        return None;
    }
    match transport::parse(packet, ip.protocol, ip.offset as usize) {
        Ok(l4) => behind.l4 = l4,
        Err(reason) => return Some(reason),
    }
    if icmp::is_error(&behind.l4)
        && let Some(quoted) = icmp::quoted(packet, ip.family, ip.offset as usize)
    {
        behind.quoted = quoted;
        behind.quotes = true;
    }
    None
}
