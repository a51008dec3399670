//! Every decision of the daemon, one after the other.
//!
//! The rule behind all of them: the node keeps the last plan that was right. A
//! change with an error is refused as a whole; a daemon that starts among broken
//! policies keeps what is pinned, and where nothing is pinned it attaches
//! nothing, so that an empty plan never judges.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::status::{
    Detached, GenerationStatus, InterfaceStatus, ModeStatus, Reloaded, RuleStatus, Rules, SCHEMA,
    Status, UnfilteredStatus, hex,
};
use super::{InForce, Kernel, ModeStore, Names, links};
use crate::cli::exit;
use crate::compile::plan::{Mode, Plan};
use crate::config::Config;
use crate::control::protocol::{Failure, ModeChange};
use crate::diagnostic::Diagnostic;
use crate::netlink::{Choice, Network, choose};
use crate::observe::Identities;

/// What the operator's files compile to.
pub struct Compiled {
    /// The plan; its mode is that of the configuration.
    pub plan: Plan,
    /// Policies that were read.
    pub policies: usize,
    /// What was said about the files.
    pub warnings: Vec<Diagnostic>,
    /// Who addresses are.
    pub identities: Arc<dyn Identities + Send + Sync>,
}

/// Where configuration and policies come from.
pub trait Sources {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn config(&self) -> Result<Config, Vec<Diagnostic>>;
    /// Reads policies and inventory, and compiles them.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    fn compile(&self, config: &Config) -> Result<Compiled, Vec<Diagnostic>>;
}

/// What can be wrong, one entry each: the newest word replaces the older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// The last change was refused.
    Change,
    /// Links or addresses.
    Network,
    /// The kernel does not hold what was installed.
    Kernel,
}

/// The state of the daemon.
pub struct Firewall<K, S> {
    kernel: K,
    sources: S,
    config: Config,
    mode: ModeStore,
    /// What was installed last, and the plan with the mode that it has.
    installed: Option<(InForce, Compiled)>,
    names: watch::Sender<Arc<Names>>,
    network: Network,
    /// `fw-ctl detach` was here.
    detached: bool,
    troubles: BTreeMap<Trouble, Vec<String>>,
}

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Takes over what is there; nothing changes before [`Self::start`].
    pub fn new(
        kernel: K,
        sources: S,
        config: Config,
        mode: ModeStore,
        names: watch::Sender<Arc<Names>>,
    ) -> Self {
        Self {
            kernel,
            sources,
            config,
            mode,
            installed: None,
            names,
            network: Network::default(),
            detached: false,
            troubles: BTreeMap::new(),
        }
    }

    /// The kernel, for what needs no decision.
    pub fn kernel(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Brings the node under the filter: plan first, then links, so that nothing
    /// is judged by an empty plan.
    ///
    /// # Errors
    /// When the plan was refused; the daemon goes on, degraded.
    pub fn start(&mut self, network: Network) -> Result<Reloaded, Failure> {
        self.network = network;
        self.tell_links();
        let result = self.set_addresses().and_then(|()| self.change());
        self.note(&result);
        self.settle(true);
        result
    }

    /// Reads everything again.
    ///
    /// # Errors
    /// When anything is wrong: then nothing has changed.
    pub fn reload(&mut self) -> Result<Reloaded, Failure> {
        let result = self.change();
        self.note(&result);
        if result.is_ok() {
            self.detached = false;
            self.settle(true);
        }
        result
    }

    fn note<T>(&mut self, result: &Result<T, Failure>) {
        match result {
            Ok(_) => self.troubles.remove(&Trouble::Change),
            Err(failure) => self
                .troubles
                .insert(Trouble::Change, vec![failure.message.clone()]),
        };
    }

    fn change(&mut self) -> Result<Reloaded, Failure> {
        let config = self.sources.config().map_err(|errors| refused(&errors))?;
        let mut compiled = self
            .sources
            .compile(&config)
            .map_err(|errors| refused(&errors))?;
        compiled.plan.mode = self.effective_mode(&config);
        let in_force = self.install(&compiled)?;
        let reloaded = Reloaded {
            schema: SCHEMA,
            generation: in_force.number,
            hash: hex(in_force.hash),
            policies: compiled.policies,
            rules: compiled.plan.rules.len(),
            warnings: compiled.warnings.iter().map(plain).collect(),
        };
        self.installed = Some((in_force, compiled));
        self.config = config;
        Ok(reloaded)
    }

    fn install(&mut self, compiled: &Compiled) -> Result<InForce, Failure> {
        let last = self.kernel.active()?.map_or(0, |active| active.number);
        let number = last + 1;
        // Before it judges, so that its first event finds its rules.
        self.names.send_modify(|names| {
            let mut new = Names::clone(names);
            new.add_plan(number, compiled.plan.rules.clone());
            new.identities = Arc::clone(&compiled.identities);
            *names = Arc::new(new);
        });
        let in_force = self.kernel.install(&compiled.plan, number)?;
        self.troubles.remove(&Trouble::Kernel);
        Ok(in_force)
    }

    fn effective_mode(&self, config: &Config) -> Mode {
        self.mode.get().unwrap_or(config.policy.mode.into())
    }

    /// Links or addresses have changed.
    pub fn network_changed(&mut self, network: Network) {
        if network == self.network {
            return;
        }
        self.network = network;
        self.tell_links();
        self.settle(false);
    }

    fn tell_links(&self) {
        let links = self.network.links.iter();
        let links: BTreeMap<_, _> = links.map(|link| (link.index, link.name.clone())).collect();
        self.names.send_if_modified(|names| {
            if names.links == links {
                return false;
            }
            let mut new = Names::clone(names);
            new.links = links;
            *names = Arc::new(new);
            true
        });
    }

    fn set_addresses(&mut self) -> Result<(), Failure> {
        self.kernel
            .set_local_addresses(&self.network.local_addresses())
    }

    /// `again`: links that are attached already are adopted anew.
    fn settle(&mut self, again: bool) {
        let mut problems = Vec::new();
        if let Err(failure) = self.set_addresses() {
            problems.push(failure.to_string());
        }
        let judges = matches!(self.kernel.active(), Ok(Some(_)));
        if judges && !self.detached {
            let wanted = &self.config.interfaces;
            problems.extend(links::settle(
                &mut self.kernel,
                &self.network,
                wanted,
                again,
            ));
            problems.extend(links::unacceptable(&self.kernel.attached(), wanted));
        }
        if problems.is_empty() {
            self.troubles.remove(&Trouble::Network);
        } else {
            self.troubles.insert(Trouble::Network, problems);
        }
    }

    /// Tries again what failed, and checks that the kernel holds what was
    /// installed. Returns whether it does.
    pub fn check(&mut self) -> bool {
        if self.troubles.contains_key(&Trouble::Network) {
            self.settle(false);
        }
        let Some((expected, _)) = &self.installed else {
            return self.kernel.active().is_ok();
        };
        let expected = *expected;
        let trouble = match (self.kernel.active(), self.kernel.read_back()) {
            (Err(failure), _) | (_, Err(failure)) => {
                Some(format!("the plan in force cannot be read back: {failure}"))
            }
            (Ok(active), Ok(hash)) if active != Some(expected) || hash != expected.hash => Some(
                "the kernel's tables are not those that were installed; try: fw-ctl reload".into(),
            ),
            _ => None,
        };
        match trouble {
            Some(trouble) => {
                self.troubles.insert(Trouble::Kernel, vec![trouble]);
                false
            }
            None => {
                self.troubles.remove(&Trouble::Kernel);
                true
            }
        }
    }

    /// Says the mode, as the kernel has it.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn mode(&self) -> Result<ModeStatus, Failure> {
        let mode = match self.kernel.active()?.map(|active| active.mode) {
            Some(Mode::Audit) => "audit",
            Some(Mode::Enforce) => "enforce",
            None => "none",
        };
        let source = match self.mode.get() {
            Some(_) => "fw-ctl mode",
            None => "configuration",
        };
        Ok(ModeStatus {
            schema: SCHEMA,
            mode: mode.into(),
            source: source.into(),
        })
    }

    /// Changes the mode of the plan in force, and remembers it.
    ///
    /// # Errors
    /// When there is no plan of this daemon's, or it cannot be stored or installed:
    /// then nothing has changed.
    pub fn set_mode(&mut self, change: ModeChange) -> Result<ModeStatus, Failure> {
        let Some((_, mut compiled)) = self.installed.take() else {
            return Err(Failure::new(
                exit::REFUSED,
                "the mode cannot be changed: no policy was accepted since the daemon started",
            )
            .help("fw-ctl status names the errors; `fw-ctl detach` opens the node"));
        };
        let before = self.mode.get();
        let old_mode = compiled.plan.mode;
        let result = self.mode.set(change).and_then(|()| {
            compiled.plan.mode = self.effective_mode(&self.config);
            self.install(&compiled).inspect_err(|_| {
                let back = match before {
                    Some(Mode::Audit) => ModeChange::Audit,
                    Some(Mode::Enforce) => ModeChange::Enforce,
                    None => ModeChange::Configured,
                };
                if let Err(failure) = self.mode.set(back) {
                    tracing::error!("{failure}");
                }
            })
        });
        match result {
            Ok(in_force) => {
                self.installed = Some((in_force, compiled));
                self.mode()
            }
            Err(failure) => {
                compiled.plan.mode = old_mode;
                self.installed = match self.kernel.active()? {
                    Some(active) => Some((active, compiled)),
                    None => None,
                };
                Err(failure)
            }
        }
    }

    /// Takes the filter off every link, until the next reload or start.
    ///
    /// # Errors
    /// When the kernel refuses one; the others are off.
    pub fn detach(&mut self) -> Result<Detached, Failure> {
        self.detached = true;
        let mut interfaces = Vec::new();
        let mut failures = Vec::new();
        for link in self.kernel.attached() {
            match self.kernel.detach(link.index) {
                Ok(()) => interfaces.push(link.name),
                Err(failure) => failures.push(format!("{}: {failure}", link.name)),
            }
        }
        self.settle(false);
        if failures.is_empty() {
            Ok(Detached {
                schema: SCHEMA,
                interfaces,
            })
        } else {
            Err(Failure::new(exit::UNREACHABLE, failures.join("\n")))
        }
    }

    /// Rules with their counters.
    ///
    /// # Errors
    /// When there is no plan of this daemon's, or the kernel cannot be asked.
    pub fn rules(&self) -> Result<Rules, Failure> {
        let Some((in_force, compiled)) = &self.installed else {
            return Err(Failure::new(
                exit::NEGATIVE,
                "no policy was accepted since the daemon started: the rules in force have no names",
            )
            .help("fw-ctl status names the errors"));
        };
        let rules = &compiled.plan.rules;
        let tallies = self.kernel.rule_counters(rules.len())?;
        let rules = rules.iter().zip(tallies).enumerate();
        let rules = rules.map(|(id, (rule, tally))| RuleStatus {
            id,
            direction: match rule.direction {
                Some(fw_common::wire::Direction::Ingress) => "ingress",
                Some(fw_common::wire::Direction::Egress) => "egress",
                None => "both",
            }
            .into(),
            verdict: if rule.allow { "allow" } else { "deny" }.into(),
            policy: rule.policy.clone(),
            rule: rule.rule.clone(),
            origin: rule.origin.clone(),
            packets: tally.packets,
            bytes: tally.bytes,
        });
        Ok(Rules {
            schema: SCHEMA,
            generation: in_force.number,
            rules: rules.collect(),
        })
    }

    /// The plan in force and the configuration, for a trace.
    #[must_use]
    pub fn plan(&self) -> Option<(&Compiled, &Network)> {
        let (_, compiled) = self.installed.as_ref()?;
        Some((compiled, &self.network))
    }

    /// How it goes.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn status(&self) -> Result<Status, Failure> {
        let mode = self.mode()?;
        let active = self.kernel.active()?;
        let wanted = &self.config.interfaces;
        let attached = self.kernel.attached();
        let mut degraded: Vec<String> = self.troubles.values().flatten().cloned().collect();
        if self.detached {
            degraded
                .push("nothing is filtered: `fw-ctl detach` was run; try: fw-ctl reload".into());
        } else if active.is_none() {
            degraded.push("nothing is filtered: there is no plan".into());
        }
        let declared = self.declared();
        let compiled = self
            .installed
            .as_ref()
            .map(|(in_force, _)| hex(in_force.hash));
        let mut warnings = links::slow(&attached, wanted);
        if let Some((_, compiled)) = &self.installed {
            warnings.extend(compiled.warnings.iter().map(plain));
        }
        if compiled.is_some()
            && declared != compiled
            && !self.troubles.contains_key(&Trouble::Change)
        {
            warnings.push(match declared {
                Some(_) => {
                    "the files have changed since the last reload; try: fw-ctl reload".into()
                }
                None => {
                    "the files have changed since the last reload, and a reload would refuse them"
                        .into()
                }
            });
        }
        let choices = choose(&self.network, wanted);
        let unfiltered: Vec<_> = choices
            .into_iter()
            .filter_map(|(link, choice)| match choice {
                Choice::Filter => None,
                Choice::Leave { why, gap } => Some(UnfilteredStatus {
                    name: link.name.clone(),
                    why,
                    gap,
                }),
            })
            .collect();
        warnings.extend(
            unfiltered
                .iter()
                .filter(|link| link.gap)
                .map(|link| format!("{}: {}", link.name, link.why)),
        );
        Ok(Status {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            node: self.config.node_name(),
            mode: mode.mode,
            mode_source: mode.source,
            degraded,
            warnings,
            generation: GenerationStatus {
                number: active.map(|active| active.number),
                declared,
                compiled,
                kernel: active.map(|active| hex(active.hash)),
                read_back: match active {
                    Some(_) => Some(hex(self.kernel.read_back()?)),
                    None => None,
                },
            },
            interfaces: attached
                .into_iter()
                .map(|link| InterfaceStatus {
                    name: link.name,
                    index: link.index,
                    ingress: link.ingress,
                    egress: "tc".into(),
                    why: link.why,
                })
                .collect(),
            unfiltered,
            addresses: self.network.local_addresses().into_iter().collect(),
            policies: self.installed.as_ref().map_or(0, |(_, c)| c.policies),
            rules: self
                .installed
                .as_ref()
                .map_or(0, |(_, c)| c.plan.rules.len()),
            builtins: self.builtins(),
            counters: self.counters()?,
            lost_events: self.kernel.lost_events()?,
        })
    }

    /// Hash of what the files of this moment compile to.
    fn declared(&self) -> Option<String> {
        let config = self.sources.config().ok()?;
        let mut plan = self.sources.compile(&config).ok()?.plan;
        plan.mode = self.effective_mode(&config);
        Some(hex(self.kernel.hash(&plan)))
    }

    fn builtins(&self) -> Vec<String> {
        let bits = self.config.builtins.bits();
        fw_common::wire::BUILTINS
            .iter()
            .filter(|row| bits & row.0.bit() != 0)
            .map(|row| row.1.to_owned())
            .collect()
    }

    fn counters(&self) -> Result<Vec<super::status::CounterStatus>, Failure> {
        let counters = self.kernel.counters()?.into_iter();
        let moved = counters.filter(|(_, _, tally)| tally.packets > 0);
        let counters = moved.map(|(direction, counter, tally)| super::status::CounterStatus {
            direction: match direction {
                fw_common::wire::Direction::Ingress => "ingress",
                fw_common::wire::Direction::Egress => "egress",
            }
            .into(),
            name: counter.name(),
            packets: tally.packets,
            bytes: tally.bytes,
        });
        Ok(counters.collect())
    }
}

fn refused(errors: &[Diagnostic]) -> Failure {
    let lines: Vec<_> = errors.iter().map(plain).collect();
    Failure::new(exit::INVALID, lines.join("\n"))
}

/// A finding in one line, for logs and `status`.
pub(crate) fn plain(finding: &Diagnostic) -> String {
    let place = match finding.span {
        Some(span) => format!("{}:{}:{}", finding.source.name, span.line, span.column),
        None => finding.source.name.clone(),
    };
    let help = finding
        .help
        .as_ref()
        .map_or_else(String::new, |help| format!(" ({help})"));
    format!("{place}: {}{help}", finding.message)
}

#[cfg(test)]
#[path = "firewall_tests.rs"]
mod tests;
