//! The daemon's side of the control socket.
//!
//! Every client has a task of its own, a limit on what it may send, and a time in
//! which it must ask and take what it gets, so that none can hold up the daemon.
//! Those that have not asked yet, requests and monitors have places apart from each
//! other, and of each kind some are root's: whatever others do, root is heard.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::places::{Place, Places};
use super::protocol::{Failure, MAX_REQUEST, Reply, Request};
use crate::exit;
use crate::observe::Record;
use crate::why::why;

/// How long a client may take to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// `rw-rw----`: the group may ask.
const SOCKET_MODE: u32 = 0o660;

/// What clients may have at one time, and how long they may take to ask for it.
#[derive(Clone, Copy)]
struct Limits {
    /// Clients that have not asked yet.
    asking: usize,
    /// Requests that wait for an answer.
    requests: usize,
    /// Monitors.
    monitors: usize,
    /// Places of each kind that only root may take.
    reserve: usize,
    /// From connecting to the end of the line. Programs ask at once.
    patience: Duration,
}

const LIMITS: Limits = Limits {
    asking: 128,
    requests: 64,
    monitors: 32,
    reserve: 8,
    patience: Duration::from_secs(2),
};

/// Whether the client is root.
type IsRoot = fn(&UnixStream) -> bool;

/// A request on its way to the daemon.
pub struct Call {
    /// What is wanted.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<serde_json::Value, Failure>>,
}

/// Listens; removes the socket when dropped.
pub struct Server {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // Somebody may have removed it before; then there is nothing left to do.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds `path` and serves. The caller holds the lock of the run directory, so
/// that a socket that lies there is a dead daemon's.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(
    path: &Path,
    calls: mpsc::Sender<Call>,
    records: broadcast::Sender<Arc<Record>>,
) -> Result<Server, Failure> {
    let is_root = |stream: &UnixStream| {
        let credentials = stream.peer_cred();
        credentials.is_ok_and(|credentials| credentials.uid() == 0)
    };
    serve_with(path, calls, records, LIMITS, is_root)
}

fn serve_with(
    path: &Path,
    calls: mpsc::Sender<Call>,
    records: broadcast::Sender<Arc<Record>>,
    limits: Limits,
    is_root: IsRoot,
) -> Result<Server, Failure> {
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
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    let house = Arc::new(House {
        calls,
        records,
        asking: Places::new(limits.asking, limits.reserve),
        requests: Places::new(limits.requests, limits.reserve),
        monitors: Places::new(limits.monitors, limits.reserve),
        patience: limits.patience,
    });
    let task = tokio::spawn(accept(listener, house, is_root));
    Ok(Server {
        path: path.to_owned(),
        task,
    })
}

/// What all clients share.
struct House {
    calls: mpsc::Sender<Call>,
    records: broadcast::Sender<Arc<Record>>,
    asking: Places,
    requests: Places,
    monitors: Places,
    patience: Duration,
}

async fn accept(listener: UnixListener, house: Arc<House>, is_root: IsRoot) {
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
        let root = is_root(&stream);
        let place = house.asking.take(root);
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            let (reader, mut writer) = stream.into_split();
            let served = match place {
                Some(place) => house.client(reader, &mut writer, root, place).await,
                None => Err(full(&house.asking, "clients that have not asked yet", root)),
            };
            if let Err(failure) = served {
                send(&mut writer, &Reply::Failed(failure)).await;
            }
        });
    }
}

impl House {
    /// Serves one client. An error is what it is to be told in the end.
    async fn client(
        &self,
        reader: OwnedReadHalf,
        writer: &mut OwnedWriteHalf,
        root: bool,
        place: Place,
    ) -> Result<(), Failure> {
        let mut reader = BufReader::new(reader);
        let request = match tokio::time::timeout(self.patience, ask(&mut reader)).await {
            Ok(Ok(Some(request))) => request,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(failure)) => return Err(failure),
            Err(_) => {
                let time = self.patience.as_secs_f32();
                let message = format!("no request came within {time} s");
                return Err(Failure::new(exit::USAGE, message));
            }
        };
        drop(place);
        if request.changes() && !root {
            return Err(
                Failure::new(exit::UNREACHABLE, "only root may change the firewall")
                    .help("run it with sudo"),
            );
        }
        if request == Request::Monitor {
            let Some(_place) = self.monitors.take(root) else {
                return Err(full(&self.monitors, "monitors", root));
            };
            self.monitor(reader.into_inner(), writer).await;
            return Ok(());
        }
        let Some(_place) = self.requests.take(root) else {
            return Err(full(&self.requests, "requests", root));
        };
        let stopping = || Failure::new(exit::UNREACHABLE, "the daemon is stopping");
        let (answer, answered) = oneshot::channel();
        let sent = self.calls.send(Call { request, answer }).await;
        sent.map_err(|_| stopping())?;
        let value = answered.await.map_err(|_| stopping())??;
        send(writer, &Reply::Done(value)).await;
        Ok(())
    }

    async fn monitor(&self, mut client: OwnedReadHalf, writer: &mut OwnedWriteHalf) {
        let records = self.records.subscribe();
        // From here on nothing is missed: the client may say that it listens.
        if !send(writer, &Reply::Done(serde_json::Value::Null)).await {
            return;
        }
        let mut byte = [0];
        tokio::select! {
            () = monitor(writer, records) => {}
            // A monitor says nothing more; what is readable is its end.
            _ = client.read(&mut byte) => {}
        }
    }
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

async fn monitor(writer: &mut OwnedWriteHalf, mut records: broadcast::Receiver<Arc<Record>>) {
    loop {
        let reply = match records.recv().await {
            Ok(record) => Reply::Record(Box::new((*record).clone())),
            Err(broadcast::error::RecvError::Lagged(missed)) => Reply::Missed(missed),
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if !send(writer, &reply).await {
            return;
        }
    }
}

/// Whether the client took it in time.
async fn send(writer: &mut OwnedWriteHalf, reply: &Reply) -> bool {
    let Ok(mut line) = serde_json::to_vec(reply) else {
        return false;
    };
    line.push(b'\n');
    matches!(
        tokio::time::timeout(PATIENCE, writer.write_all(&line)).await,
        Ok(Ok(()))
    )
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
