//! What became of the faults: a line for each kind.

use std::collections::BTreeMap;
use std::time::Duration;

use super::judge::Tally;
use super::resent::Resent;

/// A connection that waits longer than that for its word counts as hanging, if anything was
/// lost: on a busy machine it may have waited for the processor.
const HANGS: Duration = Duration::from_secs(1);

/// What came of one fault.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Of the packets.
    pub tally: Tally,
    /// Connections that were cut.
    pub cut: usize,
    /// The longest that one has waited while the way was not cut.
    pub longest: Duration,
    /// What TCP has sent again.
    pub resent: Resent,
    /// Until everything was as declared again.
    pub recovery: Duration,
    /// What was not as it must be, besides.
    pub complaints: usize,
}

impl Outcome {
    fn hangs(&self) -> bool {
        self.longest > HANGS && self.resent.all > self.resent.needless
    }

    /// Whether nothing is wrong with it.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let Tally {
            wrongly_passed,
            wrongly_dropped,
            ..
        } = self.tally;
        wrongly_passed + wrongly_dropped == 0 && self.cut + self.complaints == 0 && !self.hangs()
    }
}

/// All outcomes by kind.
#[derive(Debug, Default)]
pub struct Report(BTreeMap<&'static str, Vec<Outcome>>);

const HEAD: [&str; 13] = [
    "fault", "injected", "packets", "old only", "new only", "unjudged", "passed", "dropped", "cut",
    "stall ms", "other", "again ms", "most ms",
];

impl Report {
    /// Adds one.
    pub fn add(&mut self, kind: &'static str, outcome: Outcome) {
        self.0.entry(kind).or_default().push(outcome);
    }

    /// Whether nothing is wrong with any.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.0.values().flatten().all(Outcome::is_good)
    }

    /// The table, with a line for all of them at the end.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.0.iter().map(|(kind, outcomes)| row(kind, outcomes)));
        let all: Vec<_> = self.0.values().flatten().cloned().collect();
        rows.push(row("all", &all));
        let widths: [usize; HEAD.len()] = std::array::from_fn(|column| {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        });
        let mut text = String::new();
        for row in rows {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                text += &match column {
                    0 => format!("{cell:width$}"),
                    _ => format!("  {cell:>width$}"),
                };
            }
            text.push('\n');
        }
        text
    }
}

fn row(kind: &str, outcomes: &[Outcome]) -> [String; HEAD.len()] {
    let mut tally = Tally::default();
    for outcome in outcomes {
        tally.add(&outcome.tally);
    }
    let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
    let longest = outcomes.iter().map(|outcome| outcome.longest).max();
    let mut recoveries: Vec<_> = outcomes.iter().map(|outcome| outcome.recovery).collect();
    recoveries.sort_unstable();
    let millis = |time: Option<Duration>| time.unwrap_or_default().as_millis().to_string();
    [
        kind.to_owned(),
        outcomes.len().to_string(),
        tally.packets.to_string(),
        tally.old.to_string(),
        tally.new.to_string(),
        tally.unjudged.to_string(),
        tally.wrongly_passed.to_string(),
        tally.wrongly_dropped.to_string(),
        sum(|outcome| outcome.cut).to_string(),
        millis(longest),
        sum(|outcome| outcome.complaints).to_string(),
        millis(recoveries.get(recoveries.len() / 2).copied()),
        millis(recoveries.last().copied()),
    ]
}

/// What the columns are.
pub const LEGEND: &str = "\
old only, new only: packets while a change was made, as only the one of the two plans says
unjudged: lost while the cable was away, or delivered while somebody had taken the filter away
passed, dropped: as no plan says
cut: connections
stall: the longest wait of a connection while the cable was there
other: entries lost from the journal, commands that answered otherwise than they must
again: from the end of the cause until everything was as declared, median and most";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_wrong_makes_it_bad() {
        assert!(Outcome::default().is_good());
        let mut report = Report::default();
        report.add("a", Outcome::default());
        assert!(report.is_good());
        let tally = |wrongly_passed, wrongly_dropped| Tally {
            wrongly_passed,
            wrongly_dropped,
            ..Tally::default()
        };
        for bad in [
            Outcome {
                tally: tally(1, 0),
                ..Outcome::default()
            },
            Outcome {
                tally: tally(0, 1),
                ..Outcome::default()
            },
            Outcome {
                cut: 1,
                ..Outcome::default()
            },
            Outcome {
                complaints: 1,
                ..Outcome::default()
            },
            Outcome {
                longest: HANGS + Duration::from_millis(1),
                resent: Resent {
                    all: 3,
                    needless: 2,
                },
                ..Outcome::default()
            },
        ] {
            assert!(!bad.is_good(), "{bad:?}");
            report.add("b", bad);
            assert!(!report.is_good());
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_kind_and_one_for_all() {
        let mut report = Report::default();
        let outcome = |millis| Outcome {
            recovery: Duration::from_millis(millis),
            ..Outcome::default()
        };
        for millis in [7, 900, 30] {
            report.add("kill", outcome(millis));
        }
        report.add("disk", outcome(1));
        let table = report.table();
        let lines: Vec<Vec<_>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[2][..2], ["kill", "3"]);
        assert_eq!(lines[2][11..], ["30", "900"]);
        assert_eq!(lines[3][..2], ["all", "4"]);
    }
}
