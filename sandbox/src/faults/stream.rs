//! The packets of the run: numbered, thousands a second, from each host to each other one.
//!
//! They are given to the interface of the sending host as whole frames, and taken behind
//! the filter of the receiving one by raw sockets of IP, which get what the kernel delivers
//! to the host. (Packet sockets would see what TC drops.) So it is known of each packet
//! whether it was delivered.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use sandbox::frame::{FrameSocket, ICMP, ICMPV6, TCP, UDP};
use sandbox::{Error, Family, Host, Lab, Result};
use socket2::{Domain, Protocol, Socket, Type};

use super::flows::{self, Flow, Template};
use super::judge::Packet;
use super::ledger::Ledger;
use super::timeline::{Clock, Nanos};

/// Packets a second, if there is time for so many.
const RATE: u64 = 4_000;
/// Packets at a time, at most: far fewer than any queue on the way holds.
const BURST: usize = 16;
/// Between two bursts.
const REST: Duration = Duration::from_millis(1);
/// Of each receiving socket: some ten seconds of packets, if nobody reads.
const BUFFER: usize = 64 << 20;
/// How long a path may take to be there again.
const PATH: Duration = Duration::from_secs(20);
/// How long the receiver waits before it looks whether it is to end, in milliseconds.
const LOOK: u8 = 50;

/// The stream; it ends when it is dropped.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    hosts: Vec<Host>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    stop: AtomicBool,
    ledger: Mutex<Ledger>,
    /// Until when everything that had arrived is in the ledger.
    drained: AtomicU64,
    /// By host; `None`: it cannot send now.
    senders: Mutex<Vec<Option<FrameSocket>>>,
}

/// One receiving socket.
struct Receiver {
    socket: Socket,
    host: usize,
    family: Family,
    protocol: u8,
}

impl Stream {
    /// Begins to send.
    ///
    /// # Errors
    /// When sockets cannot be had.
    pub fn start(lab: &Lab, flows: &[Flow], clock: Clock) -> Result<Self> {
        let hosts: Vec<Host> = lab.on_segment().into_iter().cloned().collect();
        let mut receivers = Vec::new();
        for (number, host) in hosts.iter().enumerate() {
            for (family, protocol) in [
                (Family::V4, TCP),
                (Family::V4, UDP),
                (Family::V4, ICMP),
                (Family::V6, TCP),
                (Family::V6, UDP),
                (Family::V6, ICMPV6),
            ] {
                let receiver = Receiver::open(host, number, family, protocol);
                receivers.push(receiver.map_err(Error::io("open a raw socket"))?);
            }
        }
        let mut senders = Vec::new();
        for host in &hosts {
            senders.push(Some(sender(host)?));
        }
        let shared = Arc::new(Shared {
            clock,
            stop: AtomicBool::new(false),
            ledger: Mutex::default(),
            drained: AtomicU64::new(0),
            senders: Mutex::new(senders),
        });
        let mut templates: Vec<_> = flows
            .iter()
            .map(|flow| (flow.clone(), flow.template(lab)))
            .collect();
        let sending = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                hurry();
                shared.send(&mut templates);
            }
        });
        let receiving = thread::spawn({
            let (shared, flows) = (Arc::clone(&shared), flows.to_vec());
            move || {
                hurry();
                shared.receive(&mut receivers, &flows);
            }
        });
        Ok(Self {
            shared,
            hosts,
            threads: vec![sending, receiving],
        })
    }

    /// The packets that were sent before `moment`.
    #[must_use]
    pub fn take(&self, moment: Nanos) -> Vec<Packet> {
        self.shared.ledger().take(moment)
    }

    /// Packets that arrived after they were taken for lost, or twice, since the last time.
    #[must_use]
    pub fn irregular(&self) -> u64 {
        let mut ledger = self.shared.ledger();
        std::mem::take(&mut ledger.late) + std::mem::take(&mut ledger.twice)
    }

    /// The node sends nothing from now on.
    pub fn mute_node(&self) {
        self.shared.senders()[0] = None;
    }

    /// The node sends again; its interface may be a new one.
    ///
    /// # Errors
    /// When it is not there.
    pub fn unmute_node(&self) -> Result<()> {
        let new = sender(&self.hosts[0])?;
        self.shared.senders()[0] = Some(new);
        Ok(())
    }

    /// Waits until packets that every plan allows come through between all hosts: a bridge
    /// may take a second to notice that a port is up.
    ///
    /// # Errors
    /// When they do not.
    pub fn await_path(&self, flows: &[Flow]) -> Result<()> {
        let begin = self.shared.clock.now();
        let control = flows
            .iter()
            .filter(|flow| flows::ALWAYS.contains(&flow.kind));
        let control: BTreeSet<u16> = control.map(|flow| flow.id).collect();
        let end = Instant::now() + PATH;
        loop {
            let through = self.shared.ledger().through(begin);
            let missing: Vec<_> = control.difference(&through).collect();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(Error::Unexpected(format!(
                    "after {} s nothing comes through of the flows {missing:?}, which every plan \
                     allows",
                    PATH.as_secs()
                )));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until everything is taken that had arrived by now.
    pub fn drain(&self) {
        let begin = self.shared.clock.now();
        while self.shared.drained.load(Ordering::Acquire) < begin
            && !self.threads.iter().any(JoinHandle::is_finished)
        {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The calling thread, and those that it starts, go before others that want the processor,
/// as far as it may: what is measured is the firewall, and not how busy the machine is.
pub fn hurry() {
    set_nice(-20);
}

/// [`hurry`] during `work` only.
pub fn hurried<T>(work: impl FnOnce() -> T) -> T {
    hurry();
    let done = work();
    set_nice(0);
    done
}

fn set_nice(nice: i32) {
    // SAFETY: no pointers; 0 is the calling thread.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, nice);
    }
}

fn sender(host: &Host) -> Result<FrameSocket> {
    FrameSocket::sender(&host.namespace, "eth0")
        .map_err(Error::io(format!("open a packet socket on {}", host.name)))
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn senders(&self) -> MutexGuard<'_, Vec<Option<FrameSocket>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, templates: &mut [(Flow, Template)]) {
        let (mut next, mut due) = (0, self.clock.now());
        while !self.stop.load(Ordering::Relaxed) {
            let late = self.clock.now().saturating_sub(due) * RATE / 1_000_000_000;
            let size = (late as usize).min(BURST);
            if size == 0 {
                thread::sleep(REST);
                continue;
            }
            // What could not be sent for want of time is not made up for.
            due = match size {
                BURST => self.clock.now(),
                _ => due + size as u64 * 1_000_000_000 / RATE,
            };
            let burst: Vec<_> = (0..size).map(|i| (next + i) % templates.len()).collect();
            next = (next + size) % templates.len();
            // Before they are sent: they may arrive before this thread goes on.
            let flows = burst.iter().map(|flow| templates[*flow].0.id);
            let first = self.ledger().expect(self.clock.now(), flows);
            let mut given = vec![false; size];
            {
                let senders = self.senders();
                for ((place, flow), given) in burst.iter().enumerate().zip(&mut given) {
                    let (flow, template) = &mut templates[*flow];
                    let frame = template.numbered(first.wrapping_add(place as u32));
                    // The interface may be down or gone; then nothing was sent.
                    let sender = senders[flow.from].as_ref();
                    *given = sender.is_some_and(|sender| sender.send(frame).is_ok());
                }
            }
            self.ledger().taken(first, self.clock.now(), &given);
            thread::sleep(REST);
        }
    }

    fn receive(&self, receivers: &mut [Receiver], flows: &[Flow]) {
        let mut buffer = vec![0; 64 * 1024];
        while !self.stop.load(Ordering::Relaxed) {
            let mut waits: Vec<_> = receivers
                .iter()
                .map(|receiver| PollFd::new(receiver.socket.as_fd(), PollFlags::POLLIN))
                .collect();
            let before = self.clock.now();
            if poll(&mut waits, PollTimeout::from(LOOK)).is_err() {
                continue;
            }
            let ready: Vec<_> = waits.iter().map(|wait| wait.any() == Some(true)).collect();
            for (receiver, _) in receivers.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
                while let Ok(length) = receiver.socket.read(&mut buffer) {
                    let found = receiver.message(&buffer[..length]);
                    let found = found.and_then(|message| flows::read(receiver.protocol, message));
                    if let Some((flow, number)) = found
                        && flows
                            .get(usize::from(flow))
                            .is_some_and(|flow| flow.to == receiver.host)
                    {
                        self.ledger().arrived(number, self.clock.now());
                    }
                }
            }
            self.drained.store(before, Ordering::Release);
        }
    }
}

impl Receiver {
    fn open(host: &Host, number: usize, family: Family, protocol: u8) -> std::io::Result<Self> {
        let domain = Domain::for_address(SocketAddr::new(host.address(family), 0));
        let of = Protocol::from(i32::from(protocol));
        let socket = host
            .namespace
            .enter(|| Socket::new(domain, Type::RAW, Some(of)))?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            host: number,
            family,
            protocol,
        })
    }

    /// What follows the IP header: a raw socket of IPv4 delivers that, too.
    fn message<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        match self.family {
            Family::V4 => packet.get(usize::from(packet.first()? & 0x0f) * 4..),
            Family::V6 => Some(packet),
        }
    }
}
