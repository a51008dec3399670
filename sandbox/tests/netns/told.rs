//! What goes on and is no TCP is told when it begins, and to each daemon.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sandbox::Family;

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

const PATIENCE: Duration = Duration::from_secs(10);
/// Egress is filtered, too, and what is allowed there told.
const OUT: &str = "\n  nodeSelector: {}\n  egress:\n  - toEntities: [all]\n";

on_xdp_and_tc!(a_flow_is_told_once_and_to_each_daemon);

/// Asks the node's server five times from one port, which answers each time.
fn ask(fixture: &Fixture, family: Family, port: u16) {
    let (from, node) = (&fixture.lab.stranger, &fixture.lab.node);
    from.namespace.enter(|| {
        let any: SocketAddr = match family {
            Family::V4 => format!("0.0.0.0:{port}"),
            Family::V6 => format!("[::]:{port}"),
        }
        .parse()
        .unwrap();
        let socket = UdpSocket::bind(any).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(node.socket(family, 53)).unwrap();
        for number in 0..5_u8 {
            socket.send(&[number]).unwrap();
            let mut answer = [0; 8];
            assert_eq!(socket.recv(&mut answer).unwrap(), 1);
        }
    });
}

/// What is told of the flow between this port and the server, either way.
fn told(fixture: &Fixture, port: u16) -> usize {
    let port = port.to_string();
    let text = fixture
        .fw_ctl
        .must(&["observe", "--all", "-o", "json", "--port", &port])
        .unwrap();
    text.lines().count()
}

/// Asks from one port, then from another; once the second is told, the first has been.
fn asked_and_told(fixture: &Fixture, family: Family, port: u16) -> (usize, usize) {
    ask(fixture, family, port);
    ask(fixture, family, port + 1);
    let began = Instant::now();
    while told(fixture, port + 1) == 0 {
        assert!(began.elapsed() < PATIENCE, "nothing is told");
        std::thread::sleep(Duration::from_millis(50));
    }
    (told(fixture, port), told(fixture, port + 1))
}

fn a_flow_is_told_once_and_to_each_daemon(xdp: &'static str) {
    let policies = [("web", INGRESS_WEB), ("out", OUT)];
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &policies) else {
        return;
    };
    for (family, port) in Family::BOTH.into_iter().zip([47_000, 48_000]) {
        assert_eq!(
            asked_and_told(&fixture, family, port),
            (1, 1),
            "{xdp} {family:?}"
        );
        // Both go on; what would be told of them was.
        assert_eq!(asked_and_told(&fixture, family, port), (1, 1), "{xdp}");
        fixture.kill_daemon();
        fixture.restart_daemon();
        assert_eq!(
            asked_and_told(&fixture, family, port),
            (1, 1),
            "{xdp}: to the new daemon"
        );
    }
}
