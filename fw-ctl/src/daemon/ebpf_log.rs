//! `fw-ctl daemon --ebpf-log`: what the programs themselves say, in the log of the daemon.

use crate::control::protocol::Failure;
use crate::datapath::Datapath;
use crate::exit;

/// Whether it can be had at all.
///
/// # Errors
/// When this fw-ctl was built without it.
pub fn check(wanted: bool) -> Result<(), Failure> {
    if !wanted || cfg!(feature = "ebpf-log") {
        return Ok(());
    }
    Err(Failure::new(
        exit::USAGE,
        "the eBPF programs in this fw-ctl write no log: it was built without the feature ebpf-log",
    )
    .help(
        "build one that has it: scripts/ebpf-log.sh, or cargo build -p fw-ctl --features ebpf-log",
    ))
}

/// Prints it from now on, where it is wanted.
///
/// # Errors
/// When it was not built in, or the kernel does not hand it out.
#[cfg(not(feature = "ebpf-log"))]
pub fn start(wanted: bool, _: &mut Datapath) -> Result<(), Failure> {
    check(wanted)
}

/// Prints it from now on, where it is wanted.
///
/// # Errors
/// When it was not built in, or the kernel does not hand it out.
#[cfg(feature = "ebpf-log")]
pub fn start(wanted: bool, datapath: &mut Datapath) -> Result<(), Failure> {
    use std::thread;
    use std::time::Duration;

    use crate::datapath::EbpfLog;
    use crate::why::why;

    /// Between two looks. The programs' buffer takes some hundred lines in the meantime; what
    /// does not fit is lost.
    const PAUSE: Duration = Duration::from_millis(50);

    if !wanted {
        return Ok(());
    }
    let mut logs = datapath.ebpf_logs()?;
    // A thread of its own: a flood of lines holds up nothing else.
    let print = move || loop {
        logs.iter_mut().for_each(EbpfLog::flush);
        thread::sleep(PAUSE);
    };
    let name = "ebpf-log".to_owned();
    let started = thread::Builder::new().name(name).spawn(print);
    started.map_err(|error| {
        let why = why(&error);
        Failure::new(
            exit::UNREACHABLE,
            format!("cannot start a thread for the log of the programs: {why}"),
        )
    })?;
    tracing::warn!("the eBPF programs log every packet: this is for finding mistakes");
    Ok(())
}
