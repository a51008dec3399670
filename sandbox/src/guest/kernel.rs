//! Kernels as Debian builds them, fetched and unpacked without being installed.
//!
//! The flavour is "cloud": it has all that a virtual machine needs, and is small. What
//! this machine's release does not have comes from another one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::apt::Apt;
use super::{cache, module};
use crate::{Error, Result};

/// Name of the newest kernel that Debian has, beside series as "6.1".
pub const NEWEST: &str = "newest";
/// Where it is.
const UNSTABLE: &str = "sid";
/// Releases that are built with a series, for machines of others.
const RELEASES: [(&str, &str); 3] = [
    ("5.10", "bullseye"),
    ("6.1", "bookworm"),
    ("6.12", "trixie"),
];
/// For how long the newest one that was fetched counts as that.
const FRESH: Duration = Duration::from_hours(7 * 24);

const FLAVOUR: &str = "-cloud-amd64";
const IMAGE: &str = "linux-image-";

/// A kernel that is there.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Directory with what its packages have, and `vmlinux`.
    directory: PathBuf,
    /// `6.12.117+deb12-cloud-amd64`.
    release: String,
}

impl Kernel {
    /// By its name: a series, or [`NEWEST`].
    ///
    /// # Errors
    /// As for [`Self::of_series`].
    pub fn named(name: &str) -> Result<Self> {
        match name {
            NEWEST => Self::newest(),
            series => Self::of_series(series),
        }
    }

    /// The newest one of a series, "6.12", that apt knows, else that of the release of
    /// Debian which has this series; it is fetched once.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none, or it cannot be got; another one if the
    /// package is not as expected.
    pub fn of_series(series: &str) -> Result<Self> {
        let _lock = lock()?;
        let prefix = format!("{IMAGE}{series}.");
        let own = Apt::of_this_machine();
        if let Some(release) = newest(own.names(&prefix)?, IMAGE) {
            return Self::from(&own, cache(), release);
        }
        let Some((_, suite)) = RELEASES.iter().find(|(known, _)| *known == series) else {
            return Err(Error::Missing {
                what: format!("there is no guest with Linux {series}"),
                why: format!("apt knows no package {prefix}*{FLAVOUR}"),
                advice: "apt-get update; or another series".to_owned(),
            });
        };
        let place = cache().join(suite);
        match newest(unpacked(&place), &format!("{series}.")) {
            Some(found) => Ok(Self::at(&place, format!("{series}.{found}"))),
            None => Self::of_release(suite, &prefix),
        }
    }

    /// The newest one that Debian has. Once a week it is looked for anew.
    ///
    /// # Errors
    /// As for [`Self::of_series`].
    pub fn newest() -> Result<Self> {
        let _lock = lock()?;
        let place = cache().join(UNSTABLE);
        let Some(release) = newest(unpacked(&place), "") else {
            return Self::of_release(UNSTABLE, IMAGE);
        };
        let known = Self::at(&place, release);
        let age = fs::metadata(&known.directory)
            .and_then(|directory| directory.modified())
            .ok()
            .and_then(|fetched| fetched.elapsed().ok());
        if age.is_some_and(|age| age < FRESH) {
            return Ok(known);
        }
        match Self::of_release(UNSTABLE, IMAGE) {
            Ok(kernel) => {
                // It may be the one that was there: it is the newest for another week.
                let _ = File::open(&kernel.directory)
                    .and_then(|directory| directory.set_modified(SystemTime::now()));
                Ok(kernel)
            }
            // Without a network it is the newest that there is.
            Err(Error::Missing { .. }) => Ok(known),
            Err(error) => Err(error),
        }
    }

    /// The newest one in another release whose package begins with `prefix`.
    fn of_release(suite: &str, prefix: &str) -> Result<Self> {
        let apt = Apt::of_release(suite)?;
        let release = newest(apt.names(prefix)?, IMAGE).ok_or_else(|| Error::Missing {
            what: format!("there is no guest with a kernel of Debian {suite}"),
            why: format!("it has no package {prefix}*{FLAVOUR}"),
            advice: "another series".to_owned(),
        })?;
        Self::from(&apt, &cache().join(suite), release)
    }

    /// Unpacked in `place`, or fetched to there.
    fn from(apt: &Apt, place: &Path, release: String) -> Result<Self> {
        let kernel = Self::at(place, release);
        if !kernel.image().is_file() {
            kernel.fetch(apt)?;
        }
        Ok(kernel)
    }

    fn at(place: &Path, release: String) -> Self {
        Self {
            directory: place.join(&release),
            release,
        }
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

    fn fetch(&self, apt: &Apt) -> Result<()> {
        let mut part = self.directory.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        // What an interrupted attempt left.
        let _ = fs::remove_dir_all(&part);
        fs::create_dir_all(&part).map_err(Error::io(format!("make {}", part.display())))?;
        apt.unpack(&self.packages(apt)?, &part)?;
        let compressed = self.compressed(&part)?;
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

    /// Names of its packages: one, or from Linux 7 on several, of which the image proper
    /// only says that it needs the others.
    fn packages(&self, apt: &Apt) -> Result<Vec<String>> {
        let mut packages = Vec::new();
        for part in ["image", "binary", "modules", "base"] {
            let package = format!("linux-{part}-{}", self.release);
            if apt.names(&package)?.contains(&package) {
                packages.push(package);
            }
        }
        Ok(packages)
    }

    /// Where the packages have put the image.
    fn compressed(&self, unpacked: &Path) -> Result<PathBuf> {
        let places = [
            format!("boot/vmlinuz-{}", self.release),
            format!("usr/lib/modules/{}/vmlinuz", self.release),
        ];
        places
            .iter()
            .map(|place| unpacked.join(place))
            .find(|path| path.is_file())
            .ok_or_else(|| self.odd("its packages have no image"))
    }

    fn odd(&self, why: &str) -> Error {
        Error::Unexpected(format!(
            "Linux {} cannot be used: {why}\n  try: rm -r {}",
            self.release,
            self.directory.display()
        ))
    }
}

/// Several tests may want the same at once; the lock ends with the file's life.
pub(super) fn lock() -> Result<File> {
    let what = || Error::io(format!("use {}", cache().display()));
    fs::create_dir_all(cache()).map_err(what())?;
    let lock = File::create(cache().join("lock")).map_err(what())?;
    lock.lock().map_err(what())?;
    Ok(lock)
}

/// Names of the directories in `place`.
fn unpacked(place: &Path) -> Vec<String> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// What follows `prefix` in the name of the highest version; of the images, only the
/// flavour's.
fn newest(names: Vec<String>, prefix: &str) -> Option<String> {
    names
        .iter()
        .filter(|name| name.ends_with(FLAVOUR))
        .filter_map(|name| name.strip_prefix(prefix))
        .filter(|release| release.starts_with(|char: char| char.is_ascii_digit()))
        .max_by_key(|release| numbers(release))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_chosen_by_number_and_flavour() {
        let chosen =
            |names: &str, prefix: &str| newest(names.lines().map(str::to_owned).collect(), prefix);
        let known = "linux-image-6.12.99+deb12-cloud-amd64\n\
                     linux-image-6.12.117+deb12-cloud-amd64\n\
                     linux-image-6.12.118+deb12-amd64\n\
                     linux-image-6.12.119+deb12-cloud-amd64-unsigned\n\
                     linux-image-cloud-amd64\n";
        assert_eq!(
            chosen(known, IMAGE).as_deref(),
            Some("6.12.117+deb12-cloud-amd64")
        );
        assert_eq!(chosen("linux-image-cloud-amd64\n", IMAGE), None);
        assert_eq!(
            chosen(
                "6.1.0-7-cloud-amd64\n6.1.0-56-cloud-amd64\n6.1.0-57-cloud-amd64.part",
                ""
            ),
            Some("6.1.0-56-cloud-amd64".to_owned())
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
