//! Changes on trial: in force, but unless somebody confirms them in time, the plan before
//! them is in force again.
//!
//! The kernel keeps the time (`crate::datapath::Trial`). What is here follows it: what is
//! told, what is kept for the next boot, and which files are held back afterwards. A
//! daemon that starts in the middle of a trial goes on with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::firewall::{Firewall, Trouble};
use super::held::{Held, Reason, in_time};
use super::status::{Confirmation, OnTrialStatus, SCHEMA};
use super::{Compiled, Confirmed, Event, InForce, Inputs, Kernel, Sources};
use crate::control::protocol::{Change, Failure};
use crate::exit;
use crate::lists::moment;
use crate::why::why;

/// What is on trial.
pub(super) struct OnTrial {
    pub(super) number: u64,
    /// What is in force without it, and since when, as far as this process knows.
    pub(super) former: Option<(InForce, Compiled, Event)>,
    /// What was held back before.
    held: Option<Held>,
    seconds: u64,
    begun: Instant,
    ends: Instant,
}

/// What comes after the trial was left.
const AGAIN: &str = "the same once more, with --confirm";

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// For how long a change is on trial, if it is: as asked, else as configured. `new` is
    /// what it brings.
    pub(super) fn patience(&self, change: &Change, new: &Inputs) -> Option<Duration> {
        let configured = || self.config.policy.confirm.or(new.config.policy.confirm);
        let seconds = change.confirm.or_else(|| Some(configured()?.seconds()))?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// Refuses a change as long as another one is on trial.
    pub(super) fn refuse_during_trial(&self) -> Result<(), Failure> {
        let Some(trial) = &self.trial else {
            return Ok(());
        };
        Err(Failure::new(
            exit::REFUSED,
            format!(
                "nothing has changed: generation {} is on trial, for {} s more",
                trial.number,
                trial.seconds_left()
            ),
        )
        .help("fw-ctl confirm keeps it, fw-ctl rollback leaves it"))
    }

    /// Puts `compiled` in force for `patience`. `hold`: the files that are not in force if
    /// it does not stay.
    ///
    /// # Errors
    /// When it cannot be noted what is on trial, without which a restart might bring it
    /// back, or the kernel refuses: then nothing has changed.
    pub(super) fn try_out(
        &mut self,
        compiled: Compiled,
        patience: Duration,
        event: Event,
        hold: impl FnOnce(u64) -> Option<Held>,
    ) -> Result<InForce, Failure> {
        let number = self.next_number()?;
        let hold = hold(number);
        let confirmed = Confirmed {
            number,
            mode: compiled.plan.mode,
            inputs: Arc::clone(&compiled.inputs),
            event: event.clone(),
        };
        let before = self.held.get().cloned();
        let unnoted = |reason: String| {
            let message =
                format!("nothing has changed: what is on trial cannot be noted: {reason}");
            Failure::new(exit::REFUSED, message)
        };
        let directory = self.config.paths.state_dir.display().to_string();
        self.confirmed.try_out(&confirmed).map_err(|error| {
            unnoted(format!("writing in {directory}: {}", why(&error)))
                .help("check that `paths.state_dir` is a writable directory with free space")
        })?;
        let installed = match hold.map_or(Ok(()), |hold| self.held.set(Some(hold))) {
            Err(trouble) => Err(unnoted(trouble)),
            Ok(()) => {
                self.name(number, &compiled);
                self.remember_open(&compiled, compiled.plan.mode);
                self.count_rules();
                let plan = &compiled.plan;
                let tried = self.kernel.install_on_trial(plan, number, patience);
                if tried.is_ok() {
                    self.count_anew(number, &compiled);
                }
                tried
            }
        };
        let in_force = match installed {
            Ok(in_force) => in_force,
            Err(failure) => {
                self.confirmed.journal().remove(number);
                self.hold(before);
                return Err(failure);
            }
        };
        self.troubles.remove(&Trouble::Kernel);
        self.troubles.remove(&Trouble::Trial);
        let event = std::mem::replace(&mut self.event, event);
        let now = Instant::now();
        self.trial = Some(OnTrial {
            number,
            former: self
                .installed
                .take()
                .map(|(old, compiled)| (old, compiled, event)),
            held: before,
            seconds: patience.as_secs(),
            begun: now,
            ends: now + patience,
        });
        self.take(in_force, compiled);
        tracing::warn!(
            "generation {number} is on trial for {} s: fw-ctl confirm keeps it",
            patience.as_secs()
        );
        Ok(in_force)
    }

    /// Goes on with a trial that a former daemon began.
    pub(super) fn adopt_trial(&mut self) {
        let Ok(Some(trial)) = self.kernel.trial() else {
            return;
        };
        let in_force = trial.in_force;
        match self.recorded(in_force.number) {
            Ok((event, mut compiled)) => {
                compiled.plan.mode = in_force.mode;
                self.name(in_force.number, &compiled);
                self.event = event;
                self.take(in_force, compiled);
            }
            Err(trouble) => tracing::warn!("{trouble}"),
        }
        let now = Instant::now();
        let seconds = match self.held.get().map(|held| &held.reason) {
            Some(Reason::Unconfirmed(seconds)) => *seconds,
            _ => trial.left.as_secs(),
        };
        self.trial = Some(OnTrial {
            number: in_force.number,
            former: None,
            held: None,
            seconds,
            begun: now,
            ends: now + trial.left,
        });
        self.end_trial();
    }

    /// An entry of the journal, compiled again.
    ///
    /// # Errors
    /// Why it cannot be had, in a line.
    pub(super) fn recorded(&self, number: u64) -> Result<(Event, Compiled), String> {
        let journal = self.confirmed.journal();
        let entry = journal
            .find(number)
            .ok_or_else(|| format!("there is no entry {number} in the journal"))?;
        let Confirmed { inputs, event, .. } = journal.load(&entry)?;
        let inputs = Arc::unwrap_or_clone(inputs).at(moment::now());
        let compiled = self.sources.compile(Arc::new(inputs), Vec::new());
        let compiled = compiled.map_err(|wrong| {
            let what = format!("entry {number} of the journal is refused by this version");
            wrong.failure(&what).line()
        })?;
        Ok((event, compiled))
    }

    /// When the trial is over, if there is one.
    #[must_use]
    pub fn trial_ends(&self) -> Option<Instant> {
        Some(self.trial.as_ref()?.ends)
    }

    /// How the trial stands, if there is one.
    #[must_use]
    pub fn on_trial(&self) -> Option<OnTrialStatus> {
        let trial = self.trial.as_ref()?;
        Some(OnTrialStatus {
            generation: trial.number,
            seconds: trial.seconds,
            left: trial.seconds_left(),
        })
    }

    /// Follows the kernel, which has left the plan on trial, if it has. Returns whether it
    /// has.
    pub fn end_trial(&mut self) -> bool {
        if self.trial.is_none() {
            return false;
        }
        match self.kernel.trial() {
            Ok(Some(trial)) if !trial.left.is_zero() => {
                // The clocks differ by a little.
                if let Some(known) = &mut self.trial {
                    known.ends = Instant::now() + trial.left;
                }
                return false;
            }
            Ok(_) => {}
            Err(failure) => {
                tracing::error!("{failure}");
                return false;
            }
        }
        match self.leave_trial() {
            Ok(()) => true,
            Err(failure) => {
                tracing::error!("{failure}");
                self.troubles.insert(Trouble::Change, vec![failure.line()]);
                false
            }
        }
    }

    /// Leaves the plan on trial, and takes up the one before.
    pub(super) fn leave_trial(&mut self) -> Result<(), Failure> {
        let in_force = self.kernel.go_back()?;
        let Some(trial) = self.trial.take() else {
            return Ok(());
        };
        let left = self.installed.take();
        match (trial.former, in_force) {
            (Some((_, mut compiled, event)), Some(in_force)) => {
                compiled.plan.mode = in_force.mode;
                self.event = event;
                self.take(in_force, compiled);
            }
            _ => self.restore(),
        }
        self.declare(left);
        let held = self.held.get().cloned();
        let held = match (held, trial.held) {
            (Some(held), _) if held.number == trial.number => Some(held),
            (_, Some(before)) => Some(before),
            // A former daemon began it, and what that noted may be lost.
            (_, None) => self.not_confirmed(trial.number),
        };
        let number = trial.number;
        let line = match &held {
            Some(held) => held.line(),
            None => format!(
                "generation {number} was not confirmed {}: the one before it is in force again; \
                 try: {AGAIN}",
                in_time(trial.seconds)
            ),
        };
        tracing::warn!("{line}");
        let trouble = match held {
            Some(_) => Trouble::Change,
            None => Trouble::Trial,
        };
        self.troubles.insert(trouble, vec![line]);
        // What was held back before, and cannot be read, is not forgotten for that.
        if held.is_some() || !self.held.is_damaged() {
            self.hold(held);
        }
        // What began on trial may need to be remembered now.
        self.remember_open_in_force();
        self.settle(true);
        self.install_unpinned();
        Ok(())
    }

    /// What the files say is `plan`, though it is not in force.
    pub(super) fn declare(&mut self, plan: Option<(InForce, Compiled)>) {
        if let (Some(looked), Some((in_force, compiled))) = (&mut self.looked, plan)
            && looked.seen.is_of(&compiled.inputs)
        {
            looked.unfit = Some((compiled.plan.mode, in_force.hash));
        }
    }

    /// Keeps what is on trial. `connected`: when the one who asks connected.
    ///
    /// # Errors
    /// When it is over, or the one who asks was connected before it began: that he still is
    /// says nothing. When the kernel refuses: then it is still on trial.
    pub fn confirm(&mut self, connected: Instant) -> Result<Confirmation, Failure> {
        self.end_trial();
        let Some(trial) = &self.trial else {
            return self.confirmed_before();
        };
        if connected <= trial.begun {
            return Err(Failure::new(
                exit::REFUSED,
                "this connection is older than what is on trial: that it works says nothing",
            )
            .help("fw-ctl confirm, which connects anew"));
        }
        let Some(in_force) = self.kernel.confirm()? else {
            self.leave_trial()?;
            return self.confirmed_before();
        };
        let number = in_force.number;
        self.trial = None;
        tracing::info!("generation {number} is confirmed");
        if let Err(error) = self.confirmed.journal().confirm(number) {
            tracing::warn!("the journal: {}", why(&error));
        }
        let mut warnings = Vec::new();
        if let Some((_, compiled)) = &self.installed {
            let mode = compiled.plan.mode;
            if mode != self.effective_mode(&self.config) {
                self.mode.set(mode.into());
                warnings.extend(self.mode.unsaved());
            }
        }
        // What was held back is what has been confirmed now, unless it was a rollback.
        if self.held.get().is_some_and(|held| held.number == number) {
            self.hold(None);
        }
        self.keep();
        self.install_unpinned();
        warnings.extend(self.untold());
        Ok(Confirmation {
            schema: SCHEMA,
            generation: number,
            warnings,
        })
    }

    /// Nothing is on trial: what was last has been confirmed, or has not.
    fn confirmed_before(&self) -> Result<Confirmation, Failure> {
        if let Some(held) = self.held.get()
            && matches!(held.reason, Reason::Unconfirmed(_))
        {
            return Err(Failure::new(
                exit::REVERTED,
                format!(
                    "generation {} was not confirmed in time: the one before it is in force again",
                    held.number
                ),
            )
            .help(AGAIN));
        }
        let lost = self.troubles.get(&Trouble::Trial);
        if let Some(line) = lost.into_iter().flatten().next() {
            return Err(Failure::new(exit::REVERTED, line.clone()));
        }
        match self.kernel.active()? {
            Some(in_force) => Ok(Confirmation {
                schema: SCHEMA,
                generation: in_force.number,
                warnings: vec!["nothing is on trial".into()],
            }),
            None => Err(
                Failure::new(exit::NEGATIVE, "no plan is in force, and none on trial")
                    .help("fw-ctl status"),
            ),
        }
    }

    /// The number of the next generation: larger than any before, also after a reboot.
    pub(super) fn next_number(&self) -> Result<u64, Failure> {
        let active = self.kernel.active()?.map_or(0, |active| active.number);
        let trial = self.trial.as_ref().map_or(0, |trial| trial.number);
        let noted = self.confirmed.journal().entries();
        let noted = noted.last().map_or(0, |entry| entry.number);
        Ok(active.max(trial).max(noted) + 1)
    }
}

impl OnTrial {
    /// Of a second that has begun, all.
    fn seconds_left(&self) -> u64 {
        self.left().as_millis().div_ceil(1_000) as u64
    }

    fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}
