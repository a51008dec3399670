//! The generator's programs, run by the kernel on single frames: what they write is
//! a right packet of the stream. Needs root and BPF.

#![allow(
    clippy::unwrap_used,
    reason = "test code outside of test functions: helpers"
)]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use bench::bpf::calls::{Memory, Program};
use bench::generator::program::{Destination, STATE, assemble};
use bench::generator::template::{Kind, Shape, checksums_hold};
use bench::generator::traffic::{Flows, Ports, Sources, Stream, Traffic};

/// The frames of `count` packets, or nothing if this must be skipped.
fn frames(traffic: &Traffic, count: usize) -> Vec<Vec<u8>> {
    let state = match Memory::new(STATE) {
        Ok(state) => state,
        Err(why) => {
            assert!(
                std::env::var("FW_KERNEL_TESTS").as_deref() != Ok("require"),
                "this test must run here, but {why}"
            );
            // Not `println!`: the test runner would swallow it.
            let _ = writeln!(std::io::stderr(), "skipped: {why}");
            return Vec::new();
        }
    };
    let bytes = traffic.memory();
    let memory = (!bytes.is_empty()).then(|| Memory::with(&bytes).unwrap());
    let code = assemble(
        traffic,
        Destination::Back,
        state.descriptor(),
        memory.as_ref().map(Memory::descriptor),
    );
    let program = Program::load(&code).unwrap();
    (0..count)
        .map(|_| program.run_once(&traffic.first_frame()).unwrap())
        .collect()
}

fn stream(kind: Kind, v4: bool) -> Stream {
    let to: IpAddr = match v4 {
        true => [10, 0, 0, 10].into(),
        false => "2001:db8::10".parse().unwrap(),
    };
    Stream {
        shape: Shape::short(kind),
        to: (to, [2, 0xf3, 0, 0, 0, 1]),
        sources: Sources::Random,
        flows: Flows::New,
        source_port: Ports::Among {
            first: 32_768,
            count: 1_000,
        },
        destination_port: Ports::One(443),
    }
}

fn v4_source(frame: &[u8]) -> Ipv4Addr {
    Ipv4Addr::from(<[u8; 4]>::try_from(&frame[26..30]).unwrap())
}

#[test]
fn checksums_of_every_packet_are_right() {
    for v4 in [true, false] {
        for kind in [Kind::Syn, Kind::Ack, Kind::Udp, Kind::Fragment] {
            for frame in frames(&Traffic::Stream(stream(kind, v4)), 200) {
                assert!(checksums_hold(&frame), "{kind:?}, IPv4: {v4}: {frame:02x?}");
            }
        }
    }
}

#[test]
fn new_flows_have_sources_of_their_own_and_ports_in_their_range() {
    let frames = frames(&Traffic::Stream(stream(Kind::Syn, true)), 1_000);
    let sources: BTreeSet<_> = frames.iter().map(|frame| v4_source(frame)).collect();
    // Of half a billion addresses a thousand are rarely two alike.
    assert!(
        frames.is_empty() || sources.len() >= 998,
        "{}",
        sources.len()
    );
    for frame in &frames {
        assert_eq!(
            v4_source(frame).octets()[0] & 0xe0,
            0x20,
            "not in 32.0.0.0/3"
        );
        let ports = [34, 36].map(|at| u16::from_be_bytes([frame[at], frame[at + 1]]));
        assert!((32_768..33_768).contains(&ports[0]), "{ports:?}");
        assert_eq!(ports[1], 443);
    }
}

#[test]
fn as_many_flows_as_asked_for() {
    let stream = Stream {
        flows: Flows::Of(10),
        ..stream(Kind::Udp, true)
    };
    let frames = frames(&Traffic::Stream(stream), 500);
    let flows: BTreeSet<_> = frames.iter().map(|frame| frame[26..38].to_vec()).collect();
    assert!(frames.is_empty() || flows.len() == 10, "{}", flows.len());
}

#[test]
fn listed_sources_are_those_of_the_list_and_all_of_them() {
    let list: Vec<Ipv4Addr> = (1..=50).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect();
    let stream = Stream {
        sources: Sources::Listed(list.iter().copied().map(IpAddr::V4).collect()),
        ..stream(Kind::Syn, true)
    };
    let frames = frames(&Traffic::Stream(stream), 2_000);
    let seen: BTreeSet<_> = frames.iter().map(|frame| v4_source(frame)).collect();
    assert!(frames.is_empty() || seen == list.into_iter().collect());
    assert!(frames.iter().all(|frame| checksums_hold(frame)));
}

#[test]
fn a_replay_has_each_of_its_frames() {
    let frames_in: Vec<Vec<u8>> = (0..20_u8).map(|n| vec![n; 60]).collect();
    let seen: BTreeSet<u8> = frames(&Traffic::Replay(frames_in), 1_000)
        .iter()
        .map(|frame| {
            assert_eq!(frame[..60], vec![frame[0]; 60]);
            frame[0]
        })
        .collect();
    assert!(seen.is_empty() || seen.len() == 20, "{seen:?}");
}

#[test]
fn a_tag_is_written_again_into_each_packet() {
    let mut tagged = stream(Kind::Syn, true);
    tagged.shape.vlan = Some(7);
    for frame in frames(&Traffic::Stream(tagged), 10) {
        assert_eq!(frame[..6], [2, 0xf3, 0, 0, 0, 1]);
        assert_eq!(frame[12..18], [0x81, 0, 0, 7, 8, 0]);
    }
}
