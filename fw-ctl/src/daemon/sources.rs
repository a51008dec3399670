//! From the operator's files to a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use fw_common::wire::Direction;

use super::doubts::doubts;
use super::inputs::read_lists;
use super::{Compiled, Inputs, Sources, Wrong};
use crate::cli::args;
use crate::compile::{Enforcement, Failsafe, Options, compile as compile_plan};
use crate::config::{Config, FailsafeEntry, FailsafePorts, Overrides};
use crate::diagnostic::{Diagnostic, Severity, Source};
use crate::engine::Context;
use crate::inventory::{self, Inventory, Labels};
use crate::lists::{Found, ListFiles};
use crate::observe::Numbered;
use crate::policy::lint::{Input, lint};
use crate::policy::load;
use crate::policy::rules::{CidrMatchMode, ICMP, ServiceRange};
use crate::vlans::{self, VlanSet};

/// The files that the command line and the configuration name.
#[derive(Clone)]
pub struct Files {
    /// The highest layer of the configuration.
    pub overrides: Overrides,
    /// The lists that were read.
    pub lists: Arc<ListFiles>,
}

impl Sources for Files {
    fn config(&self) -> Result<Config, Vec<Diagnostic>> {
        args::load(&self.overrides).map(|loaded| loaded.config)
    }

    fn read(&self, config: &Config) -> (Inputs, Vec<Diagnostic>) {
        Inputs::read_texts(config)
    }

    fn lists(&self, config: &Config) -> Vec<Found> {
        read_lists(config, &self.lists)
    }

    fn compile(&self, inputs: Arc<Inputs>, unreadable: Vec<Diagnostic>) -> Result<Compiled, Wrong> {
        compile(inputs, unreadable)
    }
}

/// Compiles what was read.
///
/// # Errors
/// Everything that is wrong with it, after `unreadable`, or that it does not fit.
pub fn compile(inputs: Arc<Inputs>, unreadable: Vec<Diagnostic>) -> Result<Compiled, Wrong> {
    compile_known(inputs, unreadable).map(|(compiled, _)| compiled)
}

/// The same for who wants to name peers: with the inventory.
///
/// # Errors
/// As there.
pub fn compile_known(
    inputs: Arc<Inputs>,
    unreadable: Vec<Diagnostic>,
) -> Result<(Compiled, Inventory), Wrong> {
    let config = &inputs.config;
    let policies = load::load_sources(inputs.policies.iter().cloned());
    let mut inventory = inventory::load_sources(inputs.inventory.iter().cloned());
    inventory.add_lists(&inputs.lists, inputs.expired);
    let (groups, doubled) = inventory.inventory.groups_with(policies.cidr_groups);
    let mut findings = unreadable;
    findings.extend(policies.diagnostics);
    findings.extend(inventory.diagnostics);
    findings.extend(doubled);
    let mut warnings = without_errors(findings)?;
    let mut inventory = inventory.inventory;
    let name = &inputs.node;
    if !inventory.nodes.contains_key(name) && config.node.labels.is_empty() {
        warnings.push(nameless(name));
    }
    let own = inventory.nodes.entry(name.clone()).or_default();
    own.labels.extend(config.node.labels.clone());
    let cluster = &config.policy.cluster_name;
    let node_labels = own.labels.iter();
    let node_labels = node_labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let view = inventory.view(name, &Labels::new(), cluster);
    warnings.extend(doubts(config));
    let options = options(config, &inputs.ssh_ports);
    warnings.extend(lint(&Input {
        documents: &policies.documents,
        groups: &groups,
        inventory: Some(&inventory),
        node: Some(name),
        cluster,
        cidr_match_mode: options.cidr_match_mode,
        failsafe: &options.failsafe,
    }));
    let context = Context {
        documents: policies.documents,
        groups,
        node: view.labels,
        identities: view.identities,
        cluster: cluster.clone(),
        options,
    };
    let flattened = context.flatten();
    warnings.extend(without_errors(flattened.diagnostics)?);
    let plan = compile_plan(&flattened.rules, &context.identities, &context.options)
        .map_err(|error| Wrong::TooLarge(Box::new(error)))?;
    let admitted = context.options.vlans.as_ref();
    warnings.extend(admitted.iter().flat_map(|set| shut_out(&context, set)));
    if !plan.filters(Direction::Ingress) && !plan.filters(Direction::Egress) {
        warnings.push(open(context.documents.len(), name));
    }
    let compiled = Compiled {
        plan,
        policies: context.documents.len(),
        warnings,
        rules: Arc::new(flattened.rules),
        groups: context.groups,
        cidr_match_mode: context.options.cidr_match_mode,
        identities: Arc::new(Numbered::new(context.identities)),
        node_names: node_names(&inventory),
        node_labels,
        node_addresses: view.addresses,
        inputs,
    };
    Ok((compiled, inventory))
}

fn node_names(inventory: &Inventory) -> BTreeMap<IpAddr, String> {
    let nodes = inventory.nodes.iter();
    let named = nodes.flat_map(|(name, node)| {
        let addresses = node.addresses.iter();
        addresses.map(|(address, _)| (address.to_canonical(), name.clone()))
    });
    named.collect()
}

/// The warnings among `findings`, if they are no more than that.
fn without_errors(findings: Vec<Diagnostic>) -> Result<Vec<Diagnostic>, Wrong> {
    if findings.iter().any(Diagnostic::is_error) {
        let errors = findings.into_iter().filter(Diagnostic::is_error);
        return Err(Wrong::Files(errors.collect()));
    }
    Ok(findings)
}

fn nameless(name: &str) -> Diagnostic {
    let message = format!(
        "no Node is called `{name}`, and `node.labels` is empty: no label selects this node"
    );
    warning(
        "inventory",
        message,
        "set `node.name` or `node.labels`, or add the Node",
    )
}

/// Policies for VLANs of which none is admitted.
fn shut_out(context: &Context, admitted: &VlanSet) -> Vec<Diagnostic> {
    let documents = context.documents.iter();
    let shut_out = documents.filter_map(|document| {
        let vlans = document.vlans.as_ref()?;
        if vlans.value.meets(admitted) {
            return None;
        }
        let message = format!(
            "the policy is for VLANs {} only, and none of them is admitted",
            vlans.value
        );
        let span = Some(vlans.span);
        let path = format!("metadata.annotations[{:?}]", vlans::ANNOTATION);
        let mut found = Diagnostic::new(Severity::Warning, &document.source, span, &path, message);
        found.help(format!("`interfaces.vlans` admits {admitted}"));
        Some(found)
    });
    shut_out.collect()
}

/// That no policy restricts anything is right for a fresh install, and a disaster
/// after a wrong `rm`.
fn open(policies: usize, name: &str) -> Diagnostic {
    let message = match policies {
        0 => "there is no policy: everything passes".to_owned(),
        1 => format!("the only policy does not restrict node `{name}`: everything passes"),
        _ => {
            format!("none of the {policies} policies restricts node `{name}`: everything passes")
        }
    };
    let help = match policies {
        0 => "put policies into a directory of `policy.dirs`",
        _ => "compare their `nodeSelector` with the labels of the node",
    };
    warning("policies", message, help)
}

pub(super) fn warning(about: &str, message: String, help: &str) -> Diagnostic {
    let source = Arc::new(Source {
        name: about.into(),
        text: String::new(),
    });
    let mut warning = Diagnostic::new(Severity::Warning, &source, None, "", message);
    warning.help(help);
    warning
}

/// What shapes a plan beside policies and inventory.
#[must_use]
pub fn options(config: &Config, ssh_ports: &BTreeSet<u16>) -> Options {
    let failsafe = &config.failsafe;
    let inbound = failsafe
        .inbound
        .iter()
        .map(|e| allowance(e, Direction::Ingress, ssh_ports));
    let outbound = failsafe
        .outbound
        .iter()
        .map(|e| allowance(e, Direction::Egress, ssh_ports));
    Options {
        mode: config.policy.mode.into(),
        builtins: config.builtins.bits(),
        enforcement: Enforcement::Default,
        cidr_match_mode: if config.policy.cidr_match_mode.is_empty() {
            CidrMatchMode::World
        } else {
            CidrMatchMode::Nodes
        },
        failsafe: inbound.chain(outbound).collect(),
        vlans: config.interfaces.admitted(),
    }
}

fn allowance(entry: &FailsafeEntry, direction: Direction, ssh_ports: &BTreeSet<u16>) -> Failsafe {
    let protocol = entry.protocol;
    let services = match &entry.ports {
        FailsafePorts::None if protocol == ICMP => (0..=u8::MAX).map(ServiceRange::Icmp).collect(),
        FailsafePorts::None => (0..=u8::MAX).map(ServiceRange::Icmpv6).collect(),
        FailsafePorts::Ssh => ssh_ports
            .iter()
            .map(|port| ServiceRange::Ports {
                protocol,
                first: *port,
                last: *port,
            })
            .collect(),
        FailsafePorts::Range(ports) => vec![ServiceRange::Ports {
            protocol,
            first: *ports.start(),
            last: *ports.end(),
        }],
    };
    Failsafe {
        direction,
        services,
        cidr: entry.cidr,
        origin: entry.origin.0.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    const POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {matchLabels: {role: cp}}
  ingress:
  - fromCIDR: [192.0.2.0/24]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
";
    const NODE: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {role: cp}}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}
";

    fn compile(config: &Config) -> Result<Compiled, Wrong> {
        let (inputs, unreadable) = Inputs::read(config, &ListFiles::default());
        super::compile(Arc::new(inputs), unreadable)
    }

    fn config(policy: &str, inventory: &str) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut config = Config::default();
        config.node.name = "n1".into();
        config.policy.dirs = vec![write("p.yaml", policy)];
        config.policy.inventory = vec![write("i.yaml", inventory)];
        (dir, config)
    }

    #[test]
    fn files_become_a_plan() {
        let (_dir, config) = config(POLICY, NODE);
        let compiled = compile(&config).unwrap_or_else(|_| panic!("it is right"));
        assert_eq!(compiled.policies, 1);
        assert!(compiled.warnings.is_empty());
        assert!(compiled.plan.filters(Direction::Ingress));
        assert!(!compiled.plan.filters(Direction::Egress));
        let failsafe = compiled
            .plan
            .rules
            .iter()
            .filter(|r| r.rule.starts_with("failsafe"));
        assert_eq!(failsafe.count(), 1);
    }

    #[test]
    fn a_policy_for_vlans_that_are_not_admitted_is_told() {
        let annotations = "metadata: {name: host, annotations: {fw-ctl.io/vlans: '300-310'}}";
        let policy = POLICY.replace("metadata: {name: host}", annotations);
        let (_dir, mut config) = config(&policy, NODE);
        let warned = |config: &Config| {
            let compiled = compile(config).unwrap_or_else(|_| panic!("it is right"));
            assert!(compiled.plan.needs_vlan());
            let warnings = compiled.warnings.iter();
            warnings
                .map(|found| found.message.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(warned(&config), [""; 0]);
        let admitted = "vlans = [\"untagged\", \"200-300\"]";
        config.interfaces = toml_edit::de::from_str(admitted).unwrap();
        assert_eq!(warned(&config), [""; 0]);
        config.interfaces = toml_edit::de::from_str("vlans = [212]").unwrap();
        let message = "the policy is for VLANs 300-310 only, and none of them is admitted";
        assert_eq!(warned(&config)[0], message);
    }

    #[test]
    fn errors_of_policy_and_inventory_are_told_together() {
        let (_dir, config) = config(
            "kind: CiliumClusterwideNetworkPolicy\nspec: 1\n",
            "kind: Node\nmetadata: 7\n",
        );
        let Err(Wrong::Files(errors)) = compile(&config) else {
            panic!("it is wrong");
        };
        let files: std::collections::BTreeSet<_> = errors
            .iter()
            .filter_map(|error| error.source.name.rsplit('/').next())
            .collect();
        assert_eq!(files.into_iter().collect::<Vec<_>>(), ["i.yaml", "p.yaml"]);
    }

    #[test]
    fn what_is_not_enforced_refuses_the_change() {
        let policy = POLICY.replace(
            "fromCIDR: [192.0.2.0/24]",
            "authentication: {mode: required}",
        );
        let (_dir, config) = config(&policy, NODE);
        let Err(Wrong::Files(errors)) = compile(&config) else {
            panic!("it is not enforced");
        };
        assert!(
            errors[0].message.contains("not enforced"),
            "{}",
            errors[0].message
        );
    }

    #[test]
    fn a_node_without_labels_is_mentioned() {
        let (_dir, mut config) = config(POLICY, NODE);
        config.node.name = "other".into();
        let compiled = compile(&config).unwrap_or_else(|_| panic!("it is right"));
        assert!(compiled.warnings[0].message.contains("`other`"));
        config.node.labels.insert("role".into(), "cp".into());
        let compiled = compile(&config).unwrap_or_else(|_| panic!("it is right"));
        assert!(compiled.warnings.is_empty());
        assert!(compiled.plan.filters(Direction::Ingress));
    }

    #[test]
    fn a_node_that_nothing_restricts_is_mentioned() {
        let (_dir, mut config) = config(&POLICY.replace("role: cp", "role: worker"), NODE);
        let compiled = compile(&config).unwrap_or_else(|_| panic!("it is right"));
        let last = |compiled: &Compiled| compiled.warnings.last().unwrap().message.clone();
        assert_eq!(
            last(&compiled),
            "the only policy does not restrict node `n1`: everything passes"
        );
        let empty = tempfile::tempdir().unwrap();
        config.policy.dirs = vec![empty.path().to_owned()];
        let compiled = compile(&config).unwrap_or_else(|_| panic!("it is right"));
        assert_eq!(last(&compiled), "there is no policy: everything passes");
    }

    #[test]
    fn failsafe_entries_keep_direction_and_ports() {
        let mut config = Config::default();
        config.failsafe.inbound = vec![FailsafeEntry {
            protocol: 6,
            ports: FailsafePorts::Range(8000..=8100),
            cidr: Some("192.0.2.0/24".parse().unwrap()),
            origin: Origin("fw-ctl.toml:3".into()),
        }];
        config.failsafe.outbound = vec![FailsafeEntry {
            protocol: 1,
            ports: FailsafePorts::None,
            cidr: None,
            origin: Origin::default(),
        }];
        let failsafe = options(&config, &BTreeSet::new()).failsafe;
        let ports = ServiceRange::Ports {
            protocol: 6,
            first: 8000,
            last: 8100,
        };
        assert_eq!(
            (failsafe[0].direction, &failsafe[0].services),
            (Direction::Ingress, &vec![ports])
        );
        assert_eq!(failsafe[0].cidr, Some("192.0.2.0/24".parse().unwrap()));
        assert_eq!(failsafe[0].place(), "fw-ctl.toml:3");
        assert_eq!(
            (failsafe[1].direction, failsafe[1].services.len()),
            (Direction::Egress, 256)
        );
    }
}
