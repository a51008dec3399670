//! What the operator changes.

use super::*;

#[test]
fn the_plan_is_in_force_before_the_first_link() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    let reloaded = daemon.start(network(&["eth0", "eth1"])).unwrap();
    assert_eq!(reloaded.generation, 1);
    assert_eq!(
        fixture.log(),
        [
            "addresses",
            "install 1",
            "addresses",
            "attach eth0",
            "attach eth1"
        ]
    );
    let status = daemon.how().unwrap();
    assert_eq!(status.degraded, [""; 0]);
    assert_eq!(
        (status.mode.as_str(), status.mode_source.as_str()),
        ("audit", "configuration")
    );
    let generation = status.generation;
    assert_eq!(generation.declared, generation.compiled);
    assert_eq!(generation.compiled, generation.kernel);
    assert_eq!(generation.kernel, generation.read_back);
    assert_eq!(
        status.counters.len(),
        1,
        "counters that never moved are left out"
    );
}

#[test]
fn a_wrong_change_is_refused_whole_and_told() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.log();
    fixture.break_files(Some("no such entity"));
    let failure = daemon.reload().unwrap_err();
    assert_eq!(
        (failure.exit, failure.message.as_str()),
        (
            exit::INVALID,
            "the change is refused, generation 1 stays in force: 1 error"
        )
    );
    assert!(failure.findings[0].contains("no such entity"));
    assert_eq!(fixture.log(), [""; 0], "nothing was touched");
    let status = daemon.how().unwrap();
    assert_eq!(status.degraded, ["a.yaml: no such entity"]);
    assert_eq!(status.generation.number, Some(1));
    assert_eq!(status.generation.declared, None);

    fixture.break_files(None);
    assert_eq!(daemon.reload().unwrap().generation, 2);
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn a_plan_that_does_not_fit_leaves_the_old_one() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.kernel.0.borrow_mut().full = true;
    fixture.files.0.borrow_mut().config.policy.mode = ModeSetting::Enforce;
    assert_eq!(daemon.reload().unwrap_err().exit, exit::REFUSED);
    let status = daemon.how().unwrap();
    assert_eq!(
        (status.generation.number, status.mode.as_str()),
        (Some(1), "audit")
    );
    assert_eq!(status.degraded, ["the plan does not fit"]);
}

#[test]
fn numbers_go_on_after_a_restart() {
    let fixture = Fixture::new();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    assert_eq!(
        fixture
            .daemon()
            .start(network(&["eth0"]))
            .unwrap()
            .generation,
        2
    );
}

#[test]
fn detach_opens_until_the_next_reload() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(daemon.detach().unwrap().interfaces, ["eth0"]);
    daemon.network_changed(network(&["eth0", "eth1"]));
    assert!(daemon.check());
    assert_eq!(fixture.links(), [""; 0]);
    let degraded = daemon.how().unwrap().degraded;
    assert!(degraded[0].starts_with("nothing is filtered: `fw-ctl detach` was run"));
    daemon.reload().unwrap();
    assert_eq!(fixture.links(), ["eth0", "eth1"]);
}

#[test]
fn files_that_changed_since_the_reload_degrade() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.files.0.borrow_mut().policy = "another".into();
    let status = daemon.how().unwrap();
    assert_eq!(
        status.degraded,
        ["the files have changed since the last reload; try: fw-ctl reload"]
    );
    assert_eq!(status.generation.declared, None);
    daemon.reload().unwrap();
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn events_find_the_names_of_their_plan() {
    let fixture = Fixture::new();
    let (names, receiver) = watch::channel(Arc::new(Names::new("default/n".into())));
    let mut daemon = fixture.daemon();
    daemon.names = names;
    fixture.files.0.borrow_mut().policy = "first".into();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.files.0.borrow_mut().policy = "second".into();
    daemon.reload().unwrap();
    let names = receiver.borrow();
    assert_eq!(names.rules(1).unwrap()[0].policy, "first");
    assert_eq!(names.rules(2).unwrap()[0].policy, "second");
    assert_eq!(&*names.links[&2], "eth0");
}
