//! The kernel's tables as collections.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::PeerTables;
use crate::datapath::tables::{Numbers, Tables, View};
use crate::datapath::{Verdict, run};
use crate::lookup;
use crate::packet::Packet;
use crate::wire::{
    ActiveWord, Address, Counter, Direction, Event, FlowKey, FlowState, FragmentKey, GENERATIONS,
    Generation, L4, MATRIX_WORDS, NumberClasses, Tally, VerdictWord, ban_holds, direction_index,
};

/// Connections and fragments that the model remembers: as many as fit, then it
/// forgets like the kernel's LRU maps, but the lowest key first.
const CAPACITY: usize = 65_536;

/// One generation.
#[derive(Default)]
pub struct ModelTables {
    /// What the plan says of itself; `number` 0: never installed.
    pub generation: Generation,
    /// Peer classes by address.
    pub peers: PeerTables,
    /// By direction and slot (TCP, UDP, SCTP): 65,536 classes.
    pub ports: [[Vec<u16>; 3]; 2],
    /// By direction.
    pub numbers: [Option<Box<NumberClasses>>; 2],
    /// By direction.
    pub cells: [Vec<VerdictWord>; 2],
}

/// A node without a kernel.
#[derive(Default)]
pub struct Model {
    /// The two generations.
    pub generations: [ModelTables; GENERATIONS as usize],
    /// Which of them packets see.
    pub active: u32,
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
    flows: RefCell<BTreeMap<FlowKey, FlowState>>,
    ports_seen: RefCell<BTreeMap<u16, u32>>,
    fragments: RefCell<BTreeMap<FragmentKey, L4>>,
    counters: RefCell<BTreeMap<(Direction, Counter), Tally>>,
    rules: RefCell<BTreeMap<u16, Tally>>,
    events: RefCell<Vec<Event>>,
}

impl Model {
    /// Judges a frame.
    pub fn judge<P: Packet>(&self, frame: &P, direction: Direction) -> Verdict {
        run(frame, self, direction)
    }

    /// Forgets connections and fragments.
    pub fn forget(&self) {
        self.flows.borrow_mut().clear();
        self.ports_seen.borrow_mut().clear();
        self.fragments.borrow_mut().clear();
    }

    /// Connections that are remembered.
    pub fn flows(&self) -> BTreeMap<FlowKey, FlowState> {
        self.flows.borrow().clone()
    }

    /// Counters that moved since the last call.
    pub fn take_counters(&self) -> BTreeMap<(Direction, Counter), Tally> {
        self.counters.take()
    }

    /// Rules whose counters moved since the last call.
    pub fn take_rules(&self) -> BTreeMap<u16, Tally> {
        self.rules.take()
    }

    /// Events reported since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        self.events.take()
    }

    fn table(&self, generation: u32) -> Option<&ModelTables> {
        self.generations.get(generation as usize)
    }
}

impl Tables for Model {
    fn active(&self) -> Option<View<'_>> {
        let plan = &self.table(self.active)?.generation;
        (plan.number != 0).then_some(View {
            index: self.active,
            plan,
            word: ActiveWord::new(self.active)
                .with(ActiveWord::LOCAL_PREFIXES, !self.local_prefixes.is_empty())
                .with(ActiveWord::SINGLES, !self.singles.is_empty())
                .with(ActiveWord::BANS, !self.bans.is_empty()),
        })
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
        if let Some(class) = self.singles.get(address)
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

    fn is_banned(&self, _view: View<'_>, address: &Address) -> bool {
        let now = u64::from(self.clock.get()) * 1_000_000_000;
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

    fn flow(&self, key: &FlowKey) -> Option<FlowState> {
        self.flows.borrow().get(key).copied()
    }

    fn set_flow(&self, key: &FlowKey, state: FlowState) {
        insert(&mut self.flows.borrow_mut(), *key, state);
    }

    fn fragment(&self, key: &FragmentKey) -> Option<L4> {
        self.fragments.borrow().get(key).copied()
    }

    fn set_fragment(&self, key: &FragmentKey, l4: L4) {
        insert(&mut self.fragments.borrow_mut(), *key, l4);
    }

    fn count(&self, direction: Direction, counter: Counter, bytes: u32) {
        let mut counters = self.counters.borrow_mut();
        add(counters.entry((direction, counter)).or_default(), bytes);
    }

    fn count_rule(&self, _generation: u32, rule: u16, bytes: u32) {
        add(self.rules.borrow_mut().entry(rule).or_default(), bytes);
    }

    fn may_report(&self, _kind: u32, limit: u32) -> bool {
        limit > 0
    }

    fn report(&self, fill: impl FnOnce(&mut Event)) {
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

    fn now(&self, _view: View<'_>) -> u32 {
        self.clock.get()
    }
}

fn add(tally: &mut Tally, bytes: u32) {
    tally.packets += 1;
    tally.bytes += u64::from(bytes);
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
