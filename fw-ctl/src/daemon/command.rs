//! What an operator may ask of the daemon beside a reload: the mode, and opening
//! the node.

use std::sync::Arc;

use super::firewall::Trouble;
use super::status::{Detached, ModeStatus, SCHEMA};
use super::{Event, Firewall, InForce, Kernel, Sources};
use crate::compile::plan::Mode;
use crate::control::protocol::{Change, Failure, ModeChange};
use crate::harm::Harm;
use crate::{exit, moment};

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Says the mode, as the kernel has it.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn mode(&self) -> Result<ModeStatus, Failure> {
        let mode = match self.kernel.active()?.map(|active| active.mode) {
            Some(mode) => mode.name(),
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
            warnings: Vec::new(),
            audited: None,
        })
    }

    /// Changes the mode of the plan in force, whoever made it, and remembers it.
    ///
    /// The kernel comes first: this is the brake of an operator in distress, and
    /// neither a full disk nor refused files may stand in its way. Without a plan
    /// the mode is remembered for the next one.
    ///
    /// # Errors
    /// When the kernel refuses: then nothing has changed.
    ///
    /// To enforce is on trial where that is asked for; `fw-ctl mode audit` never is.
    pub fn set_mode(&mut self, set: ModeChange, change: &Change) -> Result<ModeStatus, Failure> {
        self.end_trial();
        let mode = set.mode().unwrap_or(self.config.policy.mode.into());
        let mut warnings = Vec::new();
        let mut audited = None;
        if mode == Mode::Enforce {
            self.refuse_during_trial()?;
            let harm = self.harm_of_enforcing(change)?;
            warnings.extend(harm.warnings());
            audited = harm.audited;
            if let Some(trial) = self.enforce_on_trial(change)? {
                warnings.push(trial);
                return Ok(ModeStatus {
                    warnings,
                    audited,
                    ..self.mode()?
                });
            }
            self.remember_open_in_force();
        }
        if self.kernel.active()?.is_some() {
            warnings.extend(self.switch(mode)?);
        } else {
            warnings.push(
                "no plan is in force, nothing is filtered: the mode is kept for the next plan; \
                 try: fw-ctl status"
                    .into(),
            );
        }
        self.mode.set(set);
        self.troubles.remove(&Trouble::Trial);
        warnings.extend(self.mode.unsaved());
        self.keep();
        Ok(ModeStatus {
            warnings,
            audited,
            ..self.mode()?
        })
    }

    /// Keeps audit mode where `fw-ctl mode audit` has set it in the kernel because this
    /// daemon did not answer: no later change goes back to enforcing by itself.
    pub(super) fn keep_brake(&mut self) {
        let Some((expected, _)) = &self.installed else {
            return;
        };
        let pulled = expected.mode == Mode::Enforce
            && matches!(self.kernel.active(), Ok(Some(active))
                if active.mode == Mode::Audit && active.number == expected.number);
        if !pulled {
            return;
        }
        tracing::warn!("audit mode was set in the kernel without this daemon: it is kept");
        match self.set_mode(ModeChange::Audit, &Change::default()) {
            Ok(mode) => {
                for warning in mode.warnings {
                    tracing::warn!("{warning}");
                }
            }
            Err(failure) => tracing::error!("{failure}"),
        }
    }

    /// What enforcing the plan in force would cut.
    ///
    /// # Errors
    /// When it would cut anything, or nobody knows, and no force is used.
    fn harm_of_enforcing(&self, change: &Change) -> Result<Harm, Failure> {
        let audits = |active: InForce| active.mode == Mode::Audit;
        if !self.kernel.active()?.is_some_and(audits) {
            return Ok(Harm::default());
        }
        let Some((_, compiled)) = &self.installed else {
            return match change.force {
                true => Ok(Harm::default()),
                false => Err(Failure::new(
                    exit::REFUSED,
                    "what is in force was not made by this daemon: what it would cut is not known",
                )
                .help("fw-ctl status, which names what is wrong; or --force, if you mean it")),
            };
        };
        let harm = self.harm_of_change(compiled, Mode::Enforce, change.asker);
        match harm.is_any() && !change.force {
            true => Err(harm.refusal()),
            false => Ok(harm),
        }
    }

    /// Enforces what is in force in audit mode, for as long as it is on trial. Returns what
    /// is to be told, or `None` if it need not be confirmed.
    fn enforce_on_trial(&mut self, change: &Change) -> Result<Option<String>, Failure> {
        let Some((in_force, compiled)) = &self.installed else {
            return Ok(None);
        };
        let patience = self.patience(change, &compiled.inputs);
        let (Some(patience), Mode::Audit) = (patience, in_force.mode) else {
            return Ok(None);
        };
        let inputs = Arc::clone(&compiled.inputs);
        let again = self.sources.compile(inputs, Vec::new());
        let mut compiled = again.map_err(|wrong| {
            wrong.failure("the mode is not changed: the files in force are refused now")
        })?;
        compiled.plan.mode = Mode::Enforce;
        let event = Event {
            since: moment::now(),
            cause: "mode enforce".into(),
        };
        self.try_out(compiled, patience, event, |_| None)?;
        self.settle(true);
        Ok(self.on_trial().map(|trial| trial.to_string()))
    }

    /// Changes the mode in the kernel. Returns what did not work beside.
    fn switch(&mut self, mode: Mode) -> Result<Option<String>, Failure> {
        let beside = match self.kernel.set_mode(mode) {
            Ok(_) => None,
            // The mode comes first there: what failed may have come after.
            Err(failure) => match self.kernel.active() {
                Ok(Some(active)) if active.mode == mode => Some(failure.line()),
                _ => return Err(failure),
            },
        };
        if let Some((in_force, compiled)) = &mut self.installed {
            compiled.plan.mode = mode;
            in_force.mode = mode;
            in_force.hash = self.kernel.hash(&compiled.plan);
        }
        if let Some((in_force, compiled, _)) =
            self.trial.as_mut().and_then(|trial| trial.former.as_mut())
        {
            compiled.plan.mode = mode;
            in_force.mode = mode;
            in_force.hash = self.kernel.hash(&compiled.plan);
        }
        Ok(beside)
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
