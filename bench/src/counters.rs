//! What the kernel counts, out of the text of `/proc/net`.

use std::iter::Sum;

/// What an interface has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Frames that the driver has counted.
    pub frames: u64,
    /// Frames that it has received, but dropped.
    pub dropped: u64,
}

impl Sum for Received {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            frames: sum.frames + one.frames,
            dropped: sum.dropped + one.dropped,
        })
    }
}

/// What an interface has received, out of `/proc/net/dev`: its second and its fourth
/// number.
#[must_use]
pub fn received(text: &str, interface: &str) -> Received {
    let numbers: Vec<u64> = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'))
        .map(|numbers| {
            let numbers = numbers.split_whitespace();
            numbers.filter_map(|number| number.parse().ok()).collect()
        })
        .unwrap_or_default();
    let number = |index: usize| numbers.get(index).copied().unwrap_or_default();
    Received {
        frames: number(1),
        dropped: number(3),
    }
}

/// The sum of counters of UDP, out of `/proc/net/snmp`: names in one line, values in
/// the next.
#[must_use]
pub fn udp(text: &str, counters: &[&str]) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    names
        .split(' ')
        .zip(values.split(' '))
        .filter(|(name, _)| counters.contains(name))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_udp_are_found_by_name() {
        let text = "Tcp: InSegs\nTcp: 9\nUdp: InDatagrams NoPorts InErrors\nUdp: 5 7 30\n\
                    UdpLite: InDatagrams\nUdpLite: 4\n";
        assert_eq!(udp(text, &["InDatagrams", "InErrors"]), 35);
        assert_eq!(udp(text, &["NoPorts"]), 7);
        assert_eq!(udp("", &["NoPorts"]), 0);
    }

    #[test]
    fn frames_and_drops_of_an_interface_are_its_second_and_fourth_number() {
        let text = "Inter-|   Receive\n face |bytes\n    lo: 1 2 3 4 5\n  eth0:10 20 30 40 50\n";
        let eth0 = Received {
            frames: 20,
            dropped: 40,
        };
        assert_eq!(received(text, "eth0"), eth0);
        assert_eq!(received(text, "eth1"), Received::default());
        let both: Received = ["lo", "eth0"]
            .map(|name| received(text, name))
            .into_iter()
            .sum();
        assert_eq!((both.frames, both.dropped), (22, 44));
    }
}
