//! `fw-ctl policy test`: judges flows by policies, offline.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use fw_common::wire::{Builtin, Direction};
use serde::Serialize;

use super::args::OutputArgs;
use super::offline::{ClusterArgs, read};
use super::output::{Format, Outcome, bad, good, print, print_json, say};
use super::table::table;
use crate::compile::plan::Mode;
use crate::compile::{Enforcement, Failsafe, Options};
use crate::control::protocol::Failure;
use crate::diagnostic::Diagnostic;
use crate::engine::{Context, EngineName, Flow, Judgement, engine, read_flows};
use crate::exit;
use crate::inventory::Labels;
use crate::policy::rules::ServiceRange;
use crate::why::why;

/// Arguments of `policy test`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Policies: files and directories
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    policies: Vec<PathBuf>,
    /// Inventory: files and directories
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    inventory: Vec<PathBuf>,
    /// The node of the inventory that is protected
    #[arg(long, value_name = "NAME")]
    node: String,
    /// Flows, one JSON object a line
    #[arg(long, value_name = "FILE")]
    flows: PathBuf,
    /// Who judges
    #[arg(long, value_enum, default_value_t = EngineName::Reference)]
    engine: EngineName,
    /// When default deny begins
    #[arg(long, value_enum, default_value_t = EnforcementArg::Default)]
    enforcement: EnforcementArg,
    /// Let built-ins and the default failsafe entry (TCP port 22 inbound) pass first
    #[arg(long)]
    with_builtins: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `--enforcement`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EnforcementArg {
    /// Where a policy switches it on
    Default,
    /// Always, even without a policy
    Always,
    /// Nothing is enforced
    Never,
}

/// One line of the answer in JSON.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    direction: &'static str,
    verdict: &'static str,
    policy: &'a str,
    rule: &'a str,
    reason: &'static str,
    origin: &'a str,
}

impl<'a> Line<'a> {
    fn new(flow: &'a Flow, judgement: &'a Judgement) -> Self {
        Self {
            id: &flow.id,
            direction: judgement.direction.name(),
            verdict: verdict(judgement.allow),
            policy: &judgement.policy,
            rule: &judgement.rule,
            reason: judgement.reason.name(),
            origin: &judgement.origin,
        }
    }
}

fn verdict(allow: bool) -> &'static str {
    if allow { "allow" } else { "deny" }
}

/// Judges and prints; exit 1 if an expectation is not met.
///
/// # Errors
/// When files are wrong, or the engine does not run here.
pub fn run(args: &Args) -> Outcome {
    let files = read(&args.policies, &args.inventory)?;
    files.warn_without_node(&args.node);
    let view = files
        .inventory
        .view(&args.node, &Labels::new(), &args.cluster.cluster_name);
    let context = Context {
        documents: files.documents,
        groups: files.groups,
        node: view.labels,
        identities: view.identities,
        cluster: args.cluster.cluster_name.clone(),
        options: options(args),
    };
    let refused: Vec<Diagnostic> = context.flatten().diagnostics;
    if refused.iter().any(Diagnostic::is_error) {
        return Err(Failure::refused("the policies are refused", &refused));
    }
    let flows = flows(args, &context)?;
    let judgements = engine(args.engine, context)
        .and_then(|mut engine| engine.judge(&flows))
        .map_err(|error| Failure::new(error.exit, error.message))?;
    match args.output.format {
        Format::Json => {
            for (flow, judgement) in flows.iter().zip(&judgements) {
                print_json(&Line::new(flow, judgement))?;
            }
        }
        Format::Table => print(&for_people(&flows, &judgements))?,
    }
    Ok(tell_unmet(&flows, &judgements))
}

fn options(args: &Args) -> Options {
    let ssh = Failsafe {
        direction: Direction::Ingress,
        services: vec![ServiceRange::Ports {
            protocol: 6,
            first: 22,
            last: 22,
        }],
        cidr: None,
        origin: String::new(),
    };
    Options {
        mode: Mode::Enforce,
        builtins: if args.with_builtins { Builtin::ALL } else { 0 },
        enforcement: match args.enforcement {
            EnforcementArg::Default => Enforcement::Default,
            EnforcementArg::Always => Enforcement::Always,
            EnforcementArg::Never => Enforcement::Never,
        },
        cidr_match_mode: args.cluster.cidr_match_mode(),
        failsafe: if args.with_builtins {
            vec![ssh]
        } else {
            Vec::new()
        },
        vlans: None,
    }
}

fn flows(args: &Args, context: &Context) -> Result<Vec<Flow>, Failure> {
    let name = args.flows.display();
    let wrong = |message: String| Failure::new(exit::USAGE, message);
    let bytes = std::fs::read(&args.flows)
        .map_err(|error| wrong(format!("cannot read {name}: {}", why(&error))))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let text = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = text.split(|byte| *byte == b'\n').count();
        wrong(format!(
            "{name}: line {line}: not text in the encoding UTF-8"
        ))
    })?;
    read_flows(&text, &context.identities).map_err(|error| wrong(format!("{name}: {error}")))
}

fn for_people(flows: &[Flow], judgements: &[Judgement]) -> String {
    let rows = flows.iter().zip(judgements).map(|(flow, judgement)| {
        let line = Line::new(flow, judgement);
        let paint = if judgement.allow { good } else { bad };
        [
            line.id.to_owned(),
            line.direction.to_owned(),
            paint(line.verdict),
            line.reason.to_owned(),
            line.policy.to_owned(),
            line.rule.to_owned(),
            line.origin.to_owned(),
        ]
    });
    table(
        [
            "ID",
            "DIRECTION",
            "VERDICT",
            "REASON",
            "POLICY",
            "RULE",
            "ORIGIN",
        ],
        rows,
    )
}

/// Says on stderr which expectations are not met; gives the exit code.
fn tell_unmet(flows: &[Flow], judgements: &[Judgement]) -> u8 {
    let mut expected = 0;
    let mut unmet = 0;
    for (flow, judgement) in flows.iter().zip(judgements) {
        let Some(wanted) = flow.expect else { continue };
        expected += 1;
        if wanted != judgement.allow {
            unmet += 1;
            let line = Line::new(flow, judgement);
            say(&format!(
                "flow {}: expected {}, got {} ({} {} {} {})",
                line.id,
                verdict(wanted),
                line.verdict,
                line.reason,
                line.policy,
                line.rule,
                line.origin,
            ));
        }
    }
    if unmet > 0 {
        say(&format!("{unmet} of {expected} expectations not met"));
        return exit::NEGATIVE;
    }
    exit::OK
}
