//! The flows of the stream: from each peer to the node and back, both families, services
//! that every plan allows, that every plan denies, and that plans differ in.

use sandbox::frame::{self, TCP, UDP};
use sandbox::{Family, Host, Lab, ping};
use serde_json::json;

/// What a flow asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The beginning of a connection.
    Syn(u16),
    /// A datagram.
    Datagram(u16),
    /// An echo request.
    Ping,
}

/// Every plan allows these, in both directions.
pub const ALWAYS: [Kind; 2] = [Kind::Syn(81), Kind::Datagram(53)];
/// Every plan denies these.
pub const NEVER: [Kind; 2] = [Kind::Syn(9), Kind::Datagram(8_472)];
/// The members of a list may use this.
pub const LISTED: Kind = Kind::Syn(7_005);
/// These are for the plans to decide.
pub const SOMETIMES: [Kind; 5] = [
    Kind::Syn(7_001),
    Kind::Syn(7_002),
    Kind::Datagram(7_003),
    Kind::Datagram(7_004),
    Kind::Ping,
];

/// In front of what a packet of the stream carries.
const MARK: u16 = 0xfa17;
/// Bytes that it carries: mark, flow, number, and the number's complement, with which
/// the checksum is the same for all numbers.
const CARRIED: usize = 12;

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its number.
    pub id: u16,
    /// Who sends: an index into [`Lab::on_segment`], where 0 is the node.
    pub from: usize,
    /// Who is to get it.
    pub to: usize,
    /// Its family.
    pub family: Family,
    /// What it asks for.
    pub kind: Kind,
}

/// The frame of a flow, but for the number.
#[derive(Clone, Debug)]
pub struct Template {
    frame: Vec<u8>,
    number: usize,
}

/// All flows.
#[must_use]
pub fn all() -> Vec<Flow> {
    let mut flows = Vec::new();
    for kind in [&ALWAYS[..], &NEVER, &[LISTED], &SOMETIMES].concat() {
        for peer in 1..=3 {
            for family in Family::BOTH {
                for (from, to) in [(peer, 0), (0, peer)] {
                    flows.push(Flow {
                        id: flows.len() as u16,
                        from,
                        to,
                        family,
                        kind,
                    });
                }
            }
        }
    }
    flows
}

impl Flow {
    /// Whether the node receives it.
    #[must_use]
    pub fn is_ingress(&self) -> bool {
        self.to == 0
    }

    /// A port that no other flow sends from, so that none is the reply to another.
    fn source_port(&self) -> u16 {
        20_000 + self.id
    }

    /// For a person.
    #[must_use]
    pub fn name(&self, lab: &Lab) -> String {
        let hosts = lab.on_segment();
        let what = match self.kind {
            Kind::Syn(port) => format!("{port}/tcp"),
            Kind::Datagram(port) => format!("{port}/udp"),
            Kind::Ping => "ping".into(),
        };
        let (from, to) = (hosts[self.from].name, hosts[self.to].name);
        format!("{from} -> {to} {what} {}", self.family)
    }

    /// As `fw-ctl policy test` reads it.
    #[must_use]
    pub fn line(&self, lab: &Lab) -> String {
        let hosts = lab.on_segment();
        let address = |host: usize| hosts[host].address(self.family).to_string();
        let mut line = json!({
            "id": self.id.to_string(),
            "src": address(self.from),
            "dst": address(self.to),
            "direction": if self.is_ingress() { "ingress" } else { "egress" },
        });
        match self.kind {
            Kind::Syn(port) | Kind::Datagram(port) => {
                line["proto"] = match self.kind {
                    Kind::Syn(_) => "TCP".into(),
                    _ => "UDP".into(),
                };
                line["sport"] = self.source_port().into();
                line["dport"] = port.into();
            }
            Kind::Ping => {
                line["proto"] = match self.family {
                    Family::V4 => "ICMP".into(),
                    Family::V6 => "ICMPv6".into(),
                };
                line["icmp_type"] = ping::request_type(self.family).into();
            }
        }
        line.to_string()
    }

    /// Its frame.
    #[must_use]
    pub fn template(&self, lab: &Lab) -> Template {
        let hosts = lab.on_segment();
        let (from, to): (&Host, &Host) = (hosts[self.from], hosts[self.to]);
        let mut carried = Vec::new();
        carried.extend(MARK.to_be_bytes());
        carried.extend(self.id.to_be_bytes());
        carried.extend(0_u32.to_be_bytes());
        carried.extend(u32::MAX.to_be_bytes());
        let ports = |port| {
            (
                from.socket(self.family, self.source_port()),
                to.socket(self.family, port),
            )
        };
        let (kind, packet) = match self.kind {
            Kind::Syn(port) => {
                let (from, to) = ports(port);
                frame::tcp_syn_with(from, to, &carried)
            }
            Kind::Datagram(port) => {
                let (from, to) = ports(port);
                frame::udp(from, to, &carried)
            }
            Kind::Ping => {
                let (from, to) = (from.address(self.family), to.address(self.family));
                frame::echo_request(from, to, self.id, &carried)
            }
        };
        let frame = frame::ethernet(to.mac, from.mac, &[], kind, &packet);
        Template {
            number: frame.len() - 8,
            frame,
        }
    }
}

impl Template {
    /// The frame of the packet `number`.
    pub fn numbered(&mut self, number: u32) -> &[u8] {
        let at = self.number;
        self.frame[at..at + 4].copy_from_slice(&number.to_be_bytes());
        self.frame[at + 4..at + 8].copy_from_slice(&(!number).to_be_bytes());
        &self.frame
    }
}

/// Flow and number of a packet of the stream. `message`: what follows the IP header;
/// `protocol`: of that. Echo replies and what errors quote are no packets of the stream.
#[must_use]
pub fn read(protocol: u8, message: &[u8]) -> Option<(u16, u32)> {
    let header = match protocol {
        TCP => usize::from(message.get(12)? >> 4) * 4,
        UDP => 8,
        _ => {
            let request = Family::BOTH.map(ping::request_type);
            if !request.contains(message.first()?) {
                return None;
            }
            8
        }
    };
    let carried = message.get(header..header + CARRIED)?;
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| carried[at + byte]));
    let (mark, flow) = ((word(0) >> 16) as u16, word(0) as u16);
    (mark == MARK && word(4) == !word(8)).then_some((flow, word(4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_each_flow_once_and_its_number_is_its_place() {
        let flows = all();
        assert_eq!(flows.len(), 10 * 3 * 2 * 2);
        for (place, flow) in flows.iter().enumerate() {
            assert_eq!(usize::from(flow.id), place);
            assert!(flow.from == 0 || flow.to == 0);
            let same = |other: &&Flow| {
                (other.from, other.to, other.family, other.kind)
                    == (flow.from, flow.to, flow.family, flow.kind)
            };
            assert_eq!(flows.iter().filter(same).count(), 1);
        }
    }

    #[test]
    fn a_number_is_read_again_and_the_checksum_holds() {
        let (from, to) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let mut carried = MARK.to_be_bytes().to_vec();
        carried.extend(7_u16.to_be_bytes());
        carried.extend([0; 4]);
        carried.extend([0xff; 4]);
        let udp = |carried: &[u8]| frame::udp((from, 1).into(), (to, 2).into(), carried).1;
        let mut template = Template {
            number: 20 + 8 + 4,
            frame: udp(&carried),
        };
        let packet = template.numbered(0x0001_0002).to_vec();
        assert_eq!(read(UDP, &packet[20..]), Some((7, 0x0001_0002)));
        carried.truncate(4);
        carried.extend([0, 1, 0, 2, 0xff, 0xfe, 0xff, 0xfd]);
        assert_eq!(packet, udp(&carried), "with its own checksum");
    }

    #[test]
    fn replies_and_errors_are_none_of_it() {
        let carried = [0xfa, 0x17, 0, 3, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xfa];
        let icmp = |kind: u8| [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &carried].concat();
        assert_eq!(read(1, &icmp(8)), Some((3, 5)));
        assert_eq!(read(58, &icmp(128)), Some((3, 5)));
        for kind in [0, 3, 129, 1] {
            assert_eq!(read(1, &icmp(kind)), None);
        }
        assert_eq!(read(UDP, &carried), None);
        assert_eq!(read(TCP, &[0; 13]), None);
    }
}
