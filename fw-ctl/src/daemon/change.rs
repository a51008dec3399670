//! A change of what is in force to what a look at the files found: whole or not at all.

use std::time::Duration;

use super::firewall::{Firewall, Looked, Refused, START, Trouble};
use super::held::{Held, Reason};
use super::status::Reloaded;
use super::{Compiled, Confirmed, Event, Kernel, Look, Sources, links};
use crate::cli::output::plain;
use crate::compile::plan::Mode;
use crate::control::protocol::{Change, Failure};
use crate::harm::Harm;
use crate::{exit, moment};

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// `first`: the daemon has started; nobody may have asked for it.
    pub(super) fn change(
        &mut self,
        look: Look,
        first: bool,
        change: &Change,
        cause: &str,
    ) -> Result<Reloaded, Refused> {
        if let Err(failure) = self.refuse_during_trial() {
            if first {
                self.looked = Some(looked(&look));
            }
            return Err(Refused::Waits(failure));
        }
        self.looked = Some(looked(&look));
        let mut compiled = look.outcome.map_err(Refused::Inputs)?;
        let config = compiled.inputs.config.clone();
        let opened = links::opened(&self.kernel.attached(), &self.network, &config.interfaces);
        if let (Some(failure), false) = (opened, first) {
            return Err(Refused::Kernel(failure));
        }
        compiled.plan.mode = self.effective_mode(&config);
        if first && let Some(line) = self.held_back(&compiled.inputs) {
            self.set_unfit(&compiled);
            return Err(Refused::Kernel(Failure::new(exit::REFUSED, line)));
        }
        let harm = self.harm_of_look(&compiled, first, change);
        if harm.is_any() && !first && !change.force {
            self.set_unfit(&compiled);
            self.hold(Some(Held {
                number: self.next_number().unwrap_or_default(),
                digest: compiled.inputs.digests().all,
                reason: Reason::Refused,
            }));
            return Err(Refused::Harm(Box::new(harm)));
        }
        let mut warnings: Vec<_> = compiled.warnings.iter().map(plain).collect();
        warnings.extend(harm.warnings());
        if config.paths != self.config.paths {
            warnings.push("`[paths]` has changed: that takes a restart".into());
        }
        if config.hubble != self.config.hubble {
            warnings.push("`[hubble]` has changed: that takes a restart".into());
        }
        self.put_in_force(compiled, first, change, cause)
            .map_err(Refused::Kernel)?;
        if change.confirm.is_some_and(|seconds| seconds > 0) && self.trial.is_none() {
            warnings.push(
                "nothing is on trial: what the files say was in force already, or nothing was"
                    .into(),
            );
        }
        self.troubles.remove(&Trouble::Change);
        self.troubles.remove(&Trouble::Trial);
        if look.held.is_empty() {
            self.troubles.remove(&Trouble::Lists);
        } else {
            self.troubles.insert(Trouble::Lists, look.held);
        }
        self.refused_lists = None;
        self.told(warnings).map_err(Refused::Kernel)
    }

    /// What the change would cut. A daemon that starts refuses nothing for that, because
    /// nobody is there to force it; what it cuts is told where it brings the node under
    /// enforcement. Where the node is already, it does not know yet by which plan.
    fn harm_of_look(&self, compiled: &Compiled, first: bool, change: &Change) -> Harm {
        let active = self.kernel.active().ok().flatten();
        if first && active.is_some_and(|active| active.mode == Mode::Enforce) {
            return Harm::default();
        }
        self.harm_of_change(compiled, compiled.plan.mode, change.asker)
    }

    /// For good, or on trial.
    fn put_in_force(
        &mut self,
        compiled: Compiled,
        first: bool,
        change: &Change,
        cause: &str,
    ) -> Result<(), Failure> {
        // For the case that it is refused.
        let hash = self.set_unfit(&compiled);
        if first {
            self.name_former(&compiled, hash);
        }
        let event = self.event(cause, &compiled);
        if let Some(patience) = self.trial_of(change, first, &compiled)? {
            let files = compiled.inputs.digests().all;
            let hold = |number| Some(Held::unconfirmed(number, files, patience));
            self.try_out(compiled, patience, event, hold)?;
        } else {
            let in_force = self.amend_or_install(&compiled)?;
            self.event = event;
            self.take(in_force, compiled);
            self.record = None;
            self.hold(None);
            self.keep();
        }
        if let Some(looked) = &mut self.looked {
            looked.unfit = None;
        }
        Ok(())
    }

    /// Programs went on while no daemon was there, and what they reported names rules of the plan
    /// that was in force: as the files say them, or the journal.
    fn name_former(&self, compiled: &Compiled, hash: [u8; 16]) {
        let Ok(Some(active)) = self.kernel.active() else {
            return;
        };
        if active.hash == hash {
            self.name(active.number, compiled);
        } else if let Ok((_, former)) = self.recorded(active.number) {
            self.name(active.number, &former);
        }
    }

    /// The plan of the files is not in force. Returns its hash.
    fn set_unfit(&mut self, compiled: &Compiled) -> [u8; 16] {
        let hash = self.kernel.hash(&compiled.plan);
        if let Some(looked) = &mut self.looked {
            looked.unfit = Some((compiled.plan.mode, hash));
        }
        hash
    }

    /// For how long the change is on trial, if it is: not what is in force already, and
    /// not where there is nothing to go back to. At the start of the daemon not where
    /// policies and configuration are known. Refused where somebody has taken the filter
    /// away: what the kernel can go back to is a plan, not that.
    fn trial_of(
        &self,
        change: &Change,
        first: bool,
        compiled: &Compiled,
    ) -> Result<Option<Duration>, Failure> {
        let Some(active) = self.kernel.active()? else {
            return Ok(None);
        };
        let same = active.hash == self.kernel.hash(&compiled.plan);
        if same || first && self.is_known_policy(compiled) {
            return Ok(None);
        }
        let patience = self.patience(change, &compiled.inputs);
        if patience.is_some() && self.detached {
            return Err(Failure::new(
                exit::REFUSED,
                format!(
                    "nothing has changed: nothing is filtered now, and if nobody confirmed in \
                     time, generation {} would judge again",
                    active.number
                ),
            )
            .help(
                "fw-ctl mode audit && fw-ctl reload --no-confirm, then fw-ctl mode enforce \
                 --confirm 60s, which goes back to audit",
            ));
        }
        Ok(patience)
    }

    /// When `compiled` came in force, and how: what a daemon finds when it starts, before
    /// that.
    fn event(&self, cause: &str, compiled: &Compiled) -> Event {
        let event = Event {
            since: moment::now(),
            cause: cause.into(),
        };
        if cause != START {
            return event;
        }
        let plan = Confirmed {
            number: 0,
            mode: compiled.plan.mode,
            inputs: compiled.inputs.clone(),
            event,
        };
        let known = self.confirmed.journal().same(&plan);
        known.unwrap_or(plan).event
    }
}

fn looked(look: &Look) -> Looked {
    Looked {
        refusal: look.refusal(),
        seen: look.seen.clone(),
        unfit: None,
    }
}
