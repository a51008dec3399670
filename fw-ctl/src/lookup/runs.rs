//! Prefixes that nest as runs that do not.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::ranges::{Number, Range, longest};

/// All addresses, cut where the class changes: the first address of each run and
/// its class, ascending, beginning with address 0. Neighbours differ in class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// IPv4.
    pub v4: Vec<(u32, u16)>,
    /// IPv6.
    pub v6: Vec<(u128, u16)>,
}

impl Runs {
    /// The runs of `prefixes`, of which the longest one wins, sorted: outer ones
    /// before inner ones. What no prefix holds is of class 0.
    #[must_use]
    pub fn of(prefixes: &[(IpNet, u16)]) -> Self {
        Self {
            v4: longest(0, of_family(prefixes)),
            v6: longest(0, of_family(prefixes)),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there are none, which is no table of addresses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The run that an address lies in: its first and last address, and its class.
    ///
    /// # Panics
    /// If the first run does not begin with address 0.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> (IpAddr, IpAddr, u16) {
        match address.to_canonical() {
            IpAddr::V4(address) => find(&self.v4, address.to_bits()),
            IpAddr::V6(address) => find(&self.v6, address.to_bits()),
        }
    }
}

fn of_family<N: Number>(prefixes: &[(IpNet, u16)]) -> impl Iterator<Item = (Range<N>, u16)> {
    prefixes
        .iter()
        .filter_map(|(prefix, class)| Some((N::range_of(prefix)?, *class)))
}

fn find<N: Number>(runs: &[(N, u16)], address: N) -> (IpAddr, IpAddr, u16) {
    let behind = runs.partition_point(|run| run.0 <= address);
    let (first, class) = runs[behind.checked_sub(1).expect("runs begin with address 0")];
    let next = runs.get(behind).and_then(|run| run.0.before());
    let last = next.unwrap_or(N::default().around(0).1);
    (first.address(), last.address(), class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(prefixes: &[(&str, u16)]) -> Runs {
        let mut peers: Vec<(IpNet, u16)> = prefixes
            .iter()
            .map(|(prefix, class)| (prefix.parse().unwrap(), *class))
            .collect();
        peers.sort();
        Runs::of(&peers)
    }

    #[test]
    fn nothing_is_of_class_0() {
        let empty = runs(&[]);
        assert_eq!((empty.v4, empty.v6), (vec![(0, 0)], vec![(0, 0)]));
    }

    #[test]
    fn nested_prefixes_and_the_ends_of_the_address_space() {
        let runs = runs(&[
            ("0.0.0.0/0", 1),
            ("10.0.0.0/8", 2),
            ("10.0.0.0/16", 3),
            ("10.255.0.0/16", 3),
            ("11.0.0.0/8", 2),
            ("255.255.255.255/32", 4),
            ("::/0", 5),
            ("::/128", 6),
            ("ffff::/16", 7),
        ]);
        assert_eq!(
            runs.v4,
            [
                (0, 1),
                (0x0a00_0000, 3),
                (0x0a01_0000, 2),
                (0x0aff_0000, 3),
                (0x0b00_0000, 2),
                (0x0c00_0000, 1),
                (0xffff_ffff, 4),
            ]
        );
        assert_eq!(runs.v6, [(0, 6), (1, 5), (0xffff << 112, 7)]);
        let found = |address: &str| {
            let (first, last, class) = runs.find(address.parse().unwrap());
            format!("{first} {last} {class}")
        };
        assert_eq!(found("10.0.255.255"), "10.0.0.0 10.0.255.255 3");
        assert_eq!(found("::ffff:10.1.0.0"), "10.1.0.0 10.254.255.255 2");
        assert_eq!(
            found("255.255.255.255"),
            "255.255.255.255 255.255.255.255 4"
        );
        assert_eq!(
            found("ffff::1"),
            "ffff:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 7"
        );
    }

    #[test]
    fn neighbours_of_one_class_are_one_run() {
        let runs = runs(&[("10.0.0.0/9", 1), ("10.128.0.0/9", 1), ("10.1.0.0/16", 1)]);
        assert_eq!(runs.v4, [(0, 0), (0x0a00_0000, 1), (0x0b00_0000, 0)]);
    }
}
