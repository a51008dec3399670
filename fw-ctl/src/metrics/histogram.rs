//! How long things took.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::family::{Definition, Family, Sample};

/// Upper ends of buckets, in seconds: from a small change to a list of a million prefixes on a
/// slow machine.
const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// Times, counted by how long they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// In each bucket, and in the last one what is longer than all ends.
    counts: [u64; BOUNDS.len() + 1],
    /// All times together, in seconds.
    sum: f64,
}

impl Histogram {
    /// Counts a time.
    pub fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += 1;
        self.sum += seconds;
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// As a family.
    #[must_use]
    pub fn family(&self, definition: &'static Definition) -> Family {
        let mut samples = Vec::new();
        let mut below = 0;
        // `1.0`, not `1`: OpenMetrics wants it so, and it is the same in both formats.
        let ends = BOUNDS.iter().map(|bound| format!("{bound:?}"));
        for (end, count) in ends.chain(["+Inf".to_owned()]).zip(self.counts) {
            below += count;
            samples.push(Sample {
                suffix: "_bucket",
                labels: vec![("le", end)],
                value: number(below),
            });
        }
        for (suffix, value) in [("_sum", self.sum), ("_count", number(self.count()))] {
            samples.push(Sample {
                suffix,
                labels: Vec::new(),
                value,
            });
        }
        Family {
            definition,
            samples,
        }
    }
}

/// A count as both formats have it: exact up to 2⁵³.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    reason = "the formats know no other numbers"
)]
pub fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::definitions::RELOAD_DURATION;

    #[test]
    fn a_time_is_in_every_bucket_that_it_is_not_longer_than() {
        let mut histogram = Histogram::default();
        for milliseconds in [5, 6, 90_000] {
            histogram.add(Duration::from_millis(milliseconds));
        }
        let family = histogram.family(&RELOAD_DURATION);
        let values: Vec<_> = family.samples.iter().map(|sample| sample.value).collect();
        let expected = [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0];
        assert_eq!(values[..12], expected);
        assert!((values[12] - 90.011).abs() < 1e-9);
        assert_eq!(values[13..], [3.0]);
        let ends = family
            .samples
            .iter()
            .filter_map(|sample| sample.labels.first());
        let ends: Vec<_> = ends.map(|(_, end)| end.as_str()).collect();
        assert_eq!((ends[0], ends[7], ends[11]), ("0.005", "1.0", "+Inf"));
    }
}
