//! What a daemon of another schema left: programs that filter, and tables.
//!
//! The tables of a new schema stand beside those of the old one, whose programs go on
//! judging until those of the new one replace them, link by link. What is in the tables
//! of a plan is made anew. What packets have left in theirs is kept: where it is laid out
//! as it was, both schemas' programs use the very same tables, so that it does not matter
//! which of them sees a packet. Where only the entries can be read, connections are copied,
//! before the first link is switched and after each that was; of one that begins in the
//! moment between the switches of both hooks of an interface, a reply may be taken for
//! nobody's, once. Tables of the old schema go when no link of its programs is left.

use std::fs;
use std::path::{Path, PathBuf};

use aya::maps::MapData;
use fw_common::wire::{
    BANS_SINCE, CONNECTIONS_READABLE_SINCE, CONNECTIONS_SINCE, FRAGMENTS_SINCE, SCHEMA_VERSION,
};

use super::error::DatapathError;
use super::flows::{Buckets, CONNTRACK, CONNTRACK_SEEDS, CONNTRACK_TALLY};
use super::limits::RATES;
use super::pins::{self, Pins, failed};
use super::single::SingleTable;
use super::tables::{NAMES, Tables, open_data, reading};

/// In the place of a schema's number: a datapath of this schema of whose tables somebody has
/// removed some. The programs hold them, and judge by them still, but nobody else can get
/// at them: it is left like that of an older schema.
pub const INCOMPLETE: u32 = 0;
/// Beginning of the name of a directory beside its tables, of which the rest is the number of
/// the schema by which they are laid out.
const LAYOUT: &str = "of-";

/// Tables that both schemas use, with the schema since which they are as they are now.
/// Those of a row belong together.
const SHARED: [(u32, &[&str]); 2] = [
    (
        CONNECTIONS_SINCE,
        &[
            CONNTRACK,
            CONNTRACK_SEEDS,
            CONNTRACK_TALLY,
            "OWN_PORTS",
            RATES,
        ],
    ),
    (FRAGMENTS_SINCE, &["FRAGMENTS"]),
];

/// A datapath of another schema that filters some interface.
pub struct Former {
    /// Its number.
    pub schema: u32,
    /// Its pins.
    root: PathBuf,
    /// Its connections, if they must be copied.
    connections: Option<Buckets>,
}

impl Former {
    fn maps(&self) -> PathBuf {
        self.root.join("maps")
    }

    /// Interfaces that its programs filter, by index.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn interfaces(&self) -> Result<Vec<u32>, DatapathError> {
        let mut interfaces: Vec<u32> = pins::links_in(&self.root)?
            .into_iter()
            .map(|pin| pin.index)
            .collect();
        interfaces.dedup();
        Ok(interfaces)
    }

    /// The connections that it remembers, if they are in a table of its own.
    #[must_use]
    pub const fn connections(&self) -> Option<&Buckets> {
        self.connections.as_ref()
    }
}

/// Makes room for this schema beside others, before anything is changed: refuses a newer
/// one whose programs filter, and removes what an upgrade that was broken off has made,
/// ours or a newer one's, as long as no program of it filters.
///
/// # Errors
/// A newer schema is in use, or a pin cannot be removed.
pub fn prepare(pins: &Pins) -> Result<(), DatapathError> {
    let others = others(pins.root())?;
    let mut older = false;
    for (schema, root) in &others {
        let in_use = is_in_use(root)?;
        if *schema < SCHEMA_VERSION {
            older |= in_use;
        } else if in_use {
            return Err(DatapathError::NewerSchema {
                path: root.clone(),
                found: *schema,
                known: SCHEMA_VERSION,
            });
        } else {
            pins::remove_tree(root)?;
        }
    }
    if older && pins.published() && !is_in_use(&pins.version())? {
        // What was remembered and banned meanwhile is in the older tables only.
        pins::remove_tree(&pins.version())?;
    }
    Ok(())
}

/// Sets the datapath of this schema aside if tables of it are missing, as [`INCOMPLETE`].
///
/// # Errors
/// A pin cannot be moved.
pub fn set_aside(pins: &Pins) -> Result<(), DatapathError> {
    if !pins.published() || missing(&pins.maps()).is_none() {
        return Ok(());
    }
    if !is_in_use(&pins.version())? {
        return pins::remove_tree(&pins.version());
    }
    let aside = pins::version_of(pins.root(), INCOMPLETE);
    if aside.exists() {
        // Set aside before, and not yet replaced everywhere. What filters is in the links.
        let links = aside.join("links");
        for pin in pins::links_in(&pins.version())? {
            let to = links.join(pins::link_name(pin.index, &pin.hook));
            fs::rename(&pin.path, to).map_err(failed("moving", &pin.path))?;
        }
        return pins::remove_tree(&pins.version());
    }
    let version = pins.version();
    let layout = version.join(format!("{LAYOUT}{SCHEMA_VERSION}"));
    fs::create_dir_all(&layout).map_err(failed("making", &layout))?;
    fs::rename(&version, aside).map_err(failed("moving", &version))
}

/// The schema by which tables are laid out.
fn layout(schema: u32, root: &Path) -> Result<u32, DatapathError> {
    if schema != INCOMPLETE {
        return Ok(schema);
    }
    let names = pins::names(root)?;
    let noted = names.iter().find_map(|name| name.strip_prefix(LAYOUT));
    Ok(noted.and_then(|noted| noted.parse().ok()).unwrap_or(schema))
}

/// A table that is not pinned in `maps`.
pub fn missing(maps: &Path) -> Option<&'static str> {
    NAMES.into_iter().find(|name| !maps.join(name).exists())
}

/// Puts the tables that both schemas use into `maps`, the directory of this one's, before
/// the loader makes them.
///
/// # Errors
/// The kernel refuses.
pub fn share(pins: &Pins, maps: &Path) -> Result<(), DatapathError> {
    // There are several only if one upgrade was broken off and followed by the next.
    let mut judging = others(pins.root())?;
    judging.retain(|(_, root)| is_in_use(root).unwrap_or(true));
    let Some((schema, root)) = judging.pop() else {
        return Ok(());
    };
    let schema = layout(schema, &root)?;
    for (since, names) in SHARED {
        let there = names
            .iter()
            .all(|name| root.join("maps").join(name).exists());
        if schema < since || !there {
            continue;
        }
        for name in names {
            let map = open_data(&root.join("maps"), name)?;
            map.pin(maps.join(name)).map_err(|error| {
                DatapathError::aya(format!("taking over the table {name}"), &error)
            })?;
        }
    }
    Ok(())
}

/// Bans whom the former datapath bans: the file of bans may be lost.
///
/// # Errors
/// The kernel refuses.
pub fn take_bans(pins: &Pins, tables: &mut Tables) -> Result<(), DatapathError> {
    for (schema, root) in others(pins.root())? {
        let maps = root.join("maps");
        // Of tables somebody may have removed some: the file of bans has them, too.
        let there = ["BANS", "BAN_FILTER"]
            .iter()
            .all(|name| maps.join(name).exists());
        if layout(schema, &root)? < BANS_SINCE || !there {
            continue;
        }
        for (address, until) in SingleTable::<u64>::bans(&maps)?.known() {
            tables.ban((*address).into(), *until)?;
        }
    }
    Ok(())
}

/// The older datapaths, the newest last.
///
/// # Errors
/// A directory or the table of connections cannot be read.
pub fn formers(pins: &Pins) -> Result<Vec<Former>, DatapathError> {
    let ours = id(&pins.maps())?;
    others(pins.root())?
        .into_iter()
        .map(|(schema, root)| {
            let mut former = Former {
                schema,
                root,
                connections: None,
            };
            let readable = layout(schema, &former.root)? >= CONNECTIONS_READABLE_SINCE;
            let maps = former.maps();
            if readable && maps.join(CONNTRACK).exists() && id(&maps)? != ours {
                former.connections = Some(Buckets::open(&maps)?);
            }
            Ok(former)
        })
        .collect()
}

/// Removes the tables of other schemas whose programs filter nothing any more.
///
/// # Errors
/// A pin cannot be removed.
pub fn retire(pins: &Pins) -> Result<(), DatapathError> {
    for (_, root) in others(pins.root())? {
        if !is_in_use(&root)? {
            pins::remove_tree(&root)?;
        }
    }
    Ok(())
}

/// A schema, not ours, whose programs filter.
///
/// # Errors
/// The pins cannot be read.
pub fn other_in_use(root: &Path) -> Result<Option<u32>, DatapathError> {
    for (schema, version) in others(root)? {
        if is_in_use(&version)? {
            return Ok(Some(schema));
        }
    }
    Ok(None)
}

/// Whether programs of the schema with these pins filter anything.
fn is_in_use(root: &Path) -> Result<bool, DatapathError> {
    Ok(!pins::links_in(root)?.is_empty())
}

/// Which map the table of connections is.
fn id(maps: &Path) -> Result<u32, DatapathError> {
    let info = open_data(maps, CONNTRACK)
        .and_then(|map: MapData| map.info().map_err(reading(CONNTRACK)))?;
    Ok(info.id())
}

/// Number and directory of every other schema, by number.
fn others(root: &Path) -> Result<Vec<(u32, PathBuf)>, DatapathError> {
    let mut others: Vec<_> = pins::versions(root)?
        .into_iter()
        .filter_map(|root| Some((pins::schema_of(&root)?, root)))
        .filter(|(schema, _)| *schema != SCHEMA_VERSION)
        .collect();
    others.sort();
    Ok(others)
}
