//! `fw-ctl policy diff`: look before the leap.

mod json;
pub(super) mod sides;
mod text;

use clap::Args as ClapArgs;

use super::args::{OutputArgs, PathArgs};
use super::output::{Format, Outcome, plain, print, print_json, warn};
use crate::diff::{Difference, Surroundings, Who, difference};
use crate::exit;
use sides::{Loaded, Node, Which};

/// What stands below the help.
const SIDES: &str = "\
FROM and TO are each one of:
  running  what is in force (reads the state directory: root only)
  files    what the configuration names: what a reload would put in force
  NUMBER   a generation of the journal (fw-ctl journal); root only
  PATH     a file or directory of policies, with the inventory of the configuration
           or of --inventory; ./7 is a path

Between two paths neither root nor a daemon nor a configuration is needed.

Exit code 0: no difference; 1: they differ; 3: a side is invalid.";

/// Arguments of `policy diff`.
#[derive(Debug, ClapArgs)]
#[command(after_help = SIDES)]
pub struct Args {
    /// What is compared: running, files, NUMBER or PATH
    #[arg(value_name = "FROM", default_value = "running")]
    from: Which,
    /// With what
    #[arg(value_name = "TO", default_value = "files")]
    to: Which,
    #[command(flatten)]
    paths: PathArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Both sides, and how they differ.
pub(super) struct Compared<'a> {
    from: &'a Loaded,
    to: &'a Loaded,
    /// Names for those who lose, and for those who gain.
    who: [Who; 2],
    pub(super) difference: Difference,
}

impl<'a> Compared<'a> {
    pub(super) fn new(from: &'a Loaded, to: &'a Loaded) -> Self {
        let around = [from, to].map(|side| Surroundings {
            config: &side.compiled.inputs.config,
            ssh_ports: &side.compiled.inputs.ssh_ports,
            mode: side.mode,
            rules: &side.compiled.rules,
        });
        let difference = difference(
            (&around[0], &from.compiled.plan),
            (&around[1], &to.compiled.plan),
        );
        let who = [from, to].map(|side| {
            let identities = side.compiled.identities.identities();
            Who::of(identities, &side.inventory, &side.compiled.rules)
        });
        Self {
            from,
            to,
            who,
            difference,
        }
    }

    /// In a line.
    pub(super) fn summary(&self) -> String {
        text::summary(self)
    }
}

impl Compared<'_> {
    /// Names for the peers of a change: a node that is not known any more has lost its
    /// name, too.
    fn who(&self, loses: bool) -> &Who {
        &self.who[usize::from(!loses)]
    }
}

/// Compares and prints; exit 1 if there is a difference.
///
/// # Errors
/// When a side cannot be had, or is invalid.
pub fn run(args: &Args) -> Outcome {
    let node = Node::new(args.paths.overrides())?;
    let from = node.load(&args.from)?;
    let to = node.load(&args.to)?;
    for warning in &to.compiled.warnings {
        warn(&plain(warning));
    }
    let compared = Compared::new(&from, &to);
    match args.output.format {
        Format::Json => print_json(&json::value(&compared))?,
        Format::Table => print(&text::text(&compared))?,
    }
    Ok(if compared.difference.is_none() {
        exit::OK
    } else {
        exit::NEGATIVE
    })
}
