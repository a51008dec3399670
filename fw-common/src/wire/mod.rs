//! What crosses the boundary between the kernel and user space.
//!
//! Everything here is `repr(C)`, without implicit padding (asserted below), and
//! defined once. A change of a layout or of a meaning must raise
//! [`SCHEMA_VERSION`]: it names the directory of the pins, so that a daemon never
//! reads tables that it would misunderstand.

mod connection;
mod counter;
mod event;
mod fallback;
mod flow;
mod fragment;
mod peer;
mod plan;
mod rate;
mod reason;
mod schema;
mod single;
mod told;
mod vlan;

pub use connection::{
    FLOW_SLOTS, FlowBucket, FlowPlace, FlowSeeds, FlowState, FlowTally, Origin, Phase,
};
pub use counter::{COUNTERS, Counter, RuleTally, Tally, counter_index};
#[cfg(not(target_arch = "bpf"))]
pub use event::SlotOwner;
pub use event::{
    Action, EVENT_KINDS, EVENT_RULES, EVENT_SLOTS, EVENT_WINDOW_SHIFT, Event, EventBudget,
    EventKind, EventLink, EventSlot, EventSpent, reason_slot, rule_slot, spend,
};
pub use fallback::Fallback;
pub use flow::{Address, FlowKey, L4, LOCAL_BUCKETS, LocalBucket};
pub use fragment::{FragmentKey, FragmentProgress, FragmentState};
pub use peer::{
    Node, PEER_BLOCK_FLAGS, PEER_BLOCK_WORDS, PEER_BLOCKS, PEER_GROUP, PEER_INDEX_WORDS,
    PEER_LEAF_RANGES, PEER_ROOT_NODES, PeerBlock, PeerRoot, block_index, peer_groups, peer_samples,
    root_index,
};
pub use plan::{
    ActiveWord, BUILTINS, Builtin, GENERATIONS, Generation, GenerationFlags, MATRIX_BLOCK_WORDS,
    MATRIX_BLOCKS, MATRIX_WORDS, MatrixBlock, NumberClasses, PORT_PROTOCOLS, PortClasses, RULE_BAN,
    RULE_NO_POLICY, RULES, VerdictWord, direction_index, matrix_index, port_index, rule_index,
};
pub use rate::{CLOCK_UNITS, RATE_SLOTS, RateBucket, RateLimit};
pub use reason::{DROP_REASONS, DropReason};
pub use schema::{BANS_SINCE, CONNECTIONS_READABLE_SINCE, CONNECTIONS_SINCE, FRAGMENTS_SINCE};
pub use single::{BAN_FOR_GOOD, FILTER_WORDS, SINGLES, Spot, ban_holds};
pub use told::{TOLD_BUCKETS, TOLD_SECONDS, TOLD_SLOTS, TOLD_TURN_SHIFT, ToldBucket, told_bucket};
pub use vlan::{VLANS, VlanClasses};

/// Version of everything in this module, and the `v<N>` of the pin directory. With the
/// feature `next-schema` the one after it, for tests of an upgrade.
pub const SCHEMA_VERSION: u32 = 9 + cfg!(feature = "next-schema") as u32;

/// Which way a packet goes, seen from the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Towards the node; the peer is the source.
    Ingress = 0,
    /// From the node; the peer is the destination.
    Egress = 1,
}

impl Direction {
    /// The other direction: the one that a reply takes.
    #[inline(always)]
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }

    /// What it is called: `ingress`, `egress`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// Marks types that may be copied to and from the kernel byte by byte.
macro_rules! pod {
    ($($t:ty: $size:expr),+ $(,)?) => {$(
        const _: () = assert!(core::mem::size_of::<$t>() == $size);
        // SAFETY: repr(C), Copy, every bit pattern is valid, and the size assert
        // above equals the sum of the fields, so there is no padding.
        #[cfg(not(target_arch = "bpf"))]
        unsafe impl aya::Pod for $t {}
    )+};
}
pub(crate) use pod;
