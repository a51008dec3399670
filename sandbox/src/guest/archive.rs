//! An archive that the kernel unpacks into memory when it starts.
//!
//! The format is "newc" of cpio: for each file a head of numbers in hexadecimal, the
//! name and the content, each padded to four bytes (the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// `S_IFDIR` and `S_IFREG` of a mode.
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// An archive in memory.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: BTreeSet<PathBuf>,
}

impl Archive {
    /// Adds a directory, and those above it; nothing, if it is there.
    pub fn directory(&mut self, path: &Path) {
        let mut so_far = PathBuf::new();
        for component in path.components() {
            if let Component::Normal(name) = component {
                so_far.push(name);
                if self.entries.insert(so_far.clone()) {
                    self.entry(&so_far.to_string_lossy(), DIRECTORY | 0o755, &[]);
                }
            }
        }
    }

    /// Adds a file with the directories above it. Of two files of one path the first stays.
    pub fn file(&mut self, path: &Path, executable: bool, content: &[u8]) {
        let path = path.strip_prefix("/").unwrap_or(path);
        if let Some(parent) = path.parent() {
            self.directory(parent);
        }
        if self.entries.insert(path.to_owned()) {
            let mode = if executable { 0o755 } else { 0o644 };
            self.entry(&path.to_string_lossy(), FILE | mode, content);
        }
    }

    /// The whole archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        let links = if mode & DIRECTORY == 0 { 1 } else { 2 };
        // The kernel joins files with several links by their number: each its own.
        let number = self.entries.len() as u32;
        let head = [
            number,
            mode,
            0, // uid
            0, // gid
            links,
            0, // mtime
            content.len() as u32,
            0, // of the device that it is on
            0,
            0, // of the device that it is
            0,
            name.len() as u32 + 1,
            0, // checksum: none in this format
        ];
        self.bytes.extend(b"070701");
        for value in head {
            self.bytes.extend(format!("{value:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn heads_are_as_the_kernel_documents_them() {
        let mut archive = Archive::default();
        archive.file(Path::new("/a"), true, b"12345");
        let bytes = archive.finish();
        // Magic, inode 1, mode 0100755, root's, one link, no time, five bytes.
        assert!(bytes.starts_with(
            b"07070100000001000081ed00000000000000000000000100000000\
              00000005"
        ));
        // A head of 110 bytes and `a\0` are padded by none, five bytes by three.
        assert_eq!(&bytes[110..112], b"a\0");
        assert_eq!(&bytes[112..126], b"12345\0\0\x00070701");
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn cpio_of_busybox_reads_it() {
        let mut archive = Archive::default();
        archive.file(Path::new("/etc/x/one"), false, b"1");
        archive.file(Path::new("/etc/x/two"), false, b"22");
        archive.file(Path::new("/etc/x/two"), false, b"again");
        let Ok(mut cpio) = Command::new("busybox")
            .args(["cpio", "-t"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            eprintln!("skipped: busybox is not installed");
            return;
        };
        let mut stdin = cpio.stdin.take().unwrap();
        stdin.write_all(&archive.finish()).unwrap();
        drop(stdin);
        let listed = cpio.wait_with_output().unwrap();
        assert!(listed.status.success());
        assert_eq!(
            String::from_utf8(listed.stdout).unwrap(),
            "etc\netc/x\netc/x/one\netc/x/two\n"
        );
    }
}
