//! What an operator may ask of the daemon beside a reload: the mode, and opening
//! the node.

use super::status::{Detached, ModeStatus, SCHEMA};
use super::{Firewall, Kernel, Sources};
use crate::compile::plan::Mode;
use crate::control::protocol::{Failure, ModeChange};
use crate::exit;

impl<K: Kernel, S: Sources> Firewall<K, S> {
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
    /// When no plan is in force, or it cannot be stored or installed: then nothing
    /// has changed.
    pub fn set_mode(&mut self, change: ModeChange) -> Result<ModeStatus, Failure> {
        let before = self.mode.get();
        let Some((_, mut compiled)) = self.installed.take() else {
            return self.brake(change, before);
        };
        let old_mode = compiled.plan.mode;
        let result = self.mode.set(change).and_then(|()| {
            compiled.plan.mode = self.effective_mode(&self.config);
            self.install(&compiled)
                .inspect_err(|_| self.set_back(before))
        });
        match result {
            Ok(in_force) => {
                self.installed = Some((in_force, compiled));
                self.keep();
                self.mode()
            }
            Err(failure) => {
                compiled.plan.mode = old_mode;
                self.installed = self.kernel.active()?.map(|active| (active, compiled));
                Err(failure)
            }
        }
    }

    /// Changes the mode of a plan that this daemon has not made, in the kernel's
    /// tables: whoever wants audit mode in distress gets it.
    fn brake(&mut self, change: ModeChange, before: Option<Mode>) -> Result<ModeStatus, Failure> {
        if self.kernel.active()?.is_none() {
            return Err(Failure::new(
                exit::REFUSED,
                "the mode cannot be changed: no plan is in force, nothing is filtered",
            )
            .help("fw-ctl status names the errors"));
        }
        self.mode.set(change)?;
        let mode = self.effective_mode(&self.config);
        self.kernel
            .set_mode(mode)
            .inspect_err(|_| self.set_back(before))?;
        self.keep();
        self.mode()
    }

    fn set_back(&mut self, before: Option<Mode>) {
        let back = match before {
            Some(Mode::Audit) => ModeChange::Audit,
            Some(Mode::Enforce) => ModeChange::Enforce,
            None => ModeChange::Configured,
        };
        if let Err(failure) = self.mode.set(back) {
            tracing::error!("{failure}");
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
