//! Moments at which entries of lists expire: seconds since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970. [`NEVER`] is later than all of them; what is written with a
/// later year than 2105 is as good as never.
pub type Moment = u32;

/// An entry without a date.
pub const NEVER: Moment = Moment::MAX;

/// The real-time clock, which may jump. Before 1970 it is 1970.
#[must_use]
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        saturated(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    })
}

fn saturated(seconds: i64) -> Moment {
    Moment::try_from(seconds.max(0)).unwrap_or(NEVER)
}

/// Reads a date and time of RFC 3339, or a date alone: the moment at which it
/// begins in UTC. A leap second is the second after it.
#[must_use]
pub fn parse(text: &str) -> Option<Moment> {
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let midnight = days(year, month, day) * 86_400;
    let seconds = time.map_or(Some(0), seconds_of_day)?;
    Some(saturated(midnight + seconds))
}

/// Days since 1970 of a date (Gregorian calendar).
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last day of a year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// `12:30:00Z`, `12:30:00.5+02:00`, as seconds from midnight in UTC.
fn seconds_of_day(text: &str) -> Option<i64> {
    let (time, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => {
            let at = text.rfind(['+', '-'])?;
            let [hours, minutes] = numbers(&text[at + 1..], ':', [2, 2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let east = hours * 3_600 + minutes * 60;
            (
                &text[..at],
                if text[at..].starts_with('+') {
                    east
                } else {
                    -east
                },
            )
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let valid = hour < 24 && minute < 60 && second <= 60;
    valid.then_some(hour * 3_600 + minute * 60 + second - offset)
}

/// Numbers of fixed widths, with one separator between them.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (number, width) in found.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
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
            "2026-12-01 00:00:00Z",
            "1796083200",
            "tomorrow",
            "+026-12-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
