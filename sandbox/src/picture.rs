//! A screen as a picture that scales, and whose text can be read and selected: SVG.

use std::fmt::Write as _;

use crate::terminal::{Colour, Look, Place};

/// Size of one place, in pixels.
const WIDTH: usize = 8;
const HEIGHT: usize = 17;
/// Around the text.
const MARGIN: usize = 14;
/// From the top of a row to where its letters stand.
const BASELINE: usize = 13;
const TEXT: &str = "#d0d7de";
const GROUND: &str = "#0d1117";
const DIM: &str = "#7d8590";
const PROMPT: &str = "#7ee787";

/// The terminal's own 16 colours: black, red, green, yellow, blue, magenta, cyan, white, and
/// the same again, brighter.
const PALETTE: [&str; 16] = [
    "#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
    "#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc",
];

/// A picture of the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its file in `docs/pictures`.
    pub file: &'static str,
    /// What is to be seen, for who cannot see it.
    pub title: &'static str,
    /// What is typed: words with a blank between them.
    pub command: &'static str,
    /// Of the daemon while it is taken.
    pub mode: &'static str,
    /// How it must end; see `fw-ctl`'s exit codes.
    pub exit: i32,
    /// A program that fills the screen: taken when this is to be read, and ended by `q`.
    pub live: Option<&'static str>,
}

/// Every picture that `sandbox pictures` makes.
pub const PICTURES: [Picture; 5] = [
    Picture {
        file: "status.svg",
        title: "fw-ctl status: mode, plan, what was dropped and why, and each interface",
        command: "fw-ctl status",
        mode: "enforce",
        exit: 0,
        live: None,
    },
    Picture {
        file: "rules.svg",
        title: "fw-ctl rules: each rule with the line that it is written in, and its packets",
        command: "fw-ctl rules",
        mode: "enforce",
        exit: 0,
        live: None,
    },
    Picture {
        file: "trace.svg",
        title: "fw-ctl trace: what happens to a new connection, and which line decides",
        command: "fw-ctl trace --from 203.0.113.66 --to 10.0.0.10:22/tcp",
        mode: "enforce",
        exit: 1,
        live: None,
    },
    Picture {
        file: "top.svg",
        title: "fw-ctl top: packets and bytes a second by rule, and the last drops",
        command: "fw-ctl top",
        mode: "enforce",
        exit: 0,
        live: Some("over 2."),
    },
    Picture {
        file: "audit.svg",
        title: "fw-ctl audit report: what mode enforce would drop, of whom, and because of which line",
        command: "fw-ctl audit report --top 12",
        mode: "audit",
        exit: 1,
        live: None,
    },
];

/// A picture of `rows` below the line in which `command` was typed. `title` says in words what
/// is to be seen.
#[must_use]
pub fn svg(title: &str, command: &str, rows: &[Vec<Place>]) -> String {
    let last = rows.iter().rposition(|row| extent(row) > 0);
    let rows = &rows[..last.map_or(0, |last| last + 1)];
    let columns = rows.iter().map(|row| extent(row)).max().unwrap_or(0);
    let columns = columns.max(command.chars().count() + 2);
    let width = columns * WIDTH + 2 * MARGIN;
    let height = (rows.len() + 1) * HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">{}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{GROUND}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"13\" fill=\"{TEXT}\" xml:space=\"preserve\">\n",
        escaped(title)
    );
    let prompt = [("$ ", PROMPT), (command, TEXT)];
    let mut column = 0;
    let mut line = String::new();
    for (text, colour) in prompt {
        let run = Run {
            column,
            text: text.to_owned(),
            look: Look::default(),
        };
        column += text.chars().count();
        run.write(&mut line, Some(colour));
    }
    write_row(&mut svg, 0, &line);
    for (number, row) in rows.iter().enumerate() {
        let top = MARGIN + (number + 1) * HEIGHT;
        let mut line = String::new();
        for run in runs(row) {
            run.write_ground(&mut svg, top);
            run.write(&mut line, None);
        }
        write_row(&mut svg, number + 1, &line);
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// Nothing of an empty line.
fn write_row(svg: &mut String, row: usize, spans: &str) {
    if !spans.is_empty() {
        let y = MARGIN + row * HEIGHT + BASELINE;
        let _ = writeln!(svg, "<text y=\"{y}\">{spans}</text>");
    }
}

/// Places until the last at which there is anything to see.
fn extent(row: &[Place]) -> usize {
    let is_seen = |place: &Place| {
        let Look {
            ground, reversed, ..
        } = place.look;
        place.character != ' ' || ground.is_some() || reversed
    };
    row.iter().rposition(is_seen).map_or(0, |last| last + 1)
}

/// Places beside each other that look alike.
struct Run {
    column: usize,
    text: String,
    look: Look,
}

fn runs(row: &[Place]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (column, place) in row[..extent(row)].iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.look == place.look => run.text.push(place.character),
            _ => runs.push(Run {
                column,
                text: place.character.to_string(),
                look: place.look,
            }),
        }
    }
    runs
}

impl Run {
    /// Each run says where it begins and how long it is, so that columns stand below each other
    /// in whatever font.
    fn write(&self, line: &mut String, colour: Option<&str>) {
        let x = MARGIN + self.column * WIDTH;
        let length = self.text.chars().count() * WIDTH;
        let mut style = String::new();
        let colour = colour.map_or_else(|| self.colours().0, str::to_owned);
        if colour != TEXT {
            let _ = write!(style, " fill=\"{colour}\"");
        }
        if self.look.bold {
            style.push_str(" font-weight=\"bold\"");
        }
        if self.look.underlined {
            style.push_str(" text-decoration=\"underline\"");
        }
        let _ = write!(
            line,
            "<tspan x=\"{x}\" textLength=\"{length}\"{style}>{}</tspan>",
            escaped(&self.text)
        );
    }

    fn write_ground(&self, svg: &mut String, top: usize) {
        let Some(ground) = self.colours().1 else {
            return;
        };
        let x = MARGIN + self.column * WIDTH;
        let width = self.text.chars().count() * WIDTH;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{ground}\"/>"
        );
    }

    /// Of the text, and behind it.
    fn colours(&self) -> (String, Option<String>) {
        let text = match self.look.colour {
            Some(colour) => css(colour),
            None if self.look.dim => DIM.to_owned(),
            None => TEXT.to_owned(),
        };
        let ground = self.look.ground.map(css);
        match self.look.reversed {
            true => (ground.unwrap_or_else(|| GROUND.to_owned()), Some(text)),
            false => (text, ground),
        }
    }
}

/// Above the first 16: xterm's cube of 6 × 6 × 6, then grey.
fn css(colour: Colour) -> String {
    let (red, green, blue) = match colour {
        Colour::Rgb(red, green, blue) => (red, green, blue),
        Colour::Indexed(index @ 0..=15) => return PALETTE[usize::from(index)].to_owned(),
        Colour::Indexed(index @ 16..=231) => {
            let index = index - 16;
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            (level(index / 36), level(index / 6 % 6), level(index % 6))
        }
        Colour::Indexed(index) => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    };
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Terminal;

    fn picture(written: &str) -> String {
        let mut terminal = Terminal::new(40, 6);
        terminal.write(written.as_bytes());
        svg("What & why", "fw-ctl status", terminal.rows())
    }

    #[test]
    fn text_stays_text_with_its_places_and_colours() {
        let svg = picture("plain \x1b[1;31mred\x1b[0m <x>\r\n\r\n\x1b[7m on \x1b[0m");
        assert_eq!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"148\" height=\"96\" \
             viewBox=\"0 0 148 96\" role=\"img\" aria-labelledby=\"title\">\n\
             <title id=\"title\">What &amp; why</title>\n\
             <rect width=\"148\" height=\"96\" rx=\"8\" fill=\"#0d1117\"/>\n\
             <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
             font-size=\"13\" fill=\"#d0d7de\" xml:space=\"preserve\">\n\
             <text y=\"27\"><tspan x=\"14\" textLength=\"16\" fill=\"#7ee787\">$ </tspan>\
             <tspan x=\"30\" textLength=\"104\">fw-ctl status</tspan></text>\n\
             <text y=\"44\"><tspan x=\"14\" textLength=\"48\">plain </tspan>\
             <tspan x=\"62\" textLength=\"24\" fill=\"#ff7b72\" font-weight=\"bold\">red</tspan>\
             <tspan x=\"86\" textLength=\"32\"> &lt;x&gt;</tspan></text>\n\
             <rect x=\"14\" y=\"65\" width=\"32\" height=\"17\" fill=\"#d0d7de\"/>\n\
             <text y=\"78\"><tspan x=\"14\" textLength=\"32\" fill=\"#0d1117\"> on </tspan></text>\n\
             </g>\n</svg>\n"
        );
    }

    #[test]
    fn the_same_screen_is_the_same_picture() {
        let written = "\x1b[38;5;208mone\x1b[38;2;1;2;3mtwo\x1b[48;5;240mthree";
        assert_eq!(picture(written), picture(written));
        let svg = picture(written);
        for colour in ["#ff8700", "#010203", "#585858"] {
            assert!(svg.contains(colour), "{colour}: {svg}");
        }
    }

    #[test]
    fn nothing_is_a_picture_too() {
        let svg = svg("Nothing", "true", &[]);
        assert!(svg.ends_with("</g>\n</svg>\n"));
    }
}
