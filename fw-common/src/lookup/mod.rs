//! From an address to the class of its peer: the longest prefix, resolved beforehand.
//!
//! User space cuts the address space into ranges of one class, so that nothing
//! nests any more, and lays them out as a tree that is shallow where few prefixes
//! are. The first 16 bits select a node of the root (the direct first stage of DXR:
//! Zec, Rizzo, Mikuc, 2012): most parts of the Internet are of one class, and that
//! is the answer, after one load. A part with a few ranges is a leaf, searched
//! without branches; one with many is an index by the next byte.
//!
//! ```text
//! IPv4   16 bits ─ root ─┬─ class
//!                        ├─ leaf ─ class
//!                        └─ index by byte (at most 2) ─┬─ class
//!                                                      └─ leaf ─ class
//! IPv6   the same on bits 0–63 (at most 6 indices); where a /64 is of several
//!        classes, its leaf answers with a node, and the same on bits 64–127
//!        begins there (at most 8 indices)
//! ```
//!
//! Written once for the kernel's tables, the model's and the tests'.

mod leaf;

use crate::wire::{Address, Node, PEER_BLOCK_WORDS, PeerBlock};

/// The tables of one generation.
pub trait PeerMemory {
    /// The node of a family (0 IPv4, 1 IPv6) for the first 16 bits of an address.
    fn root(&self, family: u32, first: u32) -> Option<Node>;
    /// A block. No block is an answer that tables that were read back cannot give.
    fn block(&self, number: u32) -> Option<&PeerBlock>;
    /// The same node, on whatever way it was come to: where ways join, the kernel's
    /// verifier would else follow each of them to the end.
    fn join(&self, node: Node) -> Node;
    /// Goes on from a root that is no class: [`search_v4`], or a call of it.
    fn beyond_v4(&self, root: Node, address: u32) -> Option<u32>;
    /// Likewise [`search_v6`], with both halves of the address.
    fn beyond_v6(&self, root: Node, high: u64, low: u64) -> Option<u32>;
}

/// Class of an IPv4 address.
#[inline(always)]
pub fn v4<M: PeerMemory>(memory: &M, address: &Address) -> Option<u32> {
    let address = u32::from_be(address.0[3]);
    let root = memory.root(0, address >> 16)?;
    if root.is_class() {
        return Some(root.0);
    }
    memory.beyond_v4(root, address)
}

/// Class of an IPv4 address whose root is no class.
#[inline(always)]
pub fn search_v4<M: PeerMemory>(memory: &M, root: Node, address: u32) -> Option<u32> {
    let node = descend(memory, root, u64::from(address), [8, 0])?;
    if node.is_class() {
        return Some(node.0);
    }
    Some(leaf::narrow(memory.block(node.block())?, node, address))
}

/// Class of an IPv6 address.
#[inline(always)]
pub fn v6<M: PeerMemory>(memory: &M, address: &Address) -> Option<u32> {
    let high = half(address.0[0], address.0[1]);
    let root = memory.root(1, (high >> 48) as u32)?;
    if root.is_class() {
        return Some(root.0);
    }
    memory.beyond_v6(root, high, half(address.0[2], address.0[3]))
}

/// Class of an IPv6 address whose root is no class.
#[inline(always)]
pub fn search_v6<M: PeerMemory>(memory: &M, root: Node, high: u64, low: u64) -> Option<u32> {
    let node = descend(memory, root, high, [40, 32, 24, 16, 8, 0])?;
    if node.is_class() {
        return Some(node.0);
    }
    let node = memory.join(leaf::wide(memory.block(node.block())?, node, high));
    if node.is_class() {
        return Some(node.0);
    }
    let node = descend(memory, node, low, [56, 48, 40, 32, 24, 16, 8, 0])?;
    if node.is_class() {
        return Some(node.0);
    }
    Some(leaf::wide(memory.block(node.block())?, node, low).0 & 0xffff)
}

/// Follows indices, by the byte of `key` at each of `shifts`.
#[inline(always)]
fn descend<M: PeerMemory, const N: usize>(
    memory: &M,
    mut node: Node,
    key: u64,
    shifts: [u32; N],
) -> Option<Node> {
    for shift in shifts {
        if !node.is_index() {
            break;
        }
        let byte = (key >> shift) as usize & 0xff;
        node = Node(half_word(
            memory.block(node.block())?,
            node.word() * 2 + byte,
        ));
    }
    Some(node)
}

/// Eight bytes of an address as a number.
#[inline(always)]
const fn half(high: u32, low: u32) -> u64 {
    (u32::from_be(high) as u64) << 32 | u32::from_be(low) as u64
}

/// The 32 bits at `at`, counted in such pieces from the beginning of the block.
#[inline(always)]
fn half_word(block: &PeerBlock, at: usize) -> u32 {
    let at = at % (PEER_BLOCK_WORDS * 2);
    // SAFETY: a block has that many pieces, and any four bytes of it are a number.
    unsafe { *block.0.as_ptr().cast::<u32>().add(at) }
}
