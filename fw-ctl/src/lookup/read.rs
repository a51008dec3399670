//! Finding the runs in tables.

use fw_common::model::PeerTables;
use fw_common::wire::{Node, PEER_GROUP, PEER_ROOT_NODES, peer_samples};

use super::Runs;
use crate::ranges::push;

/// The runs of which `tables` are made: in these classes every address is found.
///
/// # Errors
/// The tables could answer nothing, or anything, for some address: why.
pub fn read(tables: &PeerTables) -> Result<Runs, String> {
    let [v4, v6] = &tables.roots;
    let shift = u32::BITS - PEER_ROOT_NODES.ilog2();
    let mut v4_runs: Vec<(u32, u16)> = Vec::new();
    for (number, node) in changes(v4) {
        narrow(tables, node, number << shift, shift, &mut v4_runs)?;
    }
    let shift = u64::BITS - PEER_ROOT_NODES.ilog2();
    let mut v6_runs: Vec<(u128, u16)> = Vec::new();
    for (number, node) in changes(v6) {
        upper(tables, node, number << shift, shift, &mut v6_runs)?;
    }
    if [v4, v6].iter().any(|root| root.len() != PEER_ROOT_NODES) {
        return Err(format!("a root has {} and {} nodes", v4.len(), v6.len()));
    }
    Ok(Runs {
        v4: v4_runs,
        v6: v6_runs,
    })
}

/// The nodes of a root, with their numbers, but of neighbours of one class only the
/// first.
fn changes(root: &[Node]) -> impl Iterator<Item = (u64, Node)> {
    let mut former = None;
    let nodes = root.iter().zip(0_u64..);
    nodes.filter_map(move |(node, number)| {
        let goes_on = node.is_class() && former == Some(*node);
        former = Some(*node);
        (!goes_on).then_some((number, *node))
    })
}

/// Reads the 2^`shift` addresses of IPv4 from `start` on.
fn narrow(
    tables: &PeerTables,
    node: Node,
    start: u64,
    shift: u32,
    runs: &mut Vec<(u32, u16)>,
) -> Result<(), String> {
    if node.is_class() {
        push(runs, start as u32, class(node)?);
    } else if node.is_index() {
        for (child, start) in children(tables, node, start, shift)? {
            narrow(tables, child, start, shift - 8, runs)?;
        }
    } else {
        let count = node.count() as usize;
        let ranges: Vec<u32> = pieces(tables, node, 0, count)?.collect();
        let high = start as u32 & 0xffff_0000;
        let keys: Vec<u64> = ranges.iter().map(|r| u64::from(high | r >> 16)).collect();
        check_order(&keys, start, shift)?;
        for (key, range) in keys.iter().zip(ranges) {
            push(runs, *key as u32, range as u16);
        }
    }
    Ok(())
}

/// Reads the 2^`shift` upper halves of IPv6 from `start` on.
fn upper(
    tables: &PeerTables,
    node: Node,
    start: u64,
    shift: u32,
    runs: &mut Vec<(u128, u16)>,
) -> Result<(), String> {
    if node.is_class() {
        return lower(tables, node, start, 0, u64::BITS, runs);
    }
    if node.is_index() {
        for (child, start) in children(tables, node, start, shift)? {
            upper(tables, child, start, shift - 8, runs)?;
        }
        return Ok(());
    }
    let (keys, nodes) = wide(tables, node, start, shift)?;
    let last = start + ((1 << shift) - 1);
    let ends = keys.iter().skip(1).map(|next| next - 1).chain([last]);
    for ((key, end), node) in keys.iter().zip(ends).zip(nodes) {
        if !node.is_class() && end != *key {
            return Err(format!("the range at {key:x} is of several upper halves"));
        }
        lower(tables, node, *key, 0, u64::BITS, runs)?;
    }
    Ok(())
}

/// Reads the 2^`shift` lower halves from `start` on behind one upper half.
fn lower(
    tables: &PeerTables,
    node: Node,
    half: u64,
    start: u64,
    shift: u32,
    runs: &mut Vec<(u128, u16)>,
) -> Result<(), String> {
    let address = |low: u64| u128::from(half) << 64 | u128::from(low);
    if node.is_class() {
        push(runs, address(start), class(node)?);
        return Ok(());
    }
    if node.is_index() {
        for (child, start) in children(tables, node, start, shift)? {
            lower(tables, child, half, start, shift - 8, runs)?;
        }
        return Ok(());
    }
    let (keys, nodes) = wide(tables, node, start, shift)?;
    for (key, node) in keys.into_iter().zip(nodes) {
        push(runs, address(key), class(node)?);
    }
    Ok(())
}

/// The class of a node that must be one.
fn class(node: Node) -> Result<u16, String> {
    match u16::try_from(node.0) {
        Ok(class) => Ok(class),
        Err(_) => Err(format!("{:#x} is no class", node.0)),
    }
}

/// The nodes of an index, and where their parts begin.
fn children(
    tables: &PeerTables,
    index: Node,
    start: u64,
    shift: u32,
) -> Result<impl Iterator<Item = (Node, u64)>, String> {
    let Some(shift) = shift.checked_sub(8) else {
        return Err(format!(
            "there is an index of single addresses at {start:x}"
        ));
    };
    let nodes = pieces(tables, index, 0, 256)?;
    Ok(nodes
        .zip(0_u64..)
        .map(move |(node, byte)| (Node(node), start + (byte << shift))))
}

/// Keys and nodes of a leaf of IPv6.
fn wide(
    tables: &PeerTables,
    leaf: Node,
    start: u64,
    shift: u32,
) -> Result<(Vec<u64>, Vec<Node>), String> {
    let (count, samples) = (leaf.count() as usize, peer_samples(leaf.count()) as usize);
    let (sampled, keys) = words(tables, leaf, samples + count)?.split_at(samples);
    check_order(keys, start, shift)?;
    if !keys
        .iter()
        .step_by(PEER_GROUP as usize)
        .take(samples)
        .eq(sampled)
    {
        return Err(format!(
            "the samples of the leaf at {start:x} are not its own"
        ));
    }
    let nodes = pieces(tables, leaf, (samples + count) * 2, count)?;
    Ok((keys.to_vec(), nodes.map(Node).collect()))
}

/// That ranges cover the 2^`shift` addresses from `start` on.
fn check_order(keys: &[u64], start: u64, shift: u32) -> Result<(), String> {
    let last = start + u64::MAX.checked_shr(u64::BITS - shift).unwrap_or(0);
    let inside = keys.first() == Some(&start) && keys.last().is_some_and(|key| *key <= last);
    if inside && keys.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    Err(format!(
        "the ranges of the leaf at {start:x} are not in order"
    ))
}

/// `count` pieces of 32 bits, from the piece `from` of what `node` names.
fn pieces(
    tables: &PeerTables,
    node: Node,
    from: usize,
    count: usize,
) -> Result<impl Iterator<Item = u32>, String> {
    let words = words(tables, node, (from + count).div_ceil(2))?;
    let halves = words.iter().flat_map(|word| {
        let bytes = word.to_ne_bytes();
        let (low, high) = bytes.split_at(4);
        [low, high].map(|half| u32::from_ne_bytes(half.try_into().expect("half of eight bytes")))
    });
    Ok(halves.skip(from).take(count))
}

/// The first `count` words of what `node` names.
fn words(tables: &PeerTables, node: Node, count: usize) -> Result<&[u64], String> {
    let block = tables.words_of(node.block());
    block
        .and_then(|block| block.get(node.word()..node.word() + count))
        .ok_or_else(|| format!("the node {:#x} names what is not there", node.0))
}

#[cfg(test)]
mod tests {
    use fw_common::wire::PEER_BLOCK_WORDS;

    use super::*;
    use crate::lookup::build;

    fn tables() -> PeerTables {
        build(&Runs {
            v4: vec![(0, 0), (0x0a00_0001, 1), (0x0a00_0002, 0)],
            v6: vec![(0, 0), (1 << 125 | 1, 1), (1 << 125 | 2, 0)],
        })
        .unwrap()
    }

    /// The only leaf of IPv4, and the one of the upper halves of IPv6.
    fn leaves(tables: &PeerTables) -> [Node; 2] {
        [tables.roots[0][0x0a00], tables.roots[1][0x2000]]
    }

    #[test]
    fn what_could_answer_anything_is_named() {
        let broken = |change: &dyn Fn(&mut PeerTables), says: &str| {
            let mut tables = tables();
            change(&mut tables);
            let why = read(&tables).unwrap_err();
            assert!(why.contains(says), "{why}");
        };
        broken(&|t| t.roots[0][7] = Node(0x1_0000), "0x10000 is no class");
        broken(&|t| t.roots[1].truncate(9), "a root has");
        broken(&|t| t.words.clear(), "names what is not there");
        let behind = Node::leaf(40 * PEER_BLOCK_WORDS as u32, 1);
        broken(&|t| t.roots[1][9] = behind, "names what is not there");
        // A leaf of another part: its ranges begin elsewhere.
        broken(&|t| t.roots[1][9] = leaves(t)[1], "not in order");
        let second = leaves(&tables())[1].word() + 1;
        broken(&|t| t.words[second] = 0, "not in order");
        // The next upper half begins later: the leaf below is of several.
        broken(&|t| t.words[second] += 1, "of several upper halves");
    }

    #[test]
    fn another_class_or_bound_is_another_run() {
        let sound = read(&tables()).unwrap();
        for (at, bits) in [(0, 1_u64), (1, 1 << 16)] {
            let mut tables = tables();
            let leaf = leaves(&tables)[0].word();
            tables.words[leaf + at] ^= bits;
            assert_ne!(read(&tables), Ok(sound.clone()), "{at}");
        }
    }
}
