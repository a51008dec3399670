//! `fw-ctl rules`

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, print, print_json, warn};
use super::table::table;
use crate::control::client::ask;
use crate::control::protocol::Request;
use crate::daemon::status::Rules;
use crate::exit;
use crate::moment;

/// Arguments of `rules`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only rules that decided nothing for so long: 30d, 12h
    #[arg(long, value_name = "SPAN", value_parser = moment::parse_span)]
    unused: Option<u64>,
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
    let mut rules: Rules = ask(&args.client.socket(), &Request::Rules)?;
    let now = moment::now();
    if let Some(span) = args.unused {
        let young = keep_unused(&mut rules, span, now);
        if young > 0 {
            let (rules, have) = if young == 1 {
                ("rule", "has")
            } else {
                ("rules", "have")
            };
            warn(&format!(
                "{young} {rules} {have} decided nothing yet, and {have} not been counted for so long"
            ));
        }
    }
    match args.output.format {
        Format::Json => print_json(&rules)?,
        Format::Table => print(&text(rules, now))?,
    }
    Ok(exit::OK)
}

/// Keeps the rules that somebody has written and that decided nothing in the last `span`
/// seconds. Returns how many decided nothing, but are not counted for so long.
fn keep_unused(rules: &mut Rules, span: u64, now: u64) -> usize {
    let mut young = 0;
    rules.rules.retain(|rule| {
        let age = |moment: &str| moment::parse(moment).map_or(0, |then| now.saturating_sub(then));
        if rule.origin.is_empty() {
            return false;
        }
        match &rule.last_hit {
            Some(last) => age(last) >= span,
            None if age(&rule.since) >= span => true,
            None => {
                young += 1;
                false
            }
        }
    });
    young
}

/// `never`, `now`, `12 s ago`, `3 d ago`.
fn ago(moment: Option<&str>, now: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(moment) = moment else {
        return "never".into();
    };
    let Ok(then) = moment::parse(moment) else {
        return moment.into();
    };
    let seconds = now.saturating_sub(then);
    let mut units = UNITS.iter();
    let unit = units.find(|(length, _)| seconds >= *length);
    unit.map_or_else(
        || "now".into(),
        |(length, unit)| format!("{} {unit} ago", seconds / length),
    )
}

/// With a column more where a rule has a rate, and where one holds in some VLANs only.
fn text(rules: Rules, now: u64) -> String {
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
            ago(rule.last_hit.as_deref(), now),
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
            "LAST HIT",
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

    const NOW: u64 = 1_795_300_000;

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
            since: moment::rfc3339(NOW - 86_400),
            last_hit: (id == 0).then(|| moment::rfc3339(NOW - 90)),
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
            text(rules, NOW),
            "\
DIRECTION  VERDICT            POLICY  RULE        ORIGIN      PACKETS  BYTES  LAST HIT   LIMITED
ingress    allow 5/m burst 5  web     ingress[0]  web.yaml:9  15       900    1 min ago  170
ingress    allow              web     ingress[1]  web.yaml:9  15       900    never
ingress    allow 5/m burst 5  web     ingress[2]  web.yaml:9  15       900    never      0"
        );
    }

    #[test]
    fn rules_of_some_vlans_have_a_column() {
        let storage = RuleStatus {
            vlans: Some("untagged,212".into()),
            ..rule(1, "ingress[1]", None)
        };
        assert_eq!(
            text(rules(vec![rule(0, "ingress[0]", None), storage]), NOW),
            "\
DIRECTION  VERDICT  POLICY  RULE        ORIGIN      PACKETS  BYTES  LAST HIT   VLANS
ingress    allow    web     ingress[0]  web.yaml:9  15       900    1 min ago
ingress    allow    web     ingress[1]  web.yaml:9  15       900    never      untagged,212"
        );
    }

    #[test]
    fn where_no_rule_has_a_rate_there_is_no_such_column() {
        assert_eq!(
            text(rules(vec![rule(0, "ingress[0]", None)]), NOW),
            "\
DIRECTION  VERDICT  POLICY  RULE        ORIGIN      PACKETS  BYTES  LAST HIT
ingress    allow    web     ingress[0]  web.yaml:9  15       900    1 min ago"
        );
    }

    #[test]
    fn unused_is_what_did_nothing_for_so_long_as_far_as_that_is_known() {
        let hit = |id, seconds: Option<u64>, counted: u64| RuleStatus {
            last_hit: seconds.map(|seconds| moment::rfc3339(NOW - seconds)),
            since: moment::rfc3339(NOW - counted),
            ..rule(id, "ingress[0]", None)
        };
        let built_in = RuleStatus {
            origin: String::new(),
            ..hit(9, None, 1_000)
        };
        let all = rules(vec![
            hit(0, Some(99), 1_000),
            hit(1, Some(100), 1_000),
            hit(2, None, 1_000),
            hit(3, None, 99),
            built_in,
        ]);
        let mut unused = all.clone();
        assert_eq!(keep_unused(&mut unused, 100, NOW), 1);
        let ids: Vec<_> = unused.rules.iter().map(|rule| rule.id).collect();
        assert_eq!(ids, [1, 2]);
        let mut none = all;
        assert_eq!(keep_unused(&mut none, 5_000, NOW), 2);
        assert!(none.rules.is_empty());
    }

    #[test]
    fn moments_are_told_by_their_age() {
        let at = |seconds: u64| ago(Some(&moment::rfc3339(NOW - seconds)), NOW);
        let told = [0, 59, 60, 7_199, 86_400 * 3].map(at);
        assert_eq!(told, ["now", "59 s ago", "1 min ago", "1 h ago", "3 d ago"]);
        assert_eq!(ago(None, NOW), "never");
    }
}
