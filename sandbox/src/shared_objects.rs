//! What a dynamically linked program needs beside it, where there is nothing else.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::guest::tool;

/// The shared objects that a program of this machine is loaded with, and the loader; none if
/// it is statically linked.
///
/// # Errors
/// Without `ldd`.
pub fn shared_objects(program: &Path) -> Result<Vec<PathBuf>> {
    // It exits with 1 where there are none.
    let listed = tool::output(&tool::find("ldd", "libc-bin")?, &[program]);
    Ok(listed.map_or_else(
        |_| Vec::new(),
        |listed| paths(&String::from_utf8_lossy(&listed)),
    ))
}

/// Paths in what ldd writes: `libc.so.6 => /lib/libc.so.6 (0x…)`, or without a name for
/// the loader.
fn paths(listed: &str) -> Vec<PathBuf> {
    listed
        .lines()
        .filter_map(|line| {
            let (_, path) = line.split_once("=>").unwrap_or(("", line));
            let path = path.split_whitespace().next()?;
            path.starts_with('/').then(|| path.into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_objects_are_read_as_ldd_lists_them() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                      \tlibelf.so.1 => /lib/x86_64-linux-gnu/libelf.so.1 (0x00007f1)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f3)\n";
        assert_eq!(
            paths(listed),
            [
                Path::new("/lib/x86_64-linux-gnu/libelf.so.1"),
                Path::new("/lib64/ld-linux-x86-64.so.2")
            ]
        );
        assert!(paths("\tstatically linked\n").is_empty());
    }
}
