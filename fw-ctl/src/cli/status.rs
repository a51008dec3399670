//! `fw-ctl status`

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, bad, doubtful, good, print, print_json};
use super::table::table;
use crate::config::Paths;
use crate::control::client::ask;
use crate::control::protocol::{Failure, Request};
use crate::daemon::status::{ListStatus, Status};
use crate::datapath::flows::Pressure;
use crate::datapath::{filtered, in_force};
use crate::exit;

/// Warnings that are shown without `-v`.
const WARNINGS: usize = 5;

/// Arguments of `status`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Also list every warning, interfaces that are not filtered, addresses and counters
    #[arg(short, long)]
    verbose: bool,
}

/// Asks and prints.
///
/// # Errors
/// When the daemon does not answer.
pub fn run(args: &Args) -> Outcome {
    let paths = args.client.paths();
    let status: Status = ask(&paths.control_socket(), &Request::Status)
        .map_err(|failure| with_pinned(failure, &paths))?;
    match args.output.format {
        Format::Json => print_json(&status)?,
        Format::Table => print(&text(&status, args.verbose))?,
    }
    Ok(if status.degraded.is_empty() {
        exit::OK
    } else {
        exit::NEGATIVE
    })
}

/// Adds to the failure of a daemon that does not answer what the kernel does without it.
fn with_pinned(failure: Failure, paths: &Paths) -> Failure {
    if failure.exit != exit::UNREACHABLE || !nix::unistd::geteuid().is_root() {
        return failure;
    }
    let links = filtered(&paths.pin_dir);
    let found = links.and_then(|links| Ok((links, in_force(&paths.pin_dir)?)));
    let what = match found {
        Ok((links, _)) if links.is_empty() => format!(
            "no interface of this network namespace is filtered by anything pinned in {}",
            paths.pin_dir.display()
        ),
        Ok((links, Some(plan))) => format!(
            "the kernel goes on filtering {} by generation {} in {} mode",
            links.join(", "),
            plan.number,
            plan.mode.name()
        ),
        Ok((links, None)) => format!("the kernel goes on filtering {}", links.join(", ")),
        Err(error) => format!(
            "what the kernel filters is not known: {}",
            Failure::from(error).line()
        ),
    };
    Failure {
        message: format!("{}; {what}", failure.message),
        ..failure
    }
}

fn connections(pressure: Pressure) -> String {
    let Pressure {
        live,
        capacity,
        displaced,
        ..
    } = pressure;
    let mut text = format!("{live} remembered, room for {capacity}");
    if displaced > 0 {
        let _ = write!(text, ", {displaced} forgotten early for want of it");
    }
    text
}

/// A line for each entry; one that says so where there are none.
fn failsafe(status: &Status) -> Vec<String> {
    let entries = status.failsafe.iter();
    let lines = entries.map(|entry| format!("{}: {} packets", entry.allows, entry.packets));
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() && status.generation.number.is_some() {
        return vec!["none: policy alone decides".into()];
    }
    lines
}

fn lists(lists: &[ListStatus]) -> String {
    let one = |list: &ListStatus| {
        let mut text = format!("{} ({} entries", list.name, list.entries);
        if list.expired > 0 {
            let _ = write!(text, ", {} expired", list.expired);
        }
        if list.lost > 0 {
            let _ = write!(text, ", {} of them lost and in force still", list.lost);
        }
        text + ")"
    };
    let all: Vec<_> = lists.iter().map(one).collect();
    all.join(", ")
}

/// Packets of both directions of the counters whose names begin so, most first; `None` if
/// there were none.
fn by_reason(status: &Status, prefix: &str) -> Option<String> {
    let mut reasons = BTreeMap::<&str, u64>::new();
    for counter in &status.counters {
        if let Some(reason) = counter.name.strip_prefix(prefix) {
            *reasons.entry(reason).or_default() += counter.packets;
        }
    }
    let mut reasons: Vec<_> = reasons.into_iter().filter(|row| row.1 > 0).collect();
    reasons.sort_by_key(|(_, packets)| std::cmp::Reverse(*packets));
    let total: u64 = reasons.iter().map(|(_, packets)| packets).sum();
    let reasons: Vec<_> = reasons
        .iter()
        .map(|(reason, packets)| format!("{packets} {reason}"))
        .collect();
    (total > 0).then(|| format!("{total} packets: {}", reasons.join(", ")))
}

fn text(status: &Status, verbose: bool) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("{name:<12}{value}"));
    let health = if status.degraded.is_empty() {
        good("ok")
    } else {
        bad("degraded")
    };
    line("Node", format!("{}, {health}", status.node));
    let mode = match status.mode.as_str() {
        "enforce" => good("enforce"),
        mode => doubtful(mode),
    };
    line("Mode", format!("{mode} (by {})", status.mode_source));
    line("Plan", plan(status));
    if let Some(test) = &status.datapath.self_test {
        line("Self-test", test.to_string());
    }
    line(
        "Policies",
        format!("{}, {} rules", status.policies, status.rules),
    );
    line(
        "Built-ins",
        match status.builtins.is_empty() {
            true => "none: all are switched off".to_owned(),
            false => status.builtins.join(", "),
        },
    );
    for (i, entry) in failsafe(status).into_iter().enumerate() {
        line(if i == 0 { "Failsafe" } else { "" }, entry);
    }
    line("Connections", connections(status.connections));
    if let Some(dropped) = by_reason(status, "dropped/") {
        line("Dropped", dropped);
    }
    // What was audited before does not matter any more where it is dropped now.
    if status.mode == "audit"
        && let Some(audited) = by_reason(status, "audited/")
    {
        line("Audited", format!("{audited} (would be dropped)"));
    }
    if let Some(vlans) = &status.vlans {
        line("VLANs", format!("{vlans}; others are not admitted"));
    }
    if !status.lists.is_empty() {
        line("Lists", lists(&status.lists));
    }
    if status.bans > 0 {
        line("Bans", format!("{}; see fw-ctl ban list", status.bans));
    }
    if status.lost_events > 0 {
        line("Unreported", format!("{} verdicts", status.lost_events));
    }
    for problem in &status.degraded {
        for (i, part) in problem.lines().enumerate() {
            line(if i == 0 { "Problem" } else { "" }, bad(part));
        }
    }
    let shown = if verbose { usize::MAX } else { WARNINGS };
    for warning in status.warnings.iter().take(shown) {
        line("Warning", doubtful(warning));
    }
    let more = status.warnings.len().saturating_sub(shown);
    if more > 0 {
        line(
            "",
            doubtful(&format!("and {more} more; try: fw-ctl status -v")),
        );
    }
    let interfaces = status.interfaces.iter();
    let rows = interfaces.map(|link| {
        [
            link.name.clone(),
            link.ingress.name().to_owned(),
            link.egress.clone(),
            link.why.clone(),
        ]
    });
    lines.push(String::new());
    lines.push(table(["INTERFACE", "INGRESS", "EGRESS", "WHY"], rows));
    if verbose {
        details(status, &mut lines);
    }
    lines.join("\n")
}

/// What few want to know.
fn details(status: &Status, lines: &mut Vec<String>) {
    let rows = status.datapath.programs.iter();
    let rows = rows.map(|program| {
        [
            program.interface.clone(),
            program.hook.clone(),
            program.id.to_string(),
            program.tag.clone(),
            program.loaded.clone().unwrap_or_default(),
        ]
    });
    lines.push(String::new());
    lines.push(table(
        ["INTERFACE", "HOOK", "PROGRAM", "TAG", "LOADED"],
        rows,
    ));
    lines.push(format!("tables of schema {}", status.datapath.schema));
    let rows = status.unfiltered.iter();
    let rows = rows.map(|link| [link.name.clone(), link.why.clone()]);
    lines.push(String::new());
    lines.push(table(["NOT FILTERED", "WHY"], rows));
    lines.push(String::new());
    lines.push("ADDRESSES".into());
    lines.extend(status.addresses.iter().cloned());
    let rows = status.counters.iter().map(|counter| {
        [
            counter.direction.clone(),
            counter.name.clone(),
            counter.packets.to_string(),
            counter.bytes.to_string(),
        ]
    });
    lines.push(String::new());
    lines.push(table(["DIRECTION", "COUNTER", "PACKETS", "BYTES"], rows));
}

/// One hash where all agree, else all of them.
fn plan(status: &Status) -> String {
    let generation = &status.generation;
    let Some(number) = generation.number else {
        return bad("none");
    };
    let hashes = [
        ("declared", &generation.declared),
        ("compiled", &generation.compiled),
        ("kernel", &generation.kernel),
        ("read back", &generation.read_back),
    ];
    if hashes.iter().all(|(_, hash)| *hash == &generation.kernel) {
        let hash = generation.kernel.as_deref().unwrap_or_default();
        return format!("generation {number}, {hash} (declared = compiled = kernel)");
    }
    let hashes: Vec<_> = hashes
        .iter()
        .map(|(name, hash)| format!("{name} {}", hash.as_deref().unwrap_or("none")))
        .collect();
    format!("generation {number}, {}", hashes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Ingress;
    use crate::daemon::status::{
        CounterStatus, FailsafeStatus, GenerationStatus, InterfaceStatus, SCHEMA,
    };

    fn status() -> Status {
        let hash = Some("00ff".to_owned());
        Status {
            schema: SCHEMA,
            version: "0.1.0".into(),
            node: "node1".into(),
            mode: "audit".into(),
            mode_source: "configuration".into(),
            degraded: vec![],
            trial: None,
            warnings: vec!["ib0: not filtered: neither an Ethernet header nor IP at once".into()],
            generation: GenerationStatus {
                number: Some(3),
                declared: hash.clone(),
                compiled: hash.clone(),
                kernel: hash.clone(),
                read_back: hash,
            },
            datapath: crate::daemon::filters::DatapathStatus::default(),
            interfaces: vec![InterfaceStatus {
                name: "eth0".into(),
                index: 2,
                ingress: Ingress::XdpNative,
                egress: "tc".into(),
                why: "the driver can".into(),
            }],
            unfiltered: vec![],
            addresses: vec!["10.0.0.1".into()],
            policies: 2,
            rules: 9,
            builtins: vec!["neighbor-discovery".into()],
            failsafe: vec![FailsafeStatus {
                direction: "ingress".into(),
                rule: "failsafe[0]".into(),
                allows: "tcp 22 from anybody".into(),
                origin: String::new(),
                packets: 7,
                bytes: 500,
            }],
            vlans: None,
            connections: Pressure {
                live: 12,
                capacity: 8_192,
                begun: 40,
                displaced: 0,
            },
            bans: 0,
            lists: vec![],
            counters: vec![],
            lost_events: 0,
        }
    }

    fn plain(status: &Status) -> String {
        anstream::adapter::strip_str(&text(status, false)).to_string()
    }

    #[test]
    fn a_healthy_node() {
        assert_eq!(
            plain(&status()),
            "\
Node        node1, ok
Mode        audit (by configuration)
Plan        generation 3, 00ff (declared = compiled = kernel)
Policies    2, 9 rules
Built-ins   neighbor-discovery
Failsafe    tcp 22 from anybody: 7 packets
Connections 12 remembered, room for 8192
Warning     ib0: not filtered: neither an Ethernet header nor IP at once

INTERFACE  INGRESS     EGRESS  WHY
eth0       xdp-native  tc      the driver can"
        );
    }

    #[test]
    fn lists_are_told_with_what_they_hold() {
        let list = |name: &str, entries, expired, lost| ListStatus {
            name: name.into(),
            file: format!("/etc/{name}.netset"),
            entries,
            expired,
            lost,
        };
        let lists = [("drop", 1_204, 0, 0), ("own", 7, 2, 0), ("feed", 9, 0, 3)];
        let lists = lists.map(|(name, entries, expired, lost)| list(name, entries, expired, lost));
        let status = Status {
            lists: lists.into(),
            ..status()
        };
        let text = plain(&status);
        assert!(
            text.contains(
                "\nLists       drop (1204 entries), own (7 entries, 2 expired), \
                 feed (9 entries, 3 of them lost and in force still)\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn what_was_dropped_is_told_by_reason() {
        let counter = |direction: &str, name: &str, packets| CounterStatus {
            direction: direction.into(),
            name: name.into(),
            packets,
            bytes: 60 * packets,
        };
        let mut status = status();
        status.counters = vec![
            counter("ingress", "allowed", 900),
            counter("ingress", "dropped/default-deny", 20),
            counter("egress", "dropped/default-deny", 3),
            counter("ingress", "dropped/rate-limited", 170),
            counter("ingress", "audited/deny-rule", 4),
        ];
        let dropped = "\nDropped     193 packets: 170 rate-limited, 23 default-deny\n";
        let text = plain(&status);
        assert!(text.contains(dropped), "{text}");
        let audited = "\nAudited     4 packets: 4 deny-rule (would be dropped)\n";
        assert!(text.contains(audited), "{text}");
        status.mode = "enforce".into();
        let text = plain(&status);
        assert!(text.contains(dropped), "{text}");
        assert!(!text.contains("Audited"), "{text}");
        status.counters.truncate(1);
        let text = plain(&status);
        assert!(!text.contains("Dropped"), "{text}");
    }

    #[test]
    fn failsafe_entries_have_a_line_each() {
        let mut status = status();
        let mut other = status.failsafe[0].clone();
        other.allows = "icmp to 192.0.2.0/24".into();
        other.packets = 0;
        status.failsafe.push(other);
        let text = plain(&status);
        let lines = "\nFailsafe    tcp 22 from anybody: 7 packets\n            \
                     icmp to 192.0.2.0/24: 0 packets\n";
        assert!(text.contains(lines), "{text}");
        status.failsafe.clear();
        let text = plain(&status);
        assert!(
            text.contains("\nFailsafe    none: policy alone decides\n"),
            "{text}"
        );
    }

    #[test]
    fn many_warnings_are_cut() {
        let mut status = status();
        status.warnings = (0..7).map(|i| format!("warning {i}")).collect();
        let text = plain(&status);
        assert!(
            text.contains("Warning     warning 4\n            and 2 more; try: fw-ctl status -v"),
            "{text}"
        );
        assert!(!text.contains("warning 5"), "{text}");
        let text = super::text(&status, true);
        assert!(text.contains("warning 6"), "{text}");
    }

    #[test]
    fn differing_hashes_are_shown() {
        let mut status = status();
        status.generation.declared = None;
        status.degraded = vec!["one\ntwo".into()];
        let text = plain(&status);
        assert!(
            text.contains(
                "generation 3, declared none, compiled 00ff, kernel 00ff, read back 00ff"
            ),
            "{text}"
        );
        assert!(text.contains("Node        node1, degraded\n"), "{text}");
        assert!(
            text.contains("Problem     one\n            two\n"),
            "{text}"
        );
    }
}
