//! Every filter of the API, on flows that it tells apart.

use std::collections::BTreeSet;
use std::sync::Arc;

use tonic::Code;

use super::{Fixture, all, fixture, whitelist};
use crate::hubble::proto::flow::{
    self, EventTypeFilter, Experimental, FlowFilter, NetworkInterface, TcpFlags,
};
use crate::hubble::proto::observer::GetFlowsRequest;
use crate::observe::text::tests::record;
use crate::observe::{self, Identity, Record};

/// Which field is asked for, how, and whether a flow matches.
type Row = (&'static str, FlowFilter, bool);

macro_rules! rows {
    ($($field:ident: $value:expr => $matches:literal),* $(,)?) => {
        vec![$((
            stringify!($field),
            FlowFilter { $field: $value, ..FlowFilter::default() },
            $matches,
        )),*]
    };
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn event(number: i32) -> EventTypeFilter {
    EventTypeFilter {
        r#type: number,
        ..EventTypeFilter::default()
    }
}

fn sub_event(number: i32, sub_type: i32) -> EventTypeFilter {
    EventTypeFilter {
        match_sub_type: true,
        sub_type,
        ..event(number)
    }
}

fn interface(name: &str, index: u32) -> NetworkInterface {
    NetworkInterface {
        name: name.into(),
        index,
    }
}

fn workload(name: &str) -> flow::Workload {
    flow::Workload {
        name: name.into(),
        ..flow::Workload::default()
    }
}

/// Of an audited SYN from 10.0.2.2:47500 (world) to 10.0.2.15:6443 (host).
fn of_sides() -> Vec<Row> {
    rows!(
        source_ip: texts(&["10.0.2.2"]) => true,
        source_ip: texts(&["10.0.0.0/8"]) => true,
        source_ip: texts(&["10.0.2.15"]) => false,
        destination_ip: texts(&["10.0.2.15"]) => true,
        source_ip_xlated: texts(&["10.0.2.2"]) => false,
        source_port: texts(&["47500"]) => true,
        destination_port: texts(&["22", "6443"]) => true,
        destination_port: texts(&["22"]) => false,
        source_identity: vec![2] => true,
        destination_identity: vec![2] => false,
        source_label: texts(&["reserved:world"]) => true,
        destination_label: texts(&["!reserved:host"]) => false,
        source_pod: texts(&["kube-system/"]) => false,
        source_pod: texts(&["kube-system/coredns"]) => false,
        source_pod: texts(&["/coredns", "coredns"]) => false,
        source_fqdn: texts(&["example.org"]) => false,
        destination_fqdn: texts(&["example.org"]) => false,
        source_service: texts(&["default/web"]) => false,
        destination_service: texts(&["default/web"]) => false,
        source_workload: vec![workload("web")] => false,
        destination_workload: vec![workload("web")] => false,
        source_cluster_name: texts(&["other"]) => false,
        destination_cluster_name: texts(&["other"]) => false,
    )
}

/// Of the same.
fn of_the_rest() -> Vec<Row> {
    let header = flow::HttpHeader {
        key: "host".into(),
        value: "a".into(),
    };
    let syn = TcpFlags {
        syn: true,
        ..TcpFlags::default()
    };
    let syn_ack = TcpFlags { ack: true, ..syn };
    rows!(
        verdict: vec![4] => true,
        verdict: vec![2, 1] => false,
        verdict: vec![5] => false,
        drop_reason_desc: vec![133] => false,
        event_type: vec![event(5)] => true,
        event_type: vec![event(1)] => false,
        event_type: vec![event(4)] => false,
        event_type: vec![sub_event(5, 0)] => true,
        event_type: vec![sub_event(5, 1)] => false,
        protocol: texts(&["TCP"]) => true,
        protocol: texts(&["udp", "icmp"]) => false,
        protocol: texts(&["http"]) => false,
        tcp_flags: vec![syn] => true,
        tcp_flags: vec![syn_ack] => false,
        node_name: texts(&["default/node*"]) => true,
        node_name: texts(&["other/"]) => false,
        node_labels: texts(&["rack=b"]) => true,
        node_labels: texts(&["rack in (a, c), zone"]) => false,
        node_labels: texts(&["!rack", "zone"]) => true,
        ip_version: vec![1] => true,
        ip_version: vec![2] => false,
        traffic_direction: vec![1] => true,
        traffic_direction: vec![2] => false,
        reply: vec![true, false] => false,
        interface: vec![interface("eth0", 0)] => true,
        interface: vec![interface("", 3)] => false,
        uuid: texts(&["none"]) => false,
        dns_query: texts(&[".*"]) => false,
        http_method: texts(&["GET"]) => false,
        http_path: texts(&[".*"]) => false,
        http_url: texts(&[".*"]) => false,
        http_status_code: texts(&["200"]) => false,
        http_header: vec![header] => false,
        trace_id: texts(&["1"]) => false,
        ip_trace_id: vec![1] => false,
        encrypted: vec![true] => false,
    )
}

/// Of a dropped SYN from the pod shop/web-0 of the cluster `default`.
fn of_a_pods() -> Vec<Row> {
    rows!(
        source_pod: texts(&["shop/web-0"]) => true,
        source_pod: texts(&["shop/we"]) => true,
        source_pod: texts(&["shop/"]) => true,
        source_pod: texts(&["/web"]) => true,
        source_pod: texts(&["web-0"]) => false,
        source_pod: texts(&["shop/web-1", "other/"]) => false,
        destination_pod: texts(&["shop/web-0"]) => false,
        source_cluster_name: texts(&["default"]) => true,
        destination_cluster_name: texts(&["default"]) => false,
        drop_reason_desc: vec![133] => true,
        drop_reason_desc: vec![181] => false,
        event_type: vec![sub_event(1, 133)] => true,
        event_type: vec![sub_event(1, 130)] => false,
        verdict: vec![2] => true,
    )
}

/// What is told of the filters, as those that must match and those that must not.
async fn try_all(fixture: &mut Fixture, rows: Vec<Row>) {
    for (name, filter, matches) in rows {
        let black = GetFlowsRequest {
            blacklist: vec![filter.clone()],
            ..all()
        };
        let whole = fixture.times(all()).await.len();
        let white = fixture.times(whitelist(filter)).await.len();
        let left = fixture.times(black).await.len();
        assert_eq!(white > 0, matches, "{name}");
        assert_eq!(white + left, whole, "not {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_tell_flows_apart() {
    let mut fixture = fixture().await;
    fixture.tell(1, observe::Told::Audit);
    try_all(&mut fixture, of_sides()).await;
    try_all(&mut fixture, of_the_rest()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_find_a_pod_and_why_it_was_dropped() {
    let mut fixture = fixture().await;
    let mut dropped = Record {
        told: observe::Told::Deny,
        ..record()
    };
    dropped.source.pod = "web-0".into();
    dropped.source.identity = Arc::new(Identity {
        number: 4_711,
        labels: texts(&[
            "k8s:io.cilium.k8s.policy.cluster=default",
            "k8s:io.kubernetes.pod.namespace=shop",
        ]),
    });
    fixture.observed.tell(dropped);
    try_all(&mut fixture, of_a_pods()).await;
}

#[test]
fn every_filter_of_the_api_is_tried() {
    let rows = [of_sides(), of_the_rest(), of_a_pods()].concat();
    let tried: BTreeSet<_> = rows.iter().map(|(name, ..)| *name).collect();
    let known = format!("{:?}", FlowFilter::default());
    let known = known.strip_prefix("FlowFilter { ").unwrap();
    let known = known.strip_suffix(" }").unwrap();
    let fields = known
        .split(", ")
        .map(|field| field.split_once(": ").unwrap().0);
    // Refused, not matched.
    let known: BTreeSet<_> = fields.filter(|name| *name != "experimental").collect();
    assert_eq!(tried, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_value_is_refused() {
    let mut fixture = fixture().await;
    let filter = FlowFilter::default;
    let expression = FlowFilter {
        experimental: Some(Experimental {
            cel_expression: texts(&["true"]),
        }),
        ..filter()
    };
    let status = fixture.flows(whitelist(expression)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
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
