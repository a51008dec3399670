//! Moments at which entries of lists expire: seconds since 1970.

use crate::moment;

/// Seconds since 1970. [`NEVER`] is later than all of them; what is written with a
/// later year than 2105 is as good as never.
pub type Moment = u32;

/// An entry without a date.
pub const NEVER: Moment = Moment::MAX;

/// The real-time clock, which may jump. Before 1970 it is 1970.
#[must_use]
pub fn now() -> Moment {
    saturated(moment::now())
}

/// Reads a date and time of RFC 3339, or a date alone: the moment at which it
/// begins in UTC.
#[must_use]
pub fn parse(text: &str) -> Option<Moment> {
    moment::parse(text).ok().map(saturated)
}

fn saturated(seconds: u64) -> Moment {
    Moment::try_from(seconds).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_read() {
        // Each checked with date(1): `date -u -d TEXT +%s`.
        for (text, expected) in [
            ("1970-01-01", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2026-12-01T00:00:00Z", 1_796_083_200),
            ("2026-12-01", 1_796_083_200),
            ("2026-12-01t12:30:15.25z", 1_796_128_215),
            ("2026-12-01T12:30:15+05:30", 1_796_108_415),
            ("2026-12-01T12:30:15-01:00", 1_796_131_815),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_before_1970_has_expired_and_what_is_far_away_never_does() {
        assert_eq!(parse("1969-12-31T23:59:59Z"), Some(0));
        assert_eq!(parse("9999-12-31T23:59:59Z"), Some(NEVER));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026",
            "2026-12",
            "2026-13-01",
            "2026-02-29",
            "2100-02-29",
            "2026-12-00",
            "26-12-01",
            "2026-12-01T",
            "2026-12-01T00:00:00",
            "2026-12-01T00:00Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T00:60:00Z",
            "2026-12-01T00:00:61Z",
            "2026-12-01T00:00:00.Z",
            "2026-12-01T00:00:00+24:00",
            "2026-12-01T00:00:00+0100",
            "1796083200",
            "tomorrow",
            "+026-12-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
