//! `fw-ctl observe agent-events`: what became of the daemon and its policies, in the format of
//! `hubble observe agent-events`.

use clap::Args as ClapArgs;

use super::{Format, Look, USUAL, Which, block, no_nonsense};
use crate::cli::args::ClientArgs;
use crate::cli::output::{Outcome, Reader, json, print_on};
use crate::control::client::send;
use crate::control::protocol::{Failure, Reply, Request};
use crate::exit;
use crate::observe::agent_lines::{self, HEADER};
use crate::observe::{AgentEvent, lost_lines};

/// Arguments of `observe agent-events`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    client: ClientArgs,
}

/// Prints until there is nothing more, or one side closes.
///
/// # Errors
/// When the daemon does not answer, or stdout cannot be written.
pub fn run(args: &Args) -> Outcome {
    let look = &args.look;
    no_nonsense(look, &args.which)?;
    let is_table = look.output == Format::Table;
    let span = args.which.span(USUAL);
    let mut rows = Vec::new();
    let mut is_first = true;
    for reply in send(&args.client.socket(), &Request::AgentEvents(span))? {
        let printed = match reply? {
            Reply::AgentEvent(event) if is_table => {
                rows.push(agent_lines::cells(&event, look.style()));
                Reader::There
            }
            Reply::AgentEvent(event) => show(look, &event, std::mem::take(&mut is_first))?,
            Reply::Lost(lost) => print_on(&lost_lines::compact(&lost))?,
            Reply::Failed(failure) => return Err(failure),
            Reply::Done(_) | Reply::Record(_) | Reply::Flow(_) | Reply::Packet(_) => Reader::There,
        };
        if printed == Reader::Gone {
            return Ok(exit::OK);
        }
    }
    if is_table {
        print_on(&look.table(HEADER, rows))?;
    }
    Ok(exit::OK)
}

fn show(look: &Look, event: &AgentEvent, is_first: bool) -> Result<Reader, Failure> {
    let style = look.style();
    print_on(&match look.output {
        Format::Json => json(&agent_lines::json(event))?,
        Format::Dict => block(&agent_lines::dict(event, style), is_first),
        Format::Compact | Format::Table => agent_lines::compact(event, style),
    })
}
