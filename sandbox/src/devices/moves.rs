//! A filtered device is renamed, goes down and up, changes its address, visits another
//! namespace and joins a bond. After each of these the policy holds as before.
//!
//! What gets through in the moment between the device's coming and the filter's is told
//! as data: [`super::later`] measures how long that is.

use sandbox::{Error, Namespace, Result};

use super::report::Report;
use super::stage::{Sources, Stage, Xdp};
use super::topology::Topology;
use super::{flows, modes};

/// Another address of the node, so that the first one can go.
const SECOND: [&str; 2] = ["10.0.0.11/24", "2001:db8:0:10::11/64"];

/// One move: its name, what is done, and the scenario of [`modes`] that the node is in
/// then.
type Move = (&'static str, fn(&Stage) -> Result<()>, &'static str);

const MOVES: [Move; 7] = [
    ("down and up", down_and_up, "nic"),
    (
        "address replaced by another and back",
        replace_address,
        "nic",
    ),
    ("renamed", rename, "renamed"),
    ("renamed back", rename_back, "nic"),
    ("to another namespace and back", visit, "nic"),
    ("joins a bond", join_bond, "joined-bond"),
    ("leaves the bond", leave_bond, "nic"),
];

/// All moves, one after the other, and the same connections after each.
///
/// # Errors
/// If something cannot be tried.
pub fn moves(sources: &Sources, report: &mut Report) -> Result<()> {
    let stage = Stage::new(sources, Xdp::Auto)?;
    Topology::named("nic").plug(&stage.lab)?;
    let release = super::release()?;
    stage.check_modes(report, "", modes::expected("nic", Xdp::Auto, &release))?;
    for (name, act, scenario) in MOVES {
        act(&stage)?;
        stage.check_modes(
            report,
            &format!("{name}: "),
            modes::expected(scenario, Xdp::Auto, &release),
        )?;
        flows::await_path(&stage.lab)?;
        flows::verdicts(&stage, report, &format!("{name}: "));
    }
    flows::judged_once(&stage, report)
}

fn down_and_up(stage: &Stage) -> Result<()> {
    let node = &stage.lab.node.namespace;
    node.ip(["link set eth0 down"])?;
    forget_addresses(node, "eth0")?;
    stage.lab.plug("up0", "eth0")
}

/// A packet to the new address must be judged, too, so the rest waits until the daemon
/// knows it.
fn replace_address(stage: &Stage) -> Result<()> {
    let node = &stage.lab.node.namespace;
    forget_addresses(node, "eth0")?;
    node.ip(SECOND.map(|address| format!("addr add {address} dev eth0")))?;
    forget_addresses(node, "eth0")?;
    stage.lab.plug("up0", "eth0")
}

fn rename(stage: &Stage) -> Result<()> {
    renamed(stage, "eth0", "wan0")
}

fn rename_back(stage: &Stage) -> Result<()> {
    renamed(stage, "wan0", "eth0")
}

/// Older kernels rename only what is down.
fn renamed(stage: &Stage, from: &str, to: &str) -> Result<()> {
    let node = &stage.lab.node.namespace;
    node.ip([
        format!("link set {from} down"),
        format!("link set {from} name {to}"),
    ])?;
    forget_addresses(node, to)?;
    stage.lab.plug("up0", to)
}

fn visit(stage: &Stage) -> Result<()> {
    let node = &stage.lab.node.namespace;
    let other = Namespace::new()?;
    node.ip([format!("link set eth0 netns {}", other.path().display())])?;
    // The daemon shall see that it is gone, or this would be no more than down and up.
    let status = stage.await_status(|status| status.interfaces.is_empty())?;
    if !status.interfaces.is_empty() {
        return Err(Error::Unexpected(format!(
            "`fw-ctl status` still names what is in another namespace: {:?}",
            status.interfaces
        )));
    }
    other.ip([format!("link set eth0 netns {}", node.path().display())])?;
    stage.lab.plug("up0", "eth0")
}

fn join_bond(stage: &Stage) -> Result<()> {
    let node = &stage.lab.node.namespace;
    forget_addresses(node, "eth0")?;
    node.ip([
        "link add bond0 type bond miimon 100 mode active-backup",
        "link set eth0 down",
        "link set eth0 master bond0",
    ])?;
    stage.lab.plug("up0", "bond0")
}

fn leave_bond(stage: &Stage) -> Result<()> {
    let node = &stage.lab.node.namespace;
    node.ip(["link del bond0"])?;
    stage.lab.plug("up0", "eth0")
}

/// Not the link-local ones, which the kernel gives again.
fn forget_addresses(namespace: &Namespace, device: &str) -> Result<()> {
    namespace.ip([format!("addr flush dev {device} scope global")])
}
