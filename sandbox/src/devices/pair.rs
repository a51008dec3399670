//! Two daemons on one machine, each for a network namespace of its own, with one bpffs:
//! neither sees the other's devices, and one that ends takes nothing from the other.

use sandbox::{Lab, Namespace, Result};

use super::report::Report;
use super::stage::{Sources, Stage, Xdp};
use super::topology::Topology;
use super::{flows, modes};

/// See above.
///
/// # Errors
/// If something cannot be tried.
pub fn pair(sources: &Sources, report: &mut Report) -> Result<()> {
    let mut first = Stage::new(sources, Xdp::Auto)?;
    let mut lab = Lab::unplugged()?;
    lab.node.namespace = Namespace::beside(&first.lab.node.namespace)?;
    let second = Stage::in_lab(lab, sources, Xdp::Auto, None, "second")?;
    let expected = modes::expected("nic", Xdp::Auto, &super::release()?);
    for stage in [&first, &second] {
        Topology::named("nic").plug(&stage.lab)?;
    }
    for (who, stage) in [("first: ", &first), ("second: ", &second)] {
        stage.check_modes(report, who, expected)?;
        flows::await_path(&stage.lab)?;
        flows::verdicts(stage, report, who);
        flows::judged_once(stage, report)?;
    }
    first.fw_ctl.must(&["detach"])?;
    first.stop()?;
    second.check_modes(report, "second, the first has detached: ", expected)?;
    flows::verdicts(&second, report, "second, the first has detached: ");
    flows::judged_once(&second, report)
}
