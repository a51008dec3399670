//! What the benchmarks, and the tests of large rule sets, judge by: rule sets of any
//! size, and packets for them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use fw_common::wire::Builtin;
use fw_ctl::compile::plan::{Mode, Plan};
use fw_ctl::compile::{Enforcement, Options, compile};
use fw_ctl::datapath::frame::{Packet, Payload, SYN};
use fw_ctl::diagnostic::{Source, Span};
use fw_ctl::inventory::Identities;
use fw_ctl::lists::Prefixes;
use fw_ctl::policy::rules::{
    CidrBlock, CidrMatchMode, GroupBlock, Origin, PeerSelector, Peers, Rule, RuleSet, ServiceRange,
    Services, Switch,
};
use fw_ctl::policy::schema::CidrGroup;
use ipnet::{IpNet, Ipv4Net};

/// The node.
pub const NODE: [u8; 4] = [10, 0, 0, 1];

/// Ingress rules, each allowing TCP 22 from a /24 of its own below 10.0.0.0/8.
#[must_use]
pub fn rules(count: u16) -> RuleSet {
    allowing((0..count).map(|i| {
        let [high, low] = i.to_be_bytes();
        let block = Ipv4Net::new_assert([10, high, low, 0].into(), 24);
        (Peers::Only(vec![cidr(IpNet::V4(block))]), 22)
    }))
}

/// Ingress rules, each allowing a TCP port from some peers.
#[must_use]
pub fn allowing(list: impl IntoIterator<Item = (Peers, u16)>) -> RuleSet {
    let source = Arc::new(Source {
        name: "bench.yaml".to_owned(),
        text: String::new(),
    });
    let mut set = RuleSet::default();
    let ingress = &mut set.directions[0];
    for (i, (peers, port)) in list.into_iter().enumerate() {
        ingress.rules.push(Rule {
            deny: false,
            peers,
            services: Services::Only(vec![ServiceRange::Ports {
                protocol: 6,
                first: port,
                last: port,
            }]),
            rate: None,
            vlans: None,
            origin: Origin {
                policy: "bench".into(),
                rule: format!("ingress[{i}]"),
                source: Arc::clone(&source),
                span: Span::default(),
                log: String::new(),
            },
        });
    }
    let switch = |rule: &Rule| Switch {
        origin: rule.origin.clone(),
        vlans: None,
    };
    ingress.default_deny = ingress.rules.first().map(switch).into_iter().collect();
    set
}

/// The peers of a prefix.
#[must_use]
pub fn cidr(cidr: IpNet) -> PeerSelector {
    PeerSelector::Cidr(CidrBlock {
        cidr,
        except: Vec::new(),
    })
}

/// The peers of a CIDR group with these prefixes.
#[must_use]
pub fn group(prefixes: Prefixes) -> PeerSelector {
    PeerSelector::Group(GroupBlock {
        group: Arc::new(CidrGroup {
            name: "list".to_owned(),
            labels: BTreeMap::new(),
            file: "list.netset".into(),
            line: None,
            prefixes: Arc::new(prefixes),
            now: 0,
        }),
        except: Vec::new(),
    })
}

/// Compiles them, in enforce mode.
#[must_use]
pub fn plan(rules: &RuleSet, identities: &Identities) -> Plan {
    let options = Options {
        mode: Mode::Enforce,
        builtins: Builtin::ALL,
        enforcement: Enforcement::Default,
        cidr_match_mode: CidrMatchMode::World,
        failsafe: Vec::new(),
        vlans: None,
    };
    compile(rules, identities, &options).expect("it fits the kernel's tables")
}

/// The frame of a TCP SYN to a port of the node.
#[must_use]
pub fn syn(source: [u8; 4], port: u16) -> Vec<u8> {
    let payload = Payload::Tcp {
        source: 40_000,
        destination: port,
        flags: SYN,
    };
    frame(source, payload)
}

/// The frame of a packet to the node.
#[must_use]
pub fn frame(source: [u8; 4], payload: Payload) -> Vec<u8> {
    let packet = Packet {
        vlan: None,
        source: IpAddr::from(source),
        destination: IpAddr::from(NODE),
        payload,
    };
    packet.frame().expect("both addresses are of one family")
}
