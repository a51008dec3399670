//! Request and response over an established TCP connection to the node.
//!
//! Both ends run on the measuring CPU and wait in the kernel: a round trip is two
//! passes through the device and two wake-ups.

use std::io::{self, Read, Write};
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

/// How long one connection is used before it is the next one's turn.
const TURN: Duration = Duration::from_millis(10);
/// Round trips of each before those that count.
const WARM_UP: u32 = 500;

/// Times of round trips in nanoseconds, from the jump host of each lab to a TCP port of
/// its node and back, for about `duration` in each. The labs take turns, so that all meet
/// the machine in the same states.
///
/// # Errors
/// A connection does not come about.
pub fn ping_pong(labs: &[&Lab], port: u16, duration: Duration) -> Result<Vec<Histogram<u64>>> {
    let mut clients = Vec::new();
    let mut servers = Vec::new();
    for lab in labs {
        let (client, server) = connect(lab, port)?;
        clients.push(client);
        servers.push(server);
    }
    let measured = thread::scope(|scope| {
        for mut server in servers {
            scope.spawn(move || {
                realtime::undisturbed(|| {
                    let mut message = [0; MESSAGE];
                    while server.read_exact(&mut message).is_ok() {
                        if server.write_all(&message).is_err() {
                            break;
                        }
                    }
                });
            });
        }
        // The clients end with this thread, and with them the servers.
        let client = scope.spawn(move || realtime::undisturbed(|| play(&mut clients, duration)));
        client
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    measured.map_err(Error::file("use the ping-pong's connection"))
}

/// Both ends of a connection.
fn connect(lab: &Lab, port: u16) -> Result<(TcpStream, TcpStream)> {
    let broken = |what: &'static str| Error::file(format!("{what} the ping-pong's connection"));
    let listener = lab
        .node
        .namespace
        .enter(|| TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))))
        .map_err(broken("listen for"))?;
    let server = lab.node.socket(Family::V4, port);
    let client = lab
        .jump
        .namespace
        .enter(|| TcpStream::connect_timeout(&server, PATIENCE))
        .map_err(broken("open"))?;
    let (accepted, _) = listener.accept().map_err(broken("accept"))?;
    for end in [&client, &accepted] {
        end.set_nodelay(true).map_err(broken("set up"))?;
        end.set_read_timeout(Some(PATIENCE))
            .map_err(broken("set up"))?;
    }
    Ok((client, accepted))
}

fn play(clients: &mut [TcpStream], duration: Duration) -> io::Result<Vec<Histogram<u64>>> {
    let mut histograms = Vec::new();
    for client in &mut *clients {
        for _ in 0..WARM_UP {
            round_trip(client)?;
        }
        let histogram = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3)
            .expect("ten seconds with three digits are a valid range");
        histograms.push(histogram);
    }
    let all = duration * clients.len() as u32;
    let start = Instant::now();
    while start.elapsed() < all {
        for (client, histogram) in clients.iter_mut().zip(&mut histograms) {
            let turn = Instant::now();
            // The first one finds the caches as the other left them.
            round_trip(client)?;
            while turn.elapsed() < TURN {
                histogram.saturating_record(round_trip(client)?.as_nanos() as u64);
            }
        }
    }
    Ok(histograms)
}

fn round_trip(client: &mut TcpStream) -> io::Result<Duration> {
    let mut message = [7; MESSAGE];
    let sent = Instant::now();
    client.write_all(&message)?;
    client.read_exact(&mut message)?;
    Ok(sent.elapsed())
}
