//! Where a capture is written to.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::control::protocol::Failure;
use crate::exit;
use crate::why::why;

/// A file, or standard output.
pub enum Target {
    /// Readable by its owner alone, as it has what others said.
    File(File),
    /// Of this process.
    Stdout(io::Stdout),
}

impl Target {
    /// Opens `path`, which is emptied; `-`: standard output.
    ///
    /// # Errors
    /// It cannot be written, or is a terminal.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            let stdout = io::stdout();
            if stdout.is_terminal() {
                let message = "packets are no text for a terminal";
                let help = "fw-ctl capture --dropped -w - | tshark -r -";
                return Err(Failure::new(exit::USAGE, message).help(help));
            }
            return Ok(Self::Stdout(stdout));
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path);
        let file = file.map_err(|error| failed(path, &error))?;
        Ok(Self::File(file))
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}

/// It cannot be written.
#[must_use]
pub fn failed(path: &Path, error: &io::Error) -> Failure {
    let path = match path.as_os_str() == "-" {
        true => "stdout".into(),
        false => path.display().to_string(),
    };
    let message = format!("cannot write to {path}: {}", why(error));
    let failure = Failure::new(exit::UNREACHABLE, message);
    match error.kind() {
        io::ErrorKind::StorageFull => failure.help("--count or --snaplen, or another disk"),
        io::ErrorKind::NotFound => failure.help("a file in a directory that is there"),
        io::ErrorKind::IsADirectory => failure.help("a file in that directory"),
        _ => failure,
    }
}
