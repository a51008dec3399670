//! The addresses that the node had before it was booted, and those that it had just now.
//!
//! A packet to an address that is not the node's is only forwarded, and passes. An address that
//! is new is the node's at once, but the datapath learns of it a moment later, when the kernel
//! has told the daemon: too late for the first packets after a boot. So those of before
//! count as the node's from the beginning on. A packet to one that does not come back
//! this time is judged for nothing: nobody here would take it.
//!
//! The same goes for an address that is taken away: whoever restarts an interface, or loads
//! its driver again, gives it back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::{atomic, sealed};
use crate::netlink::LocalAddresses;
use crate::texts;
use crate::why::why;

const FILE: &str = "addresses.json";
const SCHEMA: u32 = 1;
/// How long after the boot they count: the network is up by then, or an address has moved
/// to somebody whose packets the node forwards.
const AFTER_BOOT: Duration = Duration::from_mins(5);
/// How long an address that was taken away counts all the same.
const LATELY: Duration = Duration::from_mins(1);
/// How long an address must be gone before it is forgotten. Whoever shuts a machine down
/// takes its addresses first.
const GONE: Duration = Duration::from_mins(10);
/// A node with more has them for a load balancer, which forwards.
const MOST: usize = 1_024;

/// Addresses on disk.
pub(super) struct Expected {
    directory: PathBuf,
    kept: LocalAddresses,
    /// Until when those that are kept count.
    until: Option<Instant>,
    /// Since when some of them are gone.
    gone: Option<Instant>,
    /// What was taken away lately, and when.
    lately: BTreeMap<IpNet, Instant>,
}

impl Expected {
    /// Those in a state directory; none, where they cannot be read.
    pub(super) fn open(directory: &Path) -> Self {
        let kept = match texts::read_to_string(&directory.join(FILE)) {
            Ok(text) => sealed::read::<Vec<String>>(&text, &(SCHEMA..=SCHEMA)),
            Err(error) if atomic::is_absent(&error) => Ok(Vec::new()),
            Err(error) => Err(why(&error)),
        };
        let kept = kept.unwrap_or_else(|trouble| {
            tracing::warn!("the addresses before the boot are not known: {trouble}");
            Vec::new()
        });
        Self {
            directory: directory.to_owned(),
            kept: LocalAddresses::of_texts(&kept),
            until: None,
            gone: None,
            lately: BTreeMap::new(),
        }
    }

    /// The node had `before` and has `after`: what was taken away counts for a while.
    pub(super) fn changed(
        &mut self,
        before: &LocalAddresses,
        after: &LocalAddresses,
        now: Instant,
    ) {
        let after: BTreeSet<IpNet> = after.all().collect();
        let taken = before.all().filter(|address| !after.contains(address));
        self.lately.extend(taken.map(|address| (address, now)));
        self.lately.retain(|address, _| !after.contains(address));
        if self.lately.len() > MOST {
            self.lately.clear();
        }
    }

    /// The machine was booted: what is kept counts for a while.
    pub(super) fn begin(&mut self, now: Instant) {
        self.until = Some(now + AFTER_BOOT);
    }

    /// What the datapath is to take for the node's, where it has `present`.
    pub(super) fn with(&self, present: &LocalAddresses) -> LocalAddresses {
        let mut all = match self.until {
            Some(_) => present.and(&self.kept),
            None => present.clone(),
        };
        self.lately.keys().for_each(|address| all.insert(*address));
        all
    }

    /// Keeps what is `present` for the next boot. Returns whether what [`Self::with`] says
    /// is another thing from now on.
    pub(super) fn check(&mut self, present: &LocalAddresses, now: Instant) -> bool {
        let all = present.and(&self.kept);
        self.gone = match all == *present {
            true => None,
            false => Some(self.gone.unwrap_or(now)),
        };
        if self.gone.is_some_and(|since| since + GONE <= now) {
            self.keep(present.clone());
            self.gone = None;
        } else if all != self.kept {
            self.keep(all);
        }
        let over = self.until.is_some_and(|until| until <= now);
        if over {
            self.until = None;
        }
        let count = self.lately.len();
        self.lately.retain(|_, since| *since + LATELY > now);
        over || self.lately.len() < count
    }

    fn keep(&mut self, addresses: LocalAddresses) {
        if addresses.single().len() + addresses.networks().len() > MOST {
            return;
        }
        let text = sealed::seal(SCHEMA, BTreeSet::new(), &addresses.texts());
        let written = text
            .map_err(std::io::Error::from)
            .and_then(|text| atomic::replace(&self.directory, FILE, text.as_bytes()));
        match written {
            Ok(()) => self.kept = addresses,
            // That the directory cannot be written is told for what matters more.
            Err(error) => tracing::debug!("addresses cannot be kept: {}", why(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> LocalAddresses {
        LocalAddresses::of_texts(texts)
    }

    #[test]
    fn what_was_taken_away_counts_for_a_while_or_until_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut expected = Expected::open(dir.path());
        let both = addresses(&["192.0.2.1", "fd00::1", "198.51.100.0/24"]);
        let one = addresses(&["192.0.2.1"]);
        expected.changed(&both, &one, now);
        assert_eq!(expected.with(&one), both);
        assert!(!expected.check(&one, now + LATELY / 2));
        assert_eq!(expected.with(&one), both);
        assert!(expected.check(&one, now + LATELY), "it is over");
        assert_eq!(expected.with(&one), one);

        expected.changed(&both, &one, now);
        expected.changed(&one, &both, now);
        assert!(!expected.check(&both, now + LATELY), "it is back");
    }

    #[test]
    fn those_of_before_count_after_a_boot_and_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let before = addresses(&["192.0.2.1", "fd00::1", "198.51.100.0/24"]);
        assert!(!Expected::open(dir.path()).check(&before, now));

        let mut after = Expected::open(dir.path());
        let early = addresses(&["203.0.113.1"]);
        assert_eq!(after.with(&early), early, "the machine was not booted");
        after.begin(now);
        assert_eq!(after.with(&early), early.and(&before));
        assert!(!after.check(&early, now));
        assert!(after.check(&early, now + AFTER_BOOT), "they are over");
        assert!(!after.check(&early, now + AFTER_BOOT), "that is told once");
        assert_eq!(after.with(&early), early);
    }

    #[test]
    fn what_is_gone_is_forgotten_only_after_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let (both, one) = (
            addresses(&["192.0.2.1", "192.0.2.2"]),
            addresses(&["192.0.2.1"]),
        );
        let kept = || Expected::open(dir.path()).kept;
        let mut store = Expected::open(dir.path());
        store.check(&both, now);
        store.check(&one, now);
        assert_eq!(kept(), both, "the machine may be on its way down");
        store.check(&both, now + GONE / 2);
        store.check(&one, now + GONE);
        assert_eq!(kept(), both, "it was there again in between");
        store.check(&one, now + GONE * 2);
        assert_eq!(kept(), one);
    }

    #[test]
    fn a_damaged_file_keeps_nothing_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let present = addresses(&["192.0.2.1"]);
        Expected::open(dir.path()).check(&present, Instant::now());
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("192.0.2.1", "192.0.2.9")).unwrap();
        let mut store = Expected::open(dir.path());
        store.begin(Instant::now());
        assert_eq!(store.with(&present), present);
    }

    #[test]
    fn too_many_are_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let many = (0..=MOST as u32).map(|n| std::net::IpAddr::from(std::net::Ipv4Addr::from(n)));
        let many: LocalAddresses = many.collect();
        Expected::open(dir.path()).check(&many, Instant::now());
        assert!(!dir.path().join(FILE).exists());
    }
}
