//! Real TCP and UDP servers of one host.
//!
//! One thread waits on all the sockets. TCP: a line `NAME PORT` on connecting,
//! then everything comes back. UDP: every datagram comes back. Both count.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use socket2::{Domain, Socket, Type};

use crate::{Error, Host, Result};

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[allow(missing_docs, reason = "the names are the documentation")]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    Tcp,
    Udp,
}

/// What a server listens on: on all addresses, of both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// A TCP service.
#[must_use]
pub const fn tcp(port: u16) -> Service {
    Service {
        protocol: Protocol::Tcp,
        port,
    }
}

/// A UDP service.
#[must_use]
pub const fn udp(port: u16) -> Service {
    Service {
        protocol: Protocol::Udp,
        port,
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}/{protocol}", self.port)
    }
}

/// The servers of a host; dropping them closes the sockets.
#[derive(Debug)]
pub struct Servers {
    shared: Arc<Shared>,
    /// Closing it wakes the thread.
    wake: Option<OwnedFd>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    name: &'static str,
    stop: AtomicBool,
    seen: Mutex<BTreeMap<Service, u64>>,
}

enum Listener {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Servers {
    /// Starts all of them; they answer when this returns.
    ///
    /// # Errors
    /// When a port is taken.
    pub fn start(host: &Host, services: &[Service]) -> Result<Self> {
        let mut listeners = Vec::new();
        for service in services {
            let listener = host
                .namespace
                .enter(|| Listener::open(*service))
                .map_err(Error::io(format!("listen on {service} of {}", host.name)))?;
            listeners.push((*service, listener));
        }
        // Not for children: one that lives on would keep the thread from being woken.
        let (woken, wake) =
            nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(Error::io("make a pipe"))?;
        let shared = Arc::new(Shared {
            name: host.name,
            ..Shared::default()
        });
        let thread = thread::spawn({
            let shared = shared.clone();
            move || serve(&listeners, &woken, &shared)
        });
        Ok(Self {
            shared,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// TCP connections accepted, or datagrams received, so far.
    #[must_use]
    pub fn seen(&self, service: Service) -> u64 {
        self.shared.counts().get(&service).copied().unwrap_or(0)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn counts(&self) -> std::sync::MutexGuard<'_, BTreeMap<Service, u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    fn open(service: Service) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, service.port));
        let kind = match service.protocol {
            Protocol::Tcp => Type::STREAM,
            Protocol::Udp => Type::DGRAM,
        };
        let socket = Socket::new(Domain::IPV6, kind, None)?;
        socket.set_only_v6(false)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        match service.protocol {
            Protocol::Tcp => {
                socket.listen(256)?;
                Ok(Self::Tcp(socket.into()))
            }
            Protocol::Udp => Ok(Self::Udp(socket.into())),
        }
    }
}

fn serve(listeners: &[(Service, Listener)], woken: &OwnedFd, shared: &Arc<Shared>) {
    let mut waits: Vec<_> = listeners
        .iter()
        .map(|(_, listener)| match listener {
            Listener::Tcp(tcp) => PollFd::new(tcp.as_fd(), PollFlags::POLLIN),
            Listener::Udp(udp) => PollFd::new(udp.as_fd(), PollFlags::POLLIN),
        })
        .collect();
    waits.push(PollFd::new(woken.as_fd(), PollFlags::POLLIN));
    while !shared.stop.load(Ordering::Relaxed) {
        if poll(&mut waits, PollTimeout::NONE).is_err() {
            continue;
        }
        for ((service, listener), wait) in listeners.iter().zip(&waits) {
            if wait.any() != Some(true) {
                continue;
            }
            match listener {
                Listener::Tcp(tcp) => accept(*service, tcp, shared),
                Listener::Udp(udp) => echo_datagrams(*service, udp, shared),
            }
        }
    }
}

fn accept(service: Service, listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        *shared.counts().entry(service).or_default() += 1;
        let shared = shared.clone();
        thread::spawn(move || {
            // The peer may vanish at any time; that ends the conversation.
            let _ = echo_stream(service, stream, &shared);
        });
    }
}

fn echo_stream(service: Service, mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    stream.write_all(format!("{} {}\n", shared.name, service.port).as_bytes())?;
    let mut buffer = vec![0; 64 * 1024];
    while !shared.stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => stream.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    stream.shutdown(Shutdown::Both)
}

fn echo_datagrams(service: Service, socket: &UdpSocket, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        *shared.counts().entry(service).or_default() += 1;
        // A reply that the firewall stops is for the prober to notice.
        let _ = socket.send_to(&buffer[..length], from);
    }
}
