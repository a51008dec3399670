//! The client's side of the control socket; blocking, for the command line.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::protocol::{Failure, MAX_LINE, Reply, Request};
use crate::exit;
use crate::why::why;

/// A reload may compile for a while; silence beyond this is a dead daemon.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection on which a request was sent.
pub struct Replies {
    reader: BufReader<UnixStream>,
}

/// Sends a request to the daemon behind `socket`.
///
/// # Errors
/// When there is no daemon, or the socket may not be opened.
pub fn send(socket: &Path, request: &Request) -> Result<Replies, Failure> {
    let mut stream = UnixStream::connect(socket).map_err(|error| unreachable(socket, &error))?;
    let io = |error: std::io::Error| {
        Failure::new(
            exit::UNREACHABLE,
            format!(
                "the daemon behind {} does not listen: {error}",
                socket.display()
            ),
        )
    };
    // A monitor waits for verdicts as long as it takes.
    let patience = (*request != Request::Monitor).then_some(PATIENCE);
    stream.set_read_timeout(patience).map_err(io)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(io)?;
    let mut line = serde_json::to_string(request)
        .map_err(|error| Failure::new(exit::USAGE, format!("cannot write the request: {error}")))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(io)?;
    Ok(Replies {
        reader: BufReader::new(stream),
    })
}

/// Sends a request and reads its one answer.
///
/// # Errors
/// As [`send`], and everything that the daemon refuses.
pub fn ask<T: serde::de::DeserializeOwned>(socket: &Path, request: &Request) -> Result<T, Failure> {
    let answer = send(socket, request)?.next();
    match answer {
        Some(Ok(Reply::Done(value))) => serde_json::from_value(value).map_err(|error| {
            Failure::new(
                exit::UNREACHABLE,
                format!("the daemon's answer is not understood: {error}"),
            )
            .help("client and daemon may differ in version: systemctl restart fw-ctl")
        }),
        Some(Ok(Reply::Failed(failure)) | Err(failure)) => Err(failure),
        Some(Ok(Reply::Record(_) | Reply::Missed(_))) | None => Err(Failure::new(
            exit::UNREACHABLE,
            "the daemon closed the connection without an answer",
        )
        .help("journalctl -u fw-ctl")),
    }
}

impl Iterator for Replies {
    type Item = Result<Reply, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        match self
            .reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)
        {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_slice(&line).map_err(|error| {
                Failure::new(
                    exit::UNREACHABLE,
                    format!("the daemon's answer is not understood: {error}"),
                )
            })),
            Err(error) => Some(Err(Failure::new(
                exit::UNREACHABLE,
                format!("the daemon does not answer: {}", why(&error)),
            )
            .help("journalctl -u fw-ctl"))),
        }
    }
}

fn unreachable(socket: &Path, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind;
    let socket = socket.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::new(
            exit::UNREACHABLE,
            format!("fw-ctl's daemon is not running: nobody listens on {socket}"),
        )
        .help("systemctl start fw-ctl"),
        ErrorKind::PermissionDenied => {
            Failure::new(exit::UNREACHABLE, format!("you may not open {socket}"))
                .help("run it as root, or as a member of the group that owns the socket")
        }
        _ => Failure::new(
            exit::UNREACHABLE,
            format!("cannot reach the daemon at {socket}: {}", why(error)),
        ),
    }
}
