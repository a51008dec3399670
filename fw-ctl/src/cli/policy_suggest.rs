//! `fw-ctl policy suggest`: the policy that is missing, from rows of the audit report.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::args::{ClientArgs, PathArgs};
use super::audit::{SelectArgs, addresses, asked, way};
use super::output::{Outcome, plain, print, say, warn};
use super::policy_diff::Compared;
use super::policy_diff::sides::{Loaded, Node, Which};
use crate::audit::{Answer, Group, Select, find, groups};
use crate::control::protocol::Failure;
use crate::exit;
use crate::moment::rfc3339;
use crate::printable::printable;
use crate::suggest::{Base, By, NewFile, choose, suggest};

/// What stands below the help.
const MORE: &str = "\
ROW is an ID of `fw-ctl audit report`, of which 4 digits are enough. The policy is added in
thought to what is in force, and given only if it is proved that it allows the rows and nothing
else. Rows that no policy can allow so are left out, with the reason. To use it:
  fw-ctl policy suggest ROW... --write /etc/fw-ctl/policies/suggested.yaml
  fw-ctl policy diff
  fw-ctl reload

Exit code 0: it allows every ROW, or with --all what can be allowed; 1: a ROW was left out, or
there is no such policy; 3: the files are invalid; 4: refused, because FILE is there already, or
because the files are not what is in force.";

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
    /// Write it to this new file, whole or not at all, in place of stdout
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    paths: PathArgs,
}

/// Asks, proves and prints.
///
/// # Errors
/// When the daemon does not answer, the files are wrong or not what is in force, or no such
/// policy is there.
pub fn run(args: &Args) -> Outcome {
    let file = args.write.as_deref().map(NewFile::new).transpose()?;
    let client = ClientArgs {
        config: args.paths.config.clone(),
        run_dir: args.paths.run_dir.clone(),
    };
    let answer = asked(&client)?;
    let chosen = rows(args, &answer)?;
    let node = Node::new(args.paths.overrides())?;
    let loaded = node.load(&Which::Files)?;
    for warning in &loaded.compiled.warnings {
        warn(&plain(warning));
    }
    in_force(&node.load(&Which::Running)?, &loaded)?;
    let base = Base {
        compiled: &loaded.compiled,
        inventory: &loaded.inventory,
    };
    let chosen = choose(&base, &chosen, title);
    for needless in &chosen.needless {
        say(&format!("left out: {needless}"));
    }
    let head = format!(
        "Suggested by fw-ctl {} for {} at {}, from what {} mode reported.",
        env!("CARGO_PKG_VERSION"),
        loaded.compiled.inputs.node,
        rfc3339(answer.now),
        answer.mode,
    );
    let none = |message: String| Err(Failure::new(exit::NEGATIVE, message));
    let suggestion = match suggest(&base, &chosen, args.by, args.name.as_deref(), &head) {
        Ok(suggestion) => suggestion,
        Err(why) => return none(format!("no policy can be suggested: {why}")),
    };
    for left in &suggestion.left {
        say(&format!("left out: {left}"));
    }
    let Some(text) = suggestion.text else {
        return none("there is nothing that a policy could allow".to_owned());
    };
    match file {
        None => print(&text)?,
        Some(file) => {
            file.write(&format!("{text}\n"))?;
            say(&format!("written: {file}"));
            let dirs = &loaded.compiled.inputs.config.policy.dirs;
            if !file.is_within(dirs) {
                warn(&format!(
                    "{file} is in no directory of `policy.dirs`: the daemon does not read it there"
                ));
            }
        }
    }
    // Who names rows wants all of them; of --all it is clear that some cannot be had.
    Ok(if args.all || suggestion.left.is_empty() {
        exit::OK
    } else {
        exit::NEGATIVE
    })
}

/// What is proved of a policy that is added to the files holds on the node only if that has
/// what the files say: a shell has emptied the file of an earlier suggestion, for one, before
/// this runs with its output going there.
fn in_force(running: &Loaded, files: &Loaded) -> Result<(), Failure> {
    let compared = Compared::new(running, files);
    if compared.difference.effect.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the files do not allow what is in force ({}), and to these the policy would be added\n{}",
        running.label,
        printable(&compared.summary())
    );
    Err(Failure::new(exit::REFUSED, message).help(
        "fw-ctl policy diff, then fw-ctl reload; and --write to a new file, not > into one that \
         is in use",
    ))
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
