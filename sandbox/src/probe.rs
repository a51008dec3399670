//! Real connections: what an ordinary program of a host would experience.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::Namespace;

/// How long a probe waits for an answer. The lab answers within a millisecond;
/// the rest is for a busy machine.
pub const PATIENCE: Duration = Duration::from_millis(900);

/// What became of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side answered as its server would.
    Answered,
    /// The other side refused the connection: the packet arrived, nobody listens.
    Refused,
    /// Nothing came back in time.
    Silence,
    /// Something else, in words.
    Failed(String),
}

impl Outcome {
    /// Whether the answer arrived.
    #[must_use]
    pub fn answered(&self) -> bool {
        *self == Self::Answered
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("answered"),
            Self::Refused => f.write_str("refused"),
            Self::Silence => f.write_str("no answer"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl From<io::Result<()>> for Outcome {
    fn from(result: io::Result<()>) -> Self {
        use io::ErrorKind::{ConnectionRefused, TimedOut, WouldBlock};
        match result {
            Ok(()) => Self::Answered,
            Err(error) => match error.kind() {
                ConnectionRefused => Self::Refused,
                TimedOut | WouldBlock => Self::Silence,
                _ => Self::Failed(error.to_string()),
            },
        }
    }
}

/// An open TCP connection to one of the lab's servers, past its greeting.
#[derive(Debug)]
pub struct Connection {
    /// `node 22`: who answered.
    pub greeting: String,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects from inside `namespace`, from `source` or any port.
    ///
    /// # Errors
    /// As the socket says; `TimedOut` or `WouldBlock` when nothing came back.
    pub fn open(namespace: &Namespace, source: Option<u16>, to: SocketAddr) -> io::Result<Self> {
        Self::open_within(PATIENCE, namespace, source, to)
    }

    /// [`Self::open`] with more or less patience, also in what follows: of seconds, if
    /// packets get lost and are sent again.
    ///
    /// # Errors
    /// As there.
    pub fn open_within(
        patience: Duration,
        namespace: &Namespace,
        source: Option<u16>,
        to: SocketAddr,
    ) -> io::Result<Self> {
        let stream = connect(patience, namespace, source, to)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut reader = BufReader::new(stream);
        let mut greeting = String::new();
        if reader.read_line(&mut greeting)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self {
            greeting: greeting.trim_end().to_owned(),
            reader,
        })
    }

    /// Sends a line and waits for it to come back.
    ///
    /// # Errors
    /// As the socket says, or when something else came back.
    pub fn talk(&mut self, word: &str) -> io::Result<()> {
        self.reader
            .get_mut()
            .write_all(format!("{word}\n").as_bytes())?;
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        match line.trim_end() == word {
            true => Ok(()),
            false => Err(io::Error::other(format!("sent `{word}`, got `{line}`"))),
        }
    }

    /// Sends `bytes` bytes while reading them back, as fast as it goes.
    ///
    /// # Errors
    /// As the socket says, or when a byte differs.
    pub fn bulk(&mut self, bytes: usize) -> io::Result<()> {
        let pattern: Vec<u8> = (0..64 * 1024_u32).map(|i| (i % 251) as u8).collect();
        let mut writer = self.reader.get_ref().try_clone()?;
        self.reader
            .get_ref()
            .set_write_timeout(Some(Duration::from_secs(10)))?;
        self.reader
            .get_ref()
            .set_read_timeout(Some(Duration::from_secs(10)))?;
        let rounds = bytes.div_ceil(pattern.len());
        thread::scope(|scope| {
            let sending = scope.spawn(|| (0..rounds).try_for_each(|_| writer.write_all(&pattern)));
            let mut back = vec![0; pattern.len()];
            for _ in 0..rounds {
                self.reader.read_exact(&mut back)?;
                if back != pattern {
                    return Err(io::Error::other("other bytes came back than were sent"));
                }
            }
            sending
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the sender panicked")))
        })
    }

    /// Port that it comes from.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn source_port(&self) -> io::Result<u16> {
        self.reader
            .get_ref()
            .local_addr()
            .map(|address| address.port())
    }
}

/// Connects, reads the greeting, sends a line and gets it back.
#[must_use]
pub fn tcp(namespace: &Namespace, source: Option<u16>, to: SocketAddr) -> Outcome {
    Connection::open(namespace, source, to)
        .and_then(|mut connection| connection.talk("hello"))
        .into()
}

/// Sends one datagram and gets it back.
#[must_use]
pub fn udp(namespace: &Namespace, source: Option<u16>, to: SocketAddr) -> Outcome {
    udp_of_size(namespace, source, to, 32)
}

/// The same with more or less patience.
#[must_use]
pub fn udp_within(
    patience: Duration,
    namespace: &Namespace,
    source: Option<u16>,
    to: SocketAddr,
) -> Outcome {
    exchange_datagram(patience, namespace, source, to, 32).into()
}

/// Sends one datagram of `size` bytes (more than the MTU: in fragments) and gets it back.
#[must_use]
pub fn udp_of_size(
    namespace: &Namespace,
    source: Option<u16>,
    to: SocketAddr,
    size: usize,
) -> Outcome {
    exchange_datagram(PATIENCE, namespace, source, to, size).into()
}

fn exchange_datagram(
    patience: Duration,
    namespace: &Namespace,
    source: Option<u16>,
    to: SocketAddr,
    size: usize,
) -> io::Result<()> {
    let socket: UdpSocket = namespace.enter(|| socket(Type::DGRAM, source, to))?.into();
    socket.set_read_timeout(Some(patience))?;
    socket.connect(to)?;
    let sent: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
    // The firewall may drop it on the way out; the silence will tell.
    let _ = socket.send(&sent);
    let mut back = vec![0; size + 1];
    let length = socket.recv(&mut back)?;
    match back[..length] == sent {
        true => Ok(()),
        false => Err(io::Error::other("another datagram came back than was sent")),
    }
}

/// Sends `count` datagrams from one port, each after the former one was answered or its
/// answer overdue. Returns how many were answered.
///
/// # Errors
/// As the socket says.
pub fn datagrams(
    namespace: &Namespace,
    source: Option<u16>,
    to: SocketAddr,
    count: u8,
) -> io::Result<usize> {
    let socket: UdpSocket = namespace.enter(|| socket(Type::DGRAM, source, to))?.into();
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    let mut answered = 0;
    for number in 0..count {
        socket.send(&[number])?;
        let mut back = [0; 2];
        match socket.recv(&mut back) {
            Ok(1) if back[0] == number => answered += 1,
            Ok(_) => return Err(io::Error::other("another datagram came back than was sent")),
            Err(error) if Outcome::from(Err(error.kind().into())) == Outcome::Silence => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answered)
}

/// A TCP connection that sends at once, from inside `namespace`, from `source` or any port.
///
/// # Errors
/// As the socket says; `TimedOut` when nothing came back.
pub fn connect(
    patience: Duration,
    namespace: &Namespace,
    source: Option<u16>,
    to: SocketAddr,
) -> io::Result<TcpStream> {
    let socket = namespace.enter(|| socket(Type::STREAM, source, to))?;
    socket.connect_timeout(&to.into(), patience)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An unconnected socket of the family of `to`, bound to `source`. The caller is
/// inside the namespace.
fn socket(kind: Type, source: Option<u16>, to: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), kind, None)?;
    if let Some(port) = source {
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(any, port).into())?;
    }
    Ok(socket)
}
