//! Before a change comes in force: what it would cut, and what must be remembered so that
//! it cuts nothing that may go on.

use std::net::IpAddr;
use std::sync::PoisonError;

use super::{Compiled, Firewall, Kernel, SharedRecent, Sources};
use crate::compile::plan::{Mode, Plan};
use crate::config::Config;
use crate::datapath::seed::Remembered;
use crate::harm::{Audited, Harm, Judge, Places, Seen, SshSession, Traffic, audited, harm, seeds};
use crate::moment;
use crate::netlink::{Demand, LocalAddresses};
use crate::sockets::Sockets;

/// What goes on at one moment, on the links that a configuration wants filtered.
struct Moment {
    local: LocalAddresses,
    places: Places,
    sockets: Sockets,
    remembered: Vec<Remembered>,
    seen: Vec<Seen>,
}

impl Moment {
    fn traffic<'a>(&'a self, compiled: &'a Compiled, asker: Option<SshSession>) -> Traffic<'a> {
        Traffic {
            local: &self.local,
            places: &self.places,
            sockets: &self.sockets,
            remembered: &self.remembered,
            seen: &self.seen,
            ssh_ports: &compiled.inputs.ssh_ports,
            asker,
        }
    }
}

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// What would be cut if `new` came in force in `mode`: nothing in audit mode.
    pub(super) fn harm_of_change(
        &self,
        new: &Compiled,
        mode: Mode,
        asker: Option<SshSession>,
    ) -> Harm {
        if mode == Mode::Audit {
            return Harm::default();
        }
        let mut moment = self.moment(&new.plan, &new.inputs.config);
        match self.kernel.remembered() {
            Ok(remembered) => moment.remembered = remembered,
            Err(failure) => moment.sockets.notes.push(failure.line()),
        }
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        moment.seen = recent.allowed(now());
        drop(recent);
        let banned = self.banned();
        let old = self.installed.as_ref().map(|(in_force, compiled)| Judge {
            plan: &compiled.plan,
            mode: in_force.mode,
            banned: &banned,
        });
        let judge = Judge {
            plan: &new.plan,
            mode,
            banned: &banned,
        };
        let mut harm = harm(old.as_ref(), &judge, &moment.traffic(new, asker));
        if old.is_some_and(|old| old.mode == Mode::Audit) {
            harm.audited = Some(self.audited_by(&new.plan));
        }
        harm
    }

    /// What audit mode has let pass lately, and `plan` would drop.
    fn audited_by(&self, plan: &Plan) -> Audited {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = recent.audited(moment::now());
        drop(recent);
        let judge = Judge {
            plan,
            mode: Mode::Enforce,
            banned: &self.banned(),
        };
        audited(&judge, &seen)
    }

    /// Has the datapath remember the open connections whose answers `compiled` would not
    /// let pass by themselves. What goes wrong is told and stops nothing: an operator may
    /// need the change all the same.
    pub(super) fn remember_open(&mut self, compiled: &Compiled, mode: Mode) {
        let moment = self.moment(&compiled.plan, &compiled.inputs.config);
        let seeds = {
            let banned = self.banned();
            let judge = Judge {
                plan: &compiled.plan,
                mode,
                banned: &banned,
            };
            seeds(&judge, &moment.traffic(compiled, None))
        };
        for note in &moment.sockets.notes {
            tracing::warn!("{note}: their answers may be dropped until they are begun anew");
        }
        match self.kernel.seed(&seeds) {
            Ok(0) => {}
            Ok(count) => tracing::info!("{count} open connections are remembered"),
            Err(failure) => tracing::warn!("open connections are not remembered: {failure}"),
        }
    }

    /// The same for what is in force.
    pub(super) fn remember_open_in_force(&mut self) {
        if let Some((in_force, compiled)) = self.installed.take() {
            self.remember_open(&compiled, in_force.mode);
            self.installed = Some((in_force, compiled));
        }
    }

    /// What events told of lately, for the one who reads them.
    #[must_use]
    pub fn recent(&self) -> SharedRecent {
        SharedRecent::clone(&self.recent)
    }

    fn moment(&self, plan: &Plan, config: &Config) -> Moment {
        let demand = Demand {
            wanted: &config.interfaces,
            needs_tags: plan.needs_vlan(),
        };
        Moment {
            local: self.network.local_addresses(),
            places: Places::of(&self.network, demand),
            sockets: self.kernel.open_connections(),
            remembered: Vec::new(),
            seen: Vec::new(),
        }
    }

    pub(super) fn banned(&self) -> impl Fn(IpAddr) -> bool + '_ {
        let now = moment::now();
        let bans = self.bans.all();
        move |peer| bans.get(&peer).is_some_and(|ban| ban.holds(now))
    }
}

/// Nanoseconds of the clock by which events are stamped.
fn now() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    let now = now.map_or(std::time::Duration::ZERO, std::time::Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
