//! Members of a bond that fail, are removed and come back, under traffic.

use sandbox::Result;

use super::report::Report;
use super::stage::{Sources, Stage};
use super::steady::Steady;
use super::{flows, modes, topology};

/// The field's case first, then the others.
const MODES: [&str; 3] = [
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
    ("eth1 is added", &["link set eth1 down", "link set eth1 master bond0"]),
    ("eth0 fails again", &["link set eth0 down"]),
    ("eth0 is removed", &["link set eth0 nomaster"]),
];

/// Members change while connections go on and others are refused.
///
/// # Errors
/// If something cannot be tried.
pub fn members(sources: &Sources, report: &mut Report) -> Result<()> {
    let mut stage = Stage::new(sources)?;
    for (number, name) in MODES.iter().enumerate() {
        let topology = topology::ALL.iter().find(|topology| topology.name == *name);
        let topology = topology.expect("it is in the table");
        topology.plug(&stage.lab)?;
        let expected = modes::expected(name, &super::release()?);
        stage.check_modes(report, &format!("{name}: "), expected)?;
        flows::await_path(&stage.lab)?;
        if number == 0 {
            // Also a daemon that finds the bond when it starts.
            stage.restart()?;
            stage.check_modes(report, &format!("{name}, daemon restarted: "), expected)?;
        }
        for (event, lines) in EVENTS {
            let steady = Steady::start(&stage)?;
            steady.await_progress();
            stage.lab.node.namespace.ip(lines)?;
            steady.await_progress();
            steady.end(&stage, report, &format!("{name}, {event}"));
        }
        flows::verdicts(&stage, report, &format!("{name}, afterwards: "));
        topology::Topology::unplug(&stage.lab)?;
    }
    Ok(())
}
