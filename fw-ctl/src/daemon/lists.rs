//! Lists that change by themselves: replaced by whoever fetches them, or because an
//! entry expires.
//!
//! Nobody has asked for a reload then, so nothing but lists is taken from the disk:
//! policies, inventory and configuration stay those in force, edited or not. And
//! nobody watches: a list that is broken, half-written, gone or suddenly short is not
//! taken, and the one in force stays until it is mended, or an operator asks for
//! a reload.

use std::sync::Arc;

use super::firewall::Trouble;
use super::{Compiled, ConfirmedStore, Firewall, Inputs, Kernel, Sources, Wrong};
use crate::cli::output::plain;
use crate::lists::moment::Moment;
use crate::lists::{Found, List};

/// What lists that changed make of the inputs in force.
struct Change {
    inputs: Inputs,
    /// Lists that are not taken, and why, a line each.
    held: Vec<String>,
    /// Some file may be being written: to be looked at again soon.
    again: bool,
}

impl Change {
    fn of(base: &Inputs, found: Vec<Found>, now: Moment) -> Self {
        let mut change = Self {
            inputs: base.clone(),
            held: Vec::new(),
            again: false,
        };
        let old = |file: &str| base.lists.iter().find(|list| list.file == file);
        change.inputs.lists.clear();
        for found in &found {
            change.again |= !found.quiet;
            let old = old(&found.file);
            match accepted(found, old) {
                Ok(list) => change.inputs.lists.push(list),
                Err(why) => {
                    // What is being written still may be mended in a moment.
                    if found.quiet {
                        change.held.push(why);
                    }
                    change.inputs.lists.extend(old.cloned());
                }
            }
        }
        for old in &base.lists {
            if !found.iter().any(|found| found.file == old.file) {
                change.held.push(format!(
                    "{}: the list is gone, and stays in force (try: fw-ctl reload, if that is \
                     meant)",
                    old.file
                ));
                change.inputs.lists.push(Arc::clone(old));
            }
        }
        change.inputs = change.inputs.at(now);
        change
    }
}

/// The list to be in force, or why it is not the one that was found.
fn accepted(found: &Found, old: Option<&Arc<List>>) -> Result<Arc<List>, String> {
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
    if let Some(old) = old
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
    let (before, after) = (old.map_or(0, |old| old.prefixes.len()), new.prefixes.len());
    if before > 0 && (after == 0 || after * 2 < before) {
        return Err(format!(
            "{file}: the list is not taken, because of its {before} entries only {after} are \
             left (try: fw-ctl reload, if that is meant)"
        ));
    }
    Ok(Arc::clone(new))
}

/// Inputs that make no plan, remembered: the same are refused again.
#[derive(Clone)]
pub struct RefusedLists {
    inputs: Arc<Inputs>,
    wrong: Arc<Wrong>,
}

/// What a look at the lists found.
pub struct ListLook {
    /// The inputs in force when it was taken.
    pub(super) base: Arc<Inputs>,
    /// What they are to be replaced by; `None`: they are what they were.
    pub(super) outcome: Option<Result<Compiled, RefusedLists>>,
    /// Lists that are not taken, and why, a line each.
    pub(super) held: Vec<String>,
    /// To be looked at again soon.
    pub again: bool,
}

impl ListLook {
    /// Reads the lists that the configuration in force names, and compiles them with
    /// everything else that is in force, if any changed or expired.
    pub fn take<S: Sources>(
        sources: &S,
        store: &ConfirmedStore,
        base: Arc<Inputs>,
        refused: Option<&RefusedLists>,
        now: Moment,
    ) -> Self {
        let change = Change::of(&base, sources.lists(&base.config), now);
        let outcome = (change.inputs != *base).then(|| {
            if let Some(refused) = refused
                && *refused.inputs == change.inputs
            {
                return Err(refused.clone());
            }
            let inputs = Arc::new(change.inputs);
            let compiled = sources.compile(Arc::clone(&inputs), Vec::new());
            if compiled.is_ok() {
                store.prepare(&inputs);
            }
            compiled.map_err(|wrong| RefusedLists {
                inputs,
                wrong: Arc::new(wrong),
            })
        });
        Self {
            base,
            outcome,
            held: change.held,
            again: change.again,
        }
    }
}

impl RefusedLists {
    /// A line for each error.
    pub(super) fn lines(&self) -> Vec<String> {
        self.wrong.lines()
    }
}

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// What is in force was made from this.
    #[must_use]
    pub fn inputs(&self) -> Option<&Arc<Inputs>> {
        let (_, compiled) = self.installed.as_ref()?;
        Some(&compiled.inputs)
    }

    /// What the last look at lists refused, for the next.
    #[must_use]
    pub fn refused_lists(&self) -> Option<RefusedLists> {
        self.refused_lists.clone()
    }

    /// Puts lists in force that changed by themselves, and nothing else; a node that
    /// was opened stays open. Returns whether that made a difference to what is in
    /// force, or to what is wrong.
    pub fn apply_lists(&mut self, look: ListLook) -> bool {
        // Something else came in force meanwhile: the next look goes by that.
        let current = self
            .inputs()
            .is_some_and(|inputs| Arc::ptr_eq(inputs, &look.base));
        if !current {
            return false;
        }
        let mut lines = look.held;
        let mut changed = false;
        self.refused_lists = None;
        match look.outcome {
            None => {}
            Some(Err(refused)) => {
                lines.extend(refused.lines());
                self.refused_lists = Some(refused);
            }
            Some(Ok(mut compiled)) => {
                compiled.plan.mode = self.effective_mode(&compiled.inputs.config);
                match self.install(&compiled) {
                    Err(failure) => lines.push(failure.line()),
                    Ok(in_force) => {
                        changed = true;
                        tracing::info!(
                            "lists have changed: generation {} is in force",
                            in_force.number
                        );
                        if let Some(looked) = &mut self.looked {
                            let seen = looked.seen.clone();
                            looked.seen = seen.with_lists(&compiled.inputs, &look.base);
                        }
                        self.take(in_force, compiled);
                        self.keep();
                    }
                }
            }
        }
        let before = if lines.is_empty() {
            self.troubles.remove(&Trouble::Lists)
        } else {
            self.troubles.insert(Trouble::Lists, lines)
        };
        changed || before.as_ref() != self.troubles.get(&Trouble::Lists)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Config;

    fn list(file: &str, entries: usize) -> Arc<List> {
        let text: String = (0..entries).map(|n| format!("10.0.0.{n}\n")).collect();
        Arc::new(List::parse(file, text.as_bytes()).unwrap())
    }

    fn base(lists: &[Arc<List>]) -> Inputs {
        Inputs {
            config: Config::default(),
            node: "n".into(),
            ssh_ports: BTreeSet::new(),
            policies: Vec::new(),
            inventory: Vec::new(),
            lists: lists.to_vec(),
            expired: 0,
        }
    }

    fn found(list: &Arc<List>) -> Found {
        Found {
            file: list.file.clone(),
            list: Ok(Arc::clone(list)),
            quiet: true,
        }
    }

    /// What becomes of one list of 100 entries that is found like this.
    fn becomes(new: Found) -> (usize, Vec<String>, bool) {
        let change = Change::of(&base(&[list("a.cidr", 100)]), vec![new], 0);
        let [list] = &change.inputs.lists[..] else {
            panic!("there is one list");
        };
        (list.prefixes.len(), change.held, change.again)
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

        let change = Change::of(&base(&[list("a.cidr", 1)]), vec![], 0);
        assert_eq!(change.inputs.lists, [list("a.cidr", 1)]);
        assert!(change.held[0].contains("a.cidr: the list is gone"));
    }

    #[test]
    fn lists_are_taken_one_by_one() {
        let base = base(&[list("a.cidr", 10), list("b.cidr", 10)]);
        let lists = vec![
            found(&list("a.cidr", 0)),
            found(&list("b.cidr", 20)),
            found(&list("c.cidr", 1)),
        ];
        let change = Change::of(&base, lists, 0);
        let entries: Vec<_> = change
            .inputs
            .lists
            .iter()
            .map(|list| list.prefixes.len())
            .collect();
        assert_eq!((entries, change.held.len()), (vec![10, 20, 1], 1));
    }

    #[test]
    fn time_changes_the_inputs_only_when_an_entry_expires() {
        let text =
            b"10.0.0.0/8 until=1970-01-01T00:01:00Z\n10.0.0.0/9 until=1970-01-01T00:02:00Z\n";
        let list = Arc::new(List::parse("a.cidr", text).unwrap());
        let base = base(std::slice::from_ref(&list));
        assert_eq!(base.expires(), Some(60));
        let at = |now| Change::of(&base, vec![found(&list)], now).inputs;
        assert_eq!(at(59), base);
        assert_ne!(at(60), base);
        assert_eq!(at(60), at(119));
        assert_eq!(at(60).expires(), Some(120));
        assert_eq!(at(500).expires(), None);
        // A clock that was wrong is put right.
        assert_eq!(at(500).at(59), base);
    }
}
