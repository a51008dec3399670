//! The conformance cases: policies with flows and the verdicts of Cilium's own
//! engine. They are not part of the project; `FW_CONFORMANCE` says where they lie.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fw_common::wire::Direction;
use fw_ctl::compile::Enforcement;
use fw_ctl::engine::{Context, Flow, read_flows};
use fw_ctl::policy::rules::CidrMatchMode;
use fw_ctl::policy::schema::{IcmpField, PolicyDocument};
use fw_ctl::policy::yaml::{self, Kind, Limits};
use serde_json::{Value, json};

use super::{NODE, context, options, source};

/// Where the corpora lie, or `None`, with a line that says so.
pub fn corpora() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let place =
        std::env::var_os("FW_CONFORMANCE").map_or_else(|| root.join("../shared"), PathBuf::from);
    if place.join("conformance").is_dir() {
        return Some(place);
    }
    let message = format!("skipped: corpora not found at {}", place.display());
    assert!(
        std::env::var("FW_KERNEL_TESTS").as_deref() != Ok("require"),
        "{message}"
    );
    println!("{message}");
    None
}

/// One entry, ready to be judged.
pub struct Entry {
    pub name: String,
    pub context: Context,
    pub flows: Vec<Flow>,
}

/// What a corpus file holds.
#[derive(Default)]
pub struct Corpus {
    pub entries: Vec<Entry>,
    /// Names of the entries that do not apply to a host firewall of ours.
    pub skipped: Vec<String>,
}

/// Reads a file of `conformance/`: YAML, or JSON lines. Of `share` entries it takes the
/// first.
pub fn read(place: &Path, file: &str, share: usize) -> Corpus {
    let text = std::fs::read_to_string(place.join("conformance").join(file)).unwrap();
    let lines = Path::new(file)
        .extension()
        .is_some_and(|end| end == "jsonl");
    let values: Vec<Value> = if lines {
        text.lines()
            .step_by(share)
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    } else {
        let source = Arc::new(source(file, text));
        let documents = yaml::parse_within(&source, &Limits::DUMPED).unwrap();
        let items = documents[0].items().unwrap();
        items.iter().step_by(share).map(value).collect()
    };
    let mut corpus = Corpus::default();
    for value in values {
        let name = value["name"].as_str().unwrap().to_owned();
        match entry(&name, &value) {
            Some(entry) => corpus.entries.push(entry),
            None => corpus.skipped.push(name),
        }
    }
    corpus
}

fn value(node: &yaml::Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => json!(value),
        Kind::Int(value) => json!(value),
        Kind::Float(value) => json!(value),
        Kind::Str(text) => json!(text),
        Kind::Seq(items) => items.iter().map(value).collect(),
        Kind::Map(entries) => entries
            .iter()
            .map(|(key, node)| (key.value.clone(), value(node)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// `None` for entries that do not apply: with names in a DNS cache, or with
/// options of Cilium that have no twin here.
fn entry(name: &str, value: &Value) -> Option<Entry> {
    let mut enforcement = Enforcement::Default;
    let mut mode = CidrMatchMode::World;
    for (option, setting) in value["options"].as_object().into_iter().flatten() {
        match (option.as_str(), setting) {
            ("enable-policy", setting) => {
                enforcement = match setting.as_str().unwrap() {
                    "always" => Enforcement::Always,
                    "never" => Enforcement::Never,
                    _ => Enforcement::Default,
                };
            }
            ("policy-cidr-match-mode", setting) if setting == "nodes" => {
                mode = CidrMatchMode::Nodes;
            }
            ("enable-extended-ip-protocols", Value::Bool(true)) => {}
            _ => return None,
        }
    }
    if value
        .get("fqdn_cache")
        .is_some_and(|cache| !cache.is_null())
    {
        return None;
    }
    let policy = value["policy"].as_str().unwrap();
    let context = context(policy, &inventory(value), options(enforcement, mode))
        .unwrap_or_else(|errors| panic!("{name}: {errors}\n{policy}"));
    let lines: Vec<String> = value["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(flow)
        .collect();
    let flows = read_flows(&lines.join("\n"), &context.identities)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    Some(Entry {
        name: name.to_owned(),
        context,
        flows,
    })
}

/// The inventory of an entry: the node, the addresses, the CIDR groups.
fn inventory(value: &Value) -> String {
    let entries: Vec<Value> = value["ipcache"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| json!({"prefix": entry["prefix"], "labels": entry["labels"]}))
        .collect();
    let mut items = vec![
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": NODE, "labels": value["node_labels"]},
        }),
        json!({
            "apiVersion": "fw-ctl.io/v1", "kind": "AddressIdentities",
            "metadata": {"name": "ipcache"}, "spec": {"entries": entries},
        }),
    ];
    for group in value["cidr_groups"].as_array().into_iter().flatten() {
        items.push(json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup",
            "metadata": {"name": group["name"], "labels": group["labels"]},
            "spec": {"externalCIDRs": group["cidrs"]},
        }));
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A case as a line of a flows file.
fn flow(case: &Value) -> String {
    let mut flow = case.as_object().unwrap().clone();
    flow.remove("match");
    Value::Object(flow).to_string()
}

/// The documents with ICMP type 0 as Cilium reads it: every type of the family.
/// `None` where no type 0 is written.
pub fn with_type_zero_as_wildcard(documents: &[PolicyDocument]) -> Option<Vec<PolicyDocument>> {
    let mut documents = documents.to_vec();
    let mut changed = false;
    for spec in documents
        .iter_mut()
        .flat_map(|document| &mut document.specs)
    {
        let lists = [
            &mut spec.ingress,
            &mut spec.ingress_deny,
            &mut spec.egress,
            &mut spec.egress_deny,
        ];
        for item in lists.into_iter().flatten() {
            for rule in item.icmps.iter_mut().flatten() {
                let zeros: Vec<IcmpField> = rule
                    .fields
                    .iter()
                    .copied()
                    .filter(|f| f.icmp_type == 0)
                    .collect();
                changed |= !zeros.is_empty();
                for field in zeros {
                    rule.fields
                        .extend((1..=255).map(|icmp_type| IcmpField { icmp_type, ..field }));
                }
            }
        }
    }
    changed.then_some(documents)
}

/// `INGRESS 192.0.2.1 -> 10.0.0.1 6/22`, for messages.
pub fn describe(flow: &Flow) -> String {
    let direction = match flow.direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    format!(
        "{direction} {} -> {} {:?}",
        flow.source,
        flow.destination,
        flow.service()
    )
}
