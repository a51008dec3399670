use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::config::{Config, FailsafeEntry, FailsafePorts, Origin};
use crate::daemon::{Inputs, sources};
use crate::lists::ListFiles;
use crate::netlink::{Address, Link};

const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {}
  ingress:
  - fromCIDRSet:
    - {cidr: 192.0.2.0/24, except: [192.0.2.64/26]}
    - {cidrGroupRef: admins}
    - {cidrGroupRef: bad}
  - fromEndpoints:
    - matchLabels: {app: web, 'k8s:io.kubernetes.pod.namespace': shop}
";
const INVENTORY: &str = "\
kind: List
items:
- kind: Node
  metadata: {name: n1}
  status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}
- kind: Node
  metadata: {name: n2}
  status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}
- kind: CiliumNode
  metadata: {name: n2}
  spec: {addresses: [{type: InternalIP, ip: 10.0.0.2}]}
- kind: Pod
  metadata: {name: web, namespace: shop, labels: {app: web}}
  status: {podIP: 10.42.0.9}
- kind: Pod
  metadata: {name: old, namespace: shop, labels: {app: old}}
  status: {podIP: 10.42.0.9}
- kind: EndpointSlice
  metadata: {name: kubernetes, namespace: default}
  endpoints: [{addresses: [10.0.0.2]}, {addresses: [203.0.113.10]}]
---
kind: CiliumCIDRGroup
apiVersion: cilium.io/v2
metadata: {name: admins}
spec:
  externalCIDRs:
  - 198.51.100.0/24
---
apiVersion: fw-ctl.io/v1
kind: AddressIdentities
metadata: {name: site}
spec:
  entries:
  - {prefix: 10.42.0.0/16, labels: ['k8s:app=some']}
  - {prefix: 10.42.0.9/32, labels: ['k8s:app=mine']}
  - {prefix: 10.42.0.9/32, labels: ['k8s:app=second']}
";
const LIST: &str = "192.0.2.66/32\n198.51.100.128/25\n";

struct Fixture {
    dir: TempDir,
    compiled: Compiled,
    network: Network,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut config = Config::default();
        config.node.name = "n1".into();
        config.policy.dirs = vec![write("p.yaml", POLICY)];
        config.policy.inventory = vec![write("i.yaml", INVENTORY), write("bad.cidr", LIST)];
        config.failsafe.outbound = vec![FailsafeEntry {
            protocol: 6,
            ports: FailsafePorts::Range(22..=22),
            cidr: Some("192.0.2.0/24".parse().unwrap()),
            origin: Origin("fw-ctl.toml:3".into()),
        }];
        let (inputs, unreadable) = Inputs::read(&config, &ListFiles::default());
        let Ok(compiled) = sources::compile(Arc::new(inputs), unreadable) else {
            panic!("the files are right");
        };
        let network = Network {
            links: vec![Link {
                index: 2,
                name: "eth0".into(),
                ..Link::default()
            }],
            addresses: vec![Address {
                link: 2,
                address: "10.9.9.9".parse().unwrap(),
                global: true,
            }],
            ..Network::default()
        };
        Self {
            dir,
            compiled,
            network,
        }
    }

    fn ask(&self, query: &Query) -> Peers {
        let ban =
            |address: IpAddr| (address.to_string() == "192.0.2.66").then(|| "once".to_owned());
        let known = Known {
            compiled: &self.compiled,
            generation: Some(7),
            network: Some(&self.network),
            ban: &ban,
        };
        peers(&known, query)
    }

    /// `prefix name: role kind name place says, …`, without the directory.
    fn lines(&self, answer: &Peers) -> Vec<String> {
        let dir = format!("{}/", self.dir.path().display());
        let said = |said: &Said| {
            let says = said.says.as_ref().map(|says| format!(" <{says}>"));
            format!(
                "{:?} {} {} {}{}",
                said.role,
                said.kind,
                said.name,
                said.place.replace(&dir, ""),
                says.unwrap_or_default()
            )
        };
        let peers = answer.peers.iter();
        let line = |peer: &Peer| {
            let from: Vec<_> = peer.from.iter().map(said).collect();
            format!("{} {}: {}", peer.prefix, peer.name, from.join(", "))
        };
        peers.map(line).collect()
    }
}

fn all() -> Query {
    Query {
        limit: MOST,
        ..Query::default()
    }
}

#[test]
fn every_row_says_who_it_is_and_by_whom() {
    let fixture = Fixture::new();
    let answer = fixture.ask(&all());
    assert_eq!(
        fixture.lines(&answer),
        [
            "0.0.0.0/0 world: ",
            "10.0.0.1/32 host (node n1): Identity Node n1 i.yaml:3",
            "10.0.0.2/32 kube-apiserver (node n2): Identity Node n2 i.yaml:6, \
             Same CiliumNode n2 i.yaml:9, \
             ApiServer EndpointSlice default/kubernetes i.yaml:18",
            "10.9.9.9/32 host: Own interface eth0 ",
            "10.42.0.0/16 app=some: Identity AddressIdentities site i.yaml:34",
            "10.42.0.9/32 app=mine: Identity AddressIdentities site i.yaml:35, \
             Overruled Pod shop/web i.yaml:12 <app=web in shop>, \
             Overruled Pod shop/old i.yaml:15 <app=old in shop>, \
             Overruled AddressIdentities site i.yaml:36 <app=second>",
            "192.0.2.0/24 world: Meant policy host ingress[0] p.yaml:7, \
             Meant failsafe  fw-ctl.toml:3",
            "192.0.2.64/26 world: LeftOut policy host ingress[0] p.yaml:7",
            "198.51.100.0/24 world: Meant CiliumCIDRGroup admins i.yaml:27",
            "203.0.113.10/32 kube-apiserver: Identity EndpointSlice default/kubernetes i.yaml:18",
            "::/0 world: ",
        ]
    );
    assert_eq!((answer.total, answer.next), (11, None));
    assert_eq!((answer.node.as_str(), answer.generation), ("n1", Some(7)));
}

#[test]
fn classes_are_those_of_the_plan() {
    let fixture = Fixture::new();
    let answer = fixture.ask(&all());
    let plan = &fixture.compiled.plan.peers;
    for (prefix, examples) in [
        ("0.0.0.0/0", &["8.8.8.8"][..]),
        ("10.42.0.0/16", &["10.42.7.7"]),
        // What the list and the exception make of it.
        ("192.0.2.64/26", &["192.0.2.65", "192.0.2.66"]),
        ("198.51.100.0/24", &["198.51.100.1", "198.51.100.129"]),
    ] {
        let prefix = prefix.parse().unwrap();
        let row = answer.peers.iter().find(|peer| peer.prefix == prefix);
        let row = row.unwrap_or_else(|| panic!("{prefix}"));
        let mut classes: Vec<u16> = examples
            .iter()
            .map(|address| plan.find(address.parse().unwrap()).2)
            .collect();
        classes.sort_unstable();
        classes.dedup();
        assert_eq!(row.classes, classes, "{prefix}");
    }
    let class = |address: &str| plan.find(address.parse().unwrap()).2;
    assert_ne!(class("192.0.2.65"), class("192.0.2.66"), "the list counts");
}

#[test]
fn an_address_is_told_with_the_prefixes_that_the_longest_hides() {
    let fixture = Fixture::new();
    let ask = |address: &str| {
        fixture.ask(&Query {
            address: Some(address.parse().unwrap()),
            ..all()
        })
    };
    let prefixes = |answer: &Peers| -> Vec<String> {
        answer
            .peers
            .iter()
            .map(|peer| peer.prefix.to_string())
            .collect()
    };
    let pod = ask("::ffff:10.42.0.9");
    assert_eq!(
        prefixes(&pod),
        ["10.42.0.9/32", "10.42.0.0/16", "0.0.0.0/0"]
    );
    let asked = pod.address.unwrap();
    assert_eq!(asked.identity.labels, ["k8s:app=mine"]);
    assert_eq!(
        (asked.name.as_str(), asked.lists.len(), asked.ban),
        ("app=mine", 0, None)
    );

    let listed = ask("192.0.2.66");
    assert_eq!(
        prefixes(&listed),
        ["192.0.2.64/26", "192.0.2.0/24", "0.0.0.0/0"]
    );
    let asked = listed.address.unwrap();
    assert_eq!((asked.first, asked.last), (asked.address, asked.address));
    let place = format!("({}/bad.cidr:1)", fixture.dir.path().display());
    assert_eq!(
        asked.lists,
        [format!("192.0.2.66/32 is in the list bad {place}")]
    );
    assert_eq!(asked.ban.as_deref(), Some("once"));

    let own = ask("10.9.9.9").address.unwrap();
    assert_eq!((own.identity.number, own.name.as_str()), (HOST, "host"));
}

#[test]
fn rows_are_chosen_by_identity_and_label() {
    let fixture = Fixture::new();
    let prefixes = |query: Query| -> Vec<String> {
        let answer = fixture.ask(&query);
        assert_eq!(answer.total, answer.peers.len());
        answer
            .peers
            .iter()
            .map(|peer| peer.prefix.to_string())
            .collect()
    };
    let number = |name: &str| Query {
        identity: Identity::number_of(name),
        ..all()
    };
    assert_eq!(prefixes(number("host")), ["10.0.0.1/32", "10.9.9.9/32"]);
    assert_eq!(
        prefixes(number("kube-apiserver")),
        ["10.0.0.2/32", "203.0.113.10/32"]
    );
    assert_eq!(prefixes(number("health")), [""; 0]);
    let label = |text: &str| Query {
        label: Some(Labels::parse(text).unwrap()),
        ..all()
    };
    assert_eq!(prefixes(label("k8s:app=mine")), ["10.42.0.9/32"]);
    assert_eq!(prefixes(label("k8s:app")), ["10.42.0.0/16", "10.42.0.9/32"]);
    assert_eq!(
        prefixes(label("reserved:host")),
        ["10.0.0.1/32", "10.9.9.9/32"]
    );
}

#[test]
fn pages_follow_each_other_and_leave_nothing_out() {
    let fixture = Fixture::new();
    let whole = fixture.ask(&all());
    let mut query = Query { limit: 4, ..all() };
    let mut seen = Vec::new();
    loop {
        let page = fixture.ask(&query);
        assert!(page.peers.len() <= 4);
        assert_eq!(page.total, whole.total);
        seen.extend(page.peers);
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(seen, whole.peers);
    let more = fixture.ask(&Query {
        limit: usize::MAX,
        ..all()
    });
    assert_eq!(more.peers.len(), whole.total);
}
