//! The names that Cilium's users have alerts on already, with Cilium's labels and their values
//! (`Documentation/observability/metrics.rst`; `pkg/hubble/metrics/{flow,drop}/handler.go`).
//!
//! Only what can be told truthfully: in Cilium 1.19 `subtype` is empty for what we report, and
//! reasons are the texts of `pkg/monitor/api/drop.go`.

use fw_common::wire::DROP_REASONS;

use super::definitions as define;
use super::family::Family;
use super::{Numbers, PacketNumbers};
use crate::observe::Told;
use crate::observe::json::drop_reason_desc;

/// All of them, in the order of [`super::CILIUM`].
#[must_use]
pub fn families(numbers: &Numbers) -> [Family; 8] {
    let (dropped, forwarded): (Vec<_>, Vec<_>) = numbers
        .packets
        .iter()
        .partition(|of| of.verdict == "dropped");
    let drops = dropped.iter().map(|of| {
        let labels = [cilium_reason(&of.reason), direction(of)];
        (labels, of.packets, of.bytes)
    });
    let passes = forwarded
        .iter()
        .map(|of| ([direction(of)], of.packets, of.bytes));
    let events = numbers.events.iter();
    let processed = events.flat_map(|(kind, count)| {
        let policy = kind.policy.then_some("PolicyVerdict");
        let drop = (kind.told == Told::Deny).then_some("Drop");
        let labels = move |message| [kind.protocol, message, "", hubble_verdict(kind.told)];
        let messages = [policy, drop].into_iter().flatten();
        messages.map(move |message| (labels(message).map(str::to_owned), count))
    });
    let denied = numbers.events.iter();
    let denied = denied.filter(|(kind, _)| kind.told == Told::Deny);
    let reported = denied.map(|(kind, count)| {
        let reason = kind.reason.map_or("", drop_reason_desc);
        ([reason, kind.protocol].map(str::to_owned), count)
    });
    let lost = [
        ("perf_event_ring_buffer", numbers.lost_events),
        ("hubble_ring_buffer", numbers.events.missed()),
    ];
    let lost = lost.map(|(source, count)| ([source.to_owned()], count));
    [
        Family::of(
            &define::CILIUM_DROP_COUNT,
            drops.clone().map(|(of, packets, _)| (of, packets)),
        ),
        Family::of(
            &define::CILIUM_DROP_BYTES,
            drops.map(|(of, _, bytes)| (of, bytes)),
        ),
        Family::of(
            &define::CILIUM_FORWARD_COUNT,
            passes.clone().map(|(of, packets, _)| (of, packets)),
        ),
        Family::of(
            &define::CILIUM_FORWARD_BYTES,
            passes.map(|(of, _, bytes)| (of, bytes)),
        ),
        Family::single(&define::CILIUM_POLICY, numbers.policies),
        Family::of(&define::HUBBLE_FLOWS, processed),
        Family::of(&define::HUBBLE_DROPS, reported),
        Family::of(&define::HUBBLE_LOST, lost),
    ]
}

const fn hubble_verdict(told: Told) -> &'static str {
    match told {
        Told::Allow => "FORWARDED",
        Told::Deny => "DROPPED",
        Told::Audit => "AUDIT",
    }
}

fn direction(of: &PacketNumbers) -> String {
    of.direction.to_uppercase()
}

/// Cilium's text for one of our reasons: what it does not tell apart has our own words behind
/// a colon.
fn cilium_reason(name: &str) -> String {
    let row = DROP_REASONS.iter().find(|row| row.3 == name);
    let text = row.map_or(name, |row| row.2);
    text.split(": ").next().unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, render};
    use crate::observe::text::tests::record;
    use crate::observe::{Record, Tally};

    #[test]
    fn labels_are_those_of_cilium() {
        let packets = |verdict: &str, reason: &str, packets| PacketNumbers {
            direction: "ingress".into(),
            verdict: verdict.into(),
            reason: reason.into(),
            packets,
            bytes: packets * 60,
        };
        let mut events = Tally::default();
        for told in [Told::Deny, Told::Allow, Told::Deny] {
            events.add(&Record { told, ..record() });
        }
        let numbers = Numbers {
            packets: vec![
                packets("allowed", "allowed", 1),
                packets("dropped", "default-deny", 2),
                packets("dropped", "invalid-packet", 4),
                packets("dropped", "tiny-fragment", 8),
                packets("audited", "default-deny", 16),
            ],
            events,
            ..Numbers::default()
        };
        let text = render(&families(&numbers), Format::Prometheus);
        for line in [
            r#"cilium_drop_count_total{reason="Policy denied",direction="INGRESS"} 2"#,
            r#"cilium_drop_count_total{reason="Invalid packet",direction="INGRESS"} 12"#,
            r#"cilium_drop_bytes_total{reason="Invalid packet",direction="INGRESS"} 720"#,
            r#"cilium_forward_count_total{direction="INGRESS"} 17"#,
            r#"hubble_flows_processed_total{protocol="TCP",type="Drop",subtype="",verdict="DROPPED"} 2"#,
            r#"hubble_flows_processed_total{protocol="TCP",type="PolicyVerdict",subtype="",verdict="FORWARDED"} 1"#,
            r#"hubble_drop_total{reason="POLICY_DENIED",protocol="TCP"} 2"#,
            r#"hubble_lost_events_total{source="hubble_ring_buffer"} 0"#,
            r#"hubble_lost_events_total{source="perf_event_ring_buffer"} 0"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
    }
}
