//! The kernel's tables as collections.

use std::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use std::collections::{BTreeMap, BTreeSet};

use super::PeerTables;
use crate::datapath::Scratch;
use crate::datapath::flows::Bucket;
use crate::datapath::rate::{self, Peers, Question};
use crate::datapath::tables::{Numbers, Tables, View};
use crate::datapath::told::{self, Told};
use crate::datapath::{Verdict, run};
use crate::lookup;
use crate::packet::Packet;
use crate::wire::{
    ActiveWord, Address, CLOCK_UNITS, Counter, Direction, Event, EventKind, Fallback, FlowBucket,
    FlowKey, FlowSeeds, FlowState, FlowTally, FragmentKey, FragmentProgress, FragmentState,
    GENERATIONS, Generation, MATRIX_WORDS, NumberClasses, RULES, RateBucket, RateLimit, RuleTally,
    TOLD_BUCKETS, Tally, ToldBucket, VerdictWord, ban_holds, direction_index,
};

/// Fragments that the model remembers: as many as fit, then it forgets like the
/// kernel's LRU map, but the lowest key first.
const CAPACITY: usize = 65_536;
/// Buckets of connections.
const FLOW_BUCKETS: u32 = 1_024;
/// Buckets of peers with a rate limit.
const RATE_BUCKETS: u32 = 64;
/// Any numbers: nobody attacks a model.
const FLOW_SEEDS: FlowSeeds = FlowSeeds {
    random: [
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
        0xd6e8_feb8_6659_fd93,
        0xa5a5_1ce1_9b2d_6f03,
        0xc2b2_ae3d_27d4_eb4f,
        0x1656_67b1_9e37_79f9,
        0x27d4_eb2f_1656_67c5,
        0xff51_afd7_ed55_8ccd,
        0xc4ce_b9fe_1a85_ec53,
        0x8764_000b_3f1a_7d29,
    ],
    buckets: FLOW_BUCKETS,
    rate_buckets: RATE_BUCKETS,
};

/// One generation.
#[derive(Default)]
pub struct ModelTables {
    /// What the plan says of itself; `number` 0: never installed.
    pub generation: Generation,
    /// Peer classes by address.
    pub peers: PeerTables,
    /// By VLAN id: 4,096 classes, or none where no flag asks for them.
    pub vlans: Vec<u16>,
    /// By direction and slot (TCP, UDP, SCTP): 65,536 classes.
    pub ports: [[Vec<u16>; 3]; 2],
    /// By direction.
    pub numbers: [Option<Box<NumberClasses>>; 2],
    /// By direction.
    pub cells: [Vec<VerdictWord>; 2],
    /// By rule.
    pub limits: BTreeMap<u16, RateLimit>,
}

/// A node without a kernel.
#[derive(Default)]
pub struct Model {
    /// The two generations.
    pub generations: [ModelTables; GENERATIONS as usize],
    /// Which of them packets see.
    pub active: u32,
    /// The generation that they see is on trial; then `singles` belong to the one before.
    pub trial: Option<Fallback>,
    /// Addresses of the node.
    pub local: BTreeSet<Address>,
    /// Networks of the node by (prefix length, network), both mapped: whether the
    /// longest that fits makes an address the node's.
    pub local_prefixes: BTreeMap<(u8, Address), bool>,
    /// Classes of single addresses, beside the generation in force.
    pub singles: BTreeMap<Address, u32>,
    /// Banned addresses: until when, in nanoseconds of the clock; 0: for good.
    pub bans: BTreeMap<Address, u64>,
    /// The clock, in seconds.
    pub clock: Cell<u32>,
    flows: OnceCell<Vec<UnsafeCell<FlowBucket>>>,
    flow_tally: Cell<FlowTally>,
    rates: OnceCell<Vec<UnsafeCell<RateBucket>>>,
    told: OnceCell<Vec<UnsafeCell<ToldBucket>>>,
    ports_seen: RefCell<BTreeMap<u16, u32>>,
    fragments: RefCell<BTreeMap<FragmentKey, FragmentState>>,
    counters: RefCell<BTreeMap<(Direction, Counter), Tally>>,
    rules: RefCell<BTreeMap<u16, RuleTally>>,
    events: RefCell<Vec<Event>>,
}

impl Model {
    /// Judges a frame.
    pub fn judge<P: Packet>(&self, frame: &P, direction: Direction) -> Verdict {
        run(frame, self, direction)
    }

    /// Forgets connections, fragments, who has passed how much, and what was reported.
    pub fn forget(&mut self) {
        self.rates = OnceCell::new();
        self.told = OnceCell::new();
        for bucket in self.buckets() {
            bucket.clear();
        }
        self.ports_seen.borrow_mut().clear();
        self.fragments.borrow_mut().clear();
    }

    /// Connections that are remembered.
    pub fn flows(&self) -> BTreeMap<FlowKey, FlowState> {
        self.buckets().flat_map(Bucket::iter).collect()
    }

    /// How many were remembered ever, and how many of them displaced.
    pub fn flow_tally(&self) -> FlowTally {
        self.flow_tally.get()
    }

    /// The buckets that were ever asked for are all there or none is.
    fn buckets(&self) -> impl Iterator<Item = Bucket<'_>> {
        let made = self.flows.get().map(Vec::as_slice).unwrap_or_default();
        made.iter().map(bucket)
    }

    /// Counters that moved since the last call.
    pub fn take_counters(&self) -> BTreeMap<(Direction, Counter), Tally> {
        self.counters.take()
    }

    /// Rules whose counters moved since [`Self::clear_rules`].
    pub fn rules(&self) -> BTreeMap<u16, RuleTally> {
        self.rules.borrow().clone()
    }

    /// Sets the counters of the rules to zero.
    pub fn clear_rules(&self) {
        self.rules.take();
    }

    /// Events reported since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        self.events.take()
    }

    fn nanoseconds(&self) -> u64 {
        u64::from(self.clock.get()) * 1_000_000_000
    }

    fn table(&self, generation: u32) -> Option<&ModelTables> {
        self.generations.get(generation as usize)
    }
}

impl Tables for Model {
    fn active(&self) -> Option<View<'_>> {
        let word = ActiveWord::new(self.active)
            .with(ActiveWord::LOCAL_PREFIXES, !self.local_prefixes.is_empty())
            .with(ActiveWord::BANS, !self.bans.is_empty());
        let word = match &self.trial {
            None => word.with(ActiveWord::SINGLES, !self.singles.is_empty()),
            Some(fallback) => {
                let word = word.with(ActiveWord::ON_TRIAL, true);
                fallback.resolve(word, self.nanoseconds())
            }
        };
        let index = word.index();
        let plan = &self.table(index)?.generation;
        (plan.number != 0).then_some(View { index, plan, word })
    }

    fn is_local(&self, view: View<'_>, address: &Address) -> bool {
        let longest = || {
            (0..=128).rev().find_map(|length| {
                let network = address.masked(6, length);
                self.local_prefixes.get(&(length, network)).copied()
            })
        };
        self.local.contains(address)
            || view.word.asks(ActiveWord::LOCAL_PREFIXES) && longest() == Some(true)
    }

    fn peer_class(&self, view: View<'_>, family: u8, address: &Address) -> Option<u32> {
        if view.word.asks(ActiveWord::SINGLES)
            && let Some(class) = self.singles.get(address)
            && (family == 4 || !address.is_mapped())
        {
            return Some(*class);
        }
        let peers = &self.table(view.index)?.peers;
        if family == 4 {
            lookup::v4(peers, address)
        } else {
            lookup::v6(peers, address)
        }
    }

    fn vlan_class(&self, generation: u32, vlan: u16) -> Option<u32> {
        let class = self.table(generation)?.vlans.get(usize::from(vlan))?;
        Some(u32::from(*class))
    }

    fn is_banned(&self, _view: View<'_>, address: &Address) -> bool {
        let now = self.nanoseconds();
        self.bans
            .get(address)
            .is_some_and(|until| ban_holds(*until, now))
    }

    fn port_class(&self, table: u32, port: u16) -> Option<u32> {
        let (index, slot) = (table / 3, table as usize % 3);
        let class =
            self.table(index / 2)?.ports[index as usize % 2][slot].get(usize::from(port))?;
        Some(u32::from(*class))
    }

    fn number_class(&self, table: u32, numbers: Numbers, number: u8) -> Option<u32> {
        let classes = self.table(table / 2)?.numbers[table as usize % 2].as_ref()?;
        let list = match numbers {
            Numbers::Icmp => &classes.icmp,
            Numbers::Icmpv6 => &classes.icmpv6,
            Numbers::Protocol => &classes.protocol,
        };
        Some(u32::from(list[usize::from(number)]))
    }

    fn verdict(&self, generation: u32, direction: Direction, cell: u32) -> Option<VerdictWord> {
        debug_assert_eq!(direction_index(0, direction), direction as u32);
        if cell >= MATRIX_WORDS {
            return None;
        }
        let cells = &self.table(generation)?.cells[direction as usize];
        cells.get(cell as usize).copied()
    }

    fn flow_seeds(&self) -> Option<&FlowSeeds> {
        Some(&FLOW_SEEDS)
    }

    fn flow_bucket(&self, number: u32) -> Option<Bucket<'_>> {
        let empty = || (0..FLOW_BUCKETS).map(|_| UnsafeCell::default()).collect();
        self.flows
            .get_or_init(empty)
            .get(number as usize)
            .map(bucket)
    }

    fn count_flow(&self, displaced: bool) {
        let mut tally = self.flow_tally.get();
        tally.begun += 1;
        tally.displaced += u64::from(displaced);
        self.flow_tally.set(tally);
    }

    fn is_rate_exceeded(&self, question: Question) -> bool {
        rate::judge(self, question)
    }

    fn rate_limit(&self, rule: u32) -> Option<&RateLimit> {
        let (generation, rule) = (rule / RULES, (rule % RULES) as u16);
        self.table(generation)?.limits.get(&rule)
    }

    fn rate_bucket(&self, number: u32) -> Option<Peers<'_>> {
        let empty = || (0..RATE_BUCKETS).map(|_| UnsafeCell::default()).collect();
        let memory = self.rates.get_or_init(empty).get(number as usize)?;
        // SAFETY: as for the buckets of connections, below.
        Some(unsafe { Peers::new(memory.get()) })
    }

    fn is_told(&self, hash: u64, now: u32) -> bool {
        told::is_told(self, hash, now)
    }

    fn told(&self, bucket: u32) -> Option<Told<'_>> {
        let empty = || (0..TOLD_BUCKETS).map(|_| UnsafeCell::default()).collect();
        let memory = self.told.get_or_init(empty).get(bucket as usize)?;
        // SAFETY: as for the buckets of connections, below.
        Some(unsafe { Told::new(memory.get()) })
    }

    fn scratch<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> Option<R> {
        Some(work(&mut Scratch::default()))
    }

    fn fragment<R>(
        &self,
        key: &FragmentKey,
        step: impl FnOnce(&FragmentState, &mut FragmentProgress) -> R,
    ) -> Option<R> {
        let mut fragments = self.fragments.borrow_mut();
        let entry = fragments.get_mut(key)?;
        let mut progress = entry.progress;
        let result = step(entry, &mut progress);
        entry.progress = progress;
        Some(result)
    }

    fn set_fragment(&self, key: &FragmentKey, state: &FragmentState) {
        insert(&mut self.fragments.borrow_mut(), *key, *state);
    }

    fn count(&self, direction: Direction, counter: Counter, bytes: u32) {
        let mut counters = self.counters.borrow_mut();
        let tally = counters.entry((direction, counter)).or_default();
        tally.packets += 1;
        tally.bytes += u64::from(bytes);
    }

    fn count_rule(&self, _generation: u32, rule: u16, bytes: u32, beyond: bool) {
        let mut rules = self.rules.borrow_mut();
        let tally = rules.entry(rule).or_default();
        if beyond {
            tally.limited += 1;
        } else {
            tally.packets += 1;
            tally.bytes += u64::from(bytes);
        }
    }

    fn may_report(&self, _kind: EventKind, _slot: u32, limit: u32) -> bool {
        limit > 0
    }

    fn snaplen(&self) -> u32 {
        0
    }

    fn report<P: Packet>(&self, _packet: &P, fill: impl FnOnce(&mut Event)) {
        let mut event = Event::default();
        fill(&mut event);
        self.events.borrow_mut().push(event);
    }

    fn port_seen(&self, port: u16) -> u32 {
        let ports = self.ports_seen.borrow();
        ports.get(&port).copied().unwrap_or_default()
    }

    fn set_port_seen(&self, port: u16, now: u32) {
        self.ports_seen.borrow_mut().insert(port, now);
    }

    fn clock(&self, _plan: &Generation) -> u64 {
        u64::from(self.clock.get()) * CLOCK_UNITS
    }

    fn clock_of(&self, generation: u32) -> Option<u64> {
        Some(self.clock(&self.table(generation)?.generation))
    }
}

fn bucket(memory: &UnsafeCell<FlowBucket>) -> Bucket<'_> {
    // SAFETY: a cell of the model, which is not shared between threads and hands out
    // no other reference to it.
    unsafe { Bucket::new(memory.get()) }
}

fn insert<K: Ord + Copy, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    if map.len() >= CAPACITY && !map.contains_key(&key) {
        map.pop_first();
    }
    map.insert(key, value);
}

impl Address {
    /// The network of `length` bits that the address is in.
    #[must_use]
    pub fn masked(&self, family: u8, length: u8) -> Self {
        let bits = u128::from_be_bytes(self.bytes());
        let kept = if family == 4 { length + 96 } else { length };
        let mask = u128::MAX.checked_shl(128 - u32::from(kept)).unwrap_or(0);
        Self::v6((bits & mask).to_be_bytes())
    }
}
