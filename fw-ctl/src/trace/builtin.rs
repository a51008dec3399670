//! Which built-in lets a flow pass.

use fw_common::wire::{BUILTINS, Builtin, Direction};

use crate::control::protocol::Flow;
use crate::reference::is_group;

const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// The built-in among `bits` that fits, described.
pub fn matching(flow: &Flow, direction: Direction, bits: u32) -> Option<String> {
    BUILTINS
        .iter()
        .filter(|row| bits & row.0.bit() != 0)
        .find(|row| fits(row.0, flow, direction))
        .map(|(_, name, what)| format!("{name}: {what}"))
}

fn fits(builtin: Builtin, flow: &Flow, direction: Direction) -> bool {
    let ports = (flow.source_port, flow.destination_port);
    let client = |server: u16, client: u16| {
        flow.protocol == UDP
            && match direction {
                Direction::Ingress => ports == (server, client),
                Direction::Egress => ports == (client, server),
            }
    };
    match builtin {
        Builtin::Multicast => direction == Direction::Egress && is_group(flow.destination),
        Builtin::NeighborDiscovery => {
            flow.protocol == ICMPV6 && (133..=136).contains(&flow.destination_port)
        }
        Builtin::DhcpV4 => flow.destination.is_ipv4() && client(67, 68),
        Builtin::DhcpV6 => flow.destination.is_ipv6() && client(547, 546),
        // A flow names a type but no code, and only code 4 of type 3 is let
        // through: the question is about the other codes.
        Builtin::FragmentationNeeded => false,
        Builtin::PacketTooBig => flow.protocol == ICMPV6 && flow.destination_port == 2,
    }
}
