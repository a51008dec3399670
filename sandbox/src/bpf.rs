//! Somebody else's XDP program: two instructions that let everything pass; and
//! somebody who detaches a link.
//!
//! It stands for a load balancer or another firewall that is on the interface
//! already. Loaded with the bare system call, so that the lab needs no BPF library
//! and cannot share a mistake with the one of the program under test; the benchmarks
//! use the call, too.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::Namespace;

/// `enum bpf_cmd` (include/uapi/linux/bpf.h).
const PROG_LOAD: i32 = 5;
const OBJ_GET: i32 = 7;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const LINK_CREATE: i32 = 28;
const LINK_DETACH: i32 = 34;
/// `BPF_PROG_TYPE_XDP`.
const TYPE_XDP: u32 = 6;
/// `BPF_XDP` of `enum bpf_attach_type`.
const ATTACH_XDP: u32 = 37;
/// `XDP_FLAGS_DRV_MODE` (`include/uapi/linux/if_link.h`).
const DRIVER_MODE: u32 = 1 << 2;
/// `r0 = XDP_PASS; exit`, as `struct bpf_insn`.
const PASS: [u64; 2] = [0x0000_0002_0000_00b7, 0x0000_0000_0000_0095];

/// First fields of `union bpf_attr` for `BPF_PROG_LOAD`; what follows may be left out.
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct InfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// An attached foreign program; dropping it detaches it.
#[derive(Debug)]
pub struct ForeignXdp {
    /// Its id, as `bpftool` shows it.
    pub id: u32,
    _link: OwnedFd,
}

impl ForeignXdp {
    /// Attaches it natively to `interface` of the namespace.
    ///
    /// # Errors
    /// As bpf(2) says.
    pub fn attach(namespace: &Namespace, interface: &str) -> io::Result<Self> {
        namespace.enter(|| {
            let attributes = ProgLoad {
                prog_type: TYPE_XDP,
                insn_cnt: PASS.len() as u32,
                insns: PASS.as_ptr() as u64,
                license: c"Dual MIT/GPL".as_ptr() as u64,
            };
            // SAFETY: a constant program and a constant string.
            let program = unsafe { descriptor(PROG_LOAD, &attributes) }?;
            let link = attach_xdp(&program, interface)?;
            Ok(Self {
                id: program_id(&program)?,
                _link: link,
            })
        })
    }
}

#[repr(C)]
struct ObjGet {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

#[repr(C)]
struct LinkDetach {
    link_fd: u32,
}

/// Takes the link pinned at `path` off its interface, as `bpftool link detach` does;
/// the pin stays.
///
/// # Errors
/// As bpf(2) says.
pub fn detach_link(path: &CStr) -> io::Result<()> {
    let pinned = ObjGet {
        pathname: path.as_ptr() as u64,
        bpf_fd: 0,
        file_flags: 0,
    };
    // SAFETY: the path is a string of C.
    let link = unsafe { descriptor(OBJ_GET, &pinned) }?;
    let attributes = LinkDetach {
        link_fd: link.as_raw_fd() as u32,
    };
    // SAFETY: no pointers.
    unsafe { call(LINK_DETACH, &attributes) }.map(drop)
}

/// `bpf_prog_info.id`: the second word of the answer.
fn program_id(program: &OwnedFd) -> io::Result<u32> {
    let mut info = [0_u32; 2];
    let attributes = InfoByFd {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: size_of_val(&info) as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: the answer is written to `info`, whose length is passed.
    unsafe { call(OBJ_GET_INFO_BY_FD, &attributes) }?;
    Ok(info[1])
}

/// Attaches an XDP program natively to an interface of the calling thread's network
/// namespace, until the link is dropped.
///
/// # Errors
/// As bpf(2) says.
pub fn attach_xdp(program: &impl AsRawFd, interface: &str) -> io::Result<OwnedFd> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    let attributes = LinkCreate {
        prog_fd: program.as_raw_fd() as u32,
        target_ifindex: index,
        attach_type: ATTACH_XDP,
        flags: DRIVER_MODE,
    };
    // SAFETY: no pointers.
    unsafe { descriptor(LINK_CREATE, &attributes) }
}

/// A command of bpf(2) that returns a new descriptor.
///
/// # Errors
/// As bpf(2) says.
///
/// # Safety
/// As for [`call`]; the command returns a descriptor.
pub unsafe fn descriptor<T>(command: i32, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's.
    let descriptor = unsafe { call(command, attributes) }?;
    // SAFETY: it is new and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// bpf(2) with the first fields of `union bpf_attr`; what follows may be left out.
///
/// # Errors
/// As bpf(2) says.
///
/// # Safety
/// `attributes` is what the command takes, repr(C), and its pointers are to memory that
/// lives over the call and has the lengths that stand beside them.
pub unsafe fn call<T>(command: i32, attributes: &T) -> io::Result<i32> {
    // SAFETY: the structure lives over the call and has the length that is passed; for
    // what it points to, the caller's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    i32::try_from(result)
        .ok()
        .filter(|descriptor| *descriptor >= 0)
        .ok_or_else(io::Error::last_os_error)
}
