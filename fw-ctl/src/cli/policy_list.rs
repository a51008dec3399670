//! `fw-ctl policy list`: policies, whom they protect, and the built-ins.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use fw_common::wire::BUILTINS;
use serde_json::{Value, json};

use super::args::OutputArgs;
use super::offline::{Files, read};
use super::output::{Format, Outcome, print, print_json};
use super::table::table;
use crate::exit;
use crate::inventory::Labels;
use crate::policy::label::LabelSet;
use crate::policy::schema::{PolicyDocument, Spec, Subject};

/// Arguments of `policy list`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Policies: files and directories
    #[arg(value_name = "PATH", required_unless_present = "builtin")]
    policies: Vec<PathBuf>,
    /// Inventory: files and directories
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "node")]
    inventory: Vec<PathBuf>,
    /// Say which policies select this node of the inventory
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// List what passes before any policy unless it is switched off
    #[arg(long, conflicts_with_all = ["policies", "inventory", "node"])]
    builtin: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Lists.
///
/// # Errors
/// When files are wrong.
pub fn run(args: &Args) -> Outcome {
    if args.builtin {
        builtins(args.output.format)?;
        return Ok(exit::OK);
    }
    let files = read(&args.policies, &args.inventory)?;
    if let Some(node) = &args.node {
        files.warn_without_node(node);
    }
    let rows = rows(&files, args.node.as_deref());
    match args.output.format {
        Format::Json => {
            let policies: Vec<Value> = rows.iter().map(Row::to_json).collect();
            print_json(&json!({"schema": 1, "policies": policies}))?;
        }
        Format::Table => print(&table(
            [
                "POLICY", "SPEC", "SUBJECT", "SELECTED", "INGRESS", "EGRESS", "ORIGIN",
            ],
            rows.iter().map(Row::cells),
        ))?,
    }
    Ok(exit::OK)
}

fn builtins(format: Format) -> Result<(), crate::control::protocol::Failure> {
    match format {
        Format::Json => {
            let list: Vec<Value> = BUILTINS
                .iter()
                .map(|(_, name, passes)| json!({"name": name, "passes": passes}))
                .collect();
            print_json(&json!({"schema": 1, "builtins": list}))
        }
        Format::Table => print(&table(
            ["BUILTIN", "PASSES"],
            BUILTINS.map(|(_, name, passes)| [name.to_owned(), passes.to_owned()]),
        )),
    }
}

/// One spec of a policy.
struct Row<'a> {
    document: &'a PolicyDocument,
    spec: &'a Spec,
    /// Whether it selects the node; `None` where no node is given.
    selected: Option<bool>,
}

fn rows<'a>(files: &'a Files, node: Option<&str>) -> Vec<Row<'a>> {
    let labels: Option<LabelSet> = node.map(|name| {
        let view = files.inventory.view(name, &Labels::new(), "default");
        view.labels
    });
    let mut rows = Vec::new();
    for document in &files.documents {
        for spec in &document.specs {
            let selected = labels.as_ref().map(|labels| match &spec.subject {
                Subject::Nodes(selector) => selector.matches(labels),
                Subject::Endpoints(_) => false,
            });
            rows.push(Row {
                document,
                spec,
                selected,
            });
        }
    }
    rows
}

impl Row<'_> {
    fn name(&self) -> String {
        match &self.document.namespace {
            Some(namespace) => format!("{namespace}/{}", self.document.name),
            None => self.document.name.clone(),
        }
    }

    fn subject(&self) -> String {
        match &self.spec.subject {
            Subject::Nodes(selector) if selector.requirements.is_empty() => "every node".to_owned(),
            Subject::Nodes(selector) => format!("nodes with {selector}"),
            Subject::Endpoints(_) => "no subject on this host".to_owned(),
        }
    }

    fn origin(&self) -> String {
        format!("{}:{}", self.document.source.name, self.spec.span.line)
    }

    /// In which VLANs it holds, if not in all.
    fn vlans(&self) -> Option<String> {
        Some(self.document.vlans.as_ref()?.value.to_string())
    }

    /// Up to which rate its ingress rules allow.
    fn rate(&self) -> Option<String> {
        Some(self.document.rate.as_ref()?.value.to_string())
    }

    fn cells(&self) -> [String; 7] {
        let selected = match self.selected {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        let rules = |allow: usize, deny: usize| format!("{allow} allow, {deny} deny");
        let ingress = rules(self.spec.ingress.len(), self.spec.ingress_deny.len());
        [
            self.name(),
            self.spec.path.clone(),
            match self.vlans() {
                Some(vlans) => format!("{}, in VLANs {vlans}", self.subject()),
                None => self.subject(),
            },
            selected.to_owned(),
            match self.rate() {
                Some(rate) => format!("{ingress}, {rate}"),
                None => ingress,
            },
            rules(self.spec.egress.len(), self.spec.egress_deny.len()),
            self.origin(),
        ]
    }

    fn to_json(&self) -> Value {
        json!({
            "policy": self.name(),
            "spec": self.spec.path,
            "subject": self.subject(),
            "selected": self.selected,
            "rules": {
                "ingress": self.spec.ingress.len(),
                "ingressDeny": self.spec.ingress_deny.len(),
                "egress": self.spec.egress.len(),
                "egressDeny": self.spec.egress_deny.len(),
            },
            "rate": self.rate(),
            "vlans": self.vlans(),
            "origin": self.origin(),
        })
    }
}
