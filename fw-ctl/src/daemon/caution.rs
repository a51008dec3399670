//! Which lists are taken when nobody has asked for a reload, and nobody watches.
//!
//! A list that is broken, half-written, gone or suddenly short is not taken, and the one
//! in force stays; so does one that fits nothing else. The other lists go on meanwhile.

use std::path::Path;
use std::sync::Arc;

use super::{Compiled, Inputs, Sources, Wrong};
use crate::cli::output::plain;
use crate::config::Config;
use crate::lists::moment::Moment;
use crate::lists::{Found, List};

/// What lists on disk make of those in force.
pub(super) struct Change {
    /// The lists to be in force, by file.
    pub(super) lists: Vec<Arc<List>>,
    /// Lists that are not taken, and why, a line each.
    pub(super) held: Vec<String>,
    /// Some file may be being written: to be looked at again soon.
    pub(super) again: bool,
}

impl Change {
    /// `base` are the lists in force, `found` what `config` names now. What lists have lost
    /// is still in them, until the configured delay is over.
    pub(super) fn of(base: &[Arc<List>], found: Vec<Found>, config: &Config, now: Moment) -> Self {
        let delay = config.policy.shrink_delay();
        let mut change = Self {
            lists: Vec::new(),
            held: Vec::new(),
            again: false,
        };
        let old = |file: &str| base.iter().find(|list| list.file == file);
        for found in &found {
            change.again |= !found.quiet;
            let old = old(&found.file);
            match accepted(found, old) {
                Ok(list) => change.lists.push(match old {
                    Some(old) => old.replaced(&list, now, delay),
                    None => list,
                }),
                Err(why) => {
                    // What is being written still may be mended in a moment.
                    if found.quiet {
                        change.held.push(why);
                    }
                    change.lists.extend(old.cloned());
                }
            }
        }
        for old in base {
            if is_named(&old.file, config) && !found.iter().any(|found| found.file == old.file) {
                change.held.push(format!(
                    "{}: the list is gone, and stays in force (try: fw-ctl reload, if that is \
                     meant)",
                    old.file
                ));
                change.lists.push(Arc::clone(old));
            }
        }
        change.lists.sort_by(|one, other| one.file.cmp(&other.file));
        change
    }
}

/// Whether `config` names the place of a list, be it there or not.
fn is_named(file: &str, config: &Config) -> bool {
    let paths = config.policy.inventory.iter();
    paths
        .into_iter()
        .any(|path| Path::new(file).starts_with(path))
}

/// The list that was found, or why it is not to be in force.
fn accepted(found: &Found, old: Option<&Arc<List>>) -> Result<Arc<List>, String> {
    let old = old.map(List::written);
    let new = match &found.list {
        Ok(new) => new,
        Err(errors) => {
            let more = match errors.len() {
                1 => String::new(),
                count => format!(" (and {} more errors)", count - 1),
            };
            let first = errors.first().map(plain).unwrap_or_default();
            return Err(format!("the list is not taken: {first}{more}"));
        }
    };
    if let Some(old) = &old
        && old == new
    {
        return Ok(Arc::clone(old));
    }
    let file = &found.file;
    if !found.quiet {
        return Err(format!("{file}: the list is being written"));
    }
    if !new.whole {
        return Err(format!(
            "{file}: the list is not taken, because its last line has no end: only a part of \
             it may have been written (try: end it, or fw-ctl reload)"
        ));
    }
    let before = old.as_ref().map_or(0, |old| old.prefixes.len());
    let after = new.prefixes.len();
    if before > 0 && (after == 0 || after * 2 < before) {
        return Err(format!(
            "{file}: the list is not taken, because of its {before} entries only {after} are \
             left (try: fw-ctl reload, if that is meant)"
        ));
    }
    // Whether it denies or allows: nobody meant that, or he can say so.
    let everybody = |list: &List| list.prefixes.mean_everybody(0);
    if everybody(new) && !old.is_some_and(|old| everybody(&old)) {
        return Err(format!(
            "{file}: the list is not taken, because it means every address of a family now (try: \
             fw-ctl reload, if that is meant)"
        ));
    }
    Ok(Arc::clone(new))
}

/// What could be compiled of lists that changed.
pub(super) struct Partly {
    /// With as many of them as can be.
    pub(super) compiled: Compiled,
    /// Why the others cannot, a line each.
    pub(super) held: Vec<String>,
}

/// Compiles `inputs`; where what the lists have become since `base` is refused, with as
/// many of them as can be, one after the other.
///
/// # Errors
/// What is wrong if it is none of the lists.
pub(super) fn compile<S: Sources>(
    sources: &S,
    inputs: &Inputs,
    base: &[Arc<List>],
    now: Moment,
) -> Result<Partly, Wrong> {
    let with = |lists: &[Arc<List>]| {
        let inputs = Inputs {
            lists: lists.to_vec(),
            ..inputs.clone()
        };
        sources.compile(Arc::new(inputs.at(now)), Vec::new())
    };
    let refused = match with(&inputs.lists) {
        Ok(compiled) => {
            return Ok(Partly {
                compiled,
                held: Vec::new(),
            });
        }
        Err(refused) => refused,
    };
    let changed = inputs.lists.iter().filter(|list| !base.contains(list));
    let changed: Vec<_> = changed.collect();
    let (false, Ok(compiled)) = (changed.is_empty(), with(base)) else {
        return Err(refused);
    };
    let mut partly = Partly {
        compiled,
        held: Vec::new(),
    };
    if let [_] = changed[..] {
        partly.held = refused.lines();
        return Ok(partly);
    }
    let mut lists = base.to_vec();
    for list in changed {
        let mut trial = lists.clone();
        trial.retain(|old| old.file != list.file);
        trial.push(Arc::clone(list));
        trial.sort_by(|one, other| one.file.cmp(&other.file));
        match with(&trial) {
            Ok(compiled) => {
                partly.compiled = compiled;
                lists = trial;
            }
            Err(wrong) => partly.held.extend(wrong.lines()),
        }
    }
    Ok(partly)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn list(file: &str, entries: usize) -> Arc<List> {
        let text: String = (0..entries).map(|n| format!("10.0.0.{n}\n")).collect();
        Arc::new(List::parse(file, text.as_bytes()).unwrap())
    }

    /// Names `a.cidr`, and nothing else.
    fn config() -> Config {
        let mut config = Config::default();
        config.policy.inventory = vec!["a.cidr".into()];
        config
    }

    fn found(list: &Arc<List>) -> Found {
        Found {
            file: list.file.clone(),
            list: Ok(Arc::clone(list)),
            quiet: true,
        }
    }

    /// What becomes of one list of 100 entries that is found like this: how many are
    /// written then.
    fn becomes(new: Found) -> (usize, Vec<String>, bool) {
        let change = Change::of(&[list("a.cidr", 100)], vec![new], &config(), 0);
        let [list] = &change.lists[..] else {
            panic!("there is one list");
        };
        (list.written().prefixes.len(), change.held, change.again)
    }

    #[test]
    fn a_list_may_change_but_not_lose_more_than_half_by_itself() {
        assert_eq!(becomes(found(&list("a.cidr", 101))), (101, vec![], false));
        assert_eq!(becomes(found(&list("a.cidr", 50))), (50, vec![], false));
        for short in [49, 0] {
            let (entries, held, again) = becomes(found(&list("a.cidr", short)));
            assert_eq!((entries, again), (100, false));
            let left = format!("of its 100 entries only {short} are left");
            assert!(held[0].contains(&left), "{held:?}");
            assert!(held[0].contains("fw-ctl reload"), "{held:?}");
        }
    }

    #[test]
    fn what_is_lost_stays_for_the_configured_delay() {
        let lost = |setting: Option<&str>| {
            let mut config = config();
            let patience = setting.map(|text| text.to_owned().try_into().unwrap());
            config.policy.shrink_delay = patience;
            let found = vec![found(&list("a.cidr", 60))];
            let change = Change::of(&[list("a.cidr", 100)], found, &config, 1_000);
            assert_eq!(change.held, [""; 0]);
            let lost = change.lists[0].lost.as_ref();
            lost.map(|lost| (lost.count(1_000), lost.until(1_000).unwrap()))
        };
        assert_eq!(lost(None), Some((40, 1_300)));
        assert_eq!(lost(Some("1h")), Some((40, 4_600)));
        assert_eq!(lost(Some("off")), None);
    }

    /// Halves are of what is written: a list whose entries come and go is not held.
    #[test]
    fn what_was_lost_before_is_not_lost_again() {
        let mut lists = vec![list("a.cidr", 100)];
        for (now, entries) in [(0, 60), (60, 35), (120, 20)] {
            let found = vec![found(&list("a.cidr", entries))];
            let change = Change::of(&lists, found, &config(), now);
            assert_eq!(change.held, [""; 0], "{entries}");
            assert_eq!(change.lists[0].prefixes.count(now), 100);
            lists = change.lists;
        }
        let change = Change::of(&lists, vec![found(&list("a.cidr", 9))], &config(), 180);
        assert!(
            change.held[0].contains("of its 20 entries only 9"),
            "{:?}",
            change.held
        );
        // It goes on with what it had lost by then.
        let left = [299, 300, 360, 420].map(|now| change.lists[0].prefixes.count(now));
        assert_eq!(left, [100, 60, 35, 20]);
    }

    #[test]
    fn a_list_that_means_everybody_is_not_taken_by_itself() {
        let list = |text: &str| Arc::new(List::parse("a.cidr", text.as_bytes()).unwrap());
        let harmless = list("192.0.2.0/24\n0.0.0.0/1\n");
        for text in ["0.0.0.0/0\n", "::/0\n", "0.0.0.0/1\n128.0.0.0/1\n"] {
            let everybody = list(text);
            let of = |old: &[_], new| Change::of(old, vec![found(new)], &config(), 0);
            let change = of(&[Arc::clone(&harmless)], &everybody);
            assert_eq!(change.lists, [Arc::clone(&harmless)], "{text}");
            assert!(
                change.held[0].contains("every address"),
                "{:?}",
                change.held
            );
            let change = of(&[list("::/0\n0.0.0.0/0\n")], &everybody);
            let lists: Vec<_> = change.lists.iter().map(List::written).collect();
            assert_eq!((lists, change.held), (vec![everybody], vec![]));
        }
        let change = Change::of(
            &[list("192.0.2.0/24\n")],
            vec![found(&harmless)],
            &config(),
            0,
        );
        assert!(change.held.is_empty());
    }

    #[test]
    fn a_broken_a_half_written_and_a_vanished_list_leave_the_old_one() {
        let broken = Found {
            file: "a.cidr".into(),
            list: List::parse("a.cidr", b"10.0.0.0/8\n10.\nx\n").map(Arc::new),
            quiet: true,
        };
        let (entries, held, _) = becomes(broken.clone());
        assert_eq!(entries, 100);
        assert!(
            held[0].contains("a.cidr:2:1") && held[0].contains("1 more"),
            "{held:?}"
        );
        let half = List::parse("a.cidr", b"10.0.0.0/8\n10.0.0.0/1").unwrap();
        let (entries, held, _) = becomes(found(&Arc::new(half)));
        assert_eq!(entries, 100);
        assert!(held[0].contains("last line has no end"), "{held:?}");
        // While it is being written it is not complained about.
        let (entries, held, again) = becomes(Found {
            quiet: false,
            ..broken
        });
        assert_eq!((entries, held, again), (100, vec![], true));

        let change = Change::of(
            &[list("a.cidr", 1), list("b.cidr", 1)],
            vec![],
            &config(),
            0,
        );
        assert_eq!(change.lists, [list("a.cidr", 1)], "b is not named any more");
        assert!(change.held[0].contains("a.cidr: the list is gone"));
    }

    #[test]
    fn lists_are_taken_one_by_one() {
        let base = [list("a.cidr", 10), list("b.cidr", 10)];
        let lists = vec![
            found(&list("a.cidr", 0)),
            found(&list("b.cidr", 20)),
            found(&list("c.cidr", 1)),
        ];
        let change = Change::of(&base, lists, &config(), 0);
        let entries: Vec<_> = change
            .lists
            .iter()
            .map(|list| list.prefixes.len())
            .collect();
        assert_eq!((entries, change.held.len()), (vec![10, 20, 1], 1));
    }
}
