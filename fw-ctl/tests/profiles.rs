//! The shipped policy sets against the port tables of what they are for: what is in a table is
//! open to those it names, and to nobody else; every other port is closed to everybody.
//!
//! Judged without failsafe entries and built-ins, by the plain reading of the policies and by
//! everything that compiled tables run in.

#![allow(clippy::unwrap_used, reason = "tests may")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use common::engines::judge_with_all;
use fw_common::wire::Direction;
use fw_ctl::compile::Enforcement;
use fw_ctl::engine::{Context, Engine, Flow};
use fw_ctl::init::{self, Profile, Root, Wish};
use fw_ctl::inventory;
use fw_ctl::policy::lint::{Input, lint};
use fw_ctl::policy::load;
use fw_ctl::policy::rules::CidrMatchMode;
use fw_ctl::reference::Reference;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Who asks, with an address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Server,
    Agent,
    Pod,
    /// Hubble's relay, a pod.
    Relay,
    Admin,
    Stranger,
}
use Who::{Admin, Agent, Pod, Relay, Server, Stranger};

impl Who {
    const ALL: [Self; 6] = [Server, Agent, Pod, Relay, Admin, Stranger];

    fn addresses(self) -> [&'static str; 2] {
        match self {
            Server => ["10.0.0.12", "2001:db8:0:10::12"],
            Agent => ["10.0.0.21", "2001:db8:0:10::21"],
            Pod => ["10.42.2.9", "2001:db8:42:2::9"],
            Relay => ["10.42.2.17", "2001:db8:42:2::17"],
            Admin => ["10.0.9.5", "2001:db8:0:9::5"],
            Stranger => ["203.0.113.7", "2001:db8:bad::66"],
        }
    }
}

const OWN: [&str; 2] = ["10.0.0.10", "2001:db8:0:10::10"];
const NODES: &[Who] = &[Server, Agent];
const CLUSTER: &[Who] = &[Server, Agent, Pod, Relay];
const CLUSTER_AND_ADMIN: &[Who] = &[Server, Agent, Pod, Relay, Admin];
const NODES_AND_ADMIN: &[Who] = &[Server, Agent, Admin];
const EVERYBODY: &[Who] = &Who::ALL;

/// A row of a port table: protocol, first and last port, who may.
type Row = (u8, u16, u16, &'static [Who]);

/// A policy set, and what it is to open.
struct Set {
    name: &'static str,
    /// Value of the labels of roles; `None`: there are no roles.
    role: Option<&'static str>,
    /// Whether nodes with etcd have a label of their own.
    etcd_label: bool,
    every: &'static [Row],
    servers: &'static [Row],
    ping: &'static [Who],
    /// Egress is default deny.
    egress: bool,
    /// Sets that are added only where they are needed: directory, file, what it opens.
    optional: &'static [(&'static str, &'static str, &'static [Row])],
}

/// What each Kubernetes node has for Cilium (docs.cilium.io, system requirements): health,
/// Hubble's peers, VXLAN, WireGuard.
macro_rules! with_cilium {
    ($($row:expr),* $(,)?) => {
        &[
            (TCP, 4240, 4240, NODES),
            (TCP, 4244, 4244, &[Relay]),
            (UDP, 8472, 8472, NODES),
            (UDP, 51_871, 51_871, NODES),
            $($row),*
        ]
    };
}

/// `NodePort` services (kubernetes.io, ports and protocols).
const NODEPORTS: &[Row] = &[
    (TCP, 30_000, 32_767, EVERYBODY),
    (UDP, 30_000, 32_767, EVERYBODY),
];
/// Calico (docs.tigera.io, network requirements): BGP, VXLAN, Typha. IP in IP has no ports.
const CALICO: &[Row] = &[
    (TCP, 179, 179, NODES),
    (UDP, 4789, 4789, NODES),
    (TCP, 5473, 5473, NODES),
];

const SETS: [Set; 5] = [
    // docs.rke2.io, requirements, inbound network rules
    Set {
        name: "rke2",
        role: Some("true"),
        etcd_label: true,
        every: with_cilium![
            (TCP, 22, 22, &[Admin]),
            (TCP, 80, 80, EVERYBODY),
            (TCP, 443, 443, EVERYBODY),
            (TCP, 10_250, 10_250, CLUSTER),
            (UDP, 51_820, 51_821, NODES),
        ],
        servers: &[
            (TCP, 2379, 2381, &[Server]),
            (TCP, 6443, 6443, CLUSTER_AND_ADMIN),
            (TCP, 9345, 9345, CLUSTER_AND_ADMIN),
        ],
        ping: CLUSTER_AND_ADMIN,
        egress: true,
        optional: &[
            ("rke2-optional", "nodeports.yaml", NODEPORTS),
            (
                "rke2-optional",
                "other-cni.yaml",
                &[
                    (TCP, 179, 179, NODES),
                    (UDP, 4789, 4789, NODES),
                    (TCP, 5473, 5473, NODES),
                    (TCP, 9098, 9099, NODES),
                ],
            ),
        ],
    },
    // docs.k3s.io, requirements, inbound rules for nodes
    Set {
        name: "k3s",
        role: Some("true"),
        etcd_label: true,
        every: with_cilium![
            (TCP, 22, 22, &[Admin]),
            (TCP, 80, 80, EVERYBODY),
            (TCP, 443, 443, EVERYBODY),
            (TCP, 10_250, 10_250, CLUSTER),
            (UDP, 51_820, 51_821, NODES),
        ],
        servers: &[
            (TCP, 2379, 2380, &[Server]),
            (TCP, 6443, 6443, CLUSTER_AND_ADMIN),
        ],
        ping: CLUSTER_AND_ADMIN,
        egress: true,
        optional: &[
            ("k3s-optional", "nodeports.yaml", NODEPORTS),
            ("k3s-optional", "calico.yaml", CALICO),
            ("k3s-optional", "registry.yaml", &[(TCP, 5001, 5001, NODES)]),
        ],
    },
    // kubernetes.io, ports and protocols: 10257 and 10259 are for the node itself
    Set {
        name: "kubeadm",
        role: Some(""),
        etcd_label: false,
        every: with_cilium![
            (TCP, 22, 22, &[Admin]),
            (TCP, 10_250, 10_250, CLUSTER),
            (UDP, 51_820, 51_821, NODES),
        ],
        servers: &[
            (TCP, 2379, 2380, &[Server]),
            (TCP, 6443, 6443, CLUSTER_AND_ADMIN),
        ],
        ping: CLUSTER_AND_ADMIN,
        egress: true,
        optional: &[
            ("kubeadm-optional", "nodeports.yaml", NODEPORTS),
            ("kubeadm-optional", "calico.yaml", CALICO),
            (
                "kubeadm-optional",
                "web.yaml",
                &[(TCP, 80, 80, EVERYBODY), (TCP, 443, 443, EVERYBODY)],
            ),
        ],
    },
    // docs.siderolabs.com, Talos, ingress firewall: apid, trustd, Flannel on 4789; KubeSpan
    Set {
        name: "talos",
        role: Some(""),
        etcd_label: false,
        every: with_cilium![
            (TCP, 10_250, 10_250, CLUSTER),
            (TCP, 50_000, 50_000, NODES_AND_ADMIN),
            (UDP, 4789, 4789, NODES),
            (UDP, 51_820, 51_820, NODES),
        ],
        servers: &[
            (TCP, 2379, 2380, &[Server]),
            (TCP, 6443, 6443, CLUSTER_AND_ADMIN),
            (TCP, 50_001, 50_001, NODES_AND_ADMIN),
        ],
        ping: CLUSTER_AND_ADMIN,
        egress: true,
        optional: &[("talos-optional", "nodeports.yaml", NODEPORTS)],
    },
    Set {
        name: "plain",
        role: None,
        etcd_label: false,
        every: &[(TCP, 22, 22, &[Admin])],
        servers: &[],
        ping: EVERYBODY,
        egress: false,
        optional: &[],
    },
];

/// Ports that something in or near a cluster listens on, and others that scanners ask for.
const WELL_KNOWN: [u16; 46] = [
    1, 7, 21, 22, 23, 25, 53, 68, 69, 80, 110, 111, 123, 137, 161, 179, 389, 443, 445, 514, 546,
    873, 2049, 2375, 2376, 3306, 3389, 5001, 5432, 5473, 6379, 6783, 7946, 8080, 9098, 9099, 9100,
    9962, 10_248, 10_249, 10_255, 10_256, 10_257, 10_259, 50_000, 65_535,
];

fn config(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config")
        .join(path)
}

/// The files of a directory of policies, by name.
fn files(directory: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(config(&format!("policies/{directory}"))).unwrap();
    let paths: BTreeSet<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let text = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(text).collect()
}

fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<Vec<_>>().join("\n---\n")
}

/// A cluster with the node under test, a server, an agent and two pods.
fn cluster(set: &Set, is_server: bool) -> String {
    let label = |role: &str| format!("node-role.kubernetes.io/{role}: \"{}\"", set.role.unwrap());
    let labels = |is_server: bool| match (set.role, is_server, set.etcd_label) {
        (None, ..) | (_, false, _) => String::new(),
        (_, true, false) => label("control-plane"),
        (_, true, true) => format!("{}, {}", label("control-plane"), label("etcd")),
    };
    let addresses = |addresses: [&str; 2]| {
        format!(
            "[{{type: InternalIP, address: {}}}, {{type: InternalIP, address: '{}'}}]",
            addresses[0], addresses[1]
        )
    };
    let mut text = String::new();
    for (name, is_server, own) in [
        (common::NODE, is_server, OWN),
        ("server2", true, Server.addresses()),
        ("agent1", false, Agent.addresses()),
    ] {
        text += &format!(
            "kind: Node\nmetadata: {{name: {name}, labels: {{{}}}}}\nstatus: {{addresses: {}}}\n---\n",
            labels(is_server),
            addresses(own)
        );
    }
    let mut servers = vec![Server.addresses()];
    servers.extend(is_server.then_some(OWN));
    for (family, name) in ["kubernetes", "kubernetes-v6"].into_iter().enumerate() {
        let addresses: Vec<_> = servers
            .iter()
            .map(|one| format!("'{}'", one[family]))
            .collect();
        text += &format!(
            "kind: EndpointSlice\nmetadata: {{name: {name}, namespace: default, labels: \
             {{kubernetes.io/service-name: kubernetes}}}}\nendpoints: [{{addresses: [{}]}}]\n---\n",
            addresses.join(", ")
        );
    }
    for (name, labels, who) in [
        ("relay", "app.kubernetes.io/name: hubble-relay", Relay),
        ("other", "app: other", Pod),
    ] {
        let [v4, v6] = who.addresses();
        text += &format!(
            "kind: Pod\nmetadata: {{name: {name}, namespace: kube-system, labels: {{{labels}}}}}\n\
             status: {{podIP: {v4}, podIPs: [{{ip: {v4}}}, {{ip: '{v6}'}}]}}\n---\n"
        );
    }
    text + "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: admin-networks}\n\
            spec: {externalCIDRs: [10.0.9.0/24, '2001:db8:0:9::/64']}\n"
}

fn context(policies: &str, inventory: &str) -> Context {
    let options = common::options(Enforcement::Default, CidrMatchMode::World);
    common::context(policies, inventory, options).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn flow(direction: Direction, peer: &str, own: &str, protocol: u8, port: u16) -> Flow {
    let ends = match direction {
        Direction::Ingress => [peer, own],
        Direction::Egress => [own, peer],
    };
    let is_icmp = [ICMP, ICMPV6].contains(&protocol);
    Flow {
        id: format!("{} {protocol}/{port} of {peer}", direction.name()),
        source: ends[0].parse().unwrap(),
        destination: ends[1].parse().unwrap(),
        protocol,
        source_port: if is_icmp { 0 } else { 40_000 },
        destination_port: if is_icmp { 0 } else { port },
        icmp_type: if is_icmp { port as u8 } else { 0 },
        icmp_code: 0,
        vlan: None,
        direction,
        expect: None,
    }
}

/// Every engine's verdict on each flow, against what is expected.
fn judge(about: &str, context: Context, flows: &[(Flow, bool)]) {
    let plan = context.plan().unwrap();
    let (all, expected): (Vec<Flow>, Vec<bool>) = flows.iter().cloned().unzip();
    let mut engines = judge_with_all(plan, &all);
    engines.push(("reference", Reference::new(context).judge(&all).unwrap()));
    for (engine, judged) in engines {
        for ((flow, judgement), expected) in all.iter().zip(&judged).zip(&expected) {
            assert_eq!(
                judgement.allow, *expected,
                "{about}: {engine}: {}: {judgement:?}",
                flow.id
            );
        }
    }
}

/// Every port of every table with its neighbours, and the well-known ones.
fn samples() -> BTreeSet<u16> {
    let rows = SETS.iter().flat_map(|set| {
        let optional = set.optional.iter().flat_map(|(.., rows)| rows.iter());
        set.every.iter().chain(set.servers).chain(optional)
    });
    let around =
        rows.flat_map(|(_, first, last, _)| [first - 1, *first, first + 1, *last, last + 1]);
    around.chain(WELL_KNOWN).collect()
}

fn ingress(set: &Set, rows: &[Row]) -> Vec<(Flow, bool)> {
    let mut flows = Vec::new();
    for who in Who::ALL {
        for (peer, own) in who.addresses().into_iter().zip(OWN) {
            let mut ask = |protocol, port, expected| {
                let flow = flow(Direction::Ingress, peer, own, protocol, port);
                flows.push((flow, expected));
            };
            for port in samples() {
                for protocol in [TCP, UDP] {
                    let is_open = |row: &&Row| {
                        let (of, first, last, whom) = **row;
                        of == protocol && (first..=last).contains(&port) && whom.contains(&who)
                    };
                    ask(protocol, port, rows.iter().any(|row| is_open(&row)));
                }
            }
            ask(SCTP, 2905, false);
            let (icmp, echo, other) = match own.contains(':') {
                true => (ICMPV6, 128, 140),
                false => (ICMP, 8, 13),
            };
            ask(icmp, echo, set.ping.contains(&who));
            ask(icmp, other, false);
        }
    }
    flows
}

fn egress(set: &Set) -> Vec<(Flow, bool)> {
    let mut flows = Vec::new();
    for who in Who::ALL {
        for (peer, own) in who.addresses().into_iter().zip(OWN) {
            for (protocol, port, to_all) in [
                (TCP, 25, false),
                (TCP, 53, true),
                (UDP, 53, true),
                (TCP, 80, true),
                (UDP, 123, true),
                (UDP, 443, false),
                (TCP, 443, true),
                (TCP, 6443, false),
                (UDP, 8472, false),
            ] {
                let expected = to_all || !set.egress || CLUSTER.contains(&who);
                let flow = flow(Direction::Egress, peer, own, protocol, port);
                flows.push((flow, expected));
            }
        }
    }
    flows
}

#[test]
fn each_set_opens_what_its_port_table_names_and_nothing_else() {
    for set in &SETS {
        let shipped = files(set.name);
        let policies = joined(shipped.iter().map(|(_, text)| text.as_str()));
        for is_server in [true, false] {
            let mut rows = set.every.to_vec();
            if is_server {
                rows.extend(set.servers);
            }
            let about = format!("{}, server: {is_server}", set.name);
            let inventory = cluster(set, is_server);
            let flows = [ingress(set, &rows), egress(set)].concat();
            judge(&about, context(&policies, &inventory), &flows);
            for (directory, name, more) in set.optional {
                let path = config(&format!("policies/{directory}/{name}"));
                let text = std::fs::read_to_string(path).unwrap();
                let policies = format!("{policies}\n---\n{text}");
                let rows = [&rows, *more].concat();
                let about = format!("{about}, with {directory}/{name}");
                judge(&about, context(&policies, &inventory), &ingress(set, &rows));
            }
        }
    }
}

/// A policy for a role must select by the value that the distribution sets.
#[test]
fn a_node_without_its_label_is_closed_not_open() {
    for set in SETS.iter().filter(|set| set.role.is_some()) {
        let shipped = files(set.name);
        let policies = joined(shipped.iter().map(|(_, text)| text.as_str()));
        let other = Set {
            role: Some(if set.role == Some("true") { "" } else { "true" }),
            ..*set
        };
        let flows = ingress(set, set.every);
        judge(set.name, context(&policies, &cluster(&other, true)), &flows);
    }
}

#[test]
fn no_set_has_a_file_that_nothing_is_said_of() {
    for set in &SETS {
        let optional = format!("{}-optional", set.name);
        let named: BTreeSet<String> = set.optional.iter().map(|row| row.1.to_owned()).collect();
        if config(&format!("policies/{optional}")).exists() {
            let there = files(&optional).into_iter().map(|(name, _)| name).collect();
            assert_eq!(named, there, "{optional}");
        }
    }
}

#[test]
fn every_set_is_valid_and_lints_clean() {
    for set in &SETS {
        let mut directories: Vec<_> = set.optional.iter().map(|row| row.0).collect();
        directories.insert(0, set.name);
        directories.dedup();
        let sources = directories.iter().flat_map(|directory| {
            let files = files(directory).into_iter();
            files.map(move |(name, text)| common::source(&format!("{directory}/{name}"), text))
        });
        let loaded = load::load_sources(sources);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let known = inventory::load_sources([common::source("i.yaml", cluster(set, true))]);
        assert!(known.diagnostics.is_empty(), "{:?}", known.diagnostics);
        let (groups, _) = known.inventory.groups_with(loaded.cidr_groups);
        let found = lint(&Input {
            documents: &loaded.documents,
            groups: &groups,
            inventory: Some(&known.inventory),
            node: None,
            cluster: "default",
            cidr_match_mode: CidrMatchMode::World,
            failsafe: &[],
        });
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, [""; 0], "{}", set.name);
    }
}

/// A root for `init`, with an sshd on these ports.
fn drafted(profile: Profile, sshd: &str) -> (tempfile::TempDir, init::Draft) {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("etc/ssh")).unwrap();
    std::fs::write(root.path().join("etc/ssh/sshd_config"), sshd).unwrap();
    let draft = init::draft(&Wish {
        profile,
        root: Root::new(root.path()),
        config: "/etc/fw-ctl/fw-ctl.toml".into(),
        policies: "/etc/fw-ctl/policies".into(),
        inventory: "/etc/fw-ctl/inventory".into(),
        node: Some(common::NODE.to_owned()),
        admin: ["10.0.9.0/24", "2001:db8:0:9::/64"]
            .map(|text| text.parse().unwrap())
            .into(),
        ssh_client: None,
        environment: Vec::new(),
    });
    (root, draft.unwrap_or_else(|wrong| panic!("{wrong:?}")))
}

/// By policy alone: failsafe entries would hide it.
#[test]
fn what_init_writes_never_cuts_ssh_from_the_admin_networks() {
    for profile in Profile::value_variants() {
        for (sshd, ports) in [("", &[22][..]), ("Port 2222\nPort 2022\n", &[2022, 2222])] {
            let (_root, draft) = drafted(*profile, sshd);
            let text = |below: &'static str| {
                let files = draft.files.iter();
                let files = files.filter(move |file| file.path.starts_with(below));
                joined(files.map(|file| file.text.as_str()))
            };
            let context = context(
                &text("/etc/fw-ctl/policies"),
                &text("/etc/fw-ctl/inventory"),
            );
            // Talos has no SSH: its way in is apid.
            let ports = match profile {
                Profile::Talos => &[50_000],
                _ => ports,
            };
            let mut flows = Vec::new();
            for who in [Admin, Stranger] {
                for (peer, own) in who.addresses().into_iter().zip(OWN) {
                    for port in [22, 2022, 2222, 50_000] {
                        let flow = flow(Direction::Ingress, peer, own, TCP, port);
                        flows.push((flow, who == Admin && ports.contains(&port)));
                    }
                }
            }
            judge(profile.name(), context, &flows);
        }
    }
}

/// The mode stays what a fresh install has.
#[test]
fn what_init_writes_drops_nothing_at_first() {
    for profile in Profile::value_variants() {
        let (_root, draft) = drafted(*profile, "");
        let loaded = fw_ctl::config::load_text(&draft.files[0].text).unwrap();
        let mode = loaded.config.policy.mode;
        assert_eq!(
            mode,
            fw_ctl::config::ModeSetting::Audit,
            "{}",
            profile.name()
        );
        assert!(!loaded.config.failsafe.inbound.is_empty());
        assert!(
            draft.judged.warnings.is_empty(),
            "{:?}",
            draft.judged.warnings
        );
    }
}

/// What is built in is what is shipped, whole.
#[test]
fn init_writes_every_file_of_a_set() {
    for (profile, directory) in [
        (Profile::Rke2Server, "rke2"),
        (Profile::Rke2Agent, "rke2"),
        (Profile::K3s, "k3s"),
        (Profile::Kubeadm, "kubeadm"),
        (Profile::Talos, "talos"),
        (Profile::Plain, "plain"),
    ] {
        let built_in = profile.policies(&[22].into(), false).into_iter();
        let built_in: BTreeSet<_> = built_in
            .map(|(name, text)| (name.to_owned(), text))
            .collect();
        let shipped: BTreeSet<_> = files(directory).into_iter().collect();
        assert_eq!(built_in, shipped, "{directory}");
    }
    let shipped = std::fs::read_to_string(config("fw-ctl.toml")).unwrap();
    assert_eq!(init::SHIPPED, shipped);
}
