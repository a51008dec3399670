//! The difference for programs.

use serde_json::{Map, Value, json};

use super::Compared;
use super::sides::Loaded;
use super::text::{failsafe, summary};
use crate::compile::Failsafe;
use crate::diff::{Change, Field, Named, Passage, RuleChange};

/// Prefixes that are listed of one change.
const PREFIXES: usize = 1_000;

/// `{"schema":1,"same":…,"summary":…,"from":…,"to":…,"settings":[…],"rules":[…],
/// "groups":[…],"effect":[…],"failsafe":[…]}`.
pub(super) fn value(compared: &Compared<'_>) -> Value {
    let difference = &compared.difference;
    let settings = difference
        .settings
        .iter()
        .map(|setting| json!({"name": setting.name, "from": setting.from, "to": setting.to}));
    let groups = difference
        .groups
        .iter()
        .map(|group| json!({"name": group.name, "added": group.added, "removed": group.removed}));
    let effect = difference.effect.iter();
    json!({
        "schema": 1,
        "same": difference.is_none(),
        "summary": summary(compared),
        "from": side(compared.from),
        "to": side(compared.to),
        "settings": settings.collect::<Vec<_>>(),
        "rules": difference.rules.iter().map(rule).collect::<Vec<_>>(),
        "groups": groups.collect::<Vec<_>>(),
        "effect": effect.map(|change| one(compared, change)).collect::<Vec<_>>(),
        "failsafe": failsafe(compared).iter().map(entry).collect::<Vec<_>>(),
    })
}

fn entry(entry: &Failsafe) -> Value {
    json!({
        "direction": entry.direction.name(),
        "allows": entry.to_string(),
        "origin": entry.place(),
    })
}

fn side(side: &Loaded) -> Value {
    json!({
        "what": side.label,
        "generation": side.generation,
        "mode": side.mode.map(crate::compile::plan::Mode::name),
    })
}

fn rule(change: &RuleChange) -> Value {
    let (what, from, to, fields) = match change {
        RuleChange::Added(rule) => ("added", None, Some(rule), &[][..]),
        RuleChange::Removed(rule) => ("removed", Some(rule), None, &[][..]),
        RuleChange::Changed { from, to, fields } => ("changed", Some(from), Some(to), &fields[..]),
    };
    json!({
        "change": what,
        "from": from.map(named),
        "to": to.map(named),
        "fields": fields.iter().map(field).collect::<Vec<_>>(),
    })
}

fn named(rule: &Named) -> Value {
    let says = rule.says.iter();
    let says: Map<String, Value> = says
        .map(|(name, texts)| ((*name).to_owned(), json!(texts)))
        .collect();
    json!({
        "direction": rule.direction.name(),
        "policy": rule.policy,
        "rule": rule.rule,
        "origin": rule.origin,
        "says": says,
    })
}

fn field(field: &Field) -> Value {
    json!({"name": field.name, "removed": field.removed, "added": field.added})
}

fn one(compared: &Compared<'_>, change: &Change) -> Value {
    let who = compared.who(change.loses()).describe(&change.peers);
    let prefixes: Vec<_> = change.peers.prefixes().take(PREFIXES).collect();
    let what = match change {
        change if change.loses() => "loses",
        change if change.gains() => "gains",
        _ => "limit",
    };
    json!({
        "change": what,
        "direction": change.direction.name(),
        "from": passage(change.from),
        "to": passage(change.to),
        "services": change.services.texts(),
        "vlans": change.vlans.as_ref().map(ToString::to_string),
        "peers": {
            "but": who.but,
            "names": who.names,
            "names_total": who.count,
            "prefixes": prefixes,
            "prefixes_total": change.peers.prefixes().count(),
        },
    })
}

fn passage(passage: Passage) -> String {
    match passage {
        Passage::No => "deny".to_owned(),
        Passage::UpTo(rate) => format!("allow up to {rate}"),
        Passage::Yes => "allow".to_owned(),
    }
}
