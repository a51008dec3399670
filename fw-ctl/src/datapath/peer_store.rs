//! The peer tables in the kernel: two roots for each generation, and a map for each
//! block that it needs.
//!
//! A block is pinned beside the other tables under the name of its place
//! (`PEERS_1_17`), because only so can a process without all capabilities open it
//! again. Places behind the last block hold block 0 once more: emptying one would
//! wait for all packets, each time.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use aya::maps::{Array, IterableMap, Map, MapData, MapError};
use fw_common::model::PeerTables;
use fw_common::wire::{
    GENERATIONS, Node, PEER_BLOCK_FLAGS, PEER_BLOCKS, PeerBlock, PeerRoot, block_index, root_index,
};

use super::command;
use super::error::{DatapathError, io_cause};
use super::pins::failed;
use super::tables::{open_array, open_data, reading};

/// Name of the array of all blocks, and the beginning of the names of blocks.
pub const PEERS: &str = "PEERS";
/// Name of the roots.
pub const PEER_ROOTS: &str = "PEER_ROOTS";

/// Blocks that are handled at once: each takes a file descriptor meanwhile.
const AT_ONCE: usize = 128;

/// A block of its own.
type Block = Array<MapData, PeerBlock>;

/// The peer tables of both generations.
pub struct PeerStore {
    /// Where blocks are pinned. Open, because the directory is renamed when it is
    /// published, and that of a test run is in a mount namespace that has ended.
    directory: File,
    roots: Array<MapData, PeerRoot>,
    places: MapData,
}

/// Makes and pins the array of blocks in `directory`, if it is not there.
///
/// Not left to the loader: that gives the blocks' template a type (BTF), which blocks
/// made later do not have, and until Linux 6.3 the kernel takes such for other maps
/// (`bpf_map_meta_equal`: the place of a timer, of which one says "none" and the other
/// "unknown").
///
/// # Errors
/// The kernel refuses.
pub fn prepare(directory: &Path) -> Result<(), DatapathError> {
    let path = directory.join(PEERS);
    if path.exists() {
        return Ok(());
    }
    let failed = |error: &(dyn std::error::Error + 'static)| {
        DatapathError::aya(format!("making the table {PEERS}"), error)
    };
    let template = Block::create(1, PEER_BLOCK_FLAGS).map_err(|error| failed(&error))?;
    let entries = GENERATIONS * PEER_BLOCKS;
    let made = command::create_array_of_maps(PEERS, entries, data(&template).fd().as_fd())
        .map_err(|error| DatapathError::io(format!("making the table {PEERS}"), &error))?;
    let places = MapData::from_fd(made).map_err(|error| failed(&error))?;
    places.pin(&path).map_err(|error| failed(&error))
}

impl PeerStore {
    /// Opens the tables pinned in `directory`.
    ///
    /// # Errors
    /// A pin is missing, or a map has other sizes than this version's.
    pub fn open(directory: &Path) -> Result<Self, DatapathError> {
        let places = open_data(directory, PEERS)?;
        let found = places.info().map_err(reading(PEERS))?.max_entries();
        if found != GENERATIONS * PEER_BLOCKS {
            return Err(DatapathError::ForeignPins {
                path: directory.to_owned(),
                why: format!("{PEERS} has {found} entries"),
            });
        }
        Ok(Self {
            directory: File::open(directory).map_err(failed("opening", directory))?,
            roots: open_array(directory, PEER_ROOTS, GENERATIONS * 2)?,
            places,
        })
    }

    /// Takes `directory` for the one where blocks are pinned, after somebody has
    /// removed the one before. What was pinned there cannot be read any more, and is
    /// made again as plans are written.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn reopen(&mut self, directory: &Path) -> Result<(), DatapathError> {
        self.directory = File::open(directory).map_err(failed("opening", directory))?;
        Ok(())
    }

    /// Makes the generation, which must not be in force, hold `tables`, in as much
    /// memory as they need.
    ///
    /// # Errors
    /// The kernel refuses, or has no memory.
    pub fn write(&mut self, generation: u32, tables: &PeerTables) -> Result<(), DatapathError> {
        let numbers: Vec<u32> = (0..tables.blocks()).collect();
        for numbers in numbers.chunks(AT_ONCE) {
            let mut blocks = Vec::with_capacity(numbers.len());
            for &number in numbers {
                let mut block = self.block(generation, number)?;
                let words = tables.words_of(number).unwrap_or_default();
                command::write(&mut block, 0, words).map_err(refused("writing"))?;
                blocks.push(block);
            }
            let first = (generation, numbers[0]);
            self.place(first, &blocks.iter().collect::<Vec<_>>())?;
        }
        self.shrink(generation, tables.blocks())?;
        for (family, root) in (0..).zip(&tables.roots) {
            let at = root_index(generation, family);
            command::write(&mut self.roots, at, root).map_err(refused("writing"))?;
        }
        Ok(())
    }

    /// What the kernel holds in the generation, which has so many `blocks`.
    ///
    /// # Errors
    /// The kernel cannot be asked, or a block is not there.
    pub fn read(&self, generation: u32, blocks: u32) -> Result<PeerTables, DatapathError> {
        let root = |family| {
            command::read::<_, Node>(&self.roots, root_index(generation, family))
                .map_err(refused("reading"))
        };
        let mut tables = PeerTables {
            roots: [root(0)?, root(1)?],
            words: Vec::new(),
        };
        for number in 0..blocks.min(PEER_BLOCKS) {
            let path = self.path(generation, number);
            let block = open_block(MapData::from_pin(path).map_err(reading(PEERS))?)?;
            if self.id_at(generation, number)? != Some(id(&block)?) {
                return Err(DatapathError::Differs {
                    what: format!("block {number} of the peer tables is another one"),
                });
            }
            let words: Vec<u64> = command::read(&block, 0).map_err(refused("reading"))?;
            tables.words.extend(words);
        }
        Ok(tables)
    }

    /// The block of a place, made and pinned if there is none.
    fn block(&self, generation: u32, number: u32) -> Result<Block, DatapathError> {
        let path = self.path(generation, number);
        let missing = |error: &MapError| {
            io_cause(error).is_some_and(|cause| cause.kind() == ErrorKind::NotFound)
        };
        match MapData::from_pin(&path) {
            Ok(data) => return open_block(data),
            Err(error) if missing(&error) => {}
            Err(error) => return Err(reading(PEERS)(error)),
        }
        let failed = |what: &str, error: &(dyn std::error::Error + 'static)| {
            DatapathError::aya(format!("{what} a block of the table {PEERS}"), error)
        };
        let block = Block::create(1, PEER_BLOCK_FLAGS).map_err(|e| failed("making", &e))?;
        data(&block).pin(&path).map_err(|e| failed("pinning", &e))?;
        Ok(block)
    }

    /// Puts blocks in their places, from the first one on, where others are.
    fn place(
        &self,
        (generation, first): (u32, u32),
        blocks: &[&Block],
    ) -> Result<(), DatapathError> {
        let mut changed = Vec::new();
        for (block, number) in blocks.iter().zip(first..) {
            if self.id_at(generation, number)? != Some(id(block)?) {
                changed.push((block_index(generation, number), data(block).fd().as_fd()));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        command::set_inner(&self.places, &changed).map_err(refused("writing"))
    }

    /// Leaves the generation only its first `blocks`.
    fn shrink(&self, generation: u32, blocks: u32) -> Result<(), DatapathError> {
        let first = self.block(generation, 0)?;
        let mut used = blocks;
        while used < PEER_BLOCKS && self.id_at(generation, used)?.is_some() {
            used += 1;
        }
        let count = (used - blocks) as usize;
        self.place((generation, blocks), &vec![&first; count])?;
        // From the end, so that what a crash leaves has no gap.
        let mut stale = Vec::new();
        for number in blocks..PEER_BLOCKS {
            let path = self.path(generation, number);
            match fs::symlink_metadata(&path) {
                Ok(_) => stale.push(path),
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(failed("reading", &path)(error)),
            }
        }
        for path in stale.iter().rev() {
            fs::remove_file(path).map_err(failed("removing", path))?;
        }
        Ok(())
    }

    /// The pin of a block.
    fn path(&self, generation: u32, number: u32) -> PathBuf {
        let directory = self.directory.as_raw_fd();
        PathBuf::from(format!(
            "/proc/self/fd/{directory}/{PEERS}_{generation}_{number}"
        ))
    }

    fn id_at(&self, generation: u32, number: u32) -> Result<Option<u32>, DatapathError> {
        command::inner_id(&self.places, block_index(generation, number)).map_err(refused("reading"))
    }
}

fn open_block(data: MapData) -> Result<Block, DatapathError> {
    let map = Map::from_map_data(data).map_err(reading(PEERS))?;
    Block::try_from(map).map_err(reading(PEERS))
}

fn data(block: &Block) -> &MapData {
    IterableMap::<u32, PeerBlock>::map(block)
}

fn id(block: &Block) -> Result<u32, DatapathError> {
    Ok(data(block).info().map_err(reading(PEERS))?.id())
}

/// For `map_err`: the kernel refused.
fn refused(what: &'static str) -> impl Fn(std::io::Error) -> DatapathError {
    move |error| DatapathError::io(format!("{what} the table {PEERS}"), &error)
}
