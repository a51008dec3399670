//! Every decision of the daemon, one after the other.
//!
//! The rule behind all of them: the node keeps the last plan that was right. A
//! change with an error is refused as a whole; a daemon that starts among broken
//! policies keeps what is pinned, else puts the last accepted plan in force again;
//! where there is none it attaches nothing, so that an empty plan never judges.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;

use super::counting::Counting;
use super::expected::Expected;
use super::held::HeldStore;
use super::links::Tried;
use super::status::Reloaded;
use super::tallies::TallyStore;
use super::trial::OnTrial;
use super::{
    AttachedLink, BanStore, Compiled, ConfirmedStore, Event, InForce, Kernel, LedgerStore, Look,
    ModeStore, Names, Recent, Refusal, RefusedLists, Seen, SharedRecent, Sources, Wrong, links,
};
use crate::compile::plan::Mode;
use crate::config::{Config, Metrics};
use crate::control::protocol::{Change, Failure};
use crate::harm::Harm;
use crate::metrics::{Histogram, Listening};
use crate::netlink::{Demand, Network};
use crate::observe::{AgentEvents, Grouped};
use crate::policy::rules::RuleSet;

/// What can be wrong, one entry each: the newest word replaces the older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// The last change was refused.
    Change,
    /// A trial was lost, and no files are held back for it: of a mode, or of an old plan.
    Trial,
    /// Lists that changed by themselves are not those in force.
    Lists,
    /// Links or addresses.
    Network,
    /// The kernel does not hold what was installed.
    Kernel,
    /// What must outlast a reboot cannot be kept or read.
    State,
    /// Bans are not in force or not kept.
    Bans,
}

/// Why there is no change.
pub(super) enum Refused {
    /// By us, for what the files say.
    Inputs(Arc<Wrong>),
    /// By us, for what it would cut.
    Harm(Box<Harm>),
    /// By the kernel, or because it would open the node.
    Kernel(Failure),
    /// Another change has to be confirmed or left first: nothing is wrong.
    Waits(Failure),
}

/// What the last look at the files found.
pub(super) struct Looked {
    pub(super) seen: Seen,
    pub(super) refusal: Option<Refusal>,
    /// Mode and hash of a plan that the kernel refused.
    pub(super) unfit: Option<(Mode, [u8; 16])>,
}

/// The cause of what is in force since the daemon has started.
pub(super) const START: &str = "start";

/// The state of the daemon.
pub struct Firewall<K, S> {
    pub(super) kernel: K,
    pub(super) sources: S,
    pub(super) config: Config,
    pub(super) mode: ModeStore,
    pub(super) confirmed: ConfirmedStore,
    pub(super) bans: BanStore,
    /// Addresses that may come back after a boot.
    pub(super) expected: Expected,
    /// Why the kernel does not hold all bans.
    pub(super) bans_refused: Option<String>,
    /// What was installed last, and the plan with the mode that it has.
    pub(super) installed: Option<(InForce, Compiled)>,
    /// When the files last became what was installed, and how.
    pub(super) event: Event,
    /// What was installed is on trial.
    pub(super) trial: Option<OnTrial>,
    /// Files that are not to be taken by a restart.
    pub(super) held: HeldStore,
    /// The pins of the tables were made again during a trial.
    pub(super) unpinned: bool,
    names: watch::Sender<Arc<Names>>,
    pub(super) network: Network,
    /// What was tried to attach.
    tried: Tried,
    /// `fw-ctl detach` was here.
    pub(super) detached: bool,
    pub(super) troubles: BTreeMap<Trouble, Vec<String>>,
    /// The last look at the files.
    pub(super) looked: Option<Looked>,
    /// Lists that changed by themselves and make no plan.
    pub(super) refused_lists: Option<RefusedLists>,
    /// Why the last accepted plan could not be had from the disk.
    pub(super) record: Option<String>,
    /// What rules have decided.
    pub(super) tallies: TallyStore,
    pub(super) counting: Counting,
    /// What events told of lately.
    pub(super) recent: SharedRecent,
    /// Where what was not allowed is kept.
    pub(super) ledger: LedgerStore,
    /// Who is told what becomes of the daemon.
    pub(super) agent: Arc<AgentEvents>,
    /// The rules that they were told of last.
    pub(super) told_rules: Option<Arc<RuleSet>>,
    /// Whether the files were looked at once.
    started: bool,
    /// How long reloads took that came in force.
    pub(super) reloads: Histogram,
    /// Reloads that were refused.
    pub(super) refused: u64,
    /// What `metrics` of the configuration in force says.
    metrics: watch::Sender<Metrics>,
    pub(super) listening: Listening,
}

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Takes over what is there; nothing changes before [`Self::begin`].
    pub fn new(kernel: K, sources: S, config: Config, names: watch::Sender<Arc<Names>>) -> Self {
        let state = &config.paths.state_dir.clone();
        let (ledger, kept) = LedgerStore::open(state);
        let agent = Arc::new(AgentEvents::new(Arc::clone(&names.borrow().node)));
        let (metrics, _) = watch::channel(config.metrics.clone());
        Self {
            kernel,
            sources,
            mode: ModeStore::open(state),
            confirmed: ConfirmedStore::new(state),
            bans: BanStore::open(state),
            expected: Expected::open(state),
            bans_refused: None,
            config,
            installed: None,
            event: Event::default(),
            trial: None,
            held: HeldStore::open(state),
            unpinned: false,
            names,
            network: Network::default(),
            tried: Tried::default(),
            detached: false,
            troubles: BTreeMap::new(),
            looked: None,
            refused_lists: None,
            record: None,
            tallies: TallyStore::open(state),
            counting: Counting::default(),
            recent: Arc::new(Mutex::new(Recent::of(kept))),
            ledger,
            agent,
            told_rules: None,
            started: false,
            reloads: Histogram::default(),
            refused: 0,
            metrics,
            listening: Listening::default(),
        }
    }

    /// Learns the links. Where nothing is in force, as after a reboot, brings the
    /// node under the last accepted plan at once: reading and compiling the
    /// operator's files may take a while, and [`Self::apply`] puts them in force.
    pub fn begin(&mut self, network: Network) {
        self.network = network;
        self.tell_links();
        self.recover_mode();
        self.restore_bans();
        self.adopt_trial();
        if matches!(self.kernel.active(), Ok(None)) {
            self.expected.begin(Instant::now());
            self.restore();
            if self.installed.is_some() {
                self.settle(true);
            }
        }
    }

    /// Whether the files were looked at once.
    #[must_use]
    pub fn started(&self) -> bool {
        self.started
    }

    /// Where the files come from, to look at them beside.
    pub fn sources(&self) -> &S {
        &self.sources
    }

    /// Where what is in force is kept, for who looks at the files.
    pub fn store(&self) -> &ConfirmedStore {
        &self.confirmed
    }

    /// What monitoring systems are told, by the configuration in force.
    #[must_use]
    pub fn metrics(&self) -> watch::Receiver<Metrics> {
        self.metrics.subscribe()
    }

    /// Where it is noted that they cannot be told.
    #[must_use]
    pub fn listening(&self) -> Listening {
        self.listening.clone()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the last look refused, for the next.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.looked.as_ref()?.refusal.clone()
    }

    /// Puts in force what the files say: plan first, then links, so that nothing is
    /// judged by an empty plan. `attach`: also on a node that was opened. `change`: how,
    /// and `cause` for the journal.
    ///
    /// # Errors
    /// When anything is wrong: then nothing has changed. The first time, the daemon
    /// goes on all the same, degraded, with what is pinned or was accepted last.
    pub fn apply(
        &mut self,
        look: Look,
        attach: bool,
        change: &Change,
        cause: &str,
    ) -> Result<Reloaded, Failure> {
        let (read, began) = (look.took, Instant::now());
        self.end_trial();
        self.keep_brake();
        let first = !std::mem::replace(&mut self.started, true);
        let addresses = if first {
            self.set_addresses(true)
        } else {
            Ok(())
        };
        let result = addresses
            .map_err(Refused::Kernel)
            .and_then(|()| self.change(look, first, change, cause));
        self.held.unforesee();
        if result.is_err() && first && self.installed.is_none() && self.trial.is_none() {
            self.restore();
        }
        let result = result.map_err(|refused| self.tell(refused));
        if result.is_ok() && attach {
            self.detached = false;
        }
        if first || result.is_ok() {
            self.settle(true);
        }
        match &result {
            Ok(_) => self.reloads.add(read + began.elapsed()),
            Err(_) => self.refused += 1,
        }
        result
    }

    /// Remembers why the last change was refused, in a line for each error.
    fn tell(&mut self, refused: Refused) -> Failure {
        let (failure, lines) = match refused {
            Refused::Waits(failure) => return failure,
            Refused::Kernel(failure) => {
                let lines = vec![failure.line()];
                (failure, lines)
            }
            Refused::Harm(harm) => {
                let line = format!("the change is refused: {}", harm.headline());
                let lines = vec![format!("{line} (try: fw-ctl reload, which names it)")];
                (harm.refusal(), lines)
            }
            Refused::Inputs(wrong) => {
                let what = match self.kernel.active() {
                    Ok(Some(active)) => format!(
                        "the change is refused, generation {} stays in force",
                        active.number
                    ),
                    _ if !self.kernel.unswitched().is_empty() => {
                        "the files are refused, the programs of a former version go on".to_owned()
                    }
                    _ => "the files are refused, and nothing is filtered".to_owned(),
                };
                (wrong.failure(&what), wrong.lines())
            }
        };
        self.troubles.insert(Trouble::Change, lines);
        failure
    }

    /// Takes a plan for what is in force.
    pub(super) fn take(&mut self, in_force: InForce, compiled: Compiled) {
        self.tell_policies(&compiled.rules, in_force.number);
        self.config = Config {
            paths: self.config.paths.clone(),
            hubble: self.config.hubble.clone(),
            ..compiled.inputs.config.clone()
        };
        self.metrics.send_if_modified(|metrics| {
            let other = *metrics != self.config.metrics;
            metrics.clone_from(&self.config.metrics);
            other
        });
        self.count_known(in_force.number, &compiled);
        self.installed = Some((in_force, compiled));
    }

    /// Names the rules of generation `number` in events.
    pub(super) fn name(&self, number: u64, compiled: &Compiled) {
        self.names.send_modify(|names| {
            let mut new = Names::clone(names);
            new.add_plan(number, &compiled.plan.rules);
            let groups = compiled.groups.clone();
            let grouped = Grouped::new(compiled.identities.clone(), groups);
            new.identities = Arc::new(grouped);
            new.node_labels = Arc::clone(&compiled.node_labels);
            *names = Arc::new(new);
        });
    }

    pub(super) fn install(&mut self, compiled: &Compiled) -> Result<InForce, Failure> {
        let number = self.next_number()?;
        self.install_as(compiled, number)
    }

    pub(super) fn install_as(
        &mut self,
        compiled: &Compiled,
        number: u64,
    ) -> Result<InForce, Failure> {
        // Before it judges, so that its first event finds its rules.
        self.name(number, compiled);
        self.remember_open(compiled, compiled.plan.mode);
        self.count_rules();
        let in_force = self.kernel.install(&compiled.plan, number)?;
        self.count_anew(number, compiled);
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
        let old = std::mem::replace(&mut self.network, network);
        let (had, has) = (old.local_addresses(), self.network.local_addresses());
        self.expected.changed(&had, &has, Instant::now());
        self.tell_links();
        self.settle(false);
        before != (self.kernel.attached(), self.problems())
    }

    fn tell_links(&self) {
        let links = self.network.links.iter();
        let links: BTreeMap<_, Arc<str>> = links
            .map(|link| (link.index, link.name.as_str().into()))
            .collect();
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

    fn set_addresses(&mut self, anew: bool) -> Result<(), Failure> {
        let addresses = self.expected.with(&self.network.local_addresses());
        self.kernel.set_local_addresses(&addresses, anew)
    }

    /// Whether verdicts of the plan in force depend on the VLAN.
    pub(super) fn needs_tags(&self) -> bool {
        let installed = self.installed.as_ref();
        installed.is_some_and(|(_, compiled)| compiled.plan.needs_vlan())
    }

    /// `again`: links that are attached already are adopted anew.
    pub(super) fn settle(&mut self, again: bool) {
        let mut problems = Vec::new();
        if let Err(failure) = self.set_addresses(again) {
            problems.push(failure.line());
        }
        let judges = matches!(self.kernel.active(), Ok(Some(_)));
        if judges && !self.detached {
            let before = self.kernel.attached().len();
            let wanted = &self.config.interfaces;
            let demand = Demand {
                wanted,
                needs_tags: self.needs_tags(),
            };
            problems.extend(links::settle(
                &mut self.kernel,
                &mut self.tried,
                &self.network,
                demand,
                again,
            ));
            problems.extend(links::unacceptable(&self.kernel.attached(), wanted));
            problems.extend(untold(&self.kernel.lost(), &problems));
            if self.kernel.attached().len() > before {
                // What began on a link while it was not filtered yet.
                self.remember_open_in_force();
            }
        }
        if problems.is_empty() {
            self.troubles.remove(&Trouble::Network);
        } else {
            self.troubles.insert(Trouble::Network, problems);
        }
        self.self_test();
    }
}

/// A line for each link that was filtered and is not, beside those that `problems`
/// name already.
pub(super) fn untold(lost: &[(AttachedLink, String)], problems: &[String]) -> Vec<String> {
    let told = |name: &str| {
        let about = format!("interface {name}:");
        problems.iter().any(|problem| problem.starts_with(&about))
    };
    lost.iter()
        .filter(|(link, _)| !told(&link.name))
        .map(|(link, why)| format!("interface {}: {why} (try: fw-ctl reload)", link.name))
        .collect()
}

#[cfg(test)]
#[path = "firewall_tests/mod.rs"]
mod tests;
