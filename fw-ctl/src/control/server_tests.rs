//! A server with a daemon that answers `status` only, and clients of all kinds.

use super::super::client;
use super::*;

struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
    records: broadcast::Sender<Arc<Record>>,
    _server: Server,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    // What a dead daemon left behind.
    std::fs::write(&path, "").unwrap();
    let (calls, mut received) = mpsc::channel::<Call>(1);
    let (records, _) = broadcast::channel(4);
    let server = serve(&path, calls, records.clone()).unwrap();
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
        records,
        _server: server,
    }
}

async fn ask(path: &Path, request: Request) -> Result<String, Failure> {
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
    let mode = std::fs::metadata(&fixture.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_the_client_says_what_to_do() {
    let failure = ask(Path::new("/nonexistent/control.sock"), Request::Status)
        .await
        .unwrap_err();
    assert_eq!(failure.exit, exit::UNREACHABLE);
    assert_eq!(failure.help.as_deref(), Some("systemctl start fw-ctl"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_and_endless_requests_are_refused() {
    let fixture = fixture();
    let mut stream = UnixStream::connect(&fixture.path).await.unwrap();
    stream.write_all(b"nonsense\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("not understood"), "{answer}");

    let mut stream = UnixStream::connect(&fixture.path).await.unwrap();
    let endless = vec![b'x'; 100 * MAX_REQUEST];
    stream
        .write_all(&endless)
        .await
        .expect_err("the daemon hangs up long before all of it");
    assert_eq!(ask(&fixture.path, Request::Status).await.unwrap(), "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_do_not_hold_up_the_others() {
    let fixture = fixture();
    let mut silent = Vec::new();
    for _ in 0..CLIENTS / 2 {
        silent.push(UnixStream::connect(&fixture.path).await.unwrap());
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
        fixture.records.send(Arc::clone(&record)).unwrap();
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
                Reply::Missed(missed) => seen += missed,
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
