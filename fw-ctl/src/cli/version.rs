//! `fw-ctl version`

use clap::Args as ClapArgs;

use super::output::{Outcome, print};
use crate::datapath::objects::provenance;
use crate::exit;

/// Arguments of `version`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Also what it was built from and for
    #[arg(short, long)]
    verbose: bool,
}

/// Prints.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args) -> Outcome {
    print(&format!("fw-ctl {}", env!("CARGO_PKG_VERSION")))?;
    if args.verbose {
        let programs = match provenance() {
            Ok(built) => format!(
                "xdp       sha256 {}\ntc        sha256 {}\ncompiler  {}\nlinker    {}",
                built.xdp_sha256, built.tc_sha256, built.compiler, built.linker
            ),
            Err(missing) => format!("programs  none: {}", missing.why),
        };
        print(&format!(
            "pins      v{}\nplatform  {} {}\npolicies  Cilium 1.19 (cilium.io/v2)\n{programs}",
            fw_common::wire::SCHEMA_VERSION,
            std::env::consts::ARCH,
            std::env::consts::OS,
        ))?;
    }
    Ok(exit::OK)
}
