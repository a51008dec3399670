//! Many flows, slow clients, many clients.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tonic::Code;

use super::{all, connect, fixture, fixture_of, fixture_with, flows_of};
use crate::hubble::connection::Asker;
use crate::hubble::proto::observer::{GetFlowsRequest, Told};
use crate::hubble::server::{CLIENTS, FEEDS};
use crate::observe::text::tests::record;
use crate::observe::{self, Observed, Record};

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_gets_what_happens_and_who_is_slow_hears_of_what_he_missed() {
    let mut fixture = fixture().await;
    fixture.tell(1, observe::Told::Audit);
    let follow = GetFlowsRequest {
        follow: true,
        ..all()
    };
    let mut answers = fixture.flows(follow).await.unwrap();
    fixture.tell(2, observe::Told::Audit);
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answer.time.unwrap().nanos, 2);
    // More than are kept for him, and than the connection takes.
    for time in 0..200_000_u32 {
        fixture.tell(u64::from(time), observe::Told::Audit);
    }
    let (mut told, mut lost) = (0, 0);
    while told + lost < 200_000 {
        let answer = tokio::time::timeout(Duration::from_secs(20), answers.message());
        match answer.await.unwrap().unwrap().unwrap().told {
            Some(Told::Flow(_)) => told += 1,
            Some(Told::LostEvents(event)) => lost += event.num_events_lost,
            None => panic!("an answer says something"),
        }
    }
    assert!(told > 0 && lost > 0, "{told} told, {lost} lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_flows_a_second_reach_a_client_beside_one_that_is_stuck() {
    const EACH: u32 = 100;
    let mut fixture = fixture_with(Observed::new(8_192, "default/node1")).await;
    let follow = GetFlowsRequest {
        follow: true,
        ..all()
    };
    // It is told all, and takes nothing.
    let _stuck = fixture.flows(follow.clone()).await.unwrap();
    let mut answers = fixture.flows(follow).await.unwrap();
    let observed = Arc::clone(&fixture.observed);
    let telling = tokio::spawn(async move {
        // For two seconds, a hundredth of a second's flows at a time.
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        for tick in 0..200 {
            ticks.tick().await;
            for number in 0..EACH {
                observed.tell(Record {
                    time: u64::from(tick * EACH + number),
                    told: observe::Told::Allow,
                    reason: None,
                    ..record()
                });
            }
        }
    });
    for time in 0..200 * EACH {
        let answer = tokio::time::timeout(Duration::from_secs(20), answers.message());
        let answer = answer.await.unwrap().unwrap().unwrap();
        assert!(matches!(answer.told, Some(Told::Flow(_))), "lost at {time}");
        assert_eq!(answer.time.unwrap().nanos, i32::try_from(time).unwrap());
    }
    telling.await.unwrap();
}

/// Whether a client that connects is served: the server speaks first (RFC 9113, 3.4).
async fn is_served(path: &Path) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let read = stream.read_u8();
    let read = tokio::time::timeout(Duration::from_secs(20), read);
    read.await.unwrap().ok().map(|_| stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_beyond_the_limit_are_hung_up_on_and_a_place_comes_back() {
    let fixture = fixture().await;
    let path = fixture.dir.path().join("hubble.sock");
    let places = CLIENTS.0 + CLIENTS.1;
    let mut clients = Vec::new();
    // One is the fixture's.
    for number in 1..places {
        let client = is_served(&path).await;
        clients.push(client.unwrap_or_else(|| panic!("client {number} of {places}")));
    }
    assert!(is_served(&path).await.is_none());
    clients.pop();
    let end = Instant::now() + Duration::from_secs(20);
    while is_served(&path).await.is_none() {
        assert!(Instant::now() < end, "the place does not come back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_every_feed_does_not_keep_root_from_one() {
    // Four connections of the group, then root's.
    static CONNECTED: AtomicUsize = AtomicUsize::new(0);
    let member_then_root = |_: &UnixStream| Asker {
        is_root: CONNECTED.fetch_add(1, Ordering::SeqCst) >= 4,
    };
    let fixture = fixture_of(Observed::new(8, "default/node1"), member_then_root).await;
    let path = fixture.dir.path().join("hubble.sock");
    let follow = || GetFlowsRequest {
        follow: true,
        ..all()
    };
    let mut members = vec![fixture.client.clone()];
    for _ in 1..4 {
        members.push(connect(&path).await);
    }
    let mut feeds = Vec::new();
    for number in 0..FEEDS.0 {
        let client = &mut members[number % 4];
        feeds.push(flows_of(client, follow()).await.unwrap());
    }
    // One connection has eight requests open at most: the next would only wait.
    let mut root = connect(&path).await;
    for _ in 0..FEEDS.1 {
        feeds.push(flows_of(&mut root, follow()).await.unwrap());
    }
    let mut other_root = connect(&path).await;
    let refused = flows_of(&mut other_root, follow()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("for root alone"), "{refused}");
}
