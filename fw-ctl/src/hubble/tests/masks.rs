//! Field masks, against the whole message.

use prost::Message;
use prost_types::FieldMask;
use tonic::Code;

use super::{all, fixture};
use crate::hubble::flows::timestamp;
use crate::hubble::mask::Mask;
use crate::hubble::proto::flow::{
    CiliumEventType, Emitter, Endpoint, Flow, Icmp, Ip, Layer4, NetworkInterface, Policy, Ports,
    Protocol, Tcp, TcpFlags,
};
use crate::hubble::proto::observer::{GetFlowsRequest, Told};
use crate::hubble::schema::{FLOW, Field};
use crate::observe;

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// With every field that there is here.
fn full() -> Flow {
    let side = |number| Endpoint {
        id: number,
        identity: number + 1,
        cluster_name: "default".into(),
        namespace: "shop".into(),
        labels: vec!["k8s:app=a".into(), "k8s:app=b".into()],
        pod_name: "web-0".into(),
    };
    let policies = |name: &str| {
        vec![Policy {
            name: name.into(),
            kind: "CiliumClusterwideNetworkPolicy".into(),
            ..Policy::default()
        }]
    };
    Flow {
        time: Some(timestamp(1_795_233_983_000_000_123)),
        uuid: "u".into(),
        verdict: 2,
        drop_reason: 133,
        ip: Some(Ip {
            source: "192.0.2.1".into(),
            destination: "192.0.2.2".into(),
            version: 1,
        }),
        l4: Some(Layer4 {
            protocol: Some(Protocol::Tcp(Tcp {
                source_port: 47_500,
                destination_port: 22,
                flags: Some(TcpFlags {
                    fin: true,
                    syn: true,
                    rst: true,
                    psh: true,
                    ack: true,
                    urg: true,
                    ece: true,
                    cwr: true,
                    ns: true,
                }),
            })),
        }),
        source: Some(side(1)),
        destination: Some(side(5)),
        r#type: 1,
        node_name: "default/node1".into(),
        node_labels: vec!["rack=b".into()],
        event_type: Some(CiliumEventType {
            r#type: 1,
            sub_type: 133,
        }),
        traffic_direction: 1,
        policy_match_type: 2,
        drop_reason_desc: 134,
        is_reply: Some(true),
        interface: Some(NetworkInterface {
            index: 2,
            name: "eth0".into(),
        }),
        emitter: Some(Emitter {
            name: "fw-ctl".into(),
            version: "1".into(),
        }),
        summary: "TCP Flags: SYN".into(),
        egress_allowed_by: policies("a"),
        ingress_allowed_by: policies("b"),
        egress_denied_by: policies("c"),
        ingress_denied_by: policies("d"),
        policy_log: vec!["ticket 4711".into()],
    }
}

fn masked(paths: &[&str], flow: &Flow) -> Flow {
    Mask::of(Some(&mask(paths))).unwrap().unwrap().apply(flow)
}

/// Every path to what is no message.
fn leaves(of: &[Field], before: &str, into: &mut Vec<String>) {
    for field in of {
        let path = format!("{before}{}", field.name);
        match field.inside {
            [] => into.push(path),
            inside => leaves(inside, &format!("{path}."), into),
        }
    }
}

/// Each gives what it names, all together give everything, and what there is not here
/// gives nothing.
#[test]
fn every_path_is_a_field_of_its_own() {
    let full = full();
    let mut paths = Vec::new();
    leaves(FLOW, "", &mut paths);
    let all: Vec<_> = paths.iter().map(String::as_str).collect();
    assert_eq!(masked(&all, &full), full);
    let number = |prefix: &str| paths.iter().filter(|path| path.starts_with(prefix)).count();
    assert_eq!((number("l4.TCP.flags."), number("source.")), (9, 7));
    let filled = paths.iter().filter(|path| {
        let rest: Vec<_> = all.iter().copied().filter(|other| other != path).collect();
        masked(&rest, &full) != full
    });
    // Of the fields of `Flow` 24 are filled here; with what is in them:
    assert_eq!(filled.count(), 50);
}

#[test]
fn paths_of_any_depth_give_that_field_alone() {
    let full = full();
    let tcp = |tcp: Tcp| Flow {
        l4: Some(Layer4 {
            protocol: Some(Protocol::Tcp(tcp)),
        }),
        ..Flow::default()
    };
    let source = |source: Endpoint| Flow {
        source: Some(source),
        ..Flow::default()
    };
    let rows: [(&[&str], Flow); 11] = [
        (
            &["verdict", "IP.source"],
            Flow {
                verdict: 2,
                ip: Some(Ip {
                    source: "192.0.2.1".into(),
                    ..Ip::default()
                }),
                ..Flow::default()
            },
        ),
        (
            &["l4.TCP.source_port"],
            tcp(Tcp {
                source_port: 47_500,
                ..Tcp::default()
            }),
        ),
        (
            &["l4.TCP.flags.ACK", "l4.TCP.destination_port"],
            tcp(Tcp {
                destination_port: 22,
                flags: Some(TcpFlags {
                    ack: true,
                    ..TcpFlags::default()
                }),
                ..Tcp::default()
            }),
        ),
        (
            &["source.labels"],
            source(Endpoint {
                labels: vec!["k8s:app=a".into(), "k8s:app=b".into()],
                ..Endpoint::default()
            }),
        ),
        // All of it, whatever else is said.
        (
            &["source.identity", "source", "source.ID"],
            source(full.source.clone().unwrap()),
        ),
        (&["source.workloads"], source(Endpoint::default())),
        (
            &["time.nanos"],
            Flow {
                time: Some(timestamp(123)),
                ..Flow::default()
            },
        ),
        (
            &["interface.name", "event_type.sub_type"],
            Flow {
                interface: Some(NetworkInterface {
                    name: "eth0".into(),
                    ..NetworkInterface::default()
                }),
                event_type: Some(CiliumEventType {
                    sub_type: 133,
                    ..CiliumEventType::default()
                }),
                ..Flow::default()
            },
        ),
        (
            &["ingress_denied_by", "Summary", "Type"],
            Flow {
                ingress_denied_by: full.ingress_denied_by.clone(),
                summary: full.summary.clone(),
                r#type: 1,
                ..Flow::default()
            },
        ),
        // Of another protocol: there is a layer 4, and nothing that was asked for.
        (
            &["l4.UDP.source_port"],
            Flow {
                l4: Some(Layer4::default()),
                ..Flow::default()
            },
        ),
        (&["l7", "ethernet", "source_names"], Flow::default()),
    ];
    for (paths, expected) in rows {
        assert_eq!(masked(paths, &full), expected, "{paths:?}");
    }
}

#[test]
fn every_protocol_has_a_path() {
    let full = full();
    assert_eq!(masked(&["is_reply.value"], &full).is_reply, Some(true));
    for (path, protocol) in [
        ("l4.UDP", Protocol::Udp(Ports::default())),
        ("l4.SCTP", Protocol::Sctp(Ports::default())),
        ("l4.ICMPv4", Protocol::Icmpv4(Icmp::default())),
        ("l4.ICMPv6", Protocol::Icmpv6(Icmp::default())),
    ] {
        let l4 = Some(Layer4 {
            protocol: Some(protocol),
        });
        let flow = Flow {
            l4: l4.clone(),
            ..full.clone()
        };
        assert_eq!(masked(&[path], &flow).l4, l4, "{path}");
    }
    assert!(full.encoded_len() > 300);
}

#[test]
fn a_path_that_is_none_is_refused_and_named() {
    let long = "x".repeat(1 << 20);
    for path in [
        "",
        ".",
        "nothing",
        "verdict.",
        "source.",
        "source.none",
        "verdict.none",
        "l4.TCP.flags.syn",
        "source.labels.a",
        "ingress_denied_by.name",
        "ip",
        "IP.source ",
        "l4..TCP",
        &long,
    ] {
        let refused = Mask::of(Some(&mask(&["time", path]))).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{path}");
        let named = format!("`{}`", path.chars().take(100).collect::<String>());
        assert!(refused.message().ends_with(&named), "{refused}");
    }
    assert_eq!(Mask::of(None).unwrap(), None);
    assert_eq!(Mask::of(Some(&mask(&[]))).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_what_it_asked_for_and_hears_of_what_it_may_not() {
    let mut fixture = fixture().await;
    fixture.tell(1, observe::Told::Audit);
    let asked = |paths: &[&str]| GetFlowsRequest {
        field_mask: Some(mask(paths)),
        ..all()
    };
    let paths = ["verdict", "source.identity"];
    let mut answers = fixture.flows(asked(&paths)).await.unwrap();
    let Some(Told::Flow(flow)) = answers.message().await.unwrap().unwrap().told else {
        panic!("it is a flow");
    };
    let expected = Flow {
        verdict: 4,
        source: Some(Endpoint {
            identity: 2,
            ..Endpoint::default()
        }),
        ..Flow::default()
    };
    assert_eq!(*flow, expected);
    let refused = fixture.flows(asked(&["verdict", "soruce"])).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("`soruce`"), "{refused}");
}
