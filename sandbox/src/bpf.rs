//! Somebody else's XDP program: two instructions that let everything pass; and
//! somebody who detaches a link.
//!
//! It stands for a load balancer or another firewall that is on the interface
//! already. Loaded with the bare system call, so that the lab needs no BPF library
//! and cannot share a mistake with the one of the program under test.

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
            let index = nix::net::if_::if_nametoindex(interface)?;
            let program = new_descriptor(
                PROG_LOAD,
                &ProgLoad {
                    prog_type: TYPE_XDP,
                    insn_cnt: PASS.len() as u32,
                    insns: PASS.as_ptr() as u64,
                    license: c"Dual MIT/GPL".as_ptr() as u64,
                },
            )?;
            let link = new_descriptor(
                LINK_CREATE,
                &LinkCreate {
                    prog_fd: program.as_raw_fd() as u32,
                    target_ifindex: index,
                    attach_type: ATTACH_XDP,
                    flags: DRIVER_MODE,
                },
            )?;
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
    let link = new_descriptor(
        OBJ_GET,
        &ObjGet {
            pathname: path.as_ptr() as u64,
            bpf_fd: 0,
            file_flags: 0,
        },
    )?;
    let attributes = LinkDetach {
        link_fd: link.as_raw_fd() as u32,
    };
    bpf(LINK_DETACH, &attributes).map(drop)
}

/// `bpf_prog_info.id`: the second word of the answer.
fn program_id(program: &OwnedFd) -> io::Result<u32> {
    let mut info = [0_u32; 2];
    bpf(
        OBJ_GET_INFO_BY_FD,
        &InfoByFd {
            bpf_fd: program.as_raw_fd() as u32,
            info_len: size_of_val(&info) as u32,
            info: info.as_mut_ptr() as u64,
        },
    )?;
    Ok(info[1])
}

fn new_descriptor<T>(command: i32, attributes: &T) -> io::Result<OwnedFd> {
    let descriptor = bpf(command, attributes)?;
    // SAFETY: these commands return a new descriptor that belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn bpf<T>(command: i32, attributes: &T) -> io::Result<i32> {
    // SAFETY: `attributes` is repr(C), lives over the call and has the length that
    // is passed; the pointers in it are to memory of the callers that does, too.
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
