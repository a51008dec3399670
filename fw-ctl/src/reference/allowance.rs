//! What passes before any policy: built-ins and failsafe entries.

use std::net::IpAddr;

use fw_common::wire::{BUILTINS, Builtin, Direction};

use crate::compile::Options;
use crate::engine::{Flow, Judgement, Reason};

const UDP: u8 = 17;
const ICMP: u8 = 1;
const IGMP: u8 = 2;
const ICMPV6: u8 = 58;

/// The built-in or failsafe entry that lets a flow pass, if one does.
pub(super) fn judge(options: &Options, flow: &Flow) -> Option<Judgement> {
    if let Some(name) = builtin_name(options.builtins, flow) {
        return Some(Judgement::builtin(flow.direction, name));
    }
    let here = options
        .failsafe
        .iter()
        .filter(|entry| entry.direction == flow.direction);
    for (i, entry) in here.enumerate() {
        let service = flow.service();
        let peer = entry.cidr.is_none_or(|cidr| cidr.contains(&flow.peer()));
        if peer && entry.services.iter().any(|range| range.contains(service)) {
            return Some(Judgement {
                direction: flow.direction,
                allow: true,
                reason: Reason::Failsafe,
                policy: String::new(),
                rule: format!("failsafe[{i}]"),
                origin: entry.origin.clone(),
            });
        }
    }
    None
}

/// Name of the built-in of those that are on (bits) which lets a flow pass.
#[must_use]
pub fn builtin_name(builtins: u32, flow: &Flow) -> Option<&'static str> {
    BUILTINS
        .into_iter()
        .find(|(builtin, ..)| builtins & builtin.bit() != 0 && allows(*builtin, flow))
        .map(|(_, name, _)| name)
}

/// A flow has no hop limit: neighbour discovery is taken to come from the link (hop limit
/// 255), messages about groups to stay on it (hop limit 1, with a Router Alert). It is no
/// frame of ARP either.
fn allows(builtin: Builtin, flow: &Flow) -> bool {
    let v4 = flow.source.is_ipv4();
    let udp = |inwards: (u16, u16)| {
        let ports = match flow.direction {
            Direction::Ingress => inwards,
            Direction::Egress => (inwards.1, inwards.0),
        };
        flow.protocol == UDP && (flow.source_port, flow.destination_port) == ports
    };
    match builtin {
        Builtin::Multicast => flow.direction == Direction::Egress && is_group(flow.destination),
        Builtin::NeighborDiscovery => {
            let source_is_fit = match flow.icmp_type {
                // Solicitations of those who may not have an address yet.
                133 | 148 => true,
                // Advertisements of routers.
                134 | 149 => is_link_local(flow.source),
                135 | 136 | 141 | 142 => !flow.source.is_unspecified(),
                _ => false,
            };
            flow.protocol == ICMPV6 && !v4 && source_is_fit && flow.icmp_code == 0
        }
        Builtin::DhcpV4 => v4 && udp((67, 68)),
        Builtin::DhcpV6 => !v4 && udp((547, 546)),
        Builtin::FragmentationNeeded => {
            flow.protocol == ICMP && v4 && (flow.icmp_type, flow.icmp_code) == (3, 4)
        }
        Builtin::PacketTooBig => flow.protocol == ICMPV6 && !v4 && flow.icmp_type == 2,
        Builtin::Arp => false,
        Builtin::Igmp => flow.protocol == IGMP && v4,
        Builtin::Mld => {
            let is_report = [131, 132, 143].contains(&flow.icmp_type);
            let asks = [130, 151, 152, 153].contains(&flow.icmp_type);
            let source_is_fit = is_link_local(flow.source) && (is_report || asks)
                || flow.source.is_unspecified() && is_report;
            flow.protocol == ICMPV6 && !v4 && source_is_fit
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Multicast, or the limited broadcast of IPv4 (RFC 919).
fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::plan::Mode;
    use crate::compile::{Enforcement, Failsafe};
    use crate::policy::rules::{CidrMatchMode, ServiceRange};

    fn flow(direction: Direction, ports: (u16, u16), peer: &str) -> Flow {
        let node = "10.0.0.1".parse().unwrap();
        let peer = peer.parse().unwrap();
        let (source, destination) = match direction {
            Direction::Ingress => (peer, node),
            Direction::Egress => (node, peer),
        };
        Flow {
            id: String::new(),
            source,
            destination,
            protocol: UDP,
            source_port: ports.0,
            destination_port: ports.1,
            icmp_type: 0,
            icmp_code: 0,
            vlan: None,
            direction,
            expect: None,
        }
    }

    #[test]
    fn dhcp_passes_only_the_client_s_way() {
        let both = [Direction::Ingress, Direction::Egress];
        let dhcp = |direction, ports| allows(Builtin::DhcpV4, &flow(direction, ports, "10.0.0.9"));
        assert_eq!(both.map(|way| dhcp(way, (67, 68))), [true, false]);
        assert_eq!(both.map(|way| dhcp(way, (68, 67))), [false, true]);
    }

    /// RFC 4890 §4.4.1 lists the messages, the RFCs of each say who may send them.
    #[test]
    fn who_may_send_what_of_icmpv6() {
        for kind in 0..=255 {
            let allowed = ["fe80::2", "2001:db8::2", "::"].map(|source| {
                let flow = Flow {
                    source: source.parse().unwrap(),
                    destination: "fe80::1".parse().unwrap(),
                    protocol: ICMPV6,
                    icmp_type: kind,
                    ..flow(Direction::Ingress, (0, 0), "10.0.0.9")
                };
                let names = [Builtin::NeighborDiscovery, Builtin::Mld];
                names.iter().any(|builtin| allows(*builtin, &flow))
            });
            let expected = match kind {
                133 | 148 => [true, true, true],
                135 | 136 | 141 | 142 => [true, true, false],
                131 | 132 | 143 => [true, false, true],
                130 | 134 | 149 | 151..=153 => [true, false, false],
                _ => [false; 3],
            };
            assert_eq!(allowed, expected, "{kind}");
        }
    }

    #[test]
    fn failsafe_holds_for_its_direction_service_and_peer() {
        let options = Options {
            mode: Mode::Enforce,
            builtins: 0,
            enforcement: Enforcement::Default,
            cidr_match_mode: CidrMatchMode::World,
            failsafe: vec![Failsafe {
                direction: Direction::Ingress,
                services: vec![ServiceRange::Ports {
                    protocol: UDP,
                    first: 5,
                    last: 6,
                }],
                cidr: Some("192.0.2.0/24".parse().unwrap()),
                origin: String::new(),
            }],
            vlans: None,
        };
        let passes =
            |direction, port, peer| judge(&options, &flow(direction, (1, port), peer)).is_some();
        assert!(passes(Direction::Ingress, 6, "192.0.2.1"));
        assert!(!passes(Direction::Ingress, 7, "192.0.2.1"));
        assert!(!passes(Direction::Ingress, 6, "198.51.100.1"));
        assert!(!passes(Direction::Egress, 6, "192.0.2.1"));
    }
}
