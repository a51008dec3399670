//! Modules of a kernel: where they are, what they need, what they are packed with.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::tool;
use crate::{Error, Result};

/// File name and uncompressed content of the modules `names` below `tree`, each behind
/// those that it depends on. What is built in needs none.
pub fn in_loading_order(tree: &Path, names: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    list(tree, &mut files)?;
    let built_in = tree.join("modules.builtin");
    let built_in =
        fs::read_to_string(&built_in).map_err(Error::io(format!("read {}", built_in.display())))?;
    let mut search = Search {
        files,
        built_in: built_in.lines().map(|line| name(Path::new(line))).collect(),
        seen: BTreeSet::new(),
        found: Vec::new(),
    };
    for name in names {
        search.add(name)?;
    }
    Ok(search.found)
}

struct Search {
    files: Vec<PathBuf>,
    built_in: BTreeSet<String>,
    seen: BTreeSet<String>,
    found: Vec<(String, Vec<u8>)>,
}

impl Search {
    fn add(&mut self, wanted: &str) -> Result<()> {
        let wanted = wanted.replace('-', "_");
        if self.built_in.contains(&wanted) || !self.seen.insert(wanted.clone()) {
            return Ok(());
        }
        let Some(path) = self.files.iter().find(|path| name(path) == wanted).cloned() else {
            return Err(Error::Unexpected(format!(
                "the guest's kernel has no module {wanted}"
            )));
        };
        let packed = fs::read(&path).map_err(Error::io(format!("read {}", path.display())))?;
        let content = decompress(&path, &packed)?;
        for dependency in dependencies(&content) {
            self.add(&dependency)?;
        }
        self.found.push((format!("{wanted}.ko"), content));
        Ok(())
    }
}

/// Its name: that of the file up to `.ko`, with underscores, as the kernel calls it.
fn name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = file.split(".ko").next().unwrap_or_default();
    stem.replace('-', "_")
}

/// What it says of itself in its section `.modinfo`: `depends=a,b`. The packages come
/// without the list that depmod makes of these.
fn dependencies(content: &[u8]) -> Vec<String> {
    const FIELD: &[u8] = b"\0depends=";
    let Some(at) = content
        .windows(FIELD.len())
        .position(|window| window == FIELD)
    else {
        return Vec::new();
    };
    let value = content[at + FIELD.len()..]
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(value)
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The content of `path`, which begins with the bytes `packed`, by the format that they
/// show; as it is, if they show none.
pub fn decompress(path: &Path, packed: &[u8]) -> Result<Vec<u8>> {
    let (program, package, options) = match packed {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("xz", "xz-utils", "-dc"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("zstd", "zstd", "-dcq"),
        // The format of lz4 that kernels are packed with ("legacy").
        [0x02, 0x21, 0x4c, 0x18, ..] => ("lz4", "lz4", "-dc"),
        [0x1f, 0x8b, ..] => ("gzip", "gzip", "-dc"),
        _ => return Ok(packed.to_vec()),
    };
    let arguments = [Path::new(options), path];
    tool::output(&tool::find(program, package)?, &arguments)
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let what = || Error::io(format!("list {}", directory.display()));
    for entry in fs::read_dir(directory).map_err(what())? {
        let path = entry.map_err(what())?.path();
        // Links lead out of the tree, to where the kernel's headers would be.
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            list(&path, files)?;
        } else if path.to_string_lossy().contains(".ko") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkDir;

    fn module(depends: &str) -> String {
        format!("\x7fELF…\0license=GPL\0depends={depends}\0retpoline=Y\0")
    }

    #[test]
    fn what_a_module_needs_is_loaded_before_it_and_once() {
        let tree = WorkDir::new().unwrap();
        for (file, depends) in [
            ("kernel/net/net-top.ko", "left,right"),
            ("kernel/left.ko", "base"),
            ("kernel/right.ko", "base"),
            ("kernel/base.ko", ""),
        ] {
            tree.write(file, &module(depends)).unwrap();
        }
        tree.write("modules.builtin", "kernel/drivers/virtio/virtio-pci.ko\n")
            .unwrap();
        let names = ["virtio_pci", "net_top"].map(str::to_owned);
        let loaded: Vec<_> = in_loading_order(tree.path(), &names)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(loaded, ["base.ko", "left.ko", "right.ko", "net_top.ko"]);
        let error = in_loading_order(tree.path(), &["nothing".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("no module nothing"), "{error}");
    }
}
