//! Running other programs without what cargo and rustup told this one.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

/// Variables that describe this build and would mislead the inner one: cargo
/// sets them for build scripts, rustup's proxies for what they start. The
/// library path is among them because both prepend their own compiler's.
const OF_THIS_BUILD: [&str; 9] = [
    "DEBUG",
    "HOST",
    "LD_LIBRARY_PATH",
    "NUM_JOBS",
    "OPT_LEVEL",
    "OUT_DIR",
    "PROFILE",
    "RUSTUP_TOOLCHAIN",
    "TARGET",
];

/// How cargo reaches its registry and talks is the user's choice and stays.
const OF_THE_USER: [&str; 7] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];

/// Whether the inner cargo must not see this variable.
fn belongs_to_this_build(name: &str) -> bool {
    OF_THIS_BUILD.contains(&name)
        || name.starts_with("DEP_")
        || name.starts_with("RUSTC")
        || name.starts_with("RUSTDOC")
        || name.starts_with("RUSTFLAGS")
        || (name.starts_with("CARGO") && !OF_THE_USER.iter().any(|kept| name.starts_with(kept)))
}

/// A command that knows nothing of the build that runs this script.
pub fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(belongs_to_this_build) {
            command.env_remove(name);
        }
    }
    // rustup must say that a toolchain is not there, not download it.
    command.env("RUSTUP_AUTO_INSTALL", "0");
    command
}

/// The trimmed standard output of a command that succeeds, else `None`.
pub fn stdout_of(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// Every file of this name in the search path, first come first.
pub fn in_path(name: &str) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .filter(|file| file.is_file())
        .collect()
}

/// The SHA-256 of a file, in hexadecimal, by the program of the coreutils: a
/// hash of our own or a dependency for two lines of output would be too much.
pub fn sha256(file: &Path) -> Result<String, String> {
    stdout_of(clean("sha256sum").arg(file))
        .and_then(|line| Some(line.split_whitespace().next()?.to_owned()))
        .ok_or_else(|| {
            format!(
                "sha256sum {} failed; try: install the GNU coreutils",
                file.display()
            )
        })
}

pub fn rerun_if_changed(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}
