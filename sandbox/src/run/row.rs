//! The connections that are made, one a row of the table.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use sandbox::{Family, Host, Lab, Protocol, Service, ping};

use super::phase::Phase;

/// A port of the node that nothing allows, and that an answer could go to; the next
/// one is for the second phase.
const UNSOLICITED: u16 = 40_053;

/// First source port of the rows; each phase has a thousand of its own.
const FIRST_PORT: u16 = 41_000;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A connection or a datagram, to this port.
    Port(Protocol, u16),
    /// An ICMP or ICMPv6 echo request.
    Ping,
}

/// What the row is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Policy decides.
    New,
    /// The answer to a connection of the node: passes although policy would deny
    /// it if it came by itself.
    Answer,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Number from 0, also in the question to the reference engine.
    pub id: u16,
    /// Who begins.
    pub from: Host,
    /// Whom it wants.
    pub to: Host,
    /// Over which IP.
    pub family: Family,
    /// What is sent.
    pub what: What,
    /// What it shows.
    pub kind: Kind,
    /// Source port that matters, in place of one of the row's own.
    pub fixed_source: Option<u16>,
}

impl Row {
    /// Whether it takes a port that a server of its host listens on, and so must
    /// not run while others talk to that server.
    #[must_use]
    pub fn needs_the_port(&self) -> bool {
        self.fixed_source.is_some()
    }

    /// Source port (or identifier of the ping) in a phase: no two rows or phases share one.
    #[must_use]
    pub fn source_port(&self, phase: u16) -> u16 {
        self.fixed_source
            .unwrap_or(FIRST_PORT + phase * 1_000 + self.id)
    }

    /// Sender; port 0 for a ping.
    #[must_use]
    pub fn source(&self, phase: u16) -> SocketAddr {
        let port = match self.what {
            What::Port(..) => self.source_port(phase),
            What::Ping => 0,
        };
        self.from.socket(self.family, port)
    }

    /// Receiver in a phase; port 0 for a ping.
    #[must_use]
    pub fn destination(&self, phase: u16) -> SocketAddr {
        let port = match self.what {
            // What a phase has let pass must not make the same packet of the next
            // one the answer to something.
            What::Port(_, port) if self.fixed_source.is_some() => port + phase,
            What::Port(_, port) => port,
            What::Ping => 0,
        };
        self.to.socket(self.family, port)
    }

    /// `stranger -> node`.
    #[must_use]
    pub fn who(&self) -> String {
        format!("{} -> {}", self.from.name, self.to.name)
    }

    /// `22/tcp v4`.
    #[must_use]
    pub fn service(&self) -> String {
        let service = match self.what {
            What::Port(protocol, port) => Service { protocol, port }.to_string(),
            What::Ping => "ping".to_owned(),
        };
        let source = match self.fixed_source {
            Some(port) => format!("{port}->"),
            None => String::new(),
        };
        format!("{source}{service} {}", self.family)
    }

    /// The flow of the row as `fw-ctl policy test` reads it. For [`Kind::Answer`] it
    /// is the answer's: what policy would say if that came by itself.
    #[must_use]
    pub fn flow(&self) -> serde_json::Value {
        let (mut source, mut destination) = (self.source(0), self.destination(0));
        if self.kind == Kind::Answer {
            std::mem::swap(&mut source, &mut destination);
        }
        let mut flow = serde_json::json!({
            "id": self.id.to_string(),
            "src": source.ip(),
            "dst": destination.ip(),
        });
        match self.what {
            What::Port(protocol, _) => {
                flow["proto"] = serde_json::json!(protocol);
                flow["sport"] = source.port().into();
                flow["dport"] = destination.port().into();
            }
            What::Ping => {
                flow["proto"] = match self.family {
                    Family::V4 => "ICMP".into(),
                    Family::V6 => "ICMPv6".into(),
                };
                flow["icmp_type"] = ping::request_type(self.family).into();
            }
        }
        flow
    }
}

/// What must listen on a host, so that the rows of every phase get an answer unless
/// the firewall is in their way.
#[must_use]
pub fn wanted_of(host: &Host, rows: &[Row]) -> Vec<Service> {
    let mut services = BTreeSet::new();
    for row in rows.iter().filter(|row| row.to.name == host.name) {
        if let What::Port(protocol, _) = row.what {
            services.extend(Phase::ALL.map(|phase| Service {
                protocol,
                port: row.destination(phase.number()).port(),
            }));
        }
    }
    services.into_iter().collect()
}

/// All rows, each in both families.
#[must_use]
pub fn rows(lab: &Lab) -> Vec<Row> {
    use Protocol::{Tcp, Udp};
    let (node, jump, node2, stranger) = (&lab.node, &lab.jump, &lab.node2, &lab.stranger);
    let tcp = |port| What::Port(Tcp, port);
    let udp = |port| What::Port(Udp, port);

    let mut wanted: Vec<(&Host, &Host, What, Kind, Option<u16>)> = Vec::new();
    let mut add = |from, to, whats: &[What], kind, fixed| {
        wanted.extend(whats.iter().map(|what| (from, to, *what, kind, fixed)));
    };
    let from_jump = [
        tcp(22),
        tcp(6443),
        tcp(9345),
        tcp(80),
        tcp(2379),
        tcp(10250),
        What::Ping,
    ];
    let from_node2 = [
        tcp(22),
        tcp(443),
        tcp(2379),
        tcp(2380),
        tcp(4240),
        tcp(6443),
        tcp(9345),
        tcp(10250),
        tcp(30080),
        udp(8472),
        What::Ping,
    ];
    let from_stranger = [
        tcp(22),
        tcp(80),
        tcp(443),
        tcp(2379),
        tcp(6443),
        tcp(9345),
        tcp(10250),
        tcp(30080),
        udp(53),
        udp(8472),
        udp(51820),
        What::Ping,
    ];
    add(jump, node, &from_jump, Kind::New, None);
    add(node2, node, &from_node2, Kind::New, None);
    add(stranger, node, &from_stranger, Kind::New, None);
    // The node's own connections.
    add(
        node,
        node2,
        &[tcp(22), tcp(6443), udp(8472)],
        Kind::New,
        None,
    );
    let to_stranger = [tcp(25), tcp(443), udp(53), udp(123), What::Ping];
    add(node, stranger, &to_stranger, Kind::New, None);
    add(node, jump, &[tcp(22)], Kind::New, None);
    // Their answers, and packets that only look like answers.
    add(node, stranger, &[tcp(443), udp(53)], Kind::Answer, None);
    add(stranger, node, &[udp(UNSOLICITED)], Kind::New, Some(53));
    add(stranger, node, &[tcp(UNSOLICITED)], Kind::New, Some(4430));

    let each = wanted
        .iter()
        .flat_map(|row| Family::BOTH.map(|family| (row, family)));
    (0..)
        .zip(each)
        .map(|(id, ((from, to, what, kind, fixed_source), family))| Row {
            id,
            from: (*from).clone(),
            to: (*to).clone(),
            family,
            what: *what,
            kind: *kind,
            fixed_source: *fixed_source,
        })
        .collect()
}
