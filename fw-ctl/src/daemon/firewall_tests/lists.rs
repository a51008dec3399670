//! Lists change under the daemon.

use super::*;
use crate::daemon::ListLook;
use crate::lists::List;

impl Fixture {
    /// The text of the list `a.cidr`, in place of the former one.
    fn write_list(&self, text: &str) {
        self.write_lists(&[("a.cidr", text)]);
    }

    fn write_lists(&self, lists: &[(&str, &str)]) {
        let found = lists.iter().map(|(name, text)| {
            let path = self.state.path().join(name);
            std::fs::write(&path, text).unwrap();
            let file = path.display().to_string();
            Found {
                list: List::parse(&file, text.as_bytes()).map(Arc::new),
                file,
                quiet: true,
            }
        });
        self.files.0.borrow_mut().lists = found.collect();
    }

    fn compiled(&self) -> usize {
        self.files.0.borrow().compiled.len()
    }
}

impl Firewall<Fake, FakeSources> {
    /// As the service does it.
    fn look_at_lists(&mut self, now: u32) -> bool {
        let base = Arc::clone(self.inputs().unwrap());
        let refused = self.refused_lists();
        let look = ListLook::take(&self.sources, &self.confirmed, base, refused.as_ref(), now);
        self.apply_lists(look)
    }

    /// Number of the plan in force, and the entries of its lists.
    fn in_force(&self) -> (u64, Vec<usize>) {
        let (in_force, compiled) = self.installed.as_ref().unwrap();
        let lists = compiled.inputs.lists.iter();
        (
            in_force.number,
            lists.map(|list| list.prefixes.len()).collect(),
        )
    }
}

/// A daemon with a list of two entries in force.
fn started() -> (Fixture, Firewall<Fake, FakeSources>) {
    let fixture = Fixture::new();
    fixture.write_list("192.0.2.0/24\n198.51.100.0/24\n");
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(daemon.in_force(), (1, vec![2]));
    (fixture, daemon)
}

#[test]
fn a_list_that_changes_takes_nothing_else_along() {
    let (fixture, mut daemon) = started();
    assert!(!daemon.look_at_lists(0), "nothing has changed");
    fixture.files.0.borrow_mut().policy = "edited, and not yet right".into();
    fixture.write_list("192.0.2.0/24\n198.51.100.0/24\n203.0.113.0/24\n");
    assert!(daemon.look_at_lists(0));
    assert_eq!(daemon.in_force(), (2, vec![3]));
    assert_eq!(daemon.inputs().unwrap().policies[0].text, "");
    let status = daemon.how().unwrap();
    assert_eq!(status.warnings, [""; 0]);
    assert!(
        status.degraded[0].contains("the files have changed"),
        "{:?}",
        status.degraded
    );

    // The next start finds it among what is kept.
    let mut later = fixture.daemon();
    fixture.kernel.0.borrow_mut().active = None;
    later.begin(network(&["eth0"]));
    assert_eq!(later.in_force().1, [3]);
}

#[test]
fn after_a_list_has_changed_everything_is_as_declared() {
    let (fixture, mut daemon) = started();
    fixture.write_list("192.0.2.0/24\n198.51.100.0/24\n203.0.113.7\n");
    assert!(daemon.look_at_lists(0));
    let status = daemon.how().unwrap();
    assert_eq!(status.warnings, [""; 0]);
    assert!(status.generation.declared.is_some());
    assert_eq!(status.generation.declared, status.generation.kernel);
}

#[test]
fn a_list_that_is_not_taken_degrades_until_it_is_mended_or_a_reload_says_so() {
    let (fixture, mut daemon) = started();
    fixture.write_list("192.0.2.0/24\nhalf of a li");
    assert!(daemon.look_at_lists(0));
    let degraded = daemon.how().unwrap().degraded;
    assert_eq!(degraded.len(), 1);
    assert!(
        degraded[0].contains("the list is not taken"),
        "{degraded:?}"
    );
    assert!(degraded[0].contains("a.cidr:2:1"), "{degraded:?}");
    assert!(!daemon.look_at_lists(0), "that was told already");

    fixture.write_list("192.0.2.0/24\n198.51.100.0/24\n");
    assert!(daemon.look_at_lists(0));
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
    assert_eq!(daemon.in_force(), (1, vec![2]), "it is what it was");

    fixture.write_list("");
    assert!(daemon.look_at_lists(0));
    assert!(
        daemon.headline().contains("only 0 are left"),
        "{}",
        daemon.headline()
    );
    assert_eq!(daemon.in_force(), (1, vec![2]));
    daemon.reload().unwrap();
    assert_eq!(daemon.in_force(), (2, vec![0]));
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn lists_that_make_no_plan_are_refused_once() {
    let (fixture, mut daemon) = started();
    let good = ("a.cidr", "192.0.2.0/24\n198.51.100.0/24\n");
    fixture.write_lists(&[good, ("wrong.cidr", "10.0.0.0/8\n")]);
    let before = fixture.compiled();
    assert!(daemon.look_at_lists(0));
    assert!(!daemon.look_at_lists(0));
    assert_eq!(fixture.compiled(), before + 2, "with it, and without it");
    assert_eq!(daemon.in_force(), (1, vec![2]));
    assert_eq!(daemon.how().unwrap().degraded, ["a.yaml: wrong"]);
}

#[test]
fn a_list_that_fits_nothing_else_holds_up_no_other() {
    let (fixture, mut daemon) = started();
    let wrong = ("wrong.cidr", "10.0.0.0/8\n");
    let three = "192.0.2.0/24\n198.51.100.0/24\n203.0.113.0/24\n";
    fixture.write_lists(&[("a.cidr", three), ("b.cidr", "10.0.0.0/8\n"), wrong]);
    assert!(daemon.look_at_lists(0));
    assert_eq!(daemon.in_force(), (2, vec![3, 1]));
    assert_eq!(daemon.how().unwrap().degraded, ["a.yaml: wrong"]);
    assert!(!daemon.look_at_lists(0), "that was told already");
    fixture.write_lists(&[("a.cidr", three), ("b.cidr", "10.0.0.0/8\n")]);
    assert!(daemon.look_at_lists(0));
    assert_eq!(daemon.in_force(), (2, vec![3, 1]));
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

/// Nobody may have asked for it, after a crash or a reboot.
#[test]
fn a_start_is_as_careful_with_lists_as_a_running_daemon() {
    for (text, why) in [
        ("", "only 0 are left"),
        ("192.0.2.0/24\n198.51.100.0/2", "last line has no end"),
        ("192.0.2.0/24\nhalf of a li", "a.cidr:2:1"),
    ] {
        for pinned in [true, false] {
            let (fixture, daemon) = started();
            drop(daemon);
            if !pinned {
                fixture.kernel.0.borrow_mut().active = None;
            }
            fixture.write_list(text);
            fixture.files.0.borrow_mut().policy = "edited".into();
            let mut daemon = fixture.daemon();
            daemon.start(network(&["eth0"])).unwrap();
            assert_eq!(daemon.in_force().1, [2], "{why}");
            let inputs = daemon.inputs().unwrap();
            assert_eq!(inputs.policies[0].text, "edited", "{why}");
            let degraded = daemon.how().unwrap().degraded;
            assert_eq!(degraded.len(), 1, "{degraded:?}");
            assert!(degraded[0].contains(why), "{degraded:?}");
            assert!(!daemon.look_at_lists(0), "that was told already");
            fixture.write_list("192.0.2.0/24\n198.51.100.0/24\n203.0.113.0/24\n");
            assert!(daemon.look_at_lists(0));
            assert_eq!(daemon.in_force().1, [3], "{why}");
            assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
        }
    }
}

#[test]
fn a_list_that_is_gone_at_a_start_stays_unless_nothing_names_it() {
    let (fixture, daemon) = started();
    drop(daemon);
    fixture.files.0.borrow_mut().lists.clear();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(daemon.in_force().1, [2]);
    let degraded = daemon.how().unwrap().degraded;
    assert!(degraded[0].contains("the list is gone"), "{degraded:?}");
    drop(daemon);
    fixture.files.0.borrow_mut().config.policy.inventory.clear();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(daemon.in_force().1, [0; 0]);
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn a_reload_that_was_refused_for_a_list_is_over_when_the_list_is_right() {
    for edited in [false, true] {
        let (fixture, mut daemon) = started();
        fixture.write_list("half of a li\n");
        if edited {
            fixture.files.0.borrow_mut().policy = "edited".into();
        }
        daemon.reload().unwrap_err();
        let degraded = daemon.how().unwrap().degraded;
        assert!(degraded[0].contains("a.cidr:1:1"), "{degraded:?}");
        fixture.write_list("192.0.2.0/24\n198.51.100.0/24\n203.0.113.0/24\n");
        assert!(daemon.look_at_lists(0));
        assert_eq!(daemon.in_force(), (2, vec![3]));
        let degraded = daemon.how().unwrap().degraded;
        if edited {
            assert!(degraded[0].contains("try: fw-ctl reload"), "{degraded:?}");
            assert_eq!(degraded.len(), 1, "{degraded:?}");
            daemon.reload().unwrap();
        }
        let status = daemon.how().unwrap();
        assert_eq!((status.degraded, status.warnings), (vec![], vec![]));
    }
}

#[test]
fn a_refused_change_stays_refused_while_lists_go_on() {
    let (fixture, mut daemon) = started();
    fixture.break_files(Some("no such entity"));
    daemon.reload().unwrap_err();
    fixture.write_list("192.0.2.0/24\n198.51.100.0/24\n203.0.113.7\n");
    assert!(daemon.look_at_lists(0));
    assert_eq!(daemon.in_force(), (2, vec![3]));
    assert_eq!(daemon.how().unwrap().degraded, ["a.yaml: no such entity"]);
}

#[test]
fn entries_expire_by_themselves_and_a_node_that_was_opened_stays_open() {
    let (fixture, mut daemon) = started();
    fixture.write_list("192.0.2.0/24 until=1970-01-01T00:01:00Z\n198.51.100.0/24\n");
    assert!(daemon.look_at_lists(59));
    daemon.detach().unwrap();
    assert!(!daemon.look_at_lists(59));
    assert!(daemon.look_at_lists(60));
    assert_eq!(daemon.in_force().0, 3);
    assert_eq!(daemon.inputs().unwrap().expired, 60);
    assert_eq!(fixture.links(), [""; 0]);
}

impl Firewall<Fake, FakeSources> {
    /// Number of the plan in force, and the entries that count at `now`.
    fn count(&self, now: u32) -> (u64, usize) {
        let (in_force, compiled) = self.installed.as_ref().unwrap();
        (
            in_force.number,
            compiled.inputs.lists[0].prefixes.count(now),
        )
    }

    /// Degraded, and warnings.
    fn says(&self) -> (Vec<String>, Vec<String>) {
        let status = self.how().unwrap();
        (status.degraded, status.warnings)
    }
}

const NONE: [&str; 0] = [];

#[test]
fn what_a_list_loses_stays_for_a_while_and_what_it_gains_comes_at_once() {
    let (fixture, mut daemon) = started();
    fixture.write_list("198.51.100.0/24\n203.0.113.0/24\n");
    assert!(daemon.look_at_lists(1_000));
    assert_eq!(daemon.count(1_299), (2, 3));
    let (degraded, warnings) = daemon.says();
    assert_eq!(degraded, NONE);
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    assert!(
        warning.contains(
            "a.cidr: 1 entry that the list has lost stays in force, the last until \
             1970-01-01T00:21:40Z (try: fw-ctl reload"
        ),
        "{warning}"
    );
    let status = daemon.how().unwrap();
    assert_eq!(status.lists[0].lost, 1);
    assert_eq!(status.generation.declared, status.generation.kernel);
    // Nothing happens until then, and then it is gone, without a trace.
    assert!(!daemon.look_at_lists(1_299));
    assert_eq!(daemon.inputs().unwrap().expires(), Some(1_300));
    assert!(daemon.look_at_lists(1_300));
    assert_eq!(daemon.in_force(), (3, vec![2]));
    assert_eq!(daemon.says(), (vec![], vec![]));
    assert!(!daemon.look_at_lists(1_400));
}

#[test]
fn a_list_that_is_back_in_time_has_lost_nothing() {
    let (fixture, mut daemon) = started();
    fixture.write_list("198.51.100.0/24\n");
    assert!(daemon.look_at_lists(1_000));
    fixture.write_list("192.0.2.0/24\n198.51.100.0/24\n");
    assert!(daemon.look_at_lists(1_200));
    assert_eq!(daemon.count(u32::MAX - 1).1, 2);
    assert_eq!(daemon.says(), (vec![], vec![]));
    // Lost again, the delay begins anew.
    fixture.write_list("198.51.100.0/24\n");
    assert!(daemon.look_at_lists(1_290));
    assert_eq!([1_589, 1_590].map(|now| daemon.count(now).1), [2, 1]);
}

#[test]
fn a_reload_takes_a_shrunken_list_at_once() {
    let (fixture, mut daemon) = started();
    fixture.write_list("198.51.100.0/24\n");
    assert!(daemon.look_at_lists(1_000));
    assert_eq!(daemon.in_force(), (2, vec![2]));
    daemon.reload().unwrap();
    assert_eq!(daemon.in_force(), (3, vec![1]));
    assert_eq!(daemon.says(), (vec![], vec![]));
    assert!(!daemon.look_at_lists(1_000));
}

/// The daemon ends in the middle of the delay, with the machine or without; the list may
/// shrink further while nobody looks.
#[test]
fn a_restart_loses_nothing_early() {
    for pinned in [true, false] {
        let (fixture, mut daemon) = started();
        let three = "192.0.2.0/24\n198.51.100.0/24\n203.0.113.0/24\n";
        fixture.write_list(three);
        // A third of the delay has gone by when the daemon starts again.
        let now = crate::lists::moment::now();
        assert!(daemon.look_at_lists(now - 100));
        fixture.write_list("198.51.100.0/24\n203.0.113.0/24\n");
        assert!(daemon.look_at_lists(now - 100));
        drop(daemon);
        if !pinned {
            fixture.kernel.0.borrow_mut().active = None;
        }
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        assert_eq!(daemon.count(now + 199).1, 3);
        assert_eq!(daemon.count(now + 200).1, 2);
        let (degraded, warnings) = daemon.says();
        assert_eq!((degraded, warnings.len()), (vec![], 1), "{warnings:?}");
        let status = daemon.how().unwrap();
        assert_eq!(status.generation.declared, status.generation.kernel);
        drop(daemon);

        fixture.write_list("203.0.113.0/24\n");
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        // What was lost first goes first, what was lost meanwhile is given its time.
        assert_eq!(daemon.count(now + 199).1, 3);
        assert_eq!([200, 299].map(|later| daemon.count(now + later).1), [2, 2]);
        assert_eq!(daemon.count(now + 10_000).1, 1);
    }
}
