//! Frames through the loaded programs: verdict, counters, rule and event.

use std::net::IpAddr;

use crate::support::{ALLOW, DEFAULT_DENY, in_sandbox, plan};
use aya::programs::Xdp;
use fw_common::wire::{Action, Counter, Direction, DropReason, Origin, RULE_NO_POLICY};
use fw_ctl::compile::plan::Mode;
use fw_ctl::datapath::frame::{ACK, Packet, Payload, SYN};
use fw_ctl::datapath::programs::without_frags;
use fw_ctl::datapath::{Hook, TestRun, Verdict, objects};

const NODE_V4: &str = "192.0.2.1";
const NODE_V6: &str = "2001:db8::1";
const INGRESS: [Hook; 2] = [Hook::Xdp, Hook::TcIngress];

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn packet(source: &str, destination: &str, payload: Payload) -> Packet {
    Packet {
        vlan: None,
        source: address(source),
        destination: address(destination),
        payload,
    }
}

fn tcp(source: u16, destination: u16, flags: u8) -> Payload {
    Payload::Tcp {
        source,
        destination,
        flags,
    }
}

fn engine() -> TestRun {
    let mut engine = TestRun::new().expect("the programs load");
    engine
        .set_local(&[NODE_V4, NODE_V6].map(address).into_iter().collect())
        .unwrap();
    engine
}

fn enforcing() -> TestRun {
    let mut engine = engine();
    let plan = plan(&["10.0.0.0/8", "2001:db8:1::/48"], &[22]);
    engine.install(&plan).unwrap();
    engine
}

#[test]
fn each_packet_moves_one_counter_and_the_counter_of_its_rule() {
    in_sandbox(|| {
        let mut engine = enforcing();
        let udp = Payload::Udp {
            source: 40_000,
            destination: 22,
        };
        let ping = Payload::Icmp {
            protocol: 1,
            kind: 8,
            code: 0,
        };
        let allowed = (Verdict::Pass, Counter::Allowed, Some(ALLOW));
        let denied = (
            Verdict::Drop,
            Counter::Dropped(DropReason::DefaultDeny),
            Some(DEFAULT_DENY),
        );
        let not_ours = (Verdict::Pass, Counter::NotLocal, None);
        let cases = [
            (packet("10.1.2.3", NODE_V4, tcp(40_000, 22, SYN)), allowed),
            (packet("10.1.2.3", NODE_V4, tcp(40_000, 23, SYN)), denied),
            (packet("11.1.2.3", NODE_V4, tcp(40_000, 22, SYN)), denied),
            (packet("10.1.2.3", NODE_V4, udp), denied),
            (packet("10.1.2.3", NODE_V4, ping), denied),
            (
                packet("10.1.2.3", NODE_V4, Payload::Other { protocol: 112 }),
                denied,
            ),
            (packet("10.1.2.3", "192.0.2.9", tcp(1, 22, SYN)), not_ours),
            (
                packet("2001:db8:1::5", NODE_V6, tcp(40_000, 22, SYN)),
                allowed,
            ),
            (
                packet("2001:db8:2::5", NODE_V6, tcp(40_000, 22, SYN)),
                denied,
            ),
        ];
        for hook in INGRESS {
            for (packet, (verdict, counter, rule)) in &cases {
                for vlan in [None, Some(7)] {
                    let packet = Packet { vlan, ..*packet };
                    let rules_before = engine.rule_counters(3).unwrap();
                    let outcome = engine.judge(hook, &packet).unwrap();
                    let about = format!("{hook:?} {packet:?}");
                    assert_eq!(outcome.verdict, *verdict, "{about}");
                    assert_eq!(outcome.moved.len(), 1, "{about}: {:?}", outcome.moved);
                    let (direction, moved, tally) = outcome.moved[0];
                    assert_eq!(
                        (direction, moved),
                        (Direction::Ingress, *counter),
                        "{about}"
                    );
                    let length = packet.frame().unwrap().len() as u64;
                    assert_eq!((tally.packets, tally.bytes), (1, length), "{about}");
                    assert_eq!(outcome.rule(), *rule, "{about}");
                    let rules_after = engine.rule_counters(3).unwrap();
                    for (id, (before, after)) in rules_before.iter().zip(&rules_after).enumerate() {
                        let decided = *rule == Some(id as u16);
                        assert_eq!(
                            after.packets - before.packets,
                            u64::from(decided),
                            "{about}"
                        );
                    }
                    if rule.is_some() {
                        let event = outcome.event.expect("an event");
                        assert_eq!(event.vlan, vlan.unwrap_or(0), "{about}");
                        assert_eq!(IpAddr::from(event.source), packet.source, "{about}");
                        assert_eq!(event.direction, Direction::Ingress as u8, "{about}");
                    }
                }
            }
        }
    });
}

#[test]
fn without_a_plan_everything_passes() {
    in_sandbox(|| {
        let mut engine = engine();
        let frame = packet("11.1.2.3", NODE_V4, tcp(1, 22, SYN));
        for hook in [Hook::Xdp, Hook::TcIngress, Hook::TcEgress] {
            let outcome = engine.judge(hook, &frame).unwrap();
            assert_eq!(outcome.verdict, Verdict::Pass);
            assert_eq!(outcome.moved[0].1, Counter::NoPlan);
            assert_eq!((outcome.rule(), outcome.event), (None, None));
        }
    });
}

#[test]
fn audit_reports_what_it_would_drop_and_passes_it() {
    in_sandbox(|| {
        let mut engine = engine();
        let mut plan = plan(&["10.0.0.0/8"], &[22]);
        plan.mode = Mode::Audit;
        engine.install(&plan).unwrap();
        let frame = packet("11.1.2.3", NODE_V4, tcp(1, 22, SYN));
        for hook in INGRESS {
            let outcome = engine.judge(hook, &frame).unwrap();
            assert_eq!(outcome.verdict, Verdict::Pass);
            let counter = Counter::Audited(DropReason::DefaultDeny);
            assert_eq!(outcome.moved[0].1, counter);
            assert_eq!(outcome.event.unwrap().action, Action::Audit as u8);
            assert_eq!(outcome.rule(), Some(DEFAULT_DENY));
        }
    });
}

#[test]
fn a_reply_passes_only_while_its_connection_is_remembered() {
    in_sandbox(|| {
        let mut engine = enforcing();
        let request = packet(NODE_V4, "198.51.100.7", tcp(40_000, 443, SYN));
        let reply = packet("198.51.100.7", NODE_V4, tcp(443, 40_000, SYN | ACK));
        for hook in INGRESS {
            let sent = engine.judge(Hook::TcEgress, &request).unwrap();
            assert_eq!(sent.verdict, Verdict::Pass);
            assert_eq!(sent.rule(), Some(RULE_NO_POLICY));
            let flows = engine.flows().iter().collect::<Vec<_>>();
            assert_eq!(flows.len(), 1);
            assert_eq!(IpAddr::from(flows[0].0.remote), address("198.51.100.7"));
            assert_eq!(flows[0].1.origin(), Origin::Local);

            let answered = engine.run(hook, &reply.frame().unwrap()).unwrap();
            assert_eq!(answered.moved[0].1, Counter::Reply, "{hook:?}");
            assert_eq!(answered.verdict, Verdict::Pass);

            let later = engine.judge(hook, &reply).unwrap();
            assert_eq!(later.verdict, Verdict::Drop, "{hook:?}: forgotten");
            assert_eq!(engine.flows().iter().count(), 0);
        }
    });
}

#[test]
fn what_the_node_forwards_is_told_from_what_it_sends() {
    in_sandbox(|| {
        let mut engine = enforcing();
        let frame = packet(NODE_V4, "198.51.100.7", tcp(40_000, 443, SYN));
        let sent = engine.judge(Hook::TcEgress, &frame).unwrap();
        assert_eq!(sent.moved[0].1, Counter::Allowed);
        let forwarded = engine.judge(Hook::TcEgressForwarded, &frame).unwrap();
        assert_eq!(forwarded.moved[0].1, Counter::Forwarded);
        assert_eq!(forwarded.verdict, Verdict::Pass);
    });
}

#[test]
fn a_new_plan_judges_the_next_packet() {
    in_sandbox(|| {
        let mut engine = enforcing();
        let frame = packet("10.1.2.3", NODE_V4, tcp(40_000, 22, SYN));
        for round in 0..6 {
            let ports: &[u16] = if round % 2 == 0 { &[80] } else { &[22] };
            engine.install(&plan(&["10.0.0.0/8"], ports)).unwrap();
            for hook in INGRESS {
                let outcome = engine.judge(hook, &frame).unwrap();
                let allowed = outcome.verdict == Verdict::Pass;
                assert_eq!(allowed, round % 2 == 1, "{hook:?} round {round}");
                assert_eq!(outcome.event.unwrap().plan, round + 2);
            }
        }
    });
}

#[test]
fn kernels_without_multi_buffer_xdp_get_a_program_that_loads() {
    in_sandbox(|| {
        let object = without_frags(objects::xdp().unwrap());
        let maps = "/sys/fs/bpf/maps";
        let none: Option<&str> = None;
        nix::mount::mount(
            none,
            "/sys/fs/bpf",
            Some("bpf"),
            nix::mount::MsFlags::empty(),
            none,
        )
        .unwrap();
        std::fs::create_dir(maps).unwrap();
        let mut loaded = aya::EbpfLoader::new()
            .default_map_pin_directory(maps)
            .load(&object)
            .unwrap();
        let program: &mut Xdp = loaded.program_mut("fw_xdp").unwrap().try_into().unwrap();
        program.load().unwrap();
    });
}

/// What one flow of `policy test` costs: thousands must be judged in seconds.
#[test]
fn a_thousand_flows_are_judged_in_seconds() {
    in_sandbox(|| {
        let mut engine = enforcing();
        let begun = std::time::Instant::now();
        for port in 0..1_000 {
            let frame = packet("10.1.2.3", NODE_V4, tcp(40_000, port, SYN));
            let outcome = engine.judge(Hook::Xdp, &frame).unwrap();
            assert_eq!(outcome.verdict == Verdict::Pass, port == 22, "{port}");
        }
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    });
}
