//! Remembered connections, as they lie in memory.

use super::{FlowKey, pod};

/// Who began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// The peer.
    Remote = 0,
    /// The node, or somebody whom it forwards under its own address.
    Local = 1,
}

/// How far a connection has come, which decides how long it is remembered without
/// a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// TCP that the other side has not answered yet.
    Opening = 0,
    /// TCP that has been answered.
    Established = 1,
    /// TCP after FIN or RST.
    Closing = 2,
    /// UDP or another protocol, not answered yet.
    Asking = 3,
    /// UDP or another protocol, answered.
    Answered = 4,
    /// ICMP.
    Icmp = 5,
}

impl Phase {
    /// In tens of seconds, by phase.
    ///
    /// TCP as in Cilium (`ct_map.h`: SYN 60 s, established 8,000, closing 10); UDP 60 as
    /// there and, once answered, the three minutes that Linux gave streams for long; an
    /// echo the 30 of `nf_conntrack_icmp_timeout`.
    const LIFETIMES: [u64; 6] = [6, 800, 1, 6, 18, 3];
    const LIFETIME_BITS: u32 = 10;

    /// Seconds without a packet after which a connection of this phase is forgotten.
    #[inline(always)]
    #[must_use]
    pub const fn lifetime(self) -> u32 {
        // All of them in one number: a branch for each phase would be followed by the
        // verifier to the end of the program.
        const PACKED: u64 = {
            let mut packed = 0;
            let mut phase = 0;
            while phase < Phase::LIFETIMES.len() {
                packed |= Phase::LIFETIMES[phase] << (phase as u32 * Phase::LIFETIME_BITS);
                phase += 1;
            }
            packed
        };
        let tens = PACKED >> (self as u32 * Self::LIFETIME_BITS) & ((1 << Self::LIFETIME_BITS) - 1);
        tens as u32 * 10
    }

    /// The longest lifetime of all.
    pub const LONGEST: u32 = Self::Established.lifetime();

    #[inline(always)]
    const fn of(bits: u32) -> Self {
        match bits {
            0 => Self::Opening,
            1 => Self::Established,
            2 => Self::Closing,
            3 => Self::Asking,
            4 => Self::Answered,
            _ => Self::Icmp,
        }
    }
}

/// What is remembered of a connection, in one word, so that it is read and written
/// whole: 28 bits of seconds (of the clock of [`crate::datapath::tables::Tables::now`])
/// until which it is remembered, one bit of [`Origin`], three of [`Phase`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct FlowState(pub u32);

impl FlowState {
    const ORIGIN: u32 = 1 << 3;
    const PHASE: u32 = 0b111;
    const SECONDS_SHIFT: u32 = 4;

    /// Seen at `now`, in seconds.
    #[inline(always)]
    #[must_use]
    pub const fn new(now: u32, origin: Origin, phase: Phase) -> Self {
        let until = now.wrapping_add(phase.lifetime()) << Self::SECONDS_SHIFT;
        Self(until | (origin as u32) << 3 | phase as u32)
    }

    /// Who began it.
    #[inline(always)]
    #[must_use]
    pub const fn origin(self) -> Origin {
        if self.0 & Self::ORIGIN == 0 {
            Origin::Remote
        } else {
            Origin::Local
        }
    }

    /// How far it has come.
    #[inline(always)]
    #[must_use]
    pub const fn phase(self) -> Phase {
        Phase::of(self.0 & Self::PHASE)
    }

    /// Sixteenths of a second until it is forgotten; negative if it should have been.
    /// The seconds wrap after 8.5 years: an entry that nobody replaces for half of that
    /// would come to life again.
    #[inline(always)]
    #[must_use]
    pub const fn time_left(self, now: u32) -> i32 {
        let until = self.0 & !(Self::ORIGIN | Self::PHASE);
        until.wrapping_sub(now << Self::SECONDS_SHIFT) as i32
    }

    /// Seconds at `now` since it was seen.
    #[must_use]
    pub const fn idle(self, now: u32) -> u32 {
        let left = self.time_left(now) >> Self::SECONDS_SHIFT;
        (self.phase().lifetime() as i32 - left).unsigned_abs()
    }

    /// Whether it is remembered still.
    #[inline(always)]
    #[must_use]
    pub const fn is_live(self, now: u32) -> bool {
        self.time_left(now) >= 0
    }
}

/// Connections in a bucket.
pub const FLOW_SLOTS: usize = 8;

/// Connections whose keys lead to one place: a cache line that says which, then the keys.
///
/// 48 bytes a connection. A slot whose tag is 0 is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FlowBucket {
    /// Parts of the hashes of the keys; see [`FlowSeeds::place`].
    pub tags: [u32; FLOW_SLOTS],
    /// [`FlowState`].
    pub states: [u32; FLOW_SLOTS],
    /// [`FlowKey::words`].
    pub keys: [[u64; FlowKey::WORDS]; FLOW_SLOTS],
}

impl FlowBucket {
    /// Without connections.
    pub const EMPTY: Self = Self {
        tags: [0; FLOW_SLOTS],
        states: [0; FLOW_SLOTS],
        keys: [[0; FlowKey::WORDS]; FLOW_SLOTS],
    };
}

impl Default for FlowBucket {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// What the hash of connections is keyed with: secret random numbers, so that nobody
/// can choose connections that fall into one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowSeeds {
    /// Any numbers.
    pub random: [u64; 2 * FlowKey::WORDS + 1],
    /// Buckets of the table.
    pub buckets: u32,
    /// Buckets of the table of rate limits, which shares the random numbers.
    pub rate_buckets: u32,
}

/// Where a connection is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPlace {
    /// Number of the bucket.
    pub bucket: u32,
    /// What the tag of its slot is; not 0.
    pub tag: u32,
}

impl FlowSeeds {
    /// Where the connection belongs.
    ///
    /// The hash is multilinear with pairs of words multiplied (Lemire and Kaser,
    /// "Strongly universal string hashing is fast", 2014): of its upper half it is
    /// proven that two keys meet no oftener than by chance, whoever chose them, as long
    /// as the seeds are secret. Five multiplications, no rounds.
    #[inline(always)]
    #[must_use]
    pub const fn place(&self, words: &[u64; FlowKey::WORDS]) -> FlowPlace {
        let hash = self.flow_hash(words);
        FlowPlace {
            bucket: part(hash, self.buckets),
            tag: hash as u32 | 1,
        }
    }

    /// The hash of a connection.
    #[inline(always)]
    #[must_use]
    pub const fn flow_hash(&self, words: &[u64; FlowKey::WORDS]) -> u64 {
        self.hash(words)
    }

    /// The hash of a peer of a rate limit, by the same rule; not 0.
    #[inline(always)]
    #[must_use]
    pub const fn rate_hash(&self, words: &[u64; 3]) -> u64 {
        self.hash(words) | 1
    }

    /// The bucket of such a hash.
    #[inline(always)]
    #[must_use]
    pub const fn rate_bucket(&self, hash: u64) -> u32 {
        part(hash, self.rate_buckets)
    }

    #[inline(always)]
    const fn hash<const WORDS: usize>(&self, words: &[u64; WORDS]) -> u64 {
        const { assert!(WORDS <= FlowKey::WORDS) };
        let random = &self.random;
        let mut hash = random[0];
        let mut at = 0;
        while at < WORDS {
            let low = words[at] & 0xffff_ffff;
            let high = words[at] >> 32;
            let product = random[2 * at + 1]
                .wrapping_add(low)
                .wrapping_mul(random[2 * at + 2].wrapping_add(high));
            hash = hash.wrapping_add(product);
            at += 1;
        }
        hash
    }
}

/// The upper half of a hash as a fraction of a table: any number of buckets will do.
#[inline(always)]
const fn part(hash: u64, buckets: u32) -> u32 {
    (((hash >> 32) * buckets as u64) >> 32) as u32
}

/// What became of connections that were remembered, on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowTally {
    /// Remembered.
    pub begun: u64,
    /// Forgotten before their time, for want of room.
    pub displaced: u64,
}

pod!(FlowState: 4, FlowBucket: 384, FlowSeeds: 96, FlowTally: 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_those_of_the_table() {
        assert_eq!(Phase::Established.lifetime(), 8_000);
        assert_eq!(Phase::Closing.lifetime(), 10);
        assert_eq!(Phase::Answered.lifetime(), 180);
        assert_eq!(Phase::Icmp.lifetime(), 30);
    }

    #[test]
    fn a_state_says_what_it_was_made_of() {
        let phases = [
            Phase::Opening,
            Phase::Established,
            Phase::Closing,
            Phase::Asking,
            Phase::Answered,
            Phase::Icmp,
        ];
        // Also where the 28 bits of the seconds wrap.
        for now in [0, 1, 86_400, (1 << 28) - 1, 1 << 28, u32::MAX] {
            for phase in phases {
                for origin in [Origin::Local, Origin::Remote] {
                    let state = FlowState::new(now, origin, phase);
                    assert_eq!((state.origin(), state.phase()), (origin, phase));
                    let last = now.wrapping_add(phase.lifetime());
                    assert!(state.is_live(now) && state.is_live(last), "{now} {phase:?}");
                    assert!(!state.is_live(last.wrapping_add(1)), "{now} {phase:?}");
                    assert_eq!((state.idle(now), state.idle(last)), (0, phase.lifetime()));
                    assert_eq!(state.idle(now.wrapping_add(7)), 7);
                }
            }
        }
    }

    #[test]
    fn places_spread_over_any_number_of_buckets() {
        let mut seeds = FlowSeeds {
            buckets: 1_000,
            ..FlowSeeds::default()
        };
        let mut number = 1_u64;
        for seed in &mut seeds.random {
            // Knuth's MMIX generator.
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *seed = number;
        }
        let mut used = vec![0_u32; 1_000];
        for port in 0..50_000_u64 {
            // Keys that differ in one port only.
            let place = seeds.place(&[1, 2, 3, 4, port << 16]);
            assert_ne!(place.tag, 0);
            used[place.bucket as usize] += 1;
        }
        // 50 each on average, with a deviation of seven.
        assert!(used.iter().all(|&n| (10..=100).contains(&n)), "{used:?}");
    }
}
