//! Searching a leaf: the last of its ranges that begins at or before the address.
//!
//! A uniform binary search whose steps have no branch: the processor cannot guess
//! them, and the kernel's verifier would follow both ways of every one (112,000
//! instructions instead of some thousand, measured on Linux 6.18).

use super::half_word;
use crate::wire::{Node, PEER_BLOCK_WORDS, PEER_GROUP, PeerBlock, peer_groups, peer_samples};

/// Class in a leaf of IPv4: `count` ranges of 32 bits, the low 16 bits of the first
/// address above the class.
#[inline(always)]
pub(super) fn narrow(block: &PeerBlock, leaf: Node, address: u32) -> u32 {
    // Not less than a range that begins at the address, whatever its class.
    let last = u64::from(address << 16 | 0xffff);
    let mut at = leaf.word() * 2;
    let mut count = leaf.count();
    while count > 1 {
        let half = (count >> 1) as usize;
        let begins = u64::from(half_word(block, at + half));
        // All ones unless it begins behind the address.
        let before = (last.wrapping_sub(begins) >> 63).wrapping_sub(1);
        at += half & before as usize;
        // As many as are left in the larger half.
        count = (count + 1) >> 1;
    }
    half_word(block, at) & 0xffff
}

/// Node in a leaf of IPv6: `count` first addresses (the half in question, 64 bits),
/// then as many nodes of 32 bits. In front of more than [`PEER_GROUP`] addresses stands
/// every eighth of them once more, and each such group fills a line of the cache: of a
/// large leaf only four lines are touched instead of eight.
#[inline(always)]
pub(super) fn wide(block: &PeerBlock, leaf: Node, key: u64) -> Node {
    let (first, count) = (leaf.word(), leaf.count());
    let (groups, skipped) = (peer_groups(count), peer_samples(count));
    let keys = first + skipped as usize;
    let group = last_before(block, first, groups, key) - first;
    let group = (group as u32 & 15) * PEER_GROUP;
    let left = count.wrapping_sub(group).min(PEER_GROUP);
    let at = last_before(block, keys + group as usize, left, key) - keys;
    Node(half_word(block, (keys + count as usize) * 2 + at))
}

/// Index of the last of `count` ascending keys, from `first` on, that is not above
/// `key`; `first` if all are.
#[inline(always)]
fn last_before(block: &PeerBlock, first: usize, mut count: u32, key: u64) -> usize {
    let mut at = first;
    while count > 1 {
        let half = (count >> 1) as usize;
        let begins = block.0[(at + half) % PEER_BLOCK_WORDS];
        // The borrow of key - begins, without a comparison (Hacker's Delight 2-13).
        let borrow = (!key & begins | (!key | begins) & key.wrapping_sub(begins)) >> 63;
        at += half & borrow.wrapping_sub(1) as usize;
        count = (count + 1) >> 1;
    }
    at
}
