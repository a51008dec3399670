//! The kernel stamps events with the monotonic clock; people want the time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::moment::civil;

/// The distance between the monotonic and the real-time clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Real time at monotonic zero, nanoseconds since 1970.
    offset: i128,
}

impl Clock {
    /// Measures now. To be repeated from time to time: the real-time clock is adjusted.
    #[must_use]
    pub fn now() -> Self {
        let real = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let monotonic = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
            .map_or(Duration::ZERO, Duration::from);
        let nanoseconds = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        Self {
            offset: nanoseconds(real) - nanoseconds(monotonic),
        }
    }

    /// Nanoseconds since 1970 at a monotonic time.
    #[must_use]
    pub fn real(&self, monotonic: u64) -> u64 {
        u64::try_from(self.offset + i128::from(monotonic)).unwrap_or(0)
    }

    /// The monotonic time, in nanoseconds, of so many nanoseconds since 1970; what was
    /// before the machine started is 0, what never comes is the end of the clock.
    #[must_use]
    pub fn monotonic(&self, real: u128) -> u64 {
        let monotonic = i128::try_from(real).unwrap_or(i128::MAX) - self.offset;
        u64::try_from(monotonic.max(0)).unwrap_or(u64::MAX)
    }
}

/// Nanoseconds since 1970, now.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// Nanoseconds since 1970 as RFC 3339 in UTC, with nine digits as protojson writes them.
#[must_use]
pub fn rfc3339(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let fraction = nanoseconds % 1_000_000_000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        // Each checked with date(1): `date -u -d @SECONDS +%FT%TZ`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000000Z"),
            (1_795_233_983, "2026-11-21T04:06:23.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000_000), expected);
        }
        assert_eq!(rfc3339(1_500_000_001), "1970-01-01T00:00:01.500000001Z");
    }

    #[test]
    fn a_monotonic_stamp_of_now_is_now() {
        let clock = Clock::now();
        let stamp = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
        let real = clock.real(Duration::from(stamp).as_nanos().try_into().unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let difference = now.as_nanos().abs_diff(u128::from(real));
        assert!(difference < 5_000_000_000, "{difference}");
        let stamp = 7_000_000_000_000;
        assert_eq!(clock.monotonic(u128::from(clock.real(stamp))), stamp);
        assert_eq!(clock.monotonic(1), 0, "long ago");
        assert_eq!(clock.monotonic(u128::MAX), u64::MAX);
    }
}
