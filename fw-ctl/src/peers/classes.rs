//! The peer classes of a prefix, without the longer prefixes in it: these have rows of
//! their own.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::lookup::Runs;
use crate::ranges::Number;

/// Classes that a row names.
const NAMED: usize = 8;

/// The classes of the prefix at `at` of a sorted table without the others in it, ascending,
/// and whether there are more than these.
pub(super) fn of_row(runs: &Runs, prefixes: &[IpNet], at: usize) -> (Vec<u16>, bool) {
    let (prefix, behind) = (prefixes[at], &prefixes[at + 1..]);
    match prefix {
        IpNet::V4(_) => of_family(&runs.v4, prefix, behind),
        IpNet::V6(_) => of_family(&runs.v6, prefix, behind),
    }
}

fn of_family<N: Number>(runs: &[(N, u16)], prefix: IpNet, behind: &[IpNet]) -> (Vec<u16>, bool) {
    let mut found = BTreeSet::new();
    let Some((first, last)) = N::range_of(&prefix) else {
        return (Vec::new(), false);
    };
    // The first address that no longer prefix has been seen to hold.
    let mut here = Some(first);
    let mut rest = behind;
    while let Some(from) = here {
        let inner = rest.first().and_then(N::range_of);
        let inner = inner.filter(|inner| inner.0 <= last);
        let to = match inner {
            Some((begin, _)) => begin.before(),
            None => Some(last),
        };
        if let Some(to) = to.filter(|to| from <= *to) {
            collect(runs, (from, to), &mut found);
        }
        if found.len() > NAMED {
            break;
        }
        let Some((_, end)) = inner else {
            break;
        };
        // Those within the inner one are passed over.
        let skipped =
            rest.partition_point(|next| N::range_of(next).is_some_and(|next| next.0 <= end));
        rest = &rest[skipped..];
        here = end.next().filter(|next| *next <= last);
    }
    let more = found.len() > NAMED;
    (found.into_iter().take(NAMED).collect(), more)
}

/// The classes of a range.
fn collect<N: Number>(runs: &[(N, u16)], (from, to): (N, N), found: &mut BTreeSet<u16>) {
    let start = runs.partition_point(|run| run.0 <= from).saturating_sub(1);
    for (_, class) in runs[start..].iter().take_while(|run| run.0 <= to) {
        found.insert(*class);
        if found.len() > NAMED {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `10.0.0.0/8 1` and so on: prefixes with classes; all are rows but those after a `-`.
    fn classes(plan: &[&str], row: &str) -> (Vec<u16>, bool) {
        let mut prefixes = Vec::new();
        let mut classed: Vec<(IpNet, u16)> = plan
            .iter()
            .map(|line| {
                let is_row = !line.starts_with('-');
                let (prefix, class) = line.trim_start_matches('-').split_once(' ').unwrap();
                let prefix: IpNet = prefix.parse().unwrap();
                if is_row {
                    prefixes.push(prefix);
                }
                (prefix, class.parse().unwrap())
            })
            .collect();
        classed.sort();
        prefixes.sort();
        let row: IpNet = row.parse().unwrap();
        let at = prefixes.binary_search(&row).unwrap();
        of_row(&Runs::of(&classed), &prefixes, at)
    }

    #[test]
    fn longer_prefixes_are_left_out_and_what_is_no_row_is_not() {
        let plan = [
            "0.0.0.0/0 1",
            "0.0.0.0/8 9",
            "10.0.0.0/8 2",
            "10.1.0.0/16 3",
            "10.1.2.0/24 4",
            "-10.2.0.0/16 5",
            "255.255.255.255/32 6",
            "::/0 7",
            "8000::/1 8",
        ];
        for (row, expected) in [
            ("0.0.0.0/0", &[1][..]),
            ("0.0.0.0/8", &[9]),
            ("10.0.0.0/8", &[2, 5]),
            ("10.1.0.0/16", &[3]),
            ("10.1.2.0/24", &[4]),
            ("255.255.255.255/32", &[6]),
            ("::/0", &[7]),
            ("8000::/1", &[8]),
        ] {
            assert_eq!(classes(&plan, row), (expected.to_vec(), false), "{row}");
        }
    }

    #[test]
    fn a_prefix_of_which_nothing_is_left_has_no_class_and_one_of_many_says_so() {
        let halves = ["10.0.0.0/8 1", "10.0.0.0/9 2", "10.128.0.0/9 3"];
        assert_eq!(classes(&halves, "10.0.0.0/8"), (vec![], false));
        let mut many: Vec<String> = (0..9).map(|n| format!("-10.{n}.0.0/16 {n}")).collect();
        many.push("10.0.0.0/8 0".into());
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (named, more) = classes(&many, "10.0.0.0/8");
        assert_eq!((named, more), ((0..8).collect(), true));
    }
}
