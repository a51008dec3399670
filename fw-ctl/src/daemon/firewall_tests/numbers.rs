//! What a monitoring system is told.

use super::*;
use crate::config::Listen;

type Daemon = Firewall<Fake, FakeSources>;

fn count(fixture: &Fixture, packets: u64) {
    let mut pins = fixture.kernel.0.borrow_mut();
    let number = pins.active.unwrap().number;
    *pins.counted.entry(number).or_default() += packets;
}

/// Packets of each rule in force by the name of its policy.
fn packets(daemon: &mut Daemon) -> Vec<(String, u64)> {
    daemon.count_rules();
    let rules = daemon.numbers().unwrap().rules.into_iter();
    rules
        .map(|rule| {
            assert_eq!(rule.bytes, 60 * rule.packets);
            (rule.policy, rule.packets)
        })
        .collect()
}

#[test]
fn what_rules_decided_only_grows_while_the_daemon_lives() {
    let fixture = Fixture::new();
    let is = |policy: &str| fixture.files.0.borrow_mut().policy = policy.into();
    let told = |policy: &str, packets| vec![(policy.to_owned(), packets)];
    is("a");
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    count(&fixture, 5);
    assert_eq!(packets(&mut daemon), told("a", 5));
    // The same once more, which the kernel counts anew.
    daemon.reload().unwrap();
    assert_eq!(packets(&mut daemon), told("a", 5));
    count(&fixture, 2);
    assert_eq!(packets(&mut daemon), told("a", 7));
    // Another one (the fake hash goes by the length of its name), on trial, which is lost.
    is("other");
    daemon.reload_on_trial().unwrap();
    count(&fixture, 1);
    assert_eq!(packets(&mut daemon), told("other", 1));
    fixture.kernel.0.borrow_mut().trial.as_mut().unwrap().1 = Duration::ZERO;
    assert!(daemon.end_trial());
    assert_eq!(packets(&mut daemon), told("a", 7));
    count(&fixture, 1);
    daemon.reload_by_force().unwrap();
    assert_eq!(packets(&mut daemon), told("other", 1));
    is("a");
    daemon.reload_by_force().unwrap();
    assert_eq!(packets(&mut daemon), told("a", 8));
    // A daemon that finds a plan does not know what it is made of until it has read the files.
    let mut next = fixture.daemon();
    next.begin(network(&["eth0"]));
    assert_eq!(packets(&mut next), []);
    next.reload().unwrap();
    assert_eq!(packets(&mut next), told("a", 0));
}

#[test]
fn reloads_and_problems_are_counted_and_settings_are_told() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "a".into();
    let mut daemon = fixture.daemon();
    let settings = daemon.metrics();
    daemon.begin(network(&["eth0"]));
    let before = daemon.numbers().unwrap();
    assert!(!before.judging);
    assert_eq!((before.mode.as_str(), before.generation), ("none", 0));
    assert!(
        before
            .problems
            .iter()
            .any(|problem| problem.contains("being read"))
    );
    daemon.reload().unwrap();
    let sound = daemon.numbers().unwrap();
    assert!(
        sound.judging && sound.problems.is_empty(),
        "{:?}",
        sound.problems
    );
    assert_eq!((sound.mode.as_str(), sound.generation), ("audit", 1));
    assert_eq!((sound.reloads.count(), sound.refused), (1, 0));
    assert_eq!(sound.interfaces[0].name, "eth0");
    fixture.break_files(Some("unreadable"));
    daemon.reload().unwrap_err();
    let wrong = daemon.numbers().unwrap();
    assert_eq!((wrong.reloads.count(), wrong.refused), (1, 1));
    assert!(!wrong.problems.is_empty());
    assert!(!settings.has_changed().unwrap());
    fixture.break_files(None);
    fixture.files.0.borrow_mut().config.metrics.listen = Listen(None);
    daemon.reload().unwrap();
    assert_eq!(settings.borrow().listen, Listen(None));
    assert!(daemon.numbers().unwrap().problems.is_empty());
    // That nobody can ask is no reason to be degraded.
    daemon.listening.set(Some("metrics are not served".into()));
    let status = daemon.how().unwrap();
    assert!(
        status
            .warnings
            .contains(&"metrics are not served".to_owned())
    );
    assert_eq!(status.degraded, Vec::<String>::new());
}
