//! The same as lines, for pipes and scripts.

use std::fmt::Write as _;
use std::sync::mpsc::Receiver;

use super::number::rate;
use super::state::{News, State};
use super::tables::{Cell, Pane, table};
use super::view::View;
use crate::cli::output::{Format, Reader, json, print_on, warn};
use crate::cli::table::table as lines;
use crate::control::protocol::Failure;
use crate::exit;

/// More columns than any table has.
const COLUMNS: usize = 10;

/// Prints a view for each interval, `count` of them or until nobody reads.
///
/// # Errors
/// When the daemon does not answer: at once if there is a `count` or nothing was read yet, and
/// else it is asked again; or when stdout cannot be written.
pub fn run(
    news: &Receiver<News>,
    count: Option<u64>,
    panes: &[Pane],
    format: Format,
) -> Result<(), Failure> {
    let mut state = State::default();
    let (mut printed, mut was_there, mut is_gone) = (0, false, false);
    for news in news {
        match &news {
            News::Reading(_) => {}
            News::Unanswered(failure) if count.is_some() || !was_there => {
                return Err(failure.clone());
            }
            News::Unanswered(_) => {
                state.take(news);
                // Once, however long it takes.
                if !std::mem::replace(&mut is_gone, true) {
                    warn(state.view().trouble.as_deref().unwrap_or_default());
                }
                continue;
            }
            _ => {
                state.take(news);
                continue;
            }
        }
        (was_there, is_gone) = (true, false);
        state.take(news);
        let view = state.view();
        // The first reading is what the second is compared with.
        if view.seconds.is_none() {
            continue;
        }
        if show(view, panes, format)? == Reader::Gone {
            return Ok(());
        }
        printed += 1;
        if count.is_some_and(|count| printed >= count) {
            return Ok(());
        }
    }
    Err(nobody_asks())
}

/// Both threads of [`super::feed`] have ended.
pub(super) fn nobody_asks() -> Failure {
    Failure::new(exit::UNREACHABLE, "nobody asks the daemon any more")
        .help("fw-ctl rules, and report it: this is a fault of fw-ctl top")
}

fn show(view: &View, panes: &[Pane], format: Format) -> Result<Reader, Failure> {
    match format {
        Format::Json => print_on(&json(view)?),
        Format::Table => print_on(&text(view, panes)),
    }
}

/// A line about the whole, and each table below its title.
#[must_use]
pub fn text(view: &View, panes: &[Pane]) -> String {
    let mut text = format!(
        "{} {}: mode {}, generation {}",
        view.time, view.node, view.mode, view.generation
    );
    if let Some(seconds) = view.seconds {
        let _ = write!(text, ", over {seconds:.1} s");
    }
    if view.unreported_per_second.is_some_and(|rate| rate > 0.0) {
        let unreported = rate(view.unreported_per_second);
        let _ = write!(text, ", {unreported}/s not reported: too many");
    }
    if view.missed > 0 {
        let _ = write!(text, ", {} flows missed", view.missed);
    }
    for pane in panes {
        let _ = write!(text, "\n\n{}\n{}", pane.title(), in_columns(view, *pane));
    }
    text.push('\n');
    text
}

fn in_columns(view: &View, pane: Pane) -> String {
    let mut table = table(view, pane);
    table.sort(table.order);
    let mut header = [""; COLUMNS];
    for (name, column) in header.iter_mut().zip(&table.columns) {
        *name = column.name;
    }
    let rows = table.rows.iter().map(|row| {
        let mut cells = row.cells.iter().map(Cell::text);
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    });
    lines(header, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture::view;

    #[test]
    fn no_table_has_more_columns() {
        for pane in Pane::ALL {
            assert!(table(&view(), pane).columns.len() <= COLUMNS);
        }
    }

    #[test]
    fn lines_say_what_is_counted_and_what_is_sampled() {
        assert_eq!(
            text(&view(), &[Pane::Reasons, Pane::Sources]),
            "\
2026-11-21T04:06:23Z server1: mode enforce, generation 7, over 2.0 s, 834/s not reported: too many

What becomes of packets: every one, counted by the kernel
PACKETS/s  BYTES/s  PACKETS  DIRECTION  REASON
1.2k       74.0k    90000    ingress    dropped/default-deny
12         800      1200     ingress    allowed

Sources: reported flows, sampled; not packets
DROPS/s  NEW/s  DROPS  NEW  SOURCE        IDENTITY
200      0.5    400    1    203.0.113.66  world
0        12     0      25   10.0.9.5      256
350      0      700    0    (others)
"
        );
    }

    #[test]
    fn json_names_every_rate() {
        let json = serde_json::to_value(view()).unwrap();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["rules"][2]["packets_per_second"], 1_234.0);
        assert_eq!(json["reasons"][1]["reason"], "dropped/default-deny");
        assert_eq!(json["sources"][2]["others"], true);
        assert_eq!(json["ports"][0]["denied_per_second"], 200.0);
        assert_eq!(json["drops"][0]["rule"], "default-deny");
        assert!(json.get("trouble").is_none());
    }
}
