//! The port, asked by clients of every kind; the daemon is a task that answers with numbers.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::config::{Listen, Metrics};
use crate::control::protocol::Request;
use crate::control::server::Call;
use crate::metrics::Numbers;
use crate::observe::Observed;

/// A daemon that answers `numbers` as often as it is asked, which it counts.
fn daemon(numbers: Numbers) -> (mpsc::Sender<Call>, Arc<AtomicU64>) {
    let (calls, mut asked) = mpsc::channel::<Call>(16);
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Some(call) = asked.recv().await {
            assert_eq!(call.request, Request::Metrics);
            let generation = counter.fetch_add(1, Ordering::SeqCst) + 1;
            let numbers = Numbers {
                generation,
                ..numbers.clone()
            };
            let _ = call.answer.send(Ok(serde_json::to_value(numbers).unwrap()));
        }
    });
    (calls, count)
}

fn source(calls: mpsc::Sender<Call>) -> (Source, watch::Sender<Metrics>) {
    let (settings, receiver) = watch::channel(Metrics::default());
    let source = Source {
        calls,
        observed: Arc::new(Observed::new(1, "default/n")),
        settings: receiver,
    };
    (source, settings)
}

/// Served by the daemon until the test ends.
async fn served(calls: mpsc::Sender<Call>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(Answers::new(source(calls).0));
    tokio::spawn(async move { accept(&listener, &answers).await });
    address
}

async fn send(address: SocketAddr, request: &str) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(address: SocketAddr, path: &str) -> String {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: n\r\n\r\n")).await
}

fn sound() -> Numbers {
    Numbers {
        judging: true,
        ..Numbers::default()
    }
}

#[tokio::test]
async fn paths_methods_and_formats() {
    let (calls, _) = daemon(sound());
    let address = served(calls).await;
    let text = get(address, "/metrics").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(text.ends_with("\nfw_ctl_scrapes_displaced_total 0\n"));
    let open = "GET /metrics?x=1 HTTP/1.1\r\nHost: n\r\nAccept: text/plain;q=0.1\r\n\
                Accept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    let text = send(address, open).await;
    assert!(text.contains("\r\ncontent-type: application/openmetrics-text; version=1.0.0;"));
    assert!(text.ends_with("\n# EOF\n"));
    let text = send(address, "HEAD /metrics HTTP/1.1\r\nHost: n\r\n\r\n").await;
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n\r\n"),
        "{text}"
    );
    assert!(get(address, "/healthz").await.ends_with("\r\n\r\nok\n"));
    for path in [
        "/",
        "/metrics/",
        "/metric",
        "//metrics",
        "/healthz/../metrics",
    ] {
        let text = get(address, path).await;
        assert!(text.starts_with("HTTP/1.1 404 "), "{path} {text}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nHost: n\r\nContent-Length: 0\r\n\r\n");
        let text = send(address, &request).await;
        assert!(text.starts_with("HTTP/1.1 405 "), "{method} {text}");
        assert!(text.contains("\r\nallow: GET, HEAD\r\n"), "{text}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_with_503() {
    let numbers = Numbers {
        problems: vec!["interface eth0: gone".into()],
        ..sound()
    };
    let address = served(daemon(numbers).0).await;
    let text = get(address, "/healthz").await;
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    assert!(text.ends_with("\r\n\r\ninterface eth0: gone\n"), "{text}");
    let text = get(address, "/metrics").await;
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("\nfw_ctl_degraded 1\n"));
    // A daemon that ends.
    let (calls, asked) = mpsc::channel(1);
    drop(asked);
    let address = served(calls).await;
    for path in ["/healthz", "/metrics"] {
        let text = get(address, path).await;
        assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
        assert!(text.ends_with("the daemon is stopping\n"), "{text}");
    }
}

#[tokio::test]
async fn a_daemon_that_is_busy_is_asked_once_and_told_of_in_time() {
    let (calls, mut asked) = mpsc::channel::<Call>(16);
    let patience = Duration::from_millis(200);
    let answers = Arc::new(Answers::with_patience(source(calls).0, patience));
    let request = || HttpRequest::get("/healthz").body(()).unwrap();
    // Those who do not wait leave nothing behind.
    for _ in 0..100 {
        let request = request();
        let impatient = timeout(Duration::from_millis(1), answers.respond(&request));
        assert!(impatient.await.is_err());
    }
    let patient = answers.respond(&request()).await;
    assert_eq!(patient.status(), 503);
    assert!(asked.recv().await.is_some());
    assert!(asked.try_recv().is_err(), "one request, of all of them");
}

#[tokio::test]
async fn who_asks_often_gets_the_same_for_a_while() {
    let (calls, count) = daemon(sound());
    let address = served(calls).await;
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS / 2 {
        clients.push(tokio::spawn(async move { get(address, "/metrics").await }));
    }
    for client in clients {
        assert!(client.await.unwrap().contains("\nfw_ctl_generation "));
    }
    let most = 1 + began.elapsed().as_millis() as u64 / 500;
    assert!(count.load(Ordering::SeqCst) <= most);
    sleep(Duration::from_millis(550)).await;
    let before = count.load(Ordering::SeqCst);
    let expected = format!("\nfw_ctl_generation {}\n", before + 1);
    assert!(get(address, "/metrics").await.contains(&expected));
}

#[tokio::test]
async fn who_hangs_holds_up_nobody_and_makes_room() {
    let address = served(daemon(sound()).0).await;
    let mut silent = Vec::new();
    for number in 0..CLIENTS {
        let mut client = TcpStream::connect(address).await.unwrap();
        // Some say half of what they want.
        if number % 2 == 0 {
            client.write_all(b"GET /metrics HT").await.unwrap();
        }
        silent.push(client);
    }
    let began = Instant::now();
    for displaced in 1..=3 {
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
        assert!(began.elapsed() < PATIENCE / 2);
        // Each that was there for longest is gone; another hangs in the place that is free.
        let mut gone = silent.remove(0);
        assert!(
            matches!(gone.read(&mut [0]).await, Ok(0) | Err(_)),
            "{displaced}"
        );
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    sleep(Duration::from_millis(600)).await;
    let text = get(address, "/metrics").await;
    let line = text
        .lines()
        .find(|line| line.starts_with("fw_ctl_scrapes_displaced_total "));
    let count: u64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((3..=7).contains(&count), "{count}");
    // Who never asks is hung up on.
    let mut last = silent.pop().unwrap();
    let ended = timeout(2 * PATIENCE, last.read(&mut [0])).await;
    assert!(ended.is_ok());
}

#[tokio::test]
async fn requests_are_bounded() {
    let address = served(daemon(sound()).0).await;
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: n\r\n\r\n",
        "x".repeat(2 * REQUEST)
    );
    let mut client = TcpStream::connect(address).await.unwrap();
    // It may hang up before it has read all.
    let _ = client.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
    ] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(garbage.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"));
    }
    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn the_address_is_that_of_the_settings_as_soon_as_it_can_be_had() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = free.local_addr().unwrap();
    drop(free);
    let (source, settings) = source(daemon(sound()).0);
    let at = |listen| Metrics {
        listen: Listen(listen),
        cilium_names: false,
    };
    settings.send_replace(at(Some(address)));
    let listening = Listening::default();
    let _server = serve(source, listening.clone());
    let trouble = until(|| listening.trouble()).await;
    for part in [&address.to_string(), "in use", "ss -ltnp", "metrics.listen"] {
        assert!(trouble.contains(part), "{trouble}");
    }
    settings.send_replace(at(Some(elsewhere)));
    until(|| listening.trouble().is_none().then_some(())).await;
    assert!(
        get(elsewhere, "/healthz")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    // Other names are told at the same place.
    settings.send_modify(|settings| settings.cilium_names = true);
    sleep(Duration::from_millis(550)).await;
    let text = get(elsewhere, "/metrics").await;
    assert!(text.contains("\n# TYPE cilium_drop_count_total counter\n"));
    settings.send_replace(at(None));
    sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(elsewhere).await.is_err());
    settings.send_replace(at(Some(address)));
    until(|| listening.trouble()).await;
    drop(taken);
    until(|| listening.trouble().is_none().then_some(())).await;
    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
}

/// What there is to be told, once there is.
async fn until<T>(mut tell: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + 3 * AGAIN;
    loop {
        match tell() {
            Some(told) => return told,
            None => assert!(Instant::now() < end, "nothing is told"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}
