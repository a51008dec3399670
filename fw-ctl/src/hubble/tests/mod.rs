//! The API as a client sees it that was made from the published one: by paths and field numbers.

mod agent;
mod filters;
mod json;
mod load;
mod masks;
mod tcp;

use std::path::Path;
use std::sync::Arc;

use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::connection::Asker;
use super::proto::flow::{self, FlowFilter};
use super::proto::health::{HealthCheckRequest, HealthCheckResponse};
use super::proto::observer::{
    Empty, GetFlowsRequest, GetFlowsResponse, GetNodesResponse, ServerStatusResponse, Told,
};
use super::server::{Identify, serve_with};
use crate::capture::Captures;
use crate::control::socket::Served;
use crate::observe::text::tests::record;
use crate::observe::{self, AgentEvents, Events, Observed, Record};

struct Fixture {
    dir: tempfile::TempDir,
    _server: Served,
    observed: Arc<Observed>,
    agent: Arc<AgentEvents>,
    client: Grpc<Channel>,
}

async fn fixture() -> Fixture {
    fixture_with(Observed::with_backlog(100, 16, "default/node1")).await
}

async fn fixture_with(observed: Observed) -> Fixture {
    fixture_of(observed, |_| Asker { is_root: true }).await
}

async fn fixture_of(observed: Observed, identify: Identify) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hubble.sock");
    let observed = Arc::new(observed);
    let events = events(&observed);
    let server = serve_with(&path, &events, identify).unwrap();
    let client = connect(&path).await;
    Fixture {
        dir,
        _server: server,
        observed,
        agent: events.agent,
        client,
    }
}

fn events(observed: &Arc<Observed>) -> Events {
    Events {
        observed: Arc::clone(observed),
        agent: Arc::new(AgentEvents::new("default/node1".into())),
        captures: Arc::new(Captures::untapped()),
    }
}

async fn connect(path: &Path) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("unix://{}", path.display())).unwrap();
    Grpc::new(endpoint.connect().await.unwrap())
}

/// An answer of `GetFlows`.
async fn flows_of(
    client: &mut Grpc<Channel>,
    asked: GetFlowsRequest,
) -> Result<Streaming<GetFlowsResponse>, Status> {
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/observer.Observer/GetFlows");
    let answer = client.server_streaming(Request::new(asked), path, ProstCodec::default());
    Ok(answer.await?.into_inner())
}

impl Fixture {
    fn tell(&self, time: u64, told: observe::Told) {
        self.observed.tell(Record {
            time,
            told,
            reason: (told != observe::Told::Allow).then_some(0),
            ..record()
        });
    }

    async fn ask<A, B>(&mut self, path: &'static str, asked: A) -> Result<B, Status>
    where
        A: Message + 'static,
        B: Message + Default + 'static,
    {
        self.client.ready().await.unwrap();
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<A, B>::default();
        let answer = self.client.unary(Request::new(asked), path, codec).await?;
        let version = answer.metadata().get("hubble-server-version");
        assert!(version.unwrap().to_str().unwrap().starts_with("1.19.0"));
        Ok(answer.into_inner())
    }

    async fn flows(
        &mut self,
        asked: GetFlowsRequest,
    ) -> Result<Streaming<GetFlowsResponse>, Status> {
        flows_of(&mut self.client, asked).await
    }

    /// The times, in nanoseconds, of the flows that there are.
    async fn times(&mut self, asked: GetFlowsRequest) -> Vec<i32> {
        let mut answers = self.flows(asked).await.unwrap();
        let mut times = Vec::new();
        while let Some(answer) = answers.message().await.unwrap() {
            times.push(answer.time.unwrap().nanos);
        }
        times
    }
}

fn all() -> GetFlowsRequest {
    GetFlowsRequest::default()
}

fn whitelist(filter: FlowFilter) -> GetFlowsRequest {
    GetFlowsRequest {
        whitelist: vec![filter],
        ..all()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_finds_a_healthy_server_and_its_status() {
    let mut fixture = fixture().await;
    fixture.tell(1, observe::Told::Deny);
    for service in ["", "hubble.server.Observer"] {
        let asked = HealthCheckRequest {
            service: service.into(),
        };
        let health: HealthCheckResponse = fixture
            .ask("/grpc.health.v1.Health/Check", asked)
            .await
            .unwrap();
        assert_eq!(health.status, 1);
    }
    let asked = HealthCheckRequest {
        service: "other".into(),
    };
    let health: Result<HealthCheckResponse, _> =
        fixture.ask("/grpc.health.v1.Health/Check", asked).await;
    assert_eq!(health.unwrap_err().code(), Code::NotFound);
    let status: ServerStatusResponse = fixture
        .ask("/observer.Observer/ServerStatus", Empty {})
        .await
        .unwrap();
    assert_eq!(
        (status.num_flows, status.max_flows, status.seen_flows),
        (2, 100, 2)
    );
    assert!(status.uptime_ns > 0 && status.flows_rate > 0.0);
    let nodes: GetNodesResponse = fixture
        .ask("/observer.Observer/GetNodes", Empty {})
        .await
        .unwrap();
    assert_eq!(nodes.nodes[0].name, "default/node1");
    let unknown: Result<Empty, _> = fixture.ask("/observer.Observer/GetNothing", Empty {}).await;
    assert_eq!(unknown.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_past_the_first_the_last_a_time_or_all() {
    let mut fixture = fixture().await;
    for time in 1..=9 {
        fixture.tell(time, observe::Told::Audit);
    }
    let number = 2;
    assert_eq!(fixture.times(all()).await.len(), 9);
    assert_eq!(
        fixture.times(GetFlowsRequest { number, ..all() }).await,
        [8, 9]
    );
    let first = GetFlowsRequest {
        number,
        first: true,
        ..all()
    };
    assert_eq!(fixture.times(first.clone()).await, [1, 2]);
    let between = GetFlowsRequest {
        since: Some(super::flows::timestamp(3)),
        until: Some(super::flows::timestamp(5)),
        ..all()
    };
    assert_eq!(fixture.times(between).await, [3, 4, 5]);
    let both = GetFlowsRequest {
        follow: true,
        ..first
    };
    assert_eq!(
        fixture.flows(both).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_what_the_packet_was() {
    let mut fixture = fixture().await;
    fixture.tell(1_795_233_983_000_000_123, observe::Told::Deny);
    let mut answers = fixture.flows(all()).await.unwrap();
    let verdict = answers.message().await.unwrap().unwrap();
    assert_eq!(verdict.node_name, "default/node1");
    let Some(Told::Flow(verdict)) = verdict.told else {
        panic!("it is a flow");
    };
    let Some(Told::Flow(drop)) = answers.message().await.unwrap().unwrap().told else {
        panic!("it is a flow");
    };
    assert_ne!(verdict.uuid, drop.uuid);
    let expected = flow::Flow {
        time: Some(super::flows::timestamp(1_795_233_983_000_000_123)),
        uuid: drop.uuid.clone(),
        verdict: 2,
        drop_reason: 133,
        drop_reason_desc: 133,
        ip: Some(flow::Ip {
            source: "10.0.2.2".into(),
            destination: "10.0.2.15".into(),
            version: 1,
        }),
        l4: Some(flow::Layer4 {
            protocol: Some(flow::Protocol::Tcp(flow::Tcp {
                source_port: 47_500,
                destination_port: 6_443,
                flags: Some(flow::TcpFlags {
                    syn: true,
                    ..flow::TcpFlags::default()
                }),
            })),
        }),
        source: Some(flow::Endpoint {
            identity: 2,
            labels: vec!["reserved:world".into()],
            ..flow::Endpoint::default()
        }),
        destination: Some(flow::Endpoint {
            id: 1,
            identity: 1,
            labels: vec!["reserved:host".into()],
            ..flow::Endpoint::default()
        }),
        r#type: 1,
        node_name: "default/node1".into(),
        event_type: Some(flow::CiliumEventType {
            r#type: 1,
            sub_type: 133,
        }),
        traffic_direction: 1,
        interface: Some(flow::NetworkInterface {
            index: 2,
            name: "eth0".into(),
        }),
        node_labels: vec!["rack=b".into(), "zone=1".into()],
        emitter: Some(flow::Emitter {
            name: "fw-ctl".into(),
            version: env!("CARGO_PKG_VERSION").into(),
        }),
        summary: "TCP Flags: SYN".into(),
        ingress_denied_by: vec![flow::Policy {
            name: "host-all".into(),
            kind: "CiliumClusterwideNetworkPolicy".into(),
            ..flow::Policy::default()
        }],
        ..flow::Flow::default()
    };
    assert_eq!(*drop, expected);
    let of_policy = flow::Flow {
        uuid: verdict.uuid.clone(),
        event_type: Some(flow::CiliumEventType {
            r#type: 5,
            sub_type: 0,
        }),
        ..expected
    };
    assert_eq!(*verdict, of_policy);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_kernel_lost_is_told_and_who_follows_is_done_at_the_end() {
    let mut fixture = fixture().await;
    fixture.tell(1, observe::Told::Audit);
    fixture.observed.tell_lost(7, Some(1), Vec::new());
    let over = observe::now() + 300_000_000;
    let asked = GetFlowsRequest {
        number: 1,
        follow: true,
        until: Some(super::flows::timestamp(over)),
        // None of which there is one.
        whitelist: vec![FlowFilter {
            verdict: vec![2],
            ..FlowFilter::default()
        }],
        ..all()
    };
    let mut answers = fixture.flows(asked).await.unwrap();
    let answer = answers.message().await.unwrap().unwrap();
    let expected = flow::LostEvent {
        source: flow::LostEventSource::PerfEventRingBuffer as i32,
        num_events_lost: 7,
        cpu: Some(1),
    };
    assert_eq!(answer.told, Some(Told::LostEvents(expected)));
    assert_eq!(answer.node_name, "default/node1");
    assert!(answer.time.is_some());
    let end = tokio::time::timeout(std::time::Duration::from_secs(20), answers.message());
    assert!(end.await.unwrap().unwrap().is_none());
    assert!(observe::now() > over);
}

/// Hubble 1.19 has no words for them, and tells the rest.
#[test]
fn vrrp_and_igmp_have_no_layer_4() {
    for (protocol, name) in [(112, "VRRP"), (2, "IGMP")] {
        let record = Record {
            protocol,
            ..record()
        };
        let flow = observe::Flow {
            message: observe::Message::PolicyVerdict,
            record: Arc::new(record),
        };
        let whole = super::flows::whole(&flow);
        assert_eq!((whole.l4, whole.summary.as_str()), (None, name));
        assert!(whole.ip.is_some());
    }
}
