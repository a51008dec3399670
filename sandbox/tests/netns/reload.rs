//! Reloads under load: every packet is judged by the old or by the new policy, and
//! connections that both allow live on.
//!
//! The two policies differ in who may reach ports 7001 and 7002, and one has many
//! more classes of peers and services than the other, so that tables of the one read
//! with numbers of the other would give other verdicts.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sandbox::probe::{Connection, Outcome};
use sandbox::{Family, Host, Servers, probe, tcp, udp};

use crate::fixture::Fixture;

/// Both policies, end to end, with any number of reloads, must be done by then: three times what
/// it takes alone on two cores, in a build that is not optimised.
const LIMIT: Duration = Duration::from_mins(15);
const PACKETS: u64 = 100_000;
/// Senders rest after so many rounds: on two cores they would otherwise leave
/// nothing for the reloads that they are to meet.
const BURST: u64 = 10;
const REST: Duration = Duration::from_millis(5);

#[test]
fn a_thousand_reloads_under_load_on_xdp() {
    reload_under_load("native", 1_000, PACKETS);
}

#[test]
fn reloads_under_load_on_tc() {
    reload_under_load("off", 100, PACKETS / 10);
}

/// Everybody may use 80 and 53, `first` 7001 and `second` 7002, and the node may call
/// the stranger; with `padding` more prefixes and ports of no importance.
fn spec(first: &Host, second: &Host, padding: u16) -> String {
    let mut text = "
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: \"80\", protocol: TCP}
      - {port: \"53\", protocol: UDP}
"
    .to_owned();
    for (host, port) in [(first, 7001), (second, 7002)] {
        // Both machines are outside of the cluster, so prefixes match them.
        writeln!(
            text,
            "  - fromCIDR: [\"{}/32\", \"{}/128\"]\n    toPorts:\n    - ports:\n      \
             - {{port: \"{port}\", protocol: ANY}}",
            host.v4.0, host.v6.0,
        )
        .unwrap();
    }
    for number in 0..padding {
        writeln!(
            text,
            "  - fromCIDR: [\"198.18.{number}.0/24\"]\n    toPorts:\n    - ports:\n      \
             - {{port: \"{}\", protocol: ANY}}",
            6_000 + number,
        )
        .unwrap();
    }
    text + "  egress:\n  - toEntities: [world]\n    toPorts:\n    - ports:\n      \
            - {port: \"80\", protocol: TCP}\n"
}

fn reload_under_load(xdp: &'static str, reloads: u32, packets: u64) {
    let Some(mut fixture) = Fixture::prepare(xdp, "enforce", &[]) else {
        return;
    };
    let (jump, stranger) = (fixture.lab.jump.clone(), fixture.lab.stranger.clone());
    let policies = [spec(&jump, &stranger, 0), spec(&stranger, &jump, 40)];
    fixture.write_policy("changing", &policies[0]);
    fixture.restart_daemon();
    let (lab, node) = (&fixture.lab, &fixture.lab.node);
    let never = Servers::start(node, &[udp(6_000), udp(6_039)]).unwrap();

    let stop = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        let (stop, answered) = (&stop, &answered);
        // Connections that both policies allow, in both directions.
        let mut lasting = Vec::new();
        for family in Family::BOTH {
            let inward = Connection::open(&stranger.namespace, None, node.socket(family, 80));
            let outward = Connection::open(&node.namespace, None, stranger.socket(family, 80));
            for mut connection in [inward.unwrap(), outward.unwrap()] {
                lasting.push(scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        connection
                            .talk("still there")
                            .expect("both policies allow it");
                        answered.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_millis(2));
                    }
                }));
            }
            // New flows that both allow: one packet at a time, so that none is lost
            // for want of space.
            lasting.push(scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let sent = answer_rounds(&lab.jump, node, family, stop);
                    answered.fetch_add(sent, Ordering::Relaxed);
                }
            }));
        }
        // Packets that both policies deny: node2 is no peer of either port, and no
        // one may use the ports of the padding.
        lasting.push(scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for family in Family::BOTH {
                    for port in [7001, 7002, 8472, 6_000, 6_039] {
                        send_blindly(&lab.node2, node, family, port);
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
        }));

        let end = Instant::now() + LIMIT;
        let mut done = 0;
        while done < reloads || answered.load(Ordering::Relaxed) < packets {
            let failed = lasting
                .iter()
                .any(std::thread::ScopedJoinHandle::is_finished);
            if failed || Instant::now() > end {
                break;
            }
            done += 1;
            fixture.write_policy("changing", &policies[done as usize % 2]);
            fixture.reload();
        }
        stop.store(true, Ordering::Relaxed);
        for thread in lasting {
            thread.join().expect("no connection was cut");
        }
        assert!(done >= reloads, "only {done} reloads in {LIMIT:?}");
    });
    let answered = answered.into_inner();
    assert!(
        answered >= packets,
        "only {answered} packets answered in {LIMIT:?}"
    );
    assert_eq!(fixture.node.seen(udp(7001)), 0, "denied by both policies");
    assert_eq!(fixture.node.seen(udp(7002)), 0, "denied by both policies");
    assert_eq!(fixture.node.seen(udp(8472)), 0, "denied by both policies");
    assert_eq!(never.seen(udp(6_000)) + never.seen(udp(6_039)), 0);

    // And the last policy is the one in force.
    fixture.write_policy("changing", &policies[1]);
    fixture.reload();
    let lab = &fixture.lab;
    let reach =
        |host: &Host, port| probe::tcp(&host.namespace, None, lab.node.socket(Family::V4, port));
    assert_eq!(reach(&stranger, 7001), Outcome::Answered);
    assert_eq!(reach(&stranger, 7002), Outcome::Silence);
    assert_eq!(reach(&jump, 7002), Outcome::Answered);
    assert_eq!(fixture.node.seen(tcp(7002)), 1);
}

/// Sends datagrams and waits for each to come back; returns how many did.
fn answer_rounds(from: &Host, to: &Host, family: Family, stop: &AtomicBool) -> u64 {
    let peer = to.socket(family, 53);
    let any = std::net::SocketAddr::new(from.address(family), 0);
    let socket = from
        .namespace
        .enter(|| std::net::UdpSocket::bind(any))
        .unwrap();
    socket.connect(peer).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let mut buffer = [0; 64];
    let mut rounds: u64 = 0;
    while rounds < 500 && !stop.load(Ordering::Relaxed) {
        socket.send(b"round").unwrap();
        socket.recv(&mut buffer).expect("both policies allow it");
        rounds += 1;
        if rounds.is_multiple_of(BURST) {
            thread::sleep(REST);
        }
    }
    rounds
}

fn send_blindly(from: &Host, to: &Host, family: Family, port: u16) {
    let any = std::net::SocketAddr::new(from.address(family), 0);
    let socket = from
        .namespace
        .enter(|| std::net::UdpSocket::bind(any))
        .unwrap();
    socket.send_to(b"no", to.socket(family, port)).unwrap();
}
