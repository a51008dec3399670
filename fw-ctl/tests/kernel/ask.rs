//! What the loaded programs make of one packet, asked while others filter.

use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{Array, Map, MapData};
use fw_common::wire::{Action, Direction, MatrixBlock, SCHEMA_VERSION, VerdictWord, matrix_index};
use fw_ctl::compile::plan::Plan;
use fw_ctl::datapath::frame::{Packet, Payload};
use fw_ctl::datapath::{Answer, Datapath, Hook, Said, Verdict};

use crate::support::{PIN_DIR, in_sandbox, plan};

const NODE: &str = "192.0.2.1";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tcp(source: &str, destination: &str, port: u16) -> Packet {
    Packet {
        vlan: None,
        source: address(source),
        destination: address(destination),
        payload: Payload::new(6, (40_000, port), (0, 0)),
    }
}

fn ready(datapath: &mut Datapath, plan: &Plan) {
    let end = Instant::now() + Duration::from_mins(2);
    let packet = tcp("10.0.0.9", NODE, 22);
    while datapath.ask(&packet, address(NODE)).unwrap().is_none() {
        datapath.self_test(plan).unwrap();
        assert!(Instant::now() < end, "the programs are not loaded");
        thread::sleep(Duration::from_millis(20));
    }
}

fn verdicts(answers: &[Answer]) -> Vec<(Hook, Verdict)> {
    let verdict = |answer: &Answer| (answer.hook, answer.said.verdict);
    answers.iter().map(verdict).collect()
}

#[test]
fn programs_answer_by_the_plan_in_force_and_nothing_moves() {
    in_sandbox(|| {
        let mut datapath = Datapath::open(Path::new(PIN_DIR)).unwrap();
        let first = plan(&["10.0.0.0/8"], &[22]);
        datapath.install(&first, 1).unwrap();
        let allowed = tcp("10.0.0.9", NODE, 22);
        let local = address(NODE);
        assert_eq!(datapath.ask(&allowed, local).unwrap(), None, "not yet");
        ready(&mut datapath, &first);

        let both = |verdict| vec![(Hook::Xdp, verdict), (Hook::TcIngress, verdict)];
        let mut ask = |packet: &Packet| datapath.ask(packet, local).unwrap().unwrap();
        assert_eq!(verdicts(&ask(&allowed)), both(Verdict::Pass));
        for denied in [tcp("10.0.0.9", NODE, 23), tcp("11.0.0.9", NODE, 22)] {
            let answers = ask(&denied);
            assert_eq!(verdicts(&answers), both(Verdict::Drop), "{denied:?}");
            for Answer { said, .. } in answers {
                let (action, _) = said.decided.unwrap();
                assert_eq!(action, Action::Deny as u8);
            }
        }
        // Not the address of the node, but what it is said to have.
        let elsewhere = tcp("10.0.0.9", "198.51.100.77", 22);
        let answers = datapath.ask(&elsewhere, elsewhere.destination).unwrap();
        assert_eq!(verdicts(&answers.unwrap()), both(Verdict::Pass));
        // Egress is asked of its own program only.
        let egress = tcp(NODE, "10.0.0.9", 443);
        let answers = datapath.ask(&egress, local).unwrap().unwrap();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].hook, Hook::TcEgress);

        // Another plan answers otherwise, as soon as it is in force.
        datapath.install(&plan(&["11.0.0.0/8"], &[22]), 2).unwrap();
        let answers = datapath.ask(&allowed, local).unwrap().unwrap();
        assert_eq!(verdicts(&answers), both(Verdict::Drop));
        let found = datapath.tested().unwrap();
        assert_eq!((found.number, &found.failed), (2, &None));

        let counters = datapath.counters().unwrap();
        assert!(counters.iter().all(|(_, _, tally)| tally.packets == 0));
        assert_eq!(datapath.pressure().unwrap().begun, 0);
        assert!(datapath.events().unwrap().next_event().unwrap().is_none());
    });
}

#[test]
fn tables_that_were_tampered_with_are_what_the_programs_tell() {
    in_sandbox(|| {
        let mut datapath = Datapath::open(Path::new(PIN_DIR)).unwrap();
        let first = plan(&["10.0.0.0/8"], &[22]);
        let installed = datapath.install(&first, 1).unwrap();
        ready(&mut datapath, &first);
        let allowed = tcp("10.0.0.9", NODE, 22);
        let before = datapath.ask(&allowed, address(NODE)).unwrap().unwrap();

        let path = format!("{PIN_DIR}/v{SCHEMA_VERSION}/maps/MATRIX");
        let map = Map::from_map_data(MapData::from_pin(path).unwrap()).unwrap();
        let mut matrix: Array<_, MatrixBlock> = map.try_into().unwrap();
        let block = matrix_index(installed.index, Direction::Ingress, 0);
        let mut words = matrix.get(&block, 0).unwrap();
        let rule = VerdictWord(words.0[0]).rule();
        for word in &mut words.0 {
            *word = VerdictWord::deny(rule).0;
        }
        matrix.set(block, words, 0).unwrap();

        let after = datapath.ask(&allowed, address(NODE)).unwrap().unwrap();
        for (before, after) in before.iter().zip(&after) {
            let says = |said: Said| said.verdict;
            assert_eq!(says(before.said), Verdict::Pass);
            assert_eq!(says(after.said), Verdict::Drop);
        }
    });
}
