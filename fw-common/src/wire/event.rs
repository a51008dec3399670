//! What the datapath reports through the ring buffer.

use super::{Address, pod};

/// What happened to the packet of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// It passed.
    Allow = 0,
    /// It was dropped.
    Deny = 1,
    /// It would have been dropped.
    Audit = 2,
}

/// One verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// Number of the plan that judged ([`super::Generation::number`]).
    pub plan: u64,
    /// Sender.
    pub source: Address,
    /// Receiver.
    pub destination: Address,
    /// Interface, as the hook sees it.
    pub ifindex: u32,
    /// Length of the frame.
    pub length: u32,
    /// Source port; identifier of an ICMP echo; else 0.
    pub source_port: u16,
    /// Destination port; else 0.
    pub destination_port: u16,
    /// Rule id in that plan.
    pub rule: u16,
    /// Outermost VLAN id, 0 for none.
    pub vlan: u16,
    /// [`Action`].
    pub action: u8,
    /// [`super::DropReason`] slot; meaningless when allowed.
    pub reason: u8,
    /// [`super::Direction`].
    pub direction: u8,
    /// 4 or 6; 0 when the packet could not be parsed that far.
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
}

pod!(Event: 72);

/// Windows of 2^this jiffies (128 ms at 250 Hz) in which a CPU may report
/// [`super::Generation::event_limit`] events of each action.
pub const EVENT_WINDOW_SHIFT: u32 = 5;

/// How much a CPU has reported in the current window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EventBudget {
    /// Number of the window.
    pub window: u64,
    /// Events reported in it.
    pub used: u64,
    /// Events not reported, ever: over the limit, or the ring buffer was full.
    pub lost: u64,
}

pod!(EventBudget: 24);
