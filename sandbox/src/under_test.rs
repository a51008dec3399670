//! What a test in namespaces needs, or why it is skipped.

use std::path::{Path, PathBuf};

/// The `fw-ctl` under test, if this process can use it: what `FW_CTL` names, else the
/// newest kind of build in `target`. `None` if the test must be skipped, which is said.
///
/// # Panics
/// Instead of skipping, where `FW_KERNEL_TESTS=require`.
#[must_use]
pub fn binary(target: &Path) -> Option<PathBuf> {
    let candidates = [
        std::env::var_os("FW_CTL").map(PathBuf::from),
        Some(target.join("release/fw-ctl")),
        Some(target.join("debug/fw-ctl")),
    ];
    if !nix::unistd::geteuid().is_root() {
        return skip("namespaces need root");
    }
    match candidates.into_iter().flatten().find(|path| path.is_file()) {
        Some(binary) => Some(binary),
        None => skip("no fw-ctl binary; build one, or name one in FW_CTL"),
    }
}

/// Says why a test is skipped, or ends it where nothing may be.
pub(crate) fn skip<T>(why: &str) -> Option<T> {
    let required = std::env::var("FW_KERNEL_TESTS").as_deref() == Ok("require");
    assert!(!required, "FW_KERNEL_TESTS=require, but: {why}");
    // Not `println!`: the test runner would swallow it.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: {why}\n"));
    None
}
