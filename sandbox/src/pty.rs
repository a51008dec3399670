//! A program under a pseudo-terminal: what it shows, what its keys do, what it leaves.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

use crate::terminal::Terminal;
use crate::{Error, Result};

/// How long to wait for output at a time.
const TURN: Duration = Duration::from_millis(20);

/// A running program and its terminal. Dropping it kills the program.
#[derive(Debug)]
pub struct Pty {
    master: File,
    /// Kept open, so that what was written last can be read after the program's end.
    slave: OwnedFd,
    child: Child,
    terminal: Terminal,
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Pty {
    /// Starts it on a terminal of its own.
    ///
    /// # Errors
    /// When there are no pseudo-terminals, or the program cannot be started.
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Result<Self> {
        let size = size(columns, rows);
        let OpenptyResult { master, slave } =
            openpty(Some(&size), None).map_err(Error::io("open a pseudo-terminal"))?;
        let copy = || {
            let copy = slave.try_clone();
            copy.map_err(Error::io("copy the descriptor of a pseudo-terminal"))
        };
        command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
        command.env("TERM", "xterm-256color");
        let take = || {
            nix::unistd::setsid()?;
            // SAFETY: ioctl(TIOCSCTTY) takes a number, no pointer; stdin is the terminal.
            match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: between fork and exec the closure only makes two system calls.
        unsafe { command.pre_exec(take) };
        let program = command.get_program().display().to_string();
        let child = command
            .spawn()
            .map_err(Error::io(format!("start {program}")))?;
        Ok(Self {
            master: master.into(),
            slave,
            child,
            terminal: Terminal::new(columns.into(), rows.into()),
        })
    }

    /// Its process, for signals.
    #[must_use]
    pub fn pid(&self) -> Pid {
        // Process numbers of Linux are below 2^22 (PID_MAX_LIMIT).
        Pid::from_raw(self.child.id() as i32)
    }

    /// What the line discipline does: raw or as a shell wants it.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn modes(&self) -> Result<Termios> {
        tcgetattr(&self.slave).map_err(Error::io("read the modes of a terminal"))
    }

    /// Types.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        let written = self.master.write_all(keys.as_bytes());
        written.map_err(Error::io("type on a terminal"))
    }

    /// Gives the terminal another size, and the program a signal.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&mut self, columns: u16, rows: u16) -> Result<()> {
        let size = size(columns, rows);
        self.terminal.resize(columns.into(), rows.into());
        // SAFETY: the pointer is to a winsize that lives until the call returns.
        let set =
            unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        match set {
            0 => Ok(()),
            _ => Err(Error::io("resize a terminal")(
                std::io::Error::last_os_error(),
            )),
        }
    }

    /// Reads what was written until now.
    fn read(&mut self) -> Result<()> {
        let millis = TURN.as_millis() as u16;
        let mut bytes = [0; 8_192];
        loop {
            let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            let waiting = poll(&mut ready, PollTimeout::from(millis));
            if waiting.map_err(Error::io("wait for output of a terminal"))? == 0 {
                return Ok(());
            }
            let read = self.master.read(&mut bytes);
            let read = read.map_err(Error::io("read the output of a terminal"))?;
            self.terminal.write(&bytes[..read]);
        }
    }

    /// Waits until the screen is as wanted, and returns it.
    ///
    /// # Errors
    /// When that is not so after `patience`, with what is there instead; or when the program
    /// writes what a [`Terminal`] does not know.
    pub fn wait_for(
        &mut self,
        patience: Duration,
        mut is_wanted: impl FnMut(&Terminal) -> bool,
    ) -> Result<&Terminal> {
        let end = Instant::now() + patience;
        loop {
            self.read()?;
            if !self.terminal.unknown.is_empty() {
                let unknown = self.terminal.unknown.join(", ");
                return Err(Error::Unexpected(format!(
                    "the program writes what is not understood: {unknown}"
                )));
            }
            if is_wanted(&self.terminal) {
                return Ok(&self.terminal);
            }
            if Instant::now() > end {
                return Err(Error::Unexpected(format!(
                    "the screen is not as wanted:\n{}",
                    self.terminal.text()
                )));
            }
        }
    }

    /// [`Self::wait_for`] a text.
    ///
    /// # Errors
    /// As there.
    pub fn wait_for_text(&mut self, patience: Duration, text: &str) -> Result<&Terminal> {
        self.wait_for(patience, |terminal| terminal.text().contains(text))
    }

    /// Waits for its end, and returns how it ended and what it has left on the screen.
    ///
    /// # Errors
    /// When it goes on for longer than `patience`.
    pub fn end(&mut self, patience: Duration) -> Result<(ExitStatus, &Terminal)> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            self.read()?;
            let ended = self.child.try_wait();
            if let Some(status) = ended.map_err(Error::io("wait for a program"))? {
                self.read()?;
                return Ok((status, &self.terminal));
            }
        }
        Err(Error::Unexpected(format!(
            "the program goes on:\n{}",
            self.terminal.text()
        )))
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
