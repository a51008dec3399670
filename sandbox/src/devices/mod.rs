//! The same connections over every kind of device that a server may have: is each one
//! judged as the policy says, once, at the place where it is meant to be judged?
//!
//! Each scenario is a [`topology`] with the checks of [`flows`], or a story of its own:
//! members that come and go ([`bond`]), devices that change while filtered ([`moves`]) or
//! appear under fire ([`later`]), what runs in tunnels ([`tunnel`]), two daemons beside
//! each other ([`pair`]). It needs a kernel with all these devices, and `ethtool`: see
//! `tests/devices.rs`, which runs it in a guest.

mod bond;
mod counters;
mod flows;
mod later;
mod modes;
mod moves;
mod pair;
mod report;
mod stage;
mod steady;
mod topology;
mod tunnel;
mod wireguard;

use std::path::PathBuf;
use std::time::Instant;

use sandbox::{Error, Result};

use report::Report;
use stage::{Sources, Stage};
use topology::Topology;

/// What `sandbox devices` is told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only the scenario of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Print the names of the scenarios and end
    #[arg(long)]
    list: bool,
}

/// A story of its own: its name, and what it does.
type Story = (&'static str, fn(&Sources, &mut Report) -> Result<()>);

const STORIES: &[Story] = &[
    ("bond-members", bond::members),
    ("bond-virtio", bond::virtio),
    ("moves", moves::moves),
    ("later", later::later),
    ("pair", pair::pair),
    ("vxlan", tunnel::vxlan),
    ("geneve", tunnel::geneve),
    ("wireguard", tunnel::wireguard),
    ("ipip", tunnel::ipip),
    ("gre", tunnel::gre),
];

/// Runs the scenarios; whether every check was good.
///
/// # Errors
/// When nothing could be tried at all.
pub fn run(arguments: &Arguments, fw_ctl: PathBuf, policies: PathBuf) -> Result<bool> {
    let names = || {
        let stories = STORIES.iter().map(|(name, _)| *name);
        topology::ALL.iter().map(|topology| topology.name).chain(stories)
    };
    if arguments.list {
        names().for_each(|name| anstream::println!("{name}"));
        return Ok(true);
    }
    if let Some(unknown) = arguments.only.iter().find(|only| !names().any(|name| name == *only)) {
        return Err(Error::Unexpected(format!(
            "there is no scenario `{unknown}`; try: sandbox devices --list"
        )));
    }
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|n| n == name);
    let sources = Sources { fw_ctl, policies };
    let release = release()?;
    let (mut checks, mut wrong) = (0, 0);
    let mut sum = |report: &Report| {
        checks += report.totals().0;
        wrong += report.totals().1;
    };

    let topologies: Vec<_> = topology::ALL.iter().filter(|topology| wanted(topology.name)).collect();
    if !topologies.is_empty() {
        let stage = Stage::new(&sources)?;
        for topology in topologies {
            let mut report = Report::of(topology.name);
            let begin = Instant::now();
            if let Err(error) = over(topology, &stage, &release, &mut report) {
                report.failed(&error);
            }
            Topology::unplug(&stage.lab)?;
            report.data("seconds", format!("{:.1}", begin.elapsed().as_secs_f32()));
            sum(&report);
        }
    }
    for (name, story) in STORIES.iter().filter(|(name, _)| wanted(name)) {
        let mut report = Report::of(name);
        let begin = Instant::now();
        if let Err(error) = story(&sources, &mut report) {
            report.failed(&error);
        }
        report.data("seconds", format!("{:.1}", begin.elapsed().as_secs_f32()));
        sum(&report);
    }
    anstream::println!("{wrong} of {checks} checks on Linux {release} were not as expected");
    Ok(wrong == 0)
}

/// The running kernel's, as `uname -r` has it.
fn release() -> Result<String> {
    let names = nix::sys::utsname::uname().map_err(Error::io("ask for the kernel's release"))?;
    Ok(names.release().to_string_lossy().into_owned())
}

/// Connects the node so, and tries everything.
fn over(topology: &Topology, stage: &Stage, release: &str, report: &mut Report) -> Result<()> {
    topology.plug(&stage.lab)?;
    stage.check_modes(report, "", modes::expected(topology.name, release))?;
    let unfiltered = stage.fw_ctl.status()?.unfiltered;
    let gaps: Vec<_> = unfiltered.iter().filter(|row| row.gap).map(|row| &row.name).collect();
    report.check("carries traffic unfiltered", "[]", format!("{gaps:?}"));
    flows::await_path(&stage.lab)?;
    flows::verdicts(stage, report, "");
    flows::load(stage, report, topology.mtu);
    flows::judged_once(stage, report)
}
