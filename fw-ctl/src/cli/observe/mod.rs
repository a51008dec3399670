//! `fw-ctl observe`: flows of the past and as they happen, in the format of `hubble observe`.

mod agent_events;
mod flags;
pub mod values;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

pub use flags::FilterArgs;

use super::args::ClientArgs;
use super::output::{Outcome, Reader, json, print_on};
use super::table::table;
use crate::control::client::send;
use crate::control::protocol::{Failure, Reply, Request};
use crate::exit;
use crate::moment;
use crate::observe::filter::Filters;
use crate::observe::lines::{HEADER, Style, cells, compact, dict};
use crate::observe::local::Layout;
use crate::observe::{Flow, Lost, Query, Span, json, lost_lines};

/// As many flows are told where nobody says how many.
const USUAL: u64 = 20;
const NANOSECONDS: u64 = 1_000_000_000;

/// Arguments of `observe`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// What there is to be seen beside flows.
#[derive(Debug, Subcommand)]
enum Other {
    /// Print what became of the daemon and its policies, in the format of hubble observe agent-events
    AgentEvents(agent_events::Args),
}

/// Of which time.
#[derive(Debug, ClapArgs)]
struct Which {
    /// Go on with what happens from now on
    #[arg(short, long)]
    follow: bool,
    /// The newest flows of those that are remembered [default: 20, if nothing else says which]
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["first", "all"])]
    last: Option<u64>,
    /// The oldest
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["all", "follow"])]
    first: Option<u64>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Not before: a span of time until now (10m), or a moment (2026-11-21T04:06:23Z)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<u64>,
    /// Not after; as --since
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<u64>,
}

/// How they look.
#[derive(Debug, ClapArgs)]
struct Look {
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
    /// How to print times, except in JSON
    #[arg(long, value_enum, value_name = "LAYOUT", default_value_t)]
    time_format: Layout,
    /// Print the name of the node, too
    #[arg(long)]
    print_node_name: bool,
    /// Print which policy decided, too; below lost events, of which rules and reasons most were
    #[arg(long)]
    print_policy_names: bool,
}

/// `-o`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each flow
    #[default]
    Compact,
    /// A block of lines for each
    Dict,
    /// All in columns; not while following
    Table,
    /// For programs: Hubble's `GetFlowsResponse`, a line for each
    #[value(alias = "jsonpb")]
    Json,
}

/// Nanoseconds since 1970.
fn time(text: &str) -> Result<u64, String> {
    if let Ok(span) = moment::parse_span(text) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        return Ok(now.saturating_sub(span.saturating_mul(NANOSECONDS)));
    }
    let seconds = moment::parse(text)
        .map_err(|wrong| format!("{wrong}; or a span of time until now, as 90s, 10m or 7d"))?;
    Ok(seconds
        .saturating_mul(NANOSECONDS)
        .saturating_add(fraction(text)))
}

/// What stands behind the point of a moment, in nanoseconds.
fn fraction(text: &str) -> u64 {
    let Some((_, behind)) = text.split_once('.') else {
        return 0;
    };
    let digits: String = behind
        .chars()
        .take_while(char::is_ascii_digit)
        .take(9)
        .collect();
    format!("{digits:0<9}").parse().unwrap_or(0)
}

/// Prints until there is nothing more, or one side closes.
///
/// # Errors
/// When the daemon does not answer, or stdout cannot be written.
pub fn run(args: &Args) -> Outcome {
    if let Some(Other::AgentEvents(args)) = &args.other {
        return agent_events::run(args);
    }
    let look = &args.look;
    let is_table = look.output == Format::Table;
    no_nonsense(look, &args.which)?;
    let query = args.which.query(args.filters.0.clone());
    let mut rows = Vec::new();
    let mut is_first = true;
    for reply in send(&args.client.socket(), &Request::Observe(query))? {
        match reply? {
            Reply::Flow(flow) if is_table => rows.push(cells(&flow, look.style())),
            Reply::Flow(flow) => {
                if look.show(&flow, std::mem::take(&mut is_first))? == Reader::Gone {
                    return Ok(exit::OK);
                }
            }
            Reply::Lost(lost) if is_table => rows.push(lost_lines::cells(&lost)),
            Reply::Lost(lost) => {
                if look.show_lost(&lost, std::mem::take(&mut is_first))? == Reader::Gone {
                    return Ok(exit::OK);
                }
            }
            Reply::Failed(failure) => return Err(failure),
            Reply::Done(_) | Reply::Record(_) | Reply::Packet(_) | Reply::AgentEvent(_) => {}
        }
    }
    if is_table {
        print_on(&look.table(HEADER, rows))?;
    }
    Ok(exit::OK)
}

impl Which {
    /// `usual`: so many where nobody says which.
    fn span(&self, usual: u64) -> Span {
        let bounded = self.first.is_some() || self.since.is_some() || self.until.is_some();
        let usual = match self.follow {
            // Who follows wants what happens now.
            true => 0,
            false => usual,
        };
        Span {
            since: self.since,
            until: self.until,
            first: self.first,
            last: self.last.or((!bounded && !self.all).then_some(usual)),
            follow: self.follow,
        }
    }

    fn query(&self, filters: Filters) -> Query {
        Query {
            filters,
            span: self.span(USUAL),
        }
    }
}

/// Refuses what cannot be printed, and a span of time that nothing is in.
fn no_nonsense(look: &Look, which: &Which) -> Result<(), Failure> {
    if look.output == Format::Table && which.follow {
        let why = "a table is as wide as all of its rows, and has no end while following";
        return Err(Failure::new(exit::USAGE, why).help("-o compact"));
    }
    if let (Some(since), Some(until)) = (which.since, which.until)
        && since > until
    {
        let why = "--until is before --since: nothing is between them";
        let both = "spans of time count back from now: --since 2h --until 1h";
        return Err(Failure::new(exit::USAGE, why).help(both));
    }
    Ok(())
}

impl Look {
    fn style(&self) -> Style {
        Style {
            time: self.time_format,
            node: self.print_node_name,
            policies: self.print_policy_names,
        }
    }

    /// All rows below each other. The second column is the node, where it is asked for.
    fn table<const N: usize>(
        &self,
        mut header: [&'static str; N],
        rows: Vec<[String; N]>,
    ) -> String {
        if !self.print_node_name {
            header[1] = "";
        }
        table(header, rows)
    }

    fn show(&self, flow: &Flow, is_first: bool) -> Result<Reader, Failure> {
        let style = self.style();
        let text = match self.output {
            Format::Json => json(&json::flow(&flow.record, flow.message))?,
            Format::Dict => block(&dict(flow, style), is_first),
            Format::Compact | Format::Table => compact(flow, style),
        };
        print_on(&text)
    }

    fn show_lost(&self, lost: &Lost, is_first: bool) -> Result<Reader, Failure> {
        print_on(&match self.output {
            Format::Json => json(&json::lost(lost))?,
            Format::Dict => block(&lost_lines::dict(lost, self.style()), is_first),
            Format::Compact if self.print_policy_names => {
                let mut lines = vec![lost_lines::compact(lost)];
                lines.extend(lost_lines::explanation(lost));
                lines.join("\n")
            }
            Format::Compact | Format::Table => lost_lines::compact(lost),
        })
    }
}

/// Apart from the one before.
fn block(text: &str, is_first: bool) -> String {
    match is_first {
        true => text.to_owned(),
        false => format!("------------\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::parsed;

    fn query(arguments: &[&str]) -> Query {
        let args: Args = parsed(arguments).unwrap();
        args.which.query(args.filters.0)
    }

    #[test]
    fn without_a_number_it_is_the_last_twenty_or_what_happens_now() {
        let numbers = |arguments: &[&str]| {
            let span = query(arguments).span;
            (span.first, span.last, span.follow)
        };
        assert_eq!(numbers(&[]), (None, Some(20), false));
        assert_eq!(numbers(&["-f"]), (None, Some(0), true));
        assert_eq!(numbers(&["-f", "--last", "5"]), (None, Some(5), true));
        assert_eq!(numbers(&["--all"]), (None, None, false));
        assert_eq!(numbers(&["--first", "3"]), (Some(3), None, false));
        assert_eq!(numbers(&["--since", "5m"]), (None, None, false));
        assert_eq!(
            numbers(&["--since", "5m", "--last", "7"]),
            (None, Some(7), false)
        );
        assert_eq!(numbers(&["-f", "--since", "5m"]), (None, None, true));
    }

    #[test]
    fn times_are_moments_or_spans_until_now() {
        let until = |text: &str| query(&["--until", text]).span.until;
        assert_eq!(
            until("2026-11-21T04:06:23Z"),
            Some(1_795_233_983_000_000_000)
        );
        assert_eq!(
            until("2026-11-21T05:06:23.123456789+01:00"),
            Some(1_795_233_983_123_456_789)
        );
        assert_eq!(
            until("2026-11-21T04:06:23.5Z"),
            Some(1_795_233_983_500_000_000)
        );
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let since = query(&["--since", "1h"]).span.since.unwrap() / NANOSECONDS;
        assert!(since.abs_diff(now - 3_600) <= 5);
    }

    #[test]
    fn a_span_that_nothing_is_in_is_refused() {
        let check = |since: &str, until: &str| {
            let args: Args = parsed(["--since", since, "--until", until]).unwrap();
            no_nonsense(&args.look, &args.which).map_err(|failure| failure.exit)
        };
        assert_eq!(check("1h", "2h"), Err(exit::USAGE));
        assert_eq!(check("2h", "1h"), Ok(()));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for arguments in [
            ["--first=1", "--last=1"],
            ["--first=1", "--follow"],
            ["--all", "--last=1"],
            ["--since", "yesterday"],
        ] {
            assert!(parsed::<Args>(arguments).is_err());
        }
    }
}
