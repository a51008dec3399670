//! Reading and writing the tables of ports without putting them on the stack.
//!
//! aya passes values by value; a table of ports is 128 KiB, and a debug build
//! copies it often enough to overflow the stack of a thread.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use aya::maps::{Array, IterableMap, MapData};
use fw_common::wire::PortClasses;

/// Entries of a table.
const ENTRIES: usize = size_of::<PortClasses>() / size_of::<u16>();

/// Commands of linux/bpf.h.
#[derive(Clone, Copy)]
enum Command {
    Lookup = 1,
    Update = 2,
}

/// The part of `union bpf_attr` that both commands use.
#[repr(C)]
struct Attributes {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The table at `index`.
///
/// # Errors
/// The kernel refuses, in particular when there is no such index.
pub fn read(map: &Array<MapData, PortClasses>, index: u32) -> io::Result<Vec<u16>> {
    let mut classes = vec![0; ENTRIES];
    run(Command::Lookup, map, index, &mut classes)?;
    Ok(classes)
}

/// Writes the table at `index`; entries that `classes` lacks become 0.
///
/// # Errors
/// The kernel refuses, in particular when there is no such index.
pub fn write(map: &mut Array<MapData, PortClasses>, index: u32, classes: &[u16]) -> io::Result<()> {
    let mut table = classes.to_vec();
    run(Command::Update, map, index, &mut table)
}

fn run(
    command: Command,
    map: &Array<MapData, PortClasses>,
    index: u32,
    table: &mut Vec<u16>,
) -> io::Result<()> {
    table.resize(ENTRIES, 0);
    let fd = IterableMap::<u32, PortClasses>::map(map).fd().as_fd();
    let attributes = Attributes {
        map: fd.as_raw_fd().cast_unsigned(),
        pad: 0,
        key: (&raw const index) as u64,
        value: table.as_mut_ptr() as u64,
        flags: 0,
    };
    // SAFETY: the attributes are those of both commands, and the key is the u32 of
    // an array map. The kernel reads or writes one value: `Array::new` has checked
    // that it has the size of `PortClasses`, which is the size of `table`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
