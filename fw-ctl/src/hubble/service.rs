//! What is served under which name.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt, once, pending};
use prost::Message;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use super::agent;
use super::connection::Asker;
use super::feed::Feed;
use super::proto::agent::GetAgentEventsRequest;
use super::proto::health::{HealthCheckRequest, HealthCheckResponse, ServingStatus};
use super::proto::observer::{
    Empty, GetFlowsRequest, GetNamespacesResponse, GetNodesResponse, Namespace, Node, NodeState,
    ServerStatusResponse,
};
use super::proto::peer::{ChangeNotification, ChangeType};
use crate::control::places::{Place, Places};
use crate::observe::Events;
use crate::policy::label::CLUSTER;

/// The API's version, with ours behind it: the client compares it with its own.
const VERSION: &str = concat!("1.19.0+fw-ctl.", env!("CARGO_PKG_VERSION"));
/// Where the client looks for it.
const VERSION_KEY: &str = "hubble-server-version";

/// A service of one of the packages; all have the same behind them.
macro_rules! named {
    ($($name:ident = $package:literal),*) => {
        $(
            #[derive(Clone)]
            pub struct $name(pub Hubble);

            impl NamedService for $name {
                const NAME: &'static str = $package;
            }

            impl Service<http::Request<Body>> for $name {
                type Response = http::Response<Body>;
                type Error = Infallible;
                type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

                fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                    Poll::Ready(Ok(()))
                }

                fn call(&mut self, request: http::Request<Body>) -> Self::Future {
                    let hubble = self.0.clone();
                    Box::pin(async move { Ok(hubble.answer(request).await) })
                }
            }
        )*
    };
}

named!(
    Observer = "observer.Observer",
    Peer = "peer.Peer",
    Health = "grpc.health.v1.Health"
);

/// What all of them tell of.
#[derive(Clone)]
pub struct Hubble {
    /// Of what.
    pub events: Events,
    /// Where this is served.
    pub address: Arc<str>,
    /// For clients that are told flows.
    pub feeds: Places,
}

impl Hubble {
    async fn answer(self, request: http::Request<Body>) -> http::Response<Body> {
        let path = request.uri().path().to_owned();
        let asker = request.extensions().get::<Asker>().copied();
        let is_root = asker.is_some_and(|asker| asker.is_root);
        match path.as_str() {
            "/observer.Observer/GetFlows" => {
                streaming(request, |asked: GetFlowsRequest| {
                    let place = self.feed_place(is_root)?;
                    let feed = Feed::of(&asked, &self.events.observed, place)?;
                    Ok(feed.stream().boxed())
                })
                .await
            }
            "/observer.Observer/GetAgentEvents" => {
                streaming(request, |asked: GetAgentEventsRequest| {
                    let place = self.feed_place(is_root)?;
                    Ok(agent::stream(&asked, &self.events.agent, place)?.boxed())
                })
                .await
            }
            "/observer.Observer/ServerStatus" => {
                unary(request, |_: Empty| Ok(self.server_status())).await
            }
            "/observer.Observer/GetNodes" => unary(request, |_: Empty| Ok(self.nodes())).await,
            "/observer.Observer/GetNamespaces" => {
                unary(request, |_: Empty| Ok(self.namespaces())).await
            }
            "/peer.Peer/Notify" => streaming(request, |_: Empty| Ok(self.peers())).await,
            "/grpc.health.v1.Health/Check" => unary(request, health).await,
            "/grpc.health.v1.Health/Watch" => {
                streaming(request, |asked| {
                    let health = health(asked)?;
                    Ok(once(async { Ok(health) }).chain(pending()).boxed())
                })
                .await
            }
            _ => {
                let status = Status::unimplemented(format!("fw-ctl does not serve {path}"));
                status.into_http()
            }
        }
    }

    fn feed_place(&self, is_root: bool) -> Result<Place, Status> {
        self.feeds.take(is_root).ok_or_else(|| {
            let (count, reserve) = (self.feeds.count(), self.feeds.reserve());
            Status::resource_exhausted(match is_root {
                true => format!(
                    "{count} requests are told flows already, and the {reserve} places for root \
                     alone are taken; try: end other clients of root"
                ),
                false => format!(
                    "{count} requests are told flows already; try: again in a moment, or as root"
                ),
            })
        })
    }

    fn server_status(&self) -> ServerStatusResponse {
        let extent = self.events.observed.extent();
        ServerStatusResponse {
            num_flows: extent.flows as u64,
            max_flows: extent.capacity as u64,
            seen_flows: extent.seen,
            uptime_ns: extent.uptime.as_nanos() as u64,
            num_connected_nodes: None,
            version: format!("fw-ctl v{}", env!("CARGO_PKG_VERSION")),
            flows_rate: extent.rate(),
        }
    }

    fn nodes(&self) -> GetNodesResponse {
        let status = self.server_status();
        GetNodesResponse {
            nodes: vec![Node {
                name: self.events.observed.node().to_string(),
                version: status.version,
                address: self.address.to_string(),
                state: NodeState::Connected as i32,
                uptime_ns: status.uptime_ns,
                num_flows: status.num_flows,
                max_flows: status.max_flows,
                seen_flows: status.seen_flows,
            }],
        }
    }

    /// Those of the pods that flows are from or to.
    fn namespaces(&self) -> GetNamespacesResponse {
        let flows = self.events.observed.past();
        let sides = flows
            .iter()
            .flat_map(|flow| [&flow.record.source, &flow.record.destination]);
        let named = sides.filter(|side| !side.namespace().is_empty());
        let seen: BTreeSet<_> = named
            .map(|side| (side.label(CLUSTER), side.namespace()))
            .collect();
        let namespaces = seen.into_iter().map(|(cluster, namespace)| Namespace {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
        });
        GetNamespacesResponse {
            namespaces: namespaces.collect(),
        }
    }

    /// This node, and no changes.
    fn peers(&self) -> BoxStream<'static, Result<ChangeNotification, Status>> {
        let this = ChangeNotification {
            name: self.events.observed.node().to_string(),
            address: self.address.to_string(),
            r#type: ChangeType::PeerAdded as i32,
        };
        once(async { Ok(this) }).chain(pending()).boxed()
    }
}

fn health(asked: HealthCheckRequest) -> Result<HealthCheckResponse, Status> {
    const SERVED: [&str; 3] = ["", "hubble.server.Observer", "observer.Observer"];
    if !SERVED.contains(&asked.service.as_str()) {
        return Err(Status::not_found(format!(
            "fw-ctl serves no {}",
            asked.service
        )));
    }
    Ok(HealthCheckResponse {
        status: ServingStatus::Serving as i32,
    })
}

/// With the version in the header.
fn versioned<T>(value: T) -> Response<T> {
    let mut response = Response::new(value);
    let version = MetadataValue::from_static(VERSION);
    response.metadata_mut().insert(VERSION_KEY, version);
    response
}

async fn unary<A, B>(
    request: http::Request<Body>,
    answer: impl Fn(A) -> Result<B, Status>,
) -> http::Response<Body>
where
    A: Message + Default + Send + 'static,
    B: Message + Send + 'static,
{
    let answer = &answer;
    let service =
        service_fn(|asked: Request<A>| async move { answer(asked.into_inner()).map(versioned) });
    Grpc::new(ProstCodec::default())
        .unary(service, request)
        .await
}

async fn streaming<A, B>(
    request: http::Request<Body>,
    answer: impl Fn(A) -> Result<BoxStream<'static, Result<B, Status>>, Status>,
) -> http::Response<Body>
where
    A: Message + Default + Send + 'static,
    B: Message + Send + 'static,
{
    let answer = &answer;
    let service =
        service_fn(|asked: Request<A>| async move { answer(asked.into_inner()).map(versioned) });
    let mut grpc = Grpc::new(ProstCodec::default());
    grpc.server_streaming(service, request).await
}
