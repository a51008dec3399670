//! The daemon's side of the control socket.
//!
//! Every client has a task of its own, a limit on what it may send and a time in
//! which it must take what it gets, so that none can hold up the daemon.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};

use super::protocol::{Failure, MAX_REQUEST, Reply, Request};
use crate::exit;
use crate::observe::Record;
use crate::why::why;

/// Clients at one time.
const CLIENTS: usize = 64;
/// How long a client may take to ask, and to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// `rw-rw----`: the group may ask.
const SOCKET_MODE: u32 = 0o660;

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
    let task = tokio::spawn(accept(listener, calls, records));
    Ok(Server {
        path: path.to_owned(),
        task,
    })
}

async fn accept(
    listener: UnixListener,
    calls: mpsc::Sender<Call>,
    records: broadcast::Sender<Arc<Record>>,
) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, mostly: wait for clients to go away.
                tracing::warn!("control socket: cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tokio::spawn(async move {
                let (_, mut writer) = stream.into_split();
                let failure = Failure::new(
                    exit::UNREACHABLE,
                    format!("the daemon serves {CLIENTS} clients already"),
                );
                send(&mut writer, &Reply::Failed(failure)).await
            });
            continue;
        };
        let calls = calls.clone();
        let records = records.clone();
        tokio::spawn(async move {
            client(stream, calls, records).await;
            drop(place);
        });
    }
}

async fn client(
    stream: UnixStream,
    calls: mpsc::Sender<Call>,
    records: broadcast::Sender<Arc<Record>>,
) {
    let uid = stream.peer_cred().map(|credentials| credentials.uid());
    let (reader, mut writer) = stream.into_split();
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    let mut reader = BufReader::new(reader.take(limit));
    let mut line = Vec::new();
    match tokio::time::timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await {
        Ok(Ok(read)) if read > 0 => {}
        // It went away, or never asked.
        _ => return,
    }
    let request = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => request,
        Err(error) => {
            let failure = Failure::new(
                exit::USAGE,
                format!("the request is not understood: {error}"),
            );
            send(&mut writer, &Reply::Failed(failure)).await;
            return;
        }
    };
    if request.changes() && !matches!(uid, Ok(0)) {
        let failure = Failure::new(exit::UNREACHABLE, "only root may change the firewall")
            .help("run it with sudo");
        send(&mut writer, &Reply::Failed(failure)).await;
        return;
    }
    if request == Request::Monitor {
        let mut gone = reader.into_inner().into_inner();
        let mut byte = [0];
        let records = records.subscribe();
        // From here on nothing is missed: the client may say that it listens.
        if !send(&mut writer, &Reply::Done(serde_json::Value::Null)).await {
            return;
        }
        tokio::select! {
            () = monitor(&mut writer, records) => {}
            // A monitor says nothing more; what is readable is its end.
            _ = gone.read(&mut byte) => {}
        }
        return;
    }
    let (answer, answered) = oneshot::channel();
    let reply = if calls.send(Call { request, answer }).await.is_err() {
        Reply::Failed(Failure::new(exit::UNREACHABLE, "the daemon is stopping"))
    } else {
        match answered.await {
            Ok(Ok(value)) => Reply::Done(value),
            Ok(Err(failure)) => Reply::Failed(failure),
            Err(_) => Reply::Failed(Failure::new(exit::UNREACHABLE, "the daemon is stopping")),
        }
    };
    send(&mut writer, &reply).await;
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
