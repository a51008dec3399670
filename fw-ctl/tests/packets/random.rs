//! Frames that nobody described, fragments above all: the model, XDP and TC do the
//! same with every sequence of them.
//!
//! What is right is said by the table; here the kernel's programs, with their maps and
//! their compiler, are held against the model.

use std::cell::RefCell;
use std::collections::BTreeMap;

use fw_common::wire::Counter;
use fw_ctl::compile::plan::Mode;
use fw_ctl::datapath::modelrun::same;
use fw_ctl::datapath::{Hook, Outcome};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::frames::*;
use crate::plan;
use crate::targets::{self, Target};

const SEQUENCES: u32 = 64;
const FRAMES: usize = 40;
/// The kernel makes test packets for TC of frames that have an IP header.
const SHORTEST: usize = 54;

/// A frame, and whether it leaves the node.
#[derive(Clone, Debug)]
struct Sent {
    out: bool,
    bytes: Vec<u8>,
}

/// Few senders and numbers, so that fragments meet; whole packets of the same.
fn packets() -> impl Strategy<Value = Sent> {
    let peers = select(&[(ADMIN, NODE), (STRANGER, NODE), (ADMIN6, NODE6)][..]);
    let ports = (select(&[53_u16, 4_000][..]), select(&[22_u16, 9_000][..]));
    let kinds = (0_u8..12, prop::bool::weighted(0.2));
    (peers, ports, kinds).prop_map(|((peer, node), (far, near), (kind, out))| {
        let (mut from, mut to) = ((peer, far), (node, near));
        if out {
            (from, to) = (to, from);
        }
        let bytes = match kind {
            0 => tcp(from, to, SYN),
            1 => sctp(from, to),
            2 => icmp(from.0, to.0, 3, 1),
            3 => echo(from.0, to.0, if peer.contains(':') { 128 } else { 8 }, 7),
            _ => udp(from, to),
        };
        Sent { out, bytes }
    })
}

/// Mostly fragments: places and lengths in units of eight bytes, and what is wrong
/// with one in sixteen; some have extension headers, tags, padding, or are cut.
fn frames() -> impl Strategy<Value = Sent> {
    let start = prop_oneof![Just(0), 0_usize..6];
    let places = (start, 0_usize..6, prop::bool::weighted(0.7), 1_u32..3);
    let faults = (0_u8..16, 0_u8..32, 0_u8..32, any::<prop::sample::Index>());
    (packets(), places, faults).prop_map(
        |(sent, (start, units, more, id), (whole, odd, dress, cut))| {
            let mut bytes = sent.bytes;
            let is_v6 = bytes[14] >> 4 == 6;
            if dress < 2 && is_v6 {
                bytes = extended(&bytes, &[(60, dress), (43, 0)]);
            }
            if whole > 1 {
                let start = if odd == 0 { 65_520 } else { 8 * start };
                let end = start + 8 * units + usize::from(odd == 1) * 4;
                bytes = piece(&bytes, id, start..end, more);
            }
            match dress {
                2 => bytes = tagged(&bytes, &[(0x8100, 5)]),
                3 => bytes = tagged(&bytes, &[(0x88a8, 300), (0x8100, 6)]),
                4 => bytes = padded(bytes, &[0; 40]),
                5 if !is_v6 => bytes = with_options(&bytes, 2),
                6 => bytes.truncate(14 + cut.index(bytes.len() - 13)),
                7 => {
                    let at = 14 + cut.index(bytes.len() - 14);
                    bytes[at] ^= 1 << (at % 8);
                }
                _ => {}
            }
            Sent {
                out: sent.out,
                bytes,
            }
        },
    )
}

#[test]
fn every_sequence_of_frames_on_every_target() {
    agree(targets::all());
}

#[test]
fn every_sequence_of_packets_without_an_ethernet_header() {
    agree(targets::headerless());
}

fn agree(targets: Vec<Box<dyn Target>>) {
    let targets = RefCell::new(targets);
    let seen = RefCell::new(BTreeMap::<String, usize>::new());
    let config = Config {
        cases: SEQUENCES,
        failure_persistence: None,
        ..Config::default()
    };
    let mode = prop_oneof![3 => Just(Mode::Enforce), 1 => Just(Mode::Audit)];
    TestRunner::new(config)
        .run(&(mode, vec(frames(), FRAMES)), |(mode, frames)| {
            let mut targets = targets.borrow_mut();
            for target in targets.iter_mut() {
                target.begin(&plan::plan(mode), &plan::local());
            }
            for (index, frame) in frames.iter().enumerate() {
                let Some(expected) = judge_all(&mut targets, frame)? else {
                    continue;
                };
                let counter = expected.moved.first().map(|moved| moved.1);
                let name = counter.map_or(String::new(), Counter::name);
                *seen.borrow_mut().entry(name).or_default() += 1;
                prop_assert_eq!(expected.moved.len(), 1, "frame {}", index);
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner();
    for reason in [
        "allowed",
        "dropped/default-deny",
        "dropped/invalid-packet",
        "dropped/fragment-without-first",
        "dropped/tiny-fragment",
        "dropped/fragment-overlap",
        "audited/fragment-overlap",
    ] {
        assert!(seen.get(reason).is_some_and(|n| *n >= 5), "{seen:?}");
    }
}

/// What the first target, the model, does with the frame, if all others do the same.
/// `None`: the frame is too short for one of them.
fn judge_all(
    targets: &mut [Box<dyn Target>],
    frame: &Sent,
) -> Result<Option<Outcome>, TestCaseError> {
    let mut expected: Option<Outcome> = None;
    if frame.bytes.len() < SHORTEST {
        return Ok(None);
    }
    for target in targets {
        let hook = match frame.out {
            true => Hook::TcEgress,
            false => target.ingress(),
        };
        let Some(found) = target.run(hook, &frame.bytes) else {
            return Err(TestCaseError::fail("a target takes no such frame"));
        };
        if let Some(expected) = &expected {
            prop_assert!(
                same(expected, &found),
                "{}: {:02x?}\nmodel: {:?}\nhere:  {:?}",
                target.name(),
                frame.bytes,
                expected,
                found
            );
        } else {
            expected = Some(found);
        }
    }
    Ok(expected)
}
