//! Moments and spans of time as people write them: RFC 3339, and `1h30m`.
//!
//! Moments are seconds since 1970 in UTC; leap seconds are not counted, as in Unix.

use std::time::{SystemTime, UNIX_EPOCH};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Units of a span, each with its name.
const UNITS: [(char, u64); 5] = [
    ('s', 1),
    ('m', MINUTE),
    ('h', HOUR),
    ('d', DAY),
    ('w', 7 * DAY),
];
/// What is longer is meant for good.
const LONGEST: u64 = 36_525 * DAY;

/// Now.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A moment in RFC 3339: `2026-11-21T04:06:23Z`.
#[must_use]
pub fn rfc3339(moment: u64) -> String {
    let (year, month, day) = civil(moment / DAY);
    let (hour, minute, second) = (moment % DAY / HOUR, moment % HOUR / MINUTE, moment % MINUTE);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads a moment in RFC 3339, with `Z` or an offset; a fraction of a second is
/// left out, a leap second is the second after it, and what is before 1970 is 1970.
/// A date alone is the moment at which it begins in UTC.
///
/// # Errors
/// What about it is no moment.
pub fn parse(text: &str) -> Result<u64, String> {
    parts(text).ok_or_else(|| {
        format!(
            "`{text}` is no date, and no time of day with a date and a time zone; write \
             2026-11-21, 2026-11-21T04:06:23Z or 2026-11-21T05:06:23+01:00"
        )
    })
}

fn parts(text: &str) -> Option<u64> {
    let (date, time) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let time = if time.is_empty() { "T00:00:00Z" } else { time };
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = time.split_at_checked(8)?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => rest,
    };
    let [year, month, day] = [year, month, day].map(u64::cast_signed);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let exists = (1..=12).contains(&month)
        && (1..=days).contains(&day)
        && (hour, minute, second) <= (23, 59, 60)
        && minute < 60
        && second <= 60;
    if !exists {
        return None;
    }
    let of_day = (hour * HOUR + minute * MINUTE + second).cast_signed();
    let local = days_until(year, month, day) * DAY.cast_signed() + of_day;
    let moment = |seconds: i64| Some(seconds.max(0).cast_unsigned());
    if zone.eq_ignore_ascii_case("z") {
        return moment(local);
    }
    let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = (hours * HOUR + minutes * MINUTE).cast_signed();
    match zone.as_bytes()[0] {
        b'+' => moment(local - offset),
        b'-' => moment(local + offset),
        _ => None,
    }
}

/// Numbers of so many digits each.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// Days from 1970-01-01 to a date (Gregorian calendar).
fn days_until(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last day of a year.
    let year = year - i64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month_from_march + 2) / 5 + day - 1 - 719_468
}

/// Year, month and day of a day counted from 1970-01-01.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Reads a span of time: `90s`, `15m`, `1h30m`, `7d`, `2w`. In seconds.
///
/// # Errors
/// What about it is no span, is none at all, or is longer than a century.
pub fn parse_span(text: &str) -> Result<u64, String> {
    match parse_any_span(text)? {
        seconds @ ..=LONGEST => Ok(seconds),
        _ => Err(format!("`{text}` is longer than a century: leave it out")),
    }
}

/// [`parse_span`] without a limit.
///
/// # Errors
/// What about it is no span, or is none at all.
pub fn parse_any_span(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!("`{text}` is no span of time; write numbers with s, m, h, d or w: 90s, 1h30m, 7d")
    };
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        let (number, behind) = rest.split_at(end.ok_or_else(wrong)?);
        let unit = behind.chars().next();
        let unit = UNITS.iter().find(|row| Some(row.0) == unit);
        let (_, length) = unit.ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        seconds = seconds.saturating_add(number.saturating_mul(*length));
        rest = &behind[1..];
    }
    match seconds {
        0 if text.is_empty() => Err(wrong()),
        0 => Err(format!("`{text}` is no time at all")),
        seconds => Ok(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        // Each checked with date(1): `date -u -d @SECONDS +%FT%TZ`.
        for (moment, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_233_983, "2026-11-21T04:06:23Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(moment), text);
            assert_eq!(parse(text), Ok(moment), "{text}");
        }
    }

    #[test]
    fn zones_fractions_and_what_rfc_3339_also_allows() {
        for text in [
            "2026-11-21T05:06:23+01:00",
            "2026-11-20T22:36:23-05:30",
            "2026-11-21 04:06:23z",
            "2026-11-21t04:06:23.999Z",
        ] {
            assert_eq!(parse(text), Ok(1_795_233_983), "{text}");
        }
    }

    #[test]
    fn a_date_is_its_first_moment_in_utc() {
        // Likewise: `date -u -d TEXT +%s`.
        for (text, moment) in [
            ("1970-01-01", 0),
            ("2027-01-01", 1_798_761_600),
            ("2028-02-29", 1_835_395_200),
        ] {
            assert_eq!(parse(text), Ok(moment), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment() {
        for text in [
            "",
            "tomorrow",
            "2026-11",
            "2026-11-2",
            "2026-11-21 ",
            "2026-11-21T",
            "2026-11-21Z",
            "2026-02-29",
            "2026-11-21T04:06:23",
            "2026-11-21T04:06Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T04:06:61Z",
            "2026-11-21T04:06:23.Z",
            "2026-11-21T04:06:23+1:00",
            "2026-11-21T04:06:23Zulu",
            "2026-11-2éT04:06:23Z",
            "+026-11-21T04:06:23Z",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("write 2026-"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_before_1970_is_1970() {
        for text in [
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "0000-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), Ok(0), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:01Z"), Ok(1));
    }

    #[test]
    fn spans() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("1h30m", 5_400),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("36525d", LONGEST),
        ] {
            assert_eq!(parse_span(text), Ok(seconds), "{text}");
        }
        for (text, says) in [
            ("", "no span"),
            ("90", "no span"),
            ("h", "no span"),
            ("1y", "no span"),
            ("-1h", "no span"),
            ("1 h", "no span"),
            ("1hé", "no span"),
            ("99999999999999999999s", "no span"),
            ("0s", "no time at all"),
            ("36526d", "longer than a century"),
            ("18446744073709551615w", "longer than a century"),
        ] {
            let error = parse_span(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
