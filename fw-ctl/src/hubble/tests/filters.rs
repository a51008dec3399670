//! Every filter of the API, on flows that it tells apart.

use tonic::Code;

use super::{all, fixture, whitelist};
use crate::hubble::proto::flow::{self, EventTypeFilter, FlowFilter};
use crate::hubble::proto::observer::GetFlowsRequest;
use crate::observe;

/// Every filter of the API: the record is of an audited SYN from 10.0.2.2:47500 (world) to
/// 10.0.2.15:6443 (host).
#[tokio::test(flavor = "multi_thread")]
async fn filters_tell_flows_apart() {
    let mut fixture = fixture().await;
    fixture.tell(1, observe::Told::Audit);
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|t| (*t).to_owned()).collect() };
    let filter = FlowFilter::default;
    macro_rules! rows {
        ($($field:ident: $value:expr => $matches:literal),* $(,)?) => {
            vec![$((stringify!($field), FlowFilter { $field: $value, ..filter() }, $matches)),*]
        };
    }
    let rows = rows!(
        source_ip: texts(&["10.0.2.2"]) => true,
        source_ip: texts(&["10.0.0.0/8"]) => true,
        source_ip: texts(&["10.0.2.15"]) => false,
        destination_ip: texts(&["10.0.2.15"]) => true,
        source_port: texts(&["47500"]) => true,
        destination_port: texts(&["22", "6443"]) => true,
        destination_port: texts(&["22"]) => false,
        source_identity: vec![2] => true,
        destination_identity: vec![2] => false,
        source_label: texts(&["reserved:world"]) => true,
        destination_label: texts(&["!reserved:host"]) => false,
        source_pod: texts(&["kube-system/"]) => false,
        source_pod: texts(&["kube-system/coredns"]) => false,
        source_fqdn: texts(&["example.org"]) => false,
        destination_service: texts(&["default/web"]) => false,
        source_cluster_name: texts(&["other"]) => false,
        verdict: vec![4] => true,
        verdict: vec![2, 1] => false,
        verdict: vec![5] => false,
        drop_reason_desc: vec![133] => false,
        event_type: vec![EventTypeFilter { r#type: 5, ..EventTypeFilter::default() }] => true,
        event_type: vec![EventTypeFilter { r#type: 1, ..EventTypeFilter::default() }] => false,
        event_type: vec![EventTypeFilter { r#type: 4, ..EventTypeFilter::default() }] => false,
        protocol: texts(&["TCP"]) => true,
        protocol: texts(&["udp", "icmp"]) => false,
        protocol: texts(&["http"]) => false,
        tcp_flags: vec![flow::TcpFlags { syn: true, ..flow::TcpFlags::default() }] => true,
        tcp_flags: vec![flow::TcpFlags { syn: true, ack: true, ..flow::TcpFlags::default() }] => false,
        node_name: texts(&["default/node*"]) => true,
        node_name: texts(&["other/"]) => false,
        node_labels: texts(&["a=b"]) => false,
        ip_version: vec![1] => true,
        ip_version: vec![2] => false,
        traffic_direction: vec![1] => true,
        traffic_direction: vec![2] => false,
        reply: vec![true, false] => false,
        interface: vec![flow::NetworkInterface { name: "eth0".into(), index: 0 }] => true,
        interface: vec![flow::NetworkInterface { name: String::new(), index: 3 }] => false,
        uuid: texts(&["none"]) => false,
        dns_query: texts(&[".*"]) => false,
        http_method: texts(&["GET"]) => false,
        trace_id: texts(&["1"]) => false,
        ip_trace_id: vec![1] => false, encrypted: vec![true] => false,
    );
    for (name, filter, matches) in rows {
        let black = GetFlowsRequest {
            blacklist: vec![filter.clone()],
            ..all()
        };
        assert_eq!(
            !fixture.times(whitelist(filter)).await.is_empty(),
            matches,
            "{name}"
        );
        assert_eq!(fixture.times(black).await.is_empty(), matches, "not {name}");
    }
    for (name, filter) in [
        (
            "ip",
            FlowFilter {
                source_ip: texts(&["10.0.0"]),
                ..filter()
            },
        ),
        (
            "port",
            FlowFilter {
                source_port: texts(&["ssh"]),
                ..filter()
            },
        ),
        (
            "label",
            FlowFilter {
                source_label: texts(&["a b"]),
                ..filter()
            },
        ),
        (
            "protocol",
            FlowFilter {
                protocol: texts(&["nothing"]),
                ..filter()
            },
        ),
    ] {
        let status = fixture.flows(whitelist(filter)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{name}");
        assert!(status.message().contains(name), "{status}");
    }
}
