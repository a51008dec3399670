//! What was expected and what was seen, step by step.

use std::fmt::Write;

/// The rows so far.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
}

struct Row {
    step: String,
    expected: String,
    seen: String,
    is_so: bool,
}

impl Table {
    /// Adds a row.
    pub fn row(&mut self, step: &str, expected: &str, seen: &str, is_so: bool) {
        self.rows.push(Row {
            step: step.into(),
            expected: expected.into(),
            seen: seen.into(),
            is_so,
        });
    }

    /// How many rows are not as expected so far.
    pub fn bad(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_so).count()
    }

    /// Prints it.
    ///
    /// # Panics
    /// If a row is not as expected.
    pub fn close(self) {
        let width = |of: fn(&Row) -> &str| self.rows.iter().map(|row| of(row).len()).max();
        let step = width(|row| &row.step).unwrap_or_default();
        let expected = width(|row| &row.expected).unwrap_or_default();
        let mut text = String::new();
        for row in &self.rows {
            let mark = if row.is_so { "ok " } else { "BAD" };
            let (left, middle) = (&row.step, &row.expected);
            let _ = writeln!(
                text,
                "{mark} {left:step$}  {middle:expected$}  {}",
                row.seen
            );
        }
        eprintln!("{text}");
        assert_eq!(self.bad(), 0, "rows that are not as expected:\n{text}");
    }
}
