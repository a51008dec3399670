//! Hubble's API for other machines: TCP, with certificates on both sides ([`super::tls`]).
//!
//! Places are apart from those of the socket on this machine: whatever comes from the network,
//! who sits at the machine is served. Who has not shown a certificate has a place among few,
//! for a short time, and none of those of clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{StreamExt, unfold};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet, block_in_place};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::connection::{Asker, Connection};
use super::server::answer;
use super::tls::Tls;
use crate::config::TlsFiles;
use crate::control::places::Places;
use crate::control::protocol::Failure;
use crate::exit;
use crate::observe::Events;
use crate::why::why;

/// Clients at one time.
pub(super) const CLIENTS: usize = 16;
/// Requests that are told flows at one time.
const FEEDS: usize = 32;
/// Strangers at one time, who have not shown a certificate yet.
const STRANGERS: usize = 64;
/// They have so long to do so.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// What cannot be served now (an address that is not there yet, a certificate that is to be
/// written) is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// Serves until it is dropped.
pub struct Remote(JoinHandle<()>);

impl Drop for Remote {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves at an address, as soon as that is possible.
#[must_use]
pub fn serve_remote(at: SocketAddr, files: TlsFiles, events: Events) -> Remote {
    Remote(tokio::spawn(async move {
        let mut told = None;
        loop {
            match open(at, &files).await {
                Ok((listener, tls)) => {
                    tracing::info!("Hubble's API is served at {at}");
                    return serve(listener, Arc::new(tls), &events).await;
                }
                Err(failure) => {
                    let failure = failure.to_string();
                    if told.as_ref() != Some(&failure) {
                        tracing::error!("Hubble's API is not served at {at}: {failure}");
                        told = Some(failure);
                    }
                }
            }
            sleep(AGAIN).await;
        }
    }))
}

/// The certificates first: nobody shall connect who would not be served.
pub(super) async fn open(at: SocketAddr, files: &TlsFiles) -> Result<(TcpListener, Tls), Failure> {
    let tls = block_in_place(|| Tls::open(files.clone()))?;
    let listener = TcpListener::bind(at).await.map_err(|error| {
        let message = format!("hubble.listen: {}", why(&error));
        Failure::new(exit::UNREACHABLE, message)
    })?;
    Ok((listener, tls))
}

/// Serves who comes.
pub(super) async fn serve(listener: TcpListener, tls: Arc<Tls>, events: &Events) {
    let address = listener.local_addr().map(|address| address.to_string());
    let (door, inside) = mpsc::channel(1);
    let incoming = unfold(inside, async |mut inside: mpsc::Receiver<Connection>| {
        let connection = inside.recv().await?;
        Some((connection, inside))
    });
    let address = address.unwrap_or_default();
    let answered = answer(events, &address, (FEEDS, 0), incoming.boxed());
    tokio::select! {
        () = answered => {}
        () = accept(&listener, &tls, &door) => {}
    }
}

async fn accept(listener: &TcpListener, tls: &Arc<Tls>, door: &mpsc::Sender<Connection>) {
    let (strangers, clients) = (Places::new(STRANGERS, 0), Places::new(CLIENTS, 0));
    // They end with this.
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors, mostly: wait for clients to go away.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        // Others are hung up on. Not a word in the journal: strangers could fill it.
        let Some(place) = strangers.take(false) else {
            continue;
        };
        let acceptor = block_in_place(|| tls.acceptor());
        let (clients, door) = (clients.clone(), door.clone());
        handshakes.spawn(async move {
            match admit(stream, &acceptor, &clients).await {
                Ok(connection) => {
                    drop(place);
                    // Nobody takes it when the daemon ends.
                    let _ = door.send(connection).await;
                }
                Err(why) => tracing::debug!("Hubble's API refuses {peer}: {why}"),
            }
        });
    }
}

/// Who shows a certificate, and has a place.
async fn admit(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    clients: &Places,
) -> Result<Connection, String> {
    // Answers are small, and somebody waits for each.
    stream.set_nodelay(true).map_err(|error| why(&error))?;
    let shaken = timeout(HANDSHAKE, acceptor.accept(stream)).await;
    let shaken = shaken.map_err(|_| format!("no certificate within {} s", HANDSHAKE.as_secs()))?;
    let stream = shaken.map_err(|error| error.to_string())?;
    let place = clients.take(false);
    let place = place.ok_or_else(|| format!("{CLIENTS} clients are served already"))?;
    let asker = Asker { is_root: false };
    Ok(Connection::new(Box::new(stream), asker, place))
}
