//! Running the second cargo that builds the eBPF crates.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use super::{command, compiler::Compiler, linker::Linker};

/// The target's name in the variables that cargo reads.
const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "bpf";

/// Builds both crates with these features; the result is the directory that holds the objects.
///
/// `target_dir` is one of its own: the cargo that runs this build step holds
/// the lock of its own for as long as the step runs.
pub fn run(
    compiler: &Compiler,
    linker: &Linker,
    workspace: &Path,
    target_dir: &Path,
    features: &str,
) -> Result<PathBuf, String> {
    let output = command::clean(compiler.cargo())
        .current_dir(workspace)
        .args(["build", "--locked", "--quiet", "--message-format=short"])
        .args(["--package", "fw-xdp", "--package", "fw-tc"])
        .args(["--features", features])
        .args(["--target", TARGET, "--profile", PROFILE, "-Zbuild-std=core"])
        .arg("--target-dir")
        .arg(target_dir)
        .env("RUSTC", compiler.rustc())
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(linker, workspace))
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {}: {error}", compiler.cargo().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!(
            "the eBPF programs do not build with {}:\n{said}",
            compiler.description
        ));
    }
    // Cargo hides what a successful build step says, so warnings of our own
    // eBPF code are handed on.
    for line in said.lines().filter(|line| line.starts_with("fw-")) {
        println!("cargo::warning={line}");
    }
    Ok(target_dir.join(TARGET).join(PROFILE))
}

/// Compiler flags, separated as `CARGO_ENCODED_RUSTFLAGS` wants them.
///
/// Paths of the build machine are cut from the debug information: objects built
/// elsewhere from the same sources are the same, and the lines that the
/// verifier quotes read `fw-common/src/…`.
fn rustflags(linker: &Linker, workspace: &Path) -> String {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    let mut flags = vec![
        format!("-Clinker={}", linker.path.display()),
        "-Clink-arg=--btf".to_owned(),
        // Else every structure that is cleared or copied is a call of a function
        // that does it byte by byte: a fifth of the time of a packet.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
        format!("--remap-path-prefix={}/=", workspace.display()),
    ];
    if let Some(home) = cargo_home {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    flags.join("\x1f")
}
