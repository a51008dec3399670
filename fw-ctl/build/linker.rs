//! Finding or building bpf-linker, which links LLVM bitcode to a BPF object.
//!
//! An LLVM reads bitcode of its own and of older major versions, so a linker
//! fits a compiler when it is built with the same LLVM or a newer one. The
//! linker does not say which it has: it is given bitcode of that compiler to
//! read. Whoever has none that fits gets one built for the project alone, in
//! `.toolchain` beside the sources, with the LLVM that the system's packages
//! bring.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use super::{command, compiler::Compiler, missing::Missing, version::Version};

/// The release that is built when there is none: pinned, as what it makes of
/// our programs must pass the kernel's verifier.
const RELEASE: &str = "0.13.0";
/// The LLVM major versions that this release can be built with.
const LLVM_OF_RELEASE: std::ops::RangeInclusive<u32> = 21..=23;

/// A linker that reads the bitcode of the compiler it was found for.
pub struct Linker {
    pub path: PathBuf,
    /// As it introduces itself: `bpf-linker 0.13.0`.
    pub description: String,
    /// Built by this very run: cargo would take a file that is newer than the
    /// start of the build step for a reason to run it again.
    pub fresh: bool,
}

/// An LLVM to build a linker with.
pub struct Llvm {
    prefix: PathBuf,
    major: u32,
}

/// A linker of the search path or of an earlier build, else a fresh one.
pub fn find_or_build(
    compiler: &Compiler,
    workspace: &Path,
    target_dir: &Path,
    scratch: &Path,
) -> Result<Linker, Missing> {
    if let Ok(linker) = find(compiler, workspace, scratch) {
        return Ok(linker);
    }
    let llvm = find_llvm(compiler)?;
    build(compiler, &llvm, workspace, target_dir)?;
    let linker = find(compiler, workspace, scratch).map_err(|tried| Missing {
        what: format!(
            "the bpf-linker built with LLVM {} does not work",
            llvm.major
        ),
        tried,
        ..missing_llvm(compiler)
    })?;
    Ok(Linker {
        fresh: true,
        ..linker
    })
}

/// The first linker that fits; the error lists those that do not, and why.
/// `scratch` is a directory for files that are gone afterwards.
pub fn find(compiler: &Compiler, workspace: &Path, scratch: &Path) -> Result<Linker, Vec<String>> {
    let mut tried = Vec::new();
    let own = workspace.join(".toolchain/bin/bpf-linker");
    let own = own.is_file().then_some(own);
    for path in command::in_path("bpf-linker").into_iter().chain(own) {
        match fits(compiler, &path, scratch) {
            Ok(()) => {
                let description = command::stdout_of(command::clean(&path).arg("--version"))
                    .unwrap_or_else(|| "bpf-linker".to_owned());
                return Ok(Linker {
                    path,
                    description,
                    fresh: false,
                });
            }
            Err(reason) => tried.push(format!("{}: {reason}", path.display())),
        }
    }
    Err(tried)
}

/// Lets the linker read bitcode of the compiler. The bitcode is for the build
/// machine, for which every compiler has a library; the linker is told to make
/// BPF of it all the same.
fn fits(compiler: &Compiler, linker: &Path, scratch: &Path) -> Result<(), String> {
    let dir = scratch.join(format!("bpf-linker-probe-{}", process::id()));
    fs::create_dir_all(&dir).map_err(|error| format!("cannot write {}: {error}", dir.display()))?;
    let result = probe(compiler, linker, &dir);
    // What stays behind is small and in a directory that is cleaned anyway.
    drop(fs::remove_dir_all(&dir));
    result
}

fn probe(compiler: &Compiler, linker: &Path, dir: &Path) -> Result<(), String> {
    let source = dir.join("probe.rs");
    let bitcode = dir.join("probe.bc");
    let code = "#![no_std]\n#[unsafe(no_mangle)]\npub extern \"C\" fn probe() -> u64 { 0 }\n";
    fs::write(&source, code)
        .map_err(|error| format!("cannot write {}: {error}", source.display()))?;
    run(command::clean(compiler.rustc())
        .args(["--edition=2024", "--crate-type=lib", "--emit=llvm-bc", "-o"])
        .arg(&bitcode)
        .arg(&source))?;
    run(command::clean(linker)
        .args(["--target=bpfel", "--export=probe", "-o"])
        .arg(dir.join("probe.o"))
        .arg(&bitcode))
}

/// Runs a command to its end; the error is the last thing that it said.
fn run(command: &mut process::Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("it does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Err(last
        .unwrap_or("it fails without a message")
        .trim()
        .to_owned())
}

/// An installed LLVM, with its headers, that is not older than the compiler's.
pub fn find_llvm(compiler: &Compiler) -> Result<Llvm, Missing> {
    let oldest = compiler.llvm.major.max(*LLVM_OF_RELEASE.start());
    for major in oldest..=*LLVM_OF_RELEASE.end() {
        let prefixes = [
            std::env::var_os("LLVM_PREFIX").map(PathBuf::from),
            Some(PathBuf::from(format!("/usr/lib/llvm-{major}"))),
            prefix_by(&format!("llvm-config-{major}")),
            prefix_by("llvm-config"),
        ];
        for prefix in prefixes.into_iter().flatten() {
            if major_of(&prefix) == Some(major) && prefix.join("include/llvm-c/Core.h").is_file() {
                return Ok(Llvm { prefix, major });
            }
        }
    }
    Err(missing_llvm(compiler))
}

fn prefix_by(llvm_config: &str) -> Option<PathBuf> {
    command::stdout_of(command::clean(llvm_config).arg("--prefix")).map(PathBuf::from)
}

fn major_of(prefix: &Path) -> Option<u32> {
    let report =
        command::stdout_of(command::clean(prefix.join("bin/llvm-config")).arg("--version"))?;
    Version::parse(&report).map(|version| version.major)
}

fn missing_llvm(compiler: &Compiler) -> Missing {
    let Compiler {
        description, llvm, ..
    } = compiler;
    let major = llvm.major.max(*LLVM_OF_RELEASE.start());
    let what = format!(
        "no bpf-linker that reads the bitcode of {description}, and no LLVM {major} to build one with"
    );
    let tried = Vec::new();
    if !LLVM_OF_RELEASE.contains(&major) {
        return Missing {
            what: format!(
                "{what}: bpf-linker {RELEASE} stops at LLVM {}",
                LLVM_OF_RELEASE.end()
            ),
            tried,
            debian: Vec::new(),
            elsewhere: "an older compiler, or a bpf-linker in PATH that fits this one".to_owned(),
        };
    }
    Missing {
        what,
        tried,
        debian: vec![format!("llvm-{major}-dev")],
        elsewhere: format!(
            "LLVM_PREFIX=/where/LLVM/{major}/is cargo build, or a bpf-linker in PATH that is built with it"
        ),
    }
}

/// Builds the linker into `.toolchain`.
fn build(
    compiler: &Compiler,
    llvm: &Llvm,
    workspace: &Path,
    target_dir: &Path,
) -> Result<(), Missing> {
    let status = command::clean(compiler.cargo())
        .args([
            "install",
            "bpf-linker",
            "--force",
            "--locked",
            "--no-default-features",
        ])
        .args(["--version", RELEASE])
        .args(["--features", &format!("llvm-{}", llvm.major)])
        .arg("--root")
        .arg(workspace.join(".toolchain"))
        .arg("--target-dir")
        .arg(target_dir.join("bpf-linker"))
        .env("RUSTC", compiler.rustc())
        .env("LLVM_PREFIX", &llvm.prefix)
        // It is run, not debugged: a quarter of the time, a tenth of the size.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        // Cargo takes what a build script prints here for instructions.
        .stdout(process::Stdio::null())
        .status();
    let why = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Err(Missing {
        what: format!(
            "bpf-linker {RELEASE} could not be built with LLVM {} of {} ({why}; cargo's own words are above)",
            llvm.major,
            llvm.prefix.display()
        ),
        tried: Vec::new(),
        debian: ["gcc", "libc6-dev"].map(str::to_owned).to_vec(),
        elsewhere: "a network connection, a C compiler, or a bpf-linker in PATH".to_owned(),
    })
}
