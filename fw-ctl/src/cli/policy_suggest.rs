//! `fw-ctl policy suggest`: the policy that is missing, from rows of the audit report.

use clap::Args as ClapArgs;

use super::args::{ClientArgs, PathArgs};
use super::audit::{SelectArgs, addresses, asked, way};
use super::output::{Outcome, plain, print, say, warn};
use super::policy_diff::sides::{Node, Which};
use crate::audit::{Answer, Group, Select, find, groups};
use crate::control::protocol::Failure;
use crate::exit;
use crate::moment::rfc3339;
use crate::suggest::{Base, By, choose, suggest};

/// What stands below the help.
const MORE: &str = "\
ROW is an ID of `fw-ctl audit report`, of which 4 digits are enough. The policy is added in
thought to what the files say, and printed only if it is proved that it allows the rows and
nothing else; whom labels and entities mean beside, comments name. To use it:
  fw-ctl policy suggest ROW... > /etc/fw-ctl/policies/suggested.yaml
  fw-ctl policy diff && fw-ctl reload
Exit code 0: printed; 1: there is none, and the reason is told; 3: the files are invalid.";

/// Arguments of `policy suggest`.
#[derive(Debug, ClapArgs)]
#[command(after_help = MORE)]
pub struct Args {
    /// Rows that are to be allowed
    #[arg(
        value_name = "ROW",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    rows: Vec<String>,
    /// Every row that a policy can allow; read them before: on a node that the internet can
    /// reach, scans are among them
    #[arg(long)]
    all: bool,
    /// How peers are named
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    by: By,
    /// Name of the policy [default: suggested, or the next that is free]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    paths: PathArgs,
}

/// Asks, proves and prints.
///
/// # Errors
/// When the daemon does not answer, the files are wrong, or no such policy is there.
pub fn run(args: &Args) -> Outcome {
    let client = ClientArgs {
        config: args.paths.config.clone(),
        run_dir: args.paths.run_dir.clone(),
    };
    let answer = asked(&client)?;
    let chosen = rows(args, &answer)?;
    let loaded = Node::new(args.paths.overrides())?.load(&Which::Files)?;
    for warning in &loaded.compiled.warnings {
        warn(&plain(warning));
    }
    let base = Base {
        compiled: &loaded.compiled,
        inventory: &loaded.inventory,
    };
    let none = |message: String| Err(Failure::new(exit::NEGATIVE, message));
    let chosen = choose(&base, &chosen, title);
    for left in &chosen.left {
        say(&format!("left out: {left}"));
    }
    if chosen.needs.is_empty() {
        return none("there is nothing that a policy could allow".to_owned());
    }
    let head = [
        format!(
            "Suggested by fw-ctl {} for {} at {}, from what {} mode reported.",
            env!("CARGO_PKG_VERSION"),
            loaded.compiled.inputs.node,
            rfc3339(answer.now),
            answer.mode,
        ),
        "Proved: with it, what its comments name is allowed in addition, and nothing else."
            .to_owned(),
    ];
    match suggest(&base, &chosen, args.by, args.name.as_deref(), &head) {
        Ok(text) => print(&text)?,
        Err(why) => return none(format!("no policy can be suggested: {why}")),
    }
    Ok(exit::OK)
}

/// Those that are meant.
fn rows(args: &Args, answer: &Answer) -> Result<Vec<Group>, Failure> {
    let select = args.select.select();
    if args.all {
        let apart = Select {
            addresses: true,
            ..select
        };
        return Ok(groups(answer, &apart));
    }
    let mut found: Vec<Group> = Vec::new();
    for called in &args.rows {
        let select = Select {
            all: true,
            ..select
        };
        let rows = find(answer, &select, called).map_err(|why| {
            Failure::new(exit::USAGE, why).help("fw-ctl audit report names the rows")
        })?;
        found.extend(rows);
    }
    Ok(found)
}

/// `3f2a1b0c: 9100/TCP from node2 (remote-node), 10.0.0.12; 3 times, last 2026-…`
fn title(row: &Group) -> String {
    let preposition = match way(row.direction) {
        "ingress" => "from",
        _ => "to",
    };
    let events = match row.count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let mut text = format!(
        "{}: {} {preposition} {}",
        row.id,
        row.service(),
        row.source.name
    );
    let addresses = addresses(row);
    if !addresses.is_empty() {
        text = format!("{text}, {addresses}");
    }
    format!("{text}; {events}, last {}", rfc3339(row.last))
}
