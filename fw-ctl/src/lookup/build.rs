//! Laying runs out as tables.

use fw_common::model::PeerTables;
use fw_common::wire::{
    Node, PEER_BLOCK_WORDS, PEER_BLOCKS, PEER_GROUP, PEER_INDEX_WORDS, PEER_LEAF_RANGES,
    PEER_ROOT_NODES, peer_samples,
};

use super::Runs;

/// Words of all blocks of one generation.
const ROOM: usize = PEER_BLOCKS as usize * PEER_BLOCK_WORDS;

/// Words of a line of the cache.
const LINE: usize = PEER_GROUP as usize;

/// Bytes that one prefix can take, whatever the others. It makes two bounds in the
/// upper halves and two in the lower ones, each at most two ranges of 12 bytes (its
/// own, and the one that a leaf begins with); samples and what fills up lines add
/// some 50. An index of 1 KiB has 127 bounds or more in it, and 14 of them may lie
/// around a bound, 8 of those in the lower half.
const BYTES_PER_PREFIX: usize = 384;

/// So many runs fit wherever they are: each begins or ends a prefix.
pub const RUNS_THAT_FIT: usize = ROOM * size_of::<u64>() / BYTES_PER_PREFIX;

/// The tables of one generation cannot hold so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Blocks that are needed.
    pub needed: usize,
    /// Blocks that there may be.
    pub room: usize,
}

/// The tables in which every address is found in the class of its run.
///
/// The same runs give the same tables. There is always one block, though perhaps
/// an empty one.
///
/// # Errors
/// There are more runs than the tables hold: see [`RUNS_THAT_FIT`].
pub fn build(runs: &Runs) -> Result<PeerTables, TooLarge> {
    build_within(runs, PEER_BLOCKS as usize)
}

/// [`build`] with room for so many blocks.
fn build_within(runs: &Runs, room: usize) -> Result<PeerTables, TooLarge> {
    let mut memory = Memory { words: Vec::new() };
    let v4 = memory.root(&runs.v4, 32);
    let v6 = memory.root(&upper_halves(&runs.v6), 64);
    let blocks = memory.words.len().div_ceil(PEER_BLOCK_WORDS).max(1);
    if blocks > room {
        return Err(TooLarge {
            needed: blocks,
            room,
        });
    }
    memory.words.resize(blocks * PEER_BLOCK_WORDS, 0);
    Ok(PeerTables {
        roots: [v4, v6],
        words: memory.words,
    })
}

/// The words of all blocks, as far as they are used.
struct Memory {
    words: Vec<u64>,
}

/// A range of addresses, up to the next one, in one of the three trees.
trait Range: Copy {
    /// The first address, as far as this tree goes.
    fn key(self) -> u64;
    /// What is known of it, as a leaf says it.
    fn node(self, memory: &mut Memory) -> Node;
    /// What is known of a part in which nothing else begins.
    fn whole(self, _start: u64, memory: &mut Memory) -> Node {
        self.node(memory)
    }
    /// Writes a leaf: `first` begins at `start`, and the others follow.
    fn leaf(start: u64, first: Self, others: &[Self], memory: &mut Memory) -> Node;
}

impl Memory {
    /// The nodes for the first 16 of `bits` bits.
    fn root<R: Range>(&mut self, ranges: &[R], bits: u32) -> Vec<Node> {
        let shift = bits - PEER_ROOT_NODES.ilog2();
        let mut cursor = Cursor::new(ranges[0], &ranges[1..]);
        let mut nodes = Vec::with_capacity(PEER_ROOT_NODES);
        while nodes.len() < PEER_ROOT_NODES {
            let start = (nodes.len() as u64) << shift;
            let (first, others) = cursor.part(start, shift);
            nodes.push(self.node(start, first, others, shift));
            // Nothing changes up to the part in which the next range begins.
            let next = cursor.rest.first().map(|range| range.key() >> shift);
            let next = next.map_or(PEER_ROOT_NODES, |part| part as usize);
            if next > nodes.len() {
                nodes.resize(next, cursor.first.node(self));
            }
        }
        nodes
    }

    /// What is known of the part of 2^`shift` addresses that begins at `start`:
    /// `first` holds there, and `others` begin further inside.
    fn node<R: Range>(&mut self, start: u64, first: R, others: &[R], shift: u32) -> Node {
        if others.is_empty() {
            return first.whole(start, self);
        }
        if others.len() < PEER_LEAF_RANGES {
            return R::leaf(start, first, others, self);
        }
        let index = self.take(PEER_INDEX_WORDS);
        let shift = shift - 8;
        let mut cursor = Cursor::new(first, others);
        for byte in 0..256 {
            let start = start + ((byte as u64) << shift);
            let (first, others) = cursor.part(start, shift);
            let node = self.node(start, first, others, shift);
            self.set(index, byte, node.0);
        }
        Node::index(position(index))
    }

    /// Makes room for `count` words in one block; returns the first one.
    fn take(&mut self, count: usize) -> usize {
        let left = self.words.len().next_multiple_of(PEER_BLOCK_WORDS) - self.words.len();
        let gap = if count > left { left } else { 0 };
        let first = self.words.len() + gap;
        self.words.resize(first + count, 0);
        first
    }

    /// Leaves a gap if what is written next, `count` words, would else lie in one line of
    /// the cache more than it fills.
    fn fit_lines(&mut self, count: usize) {
        let at = self.words.len() % LINE;
        if (at + count).div_ceil(LINE) > count.div_ceil(LINE) {
            self.begin_line_after(0);
        }
    }

    /// Leaves a gap, so that a line of the cache begins `count` words from here.
    fn begin_line_after(&mut self, count: usize) {
        let end = (self.words.len() + count).next_multiple_of(LINE);
        self.words.resize(end - count, 0);
    }

    /// Writes the 32 bits at `at`, counted in such pieces from the word `first`.
    fn set(&mut self, first: usize, at: usize, value: u32) {
        let word = &mut self.words[first + at / 2];
        let mut bytes = word.to_ne_bytes();
        bytes[at % 2 * 4..][..4].copy_from_slice(&value.to_ne_bytes());
        *word = u64::from_ne_bytes(bytes);
    }

    /// Writes a leaf of keys of 64 bits and their nodes.
    fn wide_leaf<R: Range>(&mut self, start: u64, first: R, others: &[R]) -> Node {
        let count = others.len() + 1;
        let samples = peer_samples(count as u32) as usize;
        if samples > 0 {
            // Each group in one line of the cache.
            self.begin_line_after(samples);
        }
        let leaf = self.take(samples + count + count.div_ceil(2));
        let keys = leaf + samples;
        self.words[keys] = start;
        for (word, range) in self.words[keys + 1..].iter_mut().zip(others) {
            *word = range.key();
        }
        for sample in 0..samples {
            self.words[leaf + sample] = self.words[keys + sample * PEER_GROUP as usize];
        }
        for (at, range) in std::iter::once(&first).chain(others).enumerate() {
            let node = range.node(self);
            self.set(keys + count, at, node.0);
        }
        Node::leaf(position(leaf), count as u32)
    }
}

/// Goes through ranges, part by part.
struct Cursor<'a, R> {
    /// The range that holds where the next part begins.
    first: R,
    rest: &'a [R],
}

impl<'a, R: Range> Cursor<'a, R> {
    fn new(first: R, rest: &'a [R]) -> Self {
        Self { first, rest }
    }

    /// The range that holds at `start`, and those that begin inside the 2^`shift`
    /// addresses from there on. To be asked for parts that follow each other.
    fn part(&mut self, start: u64, shift: u32) -> (R, &'a [R]) {
        if let Some((next, rest)) = self.rest.split_first()
            && next.key() == start
        {
            (self.first, self.rest) = (*next, rest);
        }
        let first = self.first;
        let beyond = |range: &R| range.key() >> shift != start >> shift;
        let count = self.rest.iter().position(beyond);
        let (inside, rest) = self.rest.split_at(count.unwrap_or(self.rest.len()));
        self.first = inside.last().copied().unwrap_or(first);
        self.rest = rest;
        (first, inside)
    }
}

/// A position as nodes name it; what is beyond the last block is refused later.
fn position(word: usize) -> u32 {
    word as u32
}

/// IPv4.
impl Range for (u32, u16) {
    fn key(self) -> u64 {
        u64::from(self.0)
    }

    fn node(self, _memory: &mut Memory) -> Node {
        Node::class(self.1)
    }

    fn leaf(start: u64, first: Self, others: &[Self], memory: &mut Memory) -> Node {
        let count = others.len() + 1;
        let words = count.div_ceil(2);
        memory.fit_lines(words);
        let leaf = memory.take(words);
        let ranges = std::iter::once((start as u32, first.1)).chain(others.iter().copied());
        for (at, (key, class)) in ranges.enumerate() {
            memory.set(leaf, at, key << 16 | u32::from(class));
        }
        Node::leaf(position(leaf), count as u32)
    }
}

/// The lower half of IPv6, inside one upper half.
impl Range for (u128, u16) {
    fn key(self) -> u64 {
        self.0 as u64
    }

    fn node(self, _memory: &mut Memory) -> Node {
        Node::class(self.1)
    }

    fn leaf(start: u64, first: Self, others: &[Self], memory: &mut Memory) -> Node {
        memory.wide_leaf(start, first, others)
    }
}

/// A range of upper halves of IPv6.
#[derive(Clone, Copy)]
struct Upper<'a> {
    half: u64,
    what: What<'a>,
}

/// What holds in a range of upper halves.
#[derive(Clone, Copy)]
enum What<'a> {
    /// One class in all of them.
    Class(u16),
    /// It is a single one, in which this class holds first and these runs begin.
    Runs(u16, &'a [(u128, u16)]),
}

impl Range for Upper<'_> {
    fn key(self) -> u64 {
        self.half
    }

    fn node(self, memory: &mut Memory) -> Node {
        match self.what {
            What::Class(class) => Node::class(class),
            What::Runs(first, runs) => memory.node(0, (0, first), runs, u64::BITS),
        }
    }

    /// The lower half is found behind a leaf, so that it is known where it begins.
    fn whole(self, start: u64, memory: &mut Memory) -> Node {
        match self.what {
            What::Class(class) => Node::class(class),
            What::Runs(..) => memory.wide_leaf(start, self, &[]),
        }
    }

    fn leaf(start: u64, first: Self, others: &[Self], memory: &mut Memory) -> Node {
        memory.wide_leaf(start, first, others)
    }
}

/// IPv6 cut at the upper halves: each that is of several classes is a range of its
/// own.
fn upper_halves(runs: &[(u128, u16)]) -> Vec<Upper<'_>> {
    let half = |run: &(u128, u16)| (run.0 >> 64) as u64;
    let mut ranges: Vec<Upper<'_>> = Vec::with_capacity(runs.len());
    let mut push = |half, what| ranges.push(Upper { half, what });
    // The class in which the upper half at hand begins, if no run begins there.
    let mut class = 0;
    // Where `class` begins, if that is not said by a range yet.
    let mut unsaid = None;
    for group in runs.chunk_by(|a, b| half(a) == half(b)) {
        let here = half(&group[0]);
        if let Some(half) = unsaid.take()
            && half < here
        {
            push(half, What::Class(class));
        }
        let (first, inside) = match group[0].0 as u64 {
            0 => (group[0].1, &group[1..]),
            _ => (class, group),
        };
        if let Some(last) = inside.last() {
            push(here, What::Runs(first, inside));
            class = last.1;
            unsaid = here.checked_add(1);
        } else {
            push(here, What::Class(first));
            class = first;
        }
    }
    if let Some(half) = unsaid {
        push(half, What::Class(class));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts in groups of 70, each group in a /120 of a /64 of its own, and those
    /// 70 to a /56: the deepest indices there can be, hardly used.
    fn crowded(groups: u128) -> Runs {
        let host = |n: u128| {
            let (group, host) = (n / 70, n % 70);
            let far = (group / 70).wrapping_mul(0x9e37_79b9) & 0xffff_ffff;
            0x2001 << 112 | far << 80 | (group % 70) << 64 | 0xaaaa << 32 | (host * 2 + 1)
        };
        let mut hosts: Vec<u128> = (0..groups * 70).map(host).collect();
        hosts.sort_unstable();
        let runs = hosts.iter().flat_map(|at| [(*at, 1), (at + 1, 0)]);
        Runs {
            v4: vec![(0, 0)],
            v6: std::iter::once((0, 0)).chain(runs).collect(),
        }
    }

    #[test]
    fn no_prefix_takes_more_than_is_said() {
        let groups = 70 * 20;
        let tables = build(&crowded(groups)).unwrap();
        let bytes = (tables.words.len() - PEER_BLOCK_WORDS) * size_of::<u64>();
        let each = bytes / (groups as usize * 70);
        assert!((100..=BYTES_PER_PREFIX).contains(&each), "{each}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let runs = crowded(70);
        let needed = build(&runs).unwrap().blocks() as usize;
        assert!(needed > 1);
        let room = needed - 1;
        assert_eq!(build_within(&runs, room), Err(TooLarge { needed, room }));
        assert!(build_within(&runs, needed).is_ok());
    }
}
