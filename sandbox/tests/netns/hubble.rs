//! Hubble's API on its socket, asked by a client that knows nothing of fw-ctl: messages are written
//! out here once more, by the names and numbers of the published API, as far as they are compared.

use std::time::Duration;

use http::uri::PathAndQuery;
use prost::{Message, Oneof};
use sandbox::{FwCtl, inventory};
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::Streaming;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::observe::traffic;
use crate::on_xdp_and_tc;

const PATIENCE: Duration = Duration::from_secs(5);
const DROPPED: i32 = 2;

on_xdp_and_tc!(a_client_of_hubble_gets_what_observe_tells);

#[derive(Clone, PartialEq, Message)]
struct GetFlowsRequest {
    #[prost(bool, tag = "3")]
    follow: bool,
    #[prost(message, repeated, tag = "6")]
    whitelist: Vec<FlowFilter>,
}

#[derive(Clone, PartialEq, Message)]
struct FlowFilter {
    #[prost(int32, repeated, tag = "5")]
    verdict: Vec<i32>,
    #[prost(string, repeated, tag = "14")]
    destination_port: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct GetFlowsResponse {
    #[prost(message, optional, tag = "1")]
    flow: Option<Flow>,
    #[prost(string, tag = "1000")]
    node_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Flow {
    #[prost(int32, tag = "2")]
    verdict: i32,
    #[prost(message, optional, tag = "5")]
    ip: Option<Ip>,
    #[prost(message, optional, tag = "6")]
    l4: Option<Layer4>,
    #[prost(message, optional, tag = "8")]
    source: Option<Side>,
    #[prost(message, optional, tag = "9")]
    destination: Option<Side>,
    #[prost(message, optional, tag = "19")]
    event_type: Option<EventType>,
    #[prost(int32, tag = "22")]
    traffic_direction: i32,
    #[prost(int32, tag = "25")]
    drop_reason_desc: i32,
    #[prost(message, optional, tag = "28")]
    interface: Option<Interface>,
    #[prost(string, tag = "34")]
    uuid: String,
    #[prost(message, repeated, tag = "21002")]
    ingress_allowed_by: Vec<Policy>,
    #[prost(message, repeated, tag = "21005")]
    ingress_denied_by: Vec<Policy>,
    #[prost(string, repeated, tag = "21006")]
    policy_log: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Ip {
    #[prost(string, tag = "1")]
    source: String,
    #[prost(string, tag = "2")]
    destination: String,
    #[prost(int32, tag = "3")]
    version: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Layer4 {
    #[prost(oneof = "Protocol", tags = "1, 2")]
    protocol: Option<Protocol>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Protocol {
    #[prost(message, tag = "1")]
    Tcp(Ports),
    #[prost(message, tag = "2")]
    Udp(Ports),
}

#[derive(Clone, PartialEq, Message)]
struct Ports {
    #[prost(uint32, tag = "1")]
    source: u32,
    #[prost(uint32, tag = "2")]
    destination: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Side {
    #[prost(uint32, tag = "2")]
    identity: u32,
    #[prost(string, repeated, tag = "4")]
    labels: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct EventType {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(int32, tag = "2")]
    sub: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Interface {
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Policy {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct ServerStatus {
    #[prost(uint64, tag = "1")]
    num_flows: u64,
    #[prost(uint64, tag = "2")]
    max_flows: u64,
}

impl Flow {
    /// In the words of protojson, as far as they are compared.
    fn json(&self) -> Value {
        let name = |number: i32, names: &[&str]| names[usize::try_from(number).unwrap()].to_owned();
        let ip = self.ip.clone().unwrap_or_default();
        let l4 = self.l4.clone().and_then(|l4| l4.protocol);
        let (protocol, ports) = match l4 {
            Some(Protocol::Tcp(ports)) => ("TCP", ports),
            Some(Protocol::Udp(ports)) => ("UDP", ports),
            None => ("other", Ports::default()),
        };
        let side = |side: &Option<Side>| side.clone().unwrap_or_default();
        let (source, destination) = (side(&self.source), side(&self.destination));
        let kind = self.event_type.clone().unwrap_or_default();
        let names = |policies: &[Policy]| {
            let names = policies.iter().map(|policy| policy.name.clone());
            names.collect::<Vec<_>>()
        };
        json!([
            self.uuid,
            name(
                self.verdict,
                &["", "FORWARDED", "DROPPED", "ERROR", "AUDIT"]
            ),
            [
                ip.source,
                ip.destination,
                name(ip.version, &["", "IPv4", "IPv6"])
            ],
            [protocol, ports.source, ports.destination],
            [source.identity, source.labels],
            [destination.identity, destination.labels],
            [kind.kind, kind.sub],
            name(self.traffic_direction, &["", "INGRESS", "EGRESS"]),
            if self.drop_reason_desc == 133 {
                "POLICY_DENIED"
            } else {
                ""
            },
            self.interface.clone().unwrap_or_default().name,
            names(&self.ingress_allowed_by),
            names(&self.ingress_denied_by),
            self.policy_log,
        ])
    }
}

/// The same of a flow that `fw-ctl observe` has told.
fn told(flow: &Value) -> Value {
    let protocol = ["TCP", "UDP"]
        .into_iter()
        .find(|name| !flow["l4"][name].is_null());
    let ports = &flow["l4"][protocol.unwrap_or_default()];
    let or = |value: &Value, instead: Value| match value.is_null() {
        true => instead,
        false => value.clone(),
    };
    let side = |side: &Value| json!([side["identity"], or(&side["labels"], json!([]))]);
    let names = |policies: &Value| {
        let policies = policies.as_array().into_iter().flatten();
        policies
            .map(|policy| policy["name"].clone())
            .collect::<Vec<_>>()
    };
    let ip = |name: &str| or(&flow["IP"][name], json!(""));
    json!([
        flow["uuid"],
        flow["verdict"],
        [ip("source"), ip("destination"), ip("ipVersion")],
        [
            protocol.unwrap_or("other"),
            or(&ports["source_port"], json!(0)),
            or(&ports["destination_port"], json!(0))
        ],
        side(&flow["source"]),
        side(&flow["destination"]),
        [
            flow["event_type"]["type"],
            or(&flow["event_type"]["sub_type"], json!(0))
        ],
        flow["traffic_direction"],
        or(&flow["drop_reason_desc"], json!("")),
        flow["interface"]["name"],
        names(&flow["ingress_allowed_by"]),
        names(&flow["ingress_denied_by"]),
        or(&flow["policy_log"], json!([])),
    ])
}

struct Client(Grpc<Channel>);

impl Client {
    async fn connect(fw_ctl: &FwCtl) -> Self {
        let path = fw_ctl.files().run.join("hubble.sock");
        let endpoint = Endpoint::from_shared(format!("unix://{}", path.display())).unwrap();
        Self(Grpc::new(endpoint.connect().await.unwrap()))
    }

    async fn flows(&mut self, asked: GetFlowsRequest) -> Streaming<GetFlowsResponse> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/observer.Observer/GetFlows");
        let codec = ProstCodec::default();
        let answer = self
            .0
            .server_streaming(tonic::Request::new(asked), path, codec);
        answer.await.unwrap().into_inner()
    }

    async fn status(&mut self) -> ServerStatus {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/observer.Observer/ServerStatus");
        let codec = ProstCodec::<Empty, ServerStatus>::default();
        let answer = self.0.unary(tonic::Request::new(Empty {}), path, codec);
        answer.await.unwrap().into_inner()
    }
}

async fn next(answers: &mut Streaming<GetFlowsResponse>) -> Option<Flow> {
    let answer = timeout(PATIENCE, answers.message())
        .await
        .unwrap()
        .unwrap()?;
    assert_eq!(answer.node_name, format!("default/{}", inventory::NODE));
    Some(answer.flow.unwrap())
}

fn a_client_of_hubble_gets_what_observe_tells(xdp: &'static str) {
    let policy = format!("{INGRESS_WEB}  log: {{value: ticket 4711}}\n");
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", &policy)]) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut client = Client::connect(&fixture.fw_ctl).await;
        let follow = GetFlowsRequest {
            follow: true,
            whitelist: vec![FlowFilter {
                verdict: vec![DROPPED],
                destination_port: vec!["22".into()],
            }],
        };
        let mut live = client.flows(follow).await;
        traffic(&fixture, 45_000);
        // Of each family a verdict and a drop.
        for family in [1, 1, 2, 2] {
            let flow = next(&mut live).await.unwrap();
            assert_eq!(
                (flow.verdict, flow.drop_reason_desc),
                (DROPPED, 133),
                "{xdp}"
            );
            assert_eq!(flow.ip.unwrap().version, family, "{xdp}");
        }

        let mut past = client.flows(GetFlowsRequest::default()).await;
        let mut flows = Vec::new();
        while let Some(flow) = next(&mut past).await {
            flows.push(flow.json());
        }
        let printed = fixture
            .fw_ctl
            .must(&["observe", "--all", "-o", "json"])
            .unwrap();
        let printed = printed.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            told(&line["flow"])
        });
        let printed: Vec<_> = printed.collect();
        // Something may have happened between the two.
        assert_eq!(flows, printed[..flows.len()], "{xdp}");
        assert!(flows.len() >= 10, "{xdp}: {flows:?}");
        let logged = |flow: &Value| {
            flow.as_array()
                .unwrap()
                .ends_with(&[json!(["ticket 4711"])])
        };
        assert!(flows.iter().any(logged), "{xdp}: {flows:?}");
        let status = client.status().await;
        assert!(status.num_flows >= flows.len() as u64 && status.max_flows > status.num_flows);
    });
}
