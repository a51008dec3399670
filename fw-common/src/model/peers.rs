//! The peer tables of one generation as a plain value.

use crate::lookup::{self, PeerMemory};
use crate::wire::{Node, PEER_BLOCK_WORDS, PeerBlock};

/// Roots and blocks: word for word what the kernel holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerTables {
    /// By family (IPv4, IPv6): 65,536 nodes.
    pub roots: [Vec<Node>; 2],
    /// The blocks, one behind the other; the last one is whole too.
    pub words: Vec<u64>,
}

impl PeerTables {
    /// The block `number`.
    #[must_use]
    pub fn words_of(&self, number: u32) -> Option<&[u64]> {
        let mut blocks = self.words.chunks_exact(PEER_BLOCK_WORDS);
        blocks.nth(number as usize)
    }

    /// How many blocks there are.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        (self.words.len() / PEER_BLOCK_WORDS) as u32
    }
}

impl PeerMemory for PeerTables {
    fn root(&self, family: u32, first: u32) -> Option<Node> {
        self.roots[family as usize].get(first as usize).copied()
    }

    fn block(&self, number: u32) -> Option<&PeerBlock> {
        let words = self.words_of(number)?.as_ptr().cast::<PeerBlock>();
        // SAFETY: `words_of` gives exactly as many words as a block has, and
        // `PeerBlock` is nothing but those words (repr(C), its size is asserted).
        Some(unsafe { &*words })
    }

    fn beyond_v4(&self, root: Node, address: u32) -> Option<u32> {
        lookup::search_v4(self, root, address)
    }

    fn beyond_v6(&self, root: Node, high: u64, low: u64) -> Option<u32> {
        lookup::search_v6(self, root, high, low)
    }

    fn join(&self, node: Node) -> Node {
        node
    }
}
