//! Prefixes that nest as runs that do not.

use ipnet::IpNet;

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
    /// The runs of `peers`, of which the longest prefix wins; sorted as in
    /// [`crate::compile::plan::Plan::peers`]. What no prefix holds is of class 0.
    #[must_use]
    pub fn of(peers: &[(IpNet, u16)]) -> Self {
        let v6_begins = peers.partition_point(|(prefix, _)| matches!(prefix, IpNet::V4(_)));
        let (v4, v6) = peers.split_at(v6_begins);
        let v4 = v4.iter().filter_map(|(prefix, class)| match prefix {
            IpNet::V4(net) => Some((net.network().to_bits(), net.broadcast().to_bits(), *class)),
            IpNet::V6(_) => None,
        });
        let v6 = v6.iter().filter_map(|(prefix, class)| match prefix {
            IpNet::V6(net) => Some((net.network().to_bits(), net.broadcast().to_bits(), *class)),
            IpNet::V4(_) => None,
        });
        Self {
            v4: sweep(v4),
            v6: sweep(v6),
        }
    }
}

/// An address as a number.
pub(super) trait Number: Copy + Ord + Default {
    /// The next one, if this is not the last.
    fn next(self) -> Option<Self>;
}

impl Number for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Number for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// Runs of prefixes, each given by first and last address and class.
fn sweep<N: Number>(prefixes: impl Iterator<Item = (N, N, u16)>) -> Vec<(N, u16)> {
    let mut runs = vec![(N::default(), 0)];
    // The prefixes around the present one: last address and class.
    let mut around: Vec<(N, u16)> = Vec::new();
    let end = |runs: &mut Vec<(N, u16)>, around: &[(N, u16)], last: N| {
        if let Some(behind) = last.next() {
            push(runs, behind, around.last().map_or(0, |outer| outer.1));
        }
    };
    for (first, last, class) in prefixes {
        while let Some((ended, _)) = around.pop_if(|outer| outer.0 < first) {
            end(&mut runs, &around, ended);
        }
        push(&mut runs, first, class);
        around.push((last, class));
    }
    while let Some((ended, _)) = around.pop() {
        end(&mut runs, &around, ended);
    }
    runs
}

/// Begins a run behind the others; one that began at the same address was empty.
pub(super) fn push<N: Number>(runs: &mut Vec<(N, u16)>, first: N, class: u16) {
    runs.pop_if(|run| run.0 == first);
    if runs.last().is_none_or(|run| run.1 != class) {
        runs.push((first, class));
    }
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
    }

    #[test]
    fn neighbours_of_one_class_are_one_run() {
        let runs = runs(&[("10.0.0.0/9", 1), ("10.128.0.0/9", 1), ("10.1.0.0/16", 1)]);
        assert_eq!(runs.v4, [(0, 0), (0x0a00_0000, 1), (0x0b00_0000, 0)]);
    }
}
