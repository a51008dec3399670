//! Frames as the two hooks hand them over.

use core::mem::{MaybeUninit, size_of};

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::{TcContext, XdpContext};

use crate::packet::{Header, Packet};

/// Offsets beyond this are not looked at: the verifier wants a bound, and no
/// chain of headers that is followed gets there.
const MAX_OFFSET: usize = 0x7fff;

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
        // The header may be outside the linear part.
        if offset > MAX_OFFSET {
            return None;
        }
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: `value` has room for size_of::<T>() bytes; the helper fills all
        // of them or fails, and `Header` allows every bit pattern.
        unsafe {
            let failed = bpf_skb_load_bytes(
                self.skb().cast(),
                offset as u32,
                value.as_mut_ptr().cast(),
                size_of::<T>() as u32,
            );
            if failed != 0 {
                return None;
            }
            Some(value.assume_init())
        }
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
    if offset > MAX_OFFSET {
        return None;
    }
    let start = data + offset;
    if start + size_of::<T>() > data_end {
        return None;
    }
    // SAFETY: inside the frame, checked above; `Header` has alignment 1 and allows
    // every bit pattern.
    Some(unsafe { *(start as *const T) })
}
