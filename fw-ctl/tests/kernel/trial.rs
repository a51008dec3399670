//! A generation on trial: packets leave it at its deadline by themselves.

use std::net::IpAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use fw_common::wire::{Counter, Direction, DropReason};
use fw_ctl::compile::plan::Mode;
use fw_ctl::datapath::frame::{Packet, Payload, SYN};
use fw_ctl::datapath::{Datapath, Hook, ModelRun, Outcome, TestRun, Verdict, brake};
use fw_ctl::netlink::LocalAddresses;

use crate::support::{PIN_DIR, in_sandbox, plan};

const NODE: &str = "192.0.2.1";
const LONG: Duration = Duration::from_mins(1);

fn open() -> Datapath {
    Datapath::open(Path::new(PIN_DIR)).unwrap()
}

fn local() -> LocalAddresses {
    [NODE.parse::<IpAddr>().unwrap()].into_iter().collect()
}

fn ssh(client: &str) -> Packet {
    Packet {
        vlan: None,
        source: client.parse().unwrap(),
        destination: NODE.parse().unwrap(),
        payload: Payload::Tcp {
            source: 40_000,
            destination: 22,
            flags: SYN,
        },
    }
}

/// Who judged, and how.
fn ended(outcome: &Outcome) -> (Verdict, Counter, u64) {
    let [(Direction::Ingress, counter, tally)] = outcome.moved[..] else {
        panic!("one counter moves: {:?}", outcome.moved);
    };
    assert_eq!(tally.packets, 1);
    let plan = outcome.event.as_ref().unwrap().plan;
    (outcome.verdict, counter, plan)
}

const DROPPED: Counter = Counter::Dropped(DropReason::DefaultDeny);

#[test]
fn at_the_deadline_the_plan_before_judges_again() {
    in_sandbox(|| {
        let (open, shut) = (plan(&["10.0.0.0/8"], &[22]), plan(&["10.0.0.0/8"], &[]));
        let packet = ssh("10.1.2.3");
        for hook in [Hook::Xdp, Hook::TcIngress] {
            let mut engine = TestRun::new().unwrap();
            engine.set_local(&local()).unwrap();
            engine.install(&open).unwrap();
            let judge = |engine: &mut TestRun| ended(&engine.judge(hook, &packet).unwrap());
            assert_eq!(judge(&mut engine), (Verdict::Pass, Counter::Allowed, 1));
            engine
                .install_on_trial(&shut, Duration::from_millis(500))
                .unwrap();
            assert_eq!(judge(&mut engine), (Verdict::Drop, DROPPED, 2));
            sleep(Duration::from_millis(550));
            assert_eq!(judge(&mut engine), (Verdict::Pass, Counter::Allowed, 1));
        }
        let mut model = ModelRun::default();
        model.set_local(&local());
        model.install(&open);
        model.install_on_trial(&shut, 5);
        let frame = packet.frame().unwrap();
        for (clock, expected) in [
            (4, (Verdict::Drop, DROPPED, 2)),
            (5, (Verdict::Pass, Counter::Allowed, 1)),
        ] {
            model.set_clock(clock);
            assert_eq!(ended(&model.run(Hook::Xdp, &frame)), expected);
        }
    });
}

#[test]
fn a_trial_is_confirmed_or_left() {
    in_sandbox(|| {
        let mut datapath = open();
        assert_eq!(datapath.trial().unwrap(), None);
        let first = datapath.install(&plan(&["10.0.0.0/8"], &[22]), 1).unwrap();
        assert_eq!(datapath.confirm().unwrap(), Some(first));
        assert_eq!(datapath.go_back().unwrap(), Some(first));

        let next = plan(&["10.0.0.0/8"], &[]);
        let second = datapath.install_on_trial(&next, 2, LONG).unwrap();
        let trial = datapath.trial().unwrap().unwrap();
        assert_eq!((trial.installed, trial.former), (second, Some(first)));
        assert!(trial.left > LONG / 2 && trial.left <= LONG, "{trial:?}");
        assert_eq!(datapath.active().unwrap(), Some(second));
        assert_eq!(datapath.read_back().unwrap(), second.hash);
        // The one before is still needed.
        let error = datapath.install(&next, 3).unwrap_err();
        assert!(
            error.to_string().contains("generation 2 is on trial"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 4);
        assert_eq!(datapath.go_back().unwrap(), Some(first));
        assert_eq!(datapath.trial().unwrap(), None);
        assert_eq!(datapath.read_back().unwrap(), first.hash);

        let third = datapath.install_on_trial(&next, 3, LONG).unwrap();
        drop(datapath);
        // A daemon that starts meanwhile finds it so.
        let mut datapath = open();
        assert_eq!(datapath.trial().unwrap().unwrap().installed, third);
        assert_eq!(datapath.confirm().unwrap(), Some(third));
        assert_eq!(datapath.trial().unwrap(), None);
        assert_eq!(datapath.active().unwrap(), Some(third));
        datapath.install(&next, 4).unwrap();
    });
}

#[test]
fn a_trial_that_is_over_is_not_confirmed_and_makes_room() {
    in_sandbox(|| {
        let mut datapath = open();
        let first = datapath.install(&plan(&["10.0.0.0/8"], &[22]), 1).unwrap();
        let next = plan(&["10.0.0.0/8"], &[]);
        for number in [2, 3] {
            datapath
                .install_on_trial(&next, number, Duration::from_millis(1))
                .unwrap();
            sleep(Duration::from_millis(2));
            let trial = datapath.trial().unwrap().unwrap();
            assert_eq!(trial.left, Duration::ZERO);
            assert_eq!(datapath.active().unwrap(), Some(first));
            assert_eq!(datapath.read_back().unwrap(), first.hash);
        }
        assert_eq!(datapath.confirm().unwrap(), None, "it was left before");
        assert_eq!(datapath.active().unwrap(), Some(first));
        let fourth = datapath.install(&next, 4).unwrap();
        assert_eq!(datapath.active().unwrap(), Some(fourth));
    });
}

#[test]
fn the_brake_holds_whatever_becomes_of_the_trial() {
    in_sandbox(|| {
        for confirm in [true, false] {
            for without_daemon in [true, false] {
                let mut datapath = open();
                let first = plan(&["10.0.0.0/8"], &[22]);
                let second = plan(&["10.0.0.0/8"], &[]);
                datapath.install(&first, 1).unwrap();
                datapath.install_on_trial(&second, 2, LONG).unwrap();
                if without_daemon {
                    drop(datapath);
                    assert!(brake(Path::new(PIN_DIR), Mode::Audit).unwrap());
                    datapath = open();
                } else {
                    datapath.set_mode(Mode::Audit).unwrap();
                }
                assert_eq!(datapath.active().unwrap().unwrap().mode, Mode::Audit);
                if confirm {
                    datapath.confirm().unwrap();
                } else {
                    datapath.go_back().unwrap();
                }
                let active = datapath.active().unwrap().unwrap();
                assert_eq!(active.mode, Mode::Audit);
                assert_eq!(active.number, if confirm { 2 } else { 1 });
                assert_eq!(datapath.read_back().unwrap(), active.hash);
            }
        }
    });
}

#[test]
fn single_addresses_belong_to_the_plan_before() {
    in_sandbox(|| {
        let mut datapath = open();
        let first = plan(&["10.0.0.0/8"], &[22]);
        datapath.install(&first, 1).unwrap();
        let amended = plan(&["10.0.0.0/8", "192.0.2.77/32"], &[22]);
        let second = datapath.amend(&first, &amended, 2).unwrap().unwrap();
        let other = plan(&["10.0.0.0/8"], &[]);
        let third = datapath.install_on_trial(&other, 3, LONG).unwrap();
        assert_eq!(datapath.read_back().unwrap(), third.hash);
        let more = plan(&["10.0.0.0/8", "192.0.2.78/32"], &[]);
        assert_eq!(datapath.amend(&other, &more, 4).unwrap(), None);
        assert_eq!(datapath.go_back().unwrap(), Some(second));
        assert_eq!(datapath.read_back().unwrap(), second.hash);
    });
}
