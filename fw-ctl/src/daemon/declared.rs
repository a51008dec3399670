//! What the operator declared, as the daemon gets it: compiled, or what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Inputs;
use crate::cli::output::plain;
use crate::compile::CapacityError;
use crate::compile::plan::Plan;
use crate::config::Config;
use crate::control::protocol::Failure;
use crate::diagnostic::Diagnostic;
use crate::exit;
use crate::lists::Found;
use crate::netlink::LocalAddresses;
use crate::observe::Numbered;
use crate::policy::rules::{CidrMatchMode, RuleSet};
use crate::policy::schema::CidrGroup;
use crate::trace::Context;

/// What the operator's files compile to.
pub struct Compiled {
    /// What it was made from.
    pub inputs: Arc<Inputs>,
    /// The plan; its mode is that of the configuration.
    pub plan: Plan,
    /// Policies that were read.
    pub policies: usize,
    /// What was said about the files.
    pub warnings: Vec<Diagnostic>,
    /// The rules that it was compiled from.
    pub rules: Arc<RuleSet>,
    /// Every CIDR group and list, whether a rule names it or not.
    pub groups: Vec<Arc<CidrGroup>>,
    /// Which identities CIDR rules may match.
    pub cidr_match_mode: CidrMatchMode,
    /// Who addresses are.
    pub identities: Arc<Numbered>,
    /// Names of nodes by address.
    pub node_names: BTreeMap<IpAddr, String>,
    /// Labels of the node as `key=value`, sorted.
    pub node_labels: Arc<[String]>,
    /// Addresses that the inventory gives the node, for questions without a node.
    pub node_addresses: BTreeSet<IpAddr>,
}

impl Compiled {
    /// What a trace needs, on a node that has the addresses `local` and has banned
    /// nobody.
    #[must_use]
    pub fn context<'a>(&'a self, local: &'a LocalAddresses) -> Context<'a> {
        Context {
            plan: &self.plan,
            rules: &self.rules,
            cidr_match_mode: self.cidr_match_mode,
            local,
            identities: &self.identities,
            ban: &|_| None,
        }
    }
}

/// Errors that logs and `status` list.
const LINES: usize = 20;

/// Why files make no plan.
#[derive(Debug)]
pub enum Wrong {
    /// Something is wrong with them.
    Files(Vec<Diagnostic>),
    /// What they say does not fit the kernel's tables.
    TooLarge(Box<CapacityError>),
}

impl Wrong {
    /// For the one who asked; `what` is not done.
    #[must_use]
    pub fn failure(&self, what: &str) -> Failure {
        match self {
            Self::Files(errors) => Failure::refused(what, errors),
            Self::TooLarge(error) => {
                let text = error.to_string();
                let (why, help) = text.split_once("; try: ").unwrap_or((&text, ""));
                let failure = Failure::new(exit::REFUSED, format!("{what}: {why}"));
                if help.is_empty() {
                    failure
                } else {
                    failure.help(help)
                }
            }
        }
    }

    /// A line for each of the first errors, for logs and `status`.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Files(errors) => {
                let mut lines: Vec<_> = errors.iter().take(LINES).map(plain).collect();
                let more = errors.len() - lines.len();
                if more > 0 {
                    lines.push(format!(
                        "and {more} more; try: fw-ctl policy validate DIR, which names them all"
                    ));
                }
                lines
            }
            Self::TooLarge(error) => vec![error.to_string()],
        }
    }
}

/// Where configuration and policies come from.
pub trait Sources {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn config(&self) -> Result<Config, Vec<Diagnostic>>;
    /// Reads what the configuration names, but for lists; what cannot be read is told
    /// beside.
    fn read(&self, config: &Config) -> (Inputs, Vec<Diagnostic>);
    /// Reads the lists that it names, and nothing else.
    fn lists(&self, config: &Config) -> Vec<Found>;
    /// Compiles what was read.
    ///
    /// # Errors
    /// Everything that is wrong with it, after `unreadable`, or that it does not fit.
    fn compile(&self, inputs: Arc<Inputs>, unreadable: Vec<Diagnostic>) -> Result<Compiled, Wrong>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Severity, Source};

    #[test]
    fn of_many_errors_the_first_are_listed_and_the_others_counted() {
        let source = Arc::new(Source {
            name: "a.yaml".into(),
            text: String::new(),
        });
        let error = |n| Diagnostic::new(Severity::Error, &source, None, "", format!("wrong {n}"));
        let lines = |count| Wrong::Files((0..count).map(error).collect()).lines();
        assert_eq!(lines(20).len(), 20);
        let many = lines(20_000);
        assert_eq!(many.len(), 21);
        assert_eq!(many[0], "a.yaml: wrong 0");
        assert!(
            many[20].starts_with("and 19980 more; try: "),
            "{}",
            many[20]
        );
    }
}
