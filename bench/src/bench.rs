//! One run: rounds over rules, peers and packets.
//!
//! Rounds are interleaved: each walks over everything, so that what else happens on
//! the machine meets all rows alike. Every peer gets a lab of its own, and leaves
//! nothing behind.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use hdrhistogram::Histogram;
use sandbox::{Family, Lab, Nic};
use socket2::{Domain, SockFilter, Socket, Type};

use crate::counters;
use crate::generator::{Bounds, Generator, sample};
use crate::latency::ping_pong;
use crate::peer::rules::Rules;
use crate::peer::{Means, Peer};
use crate::reference::{Reading, Reference};
use crate::sample::{Install, Latency, Line, Packets};
use crate::scenario::{self, Expected, Lists, OWN, Scenario};
use crate::{Error, Result};

/// What to run, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// The peers.
    pub peers: Vec<Peer>,
    /// How often.
    pub rounds: u32,
    /// Of a sample.
    pub duration: Duration,
    /// Whether the ping-pong is measured.
    pub latency: bool,
    /// Interfaces of the node and of its client, in place of the lab's own network.
    /// Only the ping-pong can be measured over them.
    pub over: Option<(Nic, Nic)>,
    /// Programs and files of the peers.
    pub means: Means,
}

/// TCP port of the ping-pong: open to the world in the host rules.
const PING_PONG: u16 = 443;
/// How often a void sample is made again.
const TRIALS: u32 = 3;
/// In a shorter sample the machine does not change: one reading beside it is enough.
const SHORT: Duration = Duration::from_millis(100);
/// Part of the packets that may be lost on the way to the firewall.
pub const MOST_LOST: f64 = 0.001;
/// Samples that one of it takes: of what is rare, there must be enough.
const PING_PONG_SAMPLES: u32 = 5;
/// Its name in raw data and report.
const PING_PONG_NAME: &str = "ping-pong, TCP";
/// Its rules.
const PING_PONG_RULES: Rules = Rules::Host {
    open_udp: false,
    egress: false,
};

/// Runs the plan; each line is handed to `write` as soon as it is there.
///
/// # Errors
/// The lab cannot be built, or `write` fails. A peer that fails is skipped from
/// then on, and a line says so.
pub fn run(plan: &Plan, mut write: impl FnMut(&Line) -> Result<()>) -> Result<()> {
    let mut lists = Lists::default();
    let mut failed: BTreeSet<(Peer, Rules)> = BTreeSet::new();
    for peer in &plan.peers {
        if let Some(why) = peer.missing(&plan.means) {
            write(&skipped(*peer, "", &why))?;
        }
    }
    let mut peers: Vec<_> = plan
        .peers
        .iter()
        .copied()
        .filter(|peer| peer.missing(&plan.means).is_none())
        .collect();
    let bare = match plan.latency && plan.over.is_none() {
        true => Some(prepared()?),
        false => None,
    };
    for round in 0..plan.rounds {
        if round > 0 && !peers.is_empty() {
            // Whoever comes behind a peer that is heavy to install finds another machine
            // than whoever does not: each comes at each place in turn.
            peers.rotate_left(1);
        }
        for (rules, group) in groups(plan) {
            for &peer in &peers {
                let mut concerned: Vec<_> = group.to_vec();
                concerned.retain(|scenario| scenario.concerns(peer));
                let measures_latency = plan.latency
                    && rules == PING_PONG_RULES
                    && peer != Peer::XdpDrop
                    && peer.enforces(rules);
                if (concerned.is_empty() && !measures_latency) || failed.contains(&(peer, rules)) {
                    continue;
                }
                let mut cell = Cell {
                    plan,
                    round,
                    rules,
                    peer,
                    lists: &mut lists,
                    bare: bare.as_ref(),
                };
                let result = cell.measure(&concerned, measures_latency, &mut write);
                if let Err(error) = result {
                    failed.insert((peer, rules));
                    write(&skipped(peer, &rules.to_string(), &error.to_string()))?;
                }
            }
        }
    }
    Ok(())
}

/// Scenarios by their rules; those of the ping-pong are among them if it is measured.
fn groups(plan: &Plan) -> Vec<(Rules, &[Scenario])> {
    let mut groups: Vec<_> = plan
        .scenarios
        .chunk_by(|one, other| one.rules == other.rules)
        .map(|group| (group[0].rules, group))
        .collect();
    if plan.latency && groups.iter().all(|(rules, _)| *rules != PING_PONG_RULES) {
        groups.push((PING_PONG_RULES, &[]));
    }
    groups
}

fn skipped(peer: Peer, scenario: &str, why: &str) -> Line {
    Line::Skipped {
        peer: peer.to_string(),
        scenario: scenario.to_owned(),
        why: why.to_owned(),
    }
}

/// One peer with one set of rules, in one round.
struct Cell<'a> {
    plan: &'a Plan,
    round: u32,
    rules: Rules,
    peer: Peer,
    lists: &'a mut Lists,
    /// A lab in which nothing is attached.
    bare: Option<&'a Lab>,
}

impl Cell<'_> {
    fn measure(
        &mut self,
        scenarios: &[Scenario],
        latency: bool,
        write: &mut impl FnMut(&Line) -> Result<()>,
    ) -> Result<()> {
        let lab = match &self.plan.over {
            Some((node, client)) => Lab::over(node, client)?,
            None => prepared()?,
        };
        let list = match self.rules {
            Rules::Blocklist(blocklist) => Some(self.lists.get(blocklist)),
            _ => None,
        };
        let prefixes = list.as_ref().map_or(&[][..], |list| &list.prefixes);
        let installed = self
            .peer
            .install(&lab, &self.plan.means, self.rules, prefixes)?;
        if !matches!(self.peer, Peer::Nothing | Peer::XdpDrop | Peer::XdpPass) {
            write(&Line::Install(Install {
                round: self.round,
                rules: self.rules.to_string(),
                peer: self.peer.to_string(),
                ms: installed.took.as_secs_f64() * 1e3,
            }))?;
        }
        if !scenarios.is_empty() {
            let reference = Reference::new(&lab)?;
            for scenario in scenarios {
                let line = Line::Packets(self.packets(&lab, &reference, scenario)?);
                write(&line)?;
            }
        }
        if latency {
            match self.latency(&lab) {
                Ok(latency) => write(&Line::Latency(latency))?,
                Err(error) => write(&skipped(self.peer, PING_PONG_NAME, &error.to_string()))?,
            }
        }
        Ok(())
    }

    fn latency(&self, lab: &Lab) -> Result<Latency> {
        let (labs, duration) = match self.bare {
            Some(bare) => (vec![lab, bare], self.plan.duration * PING_PONG_SAMPLES),
            None => (vec![lab], self.plan.duration),
        };
        let histograms = ping_pong(&labs, PING_PONG, duration)?;
        let us = |histogram: &Histogram<u64>| {
            [0.5, 0.99, 0.999].map(|quantile| histogram.value_at_quantile(quantile) as f64 / 1e3)
        };
        let [p50_us, p99_us, p999_us] = us(&histograms[0]);
        Ok(Latency {
            round: self.round,
            scenario: PING_PONG_NAME.into(),
            peer: self.peer.to_string(),
            count: histograms[0].len(),
            p50_us,
            p99_us,
            p999_us,
            beside_us: histograms.get(1).map(us),
        })
    }

    fn packets(
        &mut self,
        lab: &Lab,
        reference: &Reference,
        scenario: &Scenario,
    ) -> Result<Packets> {
        let traffic = scenario.traffic(lab, self.lists);
        let bounds = Bounds {
            duration: self.plan.duration,
            packets: scenario.most_packets(),
        };
        let port = match scenario.expected() {
            Expected::Dropped => None,
            Expected::Delivered(port) => Some(port),
            Expected::Answers => Some(OWN),
        };
        let socket = match port {
            Some(port) => Some(Receiver::open(lab, scenario.family, port)?),
            None => None,
        };
        if let (Some(receiver), Expected::Answers) = (&socket, scenario.expected()) {
            receiver.ask(&scenario::asked(scenario.family));
        }
        let mut generator = Generator::to_node(lab, &traffic)?;
        let mut yardstick = reference.with(&traffic)?;
        // Where the kernel moves the polling to a thread of its own, the ring of the
        // veth overflows: what is lost is not judged, and the sample void.
        let mut trials = 0..TRIALS;
        let (sent, beside, delivered, lost) = loop {
            let before = (delivered(lab, scenario.family), lost(lab));
            let reading = yardstick.read(lab)?;
            let sent = sample(lab, || generator.send(bounds))?;
            let beside = if self.plan.duration < SHORT {
                reading
            } else {
                Reading::between(reading, yardstick.read(lab)?)
            };
            let part = |count: u64| count as f64 / sent.all as f64;
            let arrived = part(delivered(lab, scenario.family) - before.0);
            let lost = part(lost(lab) - before.1);
            if lost < MOST_LOST || trials.next().is_none() {
                break (sent, beside, arrived, lost);
            }
        };
        Ok(Packets {
            round: self.round,
            scenario: scenario.name(),
            peer: self.peer.to_string(),
            packets: sent.packets,
            wall_ns: sent.median,
            wall_mean_ns: sent.mean,
            generator_ns: beside.generator_ns,
            drop_ns: Some(beside.drop_ns),
            delivered,
            lost,
        })
    }
}

/// A lab, with what it needs beside what it is made of: an interface that is polled (NAPI),
/// so that frames from XDP arrive without a program, and a gateway whose hardware
/// address is known, so that answers to a million strangers need no resolution.
fn prepared() -> Result<Lab> {
    let lab = Lab::new()?;
    let node = &lab.node.namespace;
    node.run("ethtool", &["-K", "eth0", "gro", "on"])?;
    let mac = sandbox::frame::mac_text(lab.stranger.mac);
    let (v4, v6) = ("10.0.0.254", "2001:db8:0:10::fe");
    node.ip([
        // The jump host stays on link.
        format!("route replace {} dev eth0", lab.jump.v4.0),
        format!("route replace default via {v4} dev eth0 onlink"),
        format!("route replace ::/0 via {v6} dev eth0 onlink"),
        format!("neigh replace {v4} lladdr {mac} dev eth0 nud permanent"),
        format!("neigh replace {v6} lladdr {mac} dev eth0 nud permanent"),
    ])?;
    Ok(lab)
}

/// A UDP socket of the node at which packets end: its filter takes none, so that
/// no queue fills and the cost is the stack's alone.
struct Receiver(UdpSocket);

impl Receiver {
    fn open(lab: &Lab, family: Family, port: u16) -> Result<Self> {
        let address = SocketAddr::new(lab.node.address(family), port);
        let socket = lab.node.namespace.enter(|| {
            let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
            socket.bind(&address.into())?;
            // `return 0` of classic BPF: not one byte is kept.
            let take_nothing = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
            socket.attach_filter(&[take_nothing])?;
            Ok::<_, std::io::Error>(socket)
        });
        socket
            .map(|socket| Self(socket.into()))
            .map_err(Error::file(format!("open UDP port {port} of the node")))
    }

    /// Sends a datagram to port 53 of each.
    fn ask(&self, servers: &[std::net::IpAddr]) {
        for server in servers {
            // Whether it got out shows in what is delivered.
            let _ = self.0.send_to(b"?", (*server, 53));
        }
    }
}

/// Datagrams that have reached sockets of the node: taken, or refused by the
/// socket's filter (`InErrors`).
fn delivered(lab: &Lab, family: Family) -> u64 {
    let text = |file: &str| {
        let path = format!("/proc/thread-self/net/{file}");
        lab.node
            .namespace
            .enter(|| std::fs::read_to_string(&path).unwrap_or_default())
    };
    match family {
        Family::V4 => counters::udp(&text("snmp"), &["InDatagrams", "InErrors"]),
        Family::V6 => text("snmp6")
            .lines()
            .filter_map(|line| line.split_once(char::is_whitespace))
            .filter(|(name, _)| ["Udp6InDatagrams", "Udp6InErrors"].contains(name))
            .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
            .sum(),
    }
}

/// Frames that found no room in the ring of the node's interface.
fn lost(lab: &Lab) -> u64 {
    let text = lab
        .node
        .namespace
        .enter(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default());
    counters::received(&text, "eth0").dropped
}
