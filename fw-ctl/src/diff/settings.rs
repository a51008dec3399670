//! What differs beside rules: the configuration key by key, and what policies switch.

use std::collections::{BTreeMap, BTreeSet};

use fw_common::wire::Direction;
use serde_json::Value;

use crate::compile::plan::Mode;
use crate::config::{Config, FailsafePorts, Origin};
use crate::policy::rules::RuleSet;

/// Keys that decide nothing about packets.
const PLACES: &str = "paths.";
/// Keys that differ if other policies are compared than those that they name.
const NAMING: [&str; 2] = ["policy.dirs", "policy.inventory"];
/// What is in force may have been set at run time.
const MODE: &str = "policy.mode";

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Key of the configuration, or `mode`, `default deny of ingress`, …
    pub name: String,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

/// What stands around the rules of one side.
pub struct Surroundings<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Ports of this machine's sshd.
    pub ssh_ports: &'a BTreeSet<u16>,
    /// The mode in force; `None`: there is none, these are only policies.
    pub mode: Option<Mode>,
    /// The rules.
    pub rules: &'a RuleSet,
}

/// Everything that differs.
#[must_use]
pub fn settings(from: &Surroundings<'_>, to: &Surroundings<'_>) -> Vec<Setting> {
    let (old, new) = (from.texts(), to.texts());
    // Only policies are compared where one side is nothing else.
    let only_policies = from.mode.is_none() || to.mode.is_none();
    let is_compared = |name: &&String| {
        !name.starts_with(PLACES)
            && *name != MODE
            && !(only_policies && (NAMING.contains(&name.as_str()) || *name == "mode"))
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = names.into_iter().filter(is_compared).filter_map(|name| {
        let text = |texts: &BTreeMap<String, (String, String)>| {
            let unset = || ("not set".to_owned(), String::new());
            texts.get(name).cloned().unwrap_or_else(unset)
        };
        let ((from, from_where), (to, to_where)) = (text(&old), text(&new));
        (from != to).then(|| Setting {
            name: name.clone(),
            from: from + &from_where,
            to: to + &to_where,
        })
    });
    differing.collect()
}

impl Surroundings<'_> {
    /// By name: what is compared, and what is said beside.
    fn texts(&self) -> BTreeMap<String, (String, String)> {
        let mut texts = BTreeMap::new();
        let mut config = self.config.clone();
        let failsafe = &mut config.failsafe;
        for entry in failsafe.inbound.iter_mut().chain(&mut failsafe.outbound) {
            // Where it stands is no part of what it means.
            entry.origin = Origin::default();
        }
        // Texts, numbers and lists: there is nothing in it that has no JSON.
        let config = serde_json::to_value(config).unwrap_or_default();
        leaves("", &config, &mut texts);
        if let Some(mode) = self.mode {
            texts.insert("mode".to_owned(), (mode.name().to_owned(), String::new()));
        }
        for (direction, name) in [
            (Direction::Ingress, "default deny of ingress"),
            (Direction::Egress, "default deny of egress"),
        ] {
            texts.insert(name.to_owned(), self.default_deny(direction));
        }
        let failsafe = &self.config.failsafe;
        let mut entries = failsafe.inbound.iter().chain(&failsafe.outbound);
        if entries.any(|entry| entry.ports == FailsafePorts::Ssh) {
            let ports: Vec<_> = self.ssh_ports.iter().map(ToString::to_string).collect();
            let ports = (ports.join(", "), String::new());
            texts.insert("failsafe: ports of sshd".to_owned(), ports);
        }
        texts
    }

    /// Whether it is on, and by which rule.
    fn default_deny(&self, direction: Direction) -> (String, String) {
        let switches = &self.rules.direction(direction).default_deny;
        let Some(first) = switches.first() else {
            return ("off".to_owned(), String::new());
        };
        let everywhere = switches.iter().find(|switch| switch.vlans.is_none());
        let origin = &everywhere.unwrap_or(first).origin;
        let by = format!(
            " (by {} {}, {})",
            origin.policy,
            origin.rule,
            origin.place()
        );
        if everywhere.is_some() {
            return ("on".to_owned(), by);
        }
        let vlans: BTreeSet<_> = switches
            .iter()
            .flat_map(|switch| &switch.vlans)
            .map(ToString::to_string)
            .collect();
        let vlans = vlans.into_iter().collect::<Vec<_>>().join(",");
        (format!("on in VLANs {vlans}"), by)
    }
}

fn leaves(path: &str, value: &Value, texts: &mut BTreeMap<String, (String, String)>) {
    let Value::Object(fields) = value else {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        texts.insert(path.to_owned(), (text, String::new()));
        return;
    };
    for (name, value) in fields {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        leaves(&path, value, texts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BuiltinName;

    fn differing(from: &Surroundings<'_>, to: &Surroundings<'_>) -> Vec<String> {
        let found = settings(from, to);
        let text = |one: Setting| format!("{}: {} > {}", one.name, one.from, one.to);
        found.into_iter().map(text).collect()
    }

    #[test]
    fn where_a_failsafe_entry_stands_is_no_difference() {
        let (old, mut new) = (Config::default(), Config::default());
        new.failsafe.inbound[0].origin = Origin("fw-ctl.toml:7".into());
        let (rules, ports) = (RuleSet::default(), BTreeSet::new());
        let with = |config| Surroundings {
            config,
            ssh_ports: &ports,
            mode: None,
            rules: &rules,
        };
        assert_eq!(differing(&with(&old), &with(&new)), [""; 0]);
        let mut none = new.clone();
        none.failsafe.inbound.clear();
        let found = differing(&with(&old), &with(&none));
        assert!(found[0].starts_with("failsafe.inbound: [{") && found[0].ends_with("> []"));
    }

    #[test]
    fn the_configuration_is_compared_key_by_key() {
        let (old, mut new) = (Config::default(), Config::default());
        new.builtins.disable = vec![BuiltinName(fw_common::wire::BUILTINS[0].0)];
        new.node.labels.insert("rack".into(), "r1".into());
        new.policy.dirs = vec!["/elsewhere".into()];
        new.paths.run_dir = "/elsewhere".into();
        let rules = RuleSet::default();
        let (one, other) = (BTreeSet::from([22]), BTreeSet::from([22, 2222]));
        let mut from = Surroundings {
            config: &old,
            ssh_ports: &one,
            mode: Some(Mode::Audit),
            rules: &rules,
        };
        let to = Surroundings {
            config: &new,
            ssh_ports: &other,
            mode: Some(Mode::Enforce),
            rules: &rules,
        };
        let name = fw_common::wire::BUILTINS[0].1;
        let disabled = format!("builtins.disable: [] > [\"{name}\"]");
        assert_eq!(
            differing(&from, &to),
            [
                &disabled,
                "failsafe: ports of sshd: 22 > 22, 2222",
                "mode: audit > enforce",
                "node.labels.rack: not set > r1",
                "policy.dirs: [\"/etc/fw-ctl/policies\"] > [\"/elsewhere\"]",
            ]
        );
        assert_eq!(differing(&to, &to), [""; 0]);
        // Policies without a node have no mode, and are where they are.
        from.mode = None;
        assert_eq!(
            differing(&from, &to),
            [
                &disabled,
                "failsafe: ports of sshd: 22 > 22, 2222",
                "node.labels.rack: not set > r1",
            ]
        );
    }
}
