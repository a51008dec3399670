//! Peer tables: address → peer class, as memory that both sides read alike.
//!
//! The first 16 bits of an address select a [`Node`] of the root, which usually is
//! the answer. Otherwise it names a place in the blocks of the generation: an index
//! by the next byte, or a leaf of sorted ranges. See [`crate::lookup`].

use super::pod;

/// `BPF_F_MMAPABLE` of linux/bpf.h. Blocks are never mapped, but so the kernel begins
/// them where a page begins, and what is aligned in a block is aligned.
pub const PEER_BLOCK_FLAGS: u32 = 1 << 10;
/// Nodes of a root: one for each value of the first 16 bits of an address.
pub const PEER_ROOT_NODES: usize = 65_536;
/// Words of 64 bits in one block (256 KiB). What a node names lies in one block.
pub const PEER_BLOCK_WORDS: usize = 32_768;
/// Blocks that one generation can have (128 MiB).
pub const PEER_BLOCKS: u32 = 512;
/// Ranges in one leaf.
pub const PEER_LEAF_RANGES: usize = 127;
/// Words of an index: 256 nodes of four bytes.
pub const PEER_INDEX_WORDS: usize = 128;

/// Keys of a leaf of IPv6 that fill one line of the cache.
pub const PEER_GROUP: u32 = 8;

/// Groups of keys in a leaf of `count` ranges.
#[inline(always)]
#[must_use]
pub const fn peer_groups(count: u32) -> u32 {
    count.div_ceil(PEER_GROUP)
}

/// Samples, the first key of each group, in front of them: none of a single group.
#[inline(always)]
#[must_use]
pub const fn peer_samples(count: u32) -> u32 {
    if count > PEER_GROUP {
        peer_groups(count)
    } else {
        0
    }
}

/// Blocks of a generation lie behind each other, so that a position in them is one
/// number of 24 bits.
const POSITION: u32 = (1 << 24) - 1;
const _: () = assert!(PEER_BLOCKS as usize * PEER_BLOCK_WORDS == POSITION as usize + 1);

/// What is known of a part of the address space.
///
/// Bit 31 clear: the class (bits 0–15) of all of it. Set: bits 0–23 are a position
/// in words, bits 24–30 the number of ranges in the leaf there, or 0 for an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Node(pub u32);

impl Node {
    const PLACE: u32 = 1 << 31;
    const COUNT_SHIFT: u32 = 24;

    /// All of it is of one class.
    #[must_use]
    pub const fn class(class: u16) -> Self {
        Self(class as u32)
    }
    /// 256 nodes, by the next byte, lie at `position`.
    #[must_use]
    pub const fn index(position: u32) -> Self {
        Self(Self::PLACE | position & POSITION)
    }
    /// `count` ranges, 1 to [`PEER_LEAF_RANGES`], lie at `position`.
    #[must_use]
    pub const fn leaf(position: u32, count: u32) -> Self {
        Self(Self::PLACE | count << Self::COUNT_SHIFT | position & POSITION)
    }
    /// Whether it is a class.
    #[inline(always)]
    #[must_use]
    pub const fn is_class(self) -> bool {
        self.0 & Self::PLACE == 0
    }
    /// Whether it is an index.
    #[inline(always)]
    #[must_use]
    pub const fn is_index(self) -> bool {
        self.0 >> Self::COUNT_SHIFT == Self::PLACE >> Self::COUNT_SHIFT
    }
    /// Ranges in the leaf.
    #[inline(always)]
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0 >> Self::COUNT_SHIFT & PEER_LEAF_RANGES as u32
    }
    /// The block that it names.
    #[inline(always)]
    #[must_use]
    pub const fn block(self) -> u32 {
        (self.0 & POSITION) / PEER_BLOCK_WORDS as u32
    }
    /// The first word in that block.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> usize {
        (self.0 & POSITION) as usize % PEER_BLOCK_WORDS
    }
}

/// The nodes of one family, by the first 16 bits.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PeerRoot(pub [Node; PEER_ROOT_NODES]);

/// A piece of what nodes name.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PeerBlock(pub [u64; PEER_BLOCK_WORDS]);

/// Index of the root of a family (0 IPv4, 1 IPv6).
#[inline(always)]
#[must_use]
pub const fn root_index(generation: u32, family: u32) -> u32 {
    generation * 2 + family
}

/// Index of a block.
#[inline(always)]
#[must_use]
pub const fn block_index(generation: u32, block: u32) -> u32 {
    generation * PEER_BLOCKS + block
}

pod!(
    Node: 4,
    PeerRoot: 262_144,
    PeerBlock: 262_144,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_what_it_was_made_of() {
        assert!(Node::class(u16::MAX).is_class());
        let last = PEER_BLOCKS * PEER_BLOCK_WORDS as u32 - 1;
        let index = Node::index(last);
        assert!(index.is_index() && !index.is_class());
        assert_eq!((index.block(), index.word()), (511, PEER_BLOCK_WORDS - 1));
        for count in [1, 127] {
            let leaf = Node::leaf(PEER_BLOCK_WORDS as u32 + 3, count);
            assert!(!leaf.is_index() && !leaf.is_class());
            assert_eq!((leaf.block(), leaf.word(), leaf.count()), (1, 3, count));
        }
    }
}
