//! Programs of this machine that make and run guests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Result};

/// A program in the search path, or where only the administrator looks.
///
/// # Errors
/// [`Error::Missing`], with the Debian package that has it.
pub fn find(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Error::Missing {
            what: "there is no guest".into(),
            why: format!("`{program}` is not installed"),
            advice: format!("apt-get install {package}"),
        })
}

/// Runs a program to its end and returns what it wrote to stdout.
///
/// # Errors
/// If it cannot be run or says no.
pub fn output<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Result<Vec<u8>> {
    finish(Command::new(program).args(arguments).stdin(Stdio::null()))
}

/// The same for a command that is prepared already.
///
/// # Errors
/// As for [`output`].
pub fn finish(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(Error::io(format!("run `{name}`")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let arguments: Vec<_> = command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    Err(Error::Command {
        command: format!("{name} {}", arguments.join(" ")),
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
