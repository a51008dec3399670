//! Tags on real interfaces: native XDP sees them in the frame; before TC sees an arriving
//! frame, the kernel has moved the tag out of it. In test runs, by which the packet table
//! is played, all of them are in the frame.

use std::path::Path;
use std::time::{Duration, Instant};

use aya::maps::{Array, Map, MapData};
use fw_common::wire::{
    Counter, Direction, DropReason, SCHEMA_VERSION, VLANS, VerdictWord, VlanClasses,
};
use fw_ctl::compile::plan::Plan;
use fw_ctl::datapath::frame::{Packet, Payload};
use fw_ctl::datapath::{Datapath, EventReader, XdpWish, plan_hash};
use nix::errno::Errno;

use crate::attach::send_raw;
use crate::support::{PIN_DIR, in_sandbox, ip, link, plan};

const NODE: &str = "192.0.2.1";
const PEER: &str = "198.51.100.7";
/// Admitted; there the peer may reach TCP 80.
const ADMITTED: u16 = 212;
/// The rule that denies what is not.
const UNADMITTED: u16 = 3;

/// Only VLAN 212 is admitted, where [`PEER`] may reach TCP 80; egress has no policy there.
fn admitting() -> Plan {
    let mut plan = plan(&["198.51.100.0/24"], &[80]);
    let mut rule = plan.rules[0].clone();
    rule.rule = "vlan-not-admitted".into();
    rule.allow = false;
    plan.rules.push(rule);
    plan.vlans = vec![0; VLANS];
    plan.vlans[usize::from(ADMITTED)] = 1;
    for direction in &mut plan.directions {
        let admitted = std::mem::take(&mut direction.cells);
        direction.cells = vec![VerdictWord::unadmitted(UNADMITTED); admitted.len()];
        direction.cells.extend(admitted);
    }
    plan
}

fn open() -> Datapath {
    let mut datapath = Datapath::open(Path::new(PIN_DIR)).expect("the datapath opens");
    let addresses = [NODE.parse().unwrap()].into();
    datapath.set_local_addresses(&addresses).unwrap();
    datapath
}

/// The first packet of a connection to TCP 80.
fn frame(source: &str, destination: &str, vlan: Option<u16>) -> Vec<u8> {
    let packet = Packet {
        vlan,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        payload: Payload::new(6, (40_000, 80), (0, 0)),
    };
    packet.frame().unwrap()
}

/// Packets counted so far.
fn count(datapath: &Datapath, direction: Direction, counter: Counter) -> u64 {
    let counters = datapath.counters().unwrap().into_iter();
    let mut counters = counters.filter(|row| (row.0, row.1) == (direction, counter));
    counters.next().map_or(0, |row| row.2.packets)
}

/// Sends a frame over `interface`, and waits until it is counted there and nowhere else.
fn send(
    datapath: &Datapath,
    (interface, frame): (&str, &[u8]),
    direction: Direction,
    expected: Counter,
    what: &str,
) {
    let outcomes = [
        Counter::Allowed,
        Counter::Dropped(DropReason::VlanNotAdmitted),
        Counter::Dropped(DropReason::DefaultDeny),
    ];
    let counts = || outcomes.map(|outcome| count(datapath, direction, outcome));
    let before = counts();
    match send_raw(interface, frame) {
        // What is dropped on its way out is told to the sender.
        Ok(_) | Err(Errno::ENOBUFS) => {}
        Err(error) => panic!("{what}: {error}"),
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while counts() == before && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    let moved: Vec<_> = std::iter::zip(outcomes, std::iter::zip(before, counts()))
        .filter(|(_, (before, after))| before != after)
        .map(|(outcome, (before, after))| (outcome, after - before))
        .collect();
    assert_eq!(moved, [(expected, 1)], "{what}");
}

/// The VLAN of the last event.
fn vlan_reported(events: &mut EventReader) -> Option<u16> {
    let mut last = None;
    while let Some(event) = events.next_event().unwrap() {
        last = Some(event.vlan);
    }
    last
}

#[test]
fn the_tag_is_seen_in_the_frame_and_beside_it() {
    in_sandbox(|| {
        ip("link add eth0 type veth peer name peer");
        ip("link set eth0 up");
        ip("link set peer up");
        let foreign = Counter::Dropped(DropReason::VlanNotAdmitted);
        let mut datapath = open();
        datapath.install(&admitting(), 1).unwrap();
        let mut events = datapath.events().unwrap();
        for wish in [XdpWish::Native, XdpWish::Off] {
            datapath.attach(&link("eth0"), wish).unwrap();
            for (vlan, expected) in [
                (Some(ADMITTED), Counter::Allowed),
                (Some(999), foreign),
                (Some(0), foreign),
                (None, foreign),
            ] {
                let what = format!("{wish:?}, into {vlan:?}");
                let frame = frame(PEER, NODE, vlan);
                send(
                    &datapath,
                    ("peer", &frame),
                    Direction::Ingress,
                    expected,
                    &what,
                );
                assert_eq!(
                    vlan_reported(&mut events),
                    Some(vlan.unwrap_or(0)),
                    "{what}"
                );
            }
            for (vlan, expected) in [
                (Some(ADMITTED), Counter::Allowed),
                (Some(999), foreign),
                (None, foreign),
            ] {
                let what = format!("{wish:?}, out in {vlan:?}");
                let frame = frame(NODE, PEER, vlan);
                send(
                    &datapath,
                    ("eth0", &frame),
                    Direction::Egress,
                    expected,
                    &what,
                );
            }
        }
    });
}

#[test]
fn the_classes_of_vlans_are_read_back() {
    in_sandbox(|| {
        let mut datapath = open();
        let admitting = admitting();
        datapath.install(&admitting, 1).unwrap();
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&admitting));

        let index = datapath.active().unwrap().unwrap().index;
        let path = format!("{PIN_DIR}/v{SCHEMA_VERSION}/maps/VLANS");
        let map = Map::from_map_data(MapData::from_pin(path).unwrap()).unwrap();
        let mut table: Array<_, VlanClasses> = map.try_into().unwrap();
        let mut classes = table.get(&index, 0).unwrap();
        assert_eq!(classes.0[..], admitting.vlans);
        classes.0[999] = 1;
        table.set(index, classes, 0).unwrap();
        assert_ne!(datapath.read_back().unwrap(), plan_hash(&admitting));

        // A plan that asks for none is not the other one, and what stands there is nothing
        // to it.
        let plain = plan(&["198.51.100.0/24"], &[80]);
        for number in [2, 3] {
            datapath.install(&plain, number).unwrap();
            assert_eq!(datapath.read_back().unwrap(), plan_hash(&plain));
        }
    });
}
