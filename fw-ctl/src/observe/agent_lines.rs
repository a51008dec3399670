//! Agent events as `hubble observe agent-events` prints them (Cilium
//! `hubble/pkg/printer/printer.go`), to the letter.

use serde_json::{Value, json};

use super::clock::rfc3339;
use super::lines::Style;
use super::local::{Layout, local};
use super::{AgentChange, AgentEvent, PolicyChange};

/// Above the columns of a table, and before the lines of a block.
pub const HEADER: [&str; 4] = ["TIMESTAMP", "NODE", "TYPE", "DETAILS"];

/// Hubble's name of what happened.
fn kind(event: &AgentEvent) -> &'static str {
    match event.what {
        AgentChange::Started => "AGENT_STARTED",
        AgentChange::PolicyUpdated(_) => "POLICY_UPDATED",
        AgentChange::PolicyDeleted(_) => "POLICY_DELETED",
    }
}

/// `labels: [k8s:…], revision: 4, count: 2`
#[must_use]
pub fn details(event: &AgentEvent, layout: Layout) -> String {
    match &event.what {
        AgentChange::Started => format!("start time: {}", local(event.time, layout)),
        AgentChange::PolicyUpdated(change) | AgentChange::PolicyDeleted(change) => format!(
            "labels: [{}], revision: {}, count: {}",
            change.labels().join(","),
            change.revision,
            change.rules
        ),
    }
}

/// What stands below each of [`HEADER`]; no node unless it is asked for.
#[must_use]
pub fn cells(event: &AgentEvent, style: Style) -> [String; HEADER.len()] {
    let node = match style.node {
        true => event.node.to_string(),
        false => String::new(),
    };
    let kind = kind(event).to_owned();
    [
        local(event.time, style.time),
        node,
        kind,
        details(event, style.time),
    ]
}

/// `Nov 21 04:06:23.000: AGENT_STARTED (start time: Nov 21 04:06:23.000)`
#[must_use]
pub fn compact(event: &AgentEvent, style: Style) -> String {
    let [time, node, kind, details] = cells(event, style);
    let node = match style.node {
        true => format!(" [{node}]"),
        false => node,
    };
    format!("{time}{node}: {kind} ({details})")
}

/// A block of lines with a key each.
#[must_use]
pub fn dict(event: &AgentEvent, style: Style) -> String {
    let lines = HEADER.iter().zip(cells(event, style));
    let lines = lines.filter(|(key, _)| **key != "NODE" || style.node);
    let lines: Vec<_> = lines
        .map(|(key, cell)| format!("{key:>11}: {cell}"))
        .collect();
    lines.join("\n")
}

/// Protojson of `GetAgentEventsResponse`.
#[must_use]
pub fn json(event: &AgentEvent) -> Value {
    let time = rfc3339(event.time);
    let (key, notification) = match &event.what {
        AgentChange::Started => ("agent_start", json!({"time": time})),
        AgentChange::PolicyUpdated(change) | AgentChange::PolicyDeleted(change) => {
            ("policy_update", policy_update(change))
        }
    };
    json!({
        "agent_event": {"type": kind(event), key: notification},
        "node_name": event.node,
        "time": time,
    })
}

/// Numbers of 64 bits are texts there, and no 0 is written.
fn policy_update(change: &PolicyChange) -> Value {
    let mut update = json!({
        "labels": change.labels(),
        "revision": change.revision.to_string(),
    });
    if change.rules > 0 {
        update["rule_count"] = json!(change.rules.to_string());
    }
    update
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_hubbles() {
        let named = Style {
            time: Layout::Rfc3339Nano,
            node: true,
            policies: false,
        };
        let style = Style {
            node: false,
            ..named
        };
        let event = |what| AgentEvent {
            node: "default/node1".into(),
            time: 1_795_233_983_000_000_123,
            what,
        };
        let change = PolicyChange {
            policy: "web".into(),
            revision: 4,
            rules: 2,
        };
        let labels = "k8s:io.cilium.k8s.policy.derived-from=CiliumClusterwideNetworkPolicy,k8s:io.cilium.k8s.policy.name=web";
        let started = event(AgentChange::Started);
        let updated = event(AgentChange::PolicyUpdated(change.clone()));
        let deleted = event(AgentChange::PolicyDeleted(change));
        let time = local(started.time, style.time);
        assert_eq!(
            compact(&started, style),
            format!("{time}: AGENT_STARTED (start time: {time})")
        );
        assert_eq!(
            compact(&updated, named),
            format!(
                "{time} [default/node1]: POLICY_UPDATED (labels: [{labels}], revision: 4, count: 2)"
            )
        );
        assert_eq!(
            dict(&deleted, named),
            format!(
                "  TIMESTAMP: {time}\n       NODE: default/node1\n       TYPE: POLICY_DELETED\n    DETAILS: labels: [{labels}], revision: 4, count: 2"
            )
        );
        assert!(!dict(&deleted, style).contains("NODE"));
        assert_eq!(
            json(&updated),
            json!({
                "agent_event": {
                    "type": "POLICY_UPDATED",
                    "policy_update": {
                        "labels": labels.split(',').collect::<Vec<_>>(),
                        "revision": "4",
                        "rule_count": "2",
                    },
                },
                "node_name": "default/node1",
                "time": "2026-11-21T04:06:23.000000123Z",
            })
        );
        assert_eq!(
            json(&started)["agent_event"]["agent_start"]["time"],
            "2026-11-21T04:06:23.000000123Z"
        );
    }
}
