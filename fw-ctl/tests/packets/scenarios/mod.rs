//! The table.

mod amendments;
mod audit;
mod bans;
mod builtins;
mod connections;
mod fragments;
mod headers;
mod icmp_errors;
mod policy;
mod rates;
mod surroundings;
mod vlans;

use fw_common::wire::{Builtin, Counter};
use fw_ctl::compile::plan::Mode;

/// Which way a packet of the table goes.
pub enum Way {
    In,
    Out,
    Forwarded,
    /// No packet: the plan is replaced by the same in this mode.
    Reload(Mode),
    /// No packet: the plan is amended by classes of single addresses.
    Amend(&'static [(&'static str, u16)]),
    /// No packet: an address is banned.
    Ban(&'static str, Until),
    /// No packet: a second passes.
    Wait,
}

/// When a ban ends.
pub enum Until {
    Never,
    /// It has.
    Passed,
    Later,
}

/// One packet.
pub struct Step {
    pub what: &'static str,
    pub way: Way,
    pub frame: Vec<u8>,
    pub expect: Counter,
    /// The rule in the event.
    pub rule: u16,
    pub vlan: u16,
    /// An allowed packet that is reported, being the first of its connection.
    pub begins: bool,
}

/// Packets in order.
pub struct Scenario {
    pub name: &'static str,
    pub mode: Mode,
    /// Bits of the built-ins that are on.
    pub builtins: u32,
    pub steps: Vec<Step>,
}

fn step(what: &'static str, way: Way, frame: Vec<u8>, expect: Counter, rule: u16) -> Step {
    Step {
        what,
        way,
        frame,
        expect,
        rule,
        vlan: 0,
        begins: true,
    }
}

fn into(what: &'static str, frame: Vec<u8>, expect: Counter, rule: u16) -> Step {
    step(what, Way::In, frame, expect, rule)
}

fn out(what: &'static str, frame: Vec<u8>, expect: Counter, rule: u16) -> Step {
    step(what, Way::Out, frame, expect, rule)
}

fn reload(mode: Mode) -> Step {
    step("reload", Way::Reload(mode), Vec::new(), Counter::NoPlan, 0)
}

fn ban(address: &'static str, until: Until) -> Step {
    let way = Way::Ban(address, until);
    step("ban", way, Vec::new(), Counter::NoPlan, 0)
}

fn amend(singles: &'static [(&'static str, u16)]) -> Step {
    step("amend", Way::Amend(singles), Vec::new(), Counter::NoPlan, 0)
}

impl Step {
    /// Inside a connection: allowed, but not reported again.
    fn quiet(mut self) -> Self {
        self.begins = false;
        self
    }
    fn in_vlan(mut self, vlan: u16) -> Self {
        self.vlan = vlan;
        self
    }
}

fn enforced(name: &'static str, steps: Vec<Step>) -> Scenario {
    Scenario {
        name,
        mode: Mode::Enforce,
        builtins: Builtin::ALL,
        steps,
    }
}

fn audited(name: &'static str, steps: Vec<Step>) -> Scenario {
    Scenario {
        mode: Mode::Audit,
        ..enforced(name, steps)
    }
}

/// Enforced with some built-ins switched off.
fn without(name: &'static str, off: &[Builtin], steps: Vec<Step>) -> Scenario {
    let off = off.iter().fold(0, |bits, builtin| bits | builtin.bit());
    Scenario {
        builtins: Builtin::ALL & !off,
        ..enforced(name, steps)
    }
}

pub fn all() -> Vec<Scenario> {
    let mut all = vec![];
    all.extend(policy::scenarios());
    all.extend(connections::scenarios());
    all.extend(icmp_errors::scenarios());
    all.extend(fragments::scenarios());
    all.extend(headers::scenarios());
    all.extend(surroundings::scenarios());
    all.extend(audit::scenarios());
    all.extend(bans::scenarios());
    all.extend(builtins::scenarios());
    all.extend(amendments::scenarios());
    all.extend(rates::scenarios());
    all.extend(vlans::scenarios());
    all
}
