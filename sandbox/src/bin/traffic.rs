//! `traffic`: packets and connections around a node in a guest, written down one by one.
//!
//! A guest that boots has no test beside it. So what goes on the wire is told by programs
//! in it: datagrams at a steady pace from before the network is up, which of them arrived
//! and when, and a connection that nothing may cut. Times are those of the monotonic clock,
//! in microseconds, as systemd gives them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::time::{ClockId, clock_gettime};
use sandbox::probe::{Connection, Outcome};
use sandbox::{Error, Namespace, Result};

/// Between two datagrams to one place.
const PACE: Duration = Duration::from_millis(20);
/// Between two words of a conversation.
const PAUSE: Duration = Duration::from_millis(50);
/// How long an emulated machine may take to answer where an answer must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// At least so long somebody waits where none may come: TCP repeats what was lost once.
const DOUBT: Duration = Duration::from_secs(2);
/// So much longer than the answer of a moment ago took.
const DOUBTS: u32 = 4;
/// For datagrams that came while their reader had no time, as long as all other programs of a
/// busy machine may take: some of them would be lost else, and not by a firewall.
const BUFFER: usize = 8 << 20;
/// How long a conversation may be silent.
const SILENCE: Duration = Duration::from_mins(1);

/// Packets and connections, written down one by one.
#[derive(Debug, Parser)]
enum Traffic {
    /// Send numbered datagrams to each of these places, for ever
    Send { to: Vec<SocketAddr> },
    /// Write down datagrams (port, number, when sent, when read), and serve what `talk` and
    /// `ask` want
    Serve {
        #[arg(long)]
        log: PathBuf,
        ports: Vec<u16>,
    },
    /// Keep one connection, and write down each answer (number, time), for ever
    Talk {
        #[arg(long)]
        log: PathBuf,
        to: SocketAddr,
    },
    /// Connect to one place and then to another, and say in a line each what came of it
    Ask {
        to: SocketAddr,
        then: Option<SocketAddr>,
    },
}

fn main() -> ExitCode {
    let done = match Traffic::parse() {
        Traffic::Send { to } => send(&to),
        Traffic::Serve { log, ports } => serve(&log, &ports),
        Traffic::Talk { log, to } => talk(&log, to),
        Traffic::Ask { to, then } => ask(to, then),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Each place has a socket of its own: one to which nothing goes must not hold up the others.
fn send(to: &[SocketAddr]) -> Result<()> {
    for &place in to {
        let socket =
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(Error::io("make a socket"))?;
        thread::spawn(move || {
            for number in 0_u64.. {
                let [first, second] = [number.to_be_bytes(), now().to_be_bytes()];
                // Before the network is up there is no way, and nobody.
                let _ = socket.send_to(&[first, second].concat(), place);
                thread::sleep(PACE);
            }
        });
    }
    loop {
        thread::park();
    }
}

fn serve(log: &Path, ports: &[u16]) -> Result<()> {
    let log = create(log)?;
    for &port in ports {
        let address = (Ipv4Addr::UNSPECIFIED, port);
        let bind = || Error::io(format!("bind port {port}"));
        let datagrams = UdpSocket::bind(address).map_err(bind())?;
        setsockopt(&datagrams, RcvBufForce, &BUFFER)
            .map_err(Error::io(format!("make room for port {port}")))?;
        let connections = TcpListener::bind(address).map_err(bind())?;
        let log = log.try_clone().map_err(Error::io("share the log"))?;
        thread::spawn(move || receive(&datagrams, port, log));
        thread::spawn(move || {
            for connection in connections.incoming().flatten() {
                thread::spawn(move || echo(&connection));
            }
        });
    }
    loop {
        thread::park();
    }
}

fn receive(socket: &UdpSocket, port: u16, mut log: File) {
    let mut bytes = [0; 16];
    while let Ok(length) = socket.recv(&mut bytes) {
        if let (Some((number, sent)), true) = (bytes.split_first_chunk(), length == bytes.len()) {
            let number = u64::from_be_bytes(*number);
            let sent = sent.try_into().map_or(0, i64::from_be_bytes);
            // One write: lines of several threads do not mix.
            let line = format!("{port} {number} {sent} {}\n", now());
            let _ = log.write_all(line.as_bytes());
        }
    }
}

/// As the servers of a lab do: a line first, then everything comes back.
fn echo(mut connection: &TcpStream) -> io::Result<()> {
    connection.write_all(b"here\n")?;
    let mut line = String::new();
    let mut reader = BufReader::new(connection);
    while reader.read_line(&mut line)? > 0 {
        connection.write_all(line.as_bytes())?;
        line.clear();
    }
    Ok(())
}

fn talk(log: &Path, to: SocketAddr) -> Result<()> {
    let mut log = create(log)?;
    let failed = || Error::io(format!("talk with {to}"));
    let here = Namespace::here()?;
    let mut connection = Connection::open_within(SILENCE, &here, None, to).map_err(failed())?;
    for number in 0_u64.. {
        let said = connection.talk(&number.to_string());
        let line = match &said {
            Ok(()) => format!("{number} {}\n", now()),
            Err(error) => format!("cut: {error}\n"),
        };
        log.write_all(line.as_bytes())
            .map_err(Error::io("write the log"))?;
        said.map_err(failed())?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn ask(to: SocketAddr, then: Option<SocketAddr>) -> Result<()> {
    let here = Namespace::here()?;
    let say = |patience, place| {
        let opened = Connection::open_within(patience, &here, None, place);
        let outcome: Outcome = opened.and_then(|mut open| open.talk("hello")).into();
        anstream::println!("{outcome}");
    };
    let began = Instant::now();
    say(PATIENCE, to);
    if let Some(then) = then {
        say(DOUBT.max(began.elapsed() * DOUBTS), then);
    }
    Ok(())
}

fn create(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(Error::io(format!("write {}", path.display())))
}

fn now() -> i64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() * 1_000_000 + time.tv_nsec() / 1_000)
}
