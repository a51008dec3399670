//! Kernels as Debian builds them, fetched and unpacked without being installed.
//!
//! The flavour is "cloud": it has all that a virtual machine needs, and is small.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{cache, module, tool};
use crate::{Error, Result};

/// A kernel that is there.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Directory with what the package has, and `vmlinux`.
    directory: PathBuf,
    /// `6.12.117+deb12-cloud-amd64`.
    release: String,
}

impl Kernel {
    /// The newest one of a series, "6.12", that apt knows; it is fetched once.
    ///
    /// # Errors
    /// [`Error::Missing`] if apt knows or gets none; another one if the package is not
    /// as expected.
    pub fn of_series(series: &str) -> Result<Self> {
        let missing = |why: String, advice: &str| Error::Missing {
            what: format!("there is no guest with Linux {series}"),
            why,
            advice: advice.to_owned(),
        };
        let prefix = format!("linux-image-{series}.");
        let known = tool::output(&tool::find("apt-cache", "apt")?, &["pkgnames", &prefix])?;
        let Some(package) = newest(&String::from_utf8_lossy(&known), &prefix) else {
            return Err(missing(
                format!("apt knows no package {prefix}*{FLAVOUR}"),
                "apt-get update; or another series",
            ));
        };
        let release = package
            .strip_prefix("linux-image-")
            .expect("it was chosen by this prefix")
            .to_owned();
        let kernel = Self {
            directory: cache().join(&release),
            release,
        };
        let what = || Error::io(format!("use {}", cache().display()));
        fs::create_dir_all(cache()).map_err(what())?;
        // Several tests may want it at once; the lock ends with the file's life.
        let lock = File::create(cache().join("lock")).map_err(what())?;
        lock.lock().map_err(what())?;
        if !kernel.image().is_file() {
            kernel.fetch(&package, missing)?;
        }
        Ok(kernel)
    }

    /// `6.12.117+deb12-cloud-amd64`, as `uname -r` says in the guest.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The kernel itself, uncompressed: QEMU starts it at its PVH entry.
    pub(super) fn image(&self) -> PathBuf {
        self.directory.join("vmlinux")
    }

    /// File name and content of modules and of what they depend on, in loading order.
    pub(super) fn modules(&self, names: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        // Where /lib is a link, packages still say /lib, newer ones /usr/lib.
        let tree = ["lib/modules", "usr/lib/modules"]
            .map(|place| self.directory.join(place).join(&self.release))
            .into_iter()
            .find(|place| place.is_dir())
            .ok_or_else(|| self.odd("it has no modules"))?;
        module::in_loading_order(&tree, names)
    }

    fn fetch(&self, package: &str, missing: impl Fn(String, &str) -> Error) -> Result<()> {
        let part = cache().join(format!("{}.part", self.release));
        // What an interrupted attempt left.
        let _ = fs::remove_dir_all(&part);
        fs::create_dir_all(&part).map_err(Error::io(format!("make {}", part.display())))?;
        tool::finish(
            Command::new(tool::find("apt-get", "apt")?)
                .args(["download", "-q", package])
                .current_dir(&part)
                .stdin(Stdio::null()),
        )
        .map_err(|error| missing(error.to_string(), "apt-get update"))?;
        let archive = with_extension(&part, "deb").ok_or_else(|| {
            missing(
                format!("apt-get download left no file of {package}"),
                "apt-get update",
            )
        })?;
        let dpkg = tool::find("dpkg-deb", "dpkg")?;
        tool::output(&dpkg, &[Path::new("-x"), &archive, &part])?;
        let _ = fs::remove_file(&archive);
        let compressed = part.join("boot").join(format!("vmlinuz-{}", self.release));
        let image =
            fs::read(&compressed).map_err(Error::io(format!("read {}", compressed.display())))?;
        let payload = payload(&image).ok_or_else(|| self.odd("its image is no bzImage"))?;
        fs::write(part.join("payload"), payload)
            .map_err(Error::io(format!("write to {}", part.display())))?;
        let vmlinux = module::decompress(&part.join("payload"), payload)?;
        if !vmlinux.starts_with(b"\x7fELF") {
            return Err(self.odd("its image is compressed in a way that is not known here"));
        }
        fs::write(part.join("vmlinux"), vmlinux)
            .map_err(Error::io(format!("write to {}", part.display())))?;
        let _ = fs::remove_file(part.join("payload"));
        fs::rename(&part, &self.directory)
            .map_err(Error::io(format!("make {}", self.directory.display())))
    }

    fn odd(&self, why: &str) -> Error {
        Error::Unexpected(format!(
            "Linux {} cannot be used: {why}\n  try: rm -r {}",
            self.release,
            self.directory.display()
        ))
    }
}

const FLAVOUR: &str = "-cloud-amd64";

/// The package of the highest version, of names as apt lists them.
fn newest(known: &str, prefix: &str) -> Option<String> {
    known
        .lines()
        .filter(|name| name.starts_with(prefix) && name.ends_with(FLAVOUR))
        .max_by_key(|name| numbers(name))
        .map(str::to_owned)
}

/// Its numbers, so that 6.12.117 is above 6.12.99, and 6.1.0-56 above 6.1.0-7.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|char: char| !char.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// The compressed kernel in a bzImage, as it was before it became a part of it.
///
/// Offsets from the kernel's `Documentation/arch/x86/boot.rst`: `setup_sects`, the magic
/// `HdrS`,
/// `payload_offset` and `payload_length`.
fn payload(image: &[u8]) -> Option<&[u8]> {
    const SECTOR: usize = 512;
    let number = |at: usize| {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes) as usize)
    };
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let setup = usize::from(*image.get(0x1f1)?);
    let start = (setup + 1) * SECTOR + number(0x248)?;
    let payload = image.get(start..start + number(0x24c)?)?;
    // The build appends the uncompressed length, as gzip does of its own.
    match payload {
        [0x1f, 0x8b, ..] => Some(payload),
        _ => payload.len().checked_sub(4).map(|end| &payload[..end]),
    }
}

fn with_extension(directory: &Path, extension: &str) -> Option<PathBuf> {
    fs::read_dir(directory)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|found| found == extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_chosen_by_number_and_flavour() {
        let known = "linux-image-6.12.99+deb12-cloud-amd64\n\
                     linux-image-6.12.117+deb12-cloud-amd64\n\
                     linux-image-6.12.118+deb12-amd64\n\
                     linux-image-6.12.119+deb12-cloud-amd64-unsigned\n";
        assert_eq!(
            newest(known, "linux-image-6.12.").as_deref(),
            Some("linux-image-6.12.117+deb12-cloud-amd64")
        );
        assert_eq!(newest(known, "linux-image-6.1."), None);
        let known = "linux-image-6.1.0-7-cloud-amd64\nlinux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(
            newest(known, "linux-image-6.1.").as_deref(),
            Some("linux-image-6.1.0-56-cloud-amd64")
        );
    }

    #[test]
    fn the_payload_is_where_the_head_says() {
        let mut image = vec![0; 3 * 512 + 20];
        image[0x1f1] = 2;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248] = 7;
        image[0x24c] = 8;
        image[3 * 512 + 7..3 * 512 + 11].copy_from_slice(b"here");
        assert_eq!(payload(&image), Some(&b"here"[..]));
        image[3 * 512 + 7..3 * 512 + 11].copy_from_slice(b"\x1f\x8b..");
        assert_eq!(payload(&image).map(<[u8]>::len), Some(8));
        image[0x24c] = 14;
        assert_eq!(payload(&image), None, "it would end behind the file");
        assert_eq!(payload(b"MZ"), None);
    }
}
