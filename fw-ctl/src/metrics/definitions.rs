//! Every metric: its name, what its numbers mean, its labels. Names are in base units, and
//! counters end with `_total`.

use super::family::{Definition, Kind};

/// What the datapath and the daemon tell of themselves, in the order of the exposition.
pub static OWN: [&Definition; 28] = [
    &BUILD,
    &MODE,
    &JUDGING,
    &DEGRADED,
    &PROBLEMS,
    &GENERATION,
    &POLICIES,
    &PACKETS,
    &BYTES,
    &RULE_PACKETS,
    &RULE_BYTES,
    &RULE_LIMITED,
    &RULES_LEFT_OUT,
    &CONNTRACK_ENTRIES,
    &CONNTRACK_LIMIT,
    &CONNTRACK_BEGUN,
    &CONNTRACK_DISPLACED,
    &MAP_ENTRIES,
    &MAP_LIMIT,
    &INTERFACE,
    &INTERFACE_GAPS,
    &INTERFACES_LEFT_OUT,
    &RELOADS,
    &RELOAD_DURATION,
    &EVENTS,
    &EVENTS_LOST,
    &EVENTS_MISSED,
    &SCRAPES_DISPLACED,
];

/// What is there only with `metrics.cilium_names`: names of Cilium 1.19
/// (`Documentation/observability/metrics.rst`), with its labels and their values.
pub static CILIUM: [&Definition; 8] = [
    &CILIUM_DROP_COUNT,
    &CILIUM_DROP_BYTES,
    &CILIUM_FORWARD_COUNT,
    &CILIUM_FORWARD_BYTES,
    &CILIUM_POLICY,
    &HUBBLE_FLOWS,
    &HUBBLE_DROPS,
    &HUBBLE_LOST,
];

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Definition {
    Definition {
        name,
        kind: Kind::Gauge,
        unit: None,
        labels,
        help,
    }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Definition {
    Definition {
        kind: Kind::Counter,
        ..gauge(name, labels, help)
    }
}

const fn bytes(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Definition {
    Definition {
        unit: Some("bytes"),
        ..counter(name, labels, help)
    }
}

const fn info(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Definition {
    Definition {
        kind: Kind::Info,
        ..gauge(name, labels, help)
    }
}

const PACKET: &[&str] = &["direction", "verdict", "reason"];
const RULE: &[&str] = &["direction", "policy", "rule", "verdict"];
const OF_FRAMES: &str = "The same in bytes of their frames.";

pub static BUILD: Definition = info(
    "fw_ctl_build_info",
    &["version", "schema"],
    "Version of the daemon, and number of the layout of its tables in the kernel.",
);
pub static MODE: Definition = gauge(
    "fw_ctl_mode",
    &["mode"],
    "1 for what happens to denied packets: audit, enforce, or none without a plan; else 0.",
);
pub static JUDGING: Definition = gauge(
    "fw_ctl_judging",
    &[],
    "1 if packets are judged by a plan, 0 if nothing is filtered.",
);
pub static DEGRADED: Definition = gauge(
    "fw_ctl_degraded",
    &[],
    "1 if anything is not as it should be, as /healthz and fw-ctl status tell.",
);
pub static PROBLEMS: Definition = gauge(
    "fw_ctl_problems",
    &[],
    "How many things are not as they should be; fw-ctl status names them.",
);
pub static GENERATION: Definition = gauge(
    "fw_ctl_generation",
    &[],
    "Number of the plan in force; 0 without one.",
);
pub static POLICIES: Definition = gauge(
    "fw_ctl_policies",
    &[],
    "Policies that the plan in force was made of.",
);
pub static PACKETS: Definition = counter(
    "fw_ctl_packets_total",
    PACKET,
    "What became of packets and why: allowed, dropped, audited (would be dropped in mode \
     enforce), or passed without asking a policy.",
);
pub static BYTES: Definition = bytes("fw_ctl_bytes_total", PACKET, OF_FRAMES);
pub static RULE_PACKETS: Definition = counter(
    "fw_ctl_rule_packets_total",
    RULE,
    "Packets that a rule of the plan in force decided, within its rate if it has one; deny of \
     mode audit lets pass.",
);
pub static RULE_BYTES: Definition = bytes("fw_ctl_rule_bytes_total", RULE, OF_FRAMES);
pub static RULE_LIMITED: Definition = counter(
    "fw_ctl_rule_limited_packets_total",
    RULE,
    "Packets beyond the rate of a rule that has one.",
);
pub static RULES_LEFT_OUT: Definition = gauge(
    "fw_ctl_rules_left_out",
    &[],
    "Rules of the plan in force that have no numbers here, because there are too many; \
     fw-ctl rules has all.",
);
pub static CONNTRACK_ENTRIES: Definition = gauge(
    "fw_ctl_conntrack_entries",
    &[],
    "Connections that are remembered now.",
);
pub static CONNTRACK_LIMIT: Definition = gauge(
    "fw_ctl_conntrack_entries_limit",
    &[],
    "Connections that there is room for.",
);
pub static CONNTRACK_BEGUN: Definition = counter(
    "fw_ctl_conntrack_begun_total",
    &[],
    "Connections that were ever remembered.",
);
pub static CONNTRACK_DISPLACED: Definition = counter(
    "fw_ctl_conntrack_displaced_total",
    &[],
    "Connections that had to give way to others before their time.",
);
pub static MAP_ENTRIES: Definition = gauge(
    "fw_ctl_map_entries",
    &["map"],
    "Entries of a table in the kernel that are in use.",
);
pub static MAP_LIMIT: Definition = gauge(
    "fw_ctl_map_entries_limit",
    &["map"],
    "Entries that a table in the kernel has room for; a plan that needs more is refused.",
);
pub static INTERFACE: Definition = info(
    "fw_ctl_interface_info",
    &["interface", "ingress", "egress"],
    "Interfaces that are filtered, and how: xdp-native, xdp-generic or tc.",
);
pub static INTERFACE_GAPS: Definition = gauge(
    "fw_ctl_interface_gaps",
    &[],
    "Interfaces by which traffic of the node may pass unfiltered; fw-ctl status names them.",
);
pub static INTERFACES_LEFT_OUT: Definition = gauge(
    "fw_ctl_interfaces_left_out",
    &[],
    "Interfaces that are filtered and not named here, because there are too many.",
);
pub static RELOADS: Definition = counter(
    "fw_ctl_reloads_total",
    &["outcome"],
    "Reloads since the daemon started, its start among them: applied, or refused, which \
     changes nothing.",
);
pub static RELOAD_DURATION: Definition = Definition {
    name: "fw_ctl_reload_duration_seconds",
    kind: Kind::Histogram,
    unit: Some("seconds"),
    labels: &[],
    help: "How long reloads took that were applied, from reading the files until packets were \
           judged by them.",
};
pub static EVENTS: Definition = counter(
    "fw_ctl_events_total",
    &["verdict", "protocol"],
    "Verdicts that were reported since the daemon started, as fw-ctl observe shows them; \
     sampled under load, fw_ctl_packets_total is not.",
);
pub static EVENTS_LOST: Definition = counter(
    "fw_ctl_events_lost_total",
    &[],
    "Verdicts that were not reported, because there were too many at once; every packet is \
     counted all the same.",
);
pub static EVENTS_MISSED: Definition = counter(
    "fw_ctl_events_missed_total",
    &[],
    "Reported verdicts that a client of observe, monitor, top or Hubble was too slow to read.",
);
pub static SCRAPES_DISPLACED: Definition = counter(
    "fw_ctl_scrapes_displaced_total",
    &[],
    "Connections to this port that were ended for others, because there were too many at once.",
);

pub static CILIUM_DROP_COUNT: Definition = counter(
    "cilium_drop_count_total",
    &["reason", "direction"],
    "Packets that were dropped.",
);
pub static CILIUM_DROP_BYTES: Definition = bytes(
    "cilium_drop_bytes_total",
    &["reason", "direction"],
    "Bytes that were dropped.",
);
pub static CILIUM_FORWARD_COUNT: Definition = counter(
    "cilium_forward_count_total",
    &["direction"],
    "Packets that passed.",
);
pub static CILIUM_FORWARD_BYTES: Definition = bytes(
    "cilium_forward_bytes_total",
    &["direction"],
    "Bytes that passed.",
);
pub static CILIUM_POLICY: Definition = gauge("cilium_policy", &[], "Policies in force.");
pub static HUBBLE_FLOWS: Definition = counter(
    "hubble_flows_processed_total",
    &["protocol", "type", "subtype", "verdict"],
    "Flows that were reported: verdicts, and drops.",
);
pub static HUBBLE_DROPS: Definition = counter(
    "hubble_drop_total",
    &["reason", "protocol"],
    "Drops that were reported.",
);
pub static HUBBLE_LOST: Definition = counter(
    "hubble_lost_events_total",
    &["source"],
    "Verdicts that were not reported, or not read in time.",
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What Prometheus and `OpenMetrics` ask of names.
    #[test]
    fn names_are_as_the_formats_want_them() {
        let all: Vec<_> = OWN.iter().chain(&CILIUM).collect();
        let names: BTreeSet<_> = all.iter().map(|definition| definition.name).collect();
        assert_eq!(names.len(), all.len());
        for definition in all {
            let name = definition.name;
            let is_counter = definition.kind == Kind::Counter;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            let is_info = definition.kind == Kind::Info;
            assert_eq!(name.ends_with("_info"), is_info, "{name}");
            let base = name.trim_end_matches("_total");
            for unit in ["bytes", "seconds"] {
                let says = definition.unit == Some(unit);
                assert_eq!(base.ends_with(&format!("_{unit}")), says, "{name}");
            }
            let is_word = |text: &str| {
                text.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            };
            assert!(is_word(name), "{name}");
            for label in definition.labels {
                assert!(is_word(label) && *label != "le", "{name} {label}");
            }
            assert!(definition.help.ends_with('.'), "{name}");
            assert!(!definition.help.contains("  "), "{name}");
        }
        assert!(OWN.iter().all(|own| own.name.starts_with("fw_ctl_")));
    }
}
