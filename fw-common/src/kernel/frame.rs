//! Frames as the two hooks hand them over.

use core::mem::size_of;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::programs::{TcContext, XdpContext};

use crate::packet::{Header, Packet, forget_range};

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
}

impl Packet for XdpFrame<'_> {
    #[inline(always)]
    fn load<T: Header>(&self, offset: usize) -> Option<T> {
        direct(self.context.data(), self.context.data_end(), offset)
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // The linear part; the rest of a multi-buffer frame is not counted.
        (self.context.data_end() - self.context.data()) as u32
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
    fn forwarded(&self) -> bool {
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
    fn pull(&self, length: u32) -> bool {
        length <= self.context.len() && self.context.pull_data(length).is_ok()
    }

    #[inline(always)]
    fn skb(&self) -> *mut __sk_buff {
        self.context.skb.skb
    }
}

impl Packet for TcFrame<'_> {
    #[inline(always)]
    fn load<T: Header>(&self, offset: usize) -> Option<T> {
        if let Some(value) = direct(self.context.data(), self.context.data_end(), offset) {
            return Some(value);
        }
        // The header is outside the linear part, which the kernel can mend. No
        // copy to the stack: for every header it would be one of 512 bytes.
        if !self.pull((offset + size_of::<T>()) as u32) {
            return None;
        }
        // The bounds must be looked at anew, which the compiler thinks is in vain.
        let offset = forget_range(offset as u32) as usize;
        direct(self.context.data(), self.context.data_end(), offset)
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
    fn forwarded(&self) -> bool {
        // A packet that begins here never came in through an interface.
        // SAFETY: as above.
        self.egress && unsafe { (*self.skb()).ingress_ifindex } != 0
    }
}

#[inline(always)]
fn direct<T: Header>(data: usize, data_end: usize, offset: usize) -> Option<T> {
    let start = data + offset;
    if start + size_of::<T>() > data_end {
        return None;
    }
    // SAFETY: inside the frame, checked above; `Header` has alignment 1 and allows
    // every bit pattern.
    Some(unsafe { *(start as *const T) })
}
