//! Where Hubble's API is served.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt, unfold};
use tokio::net::{UnixListener, UnixStream};
use tonic::transport::Server as Grpc;

use super::connection::{Asker, Connection};
use super::service::{Health, Hubble, Observer, Peer};
use crate::control::places::Places;
use crate::control::protocol::Failure;
use crate::control::socket::{self, Served};
use crate::exit;
use crate::observe::Events;
use crate::why::why;

/// Connections at one time, and how many more only root may have.
pub(super) const CLIENTS: (usize, usize) = (16, 4);
/// Requests that one connection may have open.
const STREAMS: u32 = 8;
/// Requests that are told flows at one time, and how many more only root may have: one that takes
/// nothing keeps the history of the moment at which it asked.
pub(super) const FEEDS: (usize, usize) = (32, 8);
/// A client that says nothing for so long is asked whether it is there, and has as long to answer.
const ALIVE: Duration = Duration::from_secs(30);

/// Binds `path` and serves there. The caller holds the lock of the run directory, so that a
/// socket that lies there is a dead daemon's.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(path: &Path, events: &Events) -> Result<Served, Failure> {
    serve_with(path, events, Asker::of)
}

/// Who a client is.
pub(super) type Identify = fn(&UnixStream) -> Asker;

pub(super) fn serve_with(
    path: &Path,
    events: &Events,
    identify: Identify,
) -> Result<Served, Failure> {
    let failed = |error: io::Error| {
        let path = path.display();
        let message = format!(
            "cannot make the socket of Hubble's API {path}: {}",
            why(&error)
        );
        Failure::new(exit::UNREACHABLE, message)
    };
    let listener = socket::listen_at(path).map_err(failed)?;
    let listener = UnixListener::from_std(listener).map_err(failed)?;
    let clients = Places::new(CLIENTS.0, CLIENTS.1);
    let incoming = unfold(
        (listener, clients, identify),
        async |(listener, clients, identify)| {
            let connection = accept(&listener, &clients, identify).await;
            Some((connection, (listener, clients, identify)))
        },
    );
    let address = format!("unix://{}", path.display());
    let served = answer(events, &address, FEEDS, incoming.boxed());
    Ok(Served::new(path, tokio::spawn(served)))
}

/// Answers what comes in at `address`, where so many requests are told flows at one time, and
/// so many more of root.
pub(super) fn answer(
    events: &Events,
    address: &str,
    feeds: (usize, usize),
    incoming: BoxStream<'static, Connection>,
) -> impl Future<Output = ()> + Send + use<> {
    let hubble = Hubble {
        events: events.clone(),
        address: address.into(),
        feeds: Places::new(feeds.0, feeds.1),
    };
    let incoming = incoming.map(Ok::<_, Infallible>);
    let served = Grpc::builder()
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(ALIVE))
        .http2_keepalive_timeout(Some(ALIVE))
        .add_service(Observer(hubble.clone()))
        .add_service(Peer(hubble.clone()))
        .add_service(Health(hubble))
        .serve_with_incoming(incoming);
    async move {
        if let Err(error) = served.await {
            tracing::error!("Hubble's API is not served any more: {error}");
        }
    }
}

/// The next client for whom there is a place. Others are hung up on: who waits would not know
/// what for.
async fn accept(listener: &UnixListener, clients: &Places, identify: Identify) -> Connection {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, mostly: wait for clients to go away.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let asker = identify(&stream);
        if let Some(place) = clients.take(asker.is_root) {
            return Connection::new(Box::new(stream), asker, place);
        }
        tracing::warn!(
            "Hubble's API has no place for another client: {} at one time",
            CLIENTS.0
        );
    }
}

impl Asker {
    /// As the kernel knew the process when it connected.
    fn of(stream: &UnixStream) -> Self {
        let is_root = stream.peer_cred().is_ok_and(|peer| peer.uid() == 0);
        Self { is_root }
    }
}
