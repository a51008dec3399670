//! Request and response over an established TCP connection to the node.
//!
//! Both ends run on the measuring CPU and wait in the kernel: a round trip is two
//! passes through the device and two wake-ups.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use sandbox::{Family, Lab};

use crate::{Error, Result, realtime};

/// Patience with a connection that a firewall may stop.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of a request and of a response.
const MESSAGE: usize = 64;

/// Times of round trips in nanoseconds, from the jump host to a TCP port of the
/// node and back, for about `duration`.
///
/// # Errors
/// The connection does not come about.
pub fn ping_pong(lab: &Lab, port: u16, duration: Duration) -> Result<Histogram<u64>> {
    let broken = |what: &'static str| Error::file(format!("{what} the ping-pong's connection"));
    let listener = lab
        .node
        .namespace
        .enter(|| TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))))
        .map_err(broken("listen for"))?;
    let server = lab.node.socket(Family::V4, port);
    let mut stream = lab
        .jump
        .namespace
        .enter(|| TcpStream::connect_timeout(&server, PATIENCE))
        .map_err(broken("open"))?;
    let (mut accepted, _) = listener.accept().map_err(broken("accept"))?;
    for end in [&stream, &accepted] {
        end.set_nodelay(true).map_err(broken("set up"))?;
        end.set_read_timeout(Some(PATIENCE))
            .map_err(broken("set up"))?;
    }
    let measured = thread::scope(|scope| {
        scope.spawn(move || {
            realtime::undisturbed(|| {
                let mut message = [0; MESSAGE];
                while accepted.read_exact(&mut message).is_ok() {
                    if accepted.write_all(&message).is_err() {
                        break;
                    }
                }
            });
        });
        let client = scope.spawn(move || {
            realtime::undisturbed(|| {
                let result = exchange(&mut stream, duration);
                drop(stream);
                result
            })
        });
        client
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    measured.map_err(broken("use"))
}

fn exchange(stream: &mut TcpStream, duration: Duration) -> std::io::Result<Histogram<u64>> {
    /// Round trips before those that count.
    const WARM_UP: u32 = 500;
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3)
        .expect("ten seconds with three digits are a valid range");
    let mut message = [7; MESSAGE];
    let start = Instant::now();
    let mut round = 0;
    while round < 2 * WARM_UP || start.elapsed() < duration {
        let sent = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        if round >= WARM_UP {
            histogram.saturating_record(sent.elapsed().as_nanos() as u64);
        }
        round += 1;
    }
    Ok(histogram)
}
