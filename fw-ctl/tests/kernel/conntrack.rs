//! The table of connections, as the programs and user space share it.

use std::net::IpAddr;

use fw_common::packet::transport::{ACK, RST, SYN};
use fw_common::wire::{Counter, FlowKey, FlowState, Origin, Phase};
use fw_ctl::datapath::frame::{Packet, Payload};
use fw_ctl::datapath::seed::Seed;
use fw_ctl::datapath::{Hook, TestRun, Verdict};

use crate::support::{in_sandbox, plan};

const NODE: &str = "192.0.2.1";
const INGRESS: [Hook; 2] = [Hook::Xdp, Hook::TcIngress];

/// Nothing but answers may come in.
fn engine() -> TestRun {
    let mut engine = TestRun::new().expect("the programs load");
    let node: [IpAddr; 1] = [NODE.parse().unwrap()];
    engine.set_local(&node.into_iter().collect()).unwrap();
    engine.install(&plan(&["10.0.0.0/8"], &[22])).unwrap();
    engine
}

fn frame(source: &str, destination: &str, payload: Payload) -> Vec<u8> {
    let packet = Packet {
        vlan: None,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        payload,
    };
    packet.frame().unwrap()
}

fn tcp(source: u16, destination: u16, flags: u8) -> Payload {
    Payload::Tcp {
        source,
        destination,
        flags,
    }
}

fn phase(engine: &TestRun) -> Phase {
    let flows: Vec<_> = engine.flows().iter().collect();
    assert_eq!(flows.len(), 1);
    flows[0].1.phase()
}

#[test]
fn only_an_answer_makes_a_connection_live_long() {
    in_sandbox(|| {
        let mut engine = engine();
        let out = |flags| frame(NODE, "198.51.100.7", tcp(40_000, 443, flags));
        let back = |flags| frame("198.51.100.7", NODE, tcp(443, 40_000, flags));
        for hook in INGRESS {
            engine.flows_mut().clear();
            let send = |engine: &mut TestRun, hook, frame: &[u8]| {
                let outcome = engine.run(hook, frame).unwrap();
                (outcome.verdict, outcome.moved[0].1)
            };
            // As often as the node likes: nobody has answered.
            for flags in [SYN, ACK, ACK] {
                send(&mut engine, Hook::TcEgress, &out(flags));
                assert_eq!(phase(&engine), Phase::Opening);
            }
            let reply = (Verdict::Pass, Counter::Reply);
            assert_eq!(send(&mut engine, hook, &back(SYN | ACK)), reply);
            assert_eq!(phase(&engine), Phase::Established);
            assert_eq!(send(&mut engine, hook, &back(RST | ACK)), reply);
            assert_eq!(phase(&engine), Phase::Closing);
            // The same ports once more.
            send(&mut engine, Hook::TcEgress, &out(SYN));
            assert_eq!(phase(&engine), Phase::Opening);
        }
    });
}

#[test]
fn a_flood_does_not_drive_out_what_is_established() {
    in_sandbox(|| {
        let mut engine = engine();
        let now = engine.now().unwrap();
        let key = |number: u16, protocol| FlowKey {
            local: NODE.parse::<IpAddr>().unwrap().into(),
            remote: "198.51.100.7".parse::<IpAddr>().unwrap().into(),
            local_port: number,
            remote_port: 443,
            protocol,
            pad: [0; 3],
        };
        let established = FlowState::new(now, Origin::Local, Phase::Established);
        let held = (1_000..1_100).map(|port| (key(port, 6), established));
        engine.flows_mut().remember(now, held).unwrap();
        let before = engine.flows().pressure(now).unwrap();
        assert_eq!((before.live, before.begun), (100, 0));

        // Eight times as many as there is room for, of every one a single packet.
        let flood = 8 * u16::try_from(before.capacity).unwrap();
        for port in 20_000..20_000 + flood {
            let asked = Payload::Udp {
                source: port,
                destination: 53,
            };
            let asked = frame(NODE, "203.0.113.9", asked);
            engine.run(Hook::TcEgress, &asked).unwrap();
        }
        // A flood takes its time on a slow machine.
        let now = engine.now().unwrap();
        let after = engine.flows().pressure(now).unwrap();
        assert_eq!(after.live, after.capacity, "full");
        assert_eq!(after.begun, u64::from(flood));
        let displaced = u64::from(flood) + 100 - after.capacity;
        assert_eq!(after.displaced, displaced);
        for port in 1_000..1_100 {
            let reply = frame("198.51.100.7", NODE, tcp(443, port, ACK));
            let outcome = engine.run(INGRESS[usize::from(port % 2)], &reply).unwrap();
            assert_eq!(outcome.moved[0].1, Counter::Reply, "{port}");
        }
        assert_eq!(engine.flows_mut().clear() as u64, after.capacity);
        assert_eq!(engine.flows().pressure(now).unwrap().live, 0);
    });
}

#[test]
fn the_clock_of_the_datapath_goes_by_seconds() {
    in_sandbox(|| {
        let engine = engine();
        let first = engine.now().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        let passed = engine.now().unwrap() - first;
        assert!((2..=4).contains(&passed), "{passed}");
    });
}

/// Connections that are older than the filter, as sockets tell of them.
#[test]
fn seeds_let_answers_pass_from_the_first_packet_on() {
    in_sandbox(|| {
        let mut engine = engine();
        let now = engine.now().unwrap();
        let back = |flags| frame("198.51.100.7", NODE, tcp(443, 40_000, flags));
        let seed = |origin, phase, certain| Seed {
            key: FlowKey {
                local: NODE.parse::<IpAddr>().unwrap().into(),
                remote: "198.51.100.7".parse::<IpAddr>().unwrap().into(),
                local_port: 40_000,
                remote_port: 443,
                protocol: 6,
                pad: [0; 3],
            },
            origin,
            phase,
            certain,
        };
        let own = seed(Origin::Local, Phase::Established, true);
        for hook in INGRESS {
            engine.flows_mut().clear();
            assert_eq!(engine.run(hook, &back(ACK)).unwrap().verdict, Verdict::Drop);
            assert_eq!(engine.flows_mut().seed(now, &[own]).unwrap(), 1);
            let outcome = engine.run(hook, &back(ACK)).unwrap();
            assert_eq!(
                (outcome.verdict, outcome.moved[0].1),
                (Verdict::Pass, Counter::Reply)
            );
            assert_eq!(phase(&engine), Phase::Established);
            let remembered: Vec<_> = engine.flows().remembered(now).collect();
            assert_eq!(
                (remembered[0].key, remembered[0].origin),
                (own.key, Origin::Local)
            );
            // Nothing is news any more, and a guess does not stand against it.
            let guess = seed(Origin::Remote, Phase::Established, false);
            assert_eq!(engine.flows_mut().seed(now, &[own, guess]).unwrap(), 0);
            assert_eq!(engine.run(hook, &back(ACK)).unwrap().verdict, Verdict::Pass);
            // What sockets know does: who began it is not answered.
            let peer = seed(Origin::Remote, Phase::Established, true);
            assert_eq!(engine.flows_mut().seed(now, &[peer]).unwrap(), 1);
            assert_eq!(engine.run(hook, &back(ACK)).unwrap().verdict, Verdict::Drop);
        }
    });
}
