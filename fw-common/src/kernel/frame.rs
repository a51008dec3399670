//! Frames of Ethernet as the two hooks hand them over.

use core::mem::offset_of;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{
    __sk_buff, bpf_sock_tuple, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 as Tuple4,
    bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2 as Tuple6, xdp_md,
};
use aya_ebpf::helpers::generated::{bpf_sk_release, bpf_skc_lookup_tcp};
use aya_ebpf::programs::{TcContext, XdpContext};

use super::maps::CAPTURED;
use crate::packet::{Packet, Window};
use crate::wire::{Address, Event};

/// A pointer in the context, which the kernel hands out as 32 bits. In assembly:
/// the compiler would pass what it takes for a number from function to function,
/// and the verifier allows nothing to be done with such a pointer. Not `pure`: it is
/// another one after the frame was made linear.
macro_rules! field {
    ($context:ident, $offset:expr) => {{
        let value: usize;
        // SAFETY: reads a field of the context, which lives as long as the program runs.
        unsafe {
            core::arch::asm!(
                "{value} = *(u32 *)({context} + {offset})",
                value = out(reg) value,
                context = in(reg) $context,
                offset = const $offset,
                options(readonly, nostack, preserves_flags),
            );
        }
        value
    }};
}

/// A frame at XDP.
pub struct XdpFrame<'a> {
    context: &'a XdpContext,
}

impl<'a> XdpFrame<'a> {
    /// The frame of this run of the program.
    #[inline(always)]
    #[must_use]
    pub const fn new(context: &'a XdpContext) -> Self {
        Self { context }
    }

    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        let context = self.context.as_ptr() as usize;
        (
            field!(context, offset_of!(xdp_md, data)),
            field!(context, offset_of!(xdp_md, data_end)),
        )
    }
}

impl Packet for XdpFrame<'_> {
    type Window = FrameWindow;

    #[inline(always)]
    fn window(&self, length: usize) -> Option<FrameWindow> {
        let (data, data_end) = self.bounds();
        FrameWindow::new(data, data_end, 0, length)
    }

    #[inline(always)]
    fn window_at(&self, offset: usize, length: usize) -> Option<FrameWindow> {
        let (data, data_end) = self.bounds();
        FrameWindow::new(data, data_end, offset, length)
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // The linear part; the rest of a multi-buffer frame is not counted.
        let (data, data_end) = self.bounds();
        (data_end - data) as u32
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn offloaded_tag(&self) -> Option<u16> {
        None
    }

    #[inline(always)]
    fn capture(&self, event: &Event) {
        CAPTURED.output(self.context, event.bytes(), u32::from(event.captured));
    }

    #[inline(always)]
    fn forwarded(&self) -> bool {
        false
    }

    #[inline(always)]
    fn is_server(&self, _family: u8, _local: &Address, _port: u16) -> bool {
        false
    }
}

/// A frame at TC.
pub struct TcFrame<'a> {
    context: &'a TcContext,
    egress: bool,
}

impl<'a> TcFrame<'a> {
    /// The frame of this run of the program.
    #[inline(always)]
    #[must_use]
    pub const fn new(context: &'a TcContext, egress: bool) -> Self {
        Self { context, egress }
    }

    /// Makes the first `length` bytes linear; false if the frame is shorter.
    #[inline(never)]
    pub(super) fn pull(&self, length: u32) -> bool {
        length <= self.context.len() && self.context.pull_data(length).is_ok()
    }

    #[inline(always)]
    pub(super) fn bounds(&self) -> (usize, usize) {
        let context = self.skb() as usize;
        (
            field!(context, offset_of!(__sk_buff, data)),
            field!(context, offset_of!(__sk_buff, data_end)),
        )
    }

    #[inline(always)]
    pub(super) fn skb(&self) -> *mut __sk_buff {
        self.context.skb.skb
    }
}

impl Packet for TcFrame<'_> {
    type Window = FrameWindow;

    /// Of the linear part: what is beyond it takes the thorough readers.
    #[inline(always)]
    fn window(&self, length: usize) -> Option<FrameWindow> {
        let (data, data_end) = self.bounds();
        FrameWindow::new(data, data_end, 0, length)
    }

    #[inline(always)]
    fn window_at(&self, offset: usize, length: usize) -> Option<FrameWindow> {
        let (data, data_end) = self.bounds();
        if let Some(window) = FrameWindow::new(data, data_end, offset, length) {
            return Some(window);
        }
        // Outside the linear part, which the kernel can mend.
        if !self.pull((offset + length) as u32) {
            return None;
        }
        let (data, data_end) = self.bounds();
        FrameWindow::new(data, data_end, offset, length)
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        self.context.len()
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb()).ifindex }
    }

    #[inline(always)]
    fn offloaded_tag(&self) -> Option<u16> {
        // SAFETY: as above.
        unsafe {
            if (*self.skb()).vlan_present == 0 {
                None
            } else {
                Some((*self.skb()).vlan_tci as u16)
            }
        }
    }

    #[inline(always)]
    fn capture(&self, event: &Event) {
        CAPTURED.output(self.context, event.bytes(), u32::from(event.captured));
    }

    #[inline(always)]
    fn forwarded(&self) -> bool {
        // A packet that begins here never came in through an interface.
        // SAFETY: as above.
        self.egress && unsafe { (*self.skb()).ingress_ifindex } != 0
    }

    #[inline(never)]
    fn is_server(&self, family: u8, local: &Address, port: u16) -> bool {
        // SAFETY: zeros are a tuple.
        let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
        // Nobody is connected with the address and port 0, so that only a server is found.
        let size = if family == 4 {
            tuple.__bindgen_anon_1.ipv4 = Tuple4 {
                daddr: local.0[3],
                dport: port.to_be(),
                saddr: 0,
                sport: 0,
            };
            size_of::<Tuple4>()
        } else {
            tuple.__bindgen_anon_1.ipv6 = Tuple6 {
                daddr: local.0,
                dport: port.to_be(),
                saddr: [0; 4],
                sport: 0,
            };
            size_of::<Tuple6>()
        };
        // SAFETY: the context is valid while the program runs, and the tuple is of this
        // size at least; what is found is given back.
        unsafe {
            let found = bpf_skc_lookup_tcp(
                self.skb().cast(),
                &raw mut tuple,
                size as u32,
                THIS_NAMESPACE,
                0,
            );
            if found.is_null() {
                return false;
            }
            bpf_sk_release(found.cast());
        }
        true
    }
}

/// `BPF_F_CURRENT_NETNS`: that of the interface.
const THIS_NAMESPACE: u64 = u64::MAX;

/// A part of a frame in memory.
pub struct FrameWindow {
    start: usize,
}

impl FrameWindow {
    #[inline(always)]
    pub(super) fn new(data: usize, data_end: usize, offset: usize, length: usize) -> Option<Self> {
        let start = data + offset;
        if start + length > data_end {
            return None;
        }
        Some(Self { start })
    }
}

/// One load of the given width. In assembly, since for Rust a load that may not be
/// aligned is one load for each byte; the instruction itself needs no alignment on
/// the machines that we run on (the verifier refuses it on others).
macro_rules! load {
    ($self:ident, $at:ident, $width:literal) => {{
        let value: u64;
        // SAFETY: reads memory of the frame, which the caller checked to be there;
        // if it did not, the verifier refuses the program.
        unsafe {
            core::arch::asm!(
                concat!("{value} = *(", $width, " *)({place} + 0)"),
                value = out(reg) value,
                place = in(reg) $self.start + $at,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        value
    }};
}

impl Window for FrameWindow {
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        load!(self, at, "u8") as u8
    }

    #[inline(always)]
    fn pair(&self, at: usize) -> u16 {
        load!(self, at, "u16") as u16
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u32 {
        load!(self, at, "u32") as u32
    }
}
