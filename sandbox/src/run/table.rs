//! The table of a phase, and the words around it. Colour only tells at a glance
//! what the words say anyway; `anstream` takes it away where nobody would see it.

use anstyle::{AnsiColor, Style};

use super::phase::{Phase, RowResult};
use super::row::Kind;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const STOPPED: Style = AnsiColor::Yellow.on_default();
const PLAIN: Style = Style::new();

type Cell = (String, Style);

/// A line that begins a part of the output.
#[must_use]
pub fn heading(text: &str) -> String {
    let bold = Style::new().bold();
    format!("\n{bold}== {text} =={bold:#}")
}

/// What all phases together have shown.
#[must_use]
pub fn conclusion(rows: usize, wrong: &[String]) -> String {
    if wrong.is_empty() {
        return format!(
            "\n{GOOD}All {rows} rows agree in both modes: what the policy says is what happened \
             and what was reported.{GOOD:#}"
        );
    }
    let mut text = format!("\n{BAD}{} rows do not agree:{BAD:#}", wrong.len());
    for complaint in wrong {
        text += &format!("\n  {complaint}");
    }
    text
}

/// The table of a phase; with `verbose`, the firewall's lines in full.
#[must_use]
pub fn render(phase: Phase, results: &[RowResult], verbose: bool) -> String {
    let mut text = match phase {
        Phase::Audit => {
            heading("audit mode")
                + "\nNothing is dropped: every connection is answered. `audit` marks what would be \
                   dropped.\n\n"
        }
        Phase::Enforce => {
            heading("enforce mode")
                + "\nThe same connections. What was suggested is allowed; what the policies deny gets \
                   no\nanswer any more.\n\n"
        }
    };
    let header = [
        "who",
        "what",
        "policy says",
        "what happened",
        "the firewall reported",
        "",
    ];
    let mut lines = vec![header.map(|title| (title.to_owned(), Style::new().bold()))];
    lines.extend(results.iter().map(|result| cells(phase, result, verbose)));
    let widths: [usize; 6] = std::array::from_fn(|column| {
        let lengths = lines.iter().map(|line| line[column].0.chars().count());
        lengths.max().unwrap_or(0)
    });
    for line in lines {
        for ((cell, style), width) in line.iter().zip(widths) {
            let padding = width - cell.chars().count() + 2;
            text += &format!("{style}{cell}{style:#}{:padding$}", "");
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text + "\n`its answer passes`: what comes back belongs to a connection of the node. The same \
            kind of\npacket by itself, from port 53 or 4430 to a port that nothing allows, is \
            denied by policy.\n"
}

fn cells(phase: Phase, result: &RowResult, verbose: bool) -> [Cell; 6] {
    let answered = result.outcome.answered();
    let policy = match result.row.kind {
        Kind::New => result.answer.to_string(),
        Kind::Answer => "its answer passes".to_owned(),
    };
    let allowed = result.answer.allows() || result.row.kind == Kind::Answer;
    let report = match &result.report {
        None => "nothing".to_owned(),
        Some(verdict) if verbose => verdict.line.clone(),
        Some(verdict) => {
            let (_, connection) = verdict.line.split_once(", match ").unwrap_or_default();
            let (_, connection) = connection.split_once(", ").unwrap_or_default();
            format!("{:<5} {connection}", verdict.action)
        }
    };
    let agrees = result.disagreements(phase).is_empty();
    [
        (result.row.who(), PLAIN),
        (result.row.service(), PLAIN),
        (policy, if allowed { GOOD } else { STOPPED }),
        (
            result.outcome.to_string(),
            if answered { GOOD } else { STOPPED },
        ),
        (report, PLAIN),
        match agrees {
            true => ("ok".to_owned(), GOOD),
            false => ("WRONG".to_owned(), BAD),
        },
    ]
}
