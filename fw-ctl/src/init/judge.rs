//! What the new configuration makes of what the host listens on: who could still open a
//! connection. The daemon's way from files to a plan, without its kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use fw_common::wire::Direction;
use ipnet::IpNet;
use serde::Serialize;

use super::Wish;
use super::files::NewFile;
use super::found::Found;
use super::listening::Listening;
use crate::config::{Config, preview};
use crate::control::protocol::Failure;
use crate::daemon::{Compiled, Inputs, sources};
use crate::diagnostic::{Diagnostic, Source};
use crate::engine::{Engine, Flow, Judgement, Reason, Table};
use crate::lists::ListFiles;
use crate::policy::label::CLUSTER;
use crate::policy::lint::SELECTS_NOBODY;
use crate::sockets::UDP;

/// The group of policies that says where administrators come from.
const ADMIN: &str = "admin-networks";
/// Prefixes of it that stand for all of them.
const SAMPLES: usize = 16;

/// The node, where its name is not known.
const NAMELESS: &str = "this-node";
/// What is called a file here, and is none.
const OWN: &str = "fw-ctl init";

/// Peers that nobody has, each as IPv4 (RFC 1112 §4, reserved) and IPv6 (RFC 6666, discarded):
/// what the policies say of them they say of every such peer.
const NODE: [&str; 2] = ["240.0.0.1", "100::1"];
const API_SERVER: [&str; 2] = ["240.0.0.2", "100::2"];
const POD: [&str; 2] = ["240.0.0.3", "100::3"];
const STRANGER: [&str; 2] = ["240.0.0.4", "100::4"];

/// Who may open a connection, as far as policies tell peers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Strangers, and so everybody.
    Everybody,
    /// The admin networks.
    Admin,
    /// Nodes and pods.
    Cluster,
    /// Other nodes.
    Nodes,
    /// Those of them that run an API server.
    ApiServers,
    /// Pods.
    Pods,
}

impl Who {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Everybody => "everybody",
            Self::Admin => "admin",
            Self::Cluster => "cluster",
            Self::Nodes => "nodes",
            Self::ApiServers => "API servers",
            Self::Pods => "pods",
        }
    }
}

/// A port that somebody listens on, and who could open a connection to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// What was found.
    pub listening: Listening,
    /// Who could; nobody where this is empty.
    pub open_to: Vec<Who>,
    /// Who could if there were no failsafe entries.
    pub by_policy: Vec<Who>,
    /// What decides it.
    pub because: String,
}

/// What the files come to.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Every port, by protocol and number.
    pub ports: Vec<Port>,
    /// What is doubtful.
    pub warnings: Vec<Diagnostic>,
    /// The control socket of the instance.
    pub control_socket: PathBuf,
}

/// Compiles the files that there would be, and judges what is listening.
///
/// # Errors
/// Everything that is wrong with them.
pub(super) fn judge(wish: &Wish, found: &Found, files: &[NewFile]) -> Result<Judged, Failure> {
    let config = configuration(wish, files)?;
    let control_socket = config.paths.control_socket();
    let (inputs, unreadable) = inputs(wish, found, files, config);
    let compile = |inputs: &Inputs, unreadable| {
        sources::compile(Arc::new(inputs.clone()), unreadable)
            .map_err(|wrong| wrong.failure("nothing was written: the result is refused"))
    };
    let compiled = compile(&inputs, unreadable)?;
    let own = |found: &Diagnostic| {
        let mut paths = files.iter().map(|file| file.at.display().to_string());
        paths.any(|path| path == found.source.name)
    };
    // Whoever is not known yet is selected by nobody, and an empty group is told in words.
    let is_early = |found: &Diagnostic| {
        found.message == SELECTS_NOBODY || found.message.contains(&format!("`{ADMIN}`"))
    };
    let warnings = compiled.warnings.iter();
    let warnings = warnings.filter(|found| !(own(found) && is_early(found)));
    let warnings = warnings.cloned().collect();

    let mut peopled = inputs;
    let inventory = peers(&peopled.config.policy.cluster_name);
    peopled.inventory.push(Arc::new(inventory));
    let whole = compile(&peopled, Vec::new())?;
    peopled.config.failsafe.inbound.clear();
    let policy = compile(&peopled, Vec::new())?;
    let peers = Peers::new(&whole);
    let mut tables = [whole.plan, policy.plan].map(Table::new);
    let ports = found.listening.iter();
    let ports = ports.map(|one| port(one, &peers, &mut tables));
    Ok(Judged {
        ports: ports.collect(),
        warnings,
        control_socket,
    })
}

/// The configuration as the daemon will read it, with drop-ins that are there and, on this
/// machine, the environment. Its paths are those of files here.
fn configuration(wish: &Wish, files: &[NewFile]) -> Result<Config, Failure> {
    let root = &wish.root;
    let main = files.iter().find(|file| file.path == wish.config);
    let main = main.expect("the configuration is among the files");
    let vendor = root.join(crate::config::VENDOR_FILE);
    let environment = match root.is_here() {
        true => wish.environment.clone(),
        false => Vec::new(),
    };
    let loaded = preview(&main.at, main.text.clone(), &vendor, environment);
    let mut config = loaded
        .map_err(|errors| {
            let what = "nothing was written: the configuration would be refused";
            Failure::refused(what, &errors)
        })?
        .config;
    for paths in [&mut config.policy.dirs, &mut config.policy.inventory] {
        for path in paths {
            *path = root.join(&*path);
        }
    }
    Ok(config)
}

/// What is there, with the new files in place of theirs.
fn inputs(
    wish: &Wish,
    found: &Found,
    files: &[NewFile],
    config: Config,
) -> (Inputs, Vec<Diagnostic>) {
    // The directories that are to be made have nothing in them yet.
    let mut there = config.clone();
    let made = [&wish.policies, &wish.inventory].map(|path| wish.root.join(path));
    let is_there = |path: &PathBuf| path.exists() || !made.contains(path);
    there.policy.dirs.retain(is_there);
    there.policy.inventory.retain(is_there);
    let (mut inputs, unreadable) = Inputs::read(&there, &ListFiles::default());
    let new = |directory: &PathBuf| {
        let below = wish.root.join(directory);
        let files = files.iter().filter(move |file| file.at.starts_with(&below));
        files.map(|file| {
            Arc::new(Source {
                name: file.at.display().to_string(),
                text: file.text.clone(),
            })
        })
    };
    // What a drop-in has the daemon read from elsewhere is not read here either.
    let reads = |paths: &[PathBuf], directory: &PathBuf| {
        let directory = wish.root.join(directory);
        paths.iter().any(|path| directory.starts_with(path))
    };
    if reads(&config.policy.dirs, &wish.policies) {
        put(&mut inputs.policies, new(&wish.policies).collect());
    }
    if reads(&config.policy.inventory, &wish.inventory) {
        put(&mut inputs.inventory, new(&wish.inventory).collect());
    }
    inputs.config = config;
    inputs.ssh_ports.clone_from(&found.ssh_ports);
    if !wish.is_of_this_machine() && inputs.config.node.name.is_empty() {
        // The hostname of this machine is not the host's.
        NAMELESS.clone_into(&mut inputs.node);
        inputs.inventory.push(Arc::new(Source {
            name: OWN.into(),
            text: format!("kind: Node\nmetadata: {{name: {NAMELESS}}}\n"),
        }));
    }
    // Errors of files that are replaced are none.
    let is_replaced = |error: &Diagnostic| {
        let mut paths = files.iter().map(|file| file.at.display().to_string());
        paths.any(|path| path == error.source.name)
    };
    let unreadable = unreadable.into_iter();
    (
        inputs,
        unreadable.filter(|error| !is_replaced(error)).collect(),
    )
}

fn put(sources: &mut Vec<Arc<Source>>, new: Vec<Arc<Source>>) {
    sources.retain(|old| new.iter().all(|new| new.name != old.name));
    sources.extend(new);
    sources.sort_by(|one, other| one.name.cmp(&other.name));
}

/// Who is asked about.
struct Peers {
    admin: Vec<IpAddr>,
}

/// Peers of each kind, that nobody has.
fn peers(cluster: &str) -> Source {
    let list = |addresses: [&str; 2]| {
        let addresses = addresses.map(|one| format!("{{type: InternalIP, address: \"{one}\"}}"));
        addresses.join(", ")
    };
    let cluster = serde_json::Value::from(format!("k8s:{CLUSTER}={cluster}"));
    let mut text = String::from("kind: List\napiVersion: v1\nitems:\n");
    for (name, addresses) in [("node", NODE), ("api-server", API_SERVER)] {
        text += &format!(
            "- kind: Node\n  metadata: {{name: \"fw-ctl.io/init/{name}\"}}\n  \
             status: {{addresses: [{}]}}\n",
            list(addresses)
        );
    }
    let servers = serde_json::json!(API_SERVER);
    text += &format!(
        "- kind: EndpointSlice\n  metadata: {{name: fw-ctl-init, namespace: default, labels: \
         {{kubernetes.io/service-name: kubernetes}}}}\n  endpoints: [{{addresses: {servers}}}]\n"
    );
    text += &format!(
        "---\napiVersion: fw-ctl.io/v1\nkind: AddressIdentities\nspec:\n  entries:\n  \
         - {{prefix: {}/32, labels: [{cluster}]}}\n  - {{prefix: \"{}/128\", labels: [{cluster}]}}\n",
        POD[0], POD[1]
    );
    Source {
        name: OWN.into(),
        text,
    }
}

impl Peers {
    fn new(compiled: &Compiled) -> Self {
        let groups = compiled.groups.iter().filter(|group| group.name == ADMIN);
        let prefixes = groups.flat_map(|group| group.live()).take(SAMPLES);
        Self {
            admin: prefixes.map(|(prefix, _)| example(prefix)).collect(),
        }
    }

    /// Whether all peers of a kind may, and why; `None`: nobody of the kind can be asked about.
    fn judge(&self, table: &mut Table, one: &Listening, peers: &Kind) -> Option<(bool, Judgement)> {
        let addresses = match peers {
            Kind::Admin => self.admin.clone(),
            Kind::Known(known) => known.iter().filter_map(|text| text.parse().ok()).collect(),
        };
        let is_asked = |address: &IpAddr| match address {
            IpAddr::V4(_) => one.v4,
            IpAddr::V6(_) => one.v6,
        };
        let flows: Vec<Flow> = addresses
            .into_iter()
            .filter(is_asked)
            .map(|peer| flow(one, peer))
            .collect();
        let judged = table.judge(&flows).ok()?;
        let all = !judged.is_empty() && judged.iter().all(|one| one.allow);
        // The first that may not says more than one that may.
        let told = judged.iter().find(|one| !one.allow).or(judged.first());
        Some((all, told?.clone()))
    }
}

/// Kinds of peers.
enum Kind {
    Admin,
    Known([&'static str; 2]),
}

/// An address that a prefix means: not that of the network itself.
fn example(prefix: IpNet) -> IpAddr {
    prefix.hosts().next().unwrap_or(prefix.addr())
}

fn flow(one: &Listening, peer: IpAddr) -> Flow {
    // What only answers may reach is reached from where they come from.
    let source_port = match (one.protocol, one.port) {
        (UDP, 68) => 67,
        (UDP, 546) => 547,
        _ => 40_000,
    };
    Flow {
        id: String::new(),
        source: peer,
        destination: match peer {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        },
        protocol: one.protocol,
        source_port,
        destination_port: one.port,
        icmp_type: 0,
        icmp_code: 0,
        vlan: None,
        direction: Direction::Ingress,
        expect: None,
    }
}

fn port(one: &Listening, peers: &Peers, [whole, policy]: &mut [Table; 2]) -> Port {
    let (open_to, because) = who(one, peers, whole);
    Port {
        listening: one.clone(),
        open_to,
        by_policy: who(one, peers, policy).0,
        because,
    }
}

/// Who may, and what decides it.
fn who(one: &Listening, peers: &Peers, table: &mut Table) -> (Vec<Who>, String) {
    let mut judge = |kind: Kind| peers.judge(table, one, &kind);
    let Some((stranger, told)) = judge(Kind::Known(STRANGER)) else {
        return (Vec::new(), String::new());
    };
    if stranger {
        return (vec![Who::Everybody], reason(&told));
    }
    let mut deciding = BTreeSet::new();
    let mut may = |kind: Kind| {
        let judged = judge(kind).filter(|(may, _)| *may);
        deciding.extend(judged.iter().map(|(_, told)| reason(told)));
        judged.is_some()
    };
    let admin = may(Kind::Admin);
    let [node, api_server, pod] = [NODE, API_SERVER, POD].map(|known| may(Kind::Known(known)));
    let mut who: Vec<Who> = admin.then_some(Who::Admin).into_iter().collect();
    match (node && api_server, api_server, pod) {
        (true, _, true) => who.push(Who::Cluster),
        (nodes, servers, pods) => {
            who.extend(nodes.then_some(Who::Nodes));
            who.extend((servers && !nodes).then_some(Who::ApiServers));
            who.extend(pods.then_some(Who::Pods));
        }
    }
    match deciding.is_empty() {
        true => (who, reason(&told)),
        false => (who, deciding.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

fn reason(judgement: &Judgement) -> String {
    let policy = &judgement.policy;
    match judgement.reason {
        Reason::AllowRule => policy.clone(),
        Reason::DefaultDeny => format!("default deny of {policy}"),
        Reason::DenyRule => format!("denied by {policy}"),
        Reason::DefaultAllow | Reason::NoPolicy => "no policy restricts it".to_owned(),
        Reason::Failsafe => "[failsafe]".to_owned(),
        Reason::Builtin => format!("built-in {}", judgement.rule),
        Reason::VlanNotAdmitted => "interfaces.vlans".to_owned(),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
