//! The kernel is as it was left, or it is mended: what somebody else takes away under
//! the daemon comes back.

use std::time::Instant;

use super::firewall::{Firewall, Trouble};
use super::report::UNREADABLE;
use super::{Kernel, Sources};

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Asks the kernel whether every link is filtered still and pinned, and mends
    /// it where somebody has taken that away.
    pub fn guard(&mut self) {
        self.keep_brake();
        let repinned = self.kernel.repin();
        let mut missing = false;
        match &repinned {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!("the pins of the tables were removed: they are made again");
                self.unpinned = true;
                self.install_unpinned();
            }
            Err(failure) => tracing::error!("{failure}"),
        }
        match self.kernel.mend() {
            Ok(mended) => {
                for what in mended {
                    tracing::warn!("somebody has changed {what} in the kernel: stated again");
                }
            }
            Err(failure) => tracing::error!("{failure}"),
        }
        for (link, why) in self.kernel.lost() {
            missing = true;
            tracing::warn!("interface {}: {why}: it is attached again", link.name);
        }
        let judges = matches!(self.kernel.active(), Ok(Some(_)));
        if judges && !self.kernel.unswitched().is_empty() {
            // The kernel refused it, and may not now.
            missing = true;
        }
        if missing {
            self.settle(true);
            for problem in self.troubles.get(&Trouble::Network).into_iter().flatten() {
                tracing::error!("{problem}");
            }
        }
        if let Err(failure) = repinned {
            let problems = self.troubles.entry(Trouble::Network).or_default();
            problems.push(failure.line());
        }
    }

    /// Restates the plan in force, whole, after its tables were pinned again. Not during a
    /// trial, which leaves no room for another: then, after it.
    pub(super) fn install_unpinned(&mut self) {
        if !self.unpinned || self.trial.is_some() {
            return;
        }
        self.unpinned = false;
        self.install_again();
    }

    /// Begins to test whether the programs judge by the plan in force, or does, unless that
    /// was done.
    pub(super) fn self_test(&mut self) {
        let Some((in_force, compiled)) = &self.installed else {
            return;
        };
        let active = self.kernel.active().ok().flatten();
        if active == Some(*in_force)
            && let Err(failure) = self.kernel.self_test(&compiled.plan)
        {
            tracing::warn!("{failure}");
        }
    }

    /// Puts the plan in force where somebody has changed its tables: what says which plan
    /// it is, is what this daemon has written, and what they hold is not.
    fn mend_tables(&mut self) {
        let Some((expected, _)) = &self.installed else {
            return;
        };
        let stated = self.kernel.active().ok().flatten() == Some(*expected);
        let changed = self
            .kernel
            .read_back()
            .is_ok_and(|hash| hash != expected.hash);
        if stated && changed && self.trial.is_none() {
            tracing::error!("somebody has changed the tables in the kernel: written again");
            self.install_again();
        }
    }

    fn install_again(&mut self) {
        let Some((in_force, compiled)) = self.installed.take() else {
            return;
        };
        match self.install(&compiled) {
            Ok(again) => {
                self.installed = Some((again, compiled));
                self.keep();
            }
            Err(failure) => {
                tracing::error!("{failure}");
                self.installed = Some((in_force, compiled));
            }
        }
    }

    /// Tries again what failed, and checks that the kernel holds what was
    /// installed. Returns whether it does.
    pub fn check(&mut self) -> bool {
        self.end_trial();
        let present = self.network.local_addresses();
        let over = self.expected.check(&present, Instant::now());
        if over || self.troubles.contains_key(&Trouble::Network) {
            self.settle(false);
        }
        self.guard();
        self.mend_tables();
        self.self_test();
        self.sweep_bans();
        self.count_at_times();
        let lost = self.installed.is_some() && !self.confirmed.exists();
        if lost || self.troubles.contains_key(&Trouble::State) {
            self.keep();
        }
        let Some((expected, _)) = &self.installed else {
            return self.kernel.active().is_ok();
        };
        let expected = *expected;
        let trouble = match (self.kernel.active(), self.kernel.read_back()) {
            (Err(failure), _) | (_, Err(failure)) => {
                Some(format!("{UNREADABLE}: {}", failure.line()))
            }
            (Ok(active), Ok(hash)) if active != Some(expected) || hash != expected.hash => Some(
                "the kernel's tables are not those that were installed; try: fw-ctl reload".into(),
            ),
            _ => None,
        };
        match trouble {
            Some(trouble) => {
                self.troubles.insert(Trouble::Kernel, vec![trouble]);
                false
            }
            None => {
                self.troubles.remove(&Trouble::Kernel);
                true
            }
        }
    }
}
