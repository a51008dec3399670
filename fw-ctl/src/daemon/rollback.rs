//! `fw-ctl rollback`: back to what was in force before, as the journal has it.

use super::firewall::{Firewall, Trouble};
use super::held::{Held, Reason};
use super::status::{JournalEntry, JournalStatus, Reloaded, SCHEMA};
use super::{Event, Inputs, Kernel, Seen, Sources};
use crate::cli::output::plain;
use crate::compile::plan::Mode;
use crate::control::protocol::{Change, Failure};
use crate::{exit, moment};

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Goes back to the generation `to`; without a number to the one before the one in
    /// force, from a generation on trial at once.
    ///
    /// The files stay what they are, and do not come in force by a restart; `seen` is what
    /// they say, if they can be read.
    ///
    /// # Errors
    /// When there is no such generation in the journal, or it is damaged, or this version
    /// refuses it, or the kernel does: then nothing has changed.
    pub fn rollback(
        &mut self,
        to: Option<u64>,
        change: &Change,
        seen: Option<&Seen>,
    ) -> Result<Reloaded, Failure> {
        self.end_trial();
        if self.trial.is_some() && to.is_none() {
            self.leave_trial()?;
            return self.told(Vec::new());
        }
        self.refuse_during_trial()?;
        let number = match to {
            Some(number) => number,
            None => self.before()?,
        };
        let invalid = |trouble| {
            let failure = Failure::new(exit::INVALID, trouble);
            failure.help("another one, which fw-ctl journal lists")
        };
        if self
            .kernel
            .active()?
            .is_some_and(|active| active.number == number)
        {
            return Err(Failure::new(
                exit::NEGATIVE,
                format!("nothing has changed: generation {number} is in force already"),
            )
            .help("fw-ctl journal"));
        }
        let entry = self.confirmed.journal().find(number).ok_or_else(|| {
            Failure::new(
                exit::USAGE,
                format!("there is no generation {number} in the journal"),
            )
            .help("fw-ctl journal lists those that are")
        })?;
        let mode = self.confirmed.journal().load(&entry).map_err(invalid)?.mode;
        let (_, mut compiled) = self.recorded(number).map_err(invalid)?;
        compiled.plan.mode = mode;
        let harm = self.harm_of_change(&compiled, mode, change.asker);
        if harm.is_any() && !change.force {
            return Err(harm.refusal());
        }
        let event = Event {
            since: moment::now(),
            cause: format!("rollback to {number}"),
        };
        let from = self.kernel.active()?.map_or(0, |active| active.number);
        let held = left_behind(from, number, seen, &compiled.inputs);
        let mut warnings: Vec<_> = compiled.warnings.iter().map(plain).collect();
        warnings.extend(harm.warnings());
        if let Some(patience) = self.patience(change, &compiled.inputs)
            && from != 0
        {
            self.try_out(compiled, patience, event, |_| held)?;
        } else {
            let in_force = self.install(&compiled)?;
            self.event = event;
            let left = self.installed.take();
            self.take(in_force, compiled);
            self.declare(left);
            self.keep_mode(mode);
            self.troubles.remove(&Trouble::Change);
            self.troubles.remove(&Trouble::Trial);
            if let Some(held) = &held {
                self.troubles.insert(Trouble::Change, vec![held.line()]);
            }
            self.hold(held);
            self.keep();
        }
        self.settle(true);
        self.told(warnings)
    }

    /// The mode of what is in force is what was set, where it is not the configured one.
    pub(super) fn keep_mode(&mut self, mode: Mode) {
        if mode != self.effective_mode(&self.config) {
            self.mode.set(mode.into());
        }
    }

    /// The newest confirmed generation before the one in force.
    fn before(&self) -> Result<u64, Failure> {
        let active = self
            .kernel
            .active()?
            .map_or(u64::MAX, |active| active.number);
        let entries = self.confirmed.journal().entries();
        let mut before = entries.iter().rev().filter(|entry| entry.confirmed);
        before
            .find(|entry| entry.number < active)
            .map(|entry| entry.number)
            .ok_or_else(|| {
                Failure::new(
                    exit::NEGATIVE,
                    "there is nothing to go back to: the journal has no generation before the \
                     one in force",
                )
                .help(match self.mode() {
                    Ok(mode) if mode.mode == Mode::Enforce.name() => {
                        "fw-ctl mode audit, which lets everything pass; fw-ctl journal"
                    }
                    _ => "fw-ctl journal",
                })
            })
    }

    /// What is in force now, for the one who asked; and what of it a restart may not know.
    pub(super) fn told(&self, mut warnings: Vec<String>) -> Result<Reloaded, Failure> {
        warnings.extend(self.untold());
        let active = self.kernel.active()?;
        let (number, hash) = active.map_or((0, [0; 16]), |active| (active.number, active.hash));
        let installed = self.installed.as_ref().map(|(_, compiled)| compiled);
        Ok(Reloaded {
            schema: SCHEMA,
            generation: number,
            hash: super::status::hex(hash),
            policies: installed.map_or(0, |compiled| compiled.policies),
            rules: installed.map_or(0, |compiled| compiled.plan.rules.len()),
            trial: self.on_trial(),
            warnings,
        })
    }

    /// What is in the journal, the newest first.
    #[must_use]
    pub fn journal(&self) -> JournalStatus {
        let journal = self.confirmed.journal();
        let active = self.kernel.active().ok().flatten();
        let on_trial = self.trial.as_ref().map(|trial| trial.number);
        let entries = journal.entries().into_iter().rev();
        let entries = entries.map(|entry| {
            let number = entry.number;
            let state = if on_trial == Some(number) {
                "on trial"
            } else if active.is_some_and(|active| active.number == number) {
                "in force"
            } else if entry.confirmed {
                "left"
            } else {
                "not confirmed"
            };
            let (recorded, damage) = match journal.load(&entry) {
                Ok(recorded) => (Some(recorded), None),
                Err(damage) => (None, Some(damage)),
            };
            let recorded = recorded.as_ref();
            JournalEntry {
                generation: number,
                state: state.into(),
                since: recorded
                    .filter(|recorded| recorded.event.since > 0)
                    .map(|recorded| moment::rfc3339(recorded.event.since)),
                cause: recorded.map_or_else(String::new, |recorded| recorded.event.cause.clone()),
                mode: recorded.map(|recorded| recorded.mode.name().to_owned()),
                files: recorded.map(|recorded| recorded.inputs.policies.len()),
                damage,
            }
        });
        JournalStatus {
            schema: SCHEMA,
            entries: entries.collect(),
            warnings: journal.trouble().into_iter().collect(),
        }
    }
}

/// The files as they are now, to be held back unless they are what comes in force; whatever
/// they are if nobody can say.
fn left_behind(from: u64, to: u64, seen: Option<&Seen>, inputs: &Inputs) -> Option<Held> {
    let reason = Reason::RolledBack(to);
    let files = match seen {
        Some(Seen::Files { inputs, .. }) => inputs,
        Some(Seen::Config(_)) => return None,
        None => return Some(Held::any(from, reason)),
    };
    let digest = files.digests().all;
    (digest != inputs.digests().all).then_some(Held {
        number: from,
        digest,
        reason,
    })
}
