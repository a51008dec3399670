//! Every map, once. Both programs share them through their pins, by name.

use aya_ebpf::btf_maps;
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{
    Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, PerfEventByteArray, RingBuf,
};

use crate::datapath::Scratch;
use crate::wire::{
    ActiveWord, Address, COUNTERS as COUNTER_ENTRIES, Event, EventBudget, FILTER_WORDS, Fallback,
    FlowBucket, FlowSeeds, FlowTally, FragmentKey, FragmentState, GENERATIONS, Generation,
    LOCAL_BUCKETS, LocalBucket, MATRIX_BLOCKS, MatrixBlock, NumberClasses, PEER_BLOCK_FLAGS,
    PEER_BLOCKS, PORT_PROTOCOLS, PeerBlock, PeerRoot, PortClasses, RULES as RULE_ENTRIES,
    RateBucket, RateLimit, RuleTally, SINGLES as SINGLE_ENTRIES, TOLD_BUCKETS, Tally, ToldBucket,
    VlanClasses,
};

const _: () = assert!(size_of::<Event>().is_multiple_of(8));

/// Prefixes that are the node's as a whole, what is excepted of them, and addresses
/// whose bucket is full. The trie takes memory only for what is in it.
const LOCAL_NETWORKS: u32 = 65_536;
/// Buckets of connections; user space sizes them by the memory of the machine.
const FLOW_BUCKETS: u32 = 8_192;
/// Buckets of peers with a rate limit; user space sizes them, too.
const RATE_BUCKETS: u32 = 1_024;
/// `BPF_F_MMAPABLE`: user space reads and writes it in place.
const MAPPABLE: u32 = 1 << 10;
/// Fragmented packets under way.
const FRAGMENTED: u32 = 8_192;
/// Bytes of events that user space has not read yet.
const EVENT_BYTES: u32 = 1 << 20;

/// The generation in force: the one word that a flip writes.
#[map]
pub static ACTIVE: Array<ActiveWord> = Array::pinned(1, 0);
/// What packets go back to from a generation on trial.
#[map]
pub static FALLBACK: Array<Fallback> = Array::pinned(1, 0);
/// By generation.
#[map]
pub static GENERATION: Array<Generation> = Array::pinned(GENERATIONS, 0);
/// The node's addresses, by [`Address::bucket`].
#[map]
pub static LOCAL: Array<LocalBucket> = Array::pinned(LOCAL_BUCKETS, 0);
/// Networks whose packets the node takes for its own, by the longest prefix of the
/// (mapped) address: 1 if so, 0 if it is excepted.
#[map]
pub static LOCAL_PREFIXES: LpmTrie<Address, u32> = LpmTrie::pinned(LOCAL_NETWORKS, 0);
/// Peer classes by the first 16 bits of the address.
#[map]
pub static PEER_ROOTS: Array<PeerRoot> = Array::pinned(GENERATIONS * 2, 0);
/// What the roots name: a map for each block that the plans need, so that small
/// plans take little memory. One entry each, because then the kernel does both
/// lookups without a call.
#[btf_map]
pub static PEERS: btf_maps::ArrayOfMaps<
    btf_maps::Array<PeerBlock, 1, { PEER_BLOCK_FLAGS as usize }>,
    { (GENERATIONS * PEER_BLOCKS) as usize },
> = btf_maps::ArrayOfMaps::new();
/// Classes of single addresses, whatever their prefix says. Takes memory only for what
/// is in it (`BPF_F_NO_PREALLOC` of linux/bpf.h).
#[map]
pub static SINGLES: HashMap<Address, u32> = HashMap::pinned(SINGLE_ENTRIES, 1);
/// Which addresses may be in it, by [`Address::spot`].
#[map]
pub static SINGLE_FILTER: Array<u64> = Array::pinned(FILTER_WORDS, 0);
/// Until when an address is banned, in nanoseconds of the monotonic clock; 0: for good.
/// Memory as above.
#[map]
pub static BANS: HashMap<Address, u64> = HashMap::pinned(SINGLE_ENTRIES, 1);
/// Which addresses may be in it.
#[map]
pub static BAN_FILTER: Array<u64> = Array::pinned(FILTER_WORDS, 0);
/// Classes of VLANs by id, by generation; read only where
/// [`crate::wire::GenerationFlags::VLANS`] says so.
#[map]
pub static VLANS: Array<VlanClasses> = Array::pinned(GENERATIONS, 0);
/// Service classes by port.
#[map]
pub static PORTS: Array<PortClasses> = Array::pinned(GENERATIONS * 2 * PORT_PROTOCOLS, 0);
/// Service classes by number.
#[map]
pub static NUMBERS: Array<NumberClasses> = Array::pinned(GENERATIONS * 2, 0);
/// Verdict words.
#[map]
pub static MATRIX: Array<MatrixBlock> = Array::pinned(GENERATIONS * 2 * MATRIX_BLOCKS, 0);
/// What became of packets.
#[map]
pub static COUNTERS: PerCpuArray<Tally> = PerCpuArray::pinned(COUNTER_ENTRIES, 0);
/// Which rules decided.
#[map]
pub static RULES: PerCpuArray<RuleTally> = PerCpuArray::pinned(GENERATIONS * RULE_ENTRIES, 0);
/// Connections.
#[map]
pub static CONNTRACK: Array<FlowBucket> = Array::pinned(FLOW_BUCKETS, MAPPABLE);
/// What they are hashed with.
#[map]
pub static CONNTRACK_SEEDS: Array<FlowSeeds> = Array::pinned(1, 0);
/// What became of them.
#[map]
pub static CONNTRACK_TALLY: PerCpuArray<FlowTally> = PerCpuArray::pinned(1, 0);
/// When a connection of the node's own was seen last, by its port: what goes to any
/// other port is no reply, whatever it says.
#[map]
pub static OWN_PORTS: Array<u32> = Array::pinned(1 << 16, 0);
/// Rate limits, by rule; read only where the matrix says that there is one.
#[map]
pub static RATE_LIMITS: Array<RateLimit> = Array::pinned(GENERATIONS * RULE_ENTRIES, 0);
/// When the peers that they limit are due.
#[map]
pub static RATES: Array<RateBucket> = Array::pinned(RATE_BUCKETS, 0);
/// Flows that were reported of late.
#[map]
pub static TOLD: Array<ToldBucket> = Array::pinned(TOLD_BUCKETS, MAPPABLE);
/// Fragmented packets under way.
#[map]
pub static FRAGMENTS: LruHashMap<FragmentKey, FragmentState> = LruHashMap::pinned(FRAGMENTED, 0);
/// Memory for the packet at hand.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::pinned(1, 0);
/// Verdicts for user space.
#[map]
pub static EVENTS: RingBuf = RingBuf::pinned(EVENT_BYTES, 0);
/// Bytes of a packet that are wanted beside its event; 0: nobody captures.
#[map]
pub static CAPTURE: Array<u32> = Array::pinned(1, 0);
/// Where they go: a buffer for each CPU, there only while somebody captures. A ring buffer
/// would take what is given to it in one piece; this appends the packet by itself.
#[map]
pub static CAPTURED: PerfEventByteArray = PerfEventByteArray::pinned(0);
/// What each CPU may still report, by [`crate::wire::EventKind`].
#[map]
pub static EVENT_BUDGET: PerCpuArray<EventBudget> = PerCpuArray::pinned(2, 0);
