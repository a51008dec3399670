//! `fw-ctl audit report`: what enforcement would drop, or drops.

use std::net::IpAddr;
use std::num::NonZeroUsize;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, good, print, print_json, say, warn};
use super::table::table;
use crate::audit::{Answer, Class, Group, SCHEMA, Select, Source, groups};
use crate::control::client::ask;
use crate::control::protocol::{Failure, Request};
use crate::exit;
use crate::harm::{Because, Way, ago, protocol};
use crate::moment::{self, rfc3339};

/// Addresses that a cell names; of more the number is told.
const NAMED: usize = 2;

/// The commands below `audit`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what enforcement would drop, by service and peer; exit 1 when there is any
    Report(Args),
}

/// What stands below the help.
const MORE: &str = "\
A row is one peer and one service; EVENTS counts new connections as they were reported (of
many at once a sample), not packets. The daemon keeps the last 4096 rows of each kind for 30
days. `fw-ctl policy suggest ID...` writes the policy that allows rows.

Exit code 0: enforcement would drop nothing that was seen; 1: there are rows.";

/// Arguments of `audit report`.
#[derive(Debug, ClapArgs)]
#[command(after_help = MORE)]
pub struct Args {
    #[command(flatten)]
    pub(super) select: SelectArgs,
    /// Also what the policies in force let pass by now
    #[arg(long)]
    all: bool,
    /// Every address outside of the cluster in a row of its own
    #[arg(long)]
    addresses: bool,
    /// Only so many rows: those that came most often
    #[arg(long, value_name = "N")]
    top: Option<NonZeroUsize>,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Which rows are meant.
#[derive(Debug, ClapArgs)]
pub(super) struct SelectArgs {
    /// Only what was seen since: a span as 24h, or a moment
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<u64>,
    /// Only what came (ingress) or what the node began (egress)
    #[arg(long, value_enum, value_name = "WAY")]
    direction: Option<Way>,
    /// What was dropped in enforce mode, in place of what audit mode let pass
    #[arg(long)]
    dropped: bool,
}

impl SelectArgs {
    pub(super) fn select(&self) -> Select {
        Select {
            dropped: self.dropped,
            since: self.since.unwrap_or(0),
            direction: self.direction,
            ..Select::default()
        }
    }
}

/// Seconds since 1970.
fn since(text: &str) -> Result<u64, String> {
    match moment::parse_span(text) {
        Ok(span) => Ok(moment::now().saturating_sub(span)),
        Err(_) => moment::parse(text),
    }
}

/// Does what the command says.
///
/// # Errors
/// When the daemon does not answer or has no plan.
pub fn run(command: &Command) -> Outcome {
    let Command::Report(args) = command;
    let answer = asked(&args.client)?;
    let select = Select {
        all: args.all,
        addresses: args.addresses,
        ..args.select.select()
    };
    let mut rows = groups(&answer, &select);
    let is_any = rows.iter().any(|row| !row.passes);
    let more = args
        .top
        .map_or(0, |top| rows.len().saturating_sub(top.get()));
    rows.truncate(rows.len() - more);
    match args.output.format {
        Format::Json => print_json(&report(&answer, &select, &rows, more))?,
        Format::Table if rows.is_empty() => say(&nothing(&select)),
        Format::Table => {
            print(&text(&answer, &rows))?;
            if more > 0 {
                say(&format!("and {more} more rows"));
            }
        }
    }
    tell_notes(&answer, select.dropped);
    Ok(if is_any { exit::NEGATIVE } else { exit::OK })
}

/// Asks the daemon.
pub(super) fn asked(client: &ClientArgs) -> Result<Answer, Failure> {
    ask(&client.socket(), &Request::Audit)
}

fn displaced(answer: &Answer, dropped: bool) -> u64 {
    if dropped {
        answer.displaced_dropped
    } else {
        answer.displaced_audited
    }
}

fn tell_notes(answer: &Answer, dropped: bool) {
    answer.notes.iter().for_each(|note| warn(note));
    match displaced(answer, dropped) {
        0 => {}
        count => warn(&format!(
            "{count} rows are not known any more: they had to make room for others"
        )),
    }
}

fn nothing(select: &Select) -> String {
    let what = match select.dropped {
        true => "nothing was dropped",
        false => "enforcement would drop nothing that was seen",
    };
    match select.since {
        0 => what.to_owned(),
        since => format!("{what} since {}", rfc3339(since)),
    }
}

fn text(answer: &Answer, rows: &[Group]) -> String {
    let rows = rows.iter().map(|row| {
        [
            row.id.clone(),
            way(row.direction).to_owned(),
            row.service(),
            row.source.name.clone(),
            addresses(row),
            row.count.to_string(),
            ago(answer.now.saturating_sub(row.last)),
            if row.passes {
                good(&format!("allowed now: {}", decides(row)))
            } else {
                decides(row)
            },
        ]
    });
    let header = [
        "ID",
        "DIRECTION",
        "SERVICE",
        "PEER",
        "ADDRESSES",
        "EVENTS",
        "LAST",
        "BECAUSE",
    ];
    table(header, rows)
}

/// `ingress`, `egress`.
pub(super) fn way(way: Way) -> &'static str {
    match way {
        Way::Ingress => "ingress",
        Way::Egress => "egress",
    }
}

/// Those of a row, or how many there are.
pub(super) fn addresses(row: &Group) -> String {
    if row.addresses.iter().all(IpAddr::is_unspecified) {
        return String::new();
    }
    if row.addresses.len() > NAMED {
        return format!("{} addresses", row.addresses.len());
    }
    let named: Vec<_> = row.addresses.iter().map(IpAddr::to_string).collect();
    named.join(", ")
}

/// What decides, of all addresses of a row.
pub(super) fn decides(row: &Group) -> String {
    let texts: Vec<_> = row.because.iter().map(Because::to_string).collect();
    texts.join("; ")
}

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    mode: &'a str,
    dropped: bool,
    rows: Vec<Row<'a>>,
    more: usize,
    displaced: u64,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    direction: Way,
    protocol: String,
    protocol_number: u8,
    /// Destination port, or type of ICMP.
    service: u16,
    service_name: String,
    vlan: u16,
    class: Class,
    peer: &'a Source,
    addresses: &'a std::collections::BTreeSet<IpAddr>,
    events: u64,
    first: String,
    last: String,
    passes_now: bool,
    because: &'a std::collections::BTreeSet<Because>,
}

fn report<'a>(answer: &'a Answer, select: &Select, rows: &'a [Group], more: usize) -> Report<'a> {
    let rows = rows.iter().map(|row| Row {
        id: &row.id,
        direction: row.direction,
        protocol: protocol(row.protocol),
        protocol_number: row.protocol,
        service: row.service,
        service_name: crate::audit::service(row.protocol, row.service),
        vlan: row.vlan,
        class: row.class,
        peer: &row.source,
        addresses: &row.addresses,
        events: row.count,
        first: rfc3339(row.first),
        last: rfc3339(row.last),
        passes_now: row.passes,
        because: &row.because,
    });
    Report {
        schema: SCHEMA,
        mode: &answer.mode,
        dropped: select.dropped,
        rows: rows.collect(),
        more,
        displaced: displaced(answer, select.dropped),
        notes: &answer.notes,
    }
}
