//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::tables::Pane;

/// Longest text of a filter: no cell is longer.
const LONGEST: usize = 128;

/// What the operator has chosen.
#[derive(Clone, Debug)]
pub struct Choices {
    /// The table.
    pub pane: Pane,
    /// The column of the order of each table; `None`: the table's own.
    pub order: [Option<usize>; Pane::ALL.len()],
    /// Rows above the first one that is shown.
    pub scrolled: usize,
    /// Only rows with this.
    pub filter: String,
    /// It is being written.
    pub is_typing: bool,
    /// What is shown stays.
    pub is_paused: bool,
    /// The keys are explained.
    pub is_helping: bool,
}

/// What a key asks of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To show what was chosen.
    Go,
    /// To end.
    Quit,
}

impl Choices {
    /// At the beginning.
    #[must_use]
    pub fn new(pane: Pane) -> Self {
        Self {
            pane,
            order: [None; Pane::ALL.len()],
            scrolled: 0,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            is_helping: false,
        }
    }

    /// The column of the order of the table that is shown, where `usual` is its own.
    #[must_use]
    pub fn order(&self, usual: Option<usize>) -> Option<usize> {
        self.order[self.pane as usize].or(usual)
    }

    /// Does what a key says. `columns`: those of the table that is shown; `usual`: the one of
    /// its own order; `page`: rows that are shown.
    pub fn press(
        &mut self,
        key: KeyEvent,
        columns: usize,
        usual: Option<usize>,
        page: usize,
    ) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Wish::Quit,
                _ => Wish::Go,
            };
        }
        if self.is_typing {
            self.write(key.code);
            return Wish::Go;
        }
        if self.is_helping {
            self.is_helping = false;
            return match key.code {
                KeyCode::Char('q') => Wish::Quit,
                _ => Wish::Go,
            };
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('?' | 'h') => self.is_helping = true,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('s') => {
                let next = self.order(usual).map_or(0, |column| column + 1);
                self.order[self.pane as usize] = Some(next % columns.max(1));
            }
            KeyCode::Char(digit @ '1'..='6') => {
                let number = digit as usize - '1' as usize;
                self.turn_to(Pane::ALL[number]);
            }
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(Pane::ALL.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.scrolled += 1,
            KeyCode::Up | KeyCode::Char('k') => self.scrolled = self.scrolled.saturating_sub(1),
            KeyCode::PageDown => self.scrolled += page,
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_sub(page),
            KeyCode::Home => self.scrolled = 0,
            KeyCode::End => self.scrolled = usize::MAX,
            _ => {}
        }
        Wish::Go
    }

    fn turn(&mut self, by: usize) {
        self.turn_to(Pane::ALL[(self.pane as usize + by) % Pane::ALL.len()]);
    }

    fn turn_to(&mut self, pane: Pane) {
        self.pane = pane;
        self.scrolled = 0;
    }

    fn write(&mut self, key: KeyCode) {
        self.scrolled = 0;
        match key {
            KeyCode::Esc => {
                self.filter.clear();
                self.is_typing = false;
            }
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(character) if self.filter.len() < LONGEST => self.filter.push(character),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(choices: &mut Choices, code: KeyCode) -> Wish {
        choices.press(KeyEvent::from(code), 3, Some(0), 10)
    }

    #[test]
    fn tables_are_turned_by_number_and_one_after_another() {
        let mut choices = Choices::new(Pane::Rules);
        for pane in Pane::ALL.into_iter().skip(1).chain([Pane::Rules]) {
            press(&mut choices, KeyCode::Tab);
            assert_eq!(choices.pane, pane);
        }
        press(&mut choices, KeyCode::BackTab);
        assert_eq!(choices.pane, Pane::Drops);
        for (digit, pane) in ('1'..='6').zip(Pane::ALL) {
            press(&mut choices, KeyCode::Char(digit));
            assert_eq!(choices.pane, pane);
        }
    }

    #[test]
    fn the_order_goes_through_the_columns_of_each_table() {
        let mut choices = Choices::new(Pane::Rules);
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(choices.order(Some(0)).unwrap());
            press(&mut choices, KeyCode::Char('s'));
        }
        assert_eq!(seen, [0, 1, 2, 0]);
        press(&mut choices, KeyCode::Char('2'));
        assert_eq!(choices.order(Some(0)), Some(0));
    }

    #[test]
    fn ways_out() {
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(press(&mut Choices::new(Pane::Rules), code), Wish::Quit);
        }
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for (is_typing, is_helping) in [(false, false), (true, false), (false, true)] {
            let mut choices = Choices {
                is_typing,
                is_helping,
                ..Choices::new(Pane::Rules)
            };
            assert_eq!(choices.press(control_c, 3, None, 10), Wish::Quit);
        }
    }

    #[test]
    fn a_filter_is_written_and_taken_back_and_bounded() {
        let mut choices = Choices::new(Pane::Rules);
        press(&mut choices, KeyCode::Char('/'));
        for letter in "qsx".chars() {
            assert_eq!(press(&mut choices, KeyCode::Char(letter)), Wish::Go);
        }
        press(&mut choices, KeyCode::Backspace);
        press(&mut choices, KeyCode::Enter);
        assert_eq!((choices.filter.as_str(), choices.is_typing), ("qs", false));
        press(&mut choices, KeyCode::Char('/'));
        for _ in 0..1_000 {
            press(&mut choices, KeyCode::Char('ö'));
        }
        assert!(choices.filter.len() <= LONGEST + 1);
        assert_eq!(press(&mut choices, KeyCode::Esc), Wish::Go);
        assert!(choices.filter.is_empty() && !choices.is_typing);
    }

    #[test]
    fn help_goes_with_any_key() {
        let mut choices = Choices::new(Pane::Rules);
        press(&mut choices, KeyCode::Char('?'));
        assert!(choices.is_helping);
        assert_eq!(press(&mut choices, KeyCode::Esc), Wish::Go);
        assert!(!choices.is_helping);
    }
}
