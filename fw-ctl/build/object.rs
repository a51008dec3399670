//! Looking at a linked BPF object before it is embedded.
//!
//! The kernel's verifier would refuse these at load time, on somebody's node and
//! in words that do not name the cause. Field offsets are those of ELF64
//! (System V ABI, "Object Files"), little endian.

/// `e_machine` of BPF.
const EM_BPF: u16 = 247;
const SHT_SYMTAB: u32 = 2;
const SHF_EXECINSTR: u64 = 4;
const SECTION_HEADER: usize = 64;
const SYMBOL: usize = 24;
/// Section index of a symbol that is defined nowhere.
const SHN_UNDEF: u16 = 0;

/// Says everything that makes the object unfit, in the order of its tables.
pub fn check(bytes: &[u8]) -> Result<(), Vec<String>> {
    let elf = Elf::parse(bytes).ok_or_else(|| vec!["it is no ELF object for BPF".to_owned()])?;
    let mut faults = Vec::new();

    match elf
        .sections
        .iter()
        .find(|section| section.name == "license")
    {
        None => {
            faults.push("it has no license section, so the kernel denies it most helpers".into());
        }
        Some(section) if section.data.last() != Some(&0) => {
            faults.push("its license section does not end in a zero byte".into());
        }
        Some(_) => {}
    }
    // `.text` holds functions that are called, the programs have sections of
    // their own, named after where they attach.
    let is_program = |section: &Section<'_>| {
        section.flags & SHF_EXECINSTR != 0 && section.name != ".text" && !section.data.is_empty()
    };
    if !elf.sections.iter().any(is_program) {
        faults.push("it has no program".into());
    }
    for symbol in &elf.symbols {
        // Both symbol manglings of Rust keep the module's name readable.
        if symbol.name.contains("panicking") || symbol.name == "rust_begin_unwind" {
            faults.push(format!(
                "it can panic, which no eBPF program may: {} (an index, a slice or an arithmetic that the compiler could not prove)",
                symbol.name
            ));
        } else if symbol.section == SHN_UNDEF && !symbol.name.is_empty() {
            faults.push(format!(
                "it needs {}, which is defined nowhere",
                symbol.name
            ));
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

struct Section<'a> {
    name: &'a str,
    flags: u64,
    data: &'a [u8],
}

struct Symbol<'a> {
    name: &'a str,
    section: u16,
}

struct Elf<'a> {
    sections: Vec<Section<'a>>,
    symbols: Vec<Symbol<'a>>,
}

impl<'a> Elf<'a> {
    /// `None` for anything that is not a whole ELF64 object for BPF.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        // Magic, class (64 bits) and byte order (little endian).
        if bytes.get(..6)? != b"\x7fELF\x02\x01" || u16_at(bytes, 18)? != EM_BPF {
            return None;
        }
        let table = offset_at(bytes, 40)?;
        let count = usize::from(u16_at(bytes, 60)?);
        let headers: Vec<&[u8]> = (0..count)
            .map(|index| {
                bytes
                    .get(table + index * SECTION_HEADER..)?
                    .get(..SECTION_HEADER)
            })
            .collect::<Option<_>>()?;
        let names = data_of(bytes, headers.get(usize::from(u16_at(bytes, 62)?))?)?;

        let mut sections = Vec::new();
        let mut symbols = Vec::new();
        for header in &headers {
            let kind = u32_at(header, 4)?;
            let data = data_of(bytes, header)?;
            sections.push(Section {
                name: text_at(names, u32_at(header, 0)?)?,
                flags: u64_at(header, 8)?,
                data,
            });
            if kind == SHT_SYMTAB {
                let strings = headers.get(usize::try_from(u32_at(header, 40)?).ok()?)?;
                let strings = data_of(bytes, strings)?;
                for entry in data.chunks_exact(SYMBOL) {
                    symbols.push(Symbol {
                        name: text_at(strings, u32_at(entry, 0)?)?,
                        section: u16_at(entry, 6)?,
                    });
                }
            }
        }
        Some(Self { sections, symbols })
    }
}

/// The bytes of a section; none for one that takes no room in the file.
fn data_of<'a>(bytes: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    const SHT_NULL: u32 = 0;
    const SHT_NOBITS: u32 = 8;
    if matches!(u32_at(header, 4)?, SHT_NULL | SHT_NOBITS) {
        return Some(&[]);
    }
    bytes
        .get(offset_at(header, 24)?..)?
        .get(..offset_at(header, 32)?)
}

fn text_at(strings: &[u8], offset: u32) -> Option<&str> {
    let rest = strings.get(usize::try_from(offset).ok()?..)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    std::str::from_utf8(&rest[..end]).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn offset_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64_at(bytes, at)?).ok()
}
