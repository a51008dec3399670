use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{ConfirmedStore, Event, Inputs};
use super::*;
use crate::compile::plan::Mode;
use crate::config::Config;
use crate::diagnostic::Source;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source {
        name: "a.yaml".into(),
        text: text.into(),
    })
}

fn plan(number: u64, policy: &str, inventory: &str) -> Confirmed {
    Confirmed {
        number,
        mode: Mode::Enforce,
        inputs: Arc::new(Inputs {
            config: Config::default(),
            node: "n".into(),
            ssh_ports: BTreeSet::new(),
            policies: vec![source(policy)],
            inventory: vec![source(inventory)],
            lists: Vec::new(),
            expired: 0,
        }),
        event: Event {
            since: number,
            cause: format!("reload {number}"),
        },
    }
}

fn numbers(journal: &Journal) -> Vec<u64> {
    journal.entries().iter().map(|entry| entry.number).collect()
}

fn store() -> (tempfile::TempDir, ConfirmedStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = ConfirmedStore::new(&dir.path().join("state"));
    (dir, store)
}

#[test]
fn what_was_in_force_comes_back_with_its_cause() {
    let (_dir, store) = store();
    let journal = store.journal();
    assert_eq!(journal.entries(), []);
    for number in 1..=3 {
        store
            .save(&plan(number, &format!("p{number}"), ""))
            .unwrap();
    }
    assert_eq!(numbers(journal), [1, 2, 3]);
    let second = journal.load(&journal.find(2).unwrap()).unwrap();
    assert_eq!(second.inputs, plan(2, "p2", "").inputs);
    assert_eq!(second.event, plan(2, "p2", "").event);
    assert_eq!((second.number, second.mode), (2, Mode::Enforce));
}

#[test]
fn the_same_files_have_one_entry() {
    let (_dir, store) = store();
    let journal = store.journal();
    for number in 1..=3 {
        store.save(&plan(number, "p", "i")).unwrap();
    }
    assert_eq!(numbers(journal), [3]);
    let audited = Confirmed {
        mode: Mode::Audit,
        ..plan(3, "p", "i")
    };
    store.save(&audited).unwrap();
    assert_eq!(numbers(journal), [3], "a generation has one mode");
    let kept = journal.load(&journal.find(3).unwrap()).unwrap();
    assert_eq!(kept.mode, Mode::Audit);
    // But what was left in between is remembered.
    for (number, policy) in [(4, "q"), (5, "p"), (6, "q")] {
        store.save(&plan(number, policy, "i")).unwrap();
    }
    assert_eq!(numbers(journal), [3, 4, 5, 6]);
}

#[test]
fn what_is_on_trial_replaces_nothing_and_is_confirmed_by_name() {
    let (_dir, store) = store();
    let journal = store.journal();
    store.save(&plan(1, "p", "")).unwrap();
    store.try_out(&plan(2, "p", "")).unwrap();
    let states = |journal: &Journal| {
        let entries = journal.entries().into_iter();
        entries.map(|entry| entry.confirmed).collect::<Vec<_>>()
    };
    assert_eq!(
        (numbers(journal), states(journal)),
        (vec![1, 2], vec![true, false])
    );
    journal.confirm(2).unwrap();
    journal.confirm(77).unwrap();
    assert_eq!(states(journal), [true, true]);
    store.try_out(&plan(3, "p", "")).unwrap();
    journal.remove(3);
    assert_eq!(numbers(journal), [1, 2]);
}

#[test]
fn it_is_bounded_and_an_inventory_pushes_out_no_policies() {
    let (_dir, store) = store();
    let journal = store.journal();
    store.save(&plan(1, "old", "")).unwrap();
    for number in 2..=40 {
        store
            .save(&plan(number, "p", &format!("{number}")))
            .unwrap();
    }
    assert_eq!(numbers(journal), [1, 37, 38, 39, 40]);
    for number in 41..=100 {
        store
            .save(&plan(number, &format!("p{number}"), ""))
            .unwrap();
    }
    let kept = numbers(journal);
    assert_eq!((kept.len(), kept[0], kept[ENTRIES - 1]), (ENTRIES, 69, 100));
}

#[test]
fn what_damages_the_record_in_force_does_not_damage_its_entry() {
    let (dir, store) = store();
    store.save(&plan(1, "p", "")).unwrap();
    fs::write(dir.path().join("state/confirmed.json"), "junk").unwrap();
    assert!(store.load().confirmed.is_none());
    let entry = store.journal().find(1).unwrap();
    assert_eq!(store.journal().load(&entry).unwrap().number, 1);
}

#[test]
fn trials_that_nobody_confirms_push_nothing_out() {
    let (_dir, store) = store();
    for number in 1..=3 {
        store
            .save(&plan(number, &format!("p{number}"), ""))
            .unwrap();
    }
    for number in 4..=40 {
        store
            .try_out(&plan(number, &format!("t{number}"), ""))
            .unwrap();
    }
    assert_eq!(numbers(store.journal()), [1, 2, 3, 37, 38, 39, 40]);
    // Nor trials of what was in force, in another mode.
    for number in 41..=50 {
        store.try_out(&plan(number, "p3", "")).unwrap();
    }
    assert_eq!(numbers(store.journal()), [1, 2, 3, 47, 48, 49, 50]);
}

#[test]
fn large_ones_are_fewer_but_the_last_two_are_kept() {
    let (_dir, store) = store();
    let journal = Journal {
        room: 1_000,
        ..store.journal().clone()
    };
    let add = |number, bytes| {
        let entry = Entry::of(&plan(number, &format!("p{number}"), ""), true);
        journal.add(&entry, &"x".repeat(bytes)).unwrap();
        numbers(&journal)
    };
    for number in 1..=5 {
        add(number, 200);
    }
    assert_eq!(add(6, 200), [2, 3, 4, 5, 6]);
    assert_eq!(add(7, 2_000), [6, 7]);
}

#[test]
fn names_tell_and_strangers_are_left_alone() {
    let (dir, store) = store();
    store.save(&plan(1, "p", "")).unwrap();
    let journal = dir.path().join("state/journal");
    for strange in [
        "notes",
        "x-y-z.json",
        "1-y.json",
        "1-a-b-c.json",
        "1-a-b.json.new",
        "18446744073709551615-a-b.json",
    ] {
        fs::write(journal.join(strange), "").unwrap();
        assert_eq!(Entry::parse(strange), None, "{strange}");
    }
    assert_eq!(numbers(store.journal()), [1]);
    for entry in store.journal().entries() {
        assert_eq!(Entry::parse(&entry.file_name()), Some(entry));
    }
}
