//! What the daemon tells of itself.

use std::sync::Arc;

use fw_common::wire::BUILTINS;

use super::filters::DatapathStatus;
use super::firewall::untold;
use super::status::{
    CounterStatus, GenerationStatus, InterfaceStatus, ListStatus, RuleStatus, Rules, SCHEMA,
    Status, UnfilteredStatus, hex,
};
use super::tallies::Counted;
use super::{AttachedLink, Compiled, Firewall, Kernel, Seen, Sources, links};
use crate::cli::output::plain;
use crate::control::protocol::Failure;
use crate::datapath::INCOMPLETE;
use crate::datapath::flows::Pressure;
use crate::exit;
use crate::lists::List;
use crate::moment;
use crate::netlink::{Choice, Demand, Link, Network, plan};

/// How the trouble begins that the kernel's tables cannot be compared.
pub(super) const UNREADABLE: &str = "the plan in force cannot be read back";

/// The files are not what is in force.
const CHANGED: &str = "the files have changed since the last reload; try: fw-ctl reload";

/// Nobody knows whether they are.
const SILENT: &str = "the files cannot be compared with what is in force: reading them takes too \
                      long; try: ls on the directories of policies and inventory";

/// A former daemon has left a plan, and what it was made from is lost.
const UNKEPT: &str = "what is in force is not kept for the next boot, after which nothing would be \
                      filtered: it was lost from `paths.state_dir`; try: fw-ctl reload";

impl<K: Kernel, S: Sources> Firewall<K, S> {
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
        let counted = self.counted(in_force.number);
        let counted = counted.unwrap_or_else(|| vec![Counted::default(); rules.len()]);
        let rules = rules.iter().zip(counted).enumerate();
        let rules = rules.map(|(id, (rule, Counted { tally, since, last }))| RuleStatus {
            id,
            direction: rule.direction_name().into(),
            verdict: rule.verdict_name().into(),
            rate: rule.rate.map(|rate| rate.to_string()),
            vlans: rule.vlans.as_ref().map(ToString::to_string),
            policy: rule.policy.clone(),
            rule: rule.rule.clone(),
            origin: rule.origin.clone(),
            packets: tally.packets,
            bytes: tally.bytes,
            limited: rule.rate.map(|_| tally.limited),
            since: moment::rfc3339(since),
            last_hit: last.map(moment::rfc3339),
        });
        Ok(Rules {
            schema: SCHEMA,
            generation: in_force.number,
            rules: rules.collect(),
            node: self.config.node_name(),
            mode: self.mode()?.mode,
            counters: self.counters()?,
            lost_events: self.kernel.lost_events()?,
        })
    }

    /// The plan in force and the configuration, for a trace.
    #[must_use]
    pub fn plan(&self) -> Option<(&Compiled, &Network)> {
        let (_, compiled) = self.installed.as_ref()?;
        Some((compiled, &self.network))
    }

    /// Every link that is filtered.
    #[must_use]
    pub fn attached(&self) -> Vec<AttachedLink> {
        self.kernel.attached()
    }

    /// What is not as it should be, a line each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.troubles.values().flatten().cloned().collect()
    }

    /// How it goes, in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        let mode = self
            .mode()
            .map_or_else(|_| "unknown".into(), |mode| mode.mode);
        let reading = match self.started() {
            true => "",
            false => " by what was accepted last; the files are being read",
        };
        let state = match self.troubles.values().flatten().next() {
            None if self.detached => "detached: nothing is filtered".to_owned(),
            None if !self.judges() => "nothing is filtered yet: the files are being read".into(),
            None => {
                let filtered = format!(
                    "{} interfaces filtered{reading}",
                    self.kernel.attached().len()
                );
                match self.on_trial() {
                    Some(trial) => format!("{filtered}, {trial}"),
                    None => filtered,
                }
            }
            Some(trouble) => format!("degraded: {}", trouble.lines().next().unwrap_or_default()),
        };
        format!("mode {mode}, {state}")
    }

    /// Whether packets are judged by a plan, perhaps one that an earlier daemon has left.
    #[must_use]
    pub fn judges(&self) -> bool {
        !self.detached && matches!(self.kernel.active(), Ok(Some(_)))
    }

    /// What the daemon leaves behind when it ends, in a line.
    #[must_use]
    pub fn farewell(&self) -> &'static str {
        if self.judges() && !self.kernel.attached().is_empty() {
            "stopped; the node stays filtered (fw-ctl detach opens it)"
        } else {
            "stopped; nothing is filtered"
        }
    }

    /// What the kernel's tables hash to; that they cannot be read degrades.
    fn read_back(&self, degraded: &mut Vec<String>) -> Option<String> {
        match self.kernel.read_back() {
            Ok(hash) => Some(hex(hash)),
            Err(failure) => {
                if !degraded.iter().any(|line| line.starts_with(UNREADABLE)) {
                    degraded.push(format!("{UNREADABLE}: {}", failure.line()));
                }
                None
            }
        }
    }

    /// Whether the files were looked at since the daemon started: then it matters what they
    /// say now.
    #[must_use]
    pub fn has_looked(&self) -> bool {
        self.looked.is_some()
    }

    /// How it goes, where the files say what was `seen` now, if they can be read.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn status(&self, seen: Option<&Seen>) -> Result<Status, Failure> {
        let mode = self.mode()?;
        let active = self.kernel.active()?;
        let wanted = &self.config.interfaces;
        let mut warnings = Vec::new();
        let attached = self.kernel.attached();
        let lost = self.kernel.lost();
        let datapath = DatapathStatus::of(&self.kernel);
        let mut degraded = self.wrong(active.is_some(), &lost, &datapath);
        let is_lost = |link: &AttachedLink| lost.iter().any(|(other, _)| other.index == link.index);
        let read_back = active.and_then(|_| self.read_back(&mut degraded));
        let (changed, declared) = self.files(seen);
        if let Some(trial) = self.on_trial() {
            warnings.push(trial.to_string());
        }
        degraded.extend(self.starting());
        if let Some(line) = changed {
            // What is wrong otherwise says more.
            let told = if degraded.is_empty() {
                &mut degraded
            } else {
                &mut warnings
            };
            told.push(line.into());
        }
        let compiled = self
            .installed
            .as_ref()
            .map(|(in_force, _)| hex(in_force.hash));
        warnings.extend(links::slow(&attached, wanted));
        if let Some((_, compiled)) = &self.installed {
            warnings.extend(compiled.warnings.iter().map(plain));
            warnings.extend(compiled.inputs.losses());
        }
        let unfiltered = self.unfiltered(&lost);
        warnings.extend(
            unfiltered
                .iter()
                .filter(|link| link.gap)
                .map(|link| format!("{}: {}", link.name, link.why)),
        );
        let connections = self.kernel.pressure()?;
        warnings.extend(crowded(connections));
        warnings.extend(self.listening.trouble());
        let notes = self.tallies.notes().chain(self.ledger.notes());
        warnings.extend(notes.cloned());
        Ok(Status {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            node: self.config.node_name(),
            mode: mode.mode,
            mode_source: mode.source,
            degraded,
            warnings,
            trial: self.on_trial(),
            generation: GenerationStatus {
                number: active.map(|active| active.number),
                declared,
                compiled,
                kernel: active.map(|active| hex(active.hash)),
                read_back,
            },
            datapath,
            interfaces: attached
                .iter()
                .filter(|link| !is_lost(link))
                .cloned()
                .map(|link| InterfaceStatus {
                    name: link.name,
                    index: link.index,
                    ingress: link.ingress,
                    egress: "tc".into(),
                    why: link.why,
                })
                .collect(),
            unfiltered,
            addresses: self.network.local_addresses().texts(),
            policies: self.installed.as_ref().map_or(0, |(_, c)| c.policies),
            rules: self
                .installed
                .as_ref()
                .map_or(0, |(_, c)| c.plan.rules.len()),
            builtins: self.builtins(),
            failsafe: self.failsafe()?,
            vlans: self.admitted_vlans(),
            connections,
            bans: self.bans().bans.len(),
            lists: self.lists(),
            counters: self.counters()?,
            lost_events: self.kernel.lost_events()?,
        })
    }

    /// What is not as it should be, as far as it can be told without a look at the files and
    /// the tables of the plan. `lost`: links that lost their programs.
    pub(super) fn wrong(
        &self,
        is_plan: bool,
        lost: &[(AttachedLink, String)],
        datapath: &DatapathStatus,
    ) -> Vec<String> {
        let mut wrong = self.problems();
        wrong.extend(untold(lost, &wrong));
        wrong.extend(self.unjudged(is_plan));
        wrong.extend(datapath.problem());
        wrong
    }

    /// What is wrong while the files are read for the first time.
    pub(super) fn starting(&self) -> Option<String> {
        let line = "the files are being read and compiled since the start";
        (!self.started()).then(|| line.to_owned())
    }

    /// What is wrong with the plan in force, if there `is_plan`.
    fn unjudged(&self, is_plan: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.detached {
            wrong.push("nothing is filtered: `fw-ctl detach` was run; try: fw-ctl reload".into());
        }
        let unswitched = self.kernel.unswitched();
        if !is_plan && !self.detached && unswitched.is_empty() {
            wrong.push("nothing is filtered: there is no plan".into());
        }
        wrong.extend(unswitched.iter().map(of_former));
        if is_plan && self.installed.is_none() && !self.confirmed.exists() {
            wrong.push(UNKEPT.into());
        }
        wrong
    }

    /// Interfaces that are not filtered, and why: `lost` are those that lost their programs.
    pub(super) fn unfiltered(&self, lost: &[(AttachedLink, String)]) -> Vec<UnfilteredStatus> {
        let demand = Demand {
            wanted: &self.config.interfaces,
            needs_tags: self.needs_tags(),
        };
        let choices = plan(&self.network, demand);
        let attached = self.kernel.attached();
        let is_attached = |link: &Link| attached.iter().any(|other| other.index == link.index);
        let left = choices
            .into_iter()
            .filter_map(|(link, choice)| match choice {
                Choice::Filter(_) => None,
                Choice::Leave { .. } if is_attached(link) => None,
                Choice::Leave { why, gap, .. } => Some(UnfilteredStatus {
                    name: link.name.clone(),
                    why,
                    gap,
                }),
            });
        let lost = lost.iter().map(|(link, why)| UnfilteredStatus {
            name: link.name.clone(),
            why: why.clone(),
            gap: true,
        });
        left.chain(lost).collect()
    }

    fn lists(&self) -> Vec<ListStatus> {
        let Some(inputs) = self.inputs() else {
            return Vec::new();
        };
        let of = |list: &Arc<List>| ListStatus {
            name: list.name.clone(),
            file: list.file.clone(),
            entries: list.prefixes.len(),
            expired: list.prefixes.len() - list.prefixes.count(inputs.expired),
            lost: list
                .lost
                .as_ref()
                .map_or(0, |lost| lost.count(inputs.expired)),
        };
        inputs.lists.iter().map(of).collect()
    }

    /// What there is to say if the files are not those of the last look at them, and the hash of
    /// what they say, as far as it is known.
    fn files(&self, seen: Option<&Seen>) -> (Option<&'static str>, Option<String>) {
        let Some(old) = &self.looked else {
            return (None, None);
        };
        let Some(seen) = seen else {
            return (Some(SILENT), None);
        };
        if old.seen == *seen {
            return (None, self.declared());
        }
        // A rollback may have brought what they say by now.
        let installed = self.installed.as_ref();
        let again = installed.filter(|(_, compiled)| seen.is_of(&compiled.inputs));
        let again = again.map(|(in_force, _)| hex(in_force.hash));
        (again.is_none().then_some(CHANGED), again)
    }

    /// Hash of what the last look at the files made of them, as far as it is known:
    /// not of refused ones.
    fn declared(&self) -> Option<String> {
        let looked = self.looked.as_ref()?;
        if let Some((mode, hash)) = looked.unfit {
            return (self.effective_mode(&self.config) == mode).then(|| hex(hash));
        }
        let (in_force, compiled) = self.installed.as_ref()?;
        looked
            .seen
            .is_of(&compiled.inputs)
            .then(|| hex(in_force.hash))
    }

    /// By the plan in force, which may be of an older configuration.
    fn admitted_vlans(&self) -> Option<String> {
        let admitted = self.inputs()?.config.interfaces.admitted()?;
        Some(admitted.to_string())
    }

    fn builtins(&self) -> Vec<String> {
        let bits = self.config.builtins.bits();
        BUILTINS
            .iter()
            .filter(|row| bits & row.0.bit() != 0)
            .map(|row| row.1.to_owned())
            .collect()
    }

    fn counters(&self) -> Result<Vec<CounterStatus>, Failure> {
        let counters = self.kernel.counters()?.into_iter();
        let moved = counters.filter(|(_, _, tally)| tally.packets > 0);
        let counters = moved.map(|(direction, counter, tally)| CounterStatus {
            direction: direction.name().into(),
            name: counter.name(),
            packets: tally.packets,
            bytes: tally.bytes,
        });
        Ok(counters.collect())
    }
}

/// What to say of a link that programs of another schema filter.
fn of_former((link, schema): &(AttachedLink, u32)) -> String {
    let what = match *schema {
        INCOMPLETE => "programs whose tables somebody has removed".to_owned(),
        schema => format!("the programs of a former version (schema {schema})"),
    };
    format!(
        "interface {}: {what} filter it still, by the plan that they had; try: mend the files, \
         then fw-ctl reload",
        link.name
    )
}

/// What to say of a table of connections that is nearly full.
fn crowded(connections: Pressure) -> Option<String> {
    let Pressure { live, capacity, .. } = connections;
    (live * 10 >= capacity.max(1) * 9).then(|| {
        format!(
            "{live} connections are remembered, and there is room for {capacity}: further ones \
             displace those with the least time left, unanswered ones first"
        )
    })
}
