//! Reading a frame, layer by layer, bounds checked at every step.
//!
//! Nothing here decides anything: it says what is in the frame, or that it
//! cannot be read.

pub mod arp;
pub mod behind;
pub mod eth;
pub mod fragment;
pub mod front;
pub mod icmp;
pub mod ip;
pub mod quick;
pub mod transport;

use crate::wire::{Address, Event};

/// A frame and what the hook knows of it beside its bytes.
pub trait Packet {
    /// A part of a frame.
    type Window: Window;
    /// The frame begins with its IP header, as on an interface without a link layer:
    /// no tag, no broadcast, and [`Packet::ethertype`] says what it is.
    const HEADERLESS: bool = false;
    /// What the frame carries, as an ethertype; asked only where [`Packet::HEADERLESS`].
    fn ethertype(&self) -> u16 {
        0
    }
    /// The first `length` bytes of the frame, if they are at hand at once.
    fn window(&self, length: usize) -> Option<Self::Window>;
    /// `length` bytes from `offset` on, if the frame has as many.
    fn window_at(&self, offset: usize, length: usize) -> Option<Self::Window>;
    /// Length of the frame in bytes.
    fn length(&self) -> u32;
    /// Interface that the hook sees the frame on.
    fn ifindex(&self) -> u32;
    /// Tag control information of a VLAN tag that was moved out of the frame.
    fn offloaded_tag(&self) -> Option<u16>;
    /// Bytes in front of the frame, which whoever captures it gets, too.
    fn front(&self) -> u16 {
        0
    }
    /// Hands an event to whoever captures, with as many bytes of the frame as it says.
    fn capture(&self, _event: &Event) {}
    /// Egress only: the node forwards this packet, it did not begin here.
    fn forwarded(&self) -> bool;
    /// Egress only: whether the node has a TCP server at this address and port.
    fn is_server(&self, family: u8, local: &Address, port: u16) -> bool;
}

/// A part of a frame, of a length that was checked.
///
/// Values are as they lie in memory: in network byte order. Reading beyond the
/// length that was asked for is refused by the verifier and a panic on the host.
pub trait Window {
    /// One byte.
    fn byte(&self, at: usize) -> u8;
    /// Two bytes.
    fn pair(&self, at: usize) -> u16;
    /// Four bytes.
    fn word(&self, at: usize) -> u32;
}

/// Where the longest chain of headers that is followed can end, and some more:
/// two tags, IPv6, eight extension headers of 2,048 bytes, and what an ICMP error quotes.
const FARTHEST: usize = 14 + 2 * 4 + 40 + ip::MAX_EXTENSION_HEADERS * 2_048 + 8 + 60;
const OFFSET_MASK: u16 = 0x7fff;
const _: () = assert!(FARTHEST < OFFSET_MASK as usize);

/// The same offset, by a way on which the verifier forgets what it knows of it.
///
/// Every way through a chain of headers ends with another range for the offset,
/// and all that follows would be verified once for each of them (more than a
/// million instructions instead of some ten thousand). Through two bytes of
/// memory every offset has one range, and the mask, which changes no offset that
/// can occur, keeps it small enough for the verifier.
#[inline(always)]
pub(crate) fn forget_range(offset: u32) -> u32 {
    let mut memory = 0_u16;
    // SAFETY: a local variable; volatile only to keep the compiler out.
    unsafe {
        (&raw mut memory).write_volatile(offset as u16);
        u32::from((&raw const memory).read_volatile() & OFFSET_MASK)
    }
}
