//! Files that are replaced whole or not at all, also when the power fails.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Puts `bytes` into `directory/name`; makes the directory if need be. Only root
/// may read the file: policies and inventory say much about a cluster.
///
/// # Errors
/// When anything fails; then the old file is what it was.
pub(super) fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let new = directory.join(format!("{name}.new"));
    let mut file = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, directory.join(name))?;
    sync(directory)
}

/// Removes `directory/name`, if it is there.
///
/// # Errors
/// When it cannot be removed.
pub(super) fn remove(directory: &Path, name: &str) -> io::Result<()> {
    match std::fs::remove_file(directory.join(name)) {
        Err(error) if is_absent(&error) => Ok(()),
        result => result.and_then(|()| sync(directory)),
    }
}

/// Whether there is no such file; a directory that is no directory has none.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Makes a new name survive a power cut.
///
/// # Errors
/// When the directory cannot be opened or written.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}
