//! What stands in which column.

use clap::ValueEnum;

use super::number::rate;
use super::view::{Dropped, FlowRate, Rate, ReasonRate, RuleRate, View};
use crate::observe::local::{Layout, local};

/// One table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pane {
    /// Packets and bytes by rule
    Rules,
    /// Packets and bytes by what became of them, and why
    Reasons,
    /// Reported flows by sender
    Sources,
    /// Reported flows by protocol and port of the receiver
    Ports,
    /// Reported flows by interface
    Interfaces,
    /// What was dropped last
    Drops,
}

impl Pane {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Rules,
        Self::Reasons,
        Self::Sources,
        Self::Ports,
        Self::Interfaces,
        Self::Drops,
    ];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rules => "Rules",
            Self::Reasons => "Reasons",
            Self::Sources => "Sources",
            Self::Ports => "Ports",
            Self::Interfaces => "Interfaces",
            Self::Drops => "Drops",
        }
    }

    /// What its numbers are of.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Rules => "Rules: every packet, counted by the kernel",
            Self::Reasons => "What becomes of packets: every one, counted by the kernel",
            Self::Sources => "Sources: reported flows, sampled; not packets",
            Self::Ports => "Ports: reported flows, sampled; not packets",
            Self::Interfaces => "Interfaces: reported flows, sampled; not packets",
            Self::Drops => {
                "Dropped, or AUDITED and let pass: reported ones, sampled; the newest first"
            }
        }
    }
}

/// A table, before it is known how much room there is.
#[derive(Clone, Debug)]
pub struct Table {
    /// From left to right.
    pub columns: Vec<Column>,
    /// In the order in which they come.
    pub rows: Vec<Row>,
    /// The column by which they are in order, until somebody says otherwise.
    pub order: Option<usize>,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its header.
    pub name: &'static str,
    /// Which go first where there is not enough room: those with the smallest.
    pub weight: u8,
}

/// The column of places in files.
const ORIGIN: &str = "ORIGIN";

impl Column {
    /// It holds places in files.
    #[must_use]
    pub fn is_place(self) -> bool {
        self.name == ORIGIN
    }
}

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// One for each column.
    pub cells: Vec<Cell>,
    /// How it looks.
    pub tone: Tone,
    /// Below all others, however they are in order.
    pub is_last: bool,
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// What passes.
    Plain,
    /// What would be dropped.
    Doubtful,
    /// What is dropped now.
    Bad,
    /// Nothing happens.
    Quiet,
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Left.
    Text(String),
    /// So many a second, right.
    Rate(Option<f64>),
    /// So many, right.
    Count(u64),
}

impl Cell {
    /// As it is read.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Rate(number) => rate(*number),
            Self::Count(number) => number.to_string(),
        }
    }

    /// Whether it stands at the right side.
    #[must_use]
    pub fn is_number(&self) -> bool {
        !matches!(self, Self::Text(_))
    }

    /// The largest number, or the first of the alphabet, is first.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Rate(one), Self::Rate(other)) => {
                let of = |rate: &Option<f64>| rate.unwrap_or(-1.0);
                of(other).total_cmp(&of(one))
            }
            (Self::Count(one), Self::Count(other)) => other.cmp(one),
            _ => self.text().cmp(&other.text()),
        }
    }
}

impl Table {
    /// Rows in the order of a column, of equals in the order in which they are.
    pub fn sort(&mut self, column: Option<usize>) {
        self.order = column.filter(|column| *column < self.columns.len());
        let Some(column) = self.order else { return };
        self.rows.sort_by(|one, other| {
            let by_cell = one.cells[column].compare(&other.cells[column]);
            one.is_last.cmp(&other.is_last).then(by_cell)
        });
    }

    /// Leaves the rows in which a cell contains `text`, in whatever case.
    pub fn filter(&mut self, text: &str) {
        let text = text.to_lowercase();
        self.rows.retain(|row| {
            let mut cells = row.cells.iter();
            cells.any(|cell| cell.text().to_lowercase().contains(&text))
        });
    }
}

/// A table of what there is to see, in its own order.
#[must_use]
pub fn table(view: &View, pane: Pane) -> Table {
    match pane {
        Pane::Rules => rules(view),
        Pane::Reasons => reasons(view),
        Pane::Sources => flows(&view.sources, "SOURCE"),
        Pane::Ports => flows(&view.ports, "PORT"),
        Pane::Interfaces => flows(&view.interfaces, "INTERFACE"),
        Pane::Drops => drops(view),
    }
}

fn column(name: &'static str, weight: u8) -> Column {
    Column { name, weight }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// What is denied and happens stands out.
fn tone(denies: bool, audited: bool, rate: Option<f64>) -> Tone {
    match rate.is_some_and(|rate| rate > 0.0) {
        false => Tone::Quiet,
        true if !denies => Tone::Plain,
        true if audited => Tone::Doubtful,
        true => Tone::Bad,
    }
}

fn rate_cells(rate: Rate) -> [Cell; 2] {
    [
        Cell::Rate(rate.packets_per_second),
        Cell::Rate(rate.bytes_per_second),
    ]
}

fn rules(view: &View) -> Table {
    let is_limited = |rule: &RuleRate| rule.limited_per_second.is_some();
    let has_limits = view.rules.iter().any(is_limited);
    let mut columns = vec![
        column("PACKETS/s", 9),
        column("BYTES/s", 6),
        column("PACKETS", 5),
        column("DIRECTION", 4),
        column("VERDICT", 7),
        column("POLICY", 8),
        column("RULE", 8),
        column(ORIGIN, 2),
    ];
    if has_limits {
        columns.insert(2, column("LIMITED/s", 7));
    }
    let row = |rule: &RuleRate| {
        let [packets, bytes] = rate_cells(rule.rate);
        let mut cells = vec![packets, bytes];
        if has_limits {
            cells.push(Cell::Rate(rule.limited_per_second));
        }
        cells.push(Cell::Count(rule.packets));
        let texts = [
            &rule.direction,
            &rule.verdict,
            &rule.policy,
            &rule.rule,
            &rule.origin,
        ];
        cells.extend(texts.map(|cell| text(cell)));
        let now = rule.rate.packets_per_second;
        Row {
            cells,
            tone: tone(rule.verdict == "deny", view.mode == "audit", now),
            is_last: false,
        }
    };
    Table {
        columns,
        rows: view.rules.iter().map(row).collect(),
        order: Some(0),
    }
}

fn reasons(view: &View) -> Table {
    let row = |reason: &ReasonRate| {
        let [packets, bytes] = rate_cells(reason.rate);
        let audited = reason.reason.starts_with("audited/");
        let denies = audited || reason.reason.starts_with("dropped/");
        Row {
            cells: vec![
                packets,
                bytes,
                Cell::Count(reason.packets),
                text(&reason.direction),
                text(&reason.reason),
            ],
            tone: tone(denies, audited, reason.rate.packets_per_second),
            is_last: false,
        }
    };
    Table {
        columns: vec![
            column("PACKETS/s", 9),
            column("BYTES/s", 6),
            column("PACKETS", 5),
            column("DIRECTION", 7),
            column("REASON", 8),
        ],
        rows: view.reasons.iter().map(row).collect(),
        order: Some(0),
    }
}

fn flows(rows: &[FlowRate], what: &'static str) -> Table {
    let is_known = rows.iter().any(|row| !row.identity.is_empty());
    let mut columns = vec![
        column("DROPS/s", 8),
        column("NEW/s", 7),
        column("DROPS", 5),
        column("NEW", 4),
        column(what, 9),
    ];
    if is_known {
        columns.push(column("IDENTITY", 3));
    }
    let row = |row: &FlowRate| {
        let name = if row.others { "(others)" } else { &row.name };
        let mut cells = vec![
            Cell::Rate(row.denied_per_second),
            Cell::Rate(row.new_per_second),
            Cell::Count(row.denied),
            Cell::Count(row.new),
            text(name),
        ];
        if is_known {
            cells.push(text(&row.identity));
        }
        let is_now = |rate: Option<f64>| rate.is_some_and(|rate| rate > 0.0);
        Row {
            cells,
            tone: match (is_now(row.denied_per_second), is_now(row.new_per_second)) {
                (true, _) => Tone::Bad,
                (false, true) => Tone::Plain,
                (false, false) => Tone::Quiet,
            },
            is_last: row.others,
        }
    };
    Table {
        columns,
        rows: rows.iter().map(row).collect(),
        order: Some(0),
    }
}

/// Not in any order but that of time.
fn drops(view: &View) -> Table {
    let row = |drop: &Dropped| Row {
        cells: vec![
            text(&local(drop.nanoseconds, Layout::StampMilli)),
            text(if drop.audited { "AUDITED" } else { "DROPPED" }),
            text(&drop.direction),
            text(&drop.interface),
            text(&drop.source),
            text(&drop.destination),
            text(&drop.port),
            text(&drop.reason),
            text(&drop.policy),
            text(&drop.rule),
        ],
        tone: match drop.audited {
            true => Tone::Doubtful,
            false => Tone::Bad,
        },
        is_last: false,
    };
    Table {
        columns: vec![
            column("TIME", 7),
            column("VERDICT", 8),
            column("DIRECTION", 1),
            column("INTERFACE", 3),
            column("SOURCE", 9),
            column("DESTINATION", 8),
            column("PORT", 2),
            column("REASON", 6),
            column("POLICY", 5),
            column("RULE", 4),
        ],
        rows: view.drops.iter().map(row).collect(),
        order: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture::view;

    fn names(table: &Table, column: usize) -> Vec<String> {
        let rows = table.rows.iter();
        rows.map(|row| row.cells[column].text()).collect()
    }

    #[test]
    fn every_row_has_a_cell_for_each_column() {
        for pane in Pane::ALL {
            let table = table(&view(), pane);
            assert!(!table.rows.is_empty(), "{pane:?}");
            for row in &table.rows {
                assert_eq!(row.cells.len(), table.columns.len(), "{pane:?}");
            }
        }
    }

    #[test]
    fn numbers_are_in_falling_order_and_texts_in_rising_and_others_are_last() {
        let mut sources = table(&view(), Pane::Sources);
        sources.sort(Some(0));
        let falling = ["203.0.113.66", "10.0.9.5", "(others)"];
        assert_eq!(names(&sources, 4), falling);
        sources.sort(Some(4));
        let rising = ["10.0.9.5", "203.0.113.66", "(others)"];
        assert_eq!(names(&sources, 4), rising);
        sources.sort(Some(99));
        assert_eq!(sources.order, None);
        assert_eq!(names(&sources, 4), rising);
    }

    #[test]
    fn what_is_not_known_is_below_what_is_zero() {
        let cell = Cell::Rate;
        assert!(cell(Some(0.0)).compare(&cell(None)).is_lt());
        assert!(cell(Some(2.0)).compare(&cell(Some(10.0))).is_gt());
    }

    #[test]
    fn a_filter_leaves_what_contains_it_in_any_case() {
        let mut rules = table(&view(), Pane::Rules);
        rules.filter("DEFAULT-deny");
        assert_eq!(names(&rules, rules.columns.len() - 2), ["default-deny"]);
        rules.filter("nothing of this");
        assert!(rules.rows.is_empty());
    }
}
