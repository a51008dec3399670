//! `fw-ctl doctor`: what is slow or missing on this machine, and what to do about it.
//!
//! Everything that is known goes into plain [`Facts`] first ([`gather`]); what is said of them
//! ([`diagnose`]) is a pure function, so that kernels and drivers which nobody has at hand are
//! tested as tables. Works without the daemon, and as root says more.

mod daemon;
mod datapath;
mod facts;
mod gather;
mod interfaces;
mod kernel;
mod offloads;
mod plan;
mod programs;
mod report;
mod rights;

pub use facts::Facts;
pub use gather::{Where, gather, network};
pub use plan::{PlanReport, Planned};
pub use report::{Finding, Group, Level, Report};

/// What there is to say, by group.
#[must_use]
pub fn diagnose(facts: &Facts) -> Report {
    let mut findings = kernel::findings(&facts.kernel);
    findings.extend(rights::findings(&facts.rights, &facts.kernel));
    findings.extend(datapath::findings(&facts.datapath, &facts.kernel));
    findings.extend(interfaces::findings(facts));
    findings.extend(daemon::findings(&facts.daemon));
    Report::new(findings, facts.kernel.is_supported())
}
