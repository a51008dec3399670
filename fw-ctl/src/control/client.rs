//! The client's side of the control socket; blocking, for the command line.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr};
use nix::sys::socket::{getsockopt, setsockopt, socket};
use nix::sys::time::{TimeVal, TimeValLike};

use super::protocol::{Failure, MAX_LINE, ModeChange, Reply, Request};
use crate::exit;
use crate::observe::now;
use crate::why::why;

/// A reload may compile for a while; silence beyond this is a dead daemon.
const RELOAD: Duration = Duration::from_mins(2);
/// Everything else is answered at once.
const PATIENCE: Duration = Duration::from_secs(15);
/// Who brakes does not wait for a daemon that hangs: then it is done without.
const BRAKE: Duration = Duration::from_secs(5);

/// How long an answer may take; a monitor waits for verdicts as long as it takes.
fn patience(request: &Request) -> Option<Duration> {
    match request {
        // Whoever follows waits as long as it takes.
        Request::Monitor | Request::Capture(_) => None,
        Request::Observe(query) if query.span.follow => None,
        Request::AgentEvents(span) if span.follow => None,
        Request::Mode {
            set: Some(ModeChange::Audit),
            ..
        } => Some(BRAKE),
        Request::Reload(_) | Request::Rollback { .. } | Request::Mode { set: Some(_), .. } => {
            Some(RELOAD)
        }
        _ => Some(PATIENCE),
    }
}

/// What to try where the daemon does not answer; the ways out of distress do not end in
/// reading logs.
fn help(request: &Request, daemon: &UnixStream) -> String {
    let command = match request {
        Request::Detach => "detach",
        Request::Mode {
            set: Some(ModeChange::Audit),
            ..
        } => "mode audit",
        _ => return "journalctl -u fw-ctl".into(),
    };
    // Of the process that listens, whether it lives or is stopped.
    match getsockopt(daemon, PeerCredentials) {
        Ok(peer) if peer.pid() > 0 => {
            let pid = peer.pid();
            format!("kill -9 {pid} (the daemon), then fw-ctl {command} again")
        }
        _ => format!("kill -9 the daemon, then fw-ctl {command} again"),
    }
}

/// A connection on which a request was sent.
pub struct Replies {
    reader: BufReader<UnixStream>,
    patience: Duration,
    /// What to try if no answer comes.
    help: String,
    lasts: Lasts,
}

/// How long there are replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    /// Until all were told.
    UntilAll,
    /// As long as the daemon lives, or until this moment: nanoseconds since 1970.
    Until(u64),
}

impl Lasts {
    fn of(request: &Request) -> Self {
        let span = match request {
            Request::Monitor | Request::Capture(_) => return Self::Until(u64::MAX),
            Request::Observe(query) => &query.span,
            Request::AgentEvents(span) => span,
            _ => return Self::UntilAll,
        };
        match span.follow {
            true => Self::Until(span.until.unwrap_or(u64::MAX)),
            false => Self::UntilAll,
        }
    }
}

/// Sends a request to the daemon behind `socket`.
///
/// # Errors
/// When there is no daemon, or the socket may not be opened.
pub fn send(socket: &Path, request: &Request) -> Result<Replies, Failure> {
    let stream = connect(socket, patience(request).unwrap_or(PATIENCE));
    let stream = stream.map_err(|error| unreachable(socket, &error))?;
    say(stream, socket, request)
}

/// A daemon that hangs takes no clients, and the kernel lets only so many wait for it:
/// the next one waits for `patience` at most.
fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let micros = i64::try_from(patience.as_micros()).unwrap_or(i64::MAX);
    setsockopt(&stream, SendTimeout, &TimeVal::microseconds(micros))?;
    nix::sys::socket::connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(stream.into())
}

fn say(mut stream: UnixStream, socket: &Path, request: &Request) -> Result<Replies, Failure> {
    let io = |error: std::io::Error| {
        Failure::new(
            exit::UNREACHABLE,
            format!(
                "the daemon behind {} does not listen: {}",
                socket.display(),
                why(&error)
            ),
        )
    };
    let patience = patience(request);
    stream.set_read_timeout(patience).map_err(io)?;
    let writing = patience.map_or(PATIENCE, |patience| patience.min(PATIENCE));
    stream.set_write_timeout(Some(writing)).map_err(io)?;
    let help = help(request, &stream);
    let mut line = serde_json::to_string(request)
        .map_err(|error| Failure::new(exit::USAGE, format!("cannot write the request: {error}")))?;
    line.push('\n');
    let written = stream.write_all(line.as_bytes());
    let mut reader = BufReader::new(stream);
    if let Err(error) = written {
        // A daemon that refuses before it has read everything hangs up, but what
        // it said is still to be had, and tells more than "broken pipe".
        let hung_up = matches!(
            error.kind(),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
        );
        if !hung_up {
            return Err(io(error));
        }
        if !reader.fill_buf().is_ok_and(|said| !said.is_empty()) {
            let socket = socket.display();
            return Err(Failure::new(
                exit::UNREACHABLE,
                format!("the daemon behind {socket} hung up before it was asked"),
            )
            .help("journalctl -u fw-ctl"));
        }
    }
    Ok(Replies {
        reader,
        patience: patience.unwrap_or_default(),
        help,
        lasts: Lasts::of(request),
    })
}

/// Sends a request and reads its one answer.
///
/// # Errors
/// As [`send`], and everything that the daemon refuses.
pub fn ask<T: serde::de::DeserializeOwned>(socket: &Path, request: &Request) -> Result<T, Failure> {
    let answer = send(socket, request)?.next();
    match answer {
        Some(Ok(Reply::Done(value))) => serde_json::from_value(value).map_err(|_| not_understood()),
        Some(Ok(Reply::Failed(failure)) | Err(failure)) => Err(failure),
        Some(Ok(
            Reply::Record(_)
            | Reply::Flow(_)
            | Reply::Packet(_)
            | Reply::Lost(_)
            | Reply::AgentEvent(_),
        ))
        | None => Err(Failure::new(
            exit::UNREACHABLE,
            "the daemon closed the connection without an answer",
        )
        .help("journalctl -u fw-ctl")),
    }
}

impl Iterator for Replies {
    type Item = Result<Reply, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let reply = next(&mut self.reader, self.patience, &self.help);
        match (&reply, std::mem::replace(&mut self.lasts, Lasts::UntilAll)) {
            (None, Lasts::Until(moment)) if now() < moment => Some(Err(hung_up())),
            (None | Some(Err(_)), _) => reply,
            (Some(Ok(_)), lasts) => {
                self.lasts = lasts;
                reply
            }
        }
    }
}

/// Replies have ended that should not.
#[must_use]
pub fn hung_up() -> Failure {
    let what =
        "the daemon has hung up: it has ended, or starts anew, or nobody has read what it told";
    Failure::new(exit::UNREACHABLE, what).help("fw-ctl status")
}

/// The next reply, which may have taken so long; `None` at the end. `help`: what to try if
/// none comes.
pub(crate) fn next(
    reader: &mut impl BufRead,
    patience: Duration,
    help: &str,
) -> Option<Result<Reply, Failure>> {
    match line(reader, MAX_LINE) {
        Ok(Line::End) => None,
        Ok(Line::Whole(line)) => Some(serde_json::from_slice(&line).map_err(|_| not_understood())),
        Ok(Line::TooLong) => Some(Err(too_long(MAX_LINE))),
        Err(error) => Some(Err(Failure::new(
            exit::UNREACHABLE,
            match error.kind() {
                ErrorKind::WouldBlock => {
                    let seconds = patience.as_secs_f32();
                    format!(
                        "the daemon has not answered for {seconds} s: it is busy or hangs; \
                         the filter goes on without it"
                    )
                }
                _ => format!("the daemon does not answer: {}", why(&error)),
            },
        )
        .help(help))),
    }
}

/// What came until the next end of a line.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// The daemon has hung up.
    End,
    /// With its end, if the daemon did not hang up before.
    Whole(Vec<u8>),
    /// More than is read.
    TooLong,
}

/// Reads a line of at most `limit` bytes, its end included.
fn line(reader: &mut impl BufRead, limit: usize) -> std::io::Result<Line> {
    let mut line = Vec::new();
    // One byte more than may be, to tell what is too long from what just fits.
    let more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(more).read_until(b'\n', &mut line)?;
    Ok(match line.len() {
        0 => Line::End,
        length if length > limit => Line::TooLong,
        _ => Line::Whole(line),
    })
}

fn too_long(limit: usize) -> Failure {
    Failure::new(
        exit::UNREACHABLE,
        format!("the daemon's answer is longer than the {limit} bytes that are read"),
    )
    .help("journalctl -u fw-ctl")
}

/// What serde says of it is about types of Rust, and helps nobody.
fn not_understood() -> Failure {
    Failure::new(exit::UNREACHABLE, "the daemon's answer is not understood")
        .help("client and daemon may differ in version: systemctl restart fw-ctl")
}

fn unreachable(socket: &Path, error: &std::io::Error) -> Failure {
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
        ErrorKind::WouldBlock => Failure::new(
            exit::UNREACHABLE,
            format!("the daemon behind {socket} takes no more clients: it is busy or hangs"),
        )
        .help("journalctl -u fw-ctl"),
        _ => Failure::new(
            exit::UNREACHABLE,
            format!("cannot reach the daemon at {socket}: {}", why(error)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use fw_common::wire::SINGLES;
    use nix::sys::socket::Backlog;

    use super::*;
    use crate::control::protocol::{Change, MAX_REASON};
    use crate::observe::{Query, Span};

    #[test]
    fn only_a_reload_is_waited_for_long() {
        assert_eq!(patience(&Request::Reload(Change::default())), Some(RELOAD));
        for request in [
            Request::Status,
            Request::Mode {
                set: None,
                change: Change::default(),
            },
            Request::Detach,
        ] {
            assert_eq!(patience(&request), Some(PATIENCE));
        }
        assert_eq!(patience(&Request::Monitor), None);
    }

    #[test]
    fn the_brake_waits_a_few_seconds_only() {
        let mode = |set| Request::Mode {
            set: Some(set),
            change: Change::default(),
        };
        let of = |set| patience(&mode(set));
        assert_eq!(of(ModeChange::Audit), Some(Duration::from_secs(5)));
        assert_eq!(of(ModeChange::Enforce), Some(RELOAD));
    }

    #[test]
    fn who_wants_out_is_told_which_daemon_to_kill() {
        let (_daemon, client) = UnixStream::pair().unwrap();
        let pid = std::process::id();
        let told = help(&Request::Detach, &client);
        let kill = format!("kill -9 {pid} (the daemon), then fw-ctl detach again");
        assert_eq!(told, kill);
        assert_eq!(help(&Request::Status, &client), "journalctl -u fw-ctl");
    }

    #[test]
    fn a_daemon_that_takes_no_more_clients_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let flags = SockFlag::empty();
        let daemon = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        let address = UnixAddr::new(&path).unwrap();
        nix::sys::socket::bind(daemon.as_raw_fd(), &address).unwrap();
        nix::sys::socket::listen(&daemon, Backlog::new(0).unwrap()).unwrap();
        let patience = Duration::from_millis(50);
        let waiting: Vec<_> = (0..3).map(|_| connect(&path, patience)).collect();
        let error = waiting.last().unwrap().as_ref().unwrap_err();
        let told = unreachable(&path, error);
        assert_eq!(told.exit, exit::UNREACHABLE);
        assert!(told.message.ends_with("it is busy or hangs"), "{told}");
    }

    #[test]
    fn a_daemon_that_does_not_answer_is_told() {
        let (_daemon, client) = UnixStream::pair().unwrap();
        let patience = Duration::from_millis(50);
        client.set_read_timeout(Some(patience)).unwrap();
        let mut replies = Replies {
            reader: BufReader::new(client),
            patience,
            help: String::new(),
            lasts: Lasts::UntilAll,
        };
        let failure = replies.next().unwrap().unwrap_err();
        assert_eq!(failure.exit, exit::UNREACHABLE);
        let told = "the daemon has not answered for 0.05 s: it is busy or hangs";
        assert!(failure.message.starts_with(told), "{failure}");
    }

    #[test]
    fn an_answer_that_is_too_long_is_told_from_one_that_just_fits() {
        let of = |text: &str| {
            let mut reader = text.as_bytes();
            line(&mut reader, 4).unwrap()
        };
        assert_eq!(of(""), Line::End);
        assert_eq!(of("abc\nnext"), Line::Whole(b"abc\n".to_vec()));
        assert_eq!(of("abcd"), Line::Whole(b"abcd".to_vec()));
        assert_eq!(of("abcd\n"), Line::TooLong);
        let told = too_long(4);
        assert_eq!(told.exit, exit::UNREACHABLE);
        assert!(told.message.contains("longer than the 4 bytes"), "{told}");
    }

    #[test]
    fn a_list_of_every_ban_that_there_may_be_is_understood() {
        let ban = serde_json::json!({
            "address": "2001:db8:1111:2222:3333:4444:5555:6666",
            "since": "2026-11-21T04:06:23Z",
            "until": null,
            "reason": "\"".repeat(MAX_REASON),
        });
        let ban = ban.to_string();
        let (mut daemon, client) = UnixStream::pair().unwrap();
        let writing = std::thread::spawn(move || {
            daemon.write_all(br#"{"done":{"schema":1,"bans":["#)?;
            for _ in 1..SINGLES {
                daemon.write_all(format!("{ban},").as_bytes())?;
            }
            daemon.write_all(format!("{ban}]}}}}\n").as_bytes())
        });
        let mut replies = Replies {
            reader: BufReader::new(client),
            patience: PATIENCE,
            help: String::new(),
            lasts: Lasts::UntilAll,
        };
        let answer = line(&mut replies.reader, MAX_LINE).unwrap();
        writing.join().unwrap().unwrap();
        let Line::Whole(answer) = answer else {
            panic!("{answer:?}");
        };
        assert!(answer.len() > 36 << 20 && answer.ends_with(b"]}}\n"));
    }

    #[test]
    fn a_daemon_that_has_hung_up_is_heard_all_the_same() {
        let path = Path::new("/run/control.sock");
        let (mut daemon, client) = UnixStream::pair().unwrap();
        let refusal = Failure::new(exit::UNREACHABLE, "no room").help("later");
        serde_json::to_writer(&daemon, &Reply::Failed(refusal.clone())).unwrap();
        daemon.write_all(b"\n").unwrap();
        drop(daemon);
        let reply = say(client, path, &Request::Status).unwrap().next();
        assert_eq!(reply, Some(Ok(Reply::Failed(refusal))));

        let (daemon, client) = UnixStream::pair().unwrap();
        drop(daemon);
        let failure = say(client, path, &Request::Status).map(drop).unwrap_err();
        assert_eq!(
            failure.message,
            "the daemon behind /run/control.sock hung up before it was asked"
        );
    }

    #[test]
    fn who_follows_is_told_that_the_daemon_has_gone() {
        let told = |request: &Request| {
            let (mut daemon, client) = UnixStream::pair().unwrap();
            daemon.write_all(b"{\"done\":null}\n").unwrap();
            let replies = say(client, Path::new("/run/control.sock"), request).unwrap();
            // Or the kernel would tell of a reset.
            BufReader::new(&daemon)
                .read_line(&mut String::new())
                .unwrap();
            drop(daemon);
            let replies: Vec<_> = replies.collect();
            assert_eq!(replies[0], Ok(Reply::Done(serde_json::Value::Null)));
            let failure = replies.get(1)?.as_ref().unwrap_err();
            assert_eq!((replies.len(), failure.exit), (2, exit::UNREACHABLE));
            Some(failure.message.clone())
        };
        let observe = |follow, until| {
            Request::Observe(Query::of(Span {
                until,
                follow,
                ..Span::default()
            }))
        };
        for request in [
            Request::Monitor,
            observe(true, None),
            observe(true, Some(u64::MAX)),
            Request::AgentEvents(Span {
                follow: true,
                ..Span::default()
            }),
        ] {
            let message = told(&request).unwrap();
            assert!(message.starts_with("the daemon has hung up"), "{message}");
        }
        for request in [
            Request::Status,
            observe(false, None),
            observe(true, Some(now())),
        ] {
            assert_eq!(told(&request), None);
        }
    }
}
