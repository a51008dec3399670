//! Lines that the programs write of packets, in builds with the feature `ebpf-log`.

/// The verdict `$verdict` of `$program`, of which such a build writes a line; `$seen` gives index
/// of the interface and length of the context. In any other build it is the verdict and nothing
/// else: a macro, so that not one instruction differs.
#[cfg(not(feature = "ebpf-log"))]
#[macro_export]
macro_rules! logged {
    ($program:literal, $seen:ident, $context:expr, $verdict:expr) => {
        $verdict
    };
}

/// The verdict `$verdict` of `$program`, of which a line is written; `$seen` gives index of the
/// interface and length of the context.
#[cfg(feature = "ebpf-log")]
#[macro_export]
macro_rules! logged {
    ($program:literal, $seen:ident, $context:expr, $verdict:expr) => {{
        let verdict = $verdict;
        $crate::log::write($program, verdict, $seen(&$context));
        verdict
    }};
}

/// Writes a line, unless the buffer of the programs is full.
#[cfg(feature = "ebpf-log")]
#[inline(always)]
pub fn write(program: &str, verdict: crate::datapath::Verdict, (interface, length): (u32, u32)) {
    use crate::datapath::Verdict;
    let verdict = match verdict {
        Verdict::Pass => "pass",
        Verdict::Drop => "drop",
    };
    aya_log_ebpf::info!(
        (),
        "{}: {}, interface {}, {} bytes",
        program,
        verdict,
        interface,
        length
    );
}
