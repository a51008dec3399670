//! Frames as text.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::*;
use crate::observe::local::{Layout as Clock, local};
use crate::top::fixture::view;

fn frame(size: (u16, u16), view: &View, choices: &Choices, is_coloured: bool) -> (Buffer, Shown) {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    let mut shown = Shown::default();
    let drawn = terminal.draw(|frame| shown = draw(frame, view, choices, is_coloured));
    (drawn.unwrap().buffer.clone(), shown)
}

fn lines(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let rows = buffer.content().chunks(width).map(|row| {
        let row: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        row.trim_end().to_owned()
    });
    let text = rows.collect::<Vec<_>>().join("\n");
    // As where the clock shows UTC.
    let here = local(view().drops[0].nanoseconds, Clock::StampMilli);
    text.replace(&here, "Nov 21 04:06:23.000")
}

/// Of 80 columns and few lines.
fn text(pane: Pane, lines_high: u16) -> String {
    lines(&frame((80, lines_high), &view(), &Choices::new(pane), true).0)
}

#[test]
fn rules() {
    insta::assert_snapshot!(text(Pane::Rules, 24));
}

#[test]
fn rules_where_there_is_room() {
    let choices = Choices::new(Pane::Rules);
    insta::assert_snapshot!(lines(&frame((104, 8), &view(), &choices, true).0));
}

#[test]
fn reasons() {
    insta::assert_snapshot!(text(Pane::Reasons, 8));
}

#[test]
fn sources() {
    insta::assert_snapshot!(text(Pane::Sources, 9));
}

#[test]
fn ports() {
    insta::assert_snapshot!(text(Pane::Ports, 8));
}

#[test]
fn interfaces() {
    insta::assert_snapshot!(text(Pane::Interfaces, 8));
}

#[test]
fn drops() {
    insta::assert_snapshot!(text(Pane::Drops, 10));
}

#[test]
fn help_covers_what_is_below() {
    let choices = Choices {
        is_helping: true,
        ..Choices::new(Pane::Rules)
    };
    insta::assert_snapshot!(lines(&frame((80, 24), &view(), &choices, true).0));
}

#[test]
fn trouble_pause_filter_and_a_narrow_terminal() {
    let view = View {
        trouble: Some("daemon gone, trying again: nobody listens".into()),
        ..view()
    };
    let choices = Choices {
        is_paused: true,
        is_typing: true,
        filter: "deny".into(),
        ..Choices::new(Pane::Rules)
    };
    insta::assert_snapshot!(lines(&frame((48, 9), &view, &choices, true).0));
}

#[test]
fn no_size_is_too_small_and_none_too_large() {
    for pane in Pane::ALL {
        for size in [(1, 1), (2, 3), (10, 4), (79, 21), (80, 24), (500, 200)] {
            let choices = Choices {
                is_helping: true,
                ..Choices::new(pane)
            };
            let (buffer, _) = frame(size, &view(), &choices, true);
            assert_eq!((buffer.area.width, buffer.area.height), size);
        }
    }
    let empty = View::default();
    frame((80, 24), &empty, &Choices::new(Pane::Sources), true);
}

#[test]
fn without_colours_there_are_none_and_all_is_said() {
    for pane in Pane::ALL {
        let choices = Choices {
            is_paused: true,
            ..Choices::new(pane)
        };
        let with = frame((100, 30), &view(), &choices, true).0;
        let without = frame((100, 30), &view(), &choices, false).0;
        assert_eq!(lines(&with), lines(&without));
        let is_coloured = |buffer: &Buffer| {
            let mut cells = buffer.content().iter();
            cells.any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
        };
        assert!(is_coloured(&with) && !is_coloured(&without), "{pane:?}");
    }
}

#[test]
fn scrolling_ends_at_the_last_row() {
    let choices = Choices {
        scrolled: usize::MAX,
        ..Choices::new(Pane::Drops)
    };
    let (buffer, shown) = frame((80, 10), &view(), &choices, true);
    // Ten lines without head, tables, title, header and keys; twenty drops.
    assert_eq!((shown.page, shown.furthest), (5, 15));
    let last = lines(&buffer);
    assert!(
        last.lines().rev().nth(1).unwrap().contains("10.0.0.10:39"),
        "{last}"
    );
}
