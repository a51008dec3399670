//! bpf(2), as much of it as the benchmark needs.
//!
//! The bare system call, because the generator's programs come as instructions,
//! which loaders of object files do not take.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use sandbox::bpf;

use crate::{Error, Result};

/// `enum bpf_cmd` (include/uapi/linux/bpf.h).
const MAP_CREATE: i32 = 0;
const MAP_LOOKUP_ELEM: i32 = 1;
const MAP_UPDATE_ELEM: i32 = 2;
const PROG_LOAD: i32 = 5;
const PROG_TEST_RUN: i32 = 10;

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_PROG_TYPE_XDP`.
const TYPE_XDP: u32 = 6;
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
        // SAFETY: no pointers.
        let map = unsafe { bpf::descriptor(MAP_CREATE, &attributes) }
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
        // SAFETY: a value of the map's size.
        unsafe { self.element(MAP_UPDATE_ELEM, content.as_ptr() as u64) }
            .map_err(Error::kernel("write a map"))
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut content = vec![0; self.bytes];
        // SAFETY: memory of the value's size.
        unsafe { self.element(MAP_LOOKUP_ELEM, content.as_mut_ptr() as u64) }
            .map_err(Error::kernel("read a map"))?;
        Ok(content)
    }

    /// # Safety
    /// `value` is the address of a value of the map.
    unsafe fn element(&self, command: i32, value: u64) -> io::Result<()> {
        let key = 0_u32;
        let attributes = MapElement {
            map_fd: self.map.as_raw_fd() as u32,
            padding: 0,
            key: (&raw const key) as u64,
            value,
            flags: 0,
        };
        // SAFETY: the key is a local variable; for the value, the caller's.
        unsafe { bpf::call(command, &attributes) }.map(drop)
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
        // SAFETY: the code has the length that is passed, the licence is a constant.
        let error = match unsafe { bpf::descriptor(PROG_LOAD, &attributes) } {
            Ok(program) => return Ok(Self(program)),
            Err(error) => error,
        };
        let mut log = vec![0_u8; 1 << 20];
        attributes.log_level = 1;
        attributes.log_size = log.len() as u32;
        attributes.log_buf = log.as_mut_ptr() as u64;
        // It fails as before; now the verifier writes down why.
        // SAFETY: as above; the log has the length that is passed.
        let _ = unsafe { bpf::descriptor(PROG_LOAD, &attributes) };
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
        // SAFETY: the frame has the length that is passed.
        unsafe { bpf::call(PROG_TEST_RUN, &attributes) }
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
        // SAFETY: both frames have the lengths that are passed.
        unsafe { bpf::call(PROG_TEST_RUN, &attributes) }
            .map_err(Error::kernel("run a program on a frame"))?;
        Ok(out)
    }

    /// Attaches it natively to an interface of the calling thread's network
    /// namespace, until the link is dropped.
    ///
    /// # Errors
    /// The driver has no native XDP, or something is attached.
    pub fn attach(&self, interface: &str) -> Result<Link> {
        bpf::attach_xdp(&self.0, interface)
            .map(|held| Link { _held: held })
            .map_err(Error::kernel(format!("attach XDP to {interface}")))
    }
}

/// An attached program; dropping it detaches.
#[derive(Debug)]
pub struct Link {
    _held: OwnedFd,
}
