//! The kernel is as it was left, or it is mended: what somebody else takes away under
//! the daemon comes back.

use super::firewall::{Firewall, Trouble};
use super::report::UNREADABLE;
use super::{Kernel, Sources};

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Asks the kernel whether every link is filtered still and pinned, and mends
    /// it where somebody has taken that away.
    pub fn guard(&mut self) {
        let repinned = self.kernel.repin();
        let mut missing = false;
        match &repinned {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!("the pins of the tables were removed: they are made again");
                self.install_again();
            }
            Err(failure) => tracing::error!("{failure}"),
        }
        for (link, why) in self.kernel.lost() {
            missing = true;
            tracing::warn!("interface {}: {why}: it is attached again", link.name);
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

    /// Restates the plan in force, whole.
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
        if self.troubles.contains_key(&Trouble::Network) {
            self.settle(false);
        }
        self.guard();
        self.sweep_bans();
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
