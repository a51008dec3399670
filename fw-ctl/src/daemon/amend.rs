//! Changes of a few addresses, as when a pod comes or goes, without a whole plan.

use super::firewall::Trouble;
use super::{Compiled, Firewall, InForce, Kernel, Sources};
use crate::control::protocol::Failure;

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Writes only the difference where that is a few addresses, else all: also where
    /// nothing has changed, and somebody wants it to be as declared.
    pub(super) fn amend_or_install(&mut self, compiled: &Compiled) -> Result<InForce, Failure> {
        if let Some((in_force, old)) = &self.installed
            && self.kernel.active()? == Some(*in_force)
            && old.inputs != compiled.inputs
            && !self.troubles.contains_key(&Trouble::Kernel)
        {
            let number = in_force.number + 1;
            self.name(number, compiled);
            match self.kernel.amend(&old.plan, &compiled.plan, number) {
                Ok(Some(amended)) => {
                    let former = in_force.number;
                    self.count_on(former, number);
                    tracing::info!("generation {former} is amended: it becomes {number}");
                    return Ok(amended);
                }
                Ok(None) => {}
                Err(failure) => tracing::warn!("{failure}; the plan is installed whole"),
            }
        }
        self.install(compiled)
    }
}
