//! Raw lines, put together by scenario and peer.

use crate::bench::MOST_LOST;
use crate::sample::{Latency, Line, Packets};
use crate::scenario::{self, Expected};
use crate::statistics::Summary;

/// Everything about one scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// One a peer, in the order of the run.
    pub rows: Vec<Row>,
}

/// Everything about one peer in one scenario.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub peer: String,
    /// Nanoseconds a packet of the receiver.
    pub receive: Summary,
    /// Times the receive cost of a bare `XDP_DROP`: of the one beside the sample, or, in
    /// older raw data, of the same round.
    pub ratio: Option<Summary>,
    /// Nanoseconds above nothing attached in the same round, at the speed that the machine
    /// had in the sample ([`crate::reference`]).
    pub above_nothing: Option<Summary>,
    /// What is wrong with its packets: some got through, or did not arrive.
    pub fault: Option<String>,
}

/// The ping-pong of one peer.
#[derive(Clone, Debug)]
pub struct PingPong {
    /// Its name.
    pub peer: String,
    /// Microseconds of a round trip at 50, 99 and 99.9 of 100.
    pub quantiles: [Summary; 3],
    /// Times those of nothing attached: of the lab beside it, or, over real interfaces, in
    /// the same round.
    pub ratios: Option<[Summary; 3]>,
}

/// The baseline that drops.
pub const DROP: &str = "bare XDP_DROP";
/// The baseline without any firewall.
pub const NOTHING: &str = "nothing attached";

/// Scenarios in the order in which they were measured.
#[must_use]
pub fn scenarios(lines: &[Line]) -> Vec<Scenario> {
    let packets: Vec<&Packets> = lines.iter().filter_map(Line::packets).collect();
    let mut names: Vec<&str> = Vec::new();
    for sample in &packets {
        if !names.contains(&sample.scenario.as_str()) {
            names.push(&sample.scenario);
        }
    }
    // Scenarios of one set of rules are measured peer by peer; their own order is
    // that of the table.
    let known: Vec<String> = scenario::all()
        .iter()
        .map(scenario::Scenario::name)
        .collect();
    names.sort_by_key(|name| known.iter().position(|known| known == name));
    names
        .into_iter()
        .map(|name| {
            let of: Vec<_> = packets
                .iter()
                .copied()
                .filter(|sample| sample.scenario == name)
                .collect();
            Scenario {
                name: name.to_owned(),
                rows: rows(&of),
            }
        })
        .collect()
}

fn rows(samples: &[&Packets]) -> Vec<Row> {
    let mut peers: Vec<&str> = Vec::new();
    for sample in samples {
        if !peers.contains(&sample.peer.as_str()) {
            peers.push(&sample.peer);
        }
    }
    let of = |peer: &str| {
        samples
            .iter()
            .copied()
            .filter(move |sample| sample.peer == peer)
            .collect::<Vec<_>>()
    };
    let in_round = |peer: &str, round: u32| {
        let mut all = of(peer).into_iter();
        all.find(|sample| sample.round == round)
    };
    peers
        .iter()
        .filter_map(|&peer| {
            let own = of(peer);
            let ratio = |sample: &Packets| {
                let beside = sample.drop_ns;
                let in_round = || in_round(DROP, sample.round).map(Packets::receive_ns);
                Some(sample.receive_ns() / beside.or_else(in_round)?)
            };
            let above = |sample: &Packets| {
                let nothing = in_round(NOTHING, sample.round)?;
                let speed = match (sample.drop_ns, nothing.drop_ns) {
                    (Some(here), Some(there)) => here / there,
                    _ => 1.0,
                };
                Some(sample.receive_ns() - nothing.receive_ns() * speed)
            };
            Some(Row {
                peer: peer.to_owned(),
                receive: Summary::of(own.iter().map(|sample| sample.receive_ns()))?,
                ratio: Summary::of(own.iter().filter_map(|sample| ratio(sample))),
                above_nothing: Summary::of(own.iter().filter_map(|sample| above(sample))),
                fault: own.iter().find_map(|sample| fault(sample)),
            })
        })
        .collect()
}

/// Whether packets went where the scenario says.
fn fault(sample: &Packets) -> Option<String> {
    if sample.lost > MOST_LOST {
        return Some(format!(
            "{:.1} % were lost before they were judged",
            sample.lost * 100.0
        ));
    }
    let delivered = sample.delivered;
    let scenario = scenario::all()
        .into_iter()
        .find(|scenario| scenario.name() == sample.scenario)?;
    let dropped = scenario.expected() == Expected::Dropped || sample.peer == DROP;
    match dropped {
        true if delivered > 0.0 => Some(format!("{:.2} % got through", delivered * 100.0)),
        // Of a table's evictions, or the moment in which a flow is new.
        false if delivered < 0.99 => Some(format!("{:.1} % arrived", delivered * 100.0)),
        _ => None,
    }
}

/// Round trips at 50, 99 and 99.9 of 100.
fn quantiles(sample: &Latency) -> [f64; 3] {
    [sample.p50_us, sample.p99_us, sample.p999_us]
}

/// Ping-pongs in the order in which peers were measured.
#[must_use]
pub fn ping_pongs(lines: &[Line]) -> Vec<PingPong> {
    let samples: Vec<&Latency> = lines.iter().filter_map(Line::latency).collect();
    let mut peers: Vec<&str> = Vec::new();
    for sample in &samples {
        if !peers.contains(&sample.peer.as_str()) {
            peers.push(&sample.peer);
        }
    }
    peers
        .into_iter()
        .filter_map(|peer| {
            let of = |peer: &str| {
                samples
                    .iter()
                    .filter(move |sample| sample.peer == peer)
                    .collect::<Vec<_>>()
            };
            let own = of(peer);
            let nothing = of(NOTHING);
            let ratio = |sample: &Latency, which: usize| {
                let in_round = || nothing.iter().find(|base| base.round == sample.round);
                let base = sample
                    .beside_us
                    .or_else(|| in_round().map(|base| quantiles(base)))?;
                Some(quantiles(sample)[which] / base[which])
            };
            let all = |summary: &dyn Fn(usize) -> Option<Summary>| {
                Some([summary(0)?, summary(1)?, summary(2)?])
            };
            Some(PingPong {
                peer: peer.to_owned(),
                quantiles: all(&|which| {
                    Summary::of(own.iter().map(|sample| quantiles(sample)[which]))
                })?,
                ratios: all(&|which| {
                    Summary::of(own.iter().filter_map(|sample| ratio(sample, which)))
                }),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(round: u32, peer: &str, wall_ns: f64, delivered: f64) -> Line {
        Line::Packets(Packets {
            round,
            scenario: scenario::all()[0].name(),
            peer: peer.into(),
            packets: 1,
            wall_ns,
            wall_mean_ns: wall_ns,
            generator_ns: 20.0,
            drop_ns: None,
            delivered,
            lost: 0.0,
        })
    }

    #[test]
    fn ratios_are_of_one_round() {
        // The machine was half as fast in the second round.
        let lines = [
            sample(0, DROP, 40.0, 0.0),
            sample(0, "x", 80.0, 0.0),
            sample(1, DROP, 60.0, 0.0),
            sample(1, "x", 140.0, 0.0),
        ];
        let scenarios = scenarios(&lines);
        let row = &scenarios[0].rows[1];
        assert_eq!(row.peer, "x");
        let ratio = row.ratio.unwrap();
        assert!((ratio.min - 3.0).abs() < 1e-9 && (ratio.max - 3.0).abs() < 1e-9);
        assert!((row.receive.median - 90.0).abs() < 1e-9);
        assert_eq!(row.above_nothing, None);
    }

    #[test]
    fn what_was_measured_beside_a_sample_comes_first() {
        let at_speed = |line: Line, drop_ns| match line {
            Line::Packets(sample) => Line::Packets(Packets {
                drop_ns: Some(drop_ns),
                ..sample
            }),
            other => other,
        };
        // Half as fast while "x" was measured.
        let lines = [
            at_speed(sample(0, DROP, 40.0, 0.0), 20.0),
            at_speed(sample(0, NOTHING, 120.0, 1.0), 20.0),
            at_speed(sample(0, "x", 240.0, 1.0), 40.0),
        ];
        let scenarios = scenarios(&lines);
        let row = &scenarios[0].rows[2];
        assert!((row.ratio.unwrap().median - 5.5).abs() < 1e-9);
        assert!((row.above_nothing.unwrap().median - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_ping_pong_is_compared_with_nothing_in_its_round() {
        let sample = |round: u32, peer: &str, p50_us: f64| {
            Line::Latency(Latency {
                round,
                scenario: "ping-pong".into(),
                peer: peer.into(),
                count: 1,
                p50_us,
                p99_us: 2.0 * p50_us,
                p999_us: 3.0 * p50_us,
                beside_us: None,
            })
        };
        let lines = [
            sample(0, "x", 11.0),
            sample(0, NOTHING, 10.0),
            sample(1, NOTHING, 20.0),
            sample(1, "x", 22.0),
            sample(2, "x", 1.0),
        ];
        let rows = ping_pongs(&lines);
        let [p50, _, p999] = rows[0].ratios.unwrap();
        assert!((p50.min - 1.1).abs() < 1e-9 && (p50.max - 1.1).abs() < 1e-9);
        assert!((p999.median - 1.1).abs() < 1e-9);
        assert!((rows[0].quantiles[1].median - 22.0).abs() < 1e-9);
        let alone = ping_pongs(&lines[..1]);
        assert_eq!(alone[0].ratios, None);

        let Line::Latency(mut in_turns) = sample(0, "x", 11.0) else {
            unreachable!();
        };
        in_turns.beside_us = Some([5.5, 11.0, 11.0]);
        let rows = ping_pongs(&[Line::Latency(in_turns), sample(0, NOTHING, 1.0)]);
        let ratios = rows[0].ratios.unwrap().map(|ratio| ratio.median);
        assert!((ratios[0] - 2.0).abs() < 1e-9 && (ratios[2] - 3.0).abs() < 1e-9);
    }

    #[test]
    fn packets_that_got_through_are_a_fault() {
        let lines = [sample(0, "x", 80.0, 0.01)];
        let fault = scenarios(&lines)[0].rows[0].fault.clone();
        assert_eq!(fault.as_deref(), Some("1.00 % got through"));
    }
}
