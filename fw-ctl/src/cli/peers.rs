//! `fw-ctl peers`: every known address, and where it came from.

use std::net::IpAddr;

use clap::Args as ClapArgs;
use ipnet::IpNet;

use super::args::{ClientArgs, OutputArgs};
use super::offline::FileArgs;
use super::output::{Format, Outcome, print, print_json, warn};
use super::table::table;
use crate::control::client::ask;
use crate::control::protocol::Request;
use crate::exit;
use crate::observe::Identity;
use crate::observe::filter::Labels;
use crate::peers::{Asked, Known, MOST, Peer, Peers, Query, Role, Said, peers};

/// Arguments of `peers`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Say who this address is: the longest prefix that holds it, and those it hides
    #[arg(value_name = "ADDRESS", conflicts_with_all = ["identity", "label", "after"])]
    address: Option<IpAddr>,
    /// Only this identity: a number, or host, world, remote-node, …
    #[arg(long, value_name = "IDENTITY", value_parser = identity)]
    identity: Option<u32>,
    /// Only whom these labels select: k8s:app=web,!spare
    #[arg(long, value_name = "LABELS", value_parser = Labels::parse)]
    label: Option<Labels>,
    /// At most so many rows
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = limit)]
    limit: usize,
    /// Only rows behind this prefix, which a table that was cut off names
    #[arg(long, value_name = "PREFIX")]
    after: Option<IpNet>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

fn identity(text: &str) -> Result<u32, String> {
    Identity::number_of(text).ok_or_else(|| {
        "it is neither a number nor a reserved identity (host, world, remote-node, \
         kube-apiserver, health, ingress, init, unmanaged)"
            .to_owned()
    })
}

fn limit(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (1..=MOST).contains(number))
        .ok_or_else(|| format!("it is no number from 1 to {MOST}"))
}

/// Asks and prints.
///
/// # Errors
/// When files are wrong, or the daemon does not answer or has no plan.
pub fn run(args: &Args) -> Outcome {
    let query = Query {
        address: args.address,
        identity: args.identity,
        label: args.label.clone(),
        after: args.after,
        limit: args.limit,
    };
    let answer: Peers = if args.files.are_named() {
        let known = Known {
            compiled: &args.files.compile(&args.client)?,
            generation: None,
            network: None,
            ban: &|_| None,
        };
        peers(&known, &query)
    } else {
        ask(&args.client.socket(), &Request::Peers(query))?
    };
    match args.output.format {
        Format::Json => print_json(&answer)?,
        Format::Table => {
            if let Some(asked) = &answer.address {
                print(&told(asked))?;
            }
            print(&text(&answer.peers))?;
        }
    }
    if let Some(next) = answer.next {
        warn(&format!(
            "{} of {} rows; the next ones: --after {next}, or fewer by ADDRESS, --identity, --label",
            answer.peers.len(),
            answer.total,
        ));
    }
    Ok(exit::OK)
}

/// About the address that was asked about.
fn told(asked: &Asked) -> String {
    let Asked {
        address,
        identity,
        name,
        class,
        first,
        last,
        lists,
        ban,
    } = asked;
    let labels = identity.labels.join(" ");
    let mut lines = vec![format!(
        "{address} is {name}, identity {} [{labels}]; peer class {class}, as all from {first} to {last}",
        identity.number
    )];
    lines.extend(lists.iter().cloned());
    lines.extend(ban.clone());
    lines.push(String::new());
    lines.join("\n")
}

fn text(peers: &[Peer]) -> String {
    let rows = peers.iter().map(|peer| {
        [
            peer.prefix.to_string(),
            peer.identity.number.to_string(),
            peer.name.clone(),
            classes(peer),
            from(peer),
        ]
    });
    table(["PREFIX", "ID", "IDENTITY", "CLASS", "FROM"], rows)
}

fn classes(peer: &Peer) -> String {
    let mut classes: Vec<_> = peer.classes.iter().map(ToString::to_string).collect();
    if peer.more_classes {
        classes.push("…".into());
    }
    match classes.is_empty() {
        true => "-".into(),
        false => classes.join(","),
    }
}

fn from(peer: &Peer) -> String {
    let mut parts: Vec<_> = peer.from.iter().map(said).collect();
    if peer.more_from > 0 {
        parts.push(format!("and {} more", peer.more_from));
    }
    if parts.is_empty() {
        return "whoever nobody names".into();
    }
    parts.join("; ")
}

/// `Pod shop/web (pods.yaml:7)`, `not Pod shop/old (pods.yaml:19), which says app=old in shop`.
fn said(said: &Said) -> String {
    let mut object = said.kind.clone();
    for part in [said.name.as_str(), &in_parentheses(&said.place)] {
        if !part.is_empty() {
            object.push(' ');
            object.push_str(part);
        }
    }
    match said.role {
        Role::Identity | Role::Own | Role::Meant => object,
        Role::Same => format!("also {object}"),
        Role::ApiServer => format!("kube-apiserver by {object}"),
        Role::Overruled => match &said.says {
            Some(says) => format!("not {object}, which says {says}"),
            None => format!("not {object}"),
        },
        Role::LeftOut => format!("left out by {object}"),
    }
}

fn in_parentheses(place: &str) -> String {
    match place.is_empty() {
        true => String::new(),
        false => format!("({place})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(role: Role, kind: &str, name: &str, place: &str, says: Option<&str>) -> Said {
        Said {
            role,
            kind: kind.into(),
            name: name.into(),
            place: place.into(),
            says: says.map(Into::into),
        }
    }

    #[test]
    fn a_row_says_who_counts_and_who_does_not() {
        let peer = |prefix: &str, classes: &[u16], from: Vec<Said>| Peer {
            prefix: prefix.parse().unwrap(),
            identity: Identity {
                number: 4711,
                labels: vec!["k8s:app=web".into()],
            },
            name: "app=web".into(),
            classes: classes.to_vec(),
            more_classes: classes.len() > 1,
            more_from: usize::from(classes.len() > 1),
            from,
        };
        let peers = [
            peer(
                "10.42.0.9/32",
                &[3],
                vec![
                    said(Role::Identity, "Pod", "shop/web", "i.yaml:7", None),
                    said(Role::Same, "CiliumEndpoint", "shop/web", "i.yaml:9", None),
                    said(
                        Role::Overruled,
                        "Pod",
                        "shop/old",
                        "i.yaml:19",
                        Some("app=old"),
                    ),
                ],
            ),
            peer(
                "10.43.0.0/16",
                &[1, 2],
                vec![
                    said(Role::Meant, "failsafe", "", "c.toml:3", None),
                    said(Role::Own, "local route", "", "", None),
                    said(Role::LeftOut, "policy", "host ingress[0]", "p.yaml:8", None),
                ],
            ),
            peer("10.44.0.0/16", &[], vec![]),
        ];
        assert_eq!(
            text(&peers),
            "\
PREFIX        ID    IDENTITY  CLASS  FROM
10.42.0.9/32  4711  app=web   3      Pod shop/web (i.yaml:7); also CiliumEndpoint shop/web (i.yaml:9); \
not Pod shop/old (i.yaml:19), which says app=old
10.43.0.0/16  4711  app=web   1,2,…  failsafe (c.toml:3); local route; \
left out by policy host ingress[0] (p.yaml:8); and 1 more
10.44.0.0/16  4711  app=web   -      whoever nobody names"
        );
    }
}
