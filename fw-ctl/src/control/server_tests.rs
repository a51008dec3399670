//! A server with a daemon that answers `status` only, and clients of all kinds.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::client;
use super::*;
use crate::capture::Captures;
use crate::observe::{AgentEvents, Observed, Record, now};

struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
    observed: Arc<Observed>,
    _server: Served,
}

pub(super) const ROOT: Peer = Peer {
    credentials: Some((0, 1)),
};
pub(super) const MEMBER: Peer = Peer {
    credentials: Some((1_000, 7)),
};

fn fixture() -> Fixture {
    fixture_with(LIMITS, |_| ROOT)
}

fn fixture_with(limits: Limits, identify: Identify) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    // What a dead daemon left behind.
    std::fs::write(&path, "").unwrap();
    let (calls, mut received) = mpsc::channel::<Call>(1);
    let observed = Arc::new(Observed::with_backlog(64, 4, "default/node1"));
    let server = serve_with(&path, calls, events(&observed), limits, identify).unwrap();
    tokio::spawn(async move {
        while let Some(call) = received.recv().await {
            let answer = match call.request {
                Request::Status => Ok(serde_json::json!("fine")),
                _ => Err(Failure::new(exit::REFUSED, "no").help("yes")),
            };
            call.answer.send(answer).unwrap();
        }
    });
    Fixture {
        _dir: dir,
        path,
        observed,
        _server: server,
    }
}

pub(super) async fn ask(path: &Path, request: Request) -> Result<String, Failure> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || client::ask(&path, &request))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_and_failures_carry_advice() {
    let fixture = fixture();
    assert_eq!(ask(&fixture.path, Request::Status).await.unwrap(), "fine");
    let failure = ask(&fixture.path, Request::Rules).await.unwrap_err();
    assert_eq!(failure, Failure::new(exit::REFUSED, "no").help("yes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_the_client_says_what_to_do() {
    let failure = ask(Path::new("/nonexistent/control.sock"), Request::Status)
        .await
        .unwrap_err();
    assert_eq!(failure.exit, exit::UNREACHABLE);
    assert_eq!(failure.help.as_deref(), Some("systemctl start fw-ctl"));
}

/// What the daemon says until it hangs up.
pub(super) async fn said(stream: &mut UnixStream) -> Failure {
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut line).await.unwrap();
    match serde_json::from_str(&line).unwrap() {
        Reply::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_and_endless_requests_are_refused_in_words() {
    let fixture = fixture();
    let mut stream = UnixStream::connect(&fixture.path).await.unwrap();
    stream.write_all(b"nonsense\n").await.unwrap();
    let failure = said(&mut stream).await;
    assert!(failure.message.contains("not understood"), "{failure}");

    let mut stream = UnixStream::connect(&fixture.path).await.unwrap();
    let endless = vec![b'x'; 100 * MAX_REQUEST];
    stream
        .write_all(&endless)
        .await
        .expect_err("the daemon hangs up long before all of it");
    let failure = said(&mut stream).await;
    assert_eq!(failure.message, "the request is longer than 65536 bytes");

    // One that just fits is read.
    let mut stream = UnixStream::connect(&fixture.path).await.unwrap();
    let mut line = br#"{"verb":"status"}"#.to_vec();
    line.resize(MAX_REQUEST - 1, b' ');
    line.push(b'\n');
    stream.write_all(&line).await.unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await.unwrap();
    assert_eq!(answer, "{\"done\":\"fine\"}\n");
}

/// Few places.
const FEW: Limits = Limits {
    asking: 4,
    requests: 1,
    monitors: 2,
    reserve: 1,
    patience: Duration::from_millis(500),
    ..LIMITS
};

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_lose_their_place_soon_and_are_told() {
    let fixture = fixture_with(FEW, |_| MEMBER);
    let mut silent = Vec::new();
    for _ in 0..FEW.asking {
        silent.push(UnixStream::connect(&fixture.path).await.unwrap());
    }
    let begun = std::time::Instant::now();
    let failure = ask(&fixture.path, Request::Status).await.unwrap_err();
    let says = "the daemon serves 4 clients that have not asked yet already";
    assert_eq!(failure.message, says);
    assert!(failure.help.is_some());
    for stream in &mut silent {
        let failure = said(stream).await;
        assert_eq!(failure.message, "no request came within 0.5 s");
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(ask(&fixture.path, Request::Status).await.unwrap(), "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_locks_root_out() {
    static CONNECTED: AtomicUsize = AtomicUsize::new(0);
    let limits = Limits {
        patience: Duration::from_mins(1),
        ..FEW
    };
    // The clients are accepted in the order in which they connect.
    let fixture = fixture_with(limits, |_| {
        match CONNECTED.fetch_add(1, Ordering::SeqCst) > FEW.asking {
            true => ROOT,
            false => MEMBER,
        }
    });
    let mut silent = Vec::new();
    for _ in 0..FEW.asking {
        silent.push(UnixStream::connect(&fixture.path).await.unwrap());
    }
    ask(&fixture.path, Request::Status).await.unwrap_err();
    assert_eq!(ask(&fixture.path, Request::Status).await.unwrap(), "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_take_no_place_of_requests() {
    let fixture = fixture_with(FEW, |_| MEMBER);
    let mut monitors = Vec::new();
    for place in 0..=FEW.monitors {
        let path = fixture.path.clone();
        let monitor = tokio::task::spawn_blocking(move || {
            let mut replies = client::send(&path, &Request::Monitor).unwrap();
            let first = replies.next().unwrap().unwrap();
            (replies, first)
        });
        let (replies, first) = monitor.await.unwrap();
        match first {
            Reply::Done(_) if place < FEW.monitors => monitors.push(replies),
            Reply::Failed(failure) if place == FEW.monitors => {
                assert!(failure.message.contains("2 monitors"), "{failure}");
            }
            other => panic!("{place}: {other:?}"),
        }
    }
    assert_eq!(ask(&fixture.path, Request::Status).await.unwrap(), "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_gets_records_and_hears_of_missed_ones() {
    let fixture = fixture();
    let path = fixture.path.clone();
    let replies =
        tokio::task::spawn_blocking(move || client::send(&path, &Request::Monitor).unwrap())
            .await
            .unwrap();
    let (listening, replies) = tokio::task::spawn_blocking(move || {
        let mut replies = replies;
        (replies.next(), replies)
    })
    .await
    .unwrap();
    assert_eq!(listening, Some(Ok(Reply::Done(serde_json::Value::Null))));
    let record = Arc::new(crate::observe::text::tests::record());
    for _ in 0..64 {
        fixture.observed.tell(Record::clone(&record));
    }
    let seen = tokio::task::spawn_blocking(move || {
        let mut seen = 0;
        let mut records = 0;
        for reply in replies {
            match reply.unwrap() {
                Reply::Record(_) => {
                    seen += 1;
                    records += 1;
                }
                Reply::Lost(lost) => seen += lost.count,
                other => panic!("{other:?}"),
            }
            if seen == 64 {
                break;
            }
        }
        records
    })
    .await
    .unwrap();
    assert!(seen >= 4, "the channel holds four: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_gets_the_past_and_what_follows_only_if_it_asks_for_it() {
    let fixture = fixture();
    let tell = |time| {
        let record = crate::observe::text::tests::record();
        fixture.observed.tell(Record { time, ..record });
    };
    (1..=3).for_each(tell);
    let observe = |follow| {
        let query = Query::of(Span {
            last: Some(2),
            follow,
            ..Span::default()
        });
        client::send(&fixture.path, &Request::Observe(query)).unwrap()
    };
    let time = |reply: Option<Result<Reply, Failure>>| match reply {
        Some(Ok(Reply::Flow(flow))) => flow.record.time,
        other => panic!("{other:?}"),
    };
    let listening = Some(Ok(Reply::Done(serde_json::Value::Null)));
    tokio::task::block_in_place(|| {
        let mut past = observe(false);
        assert_eq!(past.next(), listening);
        assert_eq!([time(past.next()), time(past.next())], [2, 3]);
        assert_eq!(past.next(), None);
        let mut follower = observe(true);
        assert_eq!(follower.next(), listening);
        tell(4);
        let times = [(); 3].map(|()| time(follower.next()));
        assert_eq!(times, [2, 3, 4]);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_until_a_moment_is_served_until_then_also_when_nothing_happens() {
    let fixture = fixture();
    fixture.observed.tell_lost(3, None, Vec::new());
    let second = 1_000_000_000;
    let query = Query::of(Span {
        until: Some(now() + second),
        follow: true,
        ..Span::default()
    });
    let began = Instant::now();
    let replies = tokio::task::block_in_place(|| {
        let replies = client::send(&fixture.path, &Request::Observe(query)).unwrap();
        replies.collect::<Result<Vec<_>, _>>().unwrap()
    });
    assert!(matches!(
        &replies[..],
        [Reply::Done(_), Reply::Lost(lost)] if lost.count == 3
    ));
    let lasted = began.elapsed();
    assert!(lasted >= Duration::from_secs(1), "{lasted:?}");
}

/// With a daemon that has just started.
pub(super) fn events(observed: &Arc<Observed>) -> Events {
    Events {
        observed: Arc::clone(observed),
        agent: Arc::new(AgentEvents::new("default/node1".into())),
        captures: Arc::new(Captures::untapped()),
    }
}
