//! `fw-ctl ban`: addresses that are kept out at once, without a plan.

use std::net::IpAddr;

use clap::{Args as ClapArgs, Subcommand};
use ipnet::IpNet;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, print, print_json, say, warn};
use super::ssh;
use super::table::table;
use crate::control::client::ask;
use crate::control::protocol::{BanRequest, Failure, Request};
use crate::daemon::status::{Banned, Bans, Unbanned};
use crate::{exit, moment};

/// Addresses in one command: what fits a request.
const AT_ONCE: usize = 1000;

/// Commands of `ban`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ban addresses: nothing to or from them passes, but for a few exceptions
    ///
    /// What failsafe entries allow passes all the same. So does what policy does not judge
    /// either: neighbour discovery, ICMP that says which packets are too big, DHCP, and
    /// what else `fw-ctl policy list --builtin` names; frames that are no IP; and
    /// packets that the node only forwards, for pods or other hosts.
    Add(AddArgs),
    /// List the bans that hold
    List(ListArgs),
    /// Lift bans; exit 1 if an address was not banned
    Remove(RemoveArgs),
}

/// Arguments of `ban add`.
#[derive(Debug, ClapArgs)]
pub struct AddArgs {
    /// Addresses, IPv4 or IPv6, at most 1000; a ban that is there already is replaced
    #[arg(required = true, value_name = "ADDRESS", value_parser = address)]
    addresses: Vec<IpAddr>,
    /// How long: 90s, 15m, 1h30m, 7d [default: for good]
    #[arg(long = "for", value_name = "SPAN", value_parser = moment::parse_span)]
    span: Option<u64>,
    /// Until when: 2026-11-21T04:06:23Z, or 2026-11-21 (its first moment in UTC)
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse, conflicts_with = "span")]
    until: Option<u64>,
    /// Why, for whoever reads the list; at most 256 bytes in UTF-8
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Also ban addresses of the node and its cluster, your own, and those of failsafe entries
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `ban list`.
#[derive(Debug, ClapArgs)]
pub struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `ban remove`.
#[derive(Debug, ClapArgs)]
#[group(skip)]
pub struct RemoveArgs {
    /// Addresses, at most 1000
    #[arg(value_name = "ADDRESS", value_parser = address)]
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    addresses: Vec<IpAddr>,
    /// Lift every ban
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks and prints.
///
/// # Errors
/// When the daemon does not answer, or refuses.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::Add(args) => add(args),
        Command::List(args) => list(args),
        Command::Remove(args) => remove(args),
    }
}

/// Refuses what would be too long a request.
fn few(verb: &str, addresses: &[IpAddr]) -> Result<(), Failure> {
    let count = addresses.len();
    if count <= AT_ONCE {
        return Ok(());
    }
    let message = format!("{count} addresses are too many for one command: at most {AT_ONCE}");
    Err(Failure::new(exit::USAGE, message)
        .help(format!("xargs -n {AT_ONCE} fw-ctl ban {verb} < FILE")))
}

fn add(args: &AddArgs) -> Outcome {
    few("add", &args.addresses)?;
    // At least as long as was asked for: the present second counts as past.
    let until = args.span.map(|span| moment::now() + 1 + span);
    let until = until.or(args.until);
    let request = Request::Ban(BanRequest {
        addresses: args.addresses.clone(),
        until,
        reason: args.reason.clone(),
        force: args.force,
        asker: ssh::peer(),
    });
    let banned: Banned = ask(&args.client.socket(), &request)?;
    for warning in &banned.warnings {
        warn(warning);
    }
    let end = until.map_or_else(
        || "for good".into(),
        |until| format!("until {}", moment::rfc3339(until)),
    );
    match args.output.format {
        Format::Json => print_json(&banned)?,
        Format::Table => print(&lines(&banned.addresses, &format!("banned {end}")))?,
    }
    Ok(exit::OK)
}

fn list(args: &ListArgs) -> Outcome {
    let bans: Bans = ask(&args.client.socket(), &Request::Bans)?;
    match args.output.format {
        Format::Json => print_json(&bans)?,
        Format::Table if bans.bans.is_empty() => say("nobody is banned"),
        Format::Table => {
            let rows = bans.bans.into_iter().map(|ban| {
                [
                    ban.address.to_string(),
                    ban.since,
                    ban.until.unwrap_or_else(|| "-".into()),
                    ban.reason,
                ]
            });
            print(&table(["ADDRESS", "SINCE", "UNTIL", "REASON"], rows))?;
        }
    }
    Ok(exit::OK)
}

fn remove(args: &RemoveArgs) -> Outcome {
    few("remove", &args.addresses)?;
    let addresses = (!args.all).then(|| args.addresses.clone());
    let unbanned: Unbanned = ask(&args.client.socket(), &Request::Unban { addresses })?;
    for warning in &unbanned.warnings {
        warn(warning);
    }
    for address in &unbanned.missing {
        warn(&format!("{address} was not banned"));
    }
    match args.output.format {
        Format::Json => print_json(&unbanned)?,
        Format::Table if unbanned.addresses.is_empty() => say("nothing was lifted"),
        Format::Table => print(&lines(&unbanned.addresses, "banned no longer"))?,
    }
    Ok(if unbanned.missing.is_empty() {
        exit::OK
    } else {
        exit::NEGATIVE
    })
}

fn lines(addresses: &[IpAddr], what: &str) -> String {
    let lines: Vec<String> = addresses
        .iter()
        .map(|address| format!("{address} {what}"))
        .collect();
    lines.join("\n")
}

/// One address. A network is what CIDR lists are for.
fn address(text: &str) -> Result<IpAddr, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical());
    }
    match text.parse::<IpNet>() {
        Ok(net) if net.prefix_len() == net.max_prefix_len() => Ok(net.addr().to_canonical()),
        Ok(net) => Err(format!(
            "{net} is a network, and a ban is for one address; put it into a CIDR list that a \
             policy denies: it is in force a moment later, without a reload"
        )),
        Err(_) => Err("this is no address; write 192.0.2.1 or 2001:db8::1".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::control::protocol::{MAX_REASON, MAX_REQUEST};

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn until(arguments: &[&str]) -> Result<Option<u64>, String> {
        let line = [&["ban", "add", "192.0.2.1"], arguments].concat();
        match Line::try_parse_from(line) {
            Ok(Line {
                command: Command::Add(args),
            }) => Ok(args.until),
            Ok(_) => panic!("another command"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn moments_are_written_as_in_lists() {
        // Each checked with date(1): `date -u -d TEXT +%s`.
        for (text, moment) in [
            ("2027-01-01", 1_798_761_600),
            ("2027-01-01T00:00:00Z", 1_798_761_600),
            ("2027-01-01T00:00:00+01:00", 1_798_758_000),
        ] {
            assert_eq!(until(&["--until", text]), Ok(Some(moment)), "{text}");
        }
        assert_eq!(until(&[]), Ok(None));
        let wrong = until(&["--until", "soon"]).unwrap_err();
        assert!(wrong.contains("write 2026-11-21, "), "{wrong}");
        until(&["--until", "2027-01-01", "--for", "1h"]).unwrap_err();
    }

    #[test]
    fn help_says_how_long_a_reason_may_be_and_what_passes_all_the_same() {
        let help = Line::try_parse_from(["ban", "add", "--help"]).map(drop);
        let help = help.unwrap_err().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let length = format!("at most {MAX_REASON} bytes");
        let count = format!("at most {AT_ONCE};");
        for says in [
            &length,
            &count,
            "failsafe",
            "policy list --builtin",
            "forwards",
        ] {
            assert!(help.contains(says), "{says}: {help}");
        }
    }

    #[test]
    fn as_many_addresses_as_a_request_has_room_for() {
        let longest: IpAddr = "2001:1db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
        let request = Request::Ban(BanRequest {
            addresses: vec![longest; AT_ONCE],
            until: Some(u64::MAX),
            reason: "\"".repeat(MAX_REASON),
            force: true,
            asker: Some(longest),
        });
        assert!(serde_json::to_string(&request).unwrap().len() < MAX_REQUEST);
        assert_eq!(few("add", &vec![longest; AT_ONCE]), Ok(()));
        let refused = few("add", &vec![longest; AT_ONCE + 1]).unwrap_err();
        assert_eq!(refused.exit, exit::USAGE);
        let told = "1001 addresses are too many for one command: at most 1000";
        assert_eq!(refused.message, told);
    }

    #[test]
    fn addresses_and_what_is_none() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8::1/128", "2001:db8::1"),
        ] {
            assert_eq!(address(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for (text, says) in [
            ("192.0.2.0/24", "192.0.2.0/24 is a network"),
            ("2001:db8::/32", "CIDR list"),
            ("2001:db8::/32", "without a reload"),
            ("example.org", "no address"),
            ("192.0.2", "no address"),
            ("192.0.2.1:22", "no address"),
            ("fe80::1%eth0", "no address"),
            ("", "no address"),
        ] {
            let error = address(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
