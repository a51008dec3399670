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
    if ip.fragment.part != Part::Whole
        && let Some(reason) = refuse(&ip)
    {
        return Some(reason);
    }
    if let Err(reason) = followed {
        return Some(reason);
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

/// Why a fragment is refused for what it says of itself: it is impossible, or the
/// boundary between it and the next one is within the headers that policy reads.
///
/// For TCP that is what RFC 1858 and RFC 3128 ask for of the first fragment (§3) and
/// of the second (a fragment offset of 8 bytes), for IPv6 RFC 7112: the extension
/// headers are followed as far as the frame goes, so that a chain which ends beyond
/// the fragment is found out.
///
/// A function of its own in the kernel, too: the verifier need not carry what it learns
/// here into what follows (a quarter of the instructions to verify).
#[inline(never)]
const fn refuse(ip: &Ip) -> Option<DropReason> {
    let fixed_part = transport::fixed_part(ip.protocol);
    if !ip.fragment.is_possible(ip.family) {
        return Some(DropReason::Invalid);
    }
    let tiny = match ip.fragment.part {
        Part::Later => (ip.fragment.start as u32) < fixed_part,
        _ => ip.offset + fixed_part > ip.end,
    };
    if tiny {
        Some(DropReason::TinyFragment)
    } else {
        None
    }
}
