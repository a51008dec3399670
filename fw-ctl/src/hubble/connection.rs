//! A connection of a client, with the place that it takes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::control::places::Place;

/// Who asks: beside every request of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Root has places of its own.
    pub is_root: bool,
}

/// What bytes come and go by.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Gives its place back when it is closed.
pub struct Connection {
    stream: Box<dyn Wire>,
    asker: Asker,
    _place: Place,
}

impl Connection {
    /// Of a client who has got a place.
    pub fn new(stream: Box<dyn Wire>, asker: Asker, place: Place) -> Self {
        Self {
            stream,
            asker,
            _place: place,
        }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut dyn Wire> {
        Pin::new(&mut *self.get_mut().stream)
    }
}

impl Connected for Connection {
    type ConnectInfo = Asker;

    fn connect_info(&self) -> Asker {
        self.asker
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
