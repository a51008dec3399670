//! ICMP and ICMPv6 echo with a raw socket: no `ping` program needed.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Instant;

use nix::sys::socket::{MsgFlags, recv};
use socket2::{Domain, Protocol, Socket, Type};
use std::os::fd::AsRawFd;

use crate::frame::checksum;
use crate::probe::{Outcome, PATIENCE};
use crate::{Family, Namespace};

/// RFC 792.
const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// RFC 4443 §4.
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// The ICMP type of an echo request.
#[must_use]
pub const fn request_type(family: Family) -> u8 {
    match family {
        Family::V4 => ECHO,
        Family::V6 => ECHO_V6,
    }
}

/// Sends one echo request with `size` bytes of data (more than the MTU: in
/// fragments) and waits for its reply. `id` tells concurrent probes apart.
#[must_use]
pub fn ping(namespace: &Namespace, to: IpAddr, id: u16, size: usize) -> Outcome {
    exchange(namespace, to, id, size).into()
}

fn exchange(namespace: &Namespace, to: IpAddr, id: u16, size: usize) -> io::Result<()> {
    let family = match to {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    };
    let (domain, protocol) = match family {
        Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = namespace.enter(|| Socket::new(domain, Type::RAW, Some(protocol)))?;
    socket.connect(&SocketAddr::new(to, 0).into())?;
    // The firewall may drop it on the way out; the silence will tell.
    let _ = socket.send(&echo(request_type(family), id, size, family));
    let socket = OwnedFd::from(socket);
    let expected = match family {
        Family::V4 => echo(ECHO_REPLY, id, size, family),
        Family::V6 => echo(ECHO_REPLY_V6, id, size, family),
    };
    await_packet(&socket, |packet| {
        let message = match family {
            // A raw IPv4 socket delivers the IP header too.
            Family::V4 => packet.get(usize::from(packet.first()? & 0x0f) * 4..)?,
            Family::V6 => packet,
        };
        // The checksum is the kernel's business.
        (message.get(..2)? == &expected[..2] && message.get(4..)? == &expected[4..]).then_some(())
    })
}

fn echo(kind: u8, id: u16, size: usize, family: Family) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(id.to_be_bytes());
    message.extend([0, 1]);
    message.extend((0..size).map(|i| (i % 251) as u8));
    if family == Family::V4 {
        // The kernel fills it in for ICMPv6 only (RFC 3542 §3.1).
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// Receives packets until `wanted` finds what it looks for, or [`PATIENCE`] ends.
///
/// # Errors
/// `TimedOut` when it ends; else as the socket says.
pub(crate) fn await_packet<T>(
    socket: &OwnedFd,
    mut wanted: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<T> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let end = Instant::now() + PATIENCE;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut waits = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut waits, wait)?;
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => {
                if let Some(found) = wanted(&buffer[..length]) {
                    return Ok(found);
                }
            }
            Err(nix::Error::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
