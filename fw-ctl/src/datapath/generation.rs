//! Writing a plan into one generation of the tables, and reading it back.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use fw_common::model::PeerTables;
use fw_common::wire::{
    Generation, GenerationFlags, MATRIX_BLOCKS, MATRIX_WORDS, MatrixBlock, NumberClasses,
    PORT_PROTOCOLS, RateLimit, VLANS, VerdictWord, VlanClasses, direction_index, matrix_index,
    port_index, rule_index,
};

use super::command;
use super::error::DatapathError;
use super::image::{DIRECTIONS, Image, block_words, blocks};
use super::limits::RATE_LIMITS;
use super::tables::{Tables, VLANS as VLAN_CLASSES, reading, writing};
use crate::compile::plan::{DirectionPlan, Mode};
use crate::lookup;

impl Tables {
    /// Makes the generation `index`, which must not be in force, hold `image`, its
    /// `peers` as tables, and nothing else. The header comes last.
    ///
    /// # Errors
    /// The kernel refuses, or a table is full.
    pub(super) fn write(
        &mut self,
        index: u32,
        image: &Image<'_>,
        peers: &PeerTables,
        header: Generation,
    ) -> Result<(), DatapathError> {
        let old = self.generation(index)?;
        self.peers.write(index, peers)?;
        // Where no flag asks for it, the table is never read.
        if let Ok(classes) = <[u16; VLANS]>::try_from(&*image.vlans) {
            self.vlans
                .set(index, VlanClasses(classes), 0)
                .map_err(writing(VLAN_CLASSES))?;
        }
        for direction in DIRECTIONS {
            let side = direction as usize;
            let plan = &image.directions[side];
            for (slot, classes) in (0..PORT_PROTOCOLS).zip(&plan.ports) {
                let at = port_index(index, direction, slot);
                command::write(&mut self.ports, at, classes)
                    .map_err(|error| DatapathError::io("writing the table PORTS", &error))?;
            }
            self.numbers
                .set(direction_index(index, direction), number_classes(plan), 0)
                .map_err(writing("NUMBERS"))?;
            // Blocks of a larger plan that stood here before are zeroed: denials.
            let stale = blocks(cells(&old, side));
            let count = blocks(plan.cells.len()).max(stale.min(MATRIX_BLOCKS as usize));
            for (block, number) in (0..count).zip(0..MATRIX_BLOCKS) {
                let at = matrix_index(index, direction, number);
                self.matrix
                    .set(at, MatrixBlock(block_words(&plan.cells, block)), 0)
                    .map_err(writing("MATRIX"))?;
            }
        }
        // Those of rules without a limit are never read.
        for (rule, limit) in &image.limits {
            self.limits
                .set(rule_index(index, *rule), limit, 0)
                .map_err(writing(RATE_LIMITS))?;
        }
        self.generations
            .set(index, header, 0)
            .map_err(writing("GENERATION"))
    }

    /// Changes the mode of the generation `index`, which may be in force, and with
    /// it the hash.
    ///
    /// In place: of what packets look at, only the bit of the mode changes, in one
    /// word that is written whole, so that each packet is dropped or passes by one
    /// mode or the other. That makes it safe also where no room is left for a
    /// second copy of the plan. The bit comes first, because who opens a node in
    /// distress should not wait until a million prefixes are hashed.
    ///
    /// Tables that were not those of the old hash keep it, so that who reads
    /// them back goes on to see it.
    ///
    /// # Errors
    /// The kernel cannot be asked, or refuses.
    pub(super) fn set_mode(&mut self, index: u32, mode: Mode) -> Result<Generation, DatapathError> {
        let mut header = self.generation(index)?;
        let former = mode_of(&header);
        header = header_in_mode(header, mode);
        self.generations
            .set(index, header, 0)
            .map_err(writing("GENERATION"))?;
        let (_, mut image) = self.read(index)?;
        image.mode = former;
        if image.hash() == header.hash {
            image.mode = mode;
            header.hash = image.hash();
            self.generations
                .set(index, header, 0)
                .map_err(writing("GENERATION"))?;
        }
        Ok(header)
    }

    /// What the kernel holds in the generation `index`.
    ///
    /// # Errors
    /// The kernel cannot be asked, or the header names more than the tables hold.
    pub(super) fn read(&self, index: u32) -> Result<(Generation, Image<'static>), DatapathError> {
        let header = self.generation(index)?;
        let tables = self.peers.read(index, header.peer_blocks)?;
        let peers = lookup::read(&tables).map_err(|why| DatapathError::Differs {
            what: format!("the peer tables are broken: {why}"),
        })?;
        let peers = if self.has_singles(index)? {
            peers.with(&self.singles()?)
        } else {
            peers
        };
        let ingress = self.read_direction(index, &header, 0)?;
        let egress = self.read_direction(index, &header, 1)?;
        let image = Image {
            mode: mode_of(&header),
            builtins: header.builtins,
            rows: header.rows,
            vlans: Cow::Owned(self.read_vlans(index, &header)?),
            peers: Cow::Owned(peers),
            limits: self.read_limits(index, &ingress)?,
            directions: Cow::Owned([ingress, egress]),
        };
        Ok((header, image))
    }

    /// Whether the generation `index` holds exactly what [`Self::write`] was given.
    ///
    /// # Errors
    /// It does not: which table differs.
    pub(super) fn verify(
        &self,
        index: u32,
        image: &Image<'_>,
        peers: &PeerTables,
        header: &Generation,
    ) -> Result<(), DatapathError> {
        let differs = |what: String| Err(DatapathError::Differs { what });
        if self.generation(index)? != *header {
            return differs("the header of the generation".into());
        }
        if self.peers.read(index, header.peer_blocks)? != *peers {
            return differs("the peer tables".into());
        }
        if self.read_vlans(index, header)? != *image.vlans {
            return differs("the classes of VLANs".into());
        }
        let names = ["ingress", "egress"];
        for (side, (written, name)) in image.directions.iter().zip(names).enumerate() {
            let found = self.read_direction(index, header, side)?;
            if found.cells != written.cells {
                return differs(format!("the verdicts of {name}"));
            }
            if found != *written {
                return differs(format!("the service classes of {name}"));
            }
        }
        if self.read_limits(index, &image.directions[0])? != image.limits {
            return differs("the rate limits".into());
        }
        Ok(())
    }

    /// The limits of the rules that have one in the verdicts of `ingress`.
    fn read_limits(
        &self,
        index: u32,
        ingress: &DirectionPlan,
    ) -> Result<BTreeMap<u16, RateLimit>, DatapathError> {
        let limited = ingress.cells.iter().filter(|cell| cell.is_limited());
        let rules: BTreeSet<u16> = limited.map(|cell| cell.rule()).collect();
        rules
            .into_iter()
            .map(|rule| {
                let limit = self.limits.get(&rule_index(index, rule), 0);
                Ok((rule, limit.map_err(reading(RATE_LIMITS))?))
            })
            .collect()
    }

    /// The classes of VLANs, if packets ask for them.
    fn read_vlans(&self, index: u32, header: &Generation) -> Result<Vec<u16>, DatapathError> {
        if header.flags & GenerationFlags::VLANS == 0 {
            return Ok(Vec::new());
        }
        let classes = self.vlans.get(&index, 0).map_err(reading(VLAN_CLASSES))?;
        Ok(classes.0.to_vec())
    }

    fn read_direction(
        &self,
        index: u32,
        header: &Generation,
        side: usize,
    ) -> Result<DirectionPlan, DatapathError> {
        let direction = DIRECTIONS[side];
        let columns = header.columns[side];
        let count = cells(header, side);
        if count > MATRIX_WORDS as usize {
            return Err(DatapathError::Differs {
                what: format!("the header names {count} verdicts, more than there can be"),
            });
        }
        let mut cells = Vec::with_capacity(count);
        for (number, _) in (0..MATRIX_BLOCKS).zip(0..blocks(count)) {
            let at = matrix_index(index, direction, number);
            let words = self.matrix.get(&at, 0).map_err(reading("MATRIX"))?.0;
            cells.extend(words.into_iter().map(VerdictWord));
        }
        cells.truncate(count);
        let read_ports = |slot| {
            let at = port_index(index, direction, slot);
            command::read(&self.ports, at)
                .map_err(|error| DatapathError::io("reading the table PORTS", &error))
        };
        let numbers = self
            .numbers
            .get(&direction_index(index, direction), 0)
            .map_err(reading("NUMBERS"))?;
        Ok(DirectionPlan {
            columns,
            ports: [read_ports(0)?, read_ports(1)?, read_ports(2)?],
            icmp: [numbers.icmp.to_vec(), numbers.icmpv6.to_vec()],
            protocols: numbers.protocol.to_vec(),
            cells,
        })
    }
}

/// Verdicts of one direction; saturated, for what is no plan.
fn cells(header: &Generation, side: usize) -> usize {
    let rows = (header.vlan_classes as usize).saturating_mul(header.rows as usize);
    rows.saturating_mul(header.columns[side] as usize)
}

/// The header of the same plan in `mode`; its hash is not changed.
pub fn header_in_mode(header: Generation, mode: Mode) -> Generation {
    let flags = match mode {
        Mode::Enforce => header.flags | GenerationFlags::ENFORCE,
        Mode::Audit => header.flags & !GenerationFlags::ENFORCE,
    };
    Generation { flags, ..header }
}

/// Whether the generation drops what is denied.
pub(super) fn mode_of(header: &Generation) -> Mode {
    if header.flags & GenerationFlags::ENFORCE == 0 {
        Mode::Audit
    } else {
        Mode::Enforce
    }
}

fn number_classes(plan: &DirectionPlan) -> NumberClasses {
    let table = |classes: &[u16]| {
        let mut table = [0; 256];
        for (to, from) in table.iter_mut().zip(classes) {
            *to = *from;
        }
        table
    };
    NumberClasses {
        icmp: table(&plan.icmp[0]),
        icmpv6: table(&plan.icmp[1]),
        protocol: table(&plan.protocols),
    }
}
