//! The eBPF objects inside this binary, and what built them.
//!
//! The build step (`fw-ctl/build.rs`) embeds them, or says why it did not: a
//! binary without them still validates policies and judges flows by the model.

use std::fmt;

/// What built the embedded objects, so that a report about a node tells which
/// program it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// SHA-256 of the XDP object, 64 hexadecimal digits.
    pub xdp_sha256: &'static str,
    /// SHA-256 of the TC object, 64 hexadecimal digits.
    pub tc_sha256: &'static str,
    /// The compiler and its LLVM: `rustc 1.96.0 (…) (LLVM 22.1.8)`.
    pub compiler: &'static str,
    /// The linker: `bpf-linker 0.13.0`.
    pub linker: &'static str,
}

/// This binary holds no eBPF objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Why, as a clause: "it was built with `FW_BPF=skip`".
    pub why: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this fw-ctl was built without eBPF objects: {}; try: make build",
            self.why
        )
    }
}

impl std::error::Error for Missing {}

/// The object with the XDP program, an ELF file for the kernel's loader.
///
/// # Errors
/// [`Missing`] when this binary was built without.
pub fn xdp() -> Result<&'static [u8], Missing> {
    EMBEDDED.map(|objects| objects.xdp)
}

/// The object with the TC programs, an ELF file for the kernel's loader.
///
/// # Errors
/// [`Missing`] when this binary was built without.
pub fn tc() -> Result<&'static [u8], Missing> {
    EMBEDDED.map(|objects| objects.tc)
}

/// What built the objects.
///
/// # Errors
/// [`Missing`] when this binary was built without.
pub fn provenance() -> Result<Provenance, Missing> {
    EMBEDDED.map(|objects| objects.provenance)
}

#[derive(Clone, Copy)]
struct Embedded {
    xdp: &'static [u8],
    tc: &'static [u8],
    provenance: Provenance,
}

// The loader reads the ELF headers in place, so the bytes must be aligned.
#[cfg(ebpf_objects)]
static EMBEDDED: Result<Embedded, Missing> = Ok(Embedded {
    xdp: aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fw-xdp")),
    tc: aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fw-tc")),
    provenance: Provenance {
        xdp_sha256: env!("FW_XDP_SHA256"),
        tc_sha256: env!("FW_TC_SHA256"),
        compiler: env!("FW_BPF_COMPILER"),
        linker: env!("FW_BPF_LINKER"),
    },
});

#[cfg(not(ebpf_objects))]
static EMBEDDED: Result<Embedded, Missing> = Err(Missing {
    why: env!("FW_BPF_MISSING"),
});

#[cfg(test)]
mod tests {
    use super::*;

    /// `e_machine` of an ELF header (System V ABI) and its value for BPF.
    const E_MACHINE: std::ops::Range<usize> = 18..20;
    const EM_BPF: [u8; 2] = 247_u16.to_le_bytes();

    #[test]
    fn both_objects_are_there_or_neither() {
        match (xdp(), tc(), provenance()) {
            (Ok(xdp), Ok(tc), Ok(provenance)) => {
                for object in [xdp, tc] {
                    assert_eq!(&object[..4], b"\x7fELF");
                    assert_eq!(object[E_MACHINE], EM_BPF);
                    assert_eq!(object.as_ptr().align_offset(8), 0, "not aligned");
                }
                for digest in [provenance.xdp_sha256, provenance.tc_sha256] {
                    assert_eq!(digest.len(), 64);
                    assert!(digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
                }
                assert!(
                    provenance.compiler.contains("LLVM"),
                    "{}",
                    provenance.compiler
                );
            }
            (Err(xdp), Err(tc), Err(provenance)) => {
                assert_eq!((xdp, tc), (provenance, provenance));
            }
            other => panic!("the three disagree: {other:?}"),
        }
    }

    #[test]
    fn a_missing_object_says_why_and_what_to_do() {
        let missing = Missing {
            why: "it was built with FW_BPF=skip",
        };
        let text = missing.to_string();
        assert!(text.contains("FW_BPF=skip"), "{text}");
        assert!(text.contains("try: make build"), "{text}");
    }
}
