//! A frame in memory.

use crate::packet::{Packet, Window};
use crate::wire::Address;

/// The bytes of a frame and what a hook would know beside them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SliceFrame<'a> {
    /// From the Ethernet header on.
    pub bytes: &'a [u8],
    /// Interface.
    pub ifindex: u32,
    /// Tag control information moved out of the frame.
    pub tag: Option<u16>,
    /// Forwarded by the node (egress).
    pub forwarded: bool,
    /// TCP ports with a server (egress).
    pub servers: &'a [u16],
}

impl Window for &[u8] {
    fn byte(&self, at: usize) -> u8 {
        self[at]
    }

    fn pair(&self, at: usize) -> u16 {
        u16::from_ne_bytes([self[at], self[at + 1]])
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes([self[at], self[at + 1], self[at + 2], self[at + 3]])
    }
}

impl<'a> Packet for SliceFrame<'a> {
    type Window = &'a [u8];

    fn window(&self, length: usize) -> Option<&'a [u8]> {
        self.bytes.get(..length)
    }

    fn window_at(&self, offset: usize, length: usize) -> Option<&'a [u8]> {
        self.bytes.get(offset..offset.checked_add(length)?)
    }

    fn length(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    fn ifindex(&self) -> u32 {
        self.ifindex
    }

    fn offloaded_tag(&self) -> Option<u16> {
        self.tag
    }

    fn forwarded(&self) -> bool {
        self.forwarded
    }

    fn is_server(&self, _family: u8, _local: &Address, port: u16) -> bool {
        self.servers.contains(&port)
    }
}

/// A packet on an interface without an Ethernet header.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderlessSlice<'a> {
    /// What it carries; the protocol that the kernel has beside the packet.
    pub ethertype: u16,
    /// From the IP header on, without a tag.
    pub packet: SliceFrame<'a>,
}

impl<'a> Packet for HeaderlessSlice<'a> {
    type Window = &'a [u8];
    const HEADERLESS: bool = true;

    fn ethertype(&self) -> u16 {
        self.ethertype
    }

    fn window(&self, length: usize) -> Option<&'a [u8]> {
        self.packet.window(length)
    }

    fn window_at(&self, offset: usize, length: usize) -> Option<&'a [u8]> {
        self.packet.window_at(offset, length)
    }

    fn length(&self) -> u32 {
        self.packet.length()
    }

    fn ifindex(&self) -> u32 {
        self.packet.ifindex()
    }

    fn offloaded_tag(&self) -> Option<u16> {
        None
    }

    fn forwarded(&self) -> bool {
        self.packet.forwarded()
    }

    fn is_server(&self, family: u8, local: &Address, port: u16) -> bool {
        self.packet.is_server(family, local, port)
    }
}
