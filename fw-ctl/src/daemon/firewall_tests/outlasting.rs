//! What outlasts the daemon: the mode, the last accepted plan; and what is told when
//! it does not.

use super::*;

/// Makes the state directory one in which nothing can be written.
fn blocked(fixture: &Fixture) {
    std::fs::remove_dir_all(fixture.state.path()).unwrap();
    std::fs::write(fixture.state.path(), "").unwrap();
}

#[test]
fn the_brake_works_where_the_mode_cannot_be_stored() {
    for broken in [None, Some("broken")] {
        let fixture = Fixture::new();
        fixture.files.0.borrow_mut().config.policy.mode = ModeSetting::Enforce;
        fixture.daemon().start(network(&["eth0"])).unwrap();
        blocked(&fixture);
        fixture.break_files(broken);
        let mut daemon = fixture.daemon();
        assert_eq!(daemon.start(network(&["eth0"])).is_err(), broken.is_some());
        let mode = daemon
            .set_mode(ModeChange::Audit, &Change::default())
            .unwrap();
        assert_eq!(mode.mode, "audit");
        let told = "the mode that was set will not outlast a restart";
        assert!(mode.warnings[0].starts_with(told), "{:?}", mode.warnings);
        let degraded = |daemon: &Firewall<Fake, FakeSources>| {
            let degraded = daemon.how().unwrap().degraded;
            degraded.iter().any(|line| line.starts_with(told))
        };
        assert!(degraded(&daemon));
        assert!(daemon.check() && degraded(&daemon), "it is told on");
        std::fs::remove_file(fixture.state.path()).unwrap();
        daemon.check();
        assert!(!degraded(&daemon));
        drop(daemon);
        assert_eq!(fixture.daemon().mode.get(), Some(Mode::Audit));
    }
}

#[test]
fn the_mode_is_switched_before_anything_is_written() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.log();
    daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap();
    assert_eq!(
        fixture.log(),
        ["mode Enforce"],
        "no second copy of the plan"
    );
    let status = daemon.how().unwrap();
    let generation = status.generation;
    assert_eq!(generation.declared, generation.kernel);
    assert_eq!(generation.compiled, generation.read_back);
    assert!(daemon.check());
}

#[test]
fn after_a_reboot_the_last_accepted_plan_filters_before_the_files_are_read() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "old".into();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    *fixture.kernel.0.borrow_mut() = Pins::default();
    fixture.files.0.borrow_mut().policy = "new".into();
    fixture.files.0.borrow_mut().compiled.clear();
    let mut daemon = fixture.daemon();
    daemon.begin(network(&["eth0"]));
    assert_eq!(fixture.log(), ["install 1", "addresses", "attach eth0"]);
    assert_eq!(fixture.files.0.borrow().compiled, ["old"]);
    assert_eq!(daemon.reload().unwrap().generation, 2);
    assert_eq!(daemon.rules().unwrap().rules[0].policy, "new");
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn after_a_reboot_the_addresses_of_before_are_judged_at_once() {
    let fixture = Fixture::new();
    let up = network(&["eth0"]);
    assert!(!up.addresses.is_empty());
    let mut daemon = fixture.daemon();
    daemon.start(up.clone()).unwrap();
    assert!(daemon.check());
    let known = fixture.kernel.0.borrow().addresses.clone();
    *fixture.kernel.0.borrow_mut() = Pins::default();
    // The link is there, and nobody has given it addresses yet.
    let early = Network {
        addresses: Vec::new(),
        ..up
    };
    let mut daemon = fixture.daemon();
    daemon.begin(early.clone());
    assert_eq!(fixture.kernel.0.borrow().addresses, known);
    assert!(
        daemon.how().unwrap().addresses.is_empty(),
        "what it has is told"
    );
    // A daemon that merely starts again knows what the node has.
    fixture.daemon().start(early).unwrap();
    assert!(fixture.kernel.0.borrow().addresses.single().is_empty());
}

#[test]
fn with_pins_the_files_come_first() {
    let fixture = Fixture::new();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    fixture.log();
    fixture.daemon().begin(network(&["eth0"]));
    assert_eq!(fixture.log(), [""; 0]);
}

#[test]
fn where_the_files_cannot_be_read_the_last_accepted_plan_is_gone_on_with() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "good".into();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    fixture.log();
    // A daemon after a crash; an interface came while there was none.
    let mut daemon = fixture.daemon();
    daemon.begin(network(&["eth0", "eth1"]));
    assert!(daemon.judges(), "the network need not wait");
    assert_eq!(fixture.log(), [""; 0]);
    daemon.resume();
    assert!(fixture.log().contains(&"attach eth1".to_owned()));
    assert_eq!(daemon.rules().unwrap().rules[0].policy, "good");
    assert_eq!(daemon.kernel.active().unwrap().unwrap().number, 1);
    assert!(daemon.headline().contains("the files are being read"));
    daemon.reload().unwrap();
    assert!(!daemon.headline().contains("being read"));
}

#[test]
fn without_a_plan_nothing_is_gone_on_with() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.begin(network(&["eth0"]));
    daemon.resume();
    assert_eq!(fixture.log(), [""; 0]);
    assert!(!daemon.judges());
    assert!(daemon.headline().contains("nothing is filtered yet"));
    assert_eq!(daemon.farewell(), "stopped; nothing is filtered");
}

#[test]
fn a_daemon_that_ends_says_what_it_leaves() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert!(daemon.farewell().contains("the node stays filtered"));
    daemon.detach().unwrap();
    assert_eq!(daemon.farewell(), "stopped; nothing is filtered");
}

#[test]
fn a_plan_that_does_not_fit_at_a_restart_leaves_the_names_of_the_pinned_one() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "good".into();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    fixture.kernel.0.borrow_mut().full = true;
    fixture.files.0.borrow_mut().policy = "too large".into();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert_eq!(daemon.rules().unwrap().rules[0].policy, "good");
    let generation = daemon.how().unwrap().generation;
    assert!(
        generation.declared.is_some(),
        "it is known what the files say"
    );
    assert_ne!(generation.declared, generation.kernel);
}

#[test]
fn a_damaged_record_is_told_also_when_the_files_are_broken() {
    let fixture = Fixture::new();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    std::fs::write(fixture.state.path().join("confirmed.json"), "{").unwrap();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    let told = |daemon: &Firewall<Fake, FakeSources>| {
        let degraded = daemon.how().unwrap().degraded;
        let about = "the last accepted policies in";
        degraded.iter().any(|line| line.starts_with(about))
    };
    assert!(told(&daemon));
    daemon.check();
    daemon
        .set_mode(ModeChange::Audit, &Change::default())
        .unwrap();
    assert!(told(&daemon), "it is told on");
    fixture.break_files(None);
    daemon.reload().unwrap();
    assert!(!told(&daemon));
}

#[test]
fn after_a_reboot_the_former_record_stands_in_for_a_damaged_one() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "first".into();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.files.0.borrow_mut().policy = "second!".into();
    daemon.reload().unwrap();
    drop(daemon);
    *fixture.kernel.0.borrow_mut() = Pins::default();
    std::fs::write(fixture.state.path().join("confirmed.json"), "{").unwrap();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert_eq!(fixture.links(), ["eth0"]);
    assert_eq!(daemon.rules().unwrap().rules[0].policy, "first");
    let degraded = daemon.how().unwrap().degraded;
    assert!(
        degraded.iter().any(|line| line.contains("generation 1")),
        "{degraded:?}"
    );
}

#[test]
fn a_record_that_was_removed_is_written_again() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let record = fixture.state.path().join("confirmed.json");
    std::fs::remove_file(&record).unwrap();
    assert!(daemon.check());
    assert!(record.exists());
}

#[test]
fn status_compiles_nothing_and_what_was_refused_is_compiled_once() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let compiled = || fixture.files.0.borrow().compiled.len();
    fixture.files.0.borrow_mut().policy = "wrong".into();
    let before = compiled();
    let degraded = daemon.how().unwrap().degraded;
    assert!(degraded[0].starts_with("the files have changed"));
    assert_eq!(compiled(), before);
    let first = daemon.reload().unwrap_err();
    assert_eq!(compiled(), before + 1);
    assert_eq!(daemon.reload().unwrap_err(), first, "the same answer");
    let status = daemon.how().unwrap();
    assert_eq!(status.degraded, ["a.yaml: wrong"]);
    assert_eq!(
        (status.warnings, status.generation.declared),
        (vec![], None)
    );
    assert_eq!(compiled(), before + 1);
    fixture.files.0.borrow_mut().policy = "right".into();
    daemon.reload().unwrap();
    let generation = daemon.how().unwrap().generation;
    assert_eq!(generation.declared, generation.kernel);
}

#[test]
fn files_that_do_not_answer_are_told() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    let first = daemon.status(None).unwrap();
    let told = |lines: &[String]| lines.iter().any(|line| line.contains("cannot be compared"));
    assert!(!told(&first.degraded) && !told(&first.warnings));
    daemon.start(network(&["eth0"])).unwrap();
    let status = daemon.status(None).unwrap();
    assert!(told(&status.degraded), "{:?}", status.degraded);
    assert_eq!(status.generation.declared, None);
    assert_eq!(status.generation.kernel, status.generation.compiled);
}

#[test]
fn a_few_addresses_are_written_without_the_rest_and_kept_like_a_plan() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let change = |policy: &str, amendable: u32| {
        fixture.files.0.borrow_mut().policy = policy.into();
        fixture.kernel.0.borrow_mut().amendable = amendable;
        fixture.log();
    };
    let writes = || {
        let log = fixture.log().into_iter();
        log.filter(|line| line.starts_with("install") || line.starts_with("amend"))
            .collect::<Vec<_>>()
    };
    change("one more", 1);
    assert_eq!(daemon.reload().unwrap().generation, 2);
    assert_eq!(writes(), ["amend 2"]);
    assert_eq!(daemon.rules().unwrap().rules[0].policy, "one more");
    let status = daemon.how().unwrap();
    assert_eq!(status.degraded, [""; 0]);
    assert_eq!(status.generation.declared, status.generation.read_back);
    assert_eq!(daemon.confirmed.load().confirmed.unwrap().number, 2);

    change("much more", 0);
    assert_eq!(daemon.reload().unwrap().generation, 3);
    assert_eq!(writes(), ["install 3"]);
    change("much more", 1);
    daemon.reload().unwrap();
    assert_eq!(
        writes(),
        ["install 4"],
        "nothing has changed: all is restated"
    );
    change("again another", 1);
    fixture.kernel.0.borrow_mut().tables = [0xff; 16];
    assert!(daemon.check());
    assert_eq!(
        writes(),
        ["install 5"],
        "what is not as it should be is written whole"
    );
}

#[test]
fn after_a_restart_everything_is_as_declared() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    drop(daemon);
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let generation = daemon.how().unwrap().generation;
    assert!(generation.declared.is_some());
    assert_eq!(generation.declared, generation.kernel);
}

#[test]
fn a_plan_that_is_kept_nowhere_is_told_before_the_next_boot() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    drop(daemon);
    std::fs::remove_file(fixture.state.path().join("confirmed.json")).unwrap();
    fixture.files.0.borrow_mut().policy = "wrong".into();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    let degraded = daemon.how().unwrap().degraded;
    assert!(
        degraded
            .iter()
            .any(|line| line.contains("not kept for the next boot")),
        "{degraded:?}"
    );
    fixture.files.0.borrow_mut().policy = "right".into();
    daemon.reload().unwrap();
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}
