//! Why a packet is dropped. Numbers and texts are Cilium's
//! (`pkg/monitor/api/drop.go`), so that the tools around Hubble understand us.

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
    /// A rule allows it, and its peer is over the rate limit of the rule.
    RateLimited = 6,
}

/// Every reason: itself, Cilium's number, Cilium's text, and the metric-style name.
pub const DROP_REASONS: [(DropReason, u8, &str, &str); 7] = [
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
    (DropReason::RateLimited, 198, "Rate limited", "rate-limited"),
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
        matches!(self, Self::DefaultDeny | Self::DenyRule | Self::RateLimited)
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
}
