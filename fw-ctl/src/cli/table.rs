//! Tables without lines, as kubectl prints them.
//!
//! Colour codes in a cell take no room on a terminal, and are not there at all
//! where output is piped: columns are as wide as what is seen.

use anstream::adapter::strip_str;
use unicode_width::UnicodeWidthStr;

/// Columns between two columns of the table.
const GAP: usize = 2;

/// Lays out a table; without a newline at the end. Line breaks in a cell become `; `.
#[must_use]
pub fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut lines = vec![header.map(str::to_owned)];
    lines.extend(
        rows.into_iter()
            .map(|row| row.map(|cell| cell.trim_end().replace('\n', "; "))),
    );
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(seen_width(cell));
        }
    }
    let lines: Vec<String> = lines.iter().map(|line| aligned(line, &widths)).collect();
    lines.join("\n")
}

fn aligned<const N: usize>(line: &[String; N], widths: &[usize; N]) -> String {
    let mut text = String::new();
    let columns = line.iter().zip(widths);
    // A column without a header and a cell is none.
    for (cell, width) in columns.filter(|(_, width)| **width > 0) {
        text.push_str(cell);
        text.push_str(&" ".repeat(width - seen_width(cell) + GAP));
    }
    text.truncate(text.trim_end().len());
    text
}

/// Columns of a terminal.
fn seen_width(cell: &str) -> usize {
    strip_str(cell).to_string().width()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::good;

    #[test]
    fn columns_are_as_wide_as_what_is_seen() {
        let rows = [
            ["a".to_owned(), good("allow"), "x".to_owned()],
            ["größer".to_owned(), "no".to_owned(), "one\ntwo".to_owned()],
            ["東京".to_owned(), "-".to_owned(), String::new()],
        ];
        let text = table(["ID", "VERDICT", "WHY"], rows);
        let expected = "\
ID      VERDICT  WHY
a       allow    x
größer  no       one; two
東京    -";
        assert_eq!(strip_str(&text).to_string(), expected);
        assert!(text.contains(&format!("{}    x", good("allow"))), "{text}");
    }
}
