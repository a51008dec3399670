//! The parts of the build step that decide: what an eBPF object must not
//! contain, and which versions are enough. A build script runs no tests of its
//! own, so its files are included here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../build/object.rs"]
mod object;
#[path = "../build/version.rs"]
mod version;

use fw_ctl::datapath::objects;
use version::Version;

/// A section of a made-up object: name, flags, bytes.
type Section<'a> = (&'a str, u64, &'a [u8]);
/// A symbol: name, and the section that it is in.
type Symbol<'a> = (&'a str, u16);

/// Section types and flags of the System V ABI.
const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const ALLOC: u64 = 2;
const ALLOC_EXEC: u64 = 6;

/// Where a symbol is: in the first section that was given, or nowhere.
const HERE: u16 = 1;
const NOWHERE: u16 = 0;

/// `exit`, which is a whole program for the purpose.
const PROGRAM: Section<'_> = ("xdp", ALLOC_EXEC, &[0x95, 0, 0, 0, 0, 0, 0, 0]);
const LICENSE: Section<'_> = ("license", ALLOC, b"Dual MIT/GPL\0");

/// Writes an ELF64 object for BPF with these sections and symbols.
fn elf(sections: &[Section<'_>], symbols: &[Symbol<'_>]) -> Vec<u8> {
    let mut strings = vec![0_u8];
    let mut string = |text: &str| {
        let at = u32::try_from(strings.len()).unwrap();
        strings.extend(text.bytes().chain([0]));
        at
    };
    let mut table = vec![0_u8; 24];
    for (name, section) in symbols {
        table.extend(string(name).to_le_bytes());
        table.extend([0x12, 0]); // a global function
        table.extend(section.to_le_bytes());
        table.extend([0; 16]);
    }
    // Name, type, flags, link, bytes; number 0 is the null section.
    let mut all = vec![(0, 0, 0, 0, Vec::new())];
    for (name, flags, bytes) in sections {
        all.push((string(name), PROGBITS, *flags, 0, bytes.to_vec()));
    }
    let names = u32::try_from(all.len() + 1).unwrap();
    all.push((string(".symtab"), SYMTAB, 0, names, table));
    all.push((string(".strtab"), STRTAB, 0, 0, strings));

    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    let mut headers = Vec::new();
    for (name, kind, flags, link, bytes) in &all {
        let mut header = [0_u8; 64];
        header[0..4].copy_from_slice(&u32::to_le_bytes(*name));
        header[4..8].copy_from_slice(&u32::to_le_bytes(*kind));
        header[8..16].copy_from_slice(&u64::to_le_bytes(*flags));
        header[24..32].copy_from_slice(&(file.len() as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        header[40..44].copy_from_slice(&u32::to_le_bytes(*link));
        headers.extend(header);
        file.extend(bytes);
    }
    let table_at = file.len() as u64;
    file[18..20].copy_from_slice(&247_u16.to_le_bytes());
    file[40..48].copy_from_slice(&table_at.to_le_bytes());
    file[60..62].copy_from_slice(&u16::try_from(all.len()).unwrap().to_le_bytes());
    file[62..64].copy_from_slice(&u16::try_from(names).unwrap().to_le_bytes());
    file.extend(headers);
    file
}

fn faults(sections: &[Section<'_>], symbols: &[Symbol<'_>]) -> Vec<String> {
    object::check(&elf(sections, symbols)).unwrap_err()
}

#[test]
fn a_sound_object_passes() {
    let object = elf(&[PROGRAM, LICENSE], &[("fw_xdp", HERE)]);
    assert_eq!(object::check(&object), Ok(()));
}

#[test]
fn the_embedded_objects_pass() {
    match (objects::xdp(), objects::tc()) {
        (Ok(xdp), Ok(tc)) => {
            assert_eq!(object::check(xdp), Ok(()));
            assert_eq!(object::check(tc), Ok(()));
        }
        (Err(missing), _) | (_, Err(missing)) => {
            let required = std::env::var("FW_KERNEL_TESTS").is_ok_and(|value| value == "require");
            assert!(!required, "{missing}");
            println!("skipped: {missing}");
        }
    }
}

#[test]
fn a_call_of_the_panic_machinery_is_named() {
    // The name that the compiler gives to what a failed index calls.
    let symbol = "_RNvNtCsc9IQzU3lXcw_4core9panicking18panic_bounds_check";
    let found = faults(&[PROGRAM, LICENSE], &[("fw_xdp", HERE), (symbol, HERE)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(symbol), "{found:?}");
    assert!(found[0].contains("it can panic"), "{found:?}");
}

#[test]
fn a_symbol_that_is_defined_nowhere_is_named() {
    let found = faults(&[PROGRAM, LICENSE], &[("__multi3", NOWHERE)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("__multi3"), "{found:?}");
}

#[test]
fn a_license_and_a_program_are_needed() {
    // `.text` holds what programs call, it is none.
    let text = (".text", ALLOC_EXEC, PROGRAM.2);
    let found = faults(&[text], &[]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("no license"), "{found:?}");
    assert!(found[1].contains("no program"), "{found:?}");

    let open_ended = ("license", ALLOC, &b"Dual MIT/GPL"[..]);
    let found = faults(&[PROGRAM, open_ended], &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("zero byte"), "{found:?}");
}

#[test]
fn what_is_cut_off_or_for_another_machine_is_no_object() {
    let whole = elf(&[PROGRAM, LICENSE], &[("fw_xdp", HERE)]);
    for length in 0..whole.len() {
        assert!(object::check(&whole[..length]).is_err(), "{length} bytes");
    }
    let mut for_x86 = whole;
    for_x86[18..20].copy_from_slice(&62_u16.to_le_bytes());
    assert!(object::check(&for_x86).is_err());
}

#[test]
fn versions_are_read_as_compilers_write_them() {
    let parsed =
        |text| Version::parse(text).map(|version| (version.major, version.minor, version.patch));
    assert_eq!(parsed("1.95"), Some((1, 95, 0)));
    assert_eq!(parsed("1.97.0-nightly"), Some((1, 97, 0)));
    assert_eq!(parsed("22.1.8-rust-1.96"), Some((22, 1, 8)));
    assert_eq!(parsed("1.x"), None);
    assert_eq!(parsed(""), None);
    // As numbers, not as text.
    assert!(Version::parse("1.100.0") > Version::parse("1.95"));
}

#[test]
fn a_version_is_shown_with_its_patch() {
    let version = Version {
        major: 1,
        minor: 95,
        patch: 0,
    };
    assert_eq!(version.to_string(), "1.95.0");
}
