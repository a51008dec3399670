//! Which columns of a table there is room for, and how wide they are.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::tables::{Column, Table};

/// Columns of the terminal between two of the table.
pub const GAP: u16 = 2;
/// What is longer is cut before any column goes.
const LONG: u16 = 40;
/// What would be cut to less goes.
const SHORT: u16 = 16;

/// The columns that are shown, by their number, each with its width: all that fit into `room`
/// columns of the terminal. Where they do not, long ones are cut, and then the least important is
/// cut or goes, one after another.
#[must_use]
pub fn fit(table: &Table, room: u16) -> Vec<(usize, u16)> {
    let widths = table.columns.iter().enumerate().map(|(number, column)| {
        let cells = table
            .rows
            .iter()
            .map(|row| row.cells[number].text().width());
        // The mark of the order stands behind a header.
        let widest = cells.max().unwrap_or(0).max(column.name.width() + 1);
        (number, u16::try_from(widest).unwrap_or(u16::MAX))
    });
    let mut shown: Vec<(usize, u16)> = widths.collect();
    loop {
        let over = total(&shown).saturating_sub(u32::from(room));
        if over == 0 {
            return shown;
        }
        if let Some((_, width)) = shown.iter_mut().max_by_key(|(_, width)| *width)
            && *width > LONG
        {
            let much = u16::try_from(over).unwrap_or(u16::MAX);
            *width -= much.min(*width - LONG);
            continue;
        }
        let weight = |(number, _): &(usize, u16)| {
            let Column { weight, .. } = table.columns[*number];
            weight
        };
        let least = shown.iter().map(weight).min().unwrap_or_default();
        // Of several the one furthest right.
        let Some(place) = shown.iter().rposition(|column| weight(column) == least) else {
            return shown;
        };
        let width = shown[place].1;
        if shown.len() == 1 {
            shown[place].1 = room;
        } else if u32::from(width.saturating_sub(SHORT)) >= over {
            shown[place].1 -= over as u16;
        } else {
            shown.remove(place);
        }
    }
}

/// As much of a text as there is room for. Of a place in a file the end is kept: its name and the
/// line say more than the directories that all have in common.
#[must_use]
pub fn cut(text: &str, room: u16, is_place: bool) -> String {
    let room = usize::from(room);
    if text.width() <= room {
        return text.to_owned();
    }
    // One column for the mark.
    let mut left = room.saturating_sub(1);
    let fits = |character: &char| {
        let width = character.width().unwrap_or(0);
        let fits = width <= left;
        left = if fits { left - width } else { 0 };
        fits
    };
    match is_place {
        true => {
            let kept: Vec<char> = text.chars().rev().take_while(fits).collect();
            format!("…{}", kept.iter().rev().collect::<String>())
        }
        false => format!("{}…", text.chars().take_while(fits).collect::<String>()),
    }
}

fn total(shown: &[(usize, u16)]) -> u32 {
    let gaps = u32::from(GAP) * (shown.len().max(1) as u32 - 1);
    shown
        .iter()
        .map(|(_, width)| u32::from(*width))
        .sum::<u32>()
        + gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture::view;
    use crate::top::tables::{Pane, table};

    #[test]
    fn what_is_shown_fits_whatever_the_width() {
        for pane in Pane::ALL {
            let table = table(&view(), pane);
            let mut before = usize::MAX;
            for room in (1..=300).rev() {
                let shown = fit(&table, room);
                assert!(total(&shown) <= u32::from(room), "{pane:?} {room}");
                assert!(
                    !shown.is_empty() && shown.len() <= before,
                    "{pane:?} {room}"
                );
                before = shown.len();
            }
            assert_eq!(fit(&table, 300).len(), table.columns.len());
        }
    }

    #[test]
    fn what_is_cut_keeps_what_says_most() {
        let place = "/etc/fw-ctl/policies/web.yaml:9";
        assert_eq!(cut(place, 12, true), "…/web.yaml:9");
        assert_eq!(cut(place, 31, true), place);
        assert_eq!(cut("default-deny", 8, false), "default…");
        assert_eq!(cut("東京東京", 6, false), "東京…");
        assert_eq!(cut("東京東京", 6, true), "…東京");
        for room in 1..40 {
            assert!(cut("größer 東京 x", room, true).width() <= usize::from(room));
        }
    }

    #[test]
    fn what_matters_most_goes_last() {
        let rules = table(&view(), Pane::Rules);
        let names: Vec<_> = fit(&rules, 12)
            .iter()
            .map(|(number, _)| rules.columns[*number].name)
            .collect();
        assert_eq!(names, ["PACKETS/s"]);
        let sources = table(&view(), Pane::Sources);
        let names: Vec<_> = fit(&sources, 16)
            .iter()
            .map(|(number, _)| sources.columns[*number].name)
            .collect();
        assert_eq!(names, ["SOURCE"]);
        let drops = table(&view(), Pane::Drops);
        let time = fit(&drops, 80).into_iter().find(|(number, _)| *number == 0);
        assert!(time.is_some_and(|(_, width)| width >= 19), "{time:?}");
    }
}
