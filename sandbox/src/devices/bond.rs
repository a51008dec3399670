//! Members of a bond that fail, are removed and come back, under traffic.

use sandbox::{Namespace, Nic, Result};

use super::report::Report;
use super::stage::{Sources, Stage, Xdp};
use super::steady::Steady;
use super::topology::Topology;
use super::{flows, modes};

/// The field's case first, then the others.
const KINDS: [&str; 3] = [
    "bond-active-backup-vlan",
    "bond-balance-xor-vlan",
    "bond-802.3ad-vlan",
];

/// What happens, in this order: a name and `ip` lines of the node. After each, one cable
/// is enough, and at the end it is the one that was removed.
const EVENTS: [(&str, &[&str]); 6] = [
    ("eth0 fails", &["link set eth0 down"]),
    ("eth0 is back", &["link set eth0 up"]),
    ("eth1 is removed", &["link set eth1 nomaster"]),
    (
        "eth1 is added",
        &["link set eth1 down", "link set eth1 master bond0"],
    ),
    ("eth0 fails again", &["link set eth0 down"]),
    ("eth0 is removed", &["link set eth0 nomaster"]),
];

/// Members change while connections go on and others are refused. The bond itself is
/// judged, for its members are veths.
///
/// # Errors
/// If something cannot be tried.
pub fn members(sources: &Sources, report: &mut Report) -> Result<()> {
    over_veths(sources, Xdp::Auto, report)
}

/// The same with native XDP on the members.
///
/// # Errors
/// If something cannot be tried.
pub fn members_native(sources: &Sources, report: &mut Report) -> Result<()> {
    over_veths(sources, Xdp::Native, report)
}

fn over_veths(sources: &Sources, xdp: Xdp, report: &mut Report) -> Result<()> {
    let mut stage = Stage::new(sources, xdp)?;
    for (number, name) in KINDS.iter().enumerate() {
        let topology = Topology::named(name);
        topology.plug(&stage.lab)?;
        let expected = modes::expected(name, xdp, &super::release()?);
        stage.check_modes(report, &format!("{name}: "), expected)?;
        flows::await_path(&stage.lab)?;
        if number == 0 {
            // Also a daemon that finds the bond when it starts.
            stage.restart()?;
            stage.check_modes(report, &format!("{name}, daemon restarted: "), expected)?;
        }
        change_members(&stage, report, name)?;
        Topology::unplug(&stage.lab)?;
    }
    Ok(())
}

/// The same with LACP over interfaces that have a driver of their own: `eth0` and `eth2`
/// of the machine for the node, with cables to `eth1` and `eth3` for the segment.
///
/// # Errors
/// If they are not there, or something cannot be tried.
pub fn virtio(sources: &Sources, report: &mut Report) -> Result<()> {
    let stage = Stage::new(sources, Xdp::Auto)?;
    let lab = &stage.lab;
    let (node, segment) = (&lab.node.namespace, &lab.segment);
    let moves = [
        ("eth1", segment, "up0"),
        ("eth3", segment, "up1"),
        ("eth0", node, "eth0"),
        ("eth2", node, "eth1"),
    ];
    for (name, to, new) in moves {
        Nic::named(name)?;
        let path = to.path();
        Namespace::here()?.ip([format!(
            "link set {name} netns {} name {new}",
            path.display()
        )])?;
        // It tells none by itself, and LACP takes no link of unknown speed.
        to.run("ethtool", &["-s", new, "speed", "1000", "duplex", "full"])?;
    }
    let name = "bond-802.3ad-vlan";
    Topology::named(name).plug_over_cables(lab)?;
    let expected = modes::expected("bond-virtio", Xdp::Auto, &super::release()?);
    stage.check_modes(report, "", expected)?;
    flows::await_path(lab)?;
    flows::verdicts(&stage, report, "");
    flows::judged_once(&stage, report)?;
    change_members(&stage, report, name)
}

fn change_members(stage: &Stage, report: &mut Report, name: &str) -> Result<()> {
    for (event, lines) in EVENTS {
        let steady = Steady::start(stage)?;
        steady.await_progress();
        stage.lab.node.namespace.ip(lines)?;
        steady.await_progress();
        steady.end(stage, report, &format!("{name}, {event}"));
    }
    flows::verdicts(stage, report, &format!("{name}, afterwards: "));
    Ok(())
}
