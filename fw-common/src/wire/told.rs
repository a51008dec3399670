//! Flows that were reported of late, as they lie in memory.

use super::pod;

/// Flows in a bucket.
pub const TOLD_SLOTS: usize = 8;
/// Buckets, a power of two: 32,768 flows in 256 KiB.
pub const TOLD_BUCKETS: u32 = 4_096;
/// Seconds without a packet after which a flow is new again: as long as connections of UDP
/// are remembered that nobody answers.
pub const TOLD_SECONDS: u32 = 60;
/// Of seconds in which each flow that goes on has one turn to be reported: 256. Before a change
/// user space looks at what was reported in the last ten minutes.
pub const TOLD_TURN_SHIFT: u32 = 8;

/// Flows whose hashes lead to one place, in one cache line: in the upper half of a word a
/// part of the hash, in the lower when a packet was seen last, in seconds of the clock of
/// [`crate::datapath::tables::Tables::now`]. A word of 0 is free.
///
/// A part of a hash stands for its flow: that one of the other seven has it, too, is less
/// likely than one in 500 million, and then one event is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct ToldBucket(pub [u64; TOLD_SLOTS]);

/// The bucket of a flow, by its [`super::FlowSeeds::flow_hash`].
#[inline(always)]
#[must_use]
pub const fn told_bucket(hash: u64) -> u32 {
    (hash >> (u64::BITS - TOLD_BUCKETS.trailing_zeros())) as u32
}

pod!(ToldBucket: 64);
