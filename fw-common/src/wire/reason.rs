//! Why a packet is dropped. Numbers and texts are Cilium's
//! (`pkg/monitor/api/drop.go`), so that the tools around Hubble understand us; what
//! Cilium does not tell apart has the number and text of what it is told as there,
//! with our own words behind. The names are ours, and each is another one.

/// A reason for a drop. The discriminant is the slot of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// Nothing allows it, and a policy has switched default deny on.
    DefaultDeny = 0,
    /// A deny rule names it.
    DenyRule = 1,
    /// A header is cut short or contradicts itself.
    Invalid = 2,
    /// More IPv6 extension headers than the limit, or one of them is malformed.
    ExtensionHeaders = 3,
    /// A later fragment whose first fragment was not seen.
    FragmentWithoutFirst = 4,
    /// More VLAN tags than are parsed.
    VlanTags = 5,
    /// The transport header is spread over fragments (RFC 1858 §3, RFC 3128, RFC 7112).
    TinyFragment = 6,
    /// Fragments overlap, or have more data than their packet (RFC 1858 §4, RFC 5722).
    FragmentOverlap = 7,
    /// More fragments of one packet than the limit.
    FragmentLimit = 8,
    /// A rule allows it, and its peer is over the rate limit of the rule.
    RateLimited = 9,
    /// It is in a VLAN that the configuration does not admit.
    VlanNotAdmitted = 10,
    /// It is ARP, and the built-in that lets it pass is switched off.
    ArpOff = 11,
}

/// Every reason: itself, Cilium's number, Cilium's text, and the metric-style name.
pub const DROP_REASONS: [(DropReason, u8, &str, &str); 12] = [
    (
        DropReason::DefaultDeny,
        133,
        "Policy denied",
        "default-deny",
    ),
    (
        DropReason::DenyRule,
        181,
        "Policy denied by denylist",
        "deny-rule",
    ),
    (DropReason::Invalid, 134, "Invalid packet", "invalid-packet"),
    (
        DropReason::ExtensionHeaders,
        156,
        "Invalid IPv6 extension header",
        "ipv6-extension-headers",
    ),
    (
        DropReason::FragmentWithoutFirst,
        175,
        "First logical datagram fragment not found",
        "fragment-without-first",
    ),
    (
        DropReason::VlanTags,
        166,
        "Unsupported L2 protocol",
        "vlan-tags",
    ),
    (
        DropReason::TinyFragment,
        134,
        "Invalid packet: tiny fragment",
        "tiny-fragment",
    ),
    (
        DropReason::FragmentOverlap,
        134,
        "Invalid packet: overlapping fragment",
        "fragment-overlap",
    ),
    (
        DropReason::FragmentLimit,
        157,
        "IP fragmentation not supported: too many fragments",
        "fragment-limit",
    ),
    (DropReason::RateLimited, 198, "Rate limited", "rate-limited"),
    (
        DropReason::VlanNotAdmitted,
        182,
        "VLAN traffic disallowed by VLAN filter",
        "vlan-not-admitted",
    ),
    (
        DropReason::ArpOff,
        166,
        "Unsupported L2 protocol: ARP is switched off",
        "arp-off",
    ),
];

#[cfg(not(target_arch = "bpf"))]
impl DropReason {
    /// The reason with this slot.
    #[must_use]
    pub fn from_slot(slot: u8) -> Option<Self> {
        DROP_REASONS.get(usize::from(slot)).map(|row| row.0)
    }
    /// Cilium's number, as in `flow.proto`'s `DropReason`.
    #[must_use]
    pub fn number(self) -> u8 {
        DROP_REASONS[self as usize].1
    }
    /// Cilium's text.
    #[must_use]
    pub fn text(self) -> &'static str {
        DROP_REASONS[self as usize].2
    }
    /// Whether a rule or the lack of one decided, not the packet's form.
    #[must_use]
    pub fn is_policy(self) -> bool {
        matches!(
            self,
            Self::DefaultDeny | Self::DenyRule | Self::RateLimited | Self::VlanNotAdmitted
        )
    }
    /// A short name for counters and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        DROP_REASONS[self as usize].3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_the_positions_in_the_table() {
        for (slot, row) in DROP_REASONS.iter().enumerate() {
            assert_eq!(row.0 as usize, slot, "{}", row.3);
        }
    }

    #[test]
    fn no_two_reasons_have_one_name() {
        let names = DROP_REASONS.iter().map(|row| row.3);
        assert_eq!(
            names.collect::<std::collections::BTreeSet<_>>().len(),
            DROP_REASONS.len()
        );
    }
}
