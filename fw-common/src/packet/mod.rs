//! Reading a frame, layer by layer, bounds checked at every step.
//!
//! Nothing here decides anything: it says what is in the frame, or that it
//! cannot be read.

pub mod eth;
pub mod icmp;
pub mod ip;
pub mod transport;

/// A frame and what the hook knows of it beside its bytes.
pub trait Packet {
    /// The `T` at `offset` from the start of the frame, or `None` beyond its end.
    fn load<T: Header>(&self, offset: usize) -> Option<T>;
    /// Length of the frame in bytes.
    fn length(&self) -> u32;
    /// Interface that the hook sees the frame on.
    fn ifindex(&self) -> u32;
    /// Tag control information of a VLAN tag that was moved out of the frame.
    fn offloaded_tag(&self) -> Option<u16>;
    /// Egress only: the node forwards this packet, it did not begin here.
    fn forwarded(&self) -> bool;
}

/// A piece of a frame that may be read at any offset.
///
/// # Safety
/// The type must be `repr(C)` with alignment 1, and every bit pattern valid.
pub unsafe trait Header: Copy {}

macro_rules! header {
    ($($t:ty: $size:expr),+ $(,)?) => {$(
        const _: () = assert!(core::mem::size_of::<$t>() == $size);
        const _: () = assert!(core::mem::align_of::<$t>() == 1);
        // SAFETY: repr(C), made of byte arrays only, asserted above.
        unsafe impl Header for $t {}
    )+};
}
pub(crate) use header;
