//! What there is to see, on a terminal of any size. Pure: from a view and what was chosen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell as Field, Clear, Paragraph, Row as Record, Table as Grid};

use super::fit::{GAP, cut, fit};
use super::keys::Choices;
use super::number::rate;
use super::tables::{Pane, Row, Table, Tone, table};
use super::view::View;

/// Rows of the last drops below another table, with title and header.
const BELOW: u16 = 8;
/// Terminals that are lower show one table only.
const HIGH: u16 = 22;

const KEYS: &str = "q quit  Tab, 1-6 table  s order  / filter  p pause  ? help";
const HELP: [&str; 12] = [
    "q, Esc, Ctrl-C    quit",
    "Tab, 1 to 6       another table",
    "s                 order by the next column",
    "/                 only rows with a text; Enter keeps it, Esc drops it",
    "p                 hold what is shown; counting goes on",
    "arrows, PgUp/PgDn scroll",
    "",
    "Rules and reasons are counted by the kernel: every packet.",
    "Sources, ports and interfaces are of what is reported: the first",
    "packet of a connection, and a bounded number of drops. A flood is",
    "sampled there: not packets, and less than there are.",
    "- stands where two readings cannot be compared, as after a reload.",
];

/// What the loop needs to know of what was drawn, to understand keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Columns of the table.
    pub columns: usize,
    /// Its own order.
    pub usual: Option<usize>,
    /// Rows that it has room for.
    pub page: usize,
    /// So far it can be scrolled.
    pub furthest: usize,
}

/// Draws everything. `is_coloured`: colours may be used. Returns what keys are about.
pub fn draw(frame: &mut Frame<'_>, view: &View, choices: &Choices, is_coloured: bool) -> Shown {
    let area = frame.area();
    let look = Look { is_coloured };
    let trouble = troubles(view);
    let has_drops = area.height >= HIGH && choices.pane != Pane::Drops;
    let [head, tabs, told, body, below, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(trouble.len() as u16),
        Constraint::Min(2),
        Constraint::Length(if has_drops { BELOW } else { 0 }),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(headline(view, choices, look), head);
    frame.render_widget(tab_line(choices.pane, tabs.width), tabs);
    let trouble = trouble.into_iter().map(|line| look.line(line, Color::Red));
    frame.render_widget(Paragraph::new(trouble.collect::<Vec<_>>()), told);
    let shown = main_table(frame, body, view, choices, look);
    if has_drops {
        let [_, below] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(below);
        let drops = table(view, Pane::Drops);
        pane(
            frame,
            below,
            Pane::Drops.title().to_owned(),
            &drops,
            0,
            look,
        );
    }
    frame.render_widget(foot_line(view, choices, look), foot);
    if choices.is_helping {
        help(frame, area);
    }
    shown
}

/// Colours, or none.
#[derive(Clone, Copy)]
struct Look {
    is_coloured: bool,
}

impl Look {
    fn style(self, colour: Color) -> Style {
        match self.is_coloured {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    fn line(self, text: String, colour: Color) -> Line<'static> {
        Line::styled(text, self.style(colour).add_modifier(Modifier::BOLD))
    }

    fn of(self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Doubtful => self.style(Color::Yellow),
            Tone::Bad => self.style(Color::Red),
            Tone::Quiet => Style::new().add_modifier(Modifier::DIM),
        }
    }
}

fn troubles(view: &View) -> Vec<String> {
    // Where there are no counters, it is clear that there is nothing else.
    let trouble = view.trouble.as_ref().or(view.deaf.as_ref());
    trouble.cloned().into_iter().collect()
}

fn headline(view: &View, choices: &Choices, look: Look) -> Line<'static> {
    let mode = match view.mode.as_str() {
        "audit" => Color::Yellow,
        _ => Color::Green,
    };
    let mut spans = vec![
        Span::styled("fw-ctl top", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {}  ", view.node)),
        Span::styled(view.mode.clone(), look.style(mode)),
        Span::raw(format!("  generation {}  {}", view.generation, view.time)),
    ];
    if let Some(seconds) = view.seconds {
        spans.push(Span::raw(format!("  over {seconds:.1} s")));
    }
    if choices.is_paused {
        let held = look.style(Color::Yellow).add_modifier(Modifier::REVERSED);
        spans.insert(1, Span::styled(" PAUSED ", held));
        spans.insert(1, Span::raw("  "));
    }
    Line::from(spans)
}

/// All tables where there is room for their names, else the one that is shown.
fn tab_line(shown: Pane, room: u16) -> Line<'static> {
    let current = Style::new().add_modifier(Modifier::REVERSED);
    let names = Pane::ALL.into_iter().enumerate().map(|(number, pane)| {
        let name = format!(" {} {} ", number + 1, pane.name());
        match pane == shown {
            true => Span::styled(name, current),
            false => Span::raw(name),
        }
    });
    let all = Line::from(names.collect::<Vec<_>>());
    match all.width() <= usize::from(room) {
        true => all,
        false => Line::from(vec![
            Span::styled(
                format!(" {} {} ", shown as usize + 1, shown.name()),
                current,
            ),
            Span::raw(" of 6"),
        ]),
    }
}

fn main_table(
    frame: &mut Frame<'_>,
    area: Rect,
    view: &View,
    choices: &Choices,
    look: Look,
) -> Shown {
    let mut table = table(view, choices.pane);
    let usual = table.order;
    table.sort(choices.order(usual));
    let mut title = choices.pane.title().to_owned();
    if !choices.filter.is_empty() {
        table.filter(&choices.filter);
        title = format!("{title} (only with \"{}\")", choices.filter);
    }
    // Title and header are no rows.
    let page = usize::from(area.height.saturating_sub(2));
    let furthest = table.rows.len().saturating_sub(page);
    let scrolled = choices.scrolled.min(furthest);
    pane(frame, area, title, &table, scrolled, look);
    Shown {
        columns: table.columns.len(),
        usual,
        page,
        furthest,
    }
}

/// A title, and a table below it from row `scrolled` on.
fn pane(
    frame: &mut Frame<'_>,
    area: Rect,
    title: String,
    table: &Table,
    scrolled: usize,
    look: Look,
) {
    let [above, area] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    frame.render_widget(look.line(title, Color::Cyan), above);
    let shown = fit(table, area.width);
    let header = shown.iter().map(|(number, _)| {
        let name = table.columns[*number].name;
        let name = match table.order == Some(*number) {
            true => format!("{name}▾"),
            false => name.to_owned(),
        };
        let is_number = table.rows.iter().any(|row| row.cells[*number].is_number());
        field(name, is_number)
    });
    let header = Record::new(header.collect::<Vec<_>>());
    let header = header.style(Style::new().add_modifier(Modifier::UNDERLINED));
    let rows = table.rows.iter().skip(scrolled);
    let rows = rows.take(usize::from(area.height));
    let rows = rows.map(|row| record(row, table, &shown, look));
    let widths = shown.iter().map(|(_, width)| Constraint::Length(*width));
    let grid = Grid::new(rows, widths).header(header).column_spacing(GAP);
    frame.render_widget(grid, area);
}

fn record(row: &Row, table: &Table, shown: &[(usize, u16)], look: Look) -> Record<'static> {
    let fields = shown.iter().map(|(number, width)| {
        let cell = &row.cells[*number];
        let is_place = table.columns[*number].is_place();
        field(cut(&cell.text(), *width, is_place), cell.is_number())
    });
    Record::new(fields.collect::<Vec<_>>()).style(look.of(row.tone))
}

fn field(text: String, is_number: bool) -> Field<'static> {
    let line = Line::from(text);
    Field::from(match is_number {
        true => line.right_aligned(),
        false => line,
    })
}

fn foot_line(view: &View, choices: &Choices, look: Look) -> Line<'static> {
    if choices.is_typing {
        return Line::from(format!("/{}_", choices.filter));
    }
    let mut notes = Vec::new();
    if view.unreported_per_second.is_some_and(|rate| rate > 0.0) {
        let rate = rate(view.unreported_per_second);
        notes.push(format!("{rate}/s not reported: too many"));
    }
    if view.missed > 0 {
        notes.push(format!("{} flows missed", view.missed));
    }
    let mut spans = vec![Span::styled(KEYS, Style::new().add_modifier(Modifier::DIM))];
    if !notes.is_empty() {
        let notes = format!("{}  ", notes.join(", "));
        spans.insert(0, Span::styled(notes, look.style(Color::Yellow)));
    }
    Line::from(spans)
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines = HELP.map(Line::from);
    let widest = lines.iter().map(Line::width).max().unwrap_or_default();
    let (width, height) = (widest as u16 + 4, HELP.len() as u16 + 2);
    let (width, height) = (width.min(area.width), height.min(area.height));
    let place = Rect {
        x: (area.width - width) / 2,
        y: (area.height - height) / 2,
        width,
        height,
    };
    let frame_around = ratatui::widgets::Block::bordered().title(" fw-ctl top ");
    let text = Paragraph::new(lines.to_vec()).block(frame_around);
    frame.render_widget(Clear, place);
    frame.render_widget(text, place);
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
