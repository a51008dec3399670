//! Changes that are to be confirmed.

use std::path::Path;
use std::time::Instant;

use super::*;
use crate::daemon::status::ModeStatus;

type Daemon = Firewall<Fake, FakeSources>;

/// `good` is in force, and `bad` on trial.
fn on_trial(fixture: &Fixture) -> Daemon {
    fixture.files.0.borrow_mut().policy = "good".into();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.files.0.borrow_mut().policy = "bad".into();
    let reloaded = daemon.reload_on_trial().unwrap();
    assert_eq!(reloaded.generation, 2);
    assert_eq!(reloaded.trial.unwrap().seconds, 60);
    fixture.log();
    daemon
}

/// Audits, and enforces for a minute.
fn enforce_on_trial(daemon: &mut Daemon) -> ModeStatus {
    let change = Change {
        confirm: Some(60),
        ..Change::default()
    };
    daemon.set_mode(ModeChange::Enforce, &change).unwrap()
}

fn time_is_over(fixture: &Fixture) {
    fixture.kernel.0.borrow_mut().trial.as_mut().unwrap().1 = Duration::ZERO;
}

fn policy(daemon: &Daemon) -> String {
    daemon.rules().unwrap().rules[0].policy.clone()
}

fn confirm(daemon: &mut Daemon) -> Result<u64, Failure> {
    let confirmed = daemon.confirm(Instant::now())?;
    Ok(confirmed.generation)
}

/// `generation state` of each entry of the journal.
fn journal(daemon: &Daemon) -> Vec<String> {
    let entries = daemon.journal().entries.into_iter();
    entries
        .map(|entry| format!("{} {}", entry.generation, entry.state))
        .collect()
}

fn reboot(fixture: &Fixture) {
    *fixture.kernel.0.borrow_mut() = Pins::default();
}

#[test]
fn a_daemon_that_is_killed_before_a_trial_brings_nothing_in_force() {
    let asked = Change {
        confirm: Some(60),
        ..Change::default()
    };
    for edited in [true, false] {
        let fixture = Fixture::new();
        fixture.files.0.borrow_mut().policy = "good".into();
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        if edited {
            fixture.files.0.borrow_mut().policy = "bad".into();
        }
        daemon.foresee(&asked);
        drop(daemon);
        for _ in 0..2 {
            let mut daemon = fixture.daemon();
            let started = daemon.start(network(&["eth0"]));
            assert_eq!(started.is_err(), edited);
            assert_eq!(policy(&daemon), "good");
            let degraded = daemon.how().unwrap().degraded;
            assert_eq!(degraded.len(), usize::from(edited), "{degraded:?}");
        }
        let mut daemon = fixture.daemon();
        let _ = daemon.start(network(&["eth0"]));
        daemon.reload().unwrap();
        assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
    }
    // A change that is refused leaves nothing behind.
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    daemon.foresee(&asked);
    fixture.files.0.borrow_mut().policy = "wrong".into();
    daemon.reload_on_trial().unwrap_err();
    assert!(!fixture.state.path().join("held.json").exists());
}

#[test]
fn what_is_confirmed_stays() {
    let fixture = Fixture::new();
    let mut daemon = on_trial(&fixture);
    assert_eq!(policy(&daemon), "bad");
    let status = daemon.how().unwrap();
    assert_eq!(status.degraded, [""; 0]);
    assert_eq!(status.trial.unwrap().generation, 2);
    assert_eq!(status.generation.declared, status.generation.kernel);
    assert!(daemon.headline().contains("generation 2 is on trial"));
    assert_eq!(journal(&daemon), ["2 on trial", "1 left"]);
    assert!(daemon.check());

    assert_eq!(confirm(&mut daemon), Ok(2));
    assert_eq!(fixture.log(), ["confirm"]);
    assert_eq!(daemon.how().unwrap().trial, None);
    assert_eq!(journal(&daemon), ["2 in force", "1 left"]);
    assert_eq!(confirm(&mut daemon), Ok(2), "again does no harm");
    drop(daemon);
    reboot(&fixture);
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(policy(&daemon), "bad");
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn what_is_not_confirmed_is_left_and_does_not_come_back_by_itself() {
    let fixture = Fixture::new();
    let mut daemon = on_trial(&fixture);
    time_is_over(&fixture);
    assert!(daemon.end_trial());
    assert_eq!(fixture.log()[0], "go back");
    let expect = |daemon: &Daemon| {
        assert_eq!(policy(daemon), "good");
        let status = daemon.how().unwrap();
        assert_eq!(status.generation.number, Some(1));
        assert_ne!(status.generation.declared, status.generation.kernel);
        let said = "generation 2, made of them, was not confirmed within 60 s";
        assert!(status.degraded[0].contains(said), "{:?}", status.degraded);
    };
    expect(&daemon);
    assert_eq!(journal(&daemon), ["2 not confirmed", "1 in force"]);
    let late = confirm(&mut daemon).unwrap_err();
    assert_eq!(late.exit, exit::REVERTED);
    for rebooted in [false, true] {
        if rebooted {
            reboot(&fixture);
        }
        daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap_err();
        expect(&daemon);
        assert_eq!(fixture.links(), ["eth0"]);
        assert!(daemon.check());
    }
    // Who asks for it gets it.
    assert_eq!(daemon.reload().unwrap().generation, 3);
    assert_eq!(policy(&daemon), "bad");
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn other_files_come_in_force_at_the_next_start() {
    let fixture = Fixture::new();
    let mut daemon = on_trial(&fixture);
    time_is_over(&fixture);
    daemon.end_trial();
    fixture.files.0.borrow_mut().policy = "mended".into();
    daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(policy(&daemon), "mended");
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn a_trial_goes_on_with_the_next_daemon() {
    for confirmed in [true, false] {
        let fixture = Fixture::new();
        drop(on_trial(&fixture));
        let mut daemon = fixture.daemon();
        let waits = daemon.start(network(&["eth0"])).unwrap_err();
        assert!(
            waits.message.contains("generation 2 is on trial"),
            "{waits}"
        );
        assert_eq!(policy(&daemon), "bad");
        let status = daemon.how().unwrap();
        assert_eq!(status.degraded, [""; 0]);
        assert_eq!(status.generation.declared, status.generation.kernel);
        if confirmed {
            assert_eq!(confirm(&mut daemon), Ok(2));
            assert_eq!(policy(&daemon), "bad");
        } else {
            time_is_over(&fixture);
            assert!(daemon.end_trial());
            assert_eq!(policy(&daemon), "good");
            assert_eq!(confirm(&mut daemon).unwrap_err().exit, exit::REVERTED);
        }
        let number = if confirmed { 2 } else { 1 };
        assert_eq!(daemon.how().unwrap().generation.number, Some(number));
    }
}

#[test]
fn a_trial_that_ends_while_no_daemon_runs_is_left() {
    let fixture = Fixture::new();
    drop(on_trial(&fixture));
    time_is_over(&fixture);
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert_eq!(policy(&daemon), "good");
    assert_eq!(fixture.kernel.0.borrow().trial, None);
    drop(daemon);

    // And one during which the machine was rebooted.
    let fixture = Fixture::new();
    drop(on_trial(&fixture));
    reboot(&fixture);
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert_eq!(policy(&daemon), "good");
    assert_eq!(
        daemon.reload().unwrap().generation,
        3,
        "no number comes twice"
    );
}

#[test]
fn a_daemon_killed_after_the_kernel_confirmed_leaves_it_confirmed() {
    let fixture = Fixture::new();
    drop(on_trial(&fixture));
    fixture.kernel.0.borrow_mut().trial = None;
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(policy(&daemon), "bad");
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn nothing_else_changes_during_a_trial_but_the_brake_works() {
    for confirmed in [true, false] {
        let fixture = Fixture::new();
        fixture.files.0.borrow_mut().config.policy.mode = ModeSetting::Enforce;
        let mut daemon = on_trial(&fixture);
        for refused in [daemon.reload(), daemon.reload_on_trial()] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.exit, exit::REFUSED);
            assert!(refused.help.unwrap().contains("fw-ctl confirm"));
        }
        assert_eq!(daemon.how().unwrap().degraded, [""; 0], "nothing is wrong");
        let change = Change::default();
        let refused = daemon.set_mode(ModeChange::Enforce, &change).unwrap_err();
        assert_eq!(refused.exit, exit::REFUSED);
        daemon.set_mode(ModeChange::Audit, &change).unwrap();
        if confirmed {
            confirm(&mut daemon).unwrap();
        } else {
            time_is_over(&fixture);
            daemon.end_trial();
        }
        assert_eq!(daemon.mode().unwrap().mode, "audit");
        assert!(daemon.check());
        drop(daemon);
        reboot(&fixture);
        let mut daemon = fixture.daemon();
        assert_eq!(daemon.start(network(&["eth0"])).is_ok(), confirmed);
        assert_eq!(daemon.mode().unwrap().mode, "audit");
    }
}

#[test]
fn a_connection_from_before_confirms_nothing() {
    let fixture = Fixture::new();
    let before = Instant::now();
    let mut daemon = on_trial(&fixture);
    let refused = daemon.confirm(before).unwrap_err();
    assert_eq!(refused.exit, exit::REFUSED);
    assert_eq!(confirm(&mut daemon), Ok(2));
}

#[test]
fn nothing_is_put_on_trial_that_cannot_be_noted() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "good".into();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.files.0.borrow_mut().policy = "bad".into();
    std::fs::remove_dir_all(fixture.state.path()).unwrap();
    std::fs::write(fixture.state.path(), "").unwrap();
    let refused = daemon.reload_on_trial().unwrap_err();
    assert_eq!(refused.exit, exit::REFUSED);
    assert!(refused.message.contains("cannot be noted"), "{refused}");
    assert_eq!(policy(&daemon), "good");
    // What the kernel refuses leaves no trace either.
    std::fs::remove_file(fixture.state.path()).unwrap();
    fixture.kernel.0.borrow_mut().full = true;
    daemon.reload_on_trial().unwrap_err();
    fixture.kernel.0.borrow_mut().full = false;
    daemon.check();
    assert_eq!(journal(&daemon), ["1 in force"]);
    assert_eq!(fixture.daemon().held.get(), None);
}

#[test]
fn what_is_in_force_already_needs_no_confirmation() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let reloaded = daemon.reload_on_trial().unwrap();
    assert_eq!(reloaded.trial, None);
    let said = |line: &String| line.starts_with("nothing is on trial");
    assert!(reloaded.warnings.iter().any(said), "{reloaded:?}");
    assert_eq!(confirm(&mut daemon), Ok(2));
}

#[test]
fn the_configuration_asks_for_confirmation_and_one_change_may_do_without() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "one".into();
    let patience = Some("90s".to_owned().try_into().unwrap());
    fixture.files.0.borrow_mut().config.policy.confirm = patience;
    let mut daemon = fixture.daemon();
    let first = daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(first.trial, None, "there is nothing to go back to");
    fixture.files.0.borrow_mut().policy = "other".into();
    assert_eq!(daemon.reload().unwrap().trial.unwrap().seconds, 90);
    confirm(&mut daemon).unwrap();
    // A daemon that starts with what it knows asks nobody.
    let mut daemon = fixture.daemon();
    assert_eq!(daemon.start(network(&["eth0"])).unwrap().trial, None);
    fixture.files.0.borrow_mut().policy = "the third".into();
    let mut daemon = fixture.daemon();
    let third = daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(third.trial.unwrap().seconds, 90);
    time_is_over(&fixture);
    daemon.end_trial();
    assert_eq!(policy(&daemon), "other");
    let look = Look::take(&daemon.sources, &daemon.confirmed, None);
    let change = Change {
        confirm: Some(0),
        ..Change::default()
    };
    assert_eq!(
        daemon.apply(look, true, &change, "reload").unwrap().trial,
        None
    );
    assert_eq!(policy(&daemon), "the third");
}

#[test]
fn enforcing_may_be_on_trial() {
    for confirmed in [true, false] {
        let fixture = Fixture::new();
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        let mode = enforce_on_trial(&mut daemon);
        assert_eq!(mode.mode, "enforce");
        assert!(mode.warnings[0].contains("on trial"), "{:?}", mode.warnings);
        let after = if confirmed {
            confirm(&mut daemon).unwrap();
            "enforce"
        } else {
            time_is_over(&fixture);
            daemon.end_trial();
            assert_eq!(confirm(&mut daemon).unwrap_err().exit, exit::REVERTED);
            "audit"
        };
        assert_eq!(daemon.mode().unwrap().mode, after);
        drop(daemon);
        reboot(&fixture);
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        assert_eq!(daemon.mode().unwrap().mode, after);
    }
}

#[test]
fn who_then_enforces_for_good_has_no_lost_trial_any_more() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    enforce_on_trial(&mut daemon);
    time_is_over(&fixture);
    daemon.end_trial();
    let lost = daemon.how().unwrap().degraded;
    assert!(
        lost[0].contains("was not confirmed within 60 s"),
        "{lost:?}"
    );
    let change = Change::default();
    daemon.set_mode(ModeChange::Enforce, &change).unwrap();
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

/// The journal knows it, too.
#[test]
fn what_was_not_confirmed_is_held_back_without_the_note_of_it() {
    let spoil: [fn(&Path); 3] = [
        |note| std::fs::remove_file(note).unwrap(),
        |note| std::fs::write(note, "").unwrap(),
        |note| {
            std::fs::remove_file(note).unwrap();
            std::fs::create_dir(note).unwrap();
        },
    ];
    for spoil in spoil {
        for rebooted in [false, true] {
            let fixture = Fixture::new();
            drop(on_trial(&fixture));
            spoil(&fixture.state.path().join("held.json"));
            if rebooted {
                reboot(&fixture);
            } else {
                time_is_over(&fixture);
            }
            for _ in 0..2 {
                let mut daemon = fixture.daemon();
                daemon.start(network(&["eth0"])).unwrap_err();
                assert_eq!(policy(&daemon), "good");
                let degraded = daemon.how().unwrap().degraded;
                let said = |line: &String| line.contains("made of them, was not confirmed in time");
                assert!(degraded.iter().any(said), "{degraded:?}");
            }
            let mut daemon = fixture.daemon();
            daemon.start(network(&["eth0"])).unwrap_err();
            daemon.reload().unwrap();
            assert_eq!(policy(&daemon), "bad");
        }
    }
}

#[test]
fn where_the_filter_was_taken_away_there_is_nothing_to_go_back_to() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "good".into();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    daemon.detach().unwrap();
    fixture.files.0.borrow_mut().policy = "other".into();
    let refused = daemon.reload_on_trial().unwrap_err();
    assert_eq!(refused.exit, exit::REFUSED);
    assert!(
        refused.message.contains("generation 1 would judge again"),
        "{refused}"
    );
    assert_eq!(fixture.links(), [""; 0]);
    daemon.reload().unwrap();
    assert_eq!(policy(&daemon), "other");
    assert_eq!(fixture.links(), ["eth0"]);
}

#[test]
fn pins_that_are_removed_during_a_trial_are_made_again_and_the_tables_after_it() {
    let fixture = Fixture::new();
    let mut daemon = on_trial(&fixture);
    fixture.kernel.0.borrow_mut().unpinned = true;
    daemon.check();
    assert_eq!(fixture.log(), ["repin"]);
    confirm(&mut daemon).unwrap();
    assert!(fixture.log().contains(&"install 3".to_owned()));
    assert_eq!(policy(&daemon), "bad");
}
