//! Finding a Rust compiler that can build `core` for the BPF target.
//!
//! No distribution of Rust ships `core` for BPF with every compiler, so it is
//! built from source: that takes the library's sources beside the compiler and
//! an unstable cargo option, which a nightly accepts, and every other compiler
//! too under `RUSTC_BOOTSTRAP=1` (what distributions use to build Rust itself).

use std::path::PathBuf;

use super::{command, missing::Missing, version::Version};

/// A compiler with its cargo and its library's sources.
pub struct Compiler {
    /// Where it is installed; its programs are in `bin` below. Naming these by
    /// path goes around rustup's proxies, which would choose for themselves.
    sysroot: PathBuf,
    /// As it introduces itself: `rustc 1.96.0 (ac68faa20 2026-05-25)`.
    pub description: String,
    /// The LLVM that writes its bitcode: the linker must be able to read that.
    pub llvm: Version,
}

impl Compiler {
    pub fn rustc(&self) -> PathBuf {
        self.sysroot.join("bin/rustc")
    }

    pub fn cargo(&self) -> PathBuf {
        self.sysroot.join("bin/cargo")
    }

    /// Looks at the compiler installed at `sysroot`; the error says why it will
    /// not do.
    fn inspect(sysroot: PathBuf, minimum: &Version) -> Result<Self, String> {
        let rustc = sysroot.join("bin/rustc");
        let report = command::stdout_of(command::clean(&rustc).arg("-vV"))
            .ok_or_else(|| "it does not run".to_owned())?;
        let field = |name: &str| {
            report
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let release = field("release").and_then(Version::parse);
        let llvm = field("LLVM version").and_then(Version::parse);
        let (Some(release), Some(llvm)) = (release, llvm) else {
            return Err("its version report names no release or no LLVM".to_owned());
        };
        if release < *minimum {
            return Err(format!("it is {release}, {minimum} or newer is needed"));
        }
        // Cargo resolves the library's own workspace, so its lock file must be
        // there too: some packages ship the sources without.
        let library = sysroot.join("lib/rustlib/src/rust/library");
        if !library.join("core/Cargo.toml").is_file() || !library.join("Cargo.lock").is_file() {
            return Err("it comes without the sources of its library".to_owned());
        }
        if !sysroot.join("bin/cargo").is_file() {
            return Err("it comes without a cargo".to_owned());
        }
        let description = report.lines().next().unwrap_or_default().to_owned();
        Ok(Self {
            sysroot,
            description,
            llvm,
        })
    }
}

/// The first compiler that will do: rustup's nightlies, the system's, and then
/// whatever else is in the search path.
pub fn find(minimum: &Version) -> Result<Compiler, Missing> {
    let mut tried = Vec::new();
    for sysroot in sysroots() {
        let name = sysroot.join("bin/rustc").display().to_string();
        match Compiler::inspect(sysroot, minimum) {
            Ok(compiler) => return Ok(compiler),
            Err(reason) => tried.push(format!("{name}: {reason}")),
        }
    }
    Err(Missing {
        what: format!(
            "no Rust compiler for the eBPF programs: {minimum} or newer with the sources of its library is needed"
        ),
        tried,
        debian: ["rustc-web", "cargo-web", "rust-web-src"]
            .map(str::to_owned)
            .to_vec(),
        elsewhere: "rustup toolchain install nightly --component rust-src".to_owned(),
    })
}

/// Where compilers are installed, the ones to prefer first, each once.
fn sysroots() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut add = |sysroot: Option<String>| {
        if let Some(sysroot) = sysroot.map(PathBuf::from)
            && !found.contains(&sysroot)
        {
            found.push(sysroot);
        }
    };
    for toolchain in rustup_nightlies() {
        add(command::stdout_of(
            command::clean("rustup").args(["run", &toolchain, "rustc", "--print", "sysroot"]),
        ));
    }
    let system = PathBuf::from("/usr/bin/rustc");
    for rustc in system
        .is_file()
        .then_some(system)
        .into_iter()
        .chain(command::in_path("rustc"))
    {
        add(command::stdout_of(
            command::clean(rustc).args(["--print", "sysroot"]),
        ));
    }
    found
}

fn rustup_nightlies() -> Vec<String> {
    command::stdout_of(command::clean("rustup").args(["toolchain", "list"]))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly"))
        .map(str::to_owned)
        .collect()
}
