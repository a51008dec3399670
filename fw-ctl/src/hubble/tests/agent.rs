//! Agent events, as a client sees them.

use http::uri::PathAndQuery;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{Fixture, fixture};
use crate::hubble::flows::timestamp;
use crate::hubble::proto::agent::{
    AgentEventType, GetAgentEventsRequest, GetAgentEventsResponse, Notification,
};
use crate::hubble::proto::observer::Empty;
use crate::observe::{AgentChange, PolicyChange, now};

type Answers = Streaming<GetAgentEventsResponse>;

async fn agent_events(
    fixture: &mut Fixture,
    asked: GetAgentEventsRequest,
) -> Result<Answers, Status> {
    fixture.client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/observer.Observer/GetAgentEvents");
    let codec = ProstCodec::default();
    let answer = fixture
        .client
        .server_streaming(Request::new(asked), path, codec);
    Ok(answer.await?.into_inner())
}

/// The types of those that there are.
async fn types(fixture: &mut Fixture, asked: GetAgentEventsRequest) -> Vec<i32> {
    let mut answers = agent_events(fixture, asked).await.unwrap();
    let mut types = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        types.push(answer.agent_event.unwrap().r#type);
    }
    types
}

fn change(rules: u64) -> PolicyChange {
    PolicyChange {
        policy: "web".into(),
        revision: 4,
        rules,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_a_part_of_it_and_what_follows() {
    const STARTED: i32 = AgentEventType::AgentStarted as i32;
    const UPDATED: i32 = AgentEventType::PolicyUpdated as i32;
    const DELETED: i32 = AgentEventType::PolicyDeleted as i32;
    let mut fixture = fixture().await;
    fixture.agent.tell(AgentChange::PolicyUpdated(change(2)));
    let all = GetAgentEventsRequest::default;
    assert_eq!(types(&mut fixture, all()).await, [STARTED, UPDATED]);
    let number = 1;
    let last = GetAgentEventsRequest { number, ..all() };
    assert_eq!(types(&mut fixture, last.clone()).await, [UPDATED]);
    let first = GetAgentEventsRequest {
        first: true,
        ..last
    };
    assert_eq!(types(&mut fixture, first.clone()).await, [STARTED]);
    let since = GetAgentEventsRequest {
        since: Some(timestamp(now())),
        ..all()
    };
    assert!(types(&mut fixture, since).await.is_empty());
    let until = GetAgentEventsRequest {
        until: Some(timestamp(1)),
        ..all()
    };
    assert!(types(&mut fixture, until).await.is_empty());
    let both = GetAgentEventsRequest {
        follow: true,
        ..first
    };
    let refused = agent_events(&mut fixture, both).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    let follow = GetAgentEventsRequest {
        follow: true,
        ..all()
    };
    let mut answers = agent_events(&mut fixture, follow).await.unwrap();
    let before = now();
    fixture.agent.tell(AgentChange::PolicyDeleted(change(2)));
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answer.node_name, "default/node1");
    let told = crate::hubble::flows::nanoseconds(&answer.time.unwrap());
    assert!((before..=now()).contains(&told));
    let event = answer.agent_event.unwrap();
    assert_eq!(event.r#type, DELETED);
    let Some(Notification::PolicyUpdate(policy)) = event.notification else {
        panic!("it is about a policy");
    };
    assert_eq!((policy.revision, policy.rule_count), (4, 2));
    assert_eq!(
        policy.labels,
        [
            "k8s:io.cilium.k8s.policy.derived-from=CiliumClusterwideNetworkPolicy",
            "k8s:io.cilium.k8s.policy.name=web",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_events_are_refused() {
    let mut fixture = fixture().await;
    let path = "/observer.Observer/GetDebugEvents";
    let refused: Result<Empty, _> = fixture.ask(path, Empty {}).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(refused.message().contains("GetDebugEvents"), "{refused}");
}
