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
            warnings: Vec::new(),
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
    pub fn set_mode(&mut self, change: ModeChange) -> Result<ModeStatus, Failure> {
        let mode = change.mode().unwrap_or(self.config.policy.mode.into());
        let mut warnings = Vec::new();
        if self.kernel.active()?.is_some() {
            warnings.extend(self.switch(mode)?);
        } else {
            warnings.push(
                "no plan is in force, nothing is filtered: the mode is kept for the next plan; \
                 try: fw-ctl status"
                    .into(),
            );
        }
        self.mode.set(change);
        warnings.extend(self.mode.unsaved());
        self.keep();
        Ok(ModeStatus {
            warnings,
            ..self.mode()?
        })
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
