//! What is said of programs of others on the hooks of an interface.

use fw_common::wire::Direction;

use super::facts::{ForeignXdp, Interface, TcProgram};
use super::interfaces::finding;
use super::{Finding, Level};

pub fn findings(interface: &Interface) -> Vec<Finding> {
    let mut findings: Vec<_> = interface
        .foreign_xdp
        .iter()
        .map(|foreign| xdp(interface, foreign))
        .collect();
    findings.extend(
        [Direction::Ingress, Direction::Egress]
            .into_iter()
            .filter_map(|direction| tc(interface, direction)),
    );
    findings
}

fn xdp(interface: &Interface, foreign: &ForeignXdp) -> Finding {
    let what = format!(
        "the {} XDP program {} is on it, which is not ours",
        foreign.mode,
        label(foreign.id, &foreign.name)
    );
    finding(interface, Level::Slow, what)
        .why(
            "fw-ctl never displaces a program of others: what that one passes is judged in TC, \
             what it drops, answers or redirects never gets there",
        )
        .advice(format!(
            "bpftool prog show id {}; ip link set {} xdp off, if nobody needs it",
            foreign.id, interface.name
        ))
}

/// Programs of others on one TC hook, and whether they run before ours.
fn tc(interface: &Interface, direction: Direction) -> Option<Finding> {
    let here: Vec<&TcProgram> = interface
        .tc
        .iter()
        .filter(|program| program.direction == direction)
        .collect();
    let ours = here.iter().position(|program| program.ours);
    let names = |programs: &[&TcProgram]| {
        let names: Vec<_> = programs
            .iter()
            .filter(|program| !program.ours)
            .map(|program| label(program.id, &program.name))
            .collect();
        names.join(", ")
    };
    if here.iter().all(|program| program.ours) {
        return None;
    }
    let hook = direction.name();
    let Some(ours) = ours else {
        let what = format!("programs of others on TC {hook}: {}", names(&here));
        return Some(finding(interface, Level::Note, what));
    };
    let (before, after) = (names(&here[..ours]), names(&here[ours..]));
    let mut order = Vec::new();
    if !before.is_empty() {
        order.push(format!("{before} before ours"));
    }
    if !after.is_empty() {
        order.push(format!("{after} behind ours"));
    }
    let said = finding(
        interface,
        Level::Note,
        format!("on TC {hook}: {}", order.join(", ")),
    );
    Some(match before.is_empty() {
        true => said.why("they get what fw-ctl passes"),
        false => {
            said.why("what a program before ours drops or redirects is never judged, nor counted")
        }
    })
}

/// `7 (cil_from_netdev)`
fn label(id: u32, name: &str) -> String {
    match name {
        "" => id.to_string(),
        name => format!("{id} ({name})"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::interfaces::tests::eth0;
    use super::*;

    fn on_tc(programs: &[(&str, bool)]) -> Vec<String> {
        let programs = programs
            .iter()
            .zip(1..)
            .map(|(&(name, ours), id)| TcProgram {
                direction: Direction::Ingress,
                id,
                name: name.into(),
                ours,
            });
        let interface = Interface {
            tc: programs.collect(),
            ..eth0()
        };
        findings(&interface)
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn the_order_on_a_hook_is_told() {
        let ours = ("fw_tc_ingress", true);
        assert_eq!(on_tc(&[]), Vec::<String>::new());
        assert_eq!(on_tc(&[ours]), Vec::<String>::new());
        assert_eq!(
            on_tc(&[("cil", false)]),
            ["programs of others on TC ingress: 1 (cil)"]
        );
        assert_eq!(
            on_tc(&[("cil", false), ours]),
            ["on TC ingress: 1 (cil) before ours"]
        );
        assert_eq!(
            on_tc(&[("a", false), ours, ("", false)]),
            ["on TC ingress: 1 (a) before ours, 3 behind ours"]
        );
    }

    #[test]
    fn whose_xdp_program_is_there() {
        let interface = Interface {
            foreign_xdp: Some(ForeignXdp {
                id: 7,
                name: "xdp_dispatcher".into(),
                mode: "native",
            }),
            ..eth0()
        };
        let said = &findings(&interface)[0];
        assert_eq!(said.level, Level::Slow);
        assert_eq!(
            said.what,
            "the native XDP program 7 (xdp_dispatcher) is on it, which is not ours"
        );
        assert!(
            said.advice
                .as_deref()
                .unwrap()
                .starts_with("bpftool prog show id 7")
        );
    }
}
