//! What somebody wants to see, of the past and of what is to come.

use serde::{Deserialize, Serialize};

use super::filter::Filters;
use super::history::{Happened, Seen};
use super::{Flow, Lost};

/// Of which time, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Span {
    /// Not before: nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Not after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// So many, the oldest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// So many, the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Go on with what is to come.
    pub follow: bool,
}

impl Span {
    /// Whether a moment lies in it.
    #[must_use]
    pub fn has(&self, time: u64) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time <= until)
    }

    /// Those of the past that it asks for, the oldest first, of all that match otherwise.
    /// `counts`: whether one counts as one of so many.
    pub(super) fn of_past<T>(
        &self,
        past: impl DoubleEndedIterator<Item = T>,
        counts: impl Fn(&T) -> bool,
    ) -> Vec<T> {
        match (self.first, self.last) {
            (Some(first), _) => up_to(past, first, counts),
            (None, Some(last)) => {
                let mut newest = up_to(past.rev(), last, counts);
                newest.reverse();
                newest
            }
            (None, None) => past.collect(),
        }
    }
}

/// Until so many that count were taken.
fn up_to<T>(all: impl Iterator<Item = T>, number: u64, counts: impl Fn(&T) -> bool) -> Vec<T> {
    let mut left = number;
    let mut taken = Vec::new();
    if left == 0 {
        return taken;
    }
    for one in all {
        left -= u64::from(counts(&one));
        taken.push(one);
        if left == 0 {
            break;
        }
    }
    taken
}

/// Which flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Which of them.
    pub filters: Filters,
    /// Of which time, and how many.
    pub span: Span,
}

impl Query {
    /// All flows of a time.
    #[must_use]
    pub fn of(span: Span) -> Self {
        Self {
            filters: Filters::default(),
            span,
        }
    }

    /// Whether a flow is one of those, whatever their number.
    #[must_use]
    pub fn tells(&self, flow: &Flow) -> bool {
        self.span.has(flow.record.time) && self.filters.tell(flow)
    }

    /// The same of everything. Nobody asks for what was lost, and nobody knows what it was:
    /// it is told whatever the filters, and is none of so many (Cilium
    /// `pkg/hubble/observer/local_observer.go`).
    fn tells_seen(&self, seen: &Seen) -> bool {
        match seen {
            Seen::Flow(flow) => self.tells(flow),
            Seen::Lost(Lost { time, .. }) => self.span.has(*time),
        }
    }

    /// What it asks for of the past, the oldest first.
    pub(super) fn of_past(&self, past: Vec<Seen>) -> Vec<Seen> {
        let told = past.into_iter().filter(|seen| self.tells_seen(seen));
        self.span
            .of_past(told, |seen| matches!(seen, Seen::Flow(_)))
    }

    /// What it asks for of what happens.
    pub(super) fn of_present(&self, happened: Happened) -> Vec<Seen> {
        let mut seen = Seen::of(happened);
        seen.retain(|seen| self.tells_seen(seen));
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_count_comes_with_what_does() {
        // Odd numbers count.
        let of = |span: Span| span.of_past(1..=8_u32, |number| number % 2 == 1);
        let all = Span::default();
        let first = |number| Span {
            first: Some(number),
            ..all
        };
        let last = |number| Span {
            last: Some(number),
            ..all
        };
        assert_eq!(of(all), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(of(first(2)), [1, 2, 3]);
        assert_eq!(of(last(2)), [5, 6, 7, 8]);
        assert_eq!(of(last(9)), of(all));
        assert!(of(first(0)).is_empty() && of(last(0)).is_empty());
    }
}
