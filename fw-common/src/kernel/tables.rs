//! [`Tables`] over the BPF maps.

use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns};
use aya_ebpf::maps::Array;
use aya_ebpf::maps::lpm_trie::Key;

use super::maps::{
    ACTIVE, BAN_FILTER, BANS, CAPTURE, CONNTRACK, CONNTRACK_SEEDS, CONNTRACK_TALLY, COUNTERS,
    EVENT_BUDGET, EVENTS, FALLBACK, FRAGMENTS, GENERATION, LOCAL, LOCAL_PREFIXES, MATRIX, NUMBERS,
    OWN_PORTS, PEER_ROOTS, PEERS, PORTS, RATE_LIMITS, RATES, RULES, SCRATCH, SINGLE_FILTER,
    SINGLES, TOLD, VLANS,
};
use crate::datapath::Scratch;
use crate::datapath::flows::Bucket;
use crate::datapath::rate::{self, Peers, Question};
use crate::datapath::tables::{Numbers, Tables, View};
use crate::datapath::told::{self, Told};
use crate::lookup::{self, PeerMemory};
use crate::packet::{Packet, forget_range};
use crate::wire::{
    ActiveWord, Address, BAN_FOR_GOOD, Counter, Direction, EVENT_SLOTS, EVENT_WINDOW_SHIFT, Event,
    EventKind, EventSlot, FlowSeeds, FragmentKey, FragmentProgress, FragmentState, Generation,
    MATRIX_BLOCK_WORDS, MATRIX_BLOCKS, Node, PeerBlock, RateLimit, VerdictWord, ban_holds,
    block_index, counter_index, matrix_index, root_index, rule_index, spend,
};

/// Bits of an address, mapped or not.
const ADDRESS_BITS: u32 = 128;

/// The maps of the program that runs.
pub struct KernelTables;

/// The peer tables of a generation.
struct KernelPeers {
    generation: u32,
}

impl PeerMemory for KernelPeers {
    #[inline(always)]
    fn root(&self, family: u32, first: u32) -> Option<Node> {
        let nodes = PEER_ROOTS
            .get(root_index(self.generation, family))?
            .0
            .as_ptr();
        // SAFETY: there are 65,536 nodes, and the index has 16 bits.
        Some(unsafe { *nodes.add((first & 0xffff) as usize) })
    }

    #[inline(always)]
    fn block(&self, number: u32) -> Option<&PeerBlock> {
        PEERS.get_value(block_index(self.generation, number), &0)
    }

    #[inline(always)]
    fn join(&self, node: Node) -> Node {
        // The upper half of a word, because the verifier remembers numbers that are
        // stored where a word begins.
        let mut memory = Aligned([Node(0); 2]);
        let half = &raw mut memory.0[1];
        // SAFETY: a local variable; volatile, so that the node passes through it.
        unsafe {
            half.write_volatile(node);
            half.read_volatile()
        }
    }

    #[inline(always)]
    fn beyond_v4(&self, root: Node, address: u32) -> Option<u32> {
        let class = fw_peer_v4(self.generation, root.0, address);
        (class != NO_CLASS).then_some(class)
    }

    #[inline(always)]
    fn beyond_v6(&self, root: Node, high: u64, low: u64) -> Option<u32> {
        let class = fw_peer_v6(self.generation, root.0, high, low);
        (class != NO_CLASS).then_some(class)
    }
}

/// No class: the tables have a hole.
const NO_CLASS: u32 = u32::MAX;

/// [`lookup::search_v4`], as a function that the verifier goes through once, whoever
/// calls it with whatever it knows of the arguments (a "global" function: external
/// linkage, nothing but numbers as arguments).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn fw_peer_v4(generation: u32, root: u32, address: u32) -> u32 {
    lookup::search_v4(&KernelPeers { generation }, Node(root), address).unwrap_or(NO_CLASS)
}

/// [`lookup::search_v6`], likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn fw_peer_v6(generation: u32, root: u32, high: u64, low: u64) -> u32 {
    lookup::search_v6(&KernelPeers { generation }, Node(root), high, low).unwrap_or(NO_CLASS)
}

/// The class of a single address; likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn fw_own_class(high: u64, low: u64) -> u32 {
    // SAFETY: a number, written whole; an entry that is recycled meanwhile reads as
    // that of another single address, for one packet.
    unsafe { SINGLES.get(Address::of_halves(high, low)) }
        .copied()
        .unwrap_or(NO_CLASS)
}

/// [`Fallback::resolve`], likewise.
///
/// [`Fallback::resolve`]: crate::wire::Fallback::resolve
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn fw_in_force(word: u32) -> u32 {
    // Written before the word said so, and not again before packets that saw it are gone.
    let Some(fallback) = FALLBACK.get(0) else {
        return word;
    };
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    fallback.resolve(ActiveWord(word), now).0
}

/// 1 if the address is banned, else 0; likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn fw_is_banned(high: u64, low: u64) -> u32 {
    // SAFETY: as above.
    let Some(until) = unsafe { BANS.get(Address::of_halves(high, low)) }.copied() else {
        return 0;
    };
    // The exact clock, which is dear, but nobody else's packets pay for it; user space
    // cannot tell the tick.
    // SAFETY: a helper without arguments.
    u32::from(until == BAN_FOR_GOOD || ban_holds(until, unsafe { bpf_ktime_get_ns() }))
}

/// [`rate::judge`], likewise: 0 if the packet is within the limit.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn fw_rate(rule: u32, bytes: u32, high: u64, low: u64) -> u32 {
    let [family, protocol, tcp_flags, generation] = bytes.to_ne_bytes();
    let question = Question {
        rule,
        generation: generation.into(),
        family,
        protocol,
        tcp_flags,
        peer: [high, low],
    };
    rate::judge(&KernelTables, question).into()
}

/// [`told::is_told`], likewise: 0 if the flow begins.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn fw_is_told(hash: u64, now: u32) -> u32 {
    told::is_told(&KernelTables, hash, now).into()
}

/// Two nodes where a word of the stack begins.
#[repr(align(8))]
struct Aligned([Node; 2]);

impl Tables for KernelTables {
    #[inline(always)]
    fn active(&self) -> Option<View<'_>> {
        // SAFETY: the pointer is into an array map's value, which is never freed
        // while the program runs; volatile, so that the packet reads it once.
        let mut word = unsafe { ACTIVE.get_ptr(0)?.read_volatile() };
        if word.asks(ActiveWord::ON_TRIAL) {
            word = ActiveWord(fw_in_force(word.0));
        }
        let index = word.index();
        let plan = GENERATION.get(index)?;
        if plan.number == 0 {
            return None;
        }
        Some(View { index, plan, word })
    }

    #[inline(always)]
    fn is_local(&self, view: View<'_>, address: &Address) -> bool {
        LOCAL
            .get(address.bucket())
            .is_some_and(|bucket| bucket.contains(address))
            || view.word.asks(ActiveWord::LOCAL_PREFIXES) && is_in_local_prefix(address)
    }

    #[inline(always)]
    fn peer_class(&self, view: View<'_>, family: u8, address: &Address) -> Option<u32> {
        let memory = KernelPeers {
            generation: view.index,
        };
        let own = if view.word.asks(ActiveWord::SINGLES)
            && is_in_filter(&SINGLE_FILTER, address)
            && (family == 4 || !address.is_mapped())
        {
            fw_own_class(address.high(), address.low())
        } else {
            NO_CLASS
        };
        let class = if own != NO_CLASS {
            Some(own)
        } else if family == 4 {
            lookup::v4(&memory, address)
        } else {
            lookup::v6(&memory, address)
        };
        Some(memory.join(Node(class.unwrap_or(0))).0)
    }

    #[inline(always)]
    fn vlan_class(&self, generation: u32, vlan: u16) -> Option<u32> {
        let classes = VLANS.get(generation)?.0.as_ptr();
        // SAFETY: there are 4,096 entries, and the index has 12 bits.
        Some(u32::from(unsafe {
            *classes.add(usize::from(vlan & 0xfff))
        }))
    }

    #[inline(always)]
    fn is_banned(&self, view: View<'_>, address: &Address) -> bool {
        view.word.asks(ActiveWord::BANS)
            && is_in_filter(&BAN_FILTER, address)
            && fw_is_banned(address.high(), address.low()) != 0
    }

    #[inline(always)]
    fn port_class(&self, table: u32, port: u16) -> Option<u32> {
        let classes = PORTS.get(table)?.0.as_ptr();
        // SAFETY: the table has 65,536 entries and a port is at most 65,535.
        Some(u32::from(unsafe { *classes.add(usize::from(port)) }))
    }

    #[inline(always)]
    fn number_class(&self, table: u32, numbers: Numbers, number: u8) -> Option<u32> {
        let classes = NUMBERS.get(table)?;
        let list = match numbers {
            Numbers::Icmp => classes.icmp.as_ptr(),
            Numbers::Icmpv6 => classes.icmpv6.as_ptr(),
            Numbers::Protocol => classes.protocol.as_ptr(),
        };
        // SAFETY: each list has 256 entries and the number is at most 255.
        Some(u32::from(unsafe { *list.add(usize::from(number)) }))
    }

    #[inline(always)]
    fn verdict(&self, generation: u32, direction: Direction, cell: u32) -> Option<VerdictWord> {
        let block = cell / MATRIX_BLOCK_WORDS;
        // Beyond it begins the other direction or generation.
        if block >= MATRIX_BLOCKS {
            return None;
        }
        let words = MATRIX
            .get(matrix_index(generation, direction, block))?
            .0
            .as_ptr();
        let word = (cell % MATRIX_BLOCK_WORDS) as usize;
        // SAFETY: the block has MATRIX_BLOCK_WORDS words.
        Some(VerdictWord(unsafe { *words.add(word) }))
    }

    #[inline(always)]
    fn flow_seeds(&self) -> Option<&FlowSeeds> {
        CONNTRACK_SEEDS.get(0)
    }

    #[inline(always)]
    fn flow_bucket(&self, number: u32) -> Option<Bucket<'_>> {
        let memory = CONNTRACK.get_ptr_mut(number)?;
        // SAFETY: a value of an array map lives as long as the map, which the program
        // holds; programs touch it through `Bucket` only.
        Some(unsafe { Bucket::new(memory) })
    }

    #[inline(always)]
    fn count_flow(&self, displaced: bool) {
        if let Some(tally) = CONNTRACK_TALLY.get_ptr_mut(0) {
            // SAFETY: per-CPU value inside the map.
            unsafe {
                (*tally).begun += 1;
                (*tally).displaced += u64::from(displaced);
            }
        }
    }

    #[inline(always)]
    fn is_rate_exceeded(&self, question: Question) -> bool {
        let [high, low] = question.peer;
        let bytes = [
            question.family,
            question.protocol,
            question.tcp_flags,
            question.generation as u8,
        ];
        fw_rate(question.rule, u32::from_ne_bytes(bytes), high, low) != 0
    }

    #[inline(always)]
    fn rate_limit(&self, rule: u32) -> Option<&RateLimit> {
        RATE_LIMITS.get(rule)
    }

    #[inline(always)]
    fn rate_bucket(&self, number: u32) -> Option<Peers<'_>> {
        let memory = RATES.get_ptr_mut(number)?;
        // SAFETY: a value of an array map lives as long as the map, which the program
        // holds; programs touch it through `Peers` only.
        Some(unsafe { Peers::new(memory) })
    }

    #[inline(always)]
    fn is_told(&self, hash: u64, now: u32) -> bool {
        fw_is_told(hash, now) != 0
    }

    #[inline(always)]
    fn told(&self, bucket: u32) -> Option<Told<'_>> {
        let memory = TOLD.get_ptr_mut(bucket)?;
        // SAFETY: a value of an array map lives as long as the map, which the program
        // holds; programs touch it through `Told` only.
        Some(unsafe { Told::new(memory) })
    }

    #[inline(always)]
    fn scratch<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> Option<R> {
        let memory = SCRATCH.get_ptr_mut(0)?;
        // SAFETY: a value of this CPU. The hooks run with bottom halves disabled, and none
        // of ours begins before the last one on its CPU has ended; zeros, and whatever
        // they leave, are a value of the type. A test run on an older kernel may be
        // interrupted by a packet: then it, not the packet, reads what it did not write.
        Some(work(unsafe { &mut *memory }))
    }

    #[inline(always)]
    fn fragment<R>(
        &self,
        key: &FragmentKey,
        step: impl FnOnce(&FragmentState, &mut FragmentProgress) -> R,
    ) -> Option<R> {
        let entry = FRAGMENTS.get_ptr_mut(key)?;
        // SAFETY: a value of the map, which stays memory of the map. What other CPUs
        // write meanwhile is lost or seen by halves: a fragment too many may be counted
        // or not. Another packet's that gets the entry meanwhile is as if some of it had
        // been seen before.
        unsafe {
            let mut progress = (*entry).progress;
            let result = step(&*entry, &mut progress);
            (*entry).progress = progress;
            Some(result)
        }
    }

    #[inline(always)]
    fn set_fragment(&self, key: &FragmentKey, state: &FragmentState) {
        // An LRU map makes room; when it cannot, the later fragments are dropped.
        let _ = FRAGMENTS.insert(key, state, 0);
    }

    #[inline(always)]
    fn count(&self, direction: Direction, counter: Counter, bytes: u32) {
        if let Some(tally) = COUNTERS.get_ptr_mut(counter_index(direction, counter)) {
            // SAFETY: per-CPU value inside the map.
            unsafe {
                (*tally).packets += 1;
                (*tally).bytes += u64::from(bytes);
            }
        }
    }

    #[inline(always)]
    fn count_rule(&self, generation: u32, rule: u16, bytes: u32, beyond: bool) {
        if let Some(tally) = RULES.get_ptr_mut(rule_index(generation, rule)) {
            // Without a branch: the verifier would go both ways from here on.
            let beyond = u64::from(beyond);
            // SAFETY: as above.
            unsafe {
                (*tally).packets += 1 ^ beyond;
                (*tally).bytes += u64::from(bytes) & beyond.wrapping_sub(1);
                (*tally).limited += beyond;
            }
        }
    }

    #[inline(always)]
    fn may_report(&self, kind: EventKind, slot: u32, limit: u32) -> bool {
        let Some(budget) = EVENT_BUDGET.get_ptr_mut(kind as u32) else {
            return false;
        };
        // Behind the call, since verifiers of older kernels forget the range of a number that
        // waits on the stack; and through memory, as all that follows would else be verified
        // once for each reason.
        let slot = forget_range(slot) as usize;
        if slot >= EVENT_SLOTS as usize {
            return false;
        }
        // SAFETY: a helper without arguments.
        let window = unsafe { bpf_jiffies64() } >> EVENT_WINDOW_SHIFT;
        // SAFETY: per-CPU value, and programs of one CPU do not interrupt each
        // other at this point except by losing an update of a statistic; the two are
        // different parts of it, and the slot was compared.
        unsafe {
            let slots = (&raw mut (*budget).slots).cast::<EventSlot>();
            spend(&mut (*budget).spent, &mut *slots.add(slot), window, limit)
        }
    }

    #[inline(always)]
    fn snaplen(&self) -> u32 {
        match CAPTURE.get_ptr(0) {
            // SAFETY: inside the map; written whole, by user space.
            Some(snaplen) => unsafe { snaplen.read_volatile() },
            None => 0,
        }
    }

    #[inline(always)]
    fn report<P: Packet>(&self, packet: &P, fill: impl FnOnce(&mut Event)) {
        let Some(mut entry) = EVENTS.reserve::<Event>(0) else {
            lost();
            return;
        };
        // SAFETY: every bit pattern is an event, so what was in the ring before is
        // one; `fill` and the next line write all of it.
        let event = unsafe { entry.assume_init_mut() };
        fill(event);
        // SAFETY: a helper without arguments.
        event.time = unsafe { bpf_ktime_get_ns() };
        if event.captured != 0 {
            packet.capture(event);
        }
        entry.submit(0);
    }

    #[inline(always)]
    fn clock(&self, plan: &Generation) -> u64 {
        // The tick, not bpf_ktime_get_ns, which costs as much as dropping a packet
        // does in all (19 ns); the JIT reads it without a call.
        // SAFETY: a helper without arguments.
        let ticks = unsafe { bpf_jiffies64() };
        ticks.wrapping_mul(u64::from(plan.seconds_per_tick))
    }

    #[inline(always)]
    fn clock_of(&self, generation: u32) -> Option<u64> {
        GENERATION.get(generation).map(|plan| self.clock(plan))
    }

    #[inline(always)]
    fn port_seen(&self, port: u16) -> u32 {
        match OWN_PORTS.get_ptr(u32::from(port)) {
            // SAFETY: inside the map; written whole, by any CPU.
            Some(seen) => unsafe { seen.read_volatile() },
            None => 0,
        }
    }

    #[inline(always)]
    fn set_port_seen(&self, port: u16, now: u32) {
        if let Some(seen) = OWN_PORTS.get_ptr_mut(u32::from(port)) {
            // SAFETY: as above.
            unsafe { seen.write_volatile(now) };
        }
    }
}

/// Whether the bit of the address is set.
#[inline(always)]
fn is_in_filter(filter: &Array<u64>, address: &Address) -> bool {
    let spot = address.spot();
    filter
        .get(spot.word)
        .is_some_and(|word| *word & spot.mask != 0)
}

/// By the longest prefix. A function of its own, to keep the key off the stack of
/// the decision.
#[inline(never)]
fn is_in_local_prefix(address: &Address) -> bool {
    LOCAL_PREFIXES
        .get(Key::new(ADDRESS_BITS, *address))
        .is_some_and(|own| *own != 0)
}

/// The ring buffer was full.
#[inline(always)]
fn lost() {
    if let Some(budget) = EVENT_BUDGET.get_ptr_mut(EventKind::Allowed as u32) {
        // SAFETY: as in `may_report`.
        unsafe { (*budget).full += 1 };
    }
}
