//! Data goes to stdout, talk to stderr. Colours only where they are wanted
//! (a terminal, no `NO_COLOR`).

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

use crate::control::protocol::Failure;
use crate::diagnostic::Diagnostic;
use crate::exit;
use crate::why::why;

/// What a command ends with: an exit code, or what to tell the operator.
pub type Outcome = Result<u8, Failure>;

/// `-o`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs: an object with "schema": 1
    Json,
}

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// Tells a failure on stderr and returns its exit code.
#[must_use]
pub fn report(failure: &Failure) -> u8 {
    let mut stderr = anstream::stderr().lock();
    for finding in &failure.findings {
        let _ = writeln!(stderr, "{finding}\n");
    }
    let mut lines = failure.message.lines();
    // Nothing can be told when stderr is gone; the exit code remains.
    let _ = writeln!(
        stderr,
        "{RED}error{RED:#}: {}",
        lines.next().unwrap_or_default()
    );
    for line in lines {
        let _ = writeln!(stderr, "       {line}");
    }
    if let Some(help) = &failure.help {
        let _ = writeln!(stderr, "  {CYAN}try{CYAN:#}: {help}");
    }
    failure.exit
}

/// Says something that is not wrong yet.
pub fn warn(message: &str) {
    let _ = writeln!(anstream::stderr(), "{YELLOW}warning{YELLOW:#}: {message}");
}

/// Says something to the one who waits.
pub fn say(message: &str) {
    let _ = writeln!(anstream::stderr(), "{message}");
}

/// Prints data. A reader that has gone away (`| head`) is no failure.
///
/// # Errors
/// When stdout cannot be written, as on a full disk.
pub fn print(text: &str) -> Result<(), Failure> {
    print_on(text).map(|_| ())
}

/// Like [`print`], for who has more to print: whether anybody still reads.
///
/// # Errors
/// As [`print`].
pub fn print_on(text: &str) -> Result<Reader, Failure> {
    let mut stdout = anstream::stdout().lock();
    written(writeln!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// The other end of stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// It takes what is written.
    There,
    /// It has closed the pipe: it has read enough.
    Gone,
}

/// What the outcome of writing to stdout means.
///
/// # Errors
/// As [`print`].
pub fn written(outcome: io::Result<()>) -> Result<Reader, Failure> {
    match outcome {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::new(
            exit::UNREACHABLE,
            format!("cannot write to stdout: {}", why(&error)),
        )),
    }
}

/// Prints data as JSON on one line.
///
/// # Errors
/// As [`print`].
pub fn print_json<T: Serialize>(value: &T) -> Result<(), Failure> {
    print(&json(value)?)
}

/// Prints what a failure has for programs, where they are spoken to, and hands it on.
///
/// # Errors
/// The failure; or that it cannot be printed.
pub fn or_data<T>(answer: Result<T, Failure>, format: Format) -> Result<T, Failure> {
    if let (Err(failure), Format::Json) = (&answer, format)
        && let Some(data) = &failure.data
    {
        print_json(data)?;
    }
    answer
}

/// A value as JSON on one line.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::new(exit::UNREACHABLE, format!("cannot write JSON: {error}")))
}

/// Green.
#[must_use]
pub fn good(text: &str) -> String {
    format!("{GREEN}{text}{GREEN:#}")
}

/// Red.
#[must_use]
pub fn bad(text: &str) -> String {
    format!("{RED}{text}{RED:#}")
}

/// Yellow.
#[must_use]
pub fn doubtful(text: &str) -> String {
    format!("{YELLOW}{text}{YELLOW:#}")
}

/// A finding in one line: `file:line:column: message (help)`.
#[must_use]
pub fn plain(finding: &Diagnostic) -> String {
    let place = match finding.span {
        Some(span) => format!("{}:{}:{}", finding.source.name, span.line, span.column),
        None => finding.source.name.clone(),
    };
    let help = finding
        .help
        .as_ref()
        .map_or_else(String::new, |help| format!(" ({help})"));
    format!("{place}: {}{help}", finding.message)
}
