//! A frame at TC on an interface without an Ethernet header.
//!
//! The program is shown the packet from where its link layer is said to begin, and that
//! is not always its IP header. What a tunnel has received still has the outer headers in
//! front of it before Linux 5.14 (aab1e898c26c and its neighbours), and that of an XFRM
//! interface an Ethernet header that is not its own; in a GRE tunnel with several remotes
//! the outer header is there in both directions. The kernel itself goes by where it has noted the network header, and
//! by the protocol beside the frame. So do we.

use aya_ebpf::helpers::generated::bpf_skb_load_bytes_relative;
use aya_ebpf::programs::TcContext;

use super::frame::{FrameWindow, TcFrame};
use crate::packet::{Packet, forget_range};
use crate::wire::{Address, Event};

/// `BPF_HDR_START_NET` of linux/bpf.h.
const FROM_NETWORK_HEADER: u32 = 1;
/// As far in front of it can other headers be: all that a tunnel may prepend.
const FARTHEST: u32 = 127;
/// Nowhere, for who finds none.
const NOWHERE: u32 = FARTHEST + 1;
/// Linear at least, if the frame has as much: what is in front, and an IP header.
const FRONT: u32 = FARTHEST + 41;

/// A frame without a link layer, at TC.
pub struct HeaderlessFrame<'a> {
    frame: TcFrame<'a>,
    /// Where its network header begins; [`NOWHERE`]: it has none.
    base: u32,
}

impl<'a> HeaderlessFrame<'a> {
    /// The frame of this run of the program.
    #[inline(always)]
    #[must_use]
    pub fn new(context: &'a TcContext, egress: bool) -> Self {
        let frame = TcFrame::new(context, egress);
        let base = match begins_within(&frame, 0) {
            true => 0,
            false => search(&frame),
        };
        // The same for the verifier, whichever way led here.
        Self {
            frame,
            base: forget_range(base),
        }
    }

    /// Where the network header begins. Read anew each time, and compared anew: what lies
    /// on the stack has no range for the verifiers of older kernels.
    #[inline(always)]
    fn base(&self) -> Option<u32> {
        // SAFETY: a field; volatile only to keep the compiler from knowing better.
        let base = unsafe { (&raw const self.base).read_volatile() };
        (base <= FARTHEST).then_some(base)
    }
}

/// Whether the network header begins at most `at` bytes into the frame.
///
/// No field says where it is. But one can read from there on, as far as the linear part
/// goes: the byte that is `at` before its last one is there exactly if no more is in front.
#[inline(always)]
fn begins_within(frame: &TcFrame<'_>, at: u32) -> bool {
    let (data, data_end) = frame.bounds();
    let linear = (data_end - data) as u32;
    let Some(last) = linear.checked_sub(1) else {
        return false;
    };
    let mut byte = 0_u8;
    // SAFETY: the context is valid while the program runs, and there is room for a byte.
    let result = unsafe {
        bpf_skb_load_bytes_relative(
            frame.skb().cast(),
            last.saturating_sub(at),
            (&raw mut byte).cast(),
            1,
            FROM_NETWORK_HEADER,
        )
    };
    result == 0
}

/// Where it begins, if that is not the beginning of the frame, or nothing is linear.
#[inline(never)]
fn search(frame: &TcFrame<'_>) -> u32 {
    if !begins_within(frame, FARTHEST) {
        let length = frame.length();
        frame.pull(if length < FRONT { length } else { FRONT });
        if !begins_within(frame, FARTHEST) {
            return NOWHERE;
        }
    }
    let mut base = 0;
    let mut step = NOWHERE / 2;
    while step > 0 {
        if !begins_within(frame, base + step - 1) {
            base += step;
        }
        // Else the verifier would go through every place where it can be.
        base = forget_range(base);
        step /= 2;
    }
    base
}

impl Packet for HeaderlessFrame<'_> {
    type Window = FrameWindow;
    const HEADERLESS: bool = true;

    #[inline(always)]
    fn ethertype(&self) -> u16 {
        // SAFETY: the context is valid while the program runs.
        u16::from_be(unsafe { (*self.frame.skb()).protocol } as u16)
    }

    #[inline(always)]
    fn window(&self, length: usize) -> Option<FrameWindow> {
        let base = self.base()? as usize;
        let (data, data_end) = self.frame.bounds();
        FrameWindow::new(data, data_end, base, length)
    }

    #[inline(always)]
    fn window_at(&self, offset: usize, length: usize) -> Option<FrameWindow> {
        self.frame.window_at(self.base()? as usize + offset, length)
    }

    /// Of the packet, without what is in front of it.
    #[inline(always)]
    fn length(&self) -> u32 {
        self.frame.length() - self.base().unwrap_or(0)
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.frame.ifindex()
    }

    #[inline(always)]
    fn offloaded_tag(&self) -> Option<u16> {
        None
    }

    #[inline(always)]
    fn front(&self) -> u16 {
        self.base().unwrap_or(0) as u16
    }

    #[inline(always)]
    fn capture(&self, event: &Event) {
        self.frame.capture(event);
    }

    #[inline(always)]
    fn forwarded(&self) -> bool {
        self.frame.forwarded()
    }

    #[inline(always)]
    fn is_server(&self, family: u8, local: &Address, port: u16) -> bool {
        self.frame.is_server(family, local, port)
    }
}
