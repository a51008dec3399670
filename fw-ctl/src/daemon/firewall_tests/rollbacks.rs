//! Going back.

use std::time::Instant;

use super::*;

type Daemon = Firewall<Fake, FakeSources>;

/// `one`, `two` and `three` were in force; the last one is.
fn three(fixture: &Fixture) -> Daemon {
    let mut daemon = fixture.daemon();
    fixture.files.0.borrow_mut().policy = "one".into();
    daemon.start(network(&["eth0"])).unwrap();
    for policy in ["two", "three"] {
        fixture.files.0.borrow_mut().policy = policy.into();
        daemon.reload().unwrap();
    }
    fixture.log();
    daemon
}

fn policy(daemon: &Daemon) -> String {
    daemon.rules().unwrap().rules[0].policy.clone()
}

fn back(daemon: &mut Daemon, to: Option<u64>) -> Result<u64, Failure> {
    let reloaded = daemon.back(to, &Change::default())?;
    Ok(reloaded.generation)
}

#[test]
fn without_a_number_it_is_the_one_before() {
    let fixture = Fixture::new();
    let mut daemon = three(&fixture);
    assert_eq!(back(&mut daemon, None), Ok(4));
    assert_eq!(policy(&daemon), "two");
    let status = daemon.how().unwrap();
    let said = "fw-ctl rollback went back from generation 3 to what was in force as generation 2";
    assert!(status.degraded[0].contains(said), "{:?}", status.degraded);
    assert_ne!(status.generation.declared, status.generation.kernel);
    let entries = daemon.journal().entries;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| format!("{} {} {}", entry.generation, entry.state, entry.cause))
        .collect();
    assert_eq!(
        told,
        [
            "4 in force rollback to 2",
            "3 left reload",
            "2 left reload",
            "1 left start",
        ]
    );
}

#[test]
fn the_files_do_not_come_back_by_a_restart_but_by_a_reload() {
    let fixture = Fixture::new();
    let mut daemon = three(&fixture);
    back(&mut daemon, Some(1)).unwrap();
    assert_eq!(policy(&daemon), "one");
    for rebooted in [false, true] {
        if rebooted {
            *fixture.kernel.0.borrow_mut() = Pins::default();
        }
        daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap_err();
        assert_eq!(policy(&daemon), "one");
        assert_eq!(fixture.links(), ["eth0"]);
    }
    assert_eq!(daemon.reload().unwrap().generation, 5);
    assert_eq!(policy(&daemon), "three");
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

/// They may be on a file system that does not answer at that moment.
#[test]
fn files_that_nobody_could_read_do_not_come_back_either() {
    let fixture = Fixture::new();
    let mut daemon = three(&fixture);
    let change = Change::default();
    daemon.rollback(Some(1), &change, None).unwrap();
    for _ in 0..2 {
        daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap_err();
        assert_eq!(policy(&daemon), "one");
    }
    daemon.reload().unwrap();
    assert_eq!(policy(&daemon), "three");
    // And what is in force comes back by itself.
    fixture.files.0.borrow_mut().policy = "one".into();
    daemon.rollback(Some(1), &change, None).unwrap();
    daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn a_damaged_note_of_what_is_held_back_brings_nothing_back() {
    let fixture = Fixture::new();
    let mut daemon = three(&fixture);
    back(&mut daemon, Some(1)).unwrap();
    std::fs::write(fixture.state.path().join("held.json"), "junk").unwrap();
    daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert_eq!(policy(&daemon), "one");
    let degraded = daemon.how().unwrap().degraded;
    assert!(
        degraded.iter().any(|line| line.contains("held.json")),
        "{degraded:?}"
    );
    daemon.reload().unwrap();
    assert_eq!(policy(&daemon), "three");
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn what_the_files_say_again_is_not_held_back() {
    let fixture = Fixture::new();
    let mut daemon = three(&fixture);
    fixture.files.0.borrow_mut().policy = "two".into();
    assert_eq!(back(&mut daemon, Some(2)), Ok(4));
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
    daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(policy(&daemon), "two");
}

#[test]
fn the_mode_of_then_comes_back_and_stays() {
    let fixture = Fixture::new();
    let mut daemon = three(&fixture);
    daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap();
    back(&mut daemon, Some(2)).unwrap();
    assert_eq!(daemon.mode().unwrap().mode, "audit");
    drop(daemon);
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert_eq!(daemon.mode().unwrap().mode, "audit");
    back(&mut daemon, Some(3)).unwrap();
    assert_eq!(daemon.mode().unwrap().mode, "enforce");
}

#[test]
fn what_is_not_there_is_refused() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    fixture.files.0.borrow_mut().policy = "one".into();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(back(&mut daemon, None).unwrap_err().exit, exit::NEGATIVE);
    assert_eq!(back(&mut daemon, Some(77)).unwrap_err().exit, exit::USAGE);
    assert_eq!(policy(&daemon), "one");
}

#[test]
fn a_damaged_journal_keeps_nobody_from_starting() {
    let fixture = Fixture::new();
    drop(three(&fixture));
    let journal = fixture.state.path().join("journal");
    let mut files: Vec<_> = std::fs::read_dir(&journal)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    // A link of its own, so that only the journal is damaged.
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::write(&files[0], "junk").unwrap();
    std::fs::write(journal.join("strange"), "").unwrap();
    std::fs::create_dir(journal.join("00000009-a-b.json")).unwrap();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let damaged: Vec<_> = daemon
        .journal()
        .entries
        .iter()
        .filter(|entry| entry.damage.is_some())
        .map(|entry| entry.generation)
        .collect();
    assert_eq!(damaged, [9, 1]);
    assert_eq!(back(&mut daemon, Some(1)).unwrap_err().exit, exit::INVALID);
    assert_eq!(policy(&daemon), "three");
    back(&mut daemon, Some(2)).unwrap();
    assert_eq!(policy(&daemon), "two");
}

#[test]
fn from_a_trial_it_is_at_once() {
    let fixture = Fixture::new();
    let mut daemon = three(&fixture);
    fixture.files.0.borrow_mut().policy = "four".into();
    daemon.reload_on_trial().unwrap();
    assert_eq!(back(&mut daemon, Some(1)).unwrap_err().exit, exit::REFUSED);
    assert_eq!(back(&mut daemon, None), Ok(3));
    assert_eq!(policy(&daemon), "three");
}

#[test]
fn going_back_may_be_on_trial() {
    for confirmed in [true, false] {
        let fixture = Fixture::new();
        let mut daemon = three(&fixture);
        let change = Change {
            confirm: Some(60),
            ..Change::default()
        };
        let reloaded = daemon.back(Some(1), &change).unwrap();
        assert_eq!(reloaded.trial.unwrap().generation, 4);
        if confirmed {
            daemon.confirm(Instant::now()).unwrap();
        } else {
            fixture.kernel.0.borrow_mut().trial.as_mut().unwrap().1 = Duration::ZERO;
            daemon.end_trial();
        }
        let expected = if confirmed { "one" } else { "three" };
        assert_eq!(policy(&daemon), expected);
        daemon = fixture.daemon();
        assert_eq!(daemon.start(network(&["eth0"])).is_ok(), !confirmed);
        assert_eq!(policy(&daemon), expected);
    }
}
