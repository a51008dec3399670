//! The difference for people: `+`, `-`, `~`, and a line that says it all.

use std::fmt::Write as _;

use super::Compared;
use crate::cli::output::{bad, doubtful, good};
use crate::cli::table::table;
use crate::compile::Failsafe;
use crate::compile::plan::Mode;
use crate::daemon::sources::options;
use crate::diff::{Change, Difference, Field, Named, Passage, RuleChange};

/// Peers that a line names.
const PEERS: usize = 8;
/// Peers that the summary names of a change.
const PEERS_IN_SUMMARY: usize = 2;
/// Changes of effect that the summary names.
const CHANGES_IN_SUMMARY: usize = 4;
/// Changes of effect that are listed.
const LISTED: usize = 200;
/// Texts that are listed of one part of a rule.
const TEXTS: usize = 20;

/// Everything that differs.
pub(super) fn text(compared: &Compared<'_>) -> String {
    let Difference {
        settings,
        rules,
        groups,
        effect,
    } = &compared.difference;
    if compared.difference.is_none() {
        return "no difference".to_owned();
    }
    let mut blocks = vec![format!(
        "FROM  {}\nTO    {}",
        compared.from.label, compared.to.label
    )];
    let mut block = |head: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            blocks.push(format!("{head}\n{}", lines.join("\n")));
        }
    };
    let settings = settings.iter().map(|setting| {
        let (name, from, to) = (&setting.name, &setting.from, &setting.to);
        doubtful(&format!("~ {name}: {from} → {to}"))
    });
    block("SETTINGS", settings.collect());
    block("RULES", rules.iter().map(rule).collect());
    let groups = groups.iter().map(|group| {
        let (name, added, removed) = (&group.name, group.added, group.removed);
        doubtful(&format!(
            "~ CIDR group {name}: +{added} -{removed} prefixes"
        ))
    });
    block("GROUPS", groups.collect());
    if !effect.is_empty() {
        blocks.push(effects(compared));
    }
    let failsafe = failsafe(compared);
    if !failsafe.is_empty() {
        let lines: Vec<_> = failsafe
            .iter()
            .map(|entry| format!("  {entry} ({})", entry.place()))
            .collect();
        blocks.push(format!(
            "FAILSAFE, which passes whatever the rules say\n{}",
            lines.join("\n")
        ));
    }
    blocks.push(summary(compared));
    blocks.join("\n\n")
}

/// Entries of the side that comes: they are why a rule may go and nobody lose by it.
pub(super) fn failsafe(compared: &Compared<'_>) -> Vec<Failsafe> {
    let inputs = &compared.to.compiled.inputs;
    options(&inputs.config, &inputs.ssh_ports).failsafe
}

fn rule(change: &RuleChange) -> String {
    match change {
        RuleChange::Added(rule) => good(&whole('+', rule)),
        RuleChange::Removed(rule) => bad(&whole('-', rule)),
        RuleChange::Changed { from, to, fields } => {
            let name = if from.rule == to.rule {
                to.rule.clone()
            } else {
                format!("{} → {}", from.rule, to.rule)
            };
            let origin = if from.origin == to.origin {
                to.origin.clone()
            } else {
                format!("{} → {}", from.origin, to.origin)
            };
            let mut text = doubtful(&format!("~ {} {name} ({origin})", to.policy));
            for field in fields {
                text.push_str(&differing(field));
            }
            text
        }
    }
}

fn whole(sign: char, rule: &Named) -> String {
    let mut text = format!("{sign} {} {} ({})", rule.policy, rule.rule, rule.origin);
    for (name, says) in &rule.says {
        let _ = write!(text, "\n    {name:<9} {}", cut(says).join(", "));
    }
    text
}

fn differing(field: &Field) -> String {
    let mut text = String::new();
    let mut name = field.name;
    for (sign, texts, paint) in [
        ('-', &field.removed, bad as fn(&str) -> String),
        ('+', &field.added, good),
    ] {
        for one in cut(texts) {
            let line = paint(&format!("{sign} {one}"));
            let _ = write!(text, "\n    {name:<9} {line}");
            name = "";
        }
    }
    text
}

fn cut(texts: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = texts.iter().take(TEXTS).cloned().collect();
    if texts.len() > TEXTS {
        shown.push(format!("and {} more", texts.len() - TEXTS));
    }
    shown
}

/// What becomes of the peers of a change.
pub(super) fn verb(change: &Change) -> String {
    match (change.from, change.to) {
        (_, Passage::No) => "loses".to_owned(),
        (Passage::No, Passage::UpTo(rate)) => format!("gains up to {rate}"),
        (Passage::No, Passage::Yes) => "gains".to_owned(),
        (_, Passage::UpTo(rate)) => format!("is limited to {rate}"),
        (_, Passage::Yes) => "is not limited any more".to_owned(),
    }
}

fn services(change: &Change) -> String {
    match &change.vlans {
        None => change.services.to_string(),
        Some(vlans) => format!("{} in VLANs {vlans}", change.services),
    }
}

fn effects(compared: &Compared<'_>) -> String {
    let effect = &compared.difference.effect;
    let rows = effect.iter().take(LISTED).map(|change| {
        let (sign, paint) = match change {
            change if change.loses() => ("-", bad as fn(&str) -> String),
            change if change.gains() => ("+", good as _),
            _ => ("~", doubtful as _),
        };
        let who = compared.who(change.loses()).describe(&change.peers);
        [
            paint(sign),
            change.direction.name().to_owned(),
            services(change),
            who.text(PEERS),
            paint(&verb(change)),
        ]
    });
    let mut text = table(["", "EFFECT", "SERVICES", "WHO", "WHAT"], rows);
    if effect.len() > LISTED {
        let more = effect.len() - LISTED;
        let _ = write!(text, "\nand {more} more; -o json has all of them");
    }
    if compared.to.mode == Some(Mode::Audit) {
        text.push_str("\nThe mode is audit: what is lost is reported, and passes.");
    }
    text
}

/// All of it in a line: `2 rules added, 1 changed; ingress TCP 22: 203.0.113.0/24 loses`.
pub(super) fn summary(compared: &Compared<'_>) -> String {
    let difference = &compared.difference;
    if difference.is_none() {
        return "no difference".to_owned();
    }
    let count =
        |is: fn(&RuleChange) -> bool| difference.rules.iter().filter(|rule| is(rule)).count();
    let of_rules = [
        (count(|rule| matches!(rule, RuleChange::Added(_))), "added"),
        (
            count(|rule| matches!(rule, RuleChange::Removed(_))),
            "removed",
        ),
        (
            count(|rule| matches!(rule, RuleChange::Changed { .. })),
            "changed",
        ),
    ];
    let mut parts = Vec::new();
    let mut noun = "rule";
    let mut words = Vec::new();
    for (count, what) in of_rules.into_iter().filter(|(count, _)| *count > 0) {
        words.push(match noun {
            "" => format!("{count} {what}"),
            noun => format!("{} {what}", counted(count, noun)),
        });
        noun = "";
    }
    if !words.is_empty() {
        parts.push(words.join(", "));
    }
    for (count, noun) in [
        (difference.settings.len(), "setting"),
        (difference.groups.len(), "CIDR group"),
    ] {
        if count > 0 {
            parts.push(format!("{} changed", counted(count, noun)));
        }
    }
    let effect = &difference.effect;
    if effect.is_empty() {
        parts.push("nobody gains or loses anything".to_owned());
        let entries = failsafe(compared);
        if !entries.is_empty() && !difference.rules.is_empty() {
            let entries: Vec<_> = entries.iter().map(ToString::to_string).collect();
            parts.push(format!("failsafe in any case: {}", entries.join(", ")));
        }
    }
    for change in effect.iter().take(CHANGES_IN_SUMMARY) {
        let who = compared.who(change.loses()).describe(&change.peers);
        parts.push(format!(
            "{} {}: {} {}",
            change.direction.name(),
            services(change),
            who.text(PEERS_IN_SUMMARY),
            verb(change)
        ));
    }
    if effect.len() > CHANGES_IN_SUMMARY {
        parts.push(format!("and {} more", effect.len() - CHANGES_IN_SUMMARY));
    }
    parts.join("; ")
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
