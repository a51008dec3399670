//! Summaries of a few values that were measured again and again.

/// Median, smallest and largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Middle value; of an even number the mean of the two in the middle.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Number of values.
    pub count: usize,
}

impl Summary {
    /// Of at least one value; values that are no numbers are left out.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Self {
            median,
            min,
            max,
            count: values.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let odd = Summary::of([9.0, 1.0, 4.0]).unwrap();
        assert_eq!(
            (odd.min, odd.median, odd.max, odd.count),
            (1.0, 4.0, 9.0, 3)
        );
        let even = Summary::of([4.0, 1.0, 2.0, 100.0]).unwrap();
        assert!((even.median - 3.0).abs() < 1e-12);
    }

    #[test]
    fn what_was_not_measured_does_not_count() {
        assert_eq!(Summary::of([]), None);
        assert_eq!(Summary::of([f64::NAN]), None);
        assert_eq!(Summary::of([f64::NAN, 2.0]).unwrap().count, 1);
    }
}
