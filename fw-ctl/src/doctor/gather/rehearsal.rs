//! Trying it: the datapath as the daemon opens it, attached to the loopback device of a network
//! namespace that nobody else is in.
//!
//! A thread takes a network and a mount namespace of its own. What it loads, pins and attaches
//! is in these, and goes with the thread: no packet of the machine ever meets it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::datapath::host::BPF_FILE_SYSTEM;
use crate::datapath::{Datapath, LinkRef, XdpWish};
use crate::doctor::facts::{Rehearsal, Rights};
use crate::why::why;

/// The loopback device of a fresh network namespace.
const LOOPBACK: u32 = 1;

pub fn rehearse(rights: &Rights) -> Rehearsal {
    if let Some(lacking) = &rights.lacking {
        return Rehearsal::Skipped(format!("this process lacks {lacking}"));
    }
    let tried = std::thread::spawn(|| match leave() {
        Err(error) => Rehearsal::Skipped(format!(
            "no network namespace of its own is to be had: {}",
            why(&error.into())
        )),
        Ok(()) => rehearse_here(),
    });
    tried
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Moves this thread into namespaces of its own, with a BPF file system of its own.
fn leave() -> nix::Result<()> {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(
        Some("bpf"),
        BPF_FILE_SYSTEM,
        Some("bpf"),
        MsFlags::empty(),
        none,
    )
}

fn rehearse_here() -> Rehearsal {
    let before = memory_of_tables();
    let mut datapath = match Datapath::open(&Path::new(BPF_FILE_SYSTEM).join("fw-ctl")) {
        Ok(datapath) => datapath,
        Err(error) => return Rehearsal::Failed(error.to_string()),
    };
    let memory = memory_of_tables().saturating_sub(before);
    let loopback = LinkRef {
        index: LOOPBACK,
        name: "lo".into(),
    };
    // Generic XDP: the loopback device has no other.
    let mut attach = |wish| {
        let attached = datapath.attach(&loopback, wish);
        attached.map(drop).map_err(|error| error.to_string())
    };
    let tc = attach(XdpWish::Off);
    let xdp = match tc {
        Ok(()) => attach(XdpWish::Generic),
        Err(_) => Ok(()),
    };
    Rehearsal::Loaded { memory, xdp, tc }
}

/// What the tables take that this process holds, as the kernel says (`memlock` of proc(5)):
/// each once, however often it is open.
fn memory_of_tables() -> u64 {
    let Ok(descriptors) = fs::read_dir("/proc/self/fdinfo") else {
        return 0;
    };
    let texts = descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_to_string(descriptor.path()).ok());
    let tables: BTreeMap<u64, u64> = texts.filter_map(|text| table(&text)).collect();
    tables.values().sum()
}

/// Id and bytes of the table behind a descriptor, if it is one.
fn table(text: &str) -> Option<(u64, u64)> {
    let number = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().parse().ok()
    };
    Some((number("map_id:")?, number("memlock:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_of_a_table_is_told_from_others() {
        let text =
            "pos:\t0\nflags:\t02000002\nmap_type:\t2\nmemlock:\t4096\nmap_id:\t7\nfrozen:\t0\n";
        assert_eq!(table(text), Some((7, 4096)));
        assert_eq!(
            table("pos:\t0\nprog_type:\t6\nmemlock:\t4096\nprog_id:\t7\n"),
            None
        );
    }

    #[test]
    fn without_rights_nothing_is_tried() {
        let rights = Rights {
            lacking: Some("CAP_BPF".into()),
            ..Rights::default()
        };
        let expected = Rehearsal::Skipped("this process lacks CAP_BPF".into());
        assert_eq!(rehearse(&rights), expected);
    }
}
