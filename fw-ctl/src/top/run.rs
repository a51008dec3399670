//! The loop between keys, news and the terminal.

use std::io;
use std::mem::ManuallyDrop;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::batch;
use super::draw::{Shown, draw};
use super::keys::{Choices, Wish};
use super::state::{News, State};
use super::tables::Pane;
use super::view::View;
use crate::cli::output::Outcome;
use crate::control::protocol::Failure;
use crate::exit;
use crate::signals::Signals;
use crate::why::why;

/// How long news and signals may wait where no key is pressed.
const TURN: Duration = Duration::from_millis(100);
/// News that are taken at a time, so that a flood leaves keys their turn.
const AT_ONCE: usize = 4_096;

/// Shows what comes until somebody quits. `is_coloured`: colours may be used.
///
/// # Errors
/// When the daemon does not answer at first, or the terminal cannot be used.
pub fn run(news: &Receiver<News>, signals: &Signals, pane: Pane, is_coloured: bool) -> Outcome {
    let mut state = State::default();
    // Whoever finds nobody is told so in a line, not on a screen of its own.
    if let Some(code) = first_reading(news, signals, &mut state)? {
        return Ok(code);
    }
    let mut screen = Screen::take().map_err(|error| unusable(&error))?;
    let outcome = turns(
        screen.terminal(),
        news,
        signals,
        &mut state,
        pane,
        is_coloured,
    );
    drop(screen);
    outcome.or_else(|error| {
        // The terminal may have gone, of which the kernel tells by a signal.
        std::thread::sleep(TURN);
        signals.code().ok_or_else(|| unusable(&error))
    })
}

/// Waits for the daemon; an exit code if a signal came meanwhile.
fn first_reading(
    news: &Receiver<News>,
    signals: &Signals,
    state: &mut State,
) -> Result<Option<u8>, Failure> {
    loop {
        if let Some(code) = signals.code() {
            return Ok(Some(code));
        }
        match news.recv_timeout(TURN) {
            Ok(News::Unanswered(failure)) => return Err(failure),
            Ok(news) => {
                let is_reading = matches!(news, News::Reading(_));
                state.take(news);
                if is_reading {
                    return Ok(None);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(batch::nobody_asks()),
        }
    }
}

fn turns(
    terminal: &mut DefaultTerminal,
    news: &Receiver<News>,
    signals: &Signals,
    state: &mut State,
    pane: Pane,
    is_coloured: bool,
) -> io::Result<u8> {
    let mut choices = Choices::new(pane);
    // What is shown while it is held.
    let mut held: Option<View> = None;
    let mut shown = Shown::default();
    let mut is_old = true;
    loop {
        if let Some(code) = signals.code() {
            return Ok(code);
        }
        for news in news.try_iter().take(AT_ONCE) {
            is_old |= state.take(news);
        }
        if is_old {
            let view = held.as_ref().unwrap_or(state.view());
            terminal.draw(|frame| shown = draw(frame, view, &choices, is_coloured))?;
            is_old = false;
        }
        let mut patience = TURN;
        while event::poll(patience)? {
            patience = Duration::ZERO;
            is_old = true;
            let Event::Key(key) = event::read()? else {
                continue;
            };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            if choices.press(key, shown.columns, shown.usual, shown.page) == Wish::Quit {
                return Ok(exit::OK);
            }
            choices.scrolled = choices.scrolled.min(shown.furthest);
            match choices.is_paused {
                true => drop(held.get_or_insert_with(|| state.view().clone())),
                false => held = None,
            }
        }
    }
}

/// A terminal that is ours; it is given back when this goes, and by the hook of a panic.
struct Screen(ManuallyDrop<DefaultTerminal>);

impl Screen {
    fn take() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(ManuallyDrop::new(terminal))),
            Err(error) => {
                // It may be taken by halves.
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }

    fn terminal(&mut self) -> &mut DefaultTerminal {
        &mut self.0
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Never dropped itself: that complains on stderr where the terminal is gone, and
        // panics if stderr was the terminal.
        let _ = self.0.show_cursor();
        // A terminal that is gone cannot be given back.
        let _ = ratatui::try_restore();
    }
}

fn unusable(error: &io::Error) -> Failure {
    Failure::new(
        exit::UNREACHABLE,
        format!("the terminal cannot be used: {}", why(error)),
    )
    .help("fw-ctl top --batch, which needs none")
}
