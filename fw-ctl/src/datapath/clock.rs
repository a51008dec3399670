//! The kernel's tick, the clock of the datapath.

use nix::time::{ClockId, clock_getres};

/// What is assumed where the kernel does not tell: `CONFIG_HZ=250`, of most
/// distributions. A wrong guess stretches or shortens how long connections are
/// remembered, nothing else.
const USUAL_NANOSECONDS: i64 = 4_000_000;
const NANOSECONDS_PER_SECOND: i128 = 1_000_000_000;

/// Seconds in a tick, times 2^32: the resolution of the kernel's coarse clocks is
/// one tick (`clock_getres(2)`, `TICK_NSEC`).
#[must_use]
pub fn seconds_per_tick() -> u32 {
    let nanoseconds = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)
        .ok()
        .filter(|resolution| resolution.tv_sec() == 0 && resolution.tv_nsec() > 1)
        .map_or(USUAL_NANOSECONDS, |resolution| resolution.tv_nsec());
    scaled(nanoseconds)
}

fn scaled(nanoseconds: i64) -> u32 {
    let scaled = (i128::from(nanoseconds) << 32) / NANOSECONDS_PER_SECOND;
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_ticks_is_a_second() {
        for hertz in [100_u64, 250, 300, 1000] {
            let tick = u64::from(scaled(1_000_000_000 / i64::try_from(hertz).unwrap()));
            // A day of ticks; the datapath multiplies and drops the lower half.
            let seconds = (tick * hertz * 86_400) >> 32;
            assert!((86_398..=86_400).contains(&seconds), "{hertz}: {seconds}");
        }
    }

    #[test]
    fn this_kernel_tells_its_tick() {
        let per_second = (1_u64 << 32) / u64::from(seconds_per_tick());
        assert!((50..=1_100).contains(&per_second), "{per_second}");
    }
}
