//! The files of a run: policies that differ from one plan to the next, and what is wrong.

use std::fmt::Write;

use sandbox::Lab;

use super::connections;
use super::dice::Dice;
use super::flows::{ALWAYS, Kind, LISTED, NEVER, SOMETIMES};

/// Beyond this many prefixes and ports of no importance a plan has, from none: tables of
/// one plan read with the numbers of another would give other verdicts.
const PADDING: usize = 60;

/// What every plan has: who may be reached by everybody, and who by nobody.
#[must_use]
pub fn always() -> String {
    let allowed: Vec<_> = ALWAYS
        .into_iter()
        .chain([Kind::Syn(connections::PORT)])
        .collect();
    let mut text = head("always");
    let listed = rule(
        &format!("fromCIDRSet: [{{cidrGroupRef: {LIST}}}]"),
        &[LISTED],
    );
    let all = |peers: &str, services| rule(&format!("{peers}: [all]"), services);
    text += &format!(
        "  ingress:\n{}{listed}  ingressDeny:\n{}  egress:\n{}  egressDeny:\n{}",
        all("fromEntities", &allowed),
        all("fromEntities", &NEVER),
        all("toEntities", &allowed),
        all("toEntities", &NEVER),
    );
    text
}

/// Name of the list that is part of every plan.
pub const LIST: &str = "friends";

/// The list: the jump host, and many that nobody knows.
#[must_use]
pub fn list(lab: &Lab) -> String {
    let known = [format!("{}\n{}\n", lab.jump.v4.0, lab.jump.v6.0)];
    let others = (0..200).map(|number| format!("198.19.{number}.0/25\n"));
    known.into_iter().chain(others).collect()
}

/// What no other plan of the run has (or hardly any): who may use what is for the plans
/// to decide.
#[must_use]
pub fn varying(dice: &mut Dice, lab: &Lab) -> String {
    let mut text = head("varying");
    let stranger = |direction: &str| {
        format!(
            "{direction}CIDR: [\"{}/32\", \"{}/128\"]",
            lab.stranger.v4.0, lab.stranger.v6.0
        )
    };
    for (key, direction) in [("ingress", "from"), ("egress", "to")] {
        let mut rules = String::new();
        for peers in [
            format!("{direction}CIDRSet: [{{cidrGroupRef: admin-networks}}]"),
            format!("{direction}Entities: [remote-node]"),
            stranger(direction),
        ] {
            let services: Vec<_> = SOMETIMES.into_iter().filter(|_| dice.chance(50)).collect();
            rules += &rule(&peers, &services);
        }
        for number in 0..dice.below(PADDING) {
            let peers = format!("{direction}CIDR: [\"198.18.{number}.0/24\"]");
            rules += &rule(&peers, &[Kind::Syn(6_000 + number as u16)]);
        }
        if rules.is_empty() {
            rules = "  - {}\n".into();
        }
        writeln!(text, "  {key}:\n{}", rules.trim_end()).expect("a string takes it all");
    }
    // Deny goes before allow, wherever it stands.
    if dice.chance(40) {
        let services = [*dice.pick(&SOMETIMES)];
        write_rule(&mut text, "ingressDeny", &stranger("from"), &services);
    }
    text
}

/// Files with so many rules that no two peers are alike, and no two services: more than
/// the tables hold.
#[must_use]
pub fn too_large() -> Vec<(String, String)> {
    let file = |file: u16| {
        let name = format!("too-large-{file}");
        let mut text = head(&name) + "  ingress:\n";
        for number in file * OF_A_FILE..(file + 1) * OF_A_FILE {
            let (high, low) = (number / 256, number % 256);
            let peers = format!("fromCIDR: [\"100.{high}.{low}.0/24\"]");
            text += &rule(&peers, &[Kind::Syn(10_000 + number)]);
        }
        (name + ".yaml", text)
    };
    (0..FILES).map(file).collect()
}

/// Together a matrix of as many rows and columns.
const FILES: u16 = 4;
const OF_A_FILE: u16 = 1_500;

/// Policies that are refused, each for another reason.
pub const WRONG: [(&str, &str); 7] = [
    ("an unknown field", "  ingres: []\n"),
    (
        "a prefix of no network",
        "  ingress: [{fromCIDR: [\"10.0.0.300/24\"]}]\n",
    ),
    (
        "a port that is none",
        "  ingress: [{toPorts: [{ports: [{port: \"70000\"}]}]}]\n",
    ),
    (
        "what is not enforced",
        "  egress: [{toFQDNs: [{matchName: example.com}]}]\n",
    ),
    ("a tab", "  ingress:\n\t- {}\n"),
    ("a list in place of a mapping", "  ingress: {}\n"),
    (
        "an end in the middle",
        "  ingress: [{fromEntities: [\"all\n",
    ),
];

/// A policy with this body.
#[must_use]
pub fn wrong(body: &str) -> String {
    head("wrong") + body
}

fn head(name: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
         metadata: {{name: {name}}}\nspec:\n  nodeSelector: {{}}\n"
    )
}

fn write_rule(text: &mut String, key: &str, peers: &str, services: &[Kind]) {
    *text += &format!("  {key}:\n{}", rule(peers, services));
}

/// Items of a list: one for the ports, one for ICMP; none for no service.
fn rule(peers: &str, services: &[Kind]) -> String {
    let mut ports = String::new();
    let mut ping = false;
    for service in services {
        match service {
            Kind::Syn(port) => ports += &format!("{{port: \"{port}\", protocol: TCP}}, "),
            Kind::Datagram(port) => ports += &format!("{{port: \"{port}\", protocol: UDP}}, "),
            Kind::Ping => ping = true,
        }
    }
    let mut text = String::new();
    if !ports.is_empty() {
        let ports = ports.trim_end_matches(", ");
        text += &format!("  - {peers}\n    toPorts: [{{ports: [{ports}]}}]\n");
    }
    if ping {
        text += &format!(
            "  - {peers}\n    icmps: [{{fields: [{{family: IPv4, type: EchoRequest}}, \
             {{family: IPv6, type: EchoRequest}}]}}]\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_an_item_for_ports_and_one_for_ping() {
        let text = rule("x: y", &[Kind::Syn(1), Kind::Ping, Kind::Datagram(2)]);
        assert_eq!(text.matches("  - x: y\n").count(), 2);
        assert!(
            text.contains("ports: [{port: \"1\", protocol: TCP}, {port: \"2\", protocol: UDP}]")
        );
        assert_eq!(rule("x: y", &[]), "");
    }
}
