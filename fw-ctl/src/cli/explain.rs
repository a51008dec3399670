//! `fw-ctl explain`: a recorded packet, traced by what is in force now.

use clap::Args as ClapArgs;
use fw_common::packet::transport::{ACK, ICMP, ICMPV6, SYN, TCP};
use serde_json::json;

use super::args::{ClientArgs, OutputArgs};
use super::observe::values::a_uuid;
use super::output::{Format, Outcome, print, print_json};
use super::trace;
use crate::control::client::{ask, send};
use crate::control::protocol::{Failure, Flow, Reply, Request};
use crate::exit;
use crate::observe::filter::{Filter, Filters};
use crate::observe::lines::{Style, compact};
use crate::observe::local::Layout;
use crate::observe::{self, Query, Record, Span, Told, json, text};
use crate::trace::Trace;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// Arguments of `explain`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Which flow: the uuid that fw-ctl observe -o json tells; without it, the last packet that
    /// was not allowed
    #[arg(value_name = "UUID", value_parser = a_uuid)]
    flow: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Finds the flow, traces it and prints both.
///
/// # Errors
/// When the daemon does not answer or does not remember it.
pub fn run(args: &Args) -> Outcome {
    let socket = args.client.socket();
    let query = query(args.flow.as_ref());
    let mut found = None;
    for reply in send(&socket, &Request::Observe(query))? {
        match reply? {
            Reply::Flow(flow) => found = Some(flow),
            Reply::Failed(failure) => return Err(failure),
            _ => {}
        }
    }
    let flow = found.ok_or_else(|| unknown(args.flow.as_deref()))?;
    let record = &flow.record;
    let traced = match asked(record) {
        Some(asked) => Some(ask::<Trace>(&socket, &Request::Trace(asked))?),
        None => None,
    };
    let notes = notes(record, traced.as_ref());
    match args.output.format {
        Format::Json => print_json(&json!({
            "schema": SCHEMA,
            "flow": json::flow(record, flow.message),
            "trace": traced,
            "notes": notes,
        }))?,
        Format::Table => print(&shown(&flow, traced.as_ref(), &notes))?,
    }
    match &traced {
        Some(traced) => trace::outcome(traced),
        None => Ok(exit::NEGATIVE),
    }
}

/// One flow.
fn query(uuid: Option<&String>) -> Query {
    let filter = match uuid {
        Some(uuid) => Filter {
            uuid: vec![uuid.clone()],
            ..Filter::default()
        },
        None => Filter {
            verdict: vec![Told::Deny, Told::Audit],
            ..Filter::default()
        },
    };
    let filters = Filters {
        allow: vec![filter],
        ..Filters::default()
    };
    let span = Span {
        last: Some(1),
        ..Span::default()
    };
    Query { filters, span }
}

fn unknown(uuid: Option<&str>) -> Failure {
    match uuid {
        Some(uuid) => Failure::new(
            exit::NEGATIVE,
            format!(
                "the daemon remembers no flow {uuid}: it knows the last 8192, since it started"
            ),
        )
        .help("fw-ctl observe --all -o json, or fw-ctl trace with its addresses"),
        None => Failure::new(
            exit::NEGATIVE,
            "the daemon remembers no packet that was not allowed, since it started",
        )
        .help("fw-ctl status, which counts what was not reported; fw-ctl trace with addresses"),
    }
}

/// What to trace; `None` of a packet that could not be read, or that no policy was asked about.
fn asked(record: &Record) -> Option<Flow> {
    if record.family == 0 || !record.by_policy() {
        return None;
    }
    let is_icmp = [ICMP, ICMPV6].contains(&record.protocol);
    Some(Flow {
        source: record.source.address,
        destination: record.destination.address,
        protocol: record.protocol,
        source_port: record.source.port,
        destination_port: match is_icmp {
            true => u16::from(record.icmp_type),
            false => record.destination.port,
        },
        vlan: record.vlan,
    })
}

/// What became of it, as a trace calls it.
fn verdict(record: &Record) -> &'static str {
    match record.told {
        Told::Allow => "allow",
        Told::Deny | Told::Audit => "deny",
    }
}

/// The same in a word for people.
fn became(record: &Record) -> &'static str {
    match record.told {
        Told::Allow => "allowed",
        Told::Deny => "dropped",
        Told::Audit => "audited",
    }
}

/// What is to be known beside the two.
fn notes(record: &Record, traced: Option<&Trace>) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(traced) = traced else {
        let why = record.drop_reason().map_or("", |reason| reason.text());
        notes.push(format!(
            "no policy was asked: the packet itself is why ({why}), and none can allow it"
        ));
        return notes;
    };
    if record.protocol == TCP && record.tcp_flags & (SYN | ACK) != SYN {
        notes.push(
            "the packet opened no connection: it belonged to one that is not remembered, or not \
             any more; the trace is of a new one"
                .into(),
        );
    }
    if record.reason == Some(fw_common::wire::DropReason::RateLimited as u8) {
        notes.push("the rule allows it, up to a rate that its peer was over".into());
    } else if traced.verdict != verdict(record) {
        notes.push(format!(
            "it would be judged otherwise now: {} then, by generation {}",
            became(record),
            record.plan
        ));
    } else if record.rule.is_some()
        && decided(record) != traced.rule.as_ref().map(|rule| &*rule.origin)
    {
        notes.push(format!(
            "another rule decides now than in generation {}",
            record.plan
        ));
    }
    notes
}

/// The line that decided, where it is known.
fn decided(record: &Record) -> Option<&str> {
    record.rule.as_ref().map(|rule| &*rule.origin)
}

fn shown(flow: &observe::Flow, traced: Option<&Trace>, notes: &[String]) -> String {
    let style = Style {
        time: Layout::default(),
        node: false,
        policies: false,
    };
    let mut lines = vec![
        compact(flow, style),
        text::explanation(&flow.record).trim_start().to_owned(),
    ];
    if let Some(traced) = traced {
        lines.push(String::new());
        lines.push(trace::text(traced));
    }
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(notes.iter().map(|note| format!("note: {note}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::text::tests::record;
    use crate::trace::{DecidingRule, SCHEMA as TRACE};

    fn denied() -> Record {
        Record {
            told: Told::Deny,
            reason: Some(0),
            protocol: TCP,
            tcp_flags: SYN,
            ..record()
        }
    }

    fn traced(record: &Record, verdict: &str, origin: Option<&str>) -> Trace {
        Trace {
            schema: TRACE,
            flow: asked(record).unwrap(),
            direction: Some("ingress".into()),
            steps: vec![],
            verdict: verdict.into(),
            mode: "enforce".into(),
            rule: origin.map(|origin| DecidingRule {
                policy: String::new(),
                rule: String::new(),
                origin: origin.into(),
            }),
            programs: None,
        }
    }

    #[test]
    fn what_is_asked_is_the_packet() {
        let record = denied();
        let flow = asked(&record).unwrap();
        assert_eq!(flow.source, record.source.address);
        assert_eq!(flow.destination_port, record.destination.port);
        let ping = Record {
            protocol: ICMP,
            icmp_type: 8,
            ..denied()
        };
        assert_eq!(asked(&ping).unwrap().destination_port, 8);
        let cut_short = Record {
            reason: Some(fw_common::wire::DropReason::Invalid as u8),
            ..denied()
        };
        assert_eq!(asked(&cut_short), None);
        let notes = notes(&cut_short, None);
        assert!(notes[0].contains("Invalid packet"), "{notes:?}");
    }

    #[test]
    fn what_has_changed_since_is_said() {
        let record = denied();
        let here = decided(&record);
        let said = |record: &Record, verdict, origin| {
            notes(record, Some(&traced(record, verdict, origin))).join(" ")
        };
        assert_eq!(said(&record, "deny", here), "");
        let now = said(&record, "allow", here);
        assert!(
            now.starts_with("it would be judged otherwise now: "),
            "{now}"
        );
        let now = said(&record, "deny", Some("other.yaml:3"));
        assert!(now.starts_with("another rule decides now"), "{now}");
        // Which one decided then is not known any more.
        let forgotten = Record {
            rule: None,
            ..record.clone()
        };
        assert_eq!(said(&forgotten, "deny", here), "");
        let limited = Record {
            reason: Some(fw_common::wire::DropReason::RateLimited as u8),
            ..denied()
        };
        assert!(said(&limited, "allow", here).contains("over"));
        let later = Record {
            tcp_flags: ACK,
            ..denied()
        };
        assert!(said(&later, "deny", here).starts_with("the packet opened no connection"));
    }

    #[test]
    fn a_uuid_is_told_from_anything_else() {
        let one = "18B2C3D4-0001-8002-9003-00000000002a";
        assert_eq!(a_uuid(one), Ok(one.to_ascii_lowercase()));
        for wrong in [
            "",
            "42",
            "18b2c3d4-0001-8002-9003-00000000002",
            "x8b2c3d4-0001-8002-9003-00000000002a",
        ] {
            assert!(a_uuid(wrong).is_err(), "{wrong}");
        }
    }
}
