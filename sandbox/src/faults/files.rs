//! The operator's files, as they are to be when nobody breaks them.

use std::fs;
use std::path::Path;

use sandbox::{Error, FwCtl, Lab, Result, inventory};

use super::policies;

/// The file of [`policies::LIST`].
const LIST_FILE: &str = "friends.netset";

/// Reads a file of the lab.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io(format!("read {}", path.display())))
}

/// Puts a file in the place of the old one at once, as a careful editor does.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, path))
        .map_err(Error::io(format!("write {}", path.display())))
}

/// Everything that the operator has written is as it should be.
///
/// # Errors
/// When it cannot be written.
pub fn mend(lab: &Lab, fw_ctl: &FwCtl, varying: &str, config: &str) -> Result<()> {
    let files = fw_ctl.files();
    let inventory = inventory::rke2(lab);
    for (directory, wanted) in [
        (
            &files.policies,
            vec![
                ("always.yaml", policies::always()),
                ("varying.yaml", varying.to_owned()),
            ],
        ),
        (
            &files.inventory,
            vec![
                ("cluster.yaml", inventory),
                (LIST_FILE, policies::list(lab)),
            ],
        ),
    ] {
        fs::create_dir_all(directory)
            .map_err(Error::io(format!("make {}", directory.display())))?;
        let listed = fs::read_dir(directory).into_iter().flatten().flatten();
        for entry in listed {
            let name = entry.file_name();
            if !wanted.iter().any(|(wanted, _)| name == *wanted) {
                let _ = fs::remove_dir_all(entry.path());
                let _ = fs::remove_file(entry.path());
            }
        }
        for (name, text) in wanted {
            let path = directory.join(name);
            if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
                continue;
            }
            write_whole(&path, &text)?;
        }
    }
    write_whole(&files.config, config)
}
