//! The model judging frames: the same interface as [`super::TestRun`], without a
//! kernel. The lines that decide are those of the programs; only the tables are
//! collections.

use std::net::IpAddr;

use fw_common::datapath;
use fw_common::model::{HeaderlessSlice, Model, ModelTables, PeerTables, SliceFrame};
use fw_common::wire::{ActiveWord, Fallback, NumberClasses, RuleTally};

use super::amend::amendment;
use super::image::Image;
use super::testrun::{Hook, Outcome, Verdict};
use crate::compile::plan::{DirectionPlan, Plan};
use crate::lookup;
use crate::netlink::LocalAddresses;

/// A node without a kernel.
#[derive(Default)]
pub struct ModelRun {
    model: Model,
    installed: u64,
    headerless: bool,
}

impl ModelRun {
    /// Judges by `plan` from now on, whatever was judged before.
    pub fn install(&mut self, plan: &Plan) {
        self.installed += 1;
        self.model.clear_rules();
        let next = 1 - self.model.active;
        let image = Image::of(plan);
        let peers = lookup::build(&image.peers).expect("what is compiled fits");
        let tables = ModelTables {
            // As in a test run, every event is wanted.
            generation: image.generation(self.installed, u32::MAX, peers.blocks()),
            limits: image.limits,
            ..tables(plan, peers)
        };
        self.model.generations[next as usize] = tables;
        self.model.active = next;
        self.model.trial = None;
        self.model.singles.clear();
    }

    /// Judges by `plan` for `seconds`, then by the plan before again.
    pub fn install_on_trial(&mut self, plan: &Plan, seconds: u64) {
        let former = ActiveWord::new(self.model.active)
            .with(ActiveWord::SINGLES, !self.model.singles.is_empty());
        let singles = std::mem::take(&mut self.model.singles);
        self.install(plan);
        self.model.singles = singles;
        let now = u64::from(self.model.clock.get());
        self.model.trial = Some(Fallback {
            deadline: (now + seconds) * 1_000_000_000,
            word: former,
            pad: 0,
        });
    }

    /// Judges by `plan` from now on, which differs from `old`, by which it judged, by few
    /// addresses. Returns whether it does.
    pub fn amend(&mut self, old: &Plan, plan: &Plan) -> bool {
        let Some(changes) = amendment(old, plan) else {
            return false;
        };
        let changes = changes.into_iter();
        let classes = changes.map(|(address, class)| (address.into(), u32::from(class)));
        self.model.singles.extend(classes);
        true
    }

    /// As [`super::TestRun::set_headerless`].
    pub const fn set_headerless(&mut self) {
        self.headerless = true;
    }

    /// Makes `addresses` those of the node.
    pub fn set_local(&mut self, addresses: &LocalAddresses) {
        let single = addresses.single().iter();
        self.model.local = single.map(|&address| address.into()).collect();
        self.model.local_prefixes = addresses.trie();
    }

    /// Bans an address until `until`, in nanoseconds of a clock that stands at
    /// [`Self::set_clock`]; 0: for good.
    pub fn ban(&mut self, address: IpAddr, until: u64) {
        self.model.bans.insert(address.into(), until);
    }

    /// Lifts every ban.
    pub fn unban_all(&mut self) {
        self.model.bans.clear();
    }

    /// Sets the clock, in seconds.
    pub fn set_clock(&mut self, seconds: u32) {
        self.model.clock.set(seconds);
    }

    /// Judges a frame, with the connections that former frames left.
    pub fn run(&mut self, hook: Hook, frame: &[u8]) -> Outcome {
        let whole = SliceFrame {
            bytes: frame,
            // The loopback interface, as in a test run.
            ifindex: 1,
            tag: None,
            forwarded: hook == Hook::TcEgressForwarded,
            // A test run has none either.
            servers: &[],
        };
        let verdict = if self.headerless {
            self.model.judge(&unwrapped(whole), hook.direction())
        } else {
            self.model.judge(&whole, hook.direction())
        };
        let verdict = match verdict {
            datapath::Verdict::Pass => Verdict::Pass,
            datapath::Verdict::Drop => Verdict::Drop,
        };
        let moved = self.model.take_counters().into_iter();
        Outcome {
            verdict,
            moved: moved
                .map(|((direction, counter), tally)| (direction, counter, tally))
                .collect(),
            event: self.model.take_events().pop(),
        }
    }

    /// As [`super::TestRun::rule_counters`].
    #[must_use]
    pub fn rule_counters(&self, rules: usize) -> Vec<RuleTally> {
        let counted = self.model.rules();
        let ids = (0..=u16::MAX).take(rules);
        ids.map(|rule| counted.get(&rule).copied().unwrap_or_default())
            .collect()
    }

    /// Lets seconds pass on the clock of the datapath, which stands still otherwise.
    pub fn let_pass(&mut self, seconds: u32) {
        let clock = &self.model.clock;
        clock.set(clock.get().wrapping_add(seconds));
    }

    /// Forgets connections, fragments, and who has passed how much.
    pub fn forget(&mut self) {
        self.model.forget();
    }

    /// Connections that are remembered.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.model.flows().len()
    }
}

/// The packet in a frame of Ethernet, as an interface without that header has it.
fn unwrapped(frame: SliceFrame<'_>) -> HeaderlessSlice<'_> {
    /// Addresses, and the ethertype behind them.
    const ADDRESSES: usize = 12;
    const HEADER: usize = ADDRESSES + 2;
    let ethertype = match frame.bytes.get(ADDRESSES..HEADER) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    };
    HeaderlessSlice {
        ethertype,
        packet: SliceFrame {
            bytes: frame.bytes.get(HEADER..).unwrap_or_default(),
            ..frame
        },
    }
}

/// The plan's tables as collections.
fn tables(plan: &Plan, peers: PeerTables) -> ModelTables {
    let [ingress, egress] = &plan.directions;
    ModelTables {
        peers,
        vlans: plan.vlans.clone(),
        ports: [ingress.ports.clone(), egress.ports.clone()],
        numbers: [numbers(ingress), numbers(egress)],
        cells: [ingress.cells.clone(), egress.cells.clone()],
        ..ModelTables::default()
    }
}

fn numbers(direction: &DirectionPlan) -> Option<Box<NumberClasses>> {
    let list = |classes: &[u16]| classes.try_into().ok();
    Some(Box::new(NumberClasses {
        icmp: list(&direction.icmp[0])?,
        icmpv6: list(&direction.icmp[1])?,
        protocol: list(&direction.protocols)?,
    }))
}

/// Whether two outcomes are the same but for what depends on the clock and on
/// how often a plan was installed.
#[must_use]
pub fn same(one: &Outcome, other: &Outcome) -> bool {
    let normal = |outcome: &Outcome| {
        let mut outcome = outcome.clone();
        outcome.moved.sort_by_key(|moved| (moved.0 as u8, moved.1));
        if let Some(event) = &mut outcome.event {
            (event.time, event.plan) = (0, 0);
        }
        outcome
    };
    normal(one) == normal(other)
}
