//! One TCP stream through the switch, as fast as it goes.
//!
//! The switch takes segments of 64 KiB from the sender and hands them to the receiver in
//! one piece, if the receiver's driver agrees (`rx-gro-hw`). While a native XDP program is
//! attached it does not, and the machine below cuts them.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use sandbox::Namespace;

use super::layout;
use super::stage::Stage;
use crate::counters;
use crate::peer::Peer;
use crate::sample::Bulk;
use crate::{Error, Result};

/// TCP port of the node that its policy opens to the world.
const PORT: u16 = 443;
/// Bytes of a stream.
const BYTES: u64 = 32 << 20;
/// Bytes of one write and of one read.
const CHUNK: usize = 1 << 17;
/// Patience with a connection that is not made, or stops.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The node receives.
    ToNode,
    /// The node sends, and receives acknowledgements.
    FromNode,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::ToNode, Self::FromNode];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToNode => "to the node",
            Self::FromNode => "from the node",
        })
    }
}

/// One stream between `client` and the stage's node.
///
/// # Errors
/// The connection does not come about, or breaks.
pub fn transfer(stage: &Stage, client: &Namespace, direction: Direction) -> Result<Bulk> {
    let broken = || Error::file("use the connection of a TCP transfer");
    let node = &stage.lab.node.namespace;
    let address = SocketAddr::from((layout::on_switch(stage.number), PORT));
    let listener = node
        .enter(|| TcpListener::bind(address))
        .map_err(broken())?;
    let near = client
        .enter(|| TcpStream::connect_timeout(&address, PATIENCE))
        .map_err(broken())?;
    let (far, _) = listener.accept().map_err(broken())?;
    for end in [&near, &far] {
        end.set_read_timeout(Some(PATIENCE)).map_err(broken())?;
        end.set_write_timeout(Some(PATIENCE)).map_err(broken())?;
    }
    let (from, to, receiver) = match direction {
        Direction::ToNode => (near, far, node),
        Direction::FromNode => (far, near, client),
    };
    let before = frames(receiver)?;
    let start = Instant::now();
    let received = thread::scope(|scope| {
        let sending = scope.spawn(|| send(from));
        let received = receive(to);
        let sent = sending
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        sent.and(received)
    });
    let bytes = received.map_err(broken())?;
    Ok(Bulk {
        round: 0,
        direction: direction.to_string(),
        peer: match stage.peer {
            Peer::XdpDrop => Peer::XdpPass,
            peer => peer,
        }
        .to_string(),
        bytes,
        us: start.elapsed().as_micros() as u64,
        frames: frames(receiver)? - before,
    })
}

fn send(mut to: TcpStream) -> std::io::Result<()> {
    let chunk = vec![0x5a; CHUNK];
    let mut left = BYTES;
    while left > 0 {
        let part = left.min(CHUNK as u64);
        to.write_all(&chunk[..part as usize])?;
        left -= part;
    }
    to.shutdown(Shutdown::Write)
}

/// Bytes until the end of the stream.
fn receive(mut from: TcpStream) -> std::io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut all = 0;
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(all),
            bytes => all += bytes as u64,
        }
    }
}

/// Frames that the driver of the interface on the switch has handed over.
fn frames(namespace: &Namespace) -> Result<u64> {
    let path = "/proc/thread-self/net/dev";
    let text = namespace
        .enter(|| std::fs::read_to_string(path))
        .map_err(Error::file(format!("read {path}")))?;
    Ok(counters::received(&text, layout::SWITCH).frames)
}
