//! Numbers as they are read at a glance.

use std::time::Duration;

/// Below this, a rate has a digit behind the point.
const EXACT: f64 = 10.0;
/// Powers of a thousand, as SI names them.
const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];

/// So many in a span of time, in one second.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is read by people; 2^53 packets in one interval are none that a machine has"
)]
pub fn per_second(count: u64, span: Duration) -> f64 {
    count as f64 / span.as_secs_f64()
}

/// `0`, `<0.1`, `4.2`, `950`, `12.3k`; `-` where it is not known.
#[must_use]
pub fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate <= 0.0 => "0".to_owned(),
        Some(rate) if rate < 0.05 => "<0.1".to_owned(),
        Some(rate) if rate < EXACT => format!("{rate:.1}"),
        Some(rate) => scaled(rate),
    }
}

/// `950`, `12.3k`, `4.5M`.
fn scaled(number: f64) -> String {
    let mut number = number;
    for prefix in PREFIXES {
        // What would be rounded up to 1000 has the next prefix.
        if number < 999.5 {
            return match prefix {
                "" => format!("{number:.0}"),
                _ if number < 99.95 => format!("{number:.1}{prefix}"),
                _ => format!("{number:.0}{prefix}"),
            };
        }
        number /= 1_000.0;
    }
    format!("{number:.0}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_fit_into_five_columns() {
        for (number, expected) in [
            (0.0, "0"),
            (0.01, "<0.1"),
            (0.05, "0.1"),
            (4.2, "4.2"),
            (9.99, "10.0"),
            (50.4, "50"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (12_345.0, "12.3k"),
            (99_960.0, "100k"),
            (123_456_789.0, "123M"),
            (1.0e18, "1.0E"),
        ] {
            assert_eq!(rate(Some(number)), expected, "{number}");
            assert!(expected.len() <= 5);
        }
        assert_eq!(rate(None), "-");
        assert!((per_second(30, Duration::from_millis(1_500)) - 20.0).abs() < 1e-9);
    }
}
