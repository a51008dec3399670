//! A plan as the kernel's tables hold it: without the names of the rules.
//!
//! The image is what is compared and hashed: one built from a plan and one read
//! back from the kernel are equal exactly if packets are judged by that plan.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fw_common::wire::{
    Direction, Generation, GenerationFlags, MATRIX_BLOCK_WORDS, MATRIX_WORDS, RULES, RateLimit,
    VLANS, VerdictWord,
};
use sha2::{Digest, Sha256};

use super::clock::seconds_per_tick;
use super::error::DatapathError;
use super::limits;
use crate::compile::plan::{DirectionPlan, Mode, Plan};
use crate::lookup::Runs;
use crate::ranges::Number;

/// Both directions, in the order of their numbers.
pub const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Entries of a table that is indexed by port.
const PORTS: usize = 65_536;
/// Entries of a table that is indexed by ICMP type or protocol number.
const NUMBERS: usize = 256;

/// The content of one generation of the kernel's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// Audit or enforce.
    pub mode: Mode,
    /// Bits of the built-ins that are on.
    pub builtins: u32,
    /// Peer classes.
    pub rows: u32,
    /// VLAN class by id; empty where nothing depends on it.
    pub vlans: Cow<'a, [u16]>,
    /// Peer class by address.
    pub peers: Cow<'a, Runs>,
    /// Ingress, egress.
    pub directions: Cow<'a, [DirectionPlan; 2]>,
    /// Rate limits by rule.
    pub limits: BTreeMap<u16, RateLimit>,
}

/// The first 16 bytes of the plan's SHA-256, as [`Generation::hash`] and `status` show it.
#[must_use]
pub fn plan_hash(plan: &Plan) -> [u8; 16] {
    Image::of(plan).hash()
}

impl<'a> Image<'a> {
    /// The kernel's part of `plan`.
    #[must_use]
    pub fn of(plan: &'a Plan) -> Self {
        Self {
            mode: plan.mode,
            builtins: plan.builtins,
            rows: plan.rows,
            vlans: Cow::Borrowed(&plan.vlans),
            peers: Cow::Borrowed(&plan.peers),
            directions: Cow::Borrowed(&plan.directions),
            limits: limits::limits(plan),
        }
    }

    /// What the datapath reads beside the tables, of which those of peers have so
    /// many blocks.
    #[must_use]
    pub fn generation(&self, number: u64, event_limit: u32, peer_blocks: u32) -> Generation {
        Generation {
            number,
            hash: self.hash(),
            columns: [self.directions[0].columns, self.directions[1].columns],
            rows: self.rows,
            flags: self.flags(),
            builtins: self.builtins,
            event_limit,
            peer_blocks,
            seconds_per_tick: seconds_per_tick(),
            vlan_classes: vlan_classes(&self.vlans),
            pad: 0,
        }
    }

    /// [`GenerationFlags`]: the mode, whether the VLAN matters, and which directions deny
    /// anything, be it for its number.
    fn flags(&self) -> u32 {
        let mut flags = match self.mode {
            Mode::Enforce => GenerationFlags::ENFORCE,
            Mode::Audit => 0,
        };
        if !self.vlans.is_empty() {
            flags |= GenerationFlags::VLANS;
        }
        for direction in DIRECTIONS {
            let cells = &self.directions[direction as usize].cells;
            if cells.iter().any(|cell| !cell.always_passes()) {
                flags |= GenerationFlags::filters(direction);
            }
        }
        flags
    }

    /// First 16 bytes of the SHA-256 over everything, in a fixed order and width
    /// (little-endian), each list behind its length.
    #[must_use]
    pub fn hash(&self) -> [u8; 16] {
        let mut words = Words::default();
        let mut word = |value: u32| words.push(value);
        word(self.flags());
        word(self.builtins);
        word(self.rows);
        word(len(self.vlans.len()));
        for class in self.vlans.iter() {
            word(u32::from(*class));
        }
        word(len(self.peers.v4.len()));
        for (first, class) in &self.peers.v4 {
            word(*first);
            word(u32::from(*class));
        }
        word(len(self.peers.v6.len()));
        for (first, class) in &self.peers.v6 {
            for shift in [96, 64, 32, 0] {
                word((*first >> shift) as u32);
            }
            word(u32::from(*class));
        }
        for direction in self.directions.iter() {
            word(direction.columns);
            let classes = direction
                .ports
                .iter()
                .chain(&direction.icmp)
                .chain([&direction.protocols]);
            for table in classes {
                word(len(table.len()));
                for class in table {
                    word(u32::from(*class));
                }
            }
            word(len(direction.cells.len()));
            for cell in &direction.cells {
                word(cell.0);
            }
        }
        words.push(len(self.limits.len()));
        for (rule, limit) in &self.limits {
            words.push(u32::from(*rule));
            for part in [limit.interval, limit.tolerance] {
                words.push((part >> 32) as u32);
                words.push(part as u32);
            }
            words.push(limit.key);
            words.push(u32::from(u16::from_le_bytes(limit.prefix)));
        }
        let digest = words.finish();
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        hash
    }

    /// Whether the tables can hold the rest of `plan`, and every class and rule id
    /// exists.
    ///
    /// # Errors
    /// What is too large, or what contradicts what.
    pub fn check(plan: &Plan) -> Result<(), DatapathError> {
        let rules = plan.rules.len();
        fits("rule ids", rules, RULES as usize)?;
        let rows = plan.rows as usize;
        check(rows > 0, || "it has no peer class".into())?;
        check(plan.vlans.is_empty() || plan.vlans.len() == VLANS, || {
            format!("it has classes for {} of {VLANS} VLANs", plan.vlans.len())
        })?;
        let vlans = plan.vlan_classes() as usize;
        check_runs(&plan.peers.v4, rows)?;
        check_runs(&plan.peers.v6, rows)?;
        for (direction, name) in plan.directions.iter().zip(["ingress", "egress"]) {
            let columns = direction.columns as usize;
            fits(
                "verdict matrix",
                direction.cells.len(),
                MATRIX_WORDS as usize,
            )?;
            check(
                columns > 0 && direction.cells.len() == vlans * rows * columns,
                || {
                    format!(
                        "{name} has {} verdicts for {vlans} × {rows} × {columns} classes",
                        direction.cells.len()
                    )
                },
            )?;
            check(
                direction
                    .cells
                    .iter()
                    .all(|c| usize::from(c.rule()) < rules),
                || format!("{name} names a rule that there is not"),
            )?;
            check(
                direction.cells.iter().all(|cell| {
                    let rule = &plan.rules[usize::from(cell.rule())];
                    !cell.is_limited() || name == "ingress" && rule.rate.is_some()
                }),
                || format!("{name} limits a rule that has no rate"),
            )?;
            let tables = direction
                .ports
                .iter()
                .map(|table| (table, PORTS))
                .chain(direction.icmp.iter().map(|table| (table, NUMBERS)))
                .chain([(&direction.protocols, NUMBERS)]);
            for (table, length) in tables {
                check(table.len() == length, || {
                    format!("{name} has a class table of {} entries", table.len())
                })?;
                check(table.iter().all(|c| usize::from(*c) < columns), || {
                    format!("{name} names a service class that there is not")
                })?;
            }
        }
        Ok(())
    }
}

fn check_runs<N: Number>(runs: &[(N, u16)], rows: usize) -> Result<(), DatapathError> {
    let sound = |(first, class): &(N, u16)| {
        check(usize::from(*class) < rows, || {
            format!("{} has the peer class {class} of {rows}", first.address())
        })
    };
    runs.iter().try_for_each(sound)?;
    let zero = N::default();
    check(runs.first().is_some_and(|run| run.0 == zero), || {
        format!("{} has no peer class", zero.address())
    })?;
    check(runs.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1), || {
        "its runs are not in order, or neighbours are of one class".into()
    })
}

/// How many classes of VLANs `classes` names.
fn vlan_classes(classes: &[u16]) -> u32 {
    1 + u32::from(classes.iter().copied().max().unwrap_or(0))
}

/// Blocks that a direction's cells take.
#[must_use]
pub fn blocks(cells: usize) -> usize {
    cells.div_ceil(MATRIX_BLOCK_WORDS as usize)
}

/// The words of block `block` of `cells`; the rest of the last block is zero,
/// which is a denial by rule 0.
#[must_use]
pub fn block_words(cells: &[VerdictWord], block: usize) -> [u32; MATRIX_BLOCK_WORDS as usize] {
    let mut words = [0; MATRIX_BLOCK_WORDS as usize];
    let from = block * MATRIX_BLOCK_WORDS as usize;
    for (word, cell) in words.iter_mut().zip(cells.iter().skip(from)) {
        *word = cell.0;
    }
    words
}

/// Numbers on their way into a hash: millions of them, which one by one would take
/// longer to hand over than to hash.
#[derive(Default)]
struct Words {
    sha: Sha256,
    waiting: Vec<u8>,
}

impl Words {
    /// Bytes that are hashed at once.
    const AT_ONCE: usize = 1 << 14;

    fn push(&mut self, word: u32) {
        self.waiting.extend_from_slice(&word.to_le_bytes());
        if self.waiting.len() >= Self::AT_ONCE {
            self.sha.update(&self.waiting);
            self.waiting.clear();
        }
    }

    fn finish(mut self) -> [u8; 32] {
        self.sha.update(&self.waiting);
        self.sha.finalize().into()
    }
}

fn len(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn fits(table: &'static str, needed: usize, room: usize) -> Result<(), DatapathError> {
    if needed <= room {
        return Ok(());
    }
    Err(DatapathError::Capacity {
        table,
        needed,
        room,
    })
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Result<(), DatapathError> {
    if holds {
        return Ok(());
    }
    Err(DatapathError::Plan(why()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::plan::PlanRule;

    /// Two peer classes, two service classes: 10.0.0.0/8 may reach TCP 22.
    pub fn plan() -> Plan {
        let rule = |name: &str, allow| PlanRule {
            policy: name.into(),
            rule: name.into(),
            origin: String::new(),
            direction: Some(Direction::Ingress),
            allow,
            match_type: "all",
            rate: None,
            vlans: None,
            log: String::new(),
        };
        let mut tcp = vec![0; PORTS];
        tcp[22] = 1;
        let direction = DirectionPlan {
            columns: 2,
            ports: [tcp, vec![0; PORTS], vec![0; PORTS]],
            icmp: [vec![0; NUMBERS], vec![0; NUMBERS]],
            protocols: vec![0; NUMBERS],
            cells: vec![
                VerdictWord::default_deny(1),
                VerdictWord::default_deny(1),
                VerdictWord::default_deny(1),
                VerdictWord::allow(2),
            ],
        };
        let open = DirectionPlan {
            cells: vec![VerdictWord::allow(0); 4],
            ..direction.clone()
        };
        Plan {
            mode: Mode::Enforce,
            builtins: 0,
            peers: Runs {
                v4: vec![(0, 0), (0x0a00_0000, 1), (0x0b00_0000, 0)],
                v6: vec![(0, 0)],
            },
            rows: 2,
            vlans: Vec::new(),
            directions: [direction, open],
            rules: vec![
                rule("no-policy", true),
                rule("deny", false),
                rule("a", true),
            ],
        }
    }

    #[test]
    fn every_part_changes_the_hash() {
        let plan = plan();
        let mut seen = std::collections::BTreeSet::from([plan_hash(&plan)]);
        let mut differs = |change: &dyn Fn(&mut Plan)| {
            let mut other = plan.clone();
            change(&mut other);
            assert!(seen.insert(plan_hash(&other)));
        };
        differs(&|p| p.mode = Mode::Audit);
        differs(&|p| p.builtins = 1);
        differs(&|p| p.vlans = vec![0; VLANS]);
        differs(&|p| {
            p.vlans = vec![0; VLANS];
            p.vlans[212] = 1;
        });
        differs(&|p| p.peers.v4[1].1 = 0);
        differs(&|p| p.peers.v4[2].0 = 0x0a80_0000);
        differs(&|p| p.peers.v6[0].1 = 1);
        differs(&|p| p.directions[0].ports[0][443] = 1);
        differs(&|p| p.directions[0].ports[1][443] = 1);
        differs(&|p| p.directions[0].icmp[1][8] = 1);
        differs(&|p| p.directions[1].protocols[112] = 1);
        differs(&|p| p.directions[0].cells[0] = VerdictWord::allow(2));
        differs(&|p| p.directions[1].cells[3] = VerdictWord::allow(2));
        differs(&|p| p.directions[1].cells[2] = VerdictWord::allow(2));
    }

    #[test]
    fn names_of_rules_are_no_part_of_the_hash() {
        let mut other = plan();
        other.rules[2].policy = "renamed".into();
        assert_eq!(plan_hash(&other), plan_hash(&plan()));
    }

    #[test]
    fn flags_say_which_direction_denies_anything() {
        let plan = plan();
        assert_eq!(
            Image::of(&plan).flags(),
            GenerationFlags::ENFORCE | GenerationFlags::FILTERS_INGRESS
        );
    }

    #[test]
    fn a_sound_plan_passes_and_each_contradiction_is_named() {
        let good = plan();
        Image::check(&good).unwrap();
        let refused = |change: &dyn Fn(&mut Plan), says: &str| {
            let mut bad = plan();
            change(&mut bad);
            let error = Image::check(&bad).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        };
        refused(
            &|p| p.peers.v4[1].1 = 2,
            "10.0.0.0 has the peer class 2 of 2",
        );
        refused(&|p| p.peers.v6.clear(), ":: has no peer class");
        refused(&|p| p.peers.v4[0].0 = 1, "0.0.0.0 has no peer class");
        refused(&|p| p.peers.v4.swap(1, 2), "not in order");
        refused(&|p| p.peers.v4[1].1 = 0, "neighbours are of one class");
        refused(&|p| p.directions[0].columns = 3, "4 verdicts for 1 × 2 × 3");
        refused(&|p| p.directions[0].ports[2][9] = 2, "a service class");
        refused(&|p| drop(p.rules.pop()), "names a rule");
        refused(&|p| p.vlans = vec![0; 7], "classes for 7 of 4096 VLANs");
        refused(
            &|p| {
                p.vlans = vec![0; VLANS];
                p.vlans[212] = 1;
            },
            "4 verdicts for 2 × 2 × 2 classes",
        );
        refused(&|p| p.directions[1].protocols.truncate(255), "255 entries");
    }

    #[test]
    fn blocks_are_filled_up_with_denials() {
        let cells = vec![VerdictWord::allow(1); MATRIX_BLOCK_WORDS as usize + 1];
        assert_eq!(blocks(cells.len()), 2);
        let last = block_words(&cells, 1);
        assert_eq!(last[0], VerdictWord::allow(1).0);
        assert!(last[1..].iter().all(|word| *word == 0));
    }
}
