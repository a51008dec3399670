//! Bans over restarts: with changes behind the file, with files that are damaged, left over,
//! or cannot be written.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ban(address: &str, until: Option<u64>) -> Ban {
    Ban {
        address: address.parse().unwrap(),
        since: 1_795_233_000,
        until,
        reason: "it \"scans\"".into(),
    }
}

#[test]
fn bans_survive_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mut store = BanStore::open(&state);
    assert!(store.all().is_empty() && store.trouble().is_none());
    store.insert(ban("192.0.2.1", None));
    store.insert(ban("2001:db8::1", Some(1_795_233_983)));
    store.save();
    assert_eq!(store.trouble(), None);
    let again = BanStore::open(&state);
    assert_eq!(again.all(), store.all());
    store.remove(&"192.0.2.1".parse().unwrap()).unwrap();
    store.save();
    assert_eq!(BanStore::open(&state).all().len(), 1);
    store.remove(&"2001:db8::1".parse().unwrap()).unwrap();
    store.save();
    let left: Vec<_> = std::fs::read_dir(&state).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_damaged_file_is_told_until_something_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = BanStore::open(dir.path());
    store.insert(ban("192.0.2.1", None));
    store.save();
    let path = dir.path().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    for (damaged, reason) in [
        (text.replace("192.0.2.1", "192.0.2.2"), "damaged"),
        (text[..text.len() - 5].to_owned(), "damaged"),
        (
            text.replace("\"schema\":1", "\"schema\":9"),
            "schema 9, not 1",
        ),
        (String::new(), "damaged"),
    ] {
        std::fs::write(&path, damaged).unwrap();
        let mut store = BanStore::open(dir.path());
        assert!(store.all().is_empty());
        let told = store.trouble().unwrap();
        assert!(told.contains(reason), "{told}");
        store.insert(ban("192.0.2.3", None));
        store.save();
        assert_eq!(store.trouble(), None);
        assert_eq!(BanStore::open(dir.path()).all(), store.all());
    }
}

#[test]
fn bans_that_cannot_be_stored_count_and_are_stored_when_they_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    std::fs::write(&path, "").unwrap();
    let mut store = BanStore::open(&path);
    store.insert(ban("192.0.2.1", None));
    store.save();
    let told = store.trouble().unwrap();
    assert!(told.contains("paths.state_dir"), "{told}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(store.trouble(), None);
    assert_eq!(BanStore::open(&path).all(), store.all());
}

#[test]
fn a_ban_in_words() {
    assert_eq!(
        ban("192.0.2.1", Some(1_795_233_983)).to_string(),
        "192.0.2.1 is banned until 2026-11-21T04:06:23Z: it \"scans\""
    );
    let plain = Ban {
        reason: String::new(),
        ..ban("2001:db8::1", None)
    };
    assert_eq!(plain.to_string(), "2001:db8::1 is banned for good");
}

const JOURNAL: &str = "bans.journal";

/// A store of as many bans, all in its file.
fn store_of(count: u8, directory: &Path) -> BanStore {
    let mut store = BanStore::open(directory);
    for last in 1..=count {
        store.insert(ban(&format!("192.0.2.{last}"), None));
    }
    store.save();
    assert!(!directory.join(JOURNAL).exists());
    store
}

#[test]
fn a_change_is_appended_and_the_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store_of(100, dir.path());
    let base = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
    let mut length = 0;
    for turn in 0..3 {
        store.insert(ban("2001:db8::1", Some(1_795_233_983 + turn)));
        store.remove(&ip(&format!("192.0.2.{}", turn + 1))).unwrap();
        store.save();
        assert_eq!(store.trouble(), None);
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, base);
        let bans: Vec<Ban> = sealed::read(&text, &(1..=1)).unwrap();
        assert_eq!(bans.len(), 100, "as an older program reads it");
        let journal = dir.path().join(JOURNAL).metadata().unwrap().len();
        assert!((100..700).contains(&(journal - length)), "{journal}");
        length = journal;
        let mut again = BanStore::open(dir.path());
        assert_eq!(again.all(), store.all());
        assert_eq!(again.trouble(), None);
        if turn == 1 {
            store = again;
        }
    }
    store.save();
    let journal = dir.path().join(JOURNAL).metadata().unwrap().len();
    assert_eq!(journal, length, "nothing has changed");
}

#[test]
fn the_journal_never_grows_beyond_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store_of(20, dir.path());
    let mut compacted = 0;
    for turn in 0..200_u64 {
        let had = dir.path().join(JOURNAL).exists();
        store.insert(ban("192.0.2.200", Some(1_795_233_983 + turn)));
        store.save();
        let length = |name| {
            dir.path()
                .join(name)
                .metadata()
                .map_or(0, |file| file.len())
        };
        assert!(length(JOURNAL) <= length(FILE), "{turn}");
        compacted += u32::from(had && length(JOURNAL) == 0);
        assert_eq!(BanStore::open(dir.path()).all(), store.all(), "{turn}");
    }
    assert!((10..100).contains(&compacted), "{compacted}");
}

#[test]
fn a_torn_journal_is_told_and_mended_by_the_next_change() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store_of(20, dir.path());
    store.insert(ban("192.0.2.201", None));
    store.save();
    let expected = store.all().clone();
    store.insert(Ban {
        reason: "ü".repeat(10),
        ..ban("192.0.2.202", None)
    });
    store.save();
    let path = dir.path().join(JOURNAL);
    let bytes = std::fs::read(&path).unwrap();
    let within = bytes.iter().rposition(|byte| !byte.is_ascii()).unwrap();
    std::fs::write(&path, &bytes[..within]).unwrap();
    let mut store = BanStore::open(dir.path());
    assert_eq!(store.all(), &expected);
    let told = store.trouble().unwrap();
    assert!(told.contains("bans.journal: the last one was"), "{told}");
    assert!(told.contains("ban what is missing"), "{told}");
    store.insert(ban("192.0.2.203", None));
    store.save();
    assert_eq!(store.trouble(), None);
    let mut again = BanStore::open(dir.path());
    assert_eq!(again.all(), store.all());
    assert_eq!(again.trouble(), None);
}

#[test]
fn the_journal_of_a_former_file_lifts_and_bans_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(JOURNAL);
    let mut store = store_of(20, dir.path());
    store.insert(ban("192.0.2.201", None));
    store.save();
    let journal = std::fs::read(&path).unwrap();
    // The file is what it was, and whoever wrote it was ended before the journal
    // was removed.
    store.remove(&ip("192.0.2.201")).unwrap();
    store.stored = None;
    store.save();
    assert!(!path.exists());
    std::fs::write(&path, &journal).unwrap();
    let mut store = BanStore::open(dir.path());
    assert_eq!(store.all().len(), 20);
    assert_eq!(store.trouble(), None);
    store.insert(ban("192.0.2.202", None));
    store.save();
    assert_eq!(BanStore::open(dir.path()).all(), store.all());
    // An earlier version wrote the file, which knows no journal.
    let one = [ban("192.0.2.1", None)];
    let text = sealed::seal(SCHEMA, BTreeSet::new(), &one).unwrap();
    std::fs::write(dir.path().join(FILE), text).unwrap();
    std::fs::write(&path, &journal).unwrap();
    assert_eq!(BanStore::open(dir.path()).all().len(), 1);
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    assert!(BanStore::open(dir.path()).all().is_empty());
}

#[test]
fn behind_a_damaged_file_the_changes_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store_of(20, dir.path());
    store.insert(ban("192.0.2.201", None));
    store.save();
    std::fs::write(dir.path().join(FILE), "{").unwrap();
    let mut store = BanStore::open(dir.path());
    let known: Vec<_> = store.all().keys().copied().collect();
    assert_eq!(known, [ip("192.0.2.201")]);
    let told = store.trouble().unwrap();
    assert!(told.contains("bans.json cannot be read"), "{told}");
    store.save();
    assert_eq!(store.trouble(), None);
    assert_eq!(BanStore::open(dir.path()).all(), store.all());
}

#[test]
fn files_that_somebody_else_has_changed_are_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store_of(20, dir.path());
    for (last, name) in [(201, FILE), (202, JOURNAL), (203, JOURNAL)] {
        store.insert(ban("192.0.2.200", None));
        store.save();
        std::fs::write(dir.path().join(name), "somebody else's").unwrap();
        store.insert(ban(&format!("192.0.2.{last}"), None));
        store.save();
        assert_eq!(store.trouble(), None);
        let mut again = BanStore::open(dir.path());
        assert_eq!(again.all(), store.all(), "{name}");
        assert_eq!(again.trouble(), None);
    }
}

#[test]
fn reasons_of_an_earlier_version_are_cut_and_show_themselves_only() {
    let dir = tempfile::tempdir().unwrap();
    let long = Ban {
        reason: format!("\u{202e}{}", "ü".repeat(255)),
        ..ban("192.0.2.1", None)
    };
    let text = sealed::seal(SCHEMA, BTreeSet::new(), &[long]).unwrap();
    std::fs::write(dir.path().join(FILE), text).unwrap();
    let store = BanStore::open(dir.path());
    let reason = &store.all()[&ip("192.0.2.1")].reason;
    assert_eq!(*reason, format!(" {}", "ü".repeat(127)));
}
