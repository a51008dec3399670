//! From audit mode to enforcement, as the guides for Cilium's host firewall go: audit,
//! observe, adjust, enforce. What they leave to the reader, the policy that is missing, is
//! written by `fw-ctl policy suggest`.

use std::collections::BTreeSet;

use sandbox::{Answer as Said, Error, Family, FwCtl, Lab, Protocol, Result};
use serde::Deserialize;

use super::policy::{self, Answer};
use super::row::{Kind, Row, What};
use super::table::heading;

/// What `audit report` exits with where there are rows, and `policy diff` where sides
/// differ.
const NEGATIVE: i32 = 1;
/// Lines of `observe` that are shown.
const OBSERVED: &str = "4";
/// Rows of the report that are shown.
const REPORTED: &str = "10";

/// What the operator turns out to need: a node port for the other server, the kubelet for
/// administrators, `WireGuard` and mail with one peer in the world.
fn is_needed(row: &Row) -> bool {
    let service = match row.what {
        What::Port(protocol, port) => (protocol, port),
        What::Ping => return false,
    };
    let needed = [
        ("node2 -> node", (Protocol::Tcp, 30_080)),
        ("jump -> node", (Protocol::Tcp, 10_250)),
        ("stranger -> node", (Protocol::Udp, 51_820)),
        ("node -> stranger", (Protocol::Tcp, 25)),
    ];
    row.kind == Kind::New && needed.contains(&(row.who().as_str(), service))
}

#[derive(Deserialize)]
struct Report {
    rows: Vec<Reported>,
}

/// A row of `fw-ctl audit report -o json`.
#[derive(Deserialize)]
struct Reported {
    id: String,
    direction: String,
    protocol: String,
    service: u16,
    addresses: Vec<std::net::IpAddr>,
}

/// Adds the policy for what is needed and denied. Returns what the policies say then.
///
/// # Errors
/// When a command fails, or more or less is allowed than what is needed.
pub fn adjust(fw_ctl: &FwCtl, lab: &Lab, rows: &[Row], before: &[Answer]) -> Result<Vec<Answer>> {
    let denied = rows.iter().zip(before);
    let denied = denied.filter(|(row, answer)| is_needed(row) && !answer.allows());
    let needed: Vec<&Row> = denied.map(|(row, _)| row).collect();
    if needed.is_empty() {
        return Ok(before.to_vec());
    }
    anstream::println!("{}", heading("audit -> observe -> adjust -> enforce"));
    let mode = fw_ctl.must(&["mode"])?;
    anstream::println!("\n$ fw-ctl mode\n{}", mode.trim_end());
    let verdicts = ["-t", "policy-verdict", "--verdict", "AUDIT"];
    let observe = ["observe", "--last", OBSERVED];
    shown(fw_ctl, &[&observe[..], &verdicts].concat(), 0)?;
    shown(fw_ctl, &["audit", "report", "--top", REPORTED], NEGATIVE)?;

    let report = fw_ctl.ask(&["audit", "report", "--addresses", "-o", "json"])?;
    let report: Report = serde_json::from_str(&report.stdout)
        .map_err(|error| unexpected(format!("`audit report` wrote something else: {error}")))?;
    let ids = needed.iter().map(|row| id(&report, lab, row));
    let ids: BTreeSet<&str> = ids.collect::<Result<_>>()?;
    let config = fw_ctl.files().config.to_string_lossy().into_owned();
    let state = fw_ctl.files().state.to_string_lossy().into_owned();
    let place = fw_ctl.files().policies.join("suggested.yaml");
    let path = place.to_string_lossy().into_owned();
    let mut suggest = vec!["policy", "suggest"];
    suggest.extend(&ids);
    let typed = format!("{} --write suggested.yaml", suggest.join(" "));
    suggest.extend(["--write", &path, "--state-dir", &state]);
    said(fw_ctl, &with(&suggest, &config), 0)?;
    let text =
        std::fs::read_to_string(&place).map_err(Error::io(format!("read {}", place.display())))?;
    anstream::println!("\n$ fw-ctl {typed}\n$ cat suggested.yaml");
    anstream::println!("{}", text.trim_end());

    let validated = fw_ctl.ask_offline(&["policy", "validate", &path])?;
    if validated.code != 0 {
        return Err(unexpected(format!(
            "the suggestion is not valid: {}",
            validated.stdout
        )));
    }
    let diff = with(&["policy", "diff", "--state-dir", &state], &config);
    let diff = said(fw_ctl, &diff, NEGATIVE)?;
    anstream::println!("\n$ fw-ctl policy diff\n{}", diff.stdout.trim_end());
    shown(fw_ctl, &["reload"], 0)?;
    anstream::println!("\n$ fw-ctl mode enforce");

    let after = policy::ask_reference(fw_ctl, rows)?;
    for ((row, before), after) in rows.iter().zip(before).zip(&after) {
        let expected = before.allows() || needed.iter().any(|needed| needed.id == row.id);
        if after.allows() != expected {
            return Err(unexpected(format!(
                "with the suggested policy the verdict on {} {} is {after}",
                row.who(),
                row.service()
            )));
        }
    }
    Ok(after)
}

/// The row of the report that a connection is in.
fn id<'a>(report: &'a Report, lab: &Lab, row: &Row) -> Result<&'a str> {
    let ingress = row.to.name == lab.node.name;
    let remote = if ingress { &row.from } else { &row.to };
    let (protocol, port) = match row.what {
        What::Port(Protocol::Tcp, port) => ("TCP", port),
        What::Port(Protocol::Udp, port) => ("UDP", port),
        What::Ping => ("ICMP", 8),
    };
    let address = remote.address(row.family);
    let direction = if ingress { "ingress" } else { "egress" };
    let mut rows = report.rows.iter().filter(|known| {
        known.direction == direction
            && (known.protocol.as_str(), known.service) == (protocol, port)
            && known.addresses.contains(&address)
    });
    let found = rows.next().map(|known| known.id.as_str());
    found.ok_or_else(|| {
        let family = if row.family == Family::V4 {
            "IPv4"
        } else {
            "IPv6"
        };
        let (who, what) = (row.who(), row.service());
        unexpected(format!(
            "`audit report` knows nothing of {who} {what} ({family})"
        ))
    })
}

fn with<'a>(arguments: &[&'a str], config: &'a str) -> Vec<&'a str> {
    [arguments, &["--config", config]].concat()
}

/// Runs a command and shows it with what it says.
fn shown(fw_ctl: &FwCtl, arguments: &[&str], code: i32) -> Result<()> {
    let answer = said(fw_ctl, arguments, code)?;
    anstream::println!("\n$ fw-ctl {}", arguments.join(" "));
    anstream::println!("{}", answer.stdout.trim_end());
    Ok(())
}

/// Runs a command that must exit with `code`.
fn said(fw_ctl: &FwCtl, arguments: &[&str], code: i32) -> Result<Said> {
    let answer = fw_ctl.ask(arguments)?;
    if answer.code == code {
        return Ok(answer);
    }
    Err(unexpected(format!(
        "`fw-ctl {}` exited with {}, not {code}: {}",
        arguments.join(" "),
        answer.code,
        answer.stderr.trim()
    )))
}

fn unexpected(message: String) -> Error {
    Error::Unexpected(message)
}
