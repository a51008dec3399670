//! What a program has put on a terminal: as much of ECMA-48 and xterm's sequences as ours use.
//!
//! A sequence that is not known is kept, so that nobody takes a screen for right that is not.

/// A colour, as the program named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// One of xterm's 256; the first 16 are the terminal's own.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// How a character looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the terminal, independent of the others"
)]
pub struct Look {
    /// Of the character; `None`: the terminal's own.
    pub colour: Option<Colour>,
    /// Behind it.
    pub ground: Option<Colour>,
    /// Bold.
    pub bold: bool,
    /// Dim.
    pub dim: bool,
    /// Underlined.
    pub underlined: bool,
    /// Colour and ground change places.
    pub reversed: bool,
}

/// One place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What is there.
    pub character: char,
    /// How it looks.
    pub look: Look,
}

const EMPTY: Place = Place {
    character: ' ',
    look: Look {
        colour: None,
        ground: None,
        bold: false,
        dim: false,
        underlined: false,
        reversed: false,
    },
};

/// A screen of a fixed size.
#[derive(Clone, Debug)]
pub struct Terminal {
    columns: usize,
    rows: Vec<Vec<Place>>,
    /// Column and row, from 0; the column may be one behind the last.
    cursor: (usize, usize),
    look: Look,
    /// The beginning of a sequence or of a character.
    pending: Vec<u8>,
    /// What was there before the program took a screen of its own.
    behind: Option<Vec<Vec<Place>>>,
    /// The cursor is shown.
    pub is_cursor_shown: bool,
    /// Sequences that are not known.
    pub unknown: Vec<String>,
}

impl Terminal {
    /// An empty one.
    #[must_use]
    pub fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            rows: vec![vec![EMPTY; columns]; rows],
            cursor: (0, 0),
            look: Look::default(),
            pending: Vec::new(),
            behind: None,
            is_cursor_shown: true,
            unknown: Vec::new(),
        }
    }

    /// The rows from the top.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Place>] {
        &self.rows
    }

    /// The program shows a screen of its own, and has not given the former one back.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.behind.is_some()
    }

    /// What there is to read, without blanks at the ends of lines, and empty lines at the end.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.rows.iter().map(|row| {
            let line: String = row.iter().map(|place| place.character).collect();
            line.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// Another size. What no longer fits is gone, as the program is going to draw anew.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        self.columns = columns;
        for screen in [Some(&mut self.rows), self.behind.as_mut()]
            .into_iter()
            .flatten()
        {
            screen.resize(rows, Vec::new());
            for row in screen {
                row.resize(columns, EMPTY);
            }
        }
        self.cursor = (
            self.cursor.0.min(columns),
            self.cursor.1.min(rows.saturating_sub(1)),
        );
    }

    /// Takes what the program writes; sequences may be cut anywhere.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.pending.push(*byte);
            if self.take() {
                self.pending.clear();
            }
        }
    }

    /// Whether what is pending is whole, and was done.
    fn take(&mut self) -> bool {
        let pending = std::mem::take(&mut self.pending);
        let done = match pending.as_slice() {
            [0x1b] | [0x1b, b'[' | b'(' | b']'] => false,
            [0x1b, b'[', parameters @ .., last] if (0x40..=0x7e).contains(last) => {
                self.control(&String::from_utf8_lossy(parameters), *last);
                true
            }
            [0x1b, b'[', ..] => false,
            // A title of the window, which ends with BEL or ESC \.
            [0x1b, b']', .., 0x07] | [0x1b, b']', .., 0x1b, b'\\'] => true,
            [0x1b, b']', ..] => false,
            // The character set.
            [0x1b, b'(', _] => true,
            [0x1b, other] => {
                self.unknown.push(format!("ESC {}", char::from(*other)));
                true
            }
            [b'\r'] => {
                self.cursor.0 = 0;
                true
            }
            [b'\n'] => {
                self.feed();
                true
            }
            [0x08] => {
                self.cursor.0 = self.cursor.0.saturating_sub(1);
                true
            }
            [byte] if *byte < 0x20 || *byte == 0x7f => {
                self.unknown.push(format!("control {byte:#04x}"));
                true
            }
            character => match std::str::from_utf8(character) {
                Ok(text) => {
                    text.chars().for_each(|character| self.put(character));
                    true
                }
                // No character is longer.
                Err(_) => character.len() >= 4,
            },
        };
        self.pending = pending;
        done
    }

    fn put(&mut self, character: char) {
        if self.cursor.0 >= self.columns {
            self.cursor.0 = 0;
            self.feed();
        }
        let (column, row) = self.cursor;
        if let Some(place) = self.rows.get_mut(row).and_then(|row| row.get_mut(column)) {
            *place = Place {
                character,
                look: self.look,
            };
        }
        self.cursor.0 += 1;
    }

    /// To the next row; at the last one everything goes up.
    fn feed(&mut self) {
        if self.cursor.1 + 1 < self.rows.len() {
            self.cursor.1 += 1;
        } else if !self.rows.is_empty() {
            self.rows.remove(0);
            self.rows.push(vec![EMPTY; self.columns]);
        }
    }

    fn control(&mut self, parameters: &str, last: u8) {
        let numbers: Vec<usize> = parameters
            .split(';')
            .map(|number| number.parse().unwrap_or(0))
            .collect();
        let number = |place: usize| numbers.get(place).copied().unwrap_or(0);
        let (column, row) = self.cursor;
        match (last, parameters) {
            (b'm', _) => self.attributes(&numbers),
            (b'H' | b'f', _) => {
                let bottom = self.rows.len().saturating_sub(1);
                self.cursor = (
                    number(1).max(1).min(self.columns) - 1,
                    (number(0).max(1) - 1).min(bottom),
                );
            }
            (b'G', _) => self.cursor.0 = number(0).max(1).min(self.columns) - 1,
            (b'A', _) => self.cursor.1 = row.saturating_sub(number(0).max(1)),
            (b'B', _) => {
                self.cursor.1 = (row + number(0).max(1)).min(self.rows.len().saturating_sub(1));
            }
            (b'C', _) => self.cursor.0 = (column + number(0).max(1)).min(self.columns - 1),
            (b'D', _) => self.cursor.0 = column.saturating_sub(number(0).max(1)),
            (b'J', "2" | "3") => self.erase(0, self.rows.len()),
            (b'J', "" | "0") => {
                self.erase_in_row(column, self.columns);
                self.erase(row + 1, self.rows.len());
            }
            (b'K', "" | "0") => self.erase_in_row(column, self.columns),
            (b'K', "1") => self.erase_in_row(0, column + 1),
            (b'K', "2") => self.erase_in_row(0, self.columns),
            (b'h', "?25") => self.is_cursor_shown = true,
            (b'l', "?25") => self.is_cursor_shown = false,
            (b'h', "?1049") => {
                let empty = vec![vec![EMPTY; self.columns]; self.rows.len()];
                let behind = std::mem::replace(&mut self.rows, empty);
                self.behind.get_or_insert(behind);
            }
            (b'l', "?1049") => {
                if let Some(behind) = self.behind.take() {
                    self.rows = behind;
                }
            }
            _ => {
                let last = char::from(last);
                self.unknown.push(format!("ESC [{parameters}{last}"));
            }
        }
    }

    fn erase(&mut self, from: usize, to: usize) {
        for row in self.rows.iter_mut().take(to).skip(from) {
            row.fill(EMPTY);
        }
    }

    fn erase_in_row(&mut self, from: usize, to: usize) {
        if let Some(row) = self.rows.get_mut(self.cursor.1) {
            row.iter_mut()
                .take(to)
                .skip(from)
                .for_each(|place| *place = EMPTY);
        }
    }

    /// ECMA-48 §8.3.117, with xterm's colours.
    fn attributes(&mut self, numbers: &[usize]) {
        let mut numbers = numbers.iter().copied();
        while let Some(number) = numbers.next() {
            let look = &mut self.look;
            match number {
                0 => *look = Look::default(),
                1 => look.bold = true,
                2 => look.dim = true,
                4 => look.underlined = true,
                7 => look.reversed = true,
                22 => (look.bold, look.dim) = (false, false),
                24 => look.underlined = false,
                27 => look.reversed = false,
                30..=37 => look.colour = Some(Colour::Indexed((number - 30) as u8)),
                40..=47 => look.ground = Some(Colour::Indexed((number - 40) as u8)),
                90..=97 => look.colour = Some(Colour::Indexed((number - 82) as u8)),
                100..=107 => look.ground = Some(Colour::Indexed((number - 92) as u8)),
                38 => look.colour = extended(&mut numbers),
                48 => look.ground = extended(&mut numbers),
                39 => look.colour = None,
                49 => look.ground = None,
                // The colour of the underline: the usual one.
                59 => {}
                other => self.unknown.push(format!("ESC [{other}m")),
            }
        }
    }
}

/// What follows 38 and 48.
fn extended(numbers: &mut impl Iterator<Item = usize>) -> Option<Colour> {
    match numbers.next()? {
        5 => Some(Colour::Indexed(numbers.next()? as u8)),
        2 => Some(Colour::Rgb(
            numbers.next()? as u8,
            numbers.next()? as u8,
            numbers.next()? as u8,
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Terminal {
        let mut terminal = Terminal::new(8, 3);
        terminal.write(text.as_bytes());
        terminal
    }

    #[test]
    fn text_goes_where_the_cursor_is() {
        for (written, expected) in [
            ("one\r\ntwo", "one\ntwo"),
            ("12345678ab", "12345678\nab"),
            ("a\r\nb\r\nc\r\nd", "b\nc\nd"),
            ("\x1b[2;3Hx\x1b[1;1Hy", "y\n  x"),
            ("abc\x1b[1;2H\x1b[K", "a"),
            ("abc\x1b[2J", ""),
            ("größe ▾", "größe ▾"),
            ("ab\x08c", "ac"),
        ] {
            let terminal = after(written);
            assert_eq!(terminal.text(), expected, "{written:?}");
            assert!(terminal.unknown.is_empty(), "{:?}", terminal.unknown);
        }
    }

    #[test]
    fn sequences_may_be_cut_anywhere() {
        let written = "\x1b[1;38;5;1mä\x1b[0m\x1b]0;title\x07b";
        let mut terminal = Terminal::new(8, 1);
        for byte in written.as_bytes() {
            terminal.write(&[*byte]);
        }
        assert_eq!(terminal.text(), "äb");
        let [first, second, ..] = terminal.rows()[0].as_slice() else {
            panic!("a row");
        };
        assert_eq!(first.look.colour, Some(Colour::Indexed(1)));
        assert!(first.look.bold);
        assert_eq!(second.look, Look::default());
    }

    #[test]
    fn a_screen_that_is_given_back_is_what_it_was() {
        let mut terminal = after("shell\x1b[?1049h\x1b[?25l\x1b[1;1Htop");
        assert!(terminal.is_taken() && !terminal.is_cursor_shown);
        assert_eq!(terminal.text(), "top");
        terminal.write(b"\x1b[?25h\x1b[?1049l");
        assert!(!terminal.is_taken() && terminal.is_cursor_shown);
        assert_eq!(terminal.text(), "shell");
    }

    #[test]
    fn what_is_not_known_is_told() {
        assert_eq!(after("\x1b[5n").unknown, ["ESC [5n"]);
        assert_eq!(after("\x1b[3m").unknown, ["ESC [3m"]);
        assert_eq!(after("\x1bZ").unknown, ["ESC Z"]);
    }
}
