//! What was lost as `hubble observe` and `cilium monitor` print it (Cilium
//! `hubble/pkg/printer/printer.go`, `pkg/monitor/format`), to the letter: it has neither a time
//! nor a node, except in JSON.

use fw_common::wire::DropReason;

use super::Lost;
use super::lines::{HEADER, Style};

/// Hubble prints the first one where it does not know which.
fn cpu(lost: &Lost) -> u32 {
    lost.cpu.unwrap_or(0)
}

/// What stands below each of [`HEADER`].
#[must_use]
pub fn cells(lost: &Lost) -> [String; HEADER.len()] {
    let mut cells = [const { String::new() }; HEADER.len()];
    lost.source.name().clone_into(&mut cells[2]);
    "EVENTS LOST".clone_into(&mut cells[4]);
    cells[6] = format!("CPU({}) - {}", cpu(lost), lost.count);
    cells
}

/// `EVENTS LOST: PERF_EVENT_RING_BUFFER CPU(0) 12`
#[must_use]
pub fn compact(lost: &Lost) -> String {
    let (source, cpu) = (lost.source.name(), cpu(lost));
    format!("EVENTS LOST: {source} CPU({cpu}) {}", lost.count)
}

/// A block of lines with a key each.
#[must_use]
pub fn dict(lost: &Lost, style: Style) -> String {
    let lines = HEADER.iter().zip(cells(lost));
    let lines = lines.filter(|(key, _)| match **key {
        "NODE" => style.node,
        "DESTINATION" => false,
        _ => true,
    });
    let lines: Vec<_> = lines
        .map(|(key, cell)| format!("{key:>11}: {cell}"))
        .collect();
    lines.join("\n")
}

/// `CPU 01: Lost 12 events`, as `cilium monitor` prints it; without the CPU where it was not one.
#[must_use]
pub fn monitor(lost: &Lost) -> String {
    match lost.cpu {
        Some(cpu) => format!("CPU {cpu:02}: Lost {} events", lost.count),
        None => format!("Lost {} events", lost.count),
    }
}

/// Lines below it, in our words: of which rules and reasons they were.
#[must_use]
pub fn explanation(lost: &Lost) -> Vec<String> {
    let lines = lost.of.iter().map(|of| {
        let verdict = if of.allowed { "allowed" } else { "not allowed" };
        let reason = of.reason.and_then(DropReason::from_slot);
        let why = match (&of.rule, reason) {
            (Some(rule), _) => rule.phrase(),
            (None, Some(reason)) => reason.name().to_owned(),
            (None, None) => "by one of several rules, or one that was replaced".to_owned(),
        };
        format!("   {} {verdict}, {why}", of.count)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::LostSource;
    use crate::observe::json;

    #[test]
    fn lines_are_hubbles_and_ciliums() {
        let lost = Lost {
            time: 1_795_233_983_000_000_123,
            node: "default/node1".into(),
            source: LostSource::Kernel,
            count: 12,
            cpu: Some(1),
            of: Vec::new(),
        };
        let of_many = Lost {
            source: LostSource::Listener,
            cpu: None,
            ..lost.clone()
        };
        assert_eq!(
            compact(&lost),
            "EVENTS LOST: PERF_EVENT_RING_BUFFER CPU(1) 12"
        );
        assert_eq!(
            compact(&of_many),
            "EVENTS LOST: HUBBLE_RING_BUFFER CPU(0) 12"
        );
        assert_eq!(monitor(&lost), "CPU 01: Lost 12 events");
        assert_eq!(monitor(&of_many), "Lost 12 events");
        assert_eq!(
            dict(&lost, Style::default()).lines().collect::<Vec<_>>(),
            [
                "  TIMESTAMP: ",
                "     SOURCE: PERF_EVENT_RING_BUFFER",
                "       TYPE: EVENTS LOST",
                "    VERDICT: ",
                "    SUMMARY: CPU(1) - 12",
            ]
        );
        let expected = r#"{"lost_events":{"source":"PERF_EVENT_RING_BUFFER","num_events_lost":"12","cpu":1},"node_name":"default/node1","time":"2026-11-21T04:06:23.000000123Z"}"#;
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(json::lost(&lost), expected);
        assert_eq!(json::lost(&of_many)["lost_events"].get("cpu"), None);
    }
}
