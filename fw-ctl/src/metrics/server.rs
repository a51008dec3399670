//! Where they are served: HTTP/1.1 on an address of the node itself, unless configured otherwise.
//!
//! That it cannot be served is no reason not to filter: it is told, and tried again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Request as HttpRequest;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

use super::Listening;
use super::answers::{Answers, Source};
use crate::why::why;

/// Connections at one time. Who comes when they are all taken takes the place of the one that
/// has been there for longest: a scrape takes milliseconds, so that is who asks nothing, or
/// does not read.
pub(super) const CLIENTS: usize = 32;
/// For a request to be there.
const PATIENCE: Duration = Duration::from_secs(5);
/// For everything: request, answer, and taking it.
const LIFE: Duration = Duration::from_secs(20);
/// Bytes of a request: its headers.
const REQUEST: usize = 16 * 1024;
/// Until the address is tried again: it may not be there yet.
const AGAIN: Duration = Duration::from_secs(5);

/// Serves until it is dropped.
pub struct Server {
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves where the settings of `source` say, also when they change. What hinders is told to
/// `listening`.
#[must_use]
pub fn serve(source: Source, listening: Listening) -> Server {
    let task = tokio::spawn(async move {
        let mut settings = source.settings.clone();
        let answers = Arc::new(Answers::new(source));
        loop {
            let listen = settings.borrow_and_update().listen;
            let elsewhere = settings.wait_for(|settings| settings.listen != listen);
            tokio::select! {
                () = serve_at(listen.0, &answers, &listening) => {}
                changed = elsewhere => if changed.is_err() {
                    return;
                },
            }
        }
    });
    Server { task }
}

/// Until the settings change; `None`: nowhere.
async fn serve_at(listen: Option<SocketAddr>, answers: &Arc<Answers>, listening: &Listening) {
    let Some(address) = listen else {
        listening.set(None);
        return std::future::pending().await;
    };
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                listening.set(None);
                tracing::info!("metrics are served at http://{address}/metrics");
                accept(&listener, answers).await;
            }
            Err(error) => {
                let trouble = cannot_listen(address, &error);
                if listening.set(Some(trouble.clone())) {
                    tracing::warn!("{trouble}");
                }
            }
        }
        sleep(AGAIN).await;
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => format!(
            "another program has the port (ss -ltnp 'sport = :{}'); try: another one in \
             metrics.listen, or \"off\"",
            address.port()
        ),
        ErrorKind::AddrNotAvailable => {
            "the node does not have the address; tried again every 5 s, or try: another one in \
             metrics.listen, or \"off\""
                .to_owned()
        }
        _ => "tried again every 5 s; or try: another address in metrics.listen, or \"off\""
            .to_owned(),
    };
    format!(
        "metrics are not served on {address}: {}: {advice}",
        why(error)
    )
}

/// Serves whoever comes, for ever.
pub(super) async fn accept(listener: &TcpListener, answers: &Arc<Answers>) {
    let mut clients = Clients::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, mostly: wait for clients to go away.
                tracing::warn!("metrics: cannot accept: {}", why(&error));
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if clients.make_room() {
            answers.displaced.fetch_add(1, Ordering::Relaxed);
        }
        let served = connection(stream, Arc::clone(answers));
        clients.0.push_back(tokio::spawn(served).abort_handle());
    }
}

/// Those that are connected, the longest first; gone when this is dropped.
#[derive(Default)]
struct Clients(VecDeque<AbortHandle>);

impl Clients {
    /// Returns whether somebody had to go for it.
    fn make_room(&mut self) -> bool {
        self.0.retain(|client| !client.is_finished());
        let oldest = match self.0.len() {
            CLIENTS.. => self.0.pop_front(),
            _ => None,
        };
        oldest.inspect(AbortHandle::abort).is_some()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for client in &self.0 {
            client.abort();
        }
    }
}

async fn connection(stream: TcpStream, answers: Arc<Answers>) {
    let service = service_fn(move |request: HttpRequest<Incoming>| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, Infallible>(answers.respond(&request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(REQUEST)
        // A connection for each scrape is cheap, and none lies idle on a place.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off, or does not end, is its own matter.
    let _ = timeout(LIFE, served).await;
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
