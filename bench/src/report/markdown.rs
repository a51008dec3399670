//! The report as Markdown: a matrix first, then plots, then every number.

use std::fmt::Write;

use super::summary::{DROP, NOTHING, PingPong, Row, Scenario};
use crate::peer::Peer;
use crate::sample::{Install, Line, lab_link};
use crate::statistics::Summary;

/// The whole file. `plots` are titles and file names, `stem` the name of the raw data.
pub fn render(
    lines: &[Line],
    scenarios: &[Scenario],
    ping_pongs: &[PingPong],
    plots: &[(String, String)],
    over_budget: &[String],
    stem: &str,
) -> String {
    let mut text = head(lines, scenarios, stem);
    if !scenarios.is_empty() {
        text += &matrix(scenarios);
    }
    text += &latency(ping_pongs, &link(lines));
    text += &installs(lines);
    for (title, file) in plots {
        let _ = writeln!(text, "![{title}]({file})\n");
    }
    text += &notes(scenarios, lines, over_budget);
    if !scenarios.is_empty() {
        text += &details(scenarios);
    }
    text
}

/// What a ping-pong goes through.
fn link(lines: &[Line]) -> String {
    match lines.first() {
        Some(Line::Run { link, .. }) => link.clone(),
        _ => lab_link(),
    }
}

fn head(lines: &[Line], scenarios: &[Scenario], stem: &str) -> String {
    let Some(Line::Run {
        machine,
        rounds,
        sample_ms,
        generator,
        ..
    }) = lines.first()
    else {
        return "# fw-ctl beside its peers\n\n".to_owned();
    };
    let siblings = match machine.siblings.as_slice() {
        [] => "no sibling threads".to_owned(),
        list => format!("CPU {list:?} shares its core (or is taken for it) and was kept idle"),
    };
    let packets = match scenarios {
        [] => String::new(),
        _ => format!(
            "- **Packets:** {generator}. Frames are hot in the cache and there is no NIC: compare \
             rows with each other, not with a line rate.\n\
             - **Numbers:** nanoseconds that the receiving side needs for a packet, the generator's \
             own cost (measured alone, same packets) taken off. In parentheses: of packets that are \
             dropped, the multiple of a bare `XDP_DROP`; of packets that are accepted, nanoseconds \
             above nothing attached in the same round. Generator and bare drop are measured right \
             before and after each sample, and tell how fast the machine was just then; what is \
             compared is brought to one speed by them.\n"
        ),
    };
    format!(
        "# fw-ctl beside its peers, {date}\n\n\
         {rounds} interleaved rounds, {sample_ms} ms a sample; medians. Raw data: [{stem}.jsonl]({stem}.jsonl).\n\n\
         - **Machine:** {cpu}, {cpus} CPUs, {kind}; {siblings}. Linux {kernel}; {mitigations}. \
         Load when it began: {load}. Measuring thread {realtime}.\n\
         {packets}- **Built:** commit {commit}, {build}.\n\n",
        date = machine.date,
        cpu = machine.cpu,
        cpus = machine.cpus,
        kind = if machine.is_virtual {
            "virtual"
        } else {
            "bare metal"
        },
        kernel = machine.kernel,
        mitigations = machine.mitigations,
        load = machine.load,
        realtime = if machine.realtime {
            "SCHED_FIFO"
        } else {
            "without priority"
        },
        commit = machine.commit,
        build = machine.build,
    )
}

/// Scenarios by peers.
fn matrix(scenarios: &[Scenario]) -> String {
    let peers: Vec<String> = Peer::ALL
        .iter()
        .map(ToString::to_string)
        .filter(|peer| {
            scenarios
                .iter()
                .any(|scenario| scenario.rows.iter().any(|row| row.peer == *peer))
        })
        .collect();
    let mut text = format!("| ns a packet | {} |\n", peers.join(" | "));
    text += &format!("|---|{}\n", "---:|".repeat(peers.len()));
    for scenario in scenarios {
        let cells: Vec<String> = peers
            .iter()
            .map(|peer| {
                let row = scenario.rows.iter().find(|row| row.peer == *peer);
                row.map_or_else(String::new, cell)
            })
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} |",
            in_cell(&scenario.name),
            cells.join(" | ")
        );
    }
    text + "\n"
}

/// `57 (3.1×)`, or `900 (+86)` where packets are accepted; in bold if it is ours;
/// with a mark if something is wrong.
fn cell(row: &Row) -> String {
    let ratio = match (row.above_nothing, row.ratio) {
        _ if row.peer == NOTHING || row.peer == DROP => String::new(),
        (Some(above), _) => format!(" ({:+.0})", above.median),
        (None, Some(ratio)) => format!(" ({:.1}×)", ratio.median),
        (None, None) => String::new(),
    };
    let mark = if row.fault.is_some() { " !" } else { "" };
    let text = format!("{:.0}{ratio}{mark}", row.receive.median);
    match row.peer.starts_with("fw-ctl") {
        true => format!("**{text}**"),
        false => text,
    }
}

fn latency(ping_pongs: &[PingPong], link: &str) -> String {
    if ping_pongs.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "Round trip of 64 bytes over an established TCP connection to port 443, host rules, \
         through {link}, both ends on one CPU; medians over rounds, in parentheses the change against \
         nothing attached, median [least..most]. In the lab a second network without a firewall \
         takes turns with the measured one, 10 ms each; over real interfaces, the comparison is \
         with another moment of the same round.\n\n\
         | µs | p50 | p99 | p99.9 |\n|---|---:|---:|---:|\n",
    );
    for row in ping_pongs {
        let cells: Vec<String> = (0..3)
            .map(|i| {
                let value = row.quantiles[i];
                let change = row.ratios.map_or_else(String::new, |ratios| {
                    let Summary {
                        median, min, max, ..
                    } = ratios[i];
                    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
                    format!(
                        " ({:+.1} % [{:+.0}..{:+.0}])",
                        percent(median),
                        percent(min),
                        percent(max)
                    )
                });
                format!("{:.1}{change}", value.median)
            })
            .collect();
        let _ = writeln!(text, "| {} | {} |", row.peer, cells.join(" | "));
    }
    text + "\n"
}

fn installs(lines: &[Line]) -> String {
    let installs: Vec<&Install> = lines.iter().filter_map(Line::install).collect();
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for install in &installs {
        let key = (install.rules.as_str(), install.peer.as_str());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mut text = String::from(
        "<details><summary>Time to put rules in force</summary>\n\n\
         From the command to its end; of fw-ctl from the start of the daemon until it answers.\n\n\
         | rules | peer | ms |\n|---|---|---:|\n",
    );
    for (rules, peer) in keys {
        let values = installs
            .iter()
            .filter(|install| install.rules == rules && install.peer == peer)
            .map(|install| install.ms);
        if let Some(summary) = Summary::of(values) {
            let _ = writeln!(text, "| {rules} | {peer} | {:.0} |", summary.median);
        }
    }
    text + "\n</details>\n\n"
}

fn notes(scenarios: &[Scenario], lines: &[Line], over_budget: &[String]) -> String {
    let mut text = String::new();
    for line in over_budget {
        let _ = writeln!(text, "- Over budget: {line}.");
    }
    for scenario in scenarios {
        for row in &scenario.rows {
            if let Some(fault) = &row.fault {
                let _ = writeln!(text, "- ! {} in \"{}\": {fault}.", row.peer, scenario.name);
            }
        }
    }
    for line in lines {
        if let Line::Skipped {
            peer,
            scenario,
            why,
        } = line
        {
            let what = [peer.as_str(), scenario.as_str()].join(" ");
            let why = why.lines().next().unwrap_or_default();
            let _ = writeln!(text, "- skipped: {}: {why}", what.trim());
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("Notes:\n\n{text}\n")
}

fn details(scenarios: &[Scenario]) -> String {
    let mut text = String::from(
        "<details><summary>Every number</summary>\n\n\
         | packets, rules, family | peer | ns [min..max] | Mpps | × bare drop [min..max] | ns above nothing |\n\
         |---|---|---:|---:|---:|---:|\n",
    );
    for scenario in scenarios {
        for row in &scenario.rows {
            let ratio = row.ratio.map_or_else(String::new, |ratio| {
                format!("{:.2} [{:.2}..{:.2}]", ratio.median, ratio.min, ratio.max)
            });
            let above = row
                .above_nothing
                .map_or_else(String::new, |above| format!("{:+.0}", above.median));
            let Summary {
                median, min, max, ..
            } = row.receive;
            let _ = writeln!(
                text,
                "| {} | {} | {median:.1} [{min:.1}..{max:.1}] | {:.2} | {ratio} | {above} |",
                in_cell(&scenario.name),
                row.peer,
                1e3 / median,
            );
        }
    }
    text + "\n</details>\n"
}

/// A bar would end the cell.
fn in_cell(name: &str) -> String {
    name.replace(" | ", "; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Packets;

    fn lines() -> Vec<Line> {
        let sample = |peer: &str, wall_ns: f64, delivered: f64| {
            Line::Packets(Packets {
                round: 0,
                scenario: crate::scenario::all()[0].name(),
                peer: peer.into(),
                packets: 1,
                wall_ns,
                wall_mean_ns: wall_ns,
                generator_ns: 20.0,
                drop_ns: None,
                delivered,
                lost: 0.0,
            })
        };
        vec![
            sample("bare XDP_DROP", 40.0, 0.0),
            sample("fw-ctl (XDP)", 77.0, 0.0),
            sample("nftables", 620.0, 0.5),
            Line::Skipped {
                peer: "xdp-filter".into(),
                scenario: String::new(),
                why: "it is not installed".into(),
            },
        ]
    }

    #[test]
    fn the_matrix_has_a_row_a_scenario_and_a_column_a_peer() {
        let lines = lines();
        let scenarios = super::super::summary::scenarios(&lines);
        let text = render(&lines, &scenarios, &[], &[], &[], "x");
        assert!(
            text.contains("| ns a packet | bare XDP_DROP | fw-ctl (XDP) | nftables |"),
            "{text}"
        );
        assert!(
            text.contains("| 20 | **57 (2.9×)** | 600 (30.0×) ! |"),
            "{text}"
        );
        assert!(text.contains("- skipped: xdp-filter: it is not installed"));
        assert!(text.contains("50.00 % got through"));
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_head() {
        let lines = lines();
        let scenarios = super::super::summary::scenarios(&lines);
        let text = render(&lines, &scenarios, &[], &[], &[], "x");
        let mut cells = None;
        for line in text.lines() {
            if !line.starts_with('|') {
                cells = None;
                continue;
            }
            let count = line.matches('|').count();
            assert_eq!(*cells.get_or_insert(count), count, "{line}");
        }
    }
}
