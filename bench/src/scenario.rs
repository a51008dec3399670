//! What is measured: rules, and the packets that meet them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use sandbox::frame::{self, ethernet};
use sandbox::{Family, Lab};

use crate::generator::template::{Kind, Shape};
use crate::generator::traffic::{Flows, Ports, Sources, Stream, Traffic};
use crate::lists::{self, Random};
use crate::peer::Peer;
use crate::peer::rules::{Blocklist, OPEN_UDP, Rules};

/// Ports of the dynamic range, of which no policy here opens one.
const CLOSED: Ports = Ports::Among {
    first: 10_300,
    count: 30_000,
};
/// Where clients send from.
const CLIENT: Ports = Ports::Among {
    first: 32_768,
    count: 28_232,
};
/// Flows that are known before they are measured.
const KNOWN: u32 = 10_000;
/// Port of the node's own requests, to which replies come.
pub const OWN: u16 = 40_053;
/// Servers that the node has asked.
const ASKED: usize = 4_096;

/// What happens to the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The firewall drops them; none reaches a socket.
    Dropped,
    /// All reach the socket of a UDP port.
    Delivered(u16),
    /// All reach the socket from which the node has asked for them.
    Answers,
}

/// What a row of the report measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    /// TCP SYN to random closed ports, each a new flow.
    Closed,
    /// TCP SYN to port 22, which is closed for the world.
    SynFlood,
    /// UDP to random closed ports.
    UdpFlood,
    /// Fragments without their first one.
    Fragments,
    /// TCP ACK of connections that nobody knows.
    AckFlood,
    /// Tagged by 802.1Q.
    Tagged,
    /// Frames of 1,400 bytes.
    Large,
    /// What arrives unasked at any address of the Internet, of all kinds.
    Noise,
    /// UDP to an open port, each a new flow.
    New,
    /// UDP to an open port, of flows that are known.
    Known,
    /// UDP from servers that the node has asked.
    Replies,
    /// UDP to closed ports from addresses of the list.
    Listed,
    /// UDP to an open port from addresses that are in no prefix of the list.
    Unlisted,
}

/// Rules and packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What is enforced.
    pub rules: Rules,
    /// What arrives.
    pub packets: Packets,
    /// In which family.
    pub family: Family,
    /// Whether `make bench-quick` takes it.
    pub quick: bool,
}

const HOST: Rules = Rules::Host {
    open_udp: false,
    egress: false,
};
const OPEN: Rules = Rules::Host {
    open_udp: true,
    egress: false,
};
const STATEFUL: Rules = Rules::Host {
    open_udp: true,
    egress: true,
};

/// All scenarios, those with the same rules together.
#[must_use]
pub fn all() -> Vec<Scenario> {
    use Family::{V4, V6};
    use Packets::{
        AckFlood, Closed, Fragments, Known, Large, Listed, New, Noise, Replies, SynFlood, Tagged,
        UdpFlood, Unlisted,
    };
    let row = |rules, packets, family, quick| Scenario {
        rules,
        packets,
        family,
        quick,
    };
    let mut all = Vec::new();
    for (packets, quick) in [
        (Closed, true),
        (SynFlood, false),
        (UdpFlood, true),
        (Fragments, false),
        (AckFlood, false),
    ] {
        for family in Family::BOTH {
            all.push(row(
                HOST,
                packets,
                family,
                quick && (family == V4 || packets == Closed),
            ));
        }
    }
    all.extend([Tagged, Large].map(|packets| row(HOST, packets, V4, false)));
    all.push(row(HOST, Noise, V4, true));
    for family in Family::BOTH {
        all.push(row(OPEN, New, family, family == V4));
        all.push(row(OPEN, Known, family, family == V4));
    }
    for family in Family::BOTH {
        for packets in [New, Known, Replies] {
            all.push(row(STATEFUL, packets, family, family == V4));
        }
    }
    for count in [10, 100, 1_000, 10_000] {
        all.push(row(
            Rules::Many(count),
            Closed,
            V4,
            count == 10 || count == 10_000,
        ));
    }
    for (family, counts) in [
        (V4, &[1, 1_000, 10_000, 100_000, 1_000_000][..]),
        (V6, &[1_000, 10_000, 100_000, 500_000][..]),
    ] {
        for &count in counts {
            let rules = Rules::Blocklist(Blocklist { family, count });
            let quick = family == V4 && count == 10_000;
            all.push(row(rules, Listed, family, quick));
            all.push(row(rules, Unlisted, family, false));
        }
    }
    all
}

impl Scenario {
    /// Name in raw data, budget and report.
    #[must_use]
    pub fn name(&self) -> String {
        let packets = match self.packets {
            Packets::Closed => "closed port, TCP",
            Packets::SynFlood => "SYN flood, TCP 22",
            Packets::UdpFlood => "UDP flood, closed ports",
            Packets::Fragments => "fragments",
            Packets::AckFlood => "ACK flood",
            Packets::Tagged => "closed port, VLAN",
            Packets::Large => "UDP flood, 1400 bytes",
            Packets::Noise => "internet noise",
            Packets::New => "accepted, new flows",
            Packets::Known => "accepted, known flows",
            Packets::Replies => "replies to own requests",
            Packets::Listed => "listed sources",
            Packets::Unlisted => "unlisted sources",
        };
        match self.packets {
            // Of both families.
            Packets::Noise => format!("{packets} | {}", self.rules),
            _ => format!("{packets} | {} | {}", self.rules, self.family),
        }
    }

    /// What is to happen.
    #[must_use]
    pub fn expected(&self) -> Expected {
        match self.packets {
            Packets::New | Packets::Known | Packets::Unlisted => Expected::Delivered(OPEN_UDP),
            Packets::Replies => Expected::Answers,
            _ => Expected::Dropped,
        }
    }

    /// Whether the peer has something to say here.
    #[must_use]
    pub fn concerns(&self, peer: Peer) -> bool {
        match (self.expected(), peer) {
            // Baselines of what is dropped, and of what is accepted.
            (_, Peer::XdpDrop) => true,
            (Expected::Dropped, Peer::XdpPass | Peer::Nothing) => false,
            // The stack drops tags of networks that the node is not in by itself.
            _ if self.packets == Packets::Tagged => {
                matches!(peer, Peer::FwCtlXdp | Peer::FwCtlTc)
            }
            _ => peer.enforces(self.rules),
        }
    }

    /// Most packets that may be sent in a round: a table of connections that is
    /// full would be another scenario.
    #[must_use]
    pub fn most_packets(&self) -> u32 {
        match self.packets {
            Packets::New | Packets::Unlisted => 200_000,
            _ => u32::MAX,
        }
    }

    /// The packets, towards the node of the lab.
    #[must_use]
    pub fn traffic(&self, lab: &Lab, lists: &mut Lists) -> Traffic {
        if self.packets == Packets::Noise {
            return Traffic::Replay(noise(lab));
        }
        let kind = match self.packets {
            Packets::Closed | Packets::SynFlood | Packets::Tagged => Kind::Syn,
            Packets::AckFlood => Kind::Ack,
            Packets::Fragments => Kind::Fragment,
            _ => Kind::Udp,
        };
        let mut shape = Shape::short(kind);
        match self.packets {
            Packets::Tagged => shape.vlan = Some(7),
            Packets::Large => shape.length = 1_400,
            _ => {}
        }
        let sources = match (self.packets, self.rules) {
            (Packets::Listed, Rules::Blocklist(blocklist)) => {
                Sources::Listed(lists.get(blocklist).inside.clone())
            }
            (Packets::Unlisted, Rules::Blocklist(blocklist)) => {
                let list = lists.get(blocklist);
                Sources::Listed(lists::outside(&list.prefixes, blocklist.family, 65_536))
            }
            (Packets::Replies, _) => Sources::Listed(asked(self.family)),
            _ => Sources::Random,
        };
        let (source_port, destination_port) = match self.packets {
            Packets::SynFlood => (CLIENT, Ports::One(22)),
            Packets::New | Packets::Known | Packets::Unlisted => (CLIENT, Ports::One(OPEN_UDP)),
            Packets::Replies => (Ports::One(53), Ports::One(OWN)),
            _ => (CLIENT, CLOSED),
        };
        Traffic::Stream(Stream {
            shape,
            to: (lab.node.address(self.family), lab.node.mac),
            sources,
            flows: match self.packets {
                Packets::Known => Flows::Of(KNOWN),
                _ => Flows::New,
            },
            source_port,
            destination_port,
        })
    }
}

/// Servers that the node asks before [`Packets::Replies`] come.
#[must_use]
pub fn asked(family: Family) -> Vec<IpAddr> {
    lists::outside(&[], family, ASKED)
}

/// A list, and an address in each of its prefixes.
#[derive(Debug)]
pub struct List {
    /// Sorted and disjoint.
    pub prefixes: Vec<IpNet>,
    /// One in each.
    pub inside: Vec<IpAddr>,
}

/// Every list is made once.
#[derive(Debug, Default)]
pub struct Lists(BTreeMap<Blocklist, Arc<List>>);

impl Lists {
    /// The list of this size.
    pub fn get(&mut self, blocklist: Blocklist) -> Arc<List> {
        let make = || {
            let prefixes = lists::prefixes(blocklist.family, blocklist.count);
            Arc::new(List {
                inside: lists::inside(&prefixes),
                prefixes,
            })
        };
        self.0.entry(blocklist).or_insert_with(make).clone()
    }
}

/// A thousand frames as they arrive unasked: scans of the usual ports, answers to
/// forged requests, amplifiers' probes, both families, some fragments and tags.
fn noise(lab: &Lab) -> Vec<Vec<u8>> {
    /// Ports that scanners try, by what is seen in the open.
    const SCANNED: [u16; 12] = [
        23, 22, 445, 3389, 8080, 81, 2323, 5555, 1433, 6379, 8443, 5900,
    ];
    const PROBED: [u16; 6] = [53, 123, 161, 1900, 5060, 11211];
    let mut random = Random::new(7);
    let v4 = lists::outside(&[], Family::V4, 1_000);
    let v6 = lists::outside(&[], Family::V6, 1_000);
    (0..1_000)
        .map(|i| {
            let is_v6 = random.below(10) == 0;
            let family = if is_v6 { Family::V6 } else { Family::V4 };
            let source = if is_v6 { v6[i] } else { v4[i] };
            let from = SocketAddr::new(source, 1_024 + random.below(60_000) as u16);
            let to = |port| SocketAddr::new(lab.node.address(family), port);
            let scanned = SCANNED[random.below(12) as usize];
            let kind = match random.below(100) {
                0..70 => Kind::Syn,
                70..78 => Kind::Ack,
                78..97 => {
                    let probed = to(PROBED[random.below(6) as usize]);
                    let (kind, packet) = frame::udp(from, probed, &[0; 8]);
                    return ethernet(lab.node.mac, [2, 0xf3, 0, 0, 1, 0], &[], kind, &packet);
                }
                _ => Kind::Fragment,
            };
            let shape = Shape {
                vlan: (random.below(20) == 0).then_some(7),
                ..Shape::short(kind)
            };
            crate::generator::template::Template::new(shape, from, to(scanned), lab.node.mac).frame
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_scenarios_apart() {
        let mut names: Vec<_> = all().iter().map(Scenario::name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn scenarios_with_the_same_rules_stand_together() {
        let mut seen = Vec::new();
        for scenario in all() {
            if seen.last() != Some(&scenario.rules) {
                assert!(!seen.contains(&scenario.rules), "{}", scenario.rules);
                seen.push(scenario.rules);
            }
        }
    }

    #[test]
    fn the_quick_run_has_something_of_each_kind() {
        let quick: Vec<_> = all()
            .into_iter()
            .filter(|scenario| scenario.quick)
            .collect();
        for expected in [
            Expected::Dropped,
            Expected::Delivered(OPEN_UDP),
            Expected::Answers,
        ] {
            assert!(quick.iter().any(|scenario| scenario.expected() == expected));
        }
    }
}
