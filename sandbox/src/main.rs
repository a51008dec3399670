//! `sandbox`: shows a node that `fw-ctl` protects, with real connections.
//!
//! It builds a lab of network namespaces, starts servers and the daemon with the
//! policies for RKE2, makes the same connections twice, first in audit mode and
//! then enforcing, with the policy between them that `fw-ctl policy suggest` writes for
//! what turned out to be missing, and compares for each what the policy says, what happened
//! and what the firewall reported. Any disagreement ends it with exit code 1.
//!
//! `sandbox devices` does it over every kind of network device instead, and `sandbox faults`
//! breaks things meanwhile. `sandbox pictures` makes the pictures of the README.

mod devices;
mod faults;
mod pictures;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// See a firewall work: a node, its peers and real connections in network namespaces.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The fw-ctl binary [default: $`FW_CTL`, else target/release/fw-ctl]
    #[arg(long, value_name = "FILE", global = true)]
    fw_ctl: Option<PathBuf>,
    /// Policies to enforce on the node
    #[arg(
        long,
        value_name = "DIR",
        default_value = "config/policies/rke2",
        global = true
    )]
    policies: PathBuf,
    /// How packets that arrive are judged
    #[arg(long, value_enum, default_value_t = Xdp::Native)]
    xdp: Xdp,
    /// Show the firewall's lines in full
    #[arg(long, short)]
    verbose: bool,
    /// Leave the lab running at the end, until Ctrl-C, to look around in it
    #[arg(long)]
    hold: bool,
}

/// What else it can show.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Bonds, VLANs, bridges, tunnels: one line for each connection over each of them
    Devices(devices::Arguments),
    /// Kill the daemon, fill its disk, break its files, take its interface away, while every
    /// packet is held against the plans that may be in force
    Faults(faults::Arguments),
    /// Make the pictures of the README, of real runs
    Pictures(pictures::Arguments),
}

impl Arguments {
    fn fw_ctl(&self) -> PathBuf {
        self.fw_ctl
            .clone()
            .or_else(|| std::env::var_os("FW_CTL").map(PathBuf::from))
            .unwrap_or_else(|| "target/release/fw-ctl".into())
    }

    fn show(&self) -> sandbox::Result<bool> {
        match &self.command {
            Some(Command::Devices(wanted)) => {
                devices::run(wanted, self.fw_ctl(), self.policies.clone())
            }
            Some(Command::Faults(wanted)) => faults::run(wanted, self.fw_ctl()),
            Some(Command::Pictures(wanted)) => {
                pictures::run(wanted, self.fw_ctl(), self.policies.clone())
            }
            None => run::run(self),
        }
    }
}

/// `interfaces.xdp` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Xdp {
    /// XDP in the driver
    Native,
    /// XDP after the kernel has made a socket buffer
    Generic,
    /// Traffic control instead of XDP
    Off,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match sandbox::signals::clean_up_on_signals().and_then(|()| arguments.show()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            anstream::eprintln!("sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}
