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
use stage::{Sources, Stage, Xdp};
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
    ("bond-members-native", bond::members_native),
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

/// One scenario.
#[derive(Clone, Copy, Debug)]
enum Scenario {
    /// The same connections over a topology.
    Over(&'static Topology, Xdp),
    /// A story.
    Tells(Story),
}

impl Scenario {
    fn all() -> impl Iterator<Item = Self> {
        let native = topology::NATIVE.iter().map(|name| Topology::named(name));
        let automatic = topology::ALL.iter();
        automatic
            .map(|topology| Self::Over(topology, Xdp::Auto))
            .chain(native.map(|topology| Self::Over(topology, Xdp::Native)))
            .chain(STORIES.iter().copied().map(Self::Tells))
    }

    fn name(self) -> String {
        match self {
            Self::Over(topology, Xdp::Auto) => topology.name.to_owned(),
            Self::Over(topology, Xdp::Native) => format!("{}-native", topology.name),
            Self::Tells((name, _)) => name.to_owned(),
        }
    }
}

/// Runs the scenarios; whether every check was good.
///
/// # Errors
/// When nothing could be tried at all.
pub fn run(arguments: &Arguments, fw_ctl: PathBuf, policies: PathBuf) -> Result<bool> {
    let unknown = |only: &&String| !Scenario::all().any(|scenario| scenario.name() == **only);
    if let Some(unknown) = arguments.only.iter().find(unknown) {
        return Err(Error::Unexpected(format!(
            "there is no scenario `{unknown}`; try: sandbox devices --list"
        )));
    }
    let only = &arguments.only;
    let wanted = Scenario::all().filter(|one| only.is_empty() || only.contains(&one.name()));
    if arguments.list {
        wanted.for_each(|scenario| anstream::println!("{}", scenario.name()));
        return Ok(true);
    }
    let sources = Sources { fw_ctl, policies };
    let release = release()?;
    let mut stage = None;
    let (mut checks, mut wrong) = (0, 0);
    for scenario in wanted {
        let mut report = Report::of(scenario.name());
        let begin = Instant::now();
        let done = match scenario {
            Scenario::Over(topology, xdp) => over(
                topology,
                stage_with(&mut stage, xdp, &sources)?,
                &release,
                &mut report,
            ),
            Scenario::Tells((_, story)) => {
                stage = None;
                story(&sources, &mut report)
            }
        };
        if let Err(error) = done {
            report.failed(&error);
        }
        if let Some(stage) = &stage {
            Topology::unplug(&stage.lab)?;
        }
        report.data("seconds", format!("{:.1}", begin.elapsed().as_secs_f32()));
        checks += report.totals().0;
        wrong += report.totals().1;
    }
    anstream::println!("{wrong} of {checks} checks on Linux {release} were not as expected");
    Ok(wrong == 0)
}

/// The running kernel's, as `uname -r` has it.
fn release() -> Result<String> {
    let names = nix::sys::utsname::uname().map_err(Error::io("ask for the kernel's release"))?;
    Ok(names.release().to_string_lossy().into_owned())
}

/// The stage of the scenario before, if it has the setting, else a new one.
fn stage_with<'a>(stage: &'a mut Option<Stage>, xdp: Xdp, sources: &Sources) -> Result<&'a Stage> {
    if stage.as_ref().is_none_or(|stage| stage.xdp != xdp) {
        *stage = None;
    }
    match stage {
        Some(stage) => Ok(stage),
        None => Ok(stage.insert(Stage::new(sources, xdp)?)),
    }
}

/// Connects the node so, and tries everything.
fn over(topology: &Topology, stage: &Stage, release: &str, report: &mut Report) -> Result<()> {
    let expected = modes::expected(topology.name, stage.xdp, release);
    if expected.is_empty() {
        report.data("not tried", "this kernel has no XDP for frames as large");
        return Ok(());
    }
    topology.plug(&stage.lab)?;
    stage.check_modes(report, "", expected)?;
    let unfiltered = stage.fw_ctl.status()?.unfiltered;
    let gaps = unfiltered.iter().filter(|row| row.gap);
    let gaps: Vec<_> = gaps.map(|row| &row.name).collect();
    report.check("carries traffic unfiltered", "[]", format!("{gaps:?}"));
    flows::await_path(&stage.lab)?;
    flows::verdicts(stage, report, "");
    flows::load(stage, report, topology.mtu);
    flows::judged_once(stage, report)
}
