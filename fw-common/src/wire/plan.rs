//! The tables of a plan, as the kernel holds them.
//!
//! Every table holds [`GENERATIONS`] plans side by side. One word (`ACTIVE`) says
//! which one packets see; the other may be rewritten at leisure.

use super::{Direction, pod};

/// Plans that the kernel holds: the one in force and the one being written.
pub const GENERATIONS: u32 = 2;
/// Largest number of rule ids in one plan.
pub const RULES: u32 = 16_384;
/// Verdict words in one block of the matrix (16 KiB: one update writes a block). Half of
/// that in the schema that only tests of an upgrade have: tables that differ.
pub const MATRIX_BLOCK_WORDS: u32 = 4_096 >> cfg!(feature = "next-schema") as u32;
/// Blocks that one direction of one generation has.
pub const MATRIX_BLOCKS: u32 = 64 << cfg!(feature = "next-schema") as u32;
/// Verdict words that one direction of one generation can hold.
pub const MATRIX_WORDS: u32 = MATRIX_BLOCKS * MATRIX_BLOCK_WORDS;
/// Protocols with ports that have a table each: TCP, UDP, SCTP.
pub const PORT_PROTOCOLS: u32 = 3;
/// The rule id of "no policy of this direction selects the node".
pub const RULE_NO_POLICY: u16 = 0;
/// The rule id of "the peer is banned".
pub const RULE_BAN: u16 = 1;

/// The word in `ACTIVE`, the one that every packet reads first: which generation
/// judges, and which tables beside it have anything in them. The bits are here and not
/// in tables of their own because on nearly every node these are empty, and then it
/// costs no lookup to know it.
///
/// The bits are not the topmost ones: a test of those may be compiled to one of the
/// sign, from which the verifier learns about the whole word, and follows both ways to
/// the end (two and a half times the instructions).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct ActiveWord(pub u32);

impl ActiveWord {
    /// `LOCAL_PREFIXES` must be asked for addresses that are not in `LOCAL`.
    pub const LOCAL_PREFIXES: u32 = 1 << 8;
    /// `BANS` must be asked.
    pub const BANS: u32 = 1 << 9;
    /// `SINGLES` must be asked before the peer tables of this generation.
    pub const SINGLES: u32 = 1 << 10;
    /// The generation is on trial: [`super::Fallback`] says until when.
    pub const ON_TRIAL: u32 = 1 << 11;
    const BITS: u32 = Self::LOCAL_PREFIXES | Self::BANS | Self::SINGLES | Self::ON_TRIAL;
    /// What belongs to the node, not to a generation.
    const NODE: u32 = Self::LOCAL_PREFIXES | Self::BANS;

    /// The generation `index`, and nothing beside it.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }
    /// The generation that judges.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0 & !Self::BITS
    }
    /// Whether this bit is set: the table of it must be asked.
    #[inline(always)]
    #[must_use]
    pub const fn asks(self, table: u32) -> bool {
        self.0 & table != 0
    }
    /// The same with another answer to [`Self::asks`].
    #[must_use]
    pub const fn with(self, table: u32, asks: bool) -> Self {
        if asks {
            Self(self.0 | table)
        } else {
            Self(self.0 & !table)
        }
    }
    /// The same with another generation, to which no single addresses belong yet, and
    /// which is on no trial.
    #[must_use]
    pub const fn at(self, index: u32) -> Self {
        Self(self.0 & Self::NODE | index)
    }
    /// The same with the generation of `before`, and the single addresses that belong to it.
    #[inline(always)]
    #[must_use]
    pub const fn back_to(self, before: Self) -> Self {
        Self(self.0 & Self::NODE | before.0 & !(Self::NODE | Self::ON_TRIAL))
    }
}

/// Index of a direction of a generation.
#[inline(always)]
#[must_use]
pub const fn direction_index(generation: u32, direction: Direction) -> u32 {
    generation * 2 + direction as u32
}

/// Index of the port table of the protocol `slot` (0 TCP, 1 UDP, 2 SCTP).
#[inline(always)]
#[must_use]
pub const fn port_index(generation: u32, direction: Direction, slot: u32) -> u32 {
    direction_index(generation, direction) * PORT_PROTOCOLS + slot
}

/// Index of a block of the matrix.
#[inline(always)]
#[must_use]
pub const fn matrix_index(generation: u32, direction: Direction, block: u32) -> u32 {
    direction_index(generation, direction) * MATRIX_BLOCKS + block
}

/// Index of a rule's counter.
#[inline(always)]
#[must_use]
pub const fn rule_index(generation: u32, rule: u16) -> u32 {
    generation * RULES + rule as u32
}

/// What the datapath must know of a plan beside its tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Generation {
    /// Number of the installed plan, counted by the daemon, never 0.
    pub number: u64,
    /// First 16 bytes of the plan's SHA-256.
    pub hash: [u8; 16],
    /// Service classes (columns of the matrix), by direction.
    pub columns: [u32; 2],
    /// Peer classes: rows of the matrix, for each class of VLANs.
    pub rows: u32,
    /// [`GenerationFlags`].
    pub flags: u32,
    /// Bits of the [`Builtin`]s that are on.
    pub builtins: u32,
    /// Events of each kind that a CPU may report in one window, and as many again that are the
    /// first of their slot; see [`super::spend`].
    pub event_limit: u32,
    /// Blocks of the peer tables.
    pub peer_blocks: u32,
    /// Seconds in a tick of the kernel's clock (`1 / CONFIG_HZ`), times 2^32.
    pub seconds_per_tick: u32,
    /// Classes of VLANs, at least 1.
    pub vlan_classes: u32,
    /// Zero.
    pub pad: u32,
}

/// Bits of [`Generation::flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerationFlags;

impl GenerationFlags {
    /// Drop what is denied. Without it: audit, report and pass.
    pub const ENFORCE: u32 = 1;
    /// Some packet to the node is denied: replies to it need conntrack.
    pub const FILTERS_INGRESS: u32 = 2;
    /// Some packet of the node is denied.
    pub const FILTERS_EGRESS: u32 = 4;
    /// What decides depends on the VLAN: its class must be looked up. A bit, so that
    /// packets of nodes without such rules do not pay for it.
    pub const VLANS: u32 = 8;

    /// The bit that says whether `direction` denies anything.
    #[inline(always)]
    #[must_use]
    pub const fn filters(direction: Direction) -> u32 {
        match direction {
            Direction::Ingress => Self::FILTERS_INGRESS,
            Direction::Egress => Self::FILTERS_EGRESS,
        }
    }
}

/// The answer of the matrix: who decides, and what.
///
/// Bits 0–15 rule id, 16 allow, 17 explicit deny (a deny rule, not default
/// deny), 18 failsafe; 19 is set for banned peers by the datapath; 20 allow up to the
/// rule's [`super::RateLimit`]; 21 denied because the VLAN is not admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct VerdictWord(pub u32);

impl VerdictWord {
    const ALLOW: u32 = 1 << 16;
    const EXPLICIT: u32 = 1 << 17;
    const FAILSAFE: u32 = 1 << 18;
    const BANNED: u32 = 1 << 19;
    const LIMITED: u32 = 1 << 20;
    const UNADMITTED: u32 = 1 << 21;

    /// Allowed by `rule`.
    #[must_use]
    pub const fn allow(rule: u16) -> Self {
        Self(rule as u32 | Self::ALLOW)
    }
    /// Allowed by `rule` as long as the peer keeps to its rate limit.
    #[must_use]
    pub const fn limited(rule: u16) -> Self {
        Self(rule as u32 | Self::ALLOW | Self::LIMITED)
    }
    /// Allowed by a failsafe entry, before any policy.
    #[must_use]
    pub const fn failsafe(rule: u16) -> Self {
        Self(rule as u32 | Self::ALLOW | Self::FAILSAFE)
    }
    /// Denied by a deny rule.
    #[must_use]
    pub const fn deny(rule: u16) -> Self {
        Self(rule as u32 | Self::EXPLICIT)
    }
    /// Denied because nothing allows it; `rule` is the default-deny entry.
    #[must_use]
    pub const fn default_deny(rule: u16) -> Self {
        Self(rule as u32)
    }
    /// Denied because its VLAN is not admitted; `rule` is what says so.
    #[must_use]
    pub const fn unadmitted(rule: u16) -> Self {
        Self(rule as u32 | Self::UNADMITTED)
    }
    /// Whether it was made by [`Self::unadmitted`].
    #[inline(always)]
    #[must_use]
    pub const fn is_unadmitted(self) -> bool {
        self.0 & Self::UNADMITTED != 0
    }
    /// The rule that decides.
    #[inline(always)]
    #[must_use]
    pub const fn rule(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
    /// Whether the packet may pass.
    #[inline(always)]
    #[must_use]
    pub const fn is_allow(self) -> bool {
        self.0 & Self::ALLOW != 0
    }
    /// Whether it is allowed up to a rate limit.
    #[inline(always)]
    #[must_use]
    pub const fn is_limited(self) -> bool {
        self.0 & Self::LIMITED != 0
    }
    /// Whether it is allowed without a limit.
    #[inline(always)]
    #[must_use]
    pub const fn always_passes(self) -> bool {
        self.0 & (Self::ALLOW | Self::LIMITED) == Self::ALLOW
    }
    /// Whether a deny rule (not default deny) decided.
    #[inline(always)]
    #[must_use]
    pub const fn is_explicit_deny(self) -> bool {
        self.0 & Self::EXPLICIT != 0
    }
    /// The same for a banned peer; never in a table. Allowed: what answers it would be
    /// denied. Denied: even if it is a reply.
    #[inline(always)]
    #[must_use]
    pub const fn banned(self) -> Self {
        Self(self.0 | Self::BANNED)
    }
    /// Whether it was made by [`Self::banned`].
    #[inline(always)]
    #[must_use]
    pub const fn is_banned(self) -> bool {
        self.0 & Self::BANNED != 0
    }
    /// Whether the connection is remembered, whatever policy says of the other direction.
    /// Of a banned peer: the ban would stop the answer. Up to a limit: else the answer of
    /// a server would look like a connection of its own, and what the peer sends then
    /// like replies, which have no limit.
    #[inline(always)]
    #[must_use]
    pub const fn is_to_be_remembered(self) -> bool {
        self.0 & (Self::BANNED | Self::LIMITED) != 0
    }
    /// Whether a failsafe entry decided.
    #[inline(always)]
    #[must_use]
    pub const fn is_failsafe(self) -> bool {
        self.0 & Self::FAILSAFE != 0
    }
}

/// Service class by destination port, for one protocol.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PortClasses(pub [u16; 65_536]);

/// Service class by ICMP type and by IP protocol number.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NumberClasses {
    /// By ICMP type.
    pub icmp: [u16; 256],
    /// By ICMPv6 type.
    pub icmpv6: [u16; 256],
    /// By IP protocol number; entries of the protocols above are not used.
    pub protocol: [u16; 256],
}

/// A piece of the verdict matrix; cell = row × columns + service class, and
/// row = VLAN class × peer classes + peer class.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct MatrixBlock(pub [u32; MATRIX_BLOCK_WORDS as usize]);

pod!(
    ActiveWord: 4,
    Generation: 64,
    VerdictWord: 4,
    PortClasses: 131_072,
    NumberClasses: 1_536,
    MatrixBlock: 4 * MATRIX_BLOCK_WORDS as usize,
);

/// Traffic that passes before any policy unless it is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Builtin {
    /// Egress to multicast addresses and to the broadcast addresses of IPv4, and of
    /// Ethernet. (What arrives for such an address is not for the node's own, and
    /// never judged.)
    Multicast = 0,
    /// Router and neighbour solicitation and advertisement (ICMPv6 133–136), their
    /// inverse (141, 142) and certification paths (148, 149), as RFC 4890 §4.4.1 lists
    /// them: hop limit 255, code 0, a source that may send such (RFC 4861 §6.1, §7.1), not
    /// in fragments (RFC 6980). Redirects are for policy (RFC 4890 §4.4.4).
    NeighborDiscovery = 1,
    /// DHCP client: UDP 67 to 68 in, 68 to 67 out (RFC 2131).
    DhcpV4 = 2,
    /// DHCPv6 client: UDP 547 to 546 in, 546 to 547 out (RFC 8415).
    DhcpV6 = 3,
    /// ICMP 3/4, "fragmentation needed" (RFC 1191).
    FragmentationNeeded = 4,
    /// ICMPv6 2, "packet too big" (RFC 8201).
    PacketTooBig = 5,
    /// ARP (RFC 826). Policy cannot name it: switched off, it is dropped.
    Arp = 6,
    /// IGMP with TTL 1 and options, among which its Router Alert is (RFC 3376 §4).
    Igmp = 7,
    /// Multicast listener and router discovery (ICMPv6 130–132, 143, 151–153), as RFC 4890
    /// §4.4.1 lists them: hop limit 1, a hop-by-hop header, in which the Router Alert is, a
    /// link-local source (RFC 3810 §6.2, RFC 4286 §3); of reports also the unspecified
    /// one (RFC 3810 §5.2.13).
    Mld = 8,
}

/// Every built-in with its name and what it lets pass, in the order of the bits.
pub const BUILTINS: [(Builtin, &str, &str); 9] = [
    (
        Builtin::Multicast,
        "multicast",
        "egress to multicast and broadcast addresses",
    ),
    (
        Builtin::NeighborDiscovery,
        "neighbor-discovery",
        "ICMPv6 133-136, 141, 142, 148, 149 with hop limit 255, both directions",
    ),
    (
        Builtin::DhcpV4,
        "dhcpv4-client",
        "UDP 67 to 68 in, UDP 68 to 67 out, IPv4",
    ),
    (
        Builtin::DhcpV6,
        "dhcpv6-client",
        "UDP 547 to 546 in, UDP 546 to 547 out, IPv6",
    ),
    (
        Builtin::FragmentationNeeded,
        "fragmentation-needed",
        "ICMP type 3 code 4, both directions",
    ),
    (
        Builtin::PacketTooBig,
        "packet-too-big",
        "ICMPv6 type 2, both directions",
    ),
    (
        Builtin::Arp,
        "arp",
        "ARP, both directions; switched off, it is dropped",
    ),
    (
        Builtin::Igmp,
        "igmp",
        "IGMP with TTL 1 and IP options, both directions",
    ),
    (
        Builtin::Mld,
        "mld",
        "ICMPv6 130-132, 143, 151-153 with hop limit 1, link-local, both directions",
    ),
];

impl Builtin {
    /// All of them.
    pub const ALL: u32 = (1 << BUILTINS.len()) - 1;

    /// Its bit in [`Generation::builtins`].
    #[inline(always)]
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_builtins_are_their_places_in_the_table() {
        for (place, (builtin, ..)) in BUILTINS.iter().enumerate() {
            assert_eq!(*builtin as usize, place);
        }
    }

    #[test]
    fn another_generation_keeps_what_is_not_of_the_old_one() {
        let word = ActiveWord::new(1)
            .with(ActiveWord::BANS, true)
            .with(ActiveWord::SINGLES, true);
        assert_eq!(word.index(), 1);
        assert!(word.asks(ActiveWord::BANS) && word.asks(ActiveWord::SINGLES));
        assert!(!word.asks(ActiveWord::LOCAL_PREFIXES));
        let next = word.at(0);
        assert_eq!(next, ActiveWord::new(0).with(ActiveWord::BANS, true));
        assert_eq!(next.with(ActiveWord::BANS, false), ActiveWord::new(0));
    }
}
