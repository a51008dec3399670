//! `fw-ctl monitor`: verdicts as they happen, in the format of `cilium monitor`.

use clap::{Args as ClapArgs, ValueEnum};

use super::args::ClientArgs;
use super::output::{Outcome, Reader, json, print_on, say};
use crate::control::client::send;
use crate::control::protocol::{Failure, Reply, Request};
use crate::exit;
use crate::observe::text::{drop_line, explanation, policy_verdict};
use crate::observe::{Lost, Message, Record, Told, json, lost_lines};

/// Arguments of `monitor`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Which messages to print
    #[arg(short = 't', long = "type", value_enum, default_value_t)]
    kind: Kind,
    /// Only verdicts of this kind; may be given several times
    #[arg(long, value_enum, value_name = "VERDICT")]
    verdict: Vec<Verdict>,
    /// Below each verdict, say which rule decided and where it is written; below lost ones, of
    /// which rules and reasons most were
    #[arg(short, long)]
    verbose: bool,
    /// Identify as numbers
    #[arg(short, long)]
    numeric: bool,
    #[command(flatten)]
    client: ClientArgs,
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
}

/// `-o`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each message, as `cilium monitor` writes it
    #[default]
    Table,
    /// For programs: Hubble's `GetFlowsResponse`, a line for each
    #[value(alias = "jsonpb")]
    Json,
}

/// Cilium tells a denied packet twice: what policy says, and that it was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// What policy says
    PolicyVerdict,
    /// What was dropped
    Drop,
    /// Both
    #[default]
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Verdict {
    /// Passed
    Allow,
    /// Dropped
    Deny,
    /// Would have been dropped
    Audit,
}

/// Prints until one side closes.
///
/// # Errors
/// When the daemon does not answer, or stdout cannot be written.
pub fn run(args: &Args) -> Outcome {
    for reply in send(&args.client.socket(), &Request::Monitor)? {
        match reply? {
            Reply::Flow(_) | Reply::Packet(_) | Reply::AgentEvent(_) => {}
            Reply::Done(_) => say("Listening for events\nPress Ctrl-C to quit"),
            Reply::Record(record) => {
                if show(args, &record)? == Reader::Gone {
                    break;
                }
            }
            Reply::Lost(lost) => {
                let mut text = match args.output {
                    Format::Json => json(&json::lost(&lost))?,
                    Format::Table => lost_lines::monitor(&lost),
                };
                if args.verbose && args.output == Format::Table {
                    text = text_of(text, &lost);
                }
                if print_on(&text)? == Reader::Gone {
                    break;
                }
            }
            Reply::Failed(failure) => return Err(failure),
        }
    }
    Ok(exit::OK)
}

/// With what is known of it in lines below.
fn text_of(text: String, lost: &Lost) -> String {
    let mut lines = vec![text];
    lines.extend(lost_lines::explanation(lost));
    lines.join("\n")
}

fn show(args: &Args, record: &Record) -> Result<Reader, Failure> {
    for message in messages(args, record) {
        let mut text = match (args.output, message) {
            (Format::Json, _) => json(&json::flow(record, message))?,
            (Format::Table, Message::PolicyVerdict) => policy_verdict(record, args.numeric),
            (Format::Table, Message::Drop) => drop_line(record, args.numeric),
        };
        if args.verbose && args.output == Format::Table {
            text = format!("{text}\n{}", explanation(record));
        }
        if print_on(&text)? == Reader::Gone {
            return Ok(Reader::Gone);
        }
    }
    Ok(Reader::There)
}

fn messages(args: &Args, record: &Record) -> Vec<Message> {
    let wanted = args.verdict.is_empty()
        || args.verdict.contains(&match record.told {
            Told::Allow => Verdict::Allow,
            Told::Deny => Verdict::Deny,
            Told::Audit => Verdict::Audit,
        });
    if !wanted {
        return Vec::new();
    }
    let mut messages = record.messages();
    messages.retain(|message| match message {
        Message::PolicyVerdict => args.kind != Kind::Drop,
        Message::Drop => args.kind != Kind::PolicyVerdict,
    });
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::parsed;
    use crate::observe::text::tests::record;

    fn messages_of(arguments: &[&str], told: Told, reason: Option<u8>) -> Vec<Message> {
        let args: Args = parsed(arguments).unwrap();
        let record = Record {
            told,
            reason,
            ..record()
        };
        messages(&args, &record)
    }

    /// Arguments, record, and what it makes.
    type Row = (
        &'static [&'static str],
        (Told, Option<u8>),
        &'static [Message],
    );

    #[test]
    fn which_messages_a_record_makes() {
        use Message::{Drop, PolicyVerdict};
        let denied = (Told::Deny, Some(0));
        let invalid = (Told::Deny, Some(2));
        let audited = (Told::Audit, Some(0));
        let allowed = (Told::Allow, None);
        let table: [Row; 11] = [
            (&[], allowed, &[PolicyVerdict]),
            (&[], denied, &[PolicyVerdict, Drop]),
            (&[], audited, &[PolicyVerdict]),
            (&[], invalid, &[Drop]),
            (&["-t", "policy-verdict"], denied, &[PolicyVerdict]),
            (&["-t", "policy-verdict"], invalid, &[]),
            (&["-t", "drop"], denied, &[Drop]),
            (&["-t", "drop"], audited, &[]),
            (&["--verdict", "audit"], denied, &[]),
            (
                &["--verdict", "audit", "--verdict", "deny"],
                denied,
                &[PolicyVerdict, Drop],
            ),
            (
                &["--verdict", "audit"],
                (Told::Audit, Some(2)),
                &[PolicyVerdict],
            ),
        ];
        for (arguments, (told, reason), expected) in table {
            assert_eq!(
                messages_of(arguments, told, reason),
                expected,
                "{arguments:?} {told:?}"
            );
        }
    }
}
