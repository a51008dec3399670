//! What outlasts the daemon and the machine: the last accepted plan, the mode.

use std::sync::Arc;

use super::firewall::Trouble;
use super::{Confirmed, Firewall, Kernel, Sources};
use crate::compile::plan::Mode;
use crate::control::protocol::ModeChange;
use crate::lists::moment;

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Where the stored mode cannot be read or is lost, the node goes on in the mode that it
    /// is in, or was in last: a guess from the configuration might cut it off or
    /// open it. So it does where somebody has braked and it could not be stored.
    pub(super) fn recover_mode(&mut self) {
        if matches!(self.kernel.trial(), Ok(Some(_))) {
            // The mode may be what is on trial.
            return;
        }
        let in_force = self.kernel.active().ok().flatten();
        let (pinned, stored) = (in_force.map(|active| active.mode), self.mode.get());
        // With lists it is large, and the network may be waiting: read where it decides.
        let kept = || self.confirmed.load().confirmed;
        if self.mode.damaged().is_some() {
            if let Some(mode) = pinned.or_else(|| Some(kept()?.mode)) {
                self.mode.assume(mode);
            }
            return;
        }
        if stored == Some(Mode::Enforce) && pinned == Some(Mode::Audit) {
            tracing::warn!("audit mode was set in the kernel and could not be stored: it is kept");
            self.mode.set(ModeChange::Audit);
        }
        if stored.is_some() || pinned == Some(self.effective_mode(&self.config)) {
            return;
        }
        let is_of = |kept: &Confirmed| in_force.is_none_or(|one| one.number == kept.number);
        let lost = match kept().filter(is_of) {
            // What is kept says whether somebody has set another mode than its own.
            Some(kept) => {
                let found = pinned.unwrap_or(kept.mode);
                (found != kept.inputs.config.policy.mode.into()).then_some(found)
            }
            // Whoever means to open the node says so: this may be all that is left.
            None => pinned.filter(|mode| *mode == Mode::Enforce),
        };
        if let Some(mode) = lost {
            self.mode.lose(mode);
        }
    }

    /// Goes on with what was accepted last, because the operator's files cannot be read in
    /// time, as on a mount that does not answer: a plan that an earlier daemon left gets
    /// its names, and interfaces that came while none was there are attached.
    pub fn resume(&mut self) {
        if self.installed.is_none() {
            self.restore();
        }
        if self.installed.is_some() {
            self.settle(true);
        }
    }

    /// Makes the last accepted plan again: puts it in force where nothing is, and
    /// learns the names of what is in force where that is it.
    pub(super) fn restore(&mut self) {
        let kept = self.confirmed.load();
        self.record = kept.trouble;
        if let Some(confirmed) = kept.confirmed
            && let Err(trouble) = self.try_restore(confirmed)
        {
            self.record = Some(trouble);
        }
        self.tell_state(None);
    }

    fn try_restore(&mut self, confirmed: Confirmed) -> Result<(), String> {
        // Entries of lists may have expired since.
        let inputs = Arc::unwrap_or_clone(confirmed.inputs).at(moment::now());
        let again = self.sources.compile(Arc::new(inputs), Vec::new());
        let mut compiled = again.map_err(|wrong| {
            let failure = wrong.failure("the last accepted policies are refused by this version");
            failure.line()
        })?;
        compiled.plan.mode = self.effective_mode(&compiled.inputs.config);
        let active = self.kernel.active().map_err(|failure| failure.line())?;
        let in_force = match active {
            Some(active) if active.hash == self.kernel.hash(&compiled.plan) => {
                self.name(active.number, &compiled);
                active
            }
            // A daemon that was killed before it could keep it has put a later one
            // in force. It stays; only its names are not known.
            Some(active) if active.number > confirmed.number => return Ok(()),
            // The same as before the reboot.
            None => self
                .install_as(&compiled, confirmed.number)
                .map_err(|failure| failure.line())?,
            _ => self.install(&compiled).map_err(|failure| failure.line())?,
        };
        tracing::warn!(
            "generation {} is in force, of the last accepted policies",
            in_force.number
        );
        self.event = confirmed.event;
        self.take(in_force, compiled);
        self.keep();
        Ok(())
    }

    /// Keeps what is in force for the next start.
    pub(super) fn keep(&mut self) {
        self.held.again();
        // What is on trial may have gone by then.
        let kept = match (&self.trial, &self.installed) {
            (None, Some((in_force, compiled))) => Some((in_force, compiled, &self.event)),
            (None, None) => None,
            (Some(trial), _) => {
                let former = trial.former.as_ref();
                former.map(|(in_force, compiled, event)| (in_force, compiled, event))
            }
        };
        let kept = kept.map(|(in_force, compiled, event)| Confirmed {
            number: in_force.number,
            mode: in_force.mode,
            inputs: Arc::clone(&compiled.inputs),
            event: event.clone(),
        });
        let kept = kept.map_or(Ok(()), |kept| self.confirmed.save(&kept));
        self.tell_state(kept.err());
    }

    /// What a restart may not know, a line each.
    pub(super) fn untold(&self) -> impl Iterator<Item = String> {
        let troubles = self.troubles.get(&Trouble::State).into_iter();
        troubles.flatten().cloned()
    }

    /// `unkept`: why what is in force is not kept.
    pub(super) fn tell_state(&mut self, unkept: Option<String>) {
        let told = [
            unkept,
            self.record.clone(),
            self.mode.damaged(),
            self.mode.unsaved(),
            self.held.trouble(),
        ];
        let troubles: Vec<_> = told.into_iter().flatten().collect();
        if troubles.is_empty() {
            self.troubles.remove(&Trouble::State);
        } else {
            self.troubles.insert(Trouble::State, troubles);
        }
    }
}
