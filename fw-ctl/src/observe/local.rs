//! Times of day where the operator is, in the layouts of `hubble observe --time-format`
//! (Go's `time` package).

use crate::moment::civil;

/// A layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// Nov 21 04:06:23.123
    #[default]
    #[value(name = "StampMilli")]
    StampMilli,
    /// 2026-11-21T04:06:23Z
    #[value(name = "RFC3339")]
    Rfc3339,
    /// 2026-11-21T04:06:23.123Z
    #[value(name = "RFC3339Milli")]
    Rfc3339Milli,
    /// 2026-11-21T04:06:23.123456Z
    #[value(name = "RFC3339Micro")]
    Rfc3339Micro,
    /// 2026-11-21T04:06:23.123456789Z
    #[value(name = "RFC3339Nano")]
    Rfc3339Nano,
    /// Sat, 21 Nov 2026 04:06:23 +0000
    #[value(name = "RFC1123Z")]
    Rfc1123Z,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// 1970-01-01 was a Thursday.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A moment in nanoseconds since 1970, as local time says it.
#[must_use]
pub fn local(nanoseconds: u64, layout: Layout) -> String {
    at_offset(nanoseconds, offset(nanoseconds / 1_000_000_000), layout)
}

/// Seconds that local time is ahead of UTC at a moment.
fn offset(seconds: u64) -> i64 {
    let Ok(moment) = libc::time_t::try_from(seconds) else {
        return 0;
    };
    // SAFETY: the C library reads a number and writes into what is ours; all of it are numbers
    // and a pointer that may be null, for which zeros stand.
    let (found, parts) = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        (libc::localtime_r(&raw const moment, &raw mut parts), parts)
    };
    if found.is_null() {
        return 0;
    }
    parts.tm_gmtoff
}

fn at_offset(nanoseconds: u64, offset: i64, layout: Layout) -> String {
    let seconds = (nanoseconds / 1_000_000_000).saturating_add_signed(offset);
    let fraction = nanoseconds % 1_000_000_000;
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let clock = format!("{hour:02}:{minute:02}:{second:02}");
    let name = MONTHS[(month as usize).saturating_sub(1) % 12];
    let date = format!("{year:04}-{month:02}-{day:02}T{clock}");
    match layout {
        Layout::StampMilli => format!("{name} {day:>2} {clock}.{:03}", fraction / 1_000_000),
        Layout::Rfc3339 => format!("{date}{}", zone(offset)),
        Layout::Rfc3339Milli => format!("{date}.{:03}{}", fraction / 1_000_000, zone(offset)),
        Layout::Rfc3339Micro => format!("{date}.{:06}{}", fraction / 1_000, zone(offset)),
        Layout::Rfc3339Nano => {
            // Go leaves zeros at the end out.
            let digits = format!("{fraction:09}");
            match digits.trim_end_matches('0') {
                "" => format!("{date}{}", zone(offset)),
                digits => format!("{date}.{digits}{}", zone(offset)),
            }
        }
        Layout::Rfc1123Z => {
            let weekday = DAYS[(days % 7) as usize];
            let zone = distance(offset, "");
            format!("{weekday}, {day:02} {name} {year:04} {clock} {zone}")
        }
    }
}

/// `Z`, or `+01:00`.
fn zone(offset: i64) -> String {
    match offset {
        0 => "Z".to_owned(),
        _ => distance(offset, ":"),
    }
}

fn distance(offset: i64, colon: &str) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.unsigned_abs() / 60;
    format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_is_gos() {
        let moment = 1_795_233_983_120_456_000;
        for (layout, utc, east) in [
            (
                Layout::StampMilli,
                "Nov 21 04:06:23.120",
                "Nov 21 09:36:23.120",
            ),
            (
                Layout::Rfc3339,
                "2026-11-21T04:06:23Z",
                "2026-11-21T09:36:23+05:30",
            ),
            (
                Layout::Rfc3339Milli,
                "2026-11-21T04:06:23.120Z",
                "2026-11-21T09:36:23.120+05:30",
            ),
            (
                Layout::Rfc3339Micro,
                "2026-11-21T04:06:23.120456Z",
                "2026-11-21T09:36:23.120456+05:30",
            ),
            (
                Layout::Rfc3339Nano,
                "2026-11-21T04:06:23.120456Z",
                "2026-11-21T09:36:23.120456+05:30",
            ),
            (
                Layout::Rfc1123Z,
                "Sat, 21 Nov 2026 04:06:23 +0000",
                "Sat, 21 Nov 2026 09:36:23 +0530",
            ),
        ] {
            assert_eq!(at_offset(moment, 0, layout), utc);
            assert_eq!(at_offset(moment, 19_800, layout), east);
        }
        // Days have one digit, nanoseconds none; and west of Greenwich it is the day before.
        let first = 1_793_491_200_000_000_000;
        assert_eq!(
            at_offset(first, 0, Layout::StampMilli),
            "Nov  1 00:00:00.000"
        );
        assert_eq!(
            at_offset(first, 0, Layout::Rfc3339Nano),
            "2026-11-01T00:00:00Z"
        );
        assert_eq!(
            at_offset(first, -3_600, Layout::Rfc1123Z),
            "Sat, 31 Oct 2026 23:00:00 -0100"
        );
    }
}
