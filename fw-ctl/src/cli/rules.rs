//! `fw-ctl rules`

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, print, print_json};
use super::table::table;
use crate::control::client::ask;
use crate::control::protocol::Request;
use crate::daemon::status::Rules;
use crate::exit;

/// Arguments of `rules`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks and prints.
///
/// # Errors
/// When the daemon does not answer or has no plan.
pub fn run(args: &Args) -> Outcome {
    let rules: Rules = ask(&args.client.socket(), &Request::Rules)?;
    match args.output.format {
        Format::Json => print_json(&rules)?,
        Format::Table => print(&text(rules))?,
    }
    Ok(exit::OK)
}

/// With a column more where a rule has a rate, and where one holds in some VLANs only.
fn text(rules: Rules) -> String {
    let is_limited = rules.rules.iter().any(|rule| rule.limited.is_some());
    let in_vlans = rules.rules.iter().any(|rule| rule.vlans.is_some());
    let rows = rules.rules.into_iter().map(|rule| {
        [
            rule.direction,
            match rule.rate {
                Some(rate) => format!("{} {rate}", rule.verdict),
                None => rule.verdict,
            },
            rule.policy,
            rule.rule,
            rule.origin,
            rule.packets.to_string(),
            rule.bytes.to_string(),
            rule.limited
                .map_or_else(String::new, |limited| limited.to_string()),
            rule.vlans.unwrap_or_default(),
        ]
    });
    table(
        [
            "DIRECTION",
            "VERDICT",
            "POLICY",
            "RULE",
            "ORIGIN",
            "PACKETS",
            "BYTES",
            if is_limited { "LIMITED" } else { "" },
            if in_vlans { "VLANS" } else { "" },
        ],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::status::{RuleStatus, SCHEMA};

    fn rule(id: usize, rule: &str, limited: Option<u64>) -> RuleStatus {
        RuleStatus {
            id,
            direction: "ingress".into(),
            verdict: "allow".into(),
            rate: limited.map(|_| "5/m burst 5".to_owned()),
            vlans: None,
            policy: "web".into(),
            rule: rule.into(),
            origin: "web.yaml:9".into(),
            packets: 15,
            bytes: 900,
            limited,
        }
    }

    fn rules(rules: Vec<RuleStatus>) -> Rules {
        Rules {
            schema: SCHEMA,
            generation: 1,
            rules,
            node: "node1".into(),
            mode: "enforce".into(),
            counters: Vec::new(),
            lost_events: 0,
        }
    }

    #[test]
    fn what_is_beyond_a_rate_has_a_column() {
        let rules = rules(vec![
            rule(0, "ingress[0]", Some(170)),
            rule(1, "ingress[1]", None),
            rule(2, "ingress[2]", Some(0)),
        ]);
        assert_eq!(
            text(rules),
            "\
DIRECTION  VERDICT            POLICY  RULE        ORIGIN      PACKETS  BYTES  LIMITED
ingress    allow 5/m burst 5  web     ingress[0]  web.yaml:9  15       900    170
ingress    allow              web     ingress[1]  web.yaml:9  15       900
ingress    allow 5/m burst 5  web     ingress[2]  web.yaml:9  15       900    0"
        );
    }

    #[test]
    fn rules_of_some_vlans_have_a_column() {
        let storage = RuleStatus {
            vlans: Some("untagged,212".into()),
            ..rule(1, "ingress[1]", None)
        };
        assert_eq!(
            text(rules(vec![rule(0, "ingress[0]", None), storage])),
            "\
DIRECTION  VERDICT  POLICY  RULE        ORIGIN      PACKETS  BYTES  VLANS
ingress    allow    web     ingress[0]  web.yaml:9  15       900
ingress    allow    web     ingress[1]  web.yaml:9  15       900    untagged,212"
        );
    }

    #[test]
    fn where_no_rule_has_a_rate_there_is_no_such_column() {
        assert_eq!(
            text(rules(vec![rule(0, "ingress[0]", None)])),
            "\
DIRECTION  VERDICT  POLICY  RULE        ORIGIN      PACKETS  BYTES
ingress    allow    web     ingress[0]  web.yaml:9  15       900"
        );
    }
}
