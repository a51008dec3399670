//! What this machine and this process can do: kernel, capabilities, BPF file system.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::error::{DatapathError, words};

/// Where the BPF file system belongs.
pub const BPF_FILE_SYSTEM: &str = "/sys/fs/bpf";

/// Configure network devices: attaching.
pub const CAP_NET_ADMIN: u8 = 12;
/// Stands for the next two on kernels before 5.8 and still implies them.
const CAP_SYS_ADMIN: u8 = 21;
/// Pointer arithmetic on packets, as the verifier demands it.
pub const CAP_PERFMON: u8 = 38;
/// Create maps, load programs.
pub const CAP_BPF: u8 = 39;

const NEEDED: [(u8, &str); 3] = [
    (CAP_BPF, "CAP_BPF"),
    (CAP_NET_ADMIN, "CAP_NET_ADMIN"),
    (CAP_PERFMON, "CAP_PERFMON"),
];

/// Oldest kernel that is promised: it has the ring buffer (5.8), links for XDP
/// (5.9) and `ingress_ifindex` in test runs (5.10).
const OLDEST_KERNEL: (u32, u32) = (5, 10);

/// Refuses early, and in words, what could not work later.
///
/// # Errors
/// The kernel is too old, or capabilities are missing.
pub fn check() -> Result<(), DatapathError> {
    let release = nix::sys::utsname::uname()
        .map(|u| u.release().to_string_lossy().into_owned())
        .unwrap_or_default();
    // A release that cannot be read is no reason to refuse: the calls will tell.
    if kernel_version(&release).is_some_and(|version| version < OLDEST_KERNEL) {
        return Err(DatapathError::Kernel { found: release });
    }
    match missing_capabilities() {
        Some(missing) => Err(DatapathError::Capabilities {
            what: "opening the datapath".into(),
            missing,
            help: "run it as root, or grant CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
        }),
        None => Ok(()),
    }
}

/// Major and minor number of a release such as `6.1.0-18-amd64`.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether an XDP program may say that it can handle frames in several buffers
/// (Linux 5.18).
#[must_use]
pub fn has_xdp_frags() -> bool {
    running_kernel().is_some_and(|version| version >= (5, 18))
}

fn running_kernel() -> Option<(u32, u32)> {
    let names = nix::sys::utsname::uname().ok()?;
    kernel_version(&names.release().to_string_lossy())
}

/// How programs get onto the TC hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcKind {
    /// By a link: Linux 6.6 and newer.
    Tcx,
    /// By a filter in the `clsact` queueing discipline: any kernel.
    Clsact,
}

impl TcKind {
    /// The best that this kernel has.
    #[must_use]
    pub fn of_kernel() -> Self {
        match running_kernel() {
            Some(version) if version >= (6, 6) => Self::Tcx,
            _ => Self::Clsact,
        }
    }
}

/// Names of the capabilities that this process lacks; `None` if it has all.
#[must_use]
pub fn missing_capabilities() -> Option<String> {
    let names: Vec<&str> = NEEDED
        .iter()
        .filter_map(|&(capability, _)| lacks(capability))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The name of `capability` if this process lacks it.
#[must_use]
pub fn lacks(capability: u8) -> Option<&'static str> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    missing_in(&status, capability)
}

fn missing_in(status: &str, capability: u8) -> Option<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())?;
    let has = |bit: u8| effective & (1 << bit) != 0;
    if has(capability) || (capability != CAP_NET_ADMIN && has(CAP_SYS_ADMIN)) {
        return None;
    }
    NEEDED
        .iter()
        .find(|(bit, _)| *bit == capability)
        .map(|(_, name)| *name)
}

/// Makes sure that `directory` is on a BPF file system and exists; mounts one
/// at [`BPF_FILE_SYSTEM`] if it belongs there and nothing is mounted.
///
/// # Errors
/// It is on another file system, or cannot be made.
pub fn ensure_bpf_file_system(directory: &Path) -> Result<(), DatapathError> {
    let refuse = |why: String| DatapathError::NoBpfFileSystem {
        path: directory.to_owned(),
        why,
    };
    let existing = existing_ancestor(directory);
    if !is_bpf_file_system(&existing) {
        if !directory.starts_with(BPF_FILE_SYSTEM) {
            return Err(refuse(format!(
                "{} is not on a BPF file system",
                existing.display()
            )));
        }
        mount(
            Some("bpf"),
            BPF_FILE_SYSTEM,
            Some("bpf"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RELATIME,
            Some("mode=700"),
        )
        .map_err(|errno| {
            refuse(format!(
                "no BPF file system is mounted at {BPF_FILE_SYSTEM}, and mounting one failed: {}",
                words(&errno.into())
            ))
        })?;
    }
    fs::create_dir_all(directory).map_err(|error| refuse(words(&error)))
}

fn existing_ancestor(path: &Path) -> PathBuf {
    path.ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"))
        .to_owned()
}

fn is_bpf_file_system(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_as_numbers() {
        assert_eq!(kernel_version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(kernel_version("5.10"), Some((5, 10)));
        assert!(kernel_version("5.4.0-generic").unwrap() < OLDEST_KERNEL);
        assert!(kernel_version("5.15.2").unwrap() > OLDEST_KERNEL);
        assert_eq!(kernel_version("unknown"), None);
    }

    #[test]
    fn capabilities_are_named_and_sys_admin_counts_for_bpf_but_not_for_the_network() {
        let status = |mask: u64| format!("Name:\tx\nCapEff:\t{mask:016x}\n");
        let bit = |b: u8| 1_u64 << b;
        assert_eq!(missing_in(&status(0), CAP_BPF), Some("CAP_BPF"));
        assert_eq!(missing_in(&status(bit(CAP_BPF)), CAP_BPF), None);
        assert_eq!(missing_in(&status(bit(CAP_SYS_ADMIN)), CAP_PERFMON), None);
        assert_eq!(
            missing_in(&status(bit(CAP_SYS_ADMIN)), CAP_NET_ADMIN),
            Some("CAP_NET_ADMIN")
        );
    }

    #[test]
    fn a_pin_directory_elsewhere_is_refused_in_words() {
        let directory = std::env::temp_dir().join("fw-ctl-no-bpffs/pins");
        let error = ensure_bpf_file_system(&directory).expect_err("not a BPF file system");
        let text = error.to_string();
        assert!(text.contains("is not on a BPF file system"), "{text}");
        assert!(text.contains("try: mount -t bpf"), "{text}");
        assert!(!directory.exists());
    }
}
