//! Every decision of the daemon, one after the other.
//!
//! The rule behind all of them: the node keeps the last plan that was right. A
//! change with an error is refused as a whole; a daemon that starts among broken
//! policies keeps what is pinned, and where nothing is pinned it attaches
//! nothing, so that an empty plan never judges.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::status::{Detached, ModeStatus, Reloaded, SCHEMA, hex};
use super::{Compiled, InForce, Kernel, ModeStore, Names, Sources, Wrong, links};
use crate::cli::output::plain;
use crate::compile::plan::Mode;
use crate::config::Config;
use crate::control::protocol::{Failure, ModeChange};
use crate::exit;
use crate::netlink::Network;
use crate::observe::Identify;

/// What can be wrong, one entry each: the newest word replaces the older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// The last change was refused.
    Change,
    /// Links or addresses.
    Network,
    /// The kernel does not hold what was installed.
    Kernel,
}

/// The state of the daemon.
pub struct Firewall<K, S> {
    pub(super) kernel: K,
    pub(super) sources: S,
    pub(super) config: Config,
    pub(super) mode: ModeStore,
    /// What was installed last, and the plan with the mode that it has.
    pub(super) installed: Option<(InForce, Compiled)>,
    names: watch::Sender<Arc<Names>>,
    pub(super) network: Network,
    /// `fw-ctl detach` was here.
    pub(super) detached: bool,
    pub(super) troubles: BTreeMap<Trouble, Vec<String>>,
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

    /// Brings the node under the filter: plan first, then links, so that nothing
    /// is judged by an empty plan.
    ///
    /// # Errors
    /// When the plan was refused; the daemon goes on, degraded.
    pub fn start(&mut self, network: Network) -> Result<Reloaded, Failure> {
        self.network = network;
        self.tell_links();
        let result = match self.set_addresses() {
            Ok(()) => self.change(),
            Err(failure) => {
                let lines = vec![failure.line()];
                Err(self.note(failure, lines))
            }
        };
        self.settle(true);
        result
    }

    /// Reads everything again.
    ///
    /// # Errors
    /// When anything is wrong: then nothing has changed.
    pub fn reload(&mut self) -> Result<Reloaded, Failure> {
        let reloaded = self.change()?;
        self.detached = false;
        self.settle(true);
        Ok(reloaded)
    }

    /// Remembers why the last change was refused, in a line for each error.
    fn note(&mut self, failure: Failure, lines: Vec<String>) -> Failure {
        self.troubles.insert(Trouble::Change, lines);
        failure
    }

    fn refuse(&mut self, wrong: &Wrong) -> Failure {
        let what = match self.kernel.active() {
            Ok(Some(active)) => format!(
                "the change is refused, generation {} stays in force",
                active.number
            ),
            _ => "the files are refused, and nothing is filtered".to_owned(),
        };
        self.note(wrong.failure(&what), wrong.lines())
    }

    fn change(&mut self) -> Result<Reloaded, Failure> {
        let config = self.sources.config();
        let config = config.map_err(|errors| self.refuse(&Wrong::Files(errors)))?;
        let compiled = self.sources.compile(&config);
        let mut compiled = compiled.map_err(|wrong| self.refuse(&wrong))?;
        compiled.plan.mode = self.effective_mode(&config);
        let installed = self.install(&compiled);
        let in_force = installed.map_err(|failure| {
            let lines = vec![failure.line()];
            self.note(failure, lines)
        })?;
        self.troubles.remove(&Trouble::Change);
        let mut warnings: Vec<_> = compiled.warnings.iter().map(plain).collect();
        if config.paths != self.config.paths {
            warnings.push("`[paths]` has changed: that takes a restart".into());
        }
        let reloaded = Reloaded {
            schema: SCHEMA,
            generation: in_force.number,
            hash: hex(in_force.hash),
            policies: compiled.policies,
            rules: compiled.plan.rules.len(),
            warnings,
        };
        self.installed = Some((in_force, compiled));
        self.config = Config {
            paths: self.config.paths.clone(),
            ..config
        };
        Ok(reloaded)
    }

    fn install(&mut self, compiled: &Compiled) -> Result<InForce, Failure> {
        let last = self.kernel.active()?.map_or(0, |active| active.number);
        let number = last + 1;
        // Before it judges, so that its first event finds its rules.
        self.names.send_modify(|names| {
            let mut new = Names::clone(names);
            new.add_plan(number, compiled.plan.rules.clone());
            let identities: Arc<dyn Identify + Send + Sync> = compiled.identities.clone();
            new.identities = identities;
            *names = Arc::new(new);
        });
        let in_force = self.kernel.install(&compiled.plan, number)?;
        self.troubles.remove(&Trouble::Kernel);
        Ok(in_force)
    }

    pub(super) fn effective_mode(&self, config: &Config) -> Mode {
        self.mode.get().unwrap_or(config.policy.mode.into())
    }

    /// Links or addresses have changed. Returns whether that made a difference to
    /// what is filtered, or to what is wrong.
    pub fn network_changed(&mut self, network: Network) -> bool {
        if network == self.network {
            return false;
        }
        let before = (self.kernel.attached(), self.problems());
        self.network = network;
        self.tell_links();
        self.settle(false);
        before != (self.kernel.attached(), self.problems())
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
            problems.push(failure.line());
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
            (Err(failure), _) | (_, Err(failure)) => Some(format!(
                "the plan in force cannot be read back: {}",
                failure.line()
            )),
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
                self.installed = self.kernel.active()?.map(|active| (active, compiled));
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
                Err(failure) => failures.push(failure.line()),
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
}

#[cfg(test)]
#[path = "firewall_tests.rs"]
mod tests;
