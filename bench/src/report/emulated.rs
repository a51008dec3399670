//! The report of pktgen's packets and of TCP streams in emulated guests.
//!
//! No number of it is one of a real machine, so each stands beside what nothing attached
//! did in the same round.

use std::fmt::Write;

use super::summary::NOTHING;
use crate::sample::{Bulk, Flood, Line};
use crate::statistics::Summary;

/// Whether these lines are of such a run.
pub fn is_of(lines: &[Line]) -> bool {
    lines
        .iter()
        .any(|line| matches!(line, Line::Flood(_) | Line::Bulk(_)))
}

/// The whole file; `stem` is the name of the raw data.
pub fn render(lines: &[Line], stem: &str) -> String {
    let guests: Vec<&[Line]> = guests(lines);
    let mut text = head(lines, &guests, stem);
    for guest in guests {
        let floods: Vec<&Flood> = guest.iter().filter_map(flood).collect();
        let bulks: Vec<&Bulk> = guest.iter().filter_map(bulk).collect();
        let _ = writeln!(text, "## Linux {}\n", kernel(guest));
        text += &packets(&floods);
        text += &exactness(&floods);
        text += &streams(&bulks);
    }
    text
}

/// The lines of each guest: from one that tells of the machine to the next.
fn guests(lines: &[Line]) -> Vec<&[Line]> {
    let starts = lines.iter().enumerate();
    let mut starts: Vec<usize> = starts
        .filter(|(_, line)| matches!(line, Line::Run { .. }))
        .map(|(index, _)| index)
        .collect();
    starts.push(lines.len());
    starts
        .windows(2)
        .map(|bounds| &lines[bounds[0]..bounds[1]])
        .collect()
}

const fn flood(line: &Line) -> Option<&Flood> {
    match line {
        Line::Flood(flood) => Some(flood),
        _ => None,
    }
}

const fn bulk(line: &Line) -> Option<&Bulk> {
    match line {
        Line::Bulk(bulk) => Some(bulk),
        _ => None,
    }
}

fn kernel(guest: &[Line]) -> &str {
    match guest.first() {
        Some(Line::Run { machine, .. }) => &machine.kernel,
        _ => "?",
    }
}

fn head(lines: &[Line], guests: &[&[Line]], stem: &str) -> String {
    let Some(Line::Run { machine, .. }) = lines.first() else {
        return "# fw-ctl through a driver\n\n".to_owned();
    };
    let rounds: Vec<String> = guests
        .iter()
        .filter_map(|guest| match guest.first() {
            Some(Line::Run {
                rounds, machine, ..
            }) => Some(format!(
                "{rounds} rounds with {} (load of the machine below when done: {})",
                machine.kernel, machine.load
            )),
            _ => None,
        })
        .collect();
    let bytes = lines.iter().find_map(bulk).map_or(0, |bulk| bulk.bytes);
    format!(
        "# fw-ctl through a driver: pktgen and TCP in guests, {date}\n\n\
         **Emulated: only ratios within a table mean anything.** Every instruction of these \
         machines is interpreted; no number is one of a real machine.\n\n\
         Interleaved: {rounds}. Medians over rounds; in parentheses the multiple of what nothing \
         attached did in the same round, median [least..most]. Raw data: \
         [{stem}.jsonl]({stem}.jsonl).\n\n\
         - **Machine:** {cpu}, {cpus} CPU in the guest: sender, driver and receiver share it, so \
         packets a second are of all three together, and differences of the receiver are larger \
         than the ratios show.\n\
         - **Packets:** the kernel's pktgen sends UDP of 60 bytes to a closed port, through one \
         virtio interface into another by a hub of QEMU, or through two into a bond (balance-xor). \
         The hub waits for the receiver: nothing is lost. `{NOTHING}` has the stack refuse \
         them (ICMP unreachable, within the kernel's limit); fw-ctl has the policies of an RKE2 \
         server, enforces, and drops them; native XDP sits on the members of the bond, TC on the \
         bond.\n\
         - **TCP:** one stream of {mib} MiB to or from port 443, which the policies allow, over \
         virtio on a bridge of the machine below. That takes and gives segments of 64 KiB in one \
         piece, as hypervisors do, where the driver lets it (\"bytes a frame\").\n\
         - **Built:** commit {commit}, {build}.\n\n",
        date = machine.date,
        rounds = rounds.join("; "),
        cpu = machine.cpu,
        cpus = machine.cpus,
        mib = bytes >> 20,
        commit = machine.commit,
        build = machine.build,
    )
}

/// Keys in the order of their first appearance.
fn distinct<T: PartialEq>(keys: impl Iterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    for key in keys {
        if !all.contains(&key) {
            all.push(key);
        }
    }
    all
}

/// Peers as the report lists them, whatever the round has begun with.
fn peers<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names = distinct(names);
    names.sort_by_key(|name| {
        crate::peer::Peer::ALL
            .iter()
            .position(|peer| peer.to_string() == *name)
    });
    names
}

fn packets(floods: &[&Flood]) -> String {
    if floods.is_empty() {
        return String::new();
    }
    let peers = peers(floods.iter().map(|flood| flood.peer.as_str()));
    let mut text = format!(
        "| 1,000 packets a second | {} |\n|---|{}\n",
        peers.join(" | "),
        "---:|".repeat(peers.len())
    );
    for (device, traffic) in distinct(
        floods
            .iter()
            .map(|flood| (flood.device.as_str(), flood.traffic.as_str())),
    ) {
        let values = |peer: &str| -> Vec<(u32, f64)> {
            let of_row = floods.iter().filter(|flood| {
                flood.device == device && flood.traffic == traffic && flood.peer == peer
            });
            of_row.map(|flood| (flood.round, flood.kpps())).collect()
        };
        let beside = values(NOTHING);
        let cells: Vec<String> = peers
            .iter()
            .map(|peer| cell(peer, &values(peer), &beside))
            .collect();
        let _ = writeln!(text, "| {device}, {traffic} | {} |", cells.join(" | "));
    }
    text + "\n"
}

/// Whether every packet was counted, and once.
fn exactness(floods: &[&Flood]) -> String {
    if floods.is_empty() {
        return String::new();
    }
    let sent: u64 = floods.iter().map(|flood| flood.sent).sum();
    let inexact: Vec<_> = floods
        .iter()
        .filter(|flood| flood.sent != flood.counted)
        .collect();
    let mut text = match inexact.as_slice() {
        [] => format!(
            "Counted = sent, in each of {} samples: {sent} packets in all.\n",
            floods.len()
        ),
        some => format!(
            "**Counted is not sent in {} of {} samples:**\n\n",
            some.len(),
            floods.len()
        ),
    };
    for flood in inexact {
        let _ = writeln!(
            text,
            "- {}, {}, {}, round {}: sent {}, counted {}",
            flood.device,
            flood.traffic,
            flood.peer,
            flood.round + 1,
            flood.sent,
            flood.counted
        );
    }
    text + "\n"
}

fn streams(bulks: &[&Bulk]) -> String {
    if bulks.is_empty() {
        return String::new();
    }
    let directions = distinct(bulks.iter().map(|bulk| bulk.direction.as_str()));
    let mut text = "| TCP, MB/s |".to_owned();
    for direction in &directions {
        let _ = write!(text, " {direction} | bytes a frame |");
    }
    let _ = writeln!(text, "\n|---|{}", "---:|---:|".repeat(directions.len()));
    for peer in peers(bulks.iter().map(|bulk| bulk.peer.as_str())) {
        let _ = write!(text, "| {peer} |");
        for direction in &directions {
            let of = |peer: &str| -> Vec<&&Bulk> {
                let all = bulks.iter();
                all.filter(|bulk| bulk.direction == *direction && bulk.peer == peer)
                    .collect()
            };
            let values = |peer: &str| -> Vec<(u32, f64)> {
                let all = of(peer).into_iter();
                all.map(|bulk| (bulk.round, bulk.megabytes_a_second()))
                    .collect()
            };
            let frame = Summary::of(of(peer).iter().map(|bulk| bulk.bytes_a_frame()));
            let _ = write!(
                text,
                " {} | {:.0} |",
                cell(peer, &values(peer), &values(NOTHING)),
                frame.map_or(f64::NAN, |frame| frame.median)
            );
        }
        text += "\n";
    }
    text + "\n"
}

/// `61.9 (1.71× [1.60..1.80])`: values by their rounds, and those of nothing attached.
fn cell(peer: &str, values: &[(u32, f64)], beside: &[(u32, f64)]) -> String {
    let Some(value) = Summary::of(values.iter().map(|(_, value)| *value)) else {
        return String::new();
    };
    if peer == NOTHING {
        return format!("{:.1} [{:.1}..{:.1}]", value.median, value.min, value.max);
    }
    let ratios = values.iter().filter_map(|(round, value)| {
        let (_, nothing) = beside.iter().find(|(other, _)| other == round)?;
        Some(value / nothing)
    });
    Summary::of(ratios).map_or_else(
        || format!("{:.1}", value.median),
        |ratio| {
            format!(
                "{:.1} ({:.2}× [{:.2}..{:.2}])",
                value.median, ratio.median, ratio.min, ratio.max
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(round: u32, peer: &str, us: u64, counted: u64) -> Line {
        Line::Flood(Flood {
            round,
            device: "virtio".into(),
            traffic: "one flow".into(),
            peer: peer.into(),
            sent: 1_000,
            counted,
            us,
        })
    }

    fn text(lines: &[Line]) -> String {
        let floods: Vec<&Flood> = lines.iter().filter_map(flood).collect();
        packets(&floods) + &exactness(&floods)
    }

    #[test]
    fn a_ratio_is_of_two_samples_of_one_round() {
        // The machine was twice as fast in the second round.
        let lines = [
            sample(0, "fw-ctl (XDP)", 10_000, 1_000),
            sample(0, NOTHING, 20_000, 1_000),
            sample(1, NOTHING, 10_000, 1_000),
            sample(1, "fw-ctl (XDP)", 5_000, 1_000),
        ];
        let text = text(&lines);
        assert!(
            text.contains("| virtio, one flow | 150.0 (2.00× [2.00..2.00]) | 75.0 [50.0..100.0] |"),
            "{text}"
        );
        assert!(
            text.contains("in each of 4 samples: 4000 packets"),
            "{text}"
        );
    }

    #[test]
    fn packets_that_were_not_counted_are_named() {
        let text = text(&[sample(0, NOTHING, 10_000, 999)]);
        assert!(text.contains("not sent in 1 of 1 samples"), "{text}");
        assert!(text.contains("round 1: sent 1000, counted 999"), "{text}");
    }

    #[test]
    fn a_stream_stands_beside_the_frames_that_carried_it() {
        let bulk = |peer: &str, us, frames| Bulk {
            round: 0,
            direction: "to the node".into(),
            peer: peer.into(),
            bytes: 3_000_000,
            us,
            frames,
        };
        let (with, without) = (
            bulk("fw-ctl (XDP)", 20_000, 2_000),
            bulk(NOTHING, 10_000, 50),
        );
        let text = streams(&[&with, &without]);
        assert!(
            text.contains("| fw-ctl (XDP) | 150.0 (0.50× [0.50..0.50]) | 1500 |"),
            "{text}"
        );
        assert!(text.contains("| 300.0 [300.0..300.0] | 60000 |"), "{text}");
    }
}
