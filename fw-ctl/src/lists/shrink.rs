//! What a list has lost stays in force for a while.
//!
//! A list that shrinks by itself may have been fetched by half, or made from a source that
//! is half down, and a moment later it is whole again. So what it has gained counts at
//! once, and what it has lost until a moment: as entries with that `until=` beside it,
//! so that all that is true of entries which expire is true of these, after a restart and
//! after a reboot, too.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::file::List;
use super::moment::Moment;
use super::prefixes::{Entry, Family, Prefixes};
use crate::moment::rfc3339;
use crate::ranges::Range;

/// Entries that a list has lost, and that are in force still.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Each with the moment until which it is; of line 0, since it is in no file.
    prefixes: Prefixes,
    /// SHA-256 of [`Self::text`].
    pub digest: [u8; 32],
    /// The list without them.
    written: Arc<List>,
}

impl Lost {
    /// They as a list, to be kept on disk.
    #[must_use]
    pub fn text(&self) -> String {
        text(&self.prefixes)
    }

    /// How many of them are in force at `now`.
    #[must_use]
    pub fn count(&self, now: Moment) -> usize {
        self.prefixes.count(now)
    }

    /// Until when the last of them is in force; `None`: that is over at `now`.
    #[must_use]
    pub fn until(&self, now: Moment) -> Option<Moment> {
        self.prefixes.last_expiry().filter(|last| *last > now)
    }
}

fn text(prefixes: &Prefixes) -> String {
    let mut text = String::new();
    for (prefix, until) in prefixes.dated() {
        // Writing to a string never fails.
        let _ = writeln!(text, "{prefix} until={}", rfc3339(until.into()));
    }
    text
}

impl List {
    /// As it is written, without what it has lost.
    #[must_use]
    pub fn written(self: &Arc<Self>) -> Arc<Self> {
        match &self.lost {
            Some(lost) => Arc::clone(&lost.written),
            None => Arc::clone(self),
        }
    }

    /// The list to be in force when it is found as `new`: with what it has lost since
    /// `self` for `delay` seconds more, and what it had lost before as long as was said
    /// then. What is back, or covered by what is there, was not lost; what expires by
    /// itself expires.
    #[must_use]
    pub fn replaced(self: &Arc<Self>, new: &Arc<Self>, now: Moment, delay: u32) -> Arc<Self> {
        if delay == 0 {
            return Arc::clone(new);
        }
        if self.lost.is_none() && self == new {
            return Arc::clone(self);
        }
        let until = now.saturating_add(delay);
        let (old, held) = (&self.prefixes, &new.prefixes);
        let lost = Prefixes::new(lost(old, held, now, until), lost(old, held, now, until));
        let list = Self::with_lost(new, lost);
        if *list == **self {
            Arc::clone(self)
        } else {
            list
        }
    }

    /// `written` with entries that it has lost, as [`Lost::text`] was read.
    #[must_use]
    pub fn with_lost(written: &Arc<Self>, lost: Prefixes) -> Arc<Self> {
        if lost.is_empty() {
            return Arc::clone(written);
        }
        let digest = Sha256::digest(text(&lost)).into();
        Arc::new(Self {
            prefixes: Arc::new(written.prefixes.and(&lost)),
            lost: Some(Box::new(Lost {
                prefixes: lost,
                digest,
                written: Arc::clone(written),
            })),
            ..Self::clone(written)
        })
    }
}

/// The entries of `old` that `new` has not, none longer than `until`.
fn lost<N: Family>(old: &Prefixes, new: &Prefixes, now: Moment, until: Moment) -> Vec<Entry<N>> {
    let covered = new.ranges::<N>(now);
    let mut written = N::entries(new).iter().peekable();
    let key = |entry: &Entry<N>| (entry.first, entry.length);
    let mut lost = Vec::new();
    for entry in N::entries(old) {
        while written.next_if(|other| key(other) < key(entry)).is_some() {}
        let is_there = written.peek().is_some_and(|other| key(other) == key(entry));
        if entry.until > now && !is_there && !lies_in(entry.range(), &covered) {
            lost.push(Entry {
                until: entry.until.min(until),
                line: 0,
                ..*entry
            });
        }
    }
    lost
}

fn lies_in<N: Family>((first, last): Range<N>, covered: &[Range<N>]) -> bool {
    let at = covered.partition_point(|range| range.1 < first);
    let around = covered.get(at);
    around.is_some_and(|range| range.0 <= first && last <= range.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Arc<List> {
        Arc::new(List::parse("a.cidr", text.as_bytes()).unwrap())
    }

    /// The prefixes that count at a moment.
    fn at(list: &List, now: Moment) -> Vec<String> {
        let prefixes = list.prefixes.iter(now);
        prefixes.map(|(prefix, _)| prefix.to_string()).collect()
    }

    const OLD: &str = "192.0.2.1\n192.0.2.2\n192.0.2.3\n2001:db8::/32\n";

    #[test]
    fn what_is_lost_counts_until_the_delay_is_over_and_what_is_new_at_once() {
        let new = list("192.0.2.2\n198.51.100.0/24\n");
        let both = list(OLD).replaced(&new, 1_000, 300);
        let union = [
            "192.0.2.1/32",
            "192.0.2.2/32",
            "192.0.2.3/32",
            "198.51.100.0/24",
            "2001:db8::/32",
        ];
        assert_eq!(at(&both, 1_299), union);
        assert_eq!(at(&both, 1_300), ["192.0.2.2/32", "198.51.100.0/24"]);
        assert_eq!(both.prefixes.expires(1_000), Some(1_300));
        let lost = both.lost.as_ref().unwrap();
        assert_eq!((lost.count(1_000), lost.until(1_000)), (3, Some(1_300)));
        assert_eq!((lost.count(1_300), lost.until(1_300)), (0, None));
        assert!(Arc::ptr_eq(&both.written(), &new));
        assert!(Arc::ptr_eq(&list(OLD).replaced(&new, 1_000, 0), &new));
    }

    #[test]
    fn each_loss_has_its_own_moment_and_what_is_back_was_never_lost() {
        let first = list(OLD).replaced(&list("192.0.2.2\n192.0.2.3\n"), 1_000, 300);
        let unchanged = first.replaced(&first.written(), 1_100, 300);
        assert!(Arc::ptr_eq(&unchanged, &first), "that is no other list");
        let second = first.replaced(&list("192.0.2.2\n"), 1_200, 300);
        assert_eq!(at(&second, 1_299).len(), 4);
        assert_eq!(at(&second, 1_300), ["192.0.2.2/32", "192.0.2.3/32"]);
        assert_eq!(at(&second, 1_500), ["192.0.2.2/32"]);
        let back = second.replaced(&list(OLD), 1_250, 300);
        assert!(back.lost.is_none());
        assert_eq!(at(&back, 9_999).len(), 4);
        // What is over is forgotten at the next look.
        let later = second.replaced(&second.written(), 1_400, 300);
        assert_eq!(later.lost.as_ref().unwrap().count(0), 1);
    }

    #[test]
    fn what_expires_or_is_covered_is_not_lost() {
        let dated = "10.0.0.1 until=1970-01-01T00:20:00Z\n10.0.0.2 until=1970-01-01T00:18:00Z\n";
        let both = list(dated).replaced(&list("192.0.2.0/24\n"), 1_000, 150);
        // At 1,080 by itself, at 1,150 for the delay and not at 1,200.
        assert_eq!(at(&both, 1_079).len(), 3);
        assert_eq!(at(&both, 1_080), ["10.0.0.1/32", "192.0.2.0/24"]);
        assert_eq!(at(&both, 1_150), ["192.0.2.0/24"]);
        // It has expired already, or does so by its own date now.
        let gone = list(dated).replaced(&list("192.0.2.0/24\n"), 1_500, 150);
        assert!(gone.lost.is_none());
        let sooner = list("10.0.0.1 until=1970-01-01T00:00:01Z\n");
        assert!(
            list("10.0.0.1\n")
                .replaced(&sooner, 1_000, 150)
                .lost
                .is_none()
        );
        let joined = list("192.0.2.0/30\n2001:db8::/33\n2001:db8:8000::/33\n");
        assert!(list(OLD).replaced(&joined, 1_000, 150).lost.is_none());
        let smaller = list("2001:db8::/33\n192.0.2.0/30\n");
        assert_eq!(at(&list(OLD).replaced(&smaller, 0, 9), 5).len(), 3);
    }

    #[test]
    fn what_is_lost_is_a_list_that_can_be_read_again() {
        let new = list("192.0.2.2\n");
        let both = list(OLD).replaced(&new, 1_000, 300);
        let lost = both.lost.as_ref().unwrap();
        assert_eq!(
            lost.text(),
            "192.0.2.1/32 until=1970-01-01T00:21:40Z\n\
             192.0.2.3/32 until=1970-01-01T00:21:40Z\n\
             2001:db8::/32 until=1970-01-01T00:21:40Z\n"
        );
        let again = List::with_lost(&new, list(&lost.text()).prefixes.nowhere());
        assert_eq!(*again, *both);
        assert_eq!(again.prefixes, both.prefixes);
        assert_ne!(*both, *new);
    }
}
