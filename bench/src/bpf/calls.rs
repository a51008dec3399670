//! bpf(2), as much of it as the benchmark needs.
//!
//! The bare system call, because the generator's programs come as instructions,
//! which loaders of object files do not take.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::{Error, Result};

/// `enum bpf_cmd` (include/uapi/linux/bpf.h).
const MAP_CREATE: i32 = 0;
const MAP_LOOKUP_ELEM: i32 = 1;
const MAP_UPDATE_ELEM: i32 = 2;
const PROG_LOAD: i32 = 5;
const PROG_TEST_RUN: i32 = 10;
const LINK_CREATE: i32 = 28;

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_PROG_TYPE_XDP`.
const TYPE_XDP: u32 = 6;
/// `BPF_XDP` of `enum bpf_attach_type`.
const ATTACH_XDP: u32 = 37;
/// `XDP_FLAGS_DRV_MODE` (`include/uapi/linux/if_link.h`).
const DRIVER_MODE: u32 = 1 << 2;
/// `BPF_F_TEST_XDP_LIVE_FRAMES`.
const LIVE_FRAMES: u32 = 1 << 1;
/// Frames that are handed on at once; as many pages are recycled.
const BATCH: u32 = 64;

// First fields of `union bpf_attr`, by command; what follows may be left out.

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

#[repr(C)]
struct MapElement {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// An array map with one value, which programs address directly.
#[derive(Debug)]
pub struct Memory {
    map: OwnedFd,
    bytes: usize,
}

impl Memory {
    /// `bytes` bytes, zero.
    ///
    /// # Errors
    /// Without the capability, or when memory is short.
    pub fn new(bytes: usize) -> Result<Self> {
        let attributes = MapCreate {
            map_type: ARRAY,
            key_size: 4,
            value_size: bytes as u32,
            max_entries: 1,
            map_flags: 0,
        };
        let map = descriptor(MAP_CREATE, &attributes)
            .map_err(Error::kernel(format!("make a map of {bytes} bytes")))?;
        Ok(Self { map, bytes })
    }

    /// With this content.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with(content: &[u8]) -> Result<Self> {
        let memory = Self::new(content.len())?;
        memory.write(content)?;
        Ok(memory)
    }

    /// The descriptor, for [`super::asm::Assembler::map_value`].
    #[must_use]
    pub fn descriptor(&self) -> i32 {
        self.map.as_raw_fd()
    }

    /// Replaces all of it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn write(&self, content: &[u8]) -> Result<()> {
        assert_eq!(content.len(), self.bytes, "a map's value has one size");
        self.element(MAP_UPDATE_ELEM, content.as_ptr() as u64)
            .map_err(Error::kernel("write a map"))
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut content = vec![0; self.bytes];
        self.element(MAP_LOOKUP_ELEM, content.as_mut_ptr() as u64)
            .map_err(Error::kernel("read a map"))?;
        Ok(content)
    }

    fn element(&self, command: i32, value: u64) -> io::Result<()> {
        let key = 0_u32;
        let attributes = MapElement {
            map_fd: self.map.as_raw_fd() as u32,
            padding: 0,
            key: (&raw const key) as u64,
            value,
            flags: 0,
        };
        bpf(command, &attributes).map(drop)
    }
}

/// A loaded XDP program.
#[derive(Debug)]
pub struct Program(OwnedFd);

impl Program {
    /// Loads it.
    ///
    /// # Errors
    /// The verifier refuses; its last words are in the error.
    pub fn load(code: &[u64]) -> Result<Self> {
        let mut attributes = ProgLoad {
            prog_type: TYPE_XDP,
            insn_cnt: code.len() as u32,
            insns: code.as_ptr() as u64,
            license: c"Dual MIT/GPL".as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log_buf: 0,
        };
        let error = match descriptor(PROG_LOAD, &attributes) {
            Ok(program) => return Ok(Self(program)),
            Err(error) => error,
        };
        let mut log = vec![0_u8; 1 << 20];
        attributes.log_level = 1;
        attributes.log_size = log.len() as u32;
        attributes.log_buf = log.as_mut_ptr() as u64;
        // It fails as before; now the verifier writes down why.
        let _ = descriptor(PROG_LOAD, &attributes);
        let said = String::from_utf8_lossy(&log);
        let lines: Vec<_> = said.trim_end_matches('\0').lines().collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n");
        Err(Error::Kernel {
            what: "load a program of the benchmark".into(),
            why: format!("{error}\n{last}"),
        })
    }

    /// Runs it `packets` times on live frames that start as `frame`; returns when
    /// all are sent. Interface numbers in the program are those of the calling
    /// thread's network namespace.
    ///
    /// # Errors
    /// The kernel has no live frames (before 5.18), or a signal came.
    pub fn run_live(&self, frame: &[u8], packets: u32) -> Result<()> {
        let attributes = TestRun {
            prog_fd: self.0.as_raw_fd() as u32,
            data_size_in: frame.len() as u32,
            data_in: frame.as_ptr() as u64,
            repeat: packets,
            flags: LIVE_FRAMES,
            batch_size: BATCH,
            ..TestRun::default()
        };
        bpf(PROG_TEST_RUN, &attributes)
            .map(drop)
            .map_err(Error::kernel("send live frames (Linux 5.18 and later can)"))
    }

    /// Runs it once on a frame and returns what it made of the frame.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn run_once(&self, frame: &[u8]) -> Result<Vec<u8>> {
        let mut out = vec![0; frame.len()];
        let attributes = TestRun {
            prog_fd: self.0.as_raw_fd() as u32,
            data_size_in: frame.len() as u32,
            data_in: frame.as_ptr() as u64,
            data_size_out: out.len() as u32,
            data_out: out.as_mut_ptr() as u64,
            repeat: 1,
            ..TestRun::default()
        };
        bpf(PROG_TEST_RUN, &attributes).map_err(Error::kernel("run a program on a frame"))?;
        Ok(out)
    }

    /// Attaches it natively to an interface of the calling thread's network
    /// namespace, until the link is dropped.
    ///
    /// # Errors
    /// The driver has no native XDP, or something is attached.
    pub fn attach(&self, interface: &str) -> Result<Link> {
        let failed = || Error::kernel(format!("attach XDP to {interface}"));
        let index =
            nix::net::if_::if_nametoindex(interface).map_err(|errno| failed()(errno.into()))?;
        let attributes = LinkCreate {
            prog_fd: self.0.as_raw_fd() as u32,
            target_ifindex: index,
            attach_type: ATTACH_XDP,
            flags: DRIVER_MODE,
        };
        descriptor(LINK_CREATE, &attributes)
            .map(|held| Link { _held: held })
            .map_err(failed())
    }
}

/// An attached program; dropping it detaches.
#[derive(Debug)]
pub struct Link {
    _held: OwnedFd,
}

fn descriptor<T>(command: i32, attributes: &T) -> io::Result<OwnedFd> {
    let descriptor = bpf(command, attributes)?;
    // SAFETY: these commands return a new descriptor that belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn bpf<T>(command: i32, attributes: &T) -> io::Result<i32> {
    // SAFETY: `attributes` is repr(C), lives over the call and has the length that
    // is passed; the pointers in it are to memory of the callers that does, too,
    // and has the lengths that stand beside them.
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
