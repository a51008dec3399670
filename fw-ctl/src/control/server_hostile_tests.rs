//! Clients that mean no good, some of them members of the group, and root among them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::Notify;

use super::super::client;
use super::super::protocol::{BanRequest, Change, ModeChange};
use super::tests::{MEMBER, ROOT, ask, events, said};
use super::*;
use crate::observe::{Observed, Record};

/// What the daemon of a fixture has seen, and when it goes on.
#[derive(Default)]
struct Daemon {
    asked: AtomicUsize,
    /// Answers nothing until it is told to.
    waits: AtomicBool,
    go_on: Notify,
}

struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
    observed: Arc<Observed>,
    daemon: Arc<Daemon>,
    _server: Served,
}

/// Soon enough for a person at the keyboard, on a machine that does much else.
const SOON: Duration = Duration::from_secs(5);
/// More than a socket holds. The longest answers of a daemon are 40 times as long, as is
/// the room for them.
const LONG: usize = 1 << 20;

const LIMITS: Limits = Limits {
    patience: Duration::from_secs(1),
    delivery: Duration::from_mins(1),
    room: super::LIMITS.room / 40,
    ..super::LIMITS
};

/// With a daemon that answers `bans` at [`LONG`].
fn fixture(limits: Limits, identify: Identify) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let (calls, mut received) = mpsc::channel::<Call>(64);
    let observed = Arc::new(Observed::with_backlog(64, 16, "default/node1"));
    let server = serve_with(&path, calls, events(&observed), limits, identify).unwrap();
    let daemon = Arc::new(Daemon::default());
    let seen = Arc::clone(&daemon);
    tokio::spawn(async move {
        while let Some(call) = received.recv().await {
            seen.asked.fetch_add(1, Ordering::SeqCst);
            if seen.waits.load(Ordering::SeqCst) {
                seen.go_on.notified().await;
            }
            let answer = match call.request {
                Request::Bans => "x".repeat(LONG),
                _ => "fine".into(),
            };
            // As the daemon's: who did not wait needs no answer.
            let _ = call.answer.send(Ok(answer.into()));
        }
    });
    Fixture {
        _dir: dir,
        path,
        observed,
        daemon,
        _server: server,
    }
}

impl Fixture {
    async fn connect(&self) -> UnixStream {
        let path = self.path.clone();
        // Blocking: where the queue of the socket is full, one waits.
        let connected = tokio::task::spawn_blocking(move || {
            let stream = std::os::unix::net::UnixStream::connect(path).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        });
        UnixStream::from_std(connected.await.unwrap()).unwrap()
    }

    /// A client that has asked and reads nothing.
    async fn asks(&self, request: &Request) -> UnixStream {
        let mut stream = self.connect().await;
        let line = format!("{}\n", serde_json::to_string(request).unwrap());
        stream.write_all(line.as_bytes()).await.unwrap();
        stream
    }

    /// Asks for the status, and says how long it took.
    async fn status(&self) -> Duration {
        let begun = Instant::now();
        assert_eq!(ask(&self.path, Request::Status).await.unwrap(), "fine");
        begun.elapsed()
    }

    async fn asked(&self, count: usize) {
        let begun = Instant::now();
        while self.daemon.asked.load(Ordering::SeqCst) < count {
            assert!(begun.elapsed() < SOON, "the daemon was not asked");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_silent_clients() {
    const CLIENTS: usize = 3_000;
    static CONNECTED: AtomicUsize = AtomicUsize::new(0);
    // None of them has lost its place by the time when the last has come.
    let patient = Limits {
        patience: Duration::from_mins(1),
        ..LIMITS
    };
    let fixture = fixture(patient, |_| {
        match CONNECTED.fetch_add(1, Ordering::SeqCst) >= CLIENTS {
            true => ROOT,
            false => MEMBER,
        }
    });
    let mut open = std::collections::VecDeque::new();
    for number in 1..=CLIENTS {
        let mut client = fixture.connect().await;
        if number == 2 * LIMITS.asking {
            // Nobody has gone yet.
            let told = said(&mut client).await;
            assert!(told.message.contains("128 clients"), "{told}");
        }
        open.push_back(client);
        // More than there are places; what is older is closed, some of it unread.
        if open.len() > 2 * LIMITS.asking {
            open.pop_front();
        }
    }
    assert!(fixture.status().await < SOON, "root is served among them");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_takes_are_few_and_root_does_not_wait_for_them() {
    const CLIENTS: usize = 40;
    static CONNECTED: AtomicUsize = AtomicUsize::new(0);
    let fixture = fixture(LIMITS, |_| {
        match CONNECTED.fetch_add(1, Ordering::SeqCst) >= CLIENTS {
            true => ROOT,
            false => MEMBER,
        }
    });
    let mut silent = Vec::new();
    for _ in 0..CLIENTS {
        silent.push(fixture.asks(&Request::Bans).await);
    }
    // Two have room together, a third waits for it; the others wait for their turn.
    fixture.asked(3).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(fixture.daemon.asked.load(Ordering::SeqCst), 3);
    assert!(fixture.status().await < SOON);
    // When they go, others come on.
    silent.drain(..20);
    fixture.asked(3 + 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_is_hung_up_on() {
    let limits = Limits {
        delivery: Duration::from_millis(300),
        ..LIMITS
    };
    let fixture = fixture(limits, |_| MEMBER);
    let mut silent = fixture.asks(&Request::Bans).await;
    fixture.asked(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut taken = Vec::new();
    let end = timeout(SOON, silent.read_to_end(&mut taken)).await;
    end.expect("the daemon has hung up").unwrap();
    assert!(taken.len() < LONG, "it was not kept for later");
    assert!(fixture.status().await < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_requests_of_others_is_before_roots() {
    const CLIENTS: usize = 50;
    static CONNECTED: AtomicUsize = AtomicUsize::new(0);
    let fixture = fixture(LIMITS, |_| {
        match CONNECTED.fetch_add(1, Ordering::SeqCst) >= CLIENTS {
            true => ROOT,
            false => MEMBER,
        }
    });
    fixture.daemon.waits.store(true, Ordering::SeqCst);
    let mut members = Vec::new();
    for _ in 0..CLIENTS {
        members.push(fixture.asks(&Request::Rules).await);
    }
    fixture.asked(1).await;
    let root = fixture.asks(&Request::Status).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // That of the member who was first, then root's.
    for _ in 0..2 {
        fixture.daemon.go_on.notify_one();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut answer = String::new();
    let mut root = BufReader::new(root);
    let read = timeout(SOON, root.read_line(&mut answer)).await;
    assert!(
        read.unwrap().unwrap() > 0 && answer.contains("fine"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_no_requests() {
    let fixture = fixture(LIMITS, |_| ROOT);
    let deep = [b"{\"verb\":".to_vec(), b"[".repeat(60_000), b"\n".to_vec()].concat();
    let objects = [br#"{"a":"#.repeat(10_000), b"\n".to_vec()].concat();
    let keys = [
        b"{".to_vec(),
        br#""verb":"status","#.repeat(3_000),
        b"}\n".to_vec(),
    ]
    .concat();
    for line in [
        &b"\xff\xfe\x00\n"[..],
        b"\n",
        b"\0\0\0\n",
        b"{\"verb\":\"status\xc3\"}\n",
        b"{\"verb\":\"\\ud800\"}\n",
        b"{\"verb\":1e999}\n",
        &deep,
        &objects,
        &keys,
    ] {
        let mut stream = fixture.connect().await;
        stream.write_all(line).await.unwrap();
        let told = said(&mut stream).await;
        let shown = String::from_utf8_lossy(&line[..line.len().min(30)]).into_owned();
        assert!(told.message.contains("not understood"), "{shown}: {told}");
    }
    assert_eq!(fixture.daemon.asked.load(Ordering::SeqCst), 0);
    assert!(fixture.status().await < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_drips_in_or_never_ends() {
    let fixture = fixture(LIMITS, |_| MEMBER);
    let mut slow = fixture.connect().await;
    let begun = Instant::now();
    let dripping = async {
        // Never a whole line, but always something.
        while slow.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, dripping).await.expect("the daemon hangs up");
    assert!(begun.elapsed() >= LIMITS.patience);
    let mut endless = fixture.connect().await;
    let piece = vec![b'['; 1 << 16];
    let pouring = async { while endless.write_all(&piece).await.is_ok() {} };
    timeout(SOON, pouring).await.expect("the daemon hangs up");
    assert!(fixture.status().await < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_roots() {
    let fixture = fixture(LIMITS, |_| MEMBER);
    let mode = |mode| Request::Mode {
        set: Some(mode),
        change: Change::default(),
    };
    for request in [
        Request::Reload(Change::default()),
        Request::Confirm,
        Request::Rollback {
            to: None,
            change: Change::default(),
        },
        Request::Detach,
        mode(ModeChange::Audit),
        mode(ModeChange::Enforce),
        mode(ModeChange::Configured),
        Request::Ban(BanRequest {
            addresses: Vec::new(),
            until: None,
            reason: String::new(),
            force: true,
            asker: None,
        }),
        Request::Unban { addresses: None },
    ] {
        assert!(request.changes());
        let told = ask(&fixture.path, request).await.unwrap_err();
        assert_eq!(told.message, "only root may change the firewall");
        assert_eq!(told.exit, exit::UNREACHABLE);
    }
    assert_eq!(fixture.daemon.asked.load(Ordering::SeqCst), 0);
    fixture.status().await;
    assert_eq!(fixture.daemon.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_process_that_the_kernel_does_not_name_is_not_root() {
    let nobody = Peer { credentials: None };
    assert!(!nobody.is_root() && !MEMBER.is_root() && ROOT.is_root());
    assert!(admit(&Request::Reload(Change::default()), nobody).is_err());
    assert!(admit(&Request::Reload(Change::default()), ROOT).is_ok());
    assert!(admit(&Request::Status, nobody).is_ok());
    assert_eq!(MEMBER.to_string(), "uid 1000, pid 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_vanishes_while_it_reloads_leaves_nothing_behind() {
    let limits = Limits {
        requests: 1,
        reserve: 0,
        ..LIMITS
    };
    let fixture = fixture(limits, |_| ROOT);
    fixture.daemon.waits.store(true, Ordering::SeqCst);
    let client = fixture.asks(&Request::Reload(Change::default())).await;
    fixture.asked(1).await;
    drop(client);
    fixture.daemon.waits.store(false, Ordering::SeqCst);
    fixture.daemon.go_on.notify_one();
    let begun = Instant::now();
    // The place is there again as soon as the daemon has answered nobody.
    while ask(&fixture.path, Request::Status).await.is_err() {
        assert!(begun.elapsed() < SOON);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_that_do_not_read_miss_records_and_lose_their_place() {
    let limits = Limits {
        monitors: 2,
        reserve: 0,
        delivery: Duration::from_millis(500),
        ..LIMITS
    };
    let fixture = fixture(limits, |_| MEMBER);
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(fixture.asks(&Request::Monitor).await);
    }
    let begun = Instant::now();
    while fixture.observed.listeners() < 2 {
        assert!(begun.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let record = Arc::new(crate::observe::text::tests::record());
    let begun = Instant::now();
    while fixture.observed.listeners() > 0 {
        // Never waits for anybody.
        for _ in 0..100 {
            fixture.observed.tell(Record::clone(&record));
        }
        assert!(begun.elapsed() < SOON, "they are not hung up on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let path = fixture.path.clone();
    let again = tokio::task::spawn_blocking(move || {
        let mut replies = client::send(&path, &Request::Monitor).unwrap();
        replies.next()
    });
    let again = again.await.unwrap();
    assert_eq!(again, Some(Ok(Reply::Done(serde_json::Value::Null))));
}
