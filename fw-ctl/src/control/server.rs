//! The daemon's side of the control socket.
//!
//! Every client has a task of its own, a limit on what it may send, and a time in
//! which it must ask and take what it gets, so that none can hold up the daemon.
//! Those that have not asked yet, requests and monitors have places apart from each
//! other, and of each kind some are root's; captures, all of them. Of all others the daemon answers one at a
//! time, and long answers that wait to be taken have a limit together: whatever others
//! do, root is heard at once, and the daemon does not grow.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::places::{Place, Places};
use super::protocol::{Failure, MAX_LINE, MAX_REQUEST, Reply, Request};
use super::socket::{self, Served};
use crate::capture::{Capture, CaptureQuery};
use crate::exit;
use crate::observe::{Events, Next, Query, Span, Telling};
use crate::why::why;

/// What clients may have at one time, and how long they may take to ask for it.
#[derive(Clone, Copy)]
struct Limits {
    /// Clients that have not asked yet.
    asking: usize,
    /// Requests that wait for an answer.
    requests: usize,
    /// Monitors.
    monitors: usize,
    /// Captures, all of them root's.
    captures: usize,
    /// Places of each kind that only root may take.
    reserve: usize,
    /// From connecting to the end of the line. Programs ask at once.
    patience: Duration,
    /// For each answer, to wait for its turn and again to be taken.
    delivery: Duration,
    /// For answers that wait to be taken by others than root, in [`UNIT`]s.
    room: usize,
}

const LIMITS: Limits = Limits {
    asking: 128,
    requests: 64,
    monitors: 32,
    captures: 4,
    reserve: 8,
    patience: Duration::from_secs(2),
    delivery: Duration::from_secs(10),
    // For the longest that there is, and many others.
    room: 2 * MAX_LINE / UNIT,
};

/// Bytes that room for answers is counted in.
const UNIT: usize = 1_024;

/// The process at the other end, as the kernel knew it when it connected.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// User and process; `None` if the kernel does not tell.
    credentials: Option<(u32, i32)>,
}

impl Peer {
    fn of(stream: &UnixStream) -> Self {
        let credentials = stream.peer_cred().ok();
        Self {
            credentials: credentials.map(|found| (found.uid(), found.pid().unwrap_or_default())),
        }
    }

    fn is_root(self) -> bool {
        self.credentials.is_some_and(|(user, _)| user == 0)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.credentials {
            Some((user, process)) => write!(out, "uid {user}, pid {process}"),
            None => out.write_str("a process that the kernel does not name"),
        }
    }
}

/// Who a client is.
type Identify = fn(&UnixStream) -> Peer;

/// A request on its way to the daemon.
pub struct Call {
    /// What is wanted.
    pub request: Request,
    /// When the client connected.
    pub connected: Instant,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<serde_json::Value, Failure>>,
}

/// Binds `path` and serves. The caller holds the lock of the run directory, so
/// that a socket that lies there is a dead daemon's.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(path: &Path, calls: mpsc::Sender<Call>, events: Events) -> Result<Served, Failure> {
    serve_with(path, calls, events, LIMITS, Peer::of)
}

fn serve_with(
    path: &Path,
    calls: mpsc::Sender<Call>,
    events: Events,
    limits: Limits,
    identify: Identify,
) -> Result<Served, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            exit::UNREACHABLE,
            format!(
                "cannot make the control socket {}: {}",
                path.display(),
                why(&error)
            ),
        )
    };
    let listener = socket::listen_at(path).map_err(failed)?;
    let listener = UnixListener::from_std(listener).map_err(failed)?;
    let house = Arc::new(House {
        calls,
        events,
        asking: Places::new(limits.asking, limits.reserve),
        requests: Places::new(limits.requests, limits.reserve),
        monitors: Places::new(limits.monitors, limits.reserve),
        captures: Semaphore::new(limits.captures),
        turn: Semaphore::new(1),
        room: Semaphore::new(limits.room),
        limits,
    });
    let task = tokio::spawn(accept(listener, house, identify));
    Ok(Served::new(path, task))
}

/// What all clients share.
struct House {
    calls: mpsc::Sender<Call>,
    events: Events,
    asking: Places,
    requests: Places,
    monitors: Places,
    captures: Semaphore,
    /// Whose request, other than root's, the daemon is asked next.
    turn: Semaphore,
    /// [`Limits::room`] that is left.
    room: Semaphore,
    limits: Limits,
}

async fn accept(listener: UnixListener, house: Arc<House>, identify: Identify) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, mostly: wait for clients to go away.
                tracing::warn!("control socket: cannot accept: {}", why(&error));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connected = Instant::now();
        let peer = identify(&stream);
        let place = house.asking.take(peer.is_root());
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            let (reader, mut writer) = stream.into_split();
            let served = match place {
                Some(place) => {
                    let client = house.client(reader, &mut writer, peer, place, connected);
                    client.await
                }
                None => {
                    let what = "clients that have not asked yet";
                    Err(full(&house.asking, what, peer.is_root()))
                }
            };
            if let Err(failure) = served {
                house.send(&mut writer, &Reply::Failed(failure)).await;
            }
        });
    }
}

/// Who gets what happens.
enum Listener {
    Monitor,
    Observer(Query),
    Agent(Span),
}

impl House {
    /// Serves one client. An error is what it is to be told in the end.
    async fn client(
        &self,
        reader: OwnedReadHalf,
        writer: &mut OwnedWriteHalf,
        peer: Peer,
        place: Place,
        connected: Instant,
    ) -> Result<(), Failure> {
        let mut reader = BufReader::new(reader);
        let patience = self.limits.patience;
        let request = match timeout(patience, ask(&mut reader)).await {
            Ok(Ok(Some(request))) => request,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(failure)) => return Err(failure),
            Err(_) => {
                let time = patience.as_secs_f32();
                let message = format!("no request came within {time} s");
                return Err(Failure::new(exit::USAGE, message));
            }
        };
        drop(place);
        admit(&request, peer)?;
        let root = peer.is_root();
        let listener = match &request {
            Request::Monitor => Some(Listener::Monitor),
            Request::Observe(query) => Some(Listener::Observer(query.clone())),
            Request::AgentEvents(span) => Some(Listener::Agent(*span)),
            _ => None,
        };
        if let Request::Capture(query) = request {
            return self.capture(reader.into_inner(), writer, query).await;
        }
        if let Some(listener) = listener {
            let Some(_place) = self.monitors.take(root) else {
                return Err(full(&self.monitors, "monitors", root));
            };
            self.listen(reader.into_inner(), writer, listener).await;
            return Ok(());
        }
        let Some(_place) = self.requests.take(root) else {
            return Err(full(&self.requests, "requests", root));
        };
        if root {
            let reply = Reply::Done(self.answer(request, connected).await?);
            self.send(writer, &reply).await;
            return Ok(());
        }
        let turn = timeout(self.limits.delivery, self.turn.acquire()).await;
        let turn = turn.map_err(|_| busy())?;
        let reply = Reply::Done(self.answer(request, connected).await?);
        let Some(line) = line(&reply) else {
            return Ok(());
        };
        // A number of units that has room in 32 bits: no line is longer than `MAX_LINE`.
        let units = line.len().div_ceil(UNIT).min(self.limits.room) as u32;
        let room = timeout(self.limits.delivery, self.room.acquire_many(units)).await;
        let _room = room.map_err(|_| busy())?;
        drop(turn);
        self.deliver(writer, &line).await;
        Ok(())
    }

    /// What the daemon says to it.
    async fn answer(
        &self,
        request: Request,
        connected: Instant,
    ) -> Result<serde_json::Value, Failure> {
        let stopping = || Failure::new(exit::UNREACHABLE, "the daemon is stopping");
        let (answer, answered) = oneshot::channel();
        let call = Call {
            request,
            connected,
            answer,
        };
        let sent = self.calls.send(call).await;
        sent.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }

    /// Packets, until one side ends it.
    async fn capture(
        &self,
        client: OwnedReadHalf,
        writer: &mut OwnedWriteHalf,
        query: CaptureQuery,
    ) -> Result<(), Failure> {
        let Ok(_place) = self.captures.try_acquire() else {
            let count = self.limits.captures;
            let message = format!("the daemon serves {count} captures already");
            let failure = Failure::new(exit::UNREACHABLE, message);
            return Err(failure.help("end one of them (pgrep -af 'fw-ctl capture'), then again"));
        };
        let Capture { telling, place } = self.events.captures.begin(query)?;
        until_gone(client, self.tell(writer, telling)).await;
        drop(place);
        Ok(())
    }

    async fn listen(&self, client: OwnedReadHalf, writer: &mut OwnedWriteHalf, listener: Listener) {
        until_gone(client, self.tell_all(writer, listener)).await;
    }

    async fn tell_all(&self, writer: &mut OwnedWriteHalf, listener: Listener) {
        match listener {
            Listener::Monitor => self.tell(writer, self.events.observed.listen()).await,
            Listener::Observer(query) => self.tell(writer, self.events.observed.ask(query)).await,
            Listener::Agent(span) => self.tell(writer, self.events.agent.ask(span)).await,
        }
    }

    async fn tell<T: Clone, V: Into<Reply>>(
        &self,
        writer: &mut OwnedWriteHalf,
        mut telling: Telling<T, V>,
    ) {
        // From here on nothing is missed: the client may say that it listens.
        let mut reply = Reply::Done(serde_json::Value::Null);
        while self.send(writer, &reply).await {
            reply = match telling.next().await {
                Some(Next::Told(one)) => one.into(),
                Some(Next::Missed(count)) => Reply::Lost(self.events.observed.missed(count)),
                None => return,
            };
        }
    }

    /// Whether the client took it in time.
    async fn send(&self, writer: &mut OwnedWriteHalf, reply: &Reply) -> bool {
        match line(reply) {
            Some(line) => self.deliver(writer, &line).await,
            None => false,
        }
    }

    async fn deliver(&self, writer: &mut OwnedWriteHalf, line: &[u8]) -> bool {
        let written = timeout(self.limits.delivery, writer.write_all(line)).await;
        matches!(written, Ok(Ok(())))
    }
}

/// Tells a listener everything, or until it is gone.
async fn until_gone(mut client: OwnedReadHalf, telling: impl Future<Output = ()>) {
    let mut byte = [0];
    tokio::select! {
        () = telling => {}
        // A listener says nothing more; what is readable is its end.
        _ = client.read(&mut byte) => {}
    }
}

/// Changes are root's, and what packets say. Who asked for one is in the log, whatever becomes
/// of it.
fn admit(request: &Request, peer: Peer) -> Result<(), Failure> {
    if !request.is_roots() {
        return Ok(());
    }
    let verb = request.verb();
    if peer.is_root() {
        tracing::info!("{verb}: asked for by {peer}");
        return Ok(());
    }
    tracing::warn!("{verb}: refused to {peer}, who is not root");
    let what = match request.changes() {
        true => "only root may change the firewall",
        false => "only root may capture packets",
    };
    let failure = Failure::new(exit::UNREACHABLE, what);
    Err(failure.help("run it with sudo"))
}

fn line(reply: &Reply) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(reply).ok()?;
    line.push(b'\n');
    Some(line)
}

/// Reads the request; `None` if the client went away without one.
async fn ask(reader: &mut BufReader<OwnedReadHalf>) -> Result<Option<Request>, Failure> {
    let mut line = Vec::new();
    // One byte more than may be, to tell what is too long from what just fits.
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX) + 1;
    match reader.take(limit).read_until(b'\n', &mut line).await {
        Ok(read) if read > MAX_REQUEST => Err(Failure::new(
            exit::USAGE,
            format!("the request is longer than {MAX_REQUEST} bytes"),
        )),
        Ok(read) if read > 0 => Request::read(&line).map(Some),
        _ => Ok(None),
    }
}

fn full(places: &Places, what: &str, root: bool) -> Failure {
    let count = places.count();
    if root {
        let reserve = places.reserve();
        return Failure::new(
            exit::UNREACHABLE,
            format!(
                "the daemon serves {count} {what} already, and the {reserve} places for root \
                 alone are taken"
            ),
        )
        .help("end other clients of root (pgrep -a fw-ctl), then again");
    }
    Failure::new(
        exit::UNREACHABLE,
        format!("the daemon serves {count} {what} already"),
    )
    .help("again in a moment; root has places of its own")
}

fn busy() -> Failure {
    Failure::new(
        exit::UNREACHABLE,
        "the daemon is busy with the requests of others",
    )
    .help("again in a moment; root does not wait for others")
}

#[cfg(test)]
#[path = "server_hostile_tests.rs"]
mod hostile_tests;
#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
