//! Values that are of the right type, but mean nothing, alone or together.

use super::{Config, Require, XdpSetting, hubble, overlaps, vlans};
use crate::glob::check_glob;
use crate::policy::decode::{is_label_value, is_qualified_name};

/// A value that means nothing, alone or beside others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The key to change, with the places of entries of lists: `failsafe`, `inbound`, `1`.
    pub path: Vec<String>,
    /// What is wrong; behind a newline perhaps what to do.
    pub message: String,
}

impl Contradiction {
    /// About `key`, as `interfaces.include`.
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self {
            path: key.split('.').map(str::to_owned).collect(),
            message: message.into(),
        }
    }
}

/// Every contradiction, and every value that can have no effect.
pub fn contradictions(config: &Config) -> Vec<Contradiction> {
    let interfaces = &config.interfaces;
    let rules_native_out = matches!(interfaces.xdp, XdpSetting::Off | XdpSetting::Generic);
    let table = [
        (
            interfaces.require == Require::Native && rules_native_out,
            "interfaces.require",
            "`require = \"native\"` contradicts `interfaces.xdp`, which rules native XDP out",
        ),
        (
            interfaces.include.is_empty(),
            "interfaces.include",
            "no interface is included: nothing would be filtered; write [\"auto\"] or names",
        ),
        (
            interfaces.exclude.iter().any(|name| name == "auto"),
            "interfaces.exclude",
            "`auto` cannot be excluded; leave it out of `interfaces.include`",
        ),
    ];
    let mut found: Vec<_> = table
        .into_iter()
        .filter(|(wrong, _, _)| *wrong)
        .map(|(_, key, message)| Contradiction::new(key, message))
        .collect();
    found.extend(overlaps::contradictions(&config.failsafe));
    let vlans = vlans::contradiction(&interfaces.vlans);
    found.extend(vlans.map(|message| Contradiction::new("interfaces.vlans", message)));
    found.extend(hubble::contradiction(&config.hubble));
    found.extend(builtins(config));
    found.extend(patterns(config));
    found.extend(labels(config));
    found
}

/// Built-ins that are switched off twice.
fn builtins(config: &Config) -> impl Iterator<Item = Contradiction> {
    let disabled = &config.builtins.disable;
    disabled.iter().enumerate().filter_map(|(place, name)| {
        let message = format!("`{}` is named twice", String::from(*name));
        let is_again = disabled[..place].contains(name);
        is_again.then(|| Contradiction::new("builtins.disable", message))
    })
}

/// Patterns of interfaces that match nothing.
fn patterns(config: &Config) -> impl Iterator<Item = Contradiction> {
    let lists = [
        ("interfaces.include", &config.interfaces.include),
        ("interfaces.exclude", &config.interfaces.exclude),
    ];
    lists.into_iter().flat_map(|(key, patterns)| {
        patterns.iter().filter_map(move |pattern| {
            let why = check_glob(pattern).err()?;
            let message = format!("\"{pattern}\" matches no interface: {why}");
            Some(Contradiction::new(key, message))
        })
    })
}

/// Labels that no selector can name: the grammar is that of Kubernetes.
fn labels(config: &Config) -> impl Iterator<Item = Contradiction> {
    config.node.labels.iter().filter_map(|(key, value)| {
        let message = if !is_qualified_name(key) {
            format!(
                "\"{key}\" is not the key of a label; write letters, digits, `-`, `_` and `.`, \
                 with a `domain/` before it if need be"
            )
        } else if !is_label_value(value) {
            format!(
                "\"{value}\" is not the value of a label (`{key}`); write at most 63 letters, \
                 digits, `-`, `_` and `.`, beginning and ending with a letter or digit"
            )
        } else {
            return None;
        };
        Some(Contradiction::new("node.labels", message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(toml: &str) -> Vec<(String, String)> {
        let found = contradictions(&toml_edit::de::from_str(toml).unwrap()).into_iter();
        found.map(|one| (one.path.join("."), one.message)).collect()
    }

    #[test]
    fn a_builtin_is_switched_off_once() {
        assert_eq!(
            found("[builtins]\ndisable = [\"arp\", \"mld\", \"arp\"]"),
            [(
                "builtins.disable".to_owned(),
                "`arp` is named twice".to_owned()
            )]
        );
    }

    #[test]
    fn patterns_that_match_nothing_are_named() {
        assert_eq!(
            found("[interfaces]\ninclude = [\"eth*\", \"[\"]\nexclude = [\"\"]"),
            [
                (
                    "interfaces.include".to_owned(),
                    "\"[\" matches no interface: the `]` is missing that ends its `[`".to_owned()
                ),
                (
                    "interfaces.exclude".to_owned(),
                    "\"\" matches no interface: it is empty".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn labels_that_no_selector_can_name_are_named() {
        assert_eq!(
            found("[node.labels]\nrole = \"\"\n\"example.com/rack\" = \"r-1\""),
            []
        );
        for (label, part) in [
            ("\"a b\" = \"x\"", "\"a b\" is not the key"),
            ("\"\" = \"x\"", "\"\" is not the key"),
            ("\"k8s:a\" = \"x\"", "\"k8s:a\" is not the key"),
            ("a = \"x y\"", "\"x y\" is not the value of a label (`a`)"),
            ("a = \"-x\"", "\"-x\" is not the value"),
        ] {
            let found = found(&format!("[node.labels]\n{label}\n"));
            let [(key, message)] = found.as_slice() else {
                panic!("{label}: {found:?}");
            };
            assert_eq!(key, "node.labels");
            assert!(message.contains(part), "{label}: {message}");
        }
    }
}
