//! Files that were not confirmed, or that a rollback has left: they are still there, and must
//! not come in force by a restart.
//!
//! `held.json` notes them; where that is lost or damaged, the journal is the second witness.

use std::sync::Arc;
use std::time::Duration;

use super::firewall::Firewall;
use super::held::{Held, Reason};
use super::journal::Entry;
use super::{Compiled, Confirmed, Event, Inputs, Kernel, Sources};
use crate::control::protocol::Change;

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// A reload was asked for: if it is to be on trial, a kill before it is must not bring
    /// the files in force by the next start.
    pub fn foresee(&mut self, change: &Change) {
        let configured = || Some(self.config.policy.confirm?.seconds());
        let seconds = change.confirm.or_else(configured).unwrap_or(0);
        if seconds > 0 && self.trial.is_none() && self.started() {
            self.held.foresee(Duration::from_secs(seconds));
        }
    }

    /// Holds these files back, and no others; that it cannot be noted is told.
    pub(super) fn hold(&mut self, held: Option<Held>) {
        // Told by `tell_state`.
        let _ = self.held.set(held);
        self.tell_state(None);
    }

    /// Why files that nothing is wrong with are not taken by a daemon that starts.
    pub(super) fn held_back(&mut self, inputs: &Inputs) -> Option<String> {
        let in_force = self.kernel.active().ok().flatten();
        if let Some(foreseen) = self.held.get().and_then(|held| held.foreseen(inputs)) {
            let kept = self.confirmed.load().confirmed;
            let other = kept.is_some_and(|kept| kept.inputs.digests().all != foreseen.digest);
            self.hold(other.then_some(foreseen));
        }
        if let Some(held) = self.held.get() {
            // A daemon that was killed before it could note it has confirmed it.
            let confirmed = in_force.is_some_and(|in_force| in_force.number == held.number)
                && matches!(held.reason, Reason::Unconfirmed(_));
            if confirmed {
                self.hold(None);
                return None;
            }
            return held.is(inputs).then(|| held.line());
        }
        if let Some(held) = self.not_confirmed_files(inputs) {
            let line = held.line();
            self.hold(Some(held));
            return Some(line);
        }
        if !self.held.is_damaged() {
            return None;
        }
        // Perhaps it is these; then what was confirmed is not made of them.
        let all = inputs.digests().all;
        let kept = self.confirmed.load().confirmed?;
        (kept.inputs.digests().all != all).then(|| {
            "the files are not in force: they are not what was in force last, and whether they \
             are held back cannot be read; try: fw-ctl reload"
                .to_owned()
        })
    }

    /// The files of a generation that was on trial, as the journal has them: the second
    /// witness where what is held back was lost or damaged. `None` if somebody has
    /// confirmed it, or if they are what is in force: then only the mode was on trial.
    pub(super) fn not_confirmed(&self, number: u64) -> Option<Held> {
        let journal = self.confirmed.journal();
        let entry = journal.find(number).filter(|entry| !entry.confirmed)?;
        let digest = journal.load(&entry).ok()?.inputs.digests().all;
        let in_force = match &self.installed {
            Some((_, compiled)) => Some(compiled.inputs.digests().all),
            None => {
                let kept = self.confirmed.load().confirmed;
                kept.map(|kept| kept.inputs.digests().all)
            }
        };
        (in_force.as_ref() != Some(&digest)).then_some(Held {
            number,
            digest,
            reason: Reason::Unconfirmed(0),
        })
    }

    /// These files, if nobody has confirmed what they say, and nothing came after.
    fn not_confirmed_files(&self, inputs: &Inputs) -> Option<Held> {
        let newest = self.confirmed.journal().entries().pop()?;
        let active = self.kernel.active().ok().flatten();
        if active.is_some_and(|active| active.number == newest.number) {
            return None;
        }
        self.not_confirmed(newest.number)
            .filter(|held| held.is(inputs))
    }

    /// Whether the files at the start are those of the newest entry of the journal, but
    /// perhaps for the inventory.
    pub(super) fn is_known_policy(&self, compiled: &Compiled) -> bool {
        let newest = self.confirmed.journal().newest();
        newest.is_none_or(|newest| {
            newest.has_policy_of(&Entry::of(
                &Confirmed {
                    number: 0,
                    mode: compiled.plan.mode,
                    inputs: Arc::clone(&compiled.inputs),
                    event: Event::default(),
                },
                true,
            ))
        })
    }
}
