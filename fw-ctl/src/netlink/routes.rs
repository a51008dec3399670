//! Routes that make packets the node's own, and nothing of all other routes.
//!
//! A router holds a million routes and changes thousands a second. So the kernel
//! lists only the types that are asked for (`NETLINK_GET_STRICT_CHK`, Linux 4.20),
//! and a filter on the socket throws away notifications of all others before they
//! take room in its buffer.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

/// The routing tables that are consulted for every packet: `default`, `main` and
/// `local` (`rt_tables` of iproute2).
const UNCONDITIONAL: [u32; 3] = [253, 254, 255];

/// What is asked for. IPv4 delivers nothing by an anycast route.
pub const WANTED: [(AddressFamily, RouteType); 3] = [
    (AddressFamily::Inet, RouteType::Local),
    (AddressFamily::Inet6, RouteType::Local),
    (AddressFamily::Inet6, RouteType::Anycast),
];

/// The request for the routes of one type, of any table.
pub fn request(family: AddressFamily, kind: RouteType) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.kind = kind;
    message
}

/// What the route makes the node's own.
///
/// A default route of a table of its own is none: it is how transparent proxies
/// (TPROXY, Cilium, Istio) redirect what a rule has marked, and says nothing about
/// the addresses of the node.
pub fn destination(message: &RouteMessage) -> Option<IpNet> {
    if !matches!(message.header.kind, RouteType::Local | RouteType::Anycast) {
        return None;
    }
    let length = message.header.destination_prefix_length;
    let mut table = u32::from(message.header.table);
    let mut address = match message.header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => address = (*v4).into(),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => address = (*v6).into(),
            _ => {}
        }
    }
    if length == 0 && !UNCONDITIONAL.contains(&table) {
        return None;
    }
    IpNet::new(address, length).ok()
}

/// Lets the socket take messages about routes only if they are about the types
/// that [`destination`] looks at; all other messages pass.
///
/// # Errors
/// The kernel refuses the filter.
pub fn ignore_other_routes(socket: RawFd) -> io::Result<()> {
    let mut program = filter();
    let program = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program of `len` instructions, which lives
    // until the call returns, and keeps no pointer to it.
    let result = unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Classic BPF over a netlink message (linux/filter.h): `struct nlmsghdr`, then
/// `struct rtmsg`.
fn filter() -> [libc::sock_filter; 8] {
    const TYPE_OFFSET: u32 = 4;
    const ROUTE_TYPE_OFFSET: u32 = 16 + 7;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let instruction = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    // Loads are big-endian; netlink has the host's order.
    let message = |number: u16| u32::from(number.to_be());
    [
        instruction(LOAD_HALF, 0, 0, TYPE_OFFSET),
        instruction(EQUAL, 1, 0, message(libc::RTM_NEWROUTE)),
        instruction(EQUAL, 0, 3, message(libc::RTM_DELROUTE)),
        instruction(LOAD_BYTE, 0, 0, ROUTE_TYPE_OFFSET),
        instruction(EQUAL, 1, 0, u32::from(libc::RTN_LOCAL)),
        instruction(EQUAL, 0, 1, u32::from(libc::RTN_ANYCAST)),
        instruction(RETURN, 0, 0, u32::MAX),
        instruction(RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(kind: RouteType, table: u32, to: Option<(&str, u8)>) -> RouteMessage {
        let mut message = request(AddressFamily::Inet, kind);
        message.header.table = u8::try_from(table).unwrap_or(252);
        message.attributes.push(RouteAttribute::Table(table));
        if let Some((address, length)) = to {
            message.header.destination_prefix_length = length;
            let address = RouteAddress::Inet(address.parse().unwrap());
            message
                .attributes
                .push(RouteAttribute::Destination(address));
        }
        message
    }

    #[test]
    fn which_routes_make_packets_the_nodes() {
        use RouteType::{Anycast, Broadcast, Local, Unicast};
        let net = Some(("198.51.100.0", 24));
        for (kind, table, to, expected) in [
            (Local, 255, net, Some("198.51.100.0/24")),
            (Local, 1_000, net, Some("198.51.100.0/24")),
            (Anycast, 255, net, Some("198.51.100.0/24")),
            (Broadcast, 255, net, None),
            (Unicast, 254, net, None),
            (Local, 255, None, Some("0.0.0.0/0")),
            (Local, 254, None, Some("0.0.0.0/0")),
            // `ip rule add fwmark 1 lookup 100`: a transparent proxy.
            (Local, 100, None, None),
            (Local, 2_004, None, None),
        ] {
            let found = destination(&route(kind, table, to)).map(|net| net.to_string());
            assert_eq!(found.as_deref(), expected, "{kind:?} {table} {to:?}");
        }
    }

    /// Runs the filter as the kernel would: only what it consists of.
    fn accepts(message: &[u8]) -> bool {
        let program = filter();
        let mut accumulator = 0;
        let mut at = 0;
        loop {
            let instruction = &program[at];
            let from = instruction.k as usize;
            at += 1;
            match u32::from(instruction.code) {
                code if code == libc::BPF_LD | libc::BPF_H | libc::BPF_ABS => {
                    let bytes = [message[from], message[from + 1]];
                    accumulator = u32::from(u16::from_be_bytes(bytes));
                }
                code if code == libc::BPF_LD | libc::BPF_B | libc::BPF_ABS => {
                    accumulator = u32::from(message[from]);
                }
                code if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => {
                    let equal = accumulator == instruction.k;
                    at += usize::from(if equal {
                        instruction.jt
                    } else {
                        instruction.jf
                    });
                }
                _ => return instruction.k != 0,
            }
        }
    }

    #[test]
    fn the_socket_takes_no_other_routes() {
        let message = |kind: u16, route_type: u8| {
            let mut bytes = [0_u8; 28];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[23] = route_type;
            bytes
        };
        let (unicast, local, broadcast, anycast) = (1, 2, 3, 4);
        for (kind, route_type, expected) in [
            (libc::RTM_NEWROUTE, unicast, false),
            (libc::RTM_DELROUTE, unicast, false),
            (libc::RTM_NEWROUTE, broadcast, false),
            (libc::RTM_NEWROUTE, local, true),
            (libc::RTM_DELROUTE, local, true),
            (libc::RTM_NEWROUTE, anycast, true),
            (libc::RTM_NEWLINK, unicast, true),
            (libc::RTM_DELADDR, unicast, true),
            (libc::NLMSG_DONE as u16, 0, true),
        ] {
            let message = message(kind, route_type);
            assert_eq!(accepts(&message), expected, "{kind} {route_type}");
        }
    }
}
