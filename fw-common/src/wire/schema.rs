//! What of the tables of another schema is of use to this one.
//!
//! Most of a new schema's tables are written anew, from the plan. What packets left in
//! theirs cannot be: whoever changes one of these layouts, or what it means, raises its
//! number to the new [`super::SCHEMA_VERSION`], and the test below says so.

/// Since this schema connections, the ports that they begin at, and what is remembered of
/// peers with a rate limit are kept as they are now: a later schema takes over the very
/// tables, and programs of both may use them side by side. The tables belong together,
/// because they are hashed with the same seeds.
pub const CONNECTIONS_SINCE: u32 = 5;
/// Since this schema the entries of connections can be read, wherever they were put: they
/// are copied one by one.
pub const CONNECTIONS_READABLE_SINCE: u32 = 4;
/// Since this schema fragmented packets under way are kept as they are now.
pub const FRAGMENTS_SINCE: u32 = 5;
/// Since this schema bans are kept as they are now.
pub const BANS_SINCE: u32 = 5;

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::super::{
        Address, FlowBucket, FlowKey, FlowSeeds, FlowState, FlowTally, FragmentKey,
        FragmentProgress, FragmentState, L4, Origin, Phase, RateBucket, SCHEMA_VERSION,
    };
    use super::*;

    #[test]
    fn connections_are_laid_out_as_since_then() {
        let why = "raise CONNECTIONS_SINCE to the new schema, and if it is about the bucket, \
                   the key or the state, CONNECTIONS_READABLE_SINCE, too";
        assert_eq!(
            [
                size_of::<FlowBucket>(),
                offset_of!(FlowBucket, tags),
                offset_of!(FlowBucket, states),
                offset_of!(FlowBucket, keys),
                size_of::<FlowKey>(),
                offset_of!(FlowKey, local),
                offset_of!(FlowKey, remote),
                offset_of!(FlowKey, local_port),
                offset_of!(FlowKey, remote_port),
                offset_of!(FlowKey, protocol),
            ],
            [384, 0, 32, 64, 40, 0, 16, 32, 34, 36],
            "{why}"
        );
        let state = FlowState::new(1, Origin::Local, Phase::Established).0;
        assert_eq!(state, 8_001 << 4 | 1 << 3 | 1, "{why}");
        assert_eq!(
            [
                size_of::<FlowSeeds>(),
                offset_of!(FlowSeeds, random),
                offset_of!(FlowSeeds, buckets),
                offset_of!(FlowSeeds, rate_buckets),
                size_of::<FlowTally>(),
                size_of::<RateBucket>(),
                offset_of!(RateBucket, hashes),
                offset_of!(RateBucket, due),
            ],
            [96, 0, 88, 92, 16, 128, 0, 64],
            "{why}"
        );
        // Worked out by hand: both halves of the words are 0, so that each product is that
        // of its pair of random numbers, 2 × 3 + 4 × 5 + … + 10 × 11, and the first is added.
        let mut seeds = FlowSeeds {
            buckets: 1_000,
            ..FlowSeeds::default()
        };
        for (number, random) in (1..).zip(&mut seeds.random) {
            *random = number;
        }
        let place = seeds.place(&[0; FlowKey::WORDS]);
        assert_eq!(
            (place.bucket, place.tag),
            (0, 1 + 6 + 20 + 42 + 72 + 110),
            "{why}"
        );
    }

    #[test]
    fn fragments_and_bans_are_laid_out_as_since_then() {
        assert_eq!(
            [
                size_of::<FragmentKey>(),
                size_of::<FragmentState>(),
                offset_of!(FragmentState, l4),
                offset_of!(FragmentState, seen),
                offset_of!(FragmentState, first_end),
                offset_of!(FragmentState, progress),
                size_of::<L4>(),
                size_of::<FragmentProgress>(),
            ],
            [40, 24, 0, 8, 12, 16, 8, 8],
            "raise FRAGMENTS_SINCE to the new schema"
        );
        assert_eq!(
            size_of::<Address>(),
            16,
            "raise BANS_SINCE to the new schema"
        );
    }

    #[test]
    fn nothing_is_of_a_schema_that_is_to_come() {
        for since in [
            CONNECTIONS_SINCE,
            CONNECTIONS_READABLE_SINCE,
            FRAGMENTS_SINCE,
            BANS_SINCE,
        ] {
            assert!(since <= SCHEMA_VERSION);
        }
    }
}
