//! The datapath of a running node.
//!
//! Opening it changes nothing that packets notice: what is pinned is adopted as
//! it is. Dropping it changes nothing either: the filter goes on without us.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use fw_common::wire::{ActiveWord, Counter, Direction, GENERATIONS, Generation, RuleTally, Tally};

use super::attach::{self, Attached, AttachedProgram, Attacher, LinkRef, XdpWish};
use super::capture::TapPoint;
use super::error::DatapathError;
use super::events::EventReader;
use super::flows::{self, CONNTRACK, Pressure};
use super::former::{self, Former};
use super::generation::mode_of;
use super::holds::Holds;
use super::host::{self, TcKind};
use super::limits::{self, RATES};
use super::pins::{Pins, failed};
use super::programs::Programs;
use super::selftest::{SelfTest, Subject, Tested};
use super::switch::{set_mode, wait_for_packets, write_aside};
use super::tables::Tables;
use crate::compile::plan::{Mode, Plan};
use crate::netlink::LocalAddresses;

/// Events of each kind that a CPU reports in one window (128 ms at 250 Hz),
/// unless it is set otherwise: some thousand a second.
pub const EVENT_LIMIT: u32 = 200;

/// A generation that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Number that the daemon gave it.
    pub number: u64,
    /// Hash of the plan, see [`super::image::plan_hash`].
    pub hash: [u8; 16],
    /// Audit or enforce.
    pub mode: Mode,
    /// 0 or 1: where in the tables it is.
    pub index: u32,
}

impl Installed {
    pub(super) fn new(index: u32, generation: &Generation) -> Self {
        Self {
            number: generation.number,
            hash: generation.hash,
            mode: mode_of(generation),
            index,
        }
    }
}

/// Programs, tables and attachments of this node.
pub struct Datapath {
    pub(super) pins: Pins,
    pub(super) programs: Programs,
    pub(super) tables: Tables,
    attached: Vec<Attached>,
    holds: Holds,
    /// Of other schemas, until their last link is ours.
    formers: Vec<Former>,
    tc: TcKind,
    event_limit: u32,
    /// Interfaces that have programs of this process, by index.
    switched: BTreeSet<u32>,
    pub(super) self_test: SelfTest,
    /// Whether no packet can still see the generation that is not in force.
    pub(super) settled: bool,
    patience: Duration,
}

impl Datapath {
    /// Adopts what is pinned in `pin_dir`, or makes it, beside that of an older schema or
    /// of tables of which somebody has removed some: the programs of these judge until
    /// [`Self::attach`] replaces them.
    ///
    /// # Errors
    /// Kernel, capabilities or the BPF file system do not suffice, another
    /// process uses the directory, or what is pinned has another layout, or is of a newer
    /// schema that filters: then nothing has changed.
    pub fn open(pin_dir: &Path) -> Result<Self, DatapathError> {
        Self::open_with(pin_dir, TcKind::of_kernel())
    }

    /// [`Self::open`] with a way of attaching to TC that the kernel also has.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(pin_dir: &Path, tc: TcKind) -> Result<Self, DatapathError> {
        host::check()?;
        let pins = Pins::open(pin_dir)?;
        former::prepare(&pins)?;
        former::set_aside(&pins)?;
        let (programs, tables) = if pins.published() {
            // The tables first: the loader would silently make what is missing.
            let mut tables = Tables::open(&pins.maps())?;
            // Nobody knows of what a daemon was told that is no more.
            tables.clear_told();
            (Programs::load(&pins.maps(), &[])?, tables)
        } else {
            let memory = flows::memory();
            let sizes = [
                (CONNTRACK, flows::buckets_for(memory)),
                (RATES, limits::buckets_for(memory)),
            ];
            pins.publish(|maps| {
                former::share(&pins, maps)?;
                let programs = Programs::load(maps, &sizes)?;
                let mut tables = Tables::open(maps)?;
                former::take_bans(&pins, &mut tables)?;
                Ok((programs, tables))
            })?
        };
        pins.ensure_links()?;
        let attached = attach::adopt(&pins)?;
        let formers = former::formers(&pins)?;
        Ok(Self {
            pins,
            programs,
            tables,
            attached,
            holds: Holds::default(),
            formers,
            tc,
            event_limit: EVENT_LIMIT,
            switched: BTreeSet::new(),
            self_test: SelfTest::new(),
            settled: false,
            patience: attach::PATIENCE,
        })
    }

    /// How many events of each kind a CPU may report in one window, from the
    /// next [`Self::install`] on.
    pub fn set_event_limit(&mut self, limit: u32) {
        self.event_limit = limit;
    }

    pub(super) const fn event_limit(&self) -> u32 {
        self.event_limit
    }

    /// The generation in force, as the kernel says; `None` before the first.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn active(&self) -> Result<Option<Installed>, DatapathError> {
        let index = self.tables.active()?;
        let generation = self.tables.generation(index)?;
        Ok((generation.number != 0).then(|| Installed::new(index, &generation)))
    }

    /// Puts `plan` in force under `number` (not 0). Packets see the old plan or
    /// the new one, and when this returns, only the new one.
    ///
    /// # Errors
    /// The plan contradicts itself or does not fit, the kernel refuses, it returns something
    /// other than what was written, or the programs do not judge by it. The old plan stays.
    pub fn install(&mut self, plan: &Plan, number: u64) -> Result<Installed, DatapathError> {
        self.write(plan, number, None)
    }

    /// `trial`: for so long only, unless it is confirmed.
    pub(super) fn write(
        &mut self,
        plan: &Plan,
        number: u64,
        trial: Option<Duration>,
    ) -> Result<Installed, DatapathError> {
        let left = self.tables.end_trial()?;
        if left || !self.settled {
            wait_for_packets();
            self.settled = true;
        }
        let tables = &mut self.tables;
        let (index, header) = write_aside(tables, plan, number, self.event_limit)?;
        let word = ActiveWord::new(index);
        self.self_test.test_whole(plan, Subject { word, header })?;
        self.tables.flip_for(index, trial)?;
        wait_for_packets();
        Ok(Installed::new(index, &header))
    }

    /// Changes the mode of the plan in force, whoever installed it: the plan itself
    /// is not needed. When this returns, every packet meets the new mode; while a
    /// generation is on trial also after that. The number stays, the hash becomes that of the same plan in the new mode.
    ///
    /// # Errors
    /// There is no plan in force, or the kernel refuses. If only the new hash could
    /// not be made, the mode has changed all the same.
    pub fn set_mode(&mut self, mode: Mode) -> Result<Installed, DatapathError> {
        let Some(active) = self.active()? else {
            return Err(DatapathError::NoPlan);
        };
        set_mode(&mut self.tables, mode)?;
        let subject = self.subject()?;
        self.self_test.test_mode(subject);
        Ok(Installed::new(active.index, &subject.header))
    }

    /// Begins to test beside, by packets that nobody sends, whether the programs judge by
    /// `plan`, which is in force. Once that was done, every later plan is tested before it
    /// comes in force, and this does nothing for plans that were tested.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn self_test(&mut self, plan: &Plan) -> Result<(), DatapathError> {
        let subject = self.subject()?;
        self.self_test.test_in_force(&self.pins, plan, subject);
        Ok(())
    }

    /// What the last test found; `None` before the first.
    #[must_use]
    pub const fn tested(&self) -> Option<&Tested> {
        self.self_test.last()
    }

    /// What is in force, to be tested.
    pub(super) fn subject(&self) -> Result<Subject, DatapathError> {
        let index = self.tables.active()?;
        let singles = self.tables.has_singles(index)?;
        Ok(Subject {
            word: ActiveWord::new(index).with(ActiveWord::SINGLES, singles),
            header: self.tables.generation(index)?,
        })
    }

    /// The hash of what the tables in force really hold; equals
    /// [`super::image::plan_hash`] of the plan exactly if that is what packets see.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn read_back(&self) -> Result<[u8; 16], DatapathError> {
        let (_, image) = self.tables.read(self.tables.active()?)?;
        Ok(image.hash())
    }

    /// Makes `addresses` those of the node. Only packets to or from them are judged.
    ///
    /// # Errors
    /// The kernel refuses, or there are more of them than the tables hold.
    pub fn set_local_addresses(&mut self, addresses: &LocalAddresses) -> Result<(), DatapathError> {
        self.tables.set_local_addresses(addresses)
    }

    /// Has the next [`Self::set_local_addresses`] begin with what the kernel holds, and
    /// not with what this process knows to have written.
    pub fn distrust_local_addresses(&mut self) {
        self.tables.distrust_local_addresses();
    }

    /// Filters the interface from now on; on one that is filtered already, puts
    /// the present programs in the place of the old ones.
    ///
    /// # Errors
    /// See [`attach::attach`].
    pub fn attach(&mut self, link: &LinkRef, wish: XdpWish) -> Result<Attached, DatapathError> {
        self.pins.ensure_links()?;
        self.copy_connections()?;
        // A link that is to be replaced must go with its pin.
        self.holds.leave_to_pins(&self.pins, link.index)?;
        let mut attacher = Attacher {
            programs: &mut self.programs,
            pins: &self.pins,
            tc: self.tc,
            patience: &mut self.patience,
        };
        let attached = attach::attach(&mut attacher, link, wish);
        self.holds.hold(&self.pins, link.index)?;
        let attached = attached?;
        self.attached.retain(|known| known.link.index != link.index);
        self.attached.push(attached.clone());
        self.switched.insert(link.index);
        self.attached.sort_by(|a, b| a.link.cmp(&b.link));
        self.copy_connections()?;
        self.retire_formers()?;
        Ok(attached)
    }

    /// What programs of other schemas remember, and what they went on remembering until
    /// they were replaced.
    fn copy_connections(&mut self) -> Result<(), DatapathError> {
        let connections = self.formers.iter().filter_map(Former::connections);
        for connections in connections {
            let now = self.programs.now()?;
            self.tables.flows_mut().copy(now, connections)?;
        }
        Ok(())
    }

    fn retire_formers(&mut self) -> Result<(), DatapathError> {
        if self.formers.is_empty() {
            return Ok(());
        }
        former::retire(&self.pins)?;
        self.formers = former::formers(&self.pins)?;
        Ok(())
    }

    /// Interfaces that programs of another schema filter still, by their tables, each with
    /// the number of that schema, sorted.
    ///
    /// # Errors
    /// The pins cannot be read.
    pub fn unswitched(&self) -> Result<Vec<(LinkRef, u32)>, DatapathError> {
        let mut all = Vec::new();
        for former in &self.formers {
            for index in former.interfaces()? {
                let mut of = self.attached.iter().map(|attached| &attached.link);
                if let Some(link) = of.find(|link| link.index == index) {
                    all.push((link.clone(), former.schema));
                }
            }
        }
        all.sort();
        Ok(all)
    }

    /// What is attached, by interface index; after [`Self::open`], what a former
    /// process left.
    #[must_use]
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// Interfaces that this process has attached, and that the kernel does not have
    /// attached now or has no pin for, each with what is missing.
    #[must_use]
    pub fn lost(&self) -> Vec<(&Attached, String)> {
        let ids = self.programs.ids();
        let missing = |attached: &Attached| {
            let ours = self.switched.contains(&attached.link.index);
            let ids = ours.then_some(&ids);
            attach::missing(&self.pins, attached, ids)
        };
        let attached = self.attached.iter();
        attached
            .filter_map(|attached| Some((attached, missing(attached)?)))
            .collect()
    }

    /// The programs on interfaces that pins say are ours, asked of the kernel.
    ///
    /// # Errors
    /// The pins or the kernel cannot be read.
    pub fn attached_programs(&self) -> Result<Vec<AttachedProgram>, DatapathError> {
        attach::programs(&self.pins, self.programs.infos())
    }

    /// Pins the tables again where somebody has removed their pins or directories.
    /// Returns whether anything was missing: then the plan should be installed again,
    /// since blocks of peers that are not pinned cannot be read back. Links are the business of
    /// [`Self::lost`] and [`Self::attach`].
    ///
    /// # Errors
    /// The BPF file system refuses, or another process has come first.
    pub fn repin(&mut self) -> Result<bool, DatapathError> {
        let moved = self.pins.ensure_root()?;
        if !moved && self.programs.are_pinned(&self.pins.maps()) {
            return Ok(false);
        }
        if self.pins.published() {
            let maps = self.pins.maps();
            fs::create_dir_all(&maps).map_err(failed("making", &maps))?;
            self.programs.pin(&maps)?;
        } else {
            self.pins.publish(|maps| self.programs.pin(maps))?;
        }
        self.tables.peers.reopen(&self.pins.maps())?;
        self.patience = attach::PATIENCE;
        Ok(true)
    }

    /// Filters the interface `index` no longer; also for one that has vanished.
    ///
    /// # Errors
    /// A pin cannot be removed.
    pub fn detach_link(&mut self, index: u32) -> Result<(), DatapathError> {
        self.holds.release(index);
        attach::detach(&self.pins, index)?;
        self.attached.retain(|known| known.link.index != index);
        self.switched.remove(&index);
        self.retire_formers()
    }

    /// What became of packets, over all CPUs and since the tables were made.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn counters(&self) -> Result<Vec<(Direction, Counter, Tally)>, DatapathError> {
        self.tables.counters()
    }

    /// Packets that each of the first `rules` rules of the plan in force decided.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn rule_counters(&self, rules: usize) -> Result<Vec<RuleTally>, DatapathError> {
        self.tables.rule_counters(self.tables.active()?, rules)
    }

    /// The same of the generation `number`, in force or not; `None`: the kernel does not hold it.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn rule_counters_of(
        &self,
        number: u64,
        rules: usize,
    ) -> Result<Option<Vec<RuleTally>>, DatapathError> {
        for index in 0..GENERATIONS {
            if self.tables.generation(index)?.number == number {
                return self.tables.rule_counters(index, rules).map(Some);
            }
        }
        Ok(None)
    }

    /// The consumer of the events. There must be only one at a time.
    ///
    /// # Errors
    /// The ring buffer cannot be mapped.
    pub fn events(&mut self) -> Result<EventReader, DatapathError> {
        EventReader::open(&self.pins.maps())
    }

    /// Where it can be tapped. Nobody captures any more, whatever an earlier process has left.
    ///
    /// # Errors
    /// The kernel cannot be asked, or refuses.
    pub fn tap(&self) -> Result<TapPoint, DatapathError> {
        let point = TapPoint::new(self.pins.maps());
        point.close()?;
        Ok(point)
    }

    /// Events that were not reported, ever.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn lost_events(&self) -> Result<u64, DatapathError> {
        self.tables.lost_events()
    }

    /// How full the table of connections is.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn pressure(&self) -> Result<Pressure, DatapathError> {
        self.tables.flows().pressure(self.now()?)
    }

    /// Seconds of the datapath's clock.
    pub(super) fn now(&self) -> Result<u32, DatapathError> {
        self.programs.now()
    }
}
