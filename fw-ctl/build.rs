//! Turns the two eBPF crates into objects and hands them to `datapath::objects`.
//!
//! cargo cannot do this alone: the eBPF crates need another target, an unstable
//! cargo option (`-Z build-std`) and a linker of their own, while the rest of
//! the workspace is built by any stable compiler. So this step looks for a
//! compiler and a linker that fit each other ([`compiler`], [`linker`]), runs a
//! second cargo with them ([`compile`]), and looks at what came out before it
//! is embedded ([`object`]).
//!
//! What it is told, by environment:
//! - `FW_BPF` unset: builds the objects when a toolchain is there; otherwise
//!   warns what to install, and `fw-ctl` says so when it is run.
//! - `FW_BPF=require`: no toolchain is an error. `FW_BPF=skip`: no objects.
//! - `FW_BPF_OBJECTS=DIR`: embeds `DIR/fw-xdp` and `DIR/fw-tc` as they are.
//!
//! It can also be compiled alone and asked (`scripts/ebpf-toolchain.sh`):
//! `missing-packages` prints which Debian packages the eBPF build lacks,
//! `compiler` which rustc it uses. So the scripts and this step cannot disagree.

mod build {
    pub mod command;
    pub mod compile;
    pub mod compiler;
    pub mod linker;
    pub mod missing;
    pub mod object;
    pub mod version;
}

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use build::{command, compile, compiler, linker, missing::Missing, object};

/// What `fw-ctl` gets to embed.
struct Objects {
    xdp: PathBuf,
    tc: PathBuf,
    /// What built them, for `fw-ctl version --verbose`.
    compiler: String,
    linker: String,
}

fn main() -> ExitCode {
    let result = match env::args().nth(1).as_deref() {
        Some("missing-packages") => print_missing_packages(),
        Some("compiler") => print_compiler(),
        Some(other) => Err(format!(
            "unknown argument {other:?}; try: missing-packages, compiler"
        )),
        None => build_step(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The build step proper, as cargo runs it.
fn build_step() -> Result<(), String> {
    let workspace = workspace_root()?;
    declare_inputs(&workspace);
    println!("cargo::rustc-check-cfg=cfg(ebpf_objects)");

    if let Some(dir) = env::var_os("FW_BPF_OBJECTS") {
        return embed(&prebuilt(Path::new(&dir)));
    }
    let required = match env::var("FW_BPF").as_deref() {
        Err(_) | Ok("") => false,
        Ok("require") => true,
        Ok("skip") => {
            without_objects("it was built with FW_BPF=skip");
            return Ok(());
        }
        Ok(other) => {
            return Err(format!(
                "FW_BPF is {other:?}; try: FW_BPF=require, FW_BPF=skip, or leave it unset"
            ));
        }
    };
    match build_objects(&workspace)? {
        Ok(objects) => embed(&objects),
        Err(missing) if required => Err(missing.to_string()),
        Err(missing) => {
            for line in missing.to_string().lines() {
                println!("cargo::warning={line}");
            }
            println!("cargo::warning=fw-ctl is built without its eBPF objects");
            watch_for_toolchain();
            without_objects("no eBPF toolchain was found when it was built");
            Ok(())
        }
    }
}

/// The outer error is a mistake in our sources or on the disk; the inner one a
/// toolchain that is not there, which not every build needs.
fn build_objects(workspace: &Path) -> Result<Result<Objects, Missing>, String> {
    let scratch = env_path("OUT_DIR")?;
    let compiler = match compiler::find(&minimum_version()?) {
        Ok(compiler) => compiler,
        Err(missing) => return Ok(Err(missing)),
    };
    let target_dir = outer_target_dir(&scratch);
    let linker = match linker::find_or_build(&compiler, workspace, &target_dir, &scratch) {
        Ok(linker) => linker,
        Err(missing) => return Ok(Err(missing)),
    };
    command::rerun_if_changed(&compiler.rustc());
    if !linker.fresh {
        command::rerun_if_changed(&linker.path);
    }

    // Features of ours that the programs have, too.
    let features = [
        (
            "CARGO_FEATURE_NEXT_SCHEMA",
            "fw-xdp/next-schema,fw-tc/next-schema",
        ),
        ("CARGO_FEATURE_EBPF_LOG", "fw-xdp/ebpf-log,fw-tc/ebpf-log"),
    ];
    let features = features.into_iter();
    let features = features.filter(|(variable, _)| env::var_os(variable).is_some());
    let features: Vec<&str> = features.map(|(_, names)| names).collect();
    let bpf = target_dir.join("bpf");
    let built = compile::run(&compiler, &linker, workspace, &bpf, &features.join(","))?;
    Ok(Ok(Objects {
        xdp: built.join("fw-xdp"),
        tc: built.join("fw-tc"),
        compiler: format!("{} (LLVM {})", compiler.description, compiler.llvm),
        linker: linker.description,
    }))
}

fn prebuilt(dir: &Path) -> Objects {
    let objects = Objects {
        xdp: dir.join("fw-xdp"),
        tc: dir.join("fw-tc"),
        compiler: "unknown (prebuilt objects)".to_owned(),
        linker: "unknown (prebuilt objects)".to_owned(),
    };
    command::rerun_if_changed(&objects.xdp);
    command::rerun_if_changed(&objects.tc);
    objects
}

/// Checks both objects and puts them where `datapath::objects` includes them.
fn embed(objects: &Objects) -> Result<(), String> {
    let out = env_path("OUT_DIR")?;
    for (name, path) in [("fw-xdp", &objects.xdp), ("fw-tc", &objects.tc)] {
        let bytes = fs::read(path)
            .map_err(|error| format!("cannot read the eBPF object {}: {error}", path.display()))?;
        object::check(&bytes).map_err(|faults| {
            let faults: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
            format!(
                "the eBPF object {} cannot be loaded:{faults}",
                path.display()
            )
        })?;
        let copy = out.join(name);
        fs::write(&copy, &bytes)
            .map_err(|error| format!("cannot write {}: {error}", copy.display()))?;
        let digest = command::sha256(&copy)?;
        let variable = name.to_uppercase().replace('-', "_");
        println!("cargo::rustc-env={variable}_SHA256={digest}");
    }
    println!("cargo::rustc-env=FW_BPF_COMPILER={}", objects.compiler);
    println!("cargo::rustc-env=FW_BPF_LINKER={}", objects.linker);
    println!("cargo::rustc-cfg=ebpf_objects");
    Ok(())
}

fn without_objects(why: &str) {
    println!("cargo::rustc-env=FW_BPF_MISSING={why}");
}

/// Tells cargo what the objects depend on; without this it would look at
/// `fw-ctl` alone and miss a change of the eBPF sources.
fn declare_inputs(workspace: &Path) {
    for variable in ["FW_BPF", "FW_BPF_OBJECTS"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    for path in [
        "Cargo.lock",
        "Cargo.toml",
        "fw-common",
        "fw-xdp",
        "fw-tc",
        "fw-ctl/build.rs",
        "fw-ctl/build",
    ] {
        command::rerun_if_changed(&workspace.join(path));
    }
}

/// Tells cargo where a toolchain shows that is installed later. Not said when
/// there is one: neither another search path nor another package is then a
/// reason to build again.
fn watch_for_toolchain() {
    for variable in ["LLVM_PREFIX", "PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let rustup = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".rustup")))
        .map(|home| home.join("update-hashes"));
    let dpkg = PathBuf::from("/var/lib/dpkg/status");
    // Only what exists: cargo takes a missing file for one that always changes.
    for path in rustup
        .into_iter()
        .chain([dpkg])
        .filter(|path| path.exists())
    {
        command::rerun_if_changed(&path);
    }
}

/// `missing-packages`: one Debian package a line, nothing when all is there.
fn print_missing_packages() -> Result<(), String> {
    let workspace = workspace_root()?;
    let scratch = env::temp_dir();
    let missing = match compiler::find(&minimum_version()?) {
        Err(missing) => Some(missing),
        Ok(compiler) => match linker::find(&compiler, &workspace, &scratch) {
            Ok(_) => None,
            Err(_) => linker::find_llvm(&compiler).err(),
        },
    };
    for package in missing.into_iter().flat_map(|missing| missing.debian) {
        println!("{package}");
    }
    Ok(())
}

/// `compiler`: the path of the rustc that builds the eBPF crates.
fn print_compiler() -> Result<(), String> {
    let compiler = compiler::find(&minimum_version()?).map_err(|missing| missing.to_string())?;
    println!("{}", compiler.rustc().display());
    Ok(())
}

fn workspace_root() -> Result<PathBuf, String> {
    let manifest = env_path("CARGO_MANIFEST_DIR")?;
    manifest
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("{} is in no workspace", manifest.display()))
}

/// The oldest compiler that the workspace accepts: its `rust-version`.
fn minimum_version() -> Result<build::version::Version, String> {
    let text = env::var("CARGO_PKG_RUST_VERSION")
        .map_err(|_| "CARGO_PKG_RUST_VERSION is not set; run this through cargo".to_owned())?;
    build::version::Version::parse(&text)
        .ok_or_else(|| format!("the workspace's rust-version {text:?} is no version"))
}

fn env_path(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{variable} is not set; run this through cargo"))
}

/// The target directory that cargo works in. Debug and release builds meet
/// there, so the objects and the linker are built once for both.
///
/// `OUT_DIR` is `<target>[/<triple>]/<profile>/build/…`; where it is not, the
/// result is `OUT_DIR` itself, which is right too, only not shared.
fn outer_target_dir(out_dir: &Path) -> PathBuf {
    let profile = out_dir
        .ancestors()
        .find(|dir| dir.file_name().is_some_and(|name| name == "build"))
        .and_then(Path::parent);
    let Some(around) = profile.and_then(Path::parent) else {
        return out_dir.to_path_buf();
    };
    let triple = env::var_os("TARGET");
    match around.parent() {
        Some(target) if around.file_name() == triple.as_deref() => target.to_path_buf(),
        _ => around.to_path_buf(),
    }
}
