//! Which programs are ours.

use std::collections::BTreeMap;

use aya::programs::tc::TcAttachType;
use aya::programs::{SchedClassifier, loaded_programs};
use fw_common::wire::Direction;

use crate::datapath::programs::is_ours;
use crate::doctor::facts::TcProgram;

/// Names of all programs in the kernel, by id; `None`: this process may not ask.
pub fn names() -> Option<BTreeMap<u32, String>> {
    let programs: Result<Vec<_>, _> = loaded_programs().collect();
    let name = |program: &aya::programs::ProgramInfo| {
        (
            program.id(),
            program.name_as_str().unwrap_or_default().to_owned(),
        )
    };
    Some(programs.ok()?.iter().map(name).collect())
}

/// The programs on the TCX hooks of an interface in their order; none where the kernel has no
/// TCX or does not tell us.
pub fn on_tcx(interface: &str) -> Vec<TcProgram> {
    let hooks = [
        (Direction::Ingress, TcAttachType::Ingress),
        (Direction::Egress, TcAttachType::Egress),
    ];
    let programs = hooks.into_iter().flat_map(|(direction, hook)| {
        let found = SchedClassifier::query_tcx(interface, hook);
        let (_, programs) = found.unwrap_or_default();
        programs.into_iter().map(move |program| {
            let name = program.name_as_str().unwrap_or_default();
            tc_program(direction, program.id(), name)
        })
    });
    programs.collect()
}

/// A program on a hook.
pub fn tc_program(direction: Direction, id: u32, name: &str) -> TcProgram {
    TcProgram {
        direction,
        id,
        name: name.to_owned(),
        ours: is_ours(name),
    }
}
