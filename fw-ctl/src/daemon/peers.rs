//! Every address that is known to the plan in force.

use super::{Firewall, Kernel, Sources};
use crate::control::protocol::Failure;
use crate::exit;
use crate::peers::{Known, Peers, Query, peers};

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Who addresses are, and where it was said.
    ///
    /// # Errors
    /// When there is no plan of this daemon's.
    pub fn peers(&self, query: &Query) -> Result<Peers, Failure> {
        let Some((in_force, compiled)) = &self.installed else {
            return Err(Failure::new(
                exit::UNREACHABLE,
                "no policy was accepted since the daemon started: nobody is known",
            )
            .help("fw-ctl status names the errors"));
        };
        let known = Known {
            compiled,
            generation: Some(in_force.number),
            network: Some(&self.network),
            ban: &|address| self.ban_of(address),
        };
        Ok(peers(&known, query))
    }
}
