//! What is to be written: all of it, or nothing as far as a file system allows.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::control::protocol::Failure;
use crate::exit;
use crate::texts;
use crate::why::why;

/// Files that a refusal names; more are counted.
const NAMED: usize = 20;
/// Of a file that was not there before: configuration, policies and inventory hold no secrets,
/// and members of the group read the configuration to find the daemon.
const MODE: u32 = 0o644;

/// What is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// The same text.
    Same,
    /// The file as it is shipped: nobody has changed it.
    Shipped,
    /// Something else.
    Other,
    /// No regular file, or one that cannot be read: it is never replaced.
    Unfit,
}

/// A file that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Where it is for the host.
    pub path: PathBuf,
    /// Where it is here.
    pub at: PathBuf,
    /// What shall be in it.
    pub text: String,
    /// What is there already.
    pub there: There,
}

impl NewFile {
    /// Looks at what is there. `shipped`: the text of a package that may be replaced.
    #[must_use]
    pub fn new(path: PathBuf, at: PathBuf, text: String, shipped: Option<&str>) -> Self {
        let there = match fs::symlink_metadata(&at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => There::Nothing,
            Ok(file) if file.is_file() => match texts::read_to_string(&at) {
                Ok(old) if old == text => There::Same,
                Ok(old) if Some(old.as_str()) == shipped => There::Shipped,
                Ok(_) => There::Other,
                Err(_) => There::Unfit,
            },
            _ => There::Unfit,
        };
        Self {
            path,
            at,
            text,
            there,
        }
    }

    /// Whether it is written at all.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.there != There::Same
    }
}

/// Why these files are not written.
#[must_use]
pub fn conflict(files: &[NewFile], force: bool) -> Option<Failure> {
    let unfit = files.iter().filter(|file| file.there == There::Unfit);
    let unfit: Vec<&NewFile> = unfit.collect();
    if !unfit.is_empty() {
        let message = format!(
            "what is there cannot be replaced, as it is no readable file:{}",
            list(&unfit)
        );
        return Some(
            Failure::new(exit::REFUSED, message)
                .help("sudo, if only root may read it; else remove it"),
        );
    }
    let other = files.iter().filter(|file| file.there == There::Other);
    let other: Vec<&NewFile> = other.collect();
    if force || other.is_empty() {
        return None;
    }
    let message = format!(
        "nothing was written: these files are there already, and say something else:{}",
        list(&other)
    );
    Some(Failure::new(exit::REFUSED, message).help(
        "--dry-run to see what would be written; --force to replace them (each is kept with .bak \
         behind its name)",
    ))
}

fn list(files: &[&NewFile]) -> String {
    let named = files.iter().take(NAMED);
    let mut text: String = named
        .map(|file| format!("\n{}", file.at.display()))
        .collect();
    if files.len() > NAMED {
        text += &format!("\nand {} more", files.len() - NAMED);
    }
    text
}

/// Writes them. What was there and was nobody's shipped file is kept beside, with `.bak` behind
/// its name; the answer says where, for each file.
///
/// # Errors
/// A file cannot be written. Then those that were there are there again, and new directories
/// may be left.
pub fn write(files: &[NewFile]) -> Result<Vec<Option<PathBuf>>, Failure> {
    let mut steps = Vec::new();
    let done = prepare(files, &mut steps).and_then(|()| publish(&mut steps));
    match done {
        Ok(()) => {
            let kept = |file: &NewFile| {
                let mut steps = steps.iter();
                steps.find(|step| step.at == file.at)?.kept.clone()
            };
            Ok(files.iter().map(kept).collect())
        }
        Err((path, error)) => {
            for step in steps.iter().rev() {
                step.undo();
            }
            let message = format!(
                "nothing was written: cannot write {}: {}",
                path.display(),
                why(&error)
            );
            Err(Failure::new(exit::UNREACHABLE, message)
                .help("sudo fw-ctl init …, or --root DIR to write elsewhere"))
        }
    }
}

/// The file that failed, and why.
type Failed = (PathBuf, io::Error);

/// How far a file is.
struct Step {
    at: PathBuf,
    /// The new text, under a name that nobody reads.
    new: PathBuf,
    /// A second name of what was there.
    old: Option<PathBuf>,
    /// Whether the second name is to stay.
    is_kept: bool,
    /// Where what was there is kept.
    kept: Option<PathBuf>,
    published: bool,
}

/// Everything that may fail for want of rights or room, without touching what is there.
fn prepare(files: &[NewFile], steps: &mut Vec<Step>) -> Result<(), Failed> {
    for file in files.iter().filter(|file| file.is_new()) {
        let failed = |error| (file.at.clone(), error);
        let directory = directory(&file.at);
        fs::create_dir_all(directory).map_err(failed)?;
        let name = file.at.file_name().unwrap_or_default().to_string_lossy();
        let beside = |end: &str| directory.join(format!(".{name}.{}.{end}", std::process::id()));
        let mut step = Step {
            at: file.at.clone(),
            new: beside("new"),
            old: None,
            is_kept: file.there == There::Other,
            kept: None,
            published: false,
        };
        let written = begin(&step.new, &file.text, mode(&file.at));
        let linked = written.and_then(|()| {
            if file.there == There::Nothing {
                return Ok(());
            }
            let old = beside("old");
            fs::hard_link(&file.at, &old)?;
            step.old = Some(old);
            Ok(())
        });
        steps.push(step);
        linked.map_err(failed)?;
    }
    Ok(())
}

/// Gives every file its name.
fn publish(steps: &mut [Step]) -> Result<(), Failed> {
    for step in &mut *steps {
        fs::rename(&step.new, &step.at).map_err(|error| (step.at.clone(), error))?;
        step.published = true;
    }
    for step in &mut *steps {
        let failed = |error| (step.at.clone(), error);
        let Some(old) = &step.old else { continue };
        if step.is_kept {
            let kept = free(&step.at);
            fs::rename(old, &kept).map_err(failed)?;
            step.kept = Some(kept.clone());
            step.old = Some(kept);
        } else {
            // If this fails, there is a file more that nobody reads.
            let _ = fs::remove_file(old);
            step.old = None;
        }
    }
    for step in steps {
        let synced = File::open(directory(&step.at)).and_then(|file| file.sync_all());
        synced.map_err(|error| (step.at.clone(), error))?;
    }
    Ok(())
}

impl Step {
    /// Makes what was there be there again. What fails of it cannot be mended.
    fn undo(&self) {
        let _ = fs::remove_file(&self.new);
        match (&self.old, self.published) {
            (Some(old), true) => {
                let _ = fs::rename(old, &self.at);
            }
            (Some(old), false) => {
                let _ = fs::remove_file(old);
            }
            (None, true) => {
                let _ = fs::remove_file(&self.at);
            }
            (None, false) => {}
        }
    }
}

/// The mode of the file that is replaced, or that of a new one.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).map_or(MODE, |file| file.permissions().mode() & 0o7777)
}

fn begin(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// `NAME.bak`, or the first of `NAME.bak.1`, … that is free: what was kept is not replaced.
fn free(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = |end: String| directory(path).join(format!("{name}.bak{end}"));
    let first = named(String::new());
    let mut others = (1_u32..).map(|number| named(format!(".{number}")));
    if first.symlink_metadata().is_err() {
        return first;
    }
    others
        .find(|path| path.symlink_metadata().is_err())
        .unwrap_or(first)
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
