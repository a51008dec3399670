//! Reading a large value of an array map without putting it on the stack.
//!
//! aya returns values by value; a table of ports is 128 KiB, and a debug build
//! copies it often enough to overflow the stack of a thread.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use aya::maps::{Array, IterableMap, MapData};
use fw_common::wire::PortClasses;

/// `BPF_MAP_LOOKUP_ELEM` of linux/bpf.h.
const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;

/// The part of `union bpf_attr` that a lookup uses.
#[repr(C)]
struct LookupAttributes {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The table of ports at `index`.
///
/// # Errors
/// The kernel refuses, in particular when there is no such index.
pub fn port_classes(map: &Array<MapData, PortClasses>, index: u32) -> io::Result<Vec<u16>> {
    let fd = IterableMap::<u32, PortClasses>::map(map).fd().as_fd();
    let mut classes = vec![0_u16; size_of::<PortClasses>() / size_of::<u16>()];
    let attributes = LookupAttributes {
        map: fd.as_raw_fd().cast_unsigned(),
        pad: 0,
        key: (&raw const index) as u64,
        value: classes.as_mut_ptr() as u64,
        flags: 0,
    };
    // SAFETY: the attributes are those of this command, the key is the u32 of an
    // array map, and the kernel writes one value: `Array::new` has checked that it
    // has the size of `PortClasses`, which is the size of `classes`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_MAP_LOOKUP_ELEM,
            &raw const attributes,
            size_of::<LookupAttributes>(),
        )
    };
    if result == 0 {
        Ok(classes)
    } else {
        Err(io::Error::last_os_error())
    }
}
