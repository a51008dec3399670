//! The kernel and the rights of this process, out of /proc and /sys.

use std::fs;
use std::path::Path;

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::datapath::host;
use crate::doctor::facts::{BpfFileSystem, Kernel, Rights};

/// Raise limits (linux/capability.h).
const CAP_SYS_RESOURCE: u32 = 24;

pub fn kernel() -> Kernel {
    let names = nix::sys::utsname::uname();
    let text = |read: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        names
            .as_ref()
            .map(|names| read(names).to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let release = text(nix::sys::utsname::UtsName::release);
    let build = text(nix::sys::utsname::UtsName::version);
    Kernel {
        version: version(&release),
        release,
        jit: number("/proc/sys/net/core/bpf_jit_enable"),
        jit_harden: number("/proc/sys/net/core/bpf_jit_harden"),
        statistics: number("/proc/sys/kernel/bpf_stats_enabled"),
        lockdown: fs::read_to_string("/sys/kernel/security/lockdown")
            .ok()
            .and_then(|text| lockdown(&text)),
        realtime: number("/sys/kernel/realtime") == Some(1) || build.contains("PREEMPT_RT"),
    }
}

pub fn rights(pin_dir: &Path) -> Rights {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Rights {
        root: nix::unistd::geteuid().is_root(),
        lacking: host::missing_capabilities(),
        memlock: memlock(&limits),
        may_raise: has(&status, CAP_SYS_RESOURCE),
        pin_dir: pin_dir.to_owned(),
        bpf_file_system: bpf_file_system(pin_dir),
    }
}

/// A file that holds a number.
fn number(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Major and minor number of a release such as `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The mode in brackets: `none [integrity] confidentiality`.
fn lockdown(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// The hard limit of `/proc/PID/limits` (proc(5)): `Max locked memory 65536 65536 bytes`.
fn memlock(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Whether the process of this `/proc/PID/status` has the capability.
fn has(status: &str, capability: u32) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    effective.is_some_and(|bits| bits & (1 << capability) != 0)
}

fn bpf_file_system(pin_dir: &Path) -> BpfFileSystem {
    let there = pin_dir.ancestors().find(|ancestor| ancestor.exists());
    let there = there.unwrap_or(Path::new("/"));
    match statfs(there) {
        Ok(stat) if stat.filesystem_type() == BPF_FS_MAGIC => BpfFileSystem::Mounted,
        // Whoever may not look sees no directory on it, and is not alarmed.
        _ if statfs(host::BPF_FILE_SYSTEM)
            .is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
            && pin_dir.starts_with(host::BPF_FILE_SYSTEM) =>
        {
            BpfFileSystem::Mounted
        }
        _ if pin_dir.starts_with(host::BPF_FILE_SYSTEM) => BpfFileSystem::ByDaemon,
        _ => BpfFileSystem::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        assert_eq!(
            lockdown("none [integrity] confidentiality\n").as_deref(),
            Some("integrity")
        );
        assert_eq!(lockdown("[none] integrity\n").as_deref(), Some("none"));
        assert_eq!(lockdown(""), None);
        let limits = |hard: &str| {
            format!(
                "Max cpu time  unlimited unlimited seconds\nMax locked memory         65536                {hard}                bytes\n"
            )
        };
        assert_eq!(memlock(&limits("131072")), Some(131_072));
        assert_eq!(memlock(&limits("unlimited")), None);
        assert!(has(
            "Name:\tx\nCapEff:\t0000000001000000\n",
            CAP_SYS_RESOURCE
        ));
        assert!(!has("CapEff:\t0000000000ffffff\n", CAP_SYS_RESOURCE));
        assert_eq!(version("5.10.0-32-amd64"), Some((5, 10)));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn the_running_kernel_has_a_release() {
        let kernel = kernel();
        assert!(kernel.version.is_some(), "{kernel:?}");
        assert_eq!(version(&kernel.release), kernel.version);
    }

    #[test]
    fn pins_elsewhere_have_no_file_system_of_theirs() {
        let elsewhere = std::env::temp_dir().join("fw-ctl-doctor");
        assert_eq!(bpf_file_system(&elsewhere), BpfFileSystem::Missing);
    }
}
