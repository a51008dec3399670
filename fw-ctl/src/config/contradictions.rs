//! Values that are of the right type, but mean nothing, alone or together.

use super::{Config, FailsafePorts, Require, XdpSetting, vlans};
use crate::glob::check_glob;
use crate::policy::decode::{is_label_value, is_qualified_name};

/// Every contradiction, and every value that can have no effect: the key to
/// change, and what is wrong.
pub fn contradictions(config: &Config) -> Vec<(&'static str, String)> {
    let interfaces = &config.interfaces;
    let failsafe = &config.failsafe;
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
        (
            failsafe
                .outbound
                .iter()
                .any(|entry| entry.ports == FailsafePorts::Ssh),
            "failsafe.outbound",
            "\"ssh\" means the ports that this node's sshd listens on; outbound, write the number",
        ),
    ];
    let mut found: Vec<_> = table
        .into_iter()
        .filter(|(wrong, _, _)| *wrong)
        .map(|(_, key, message)| (key, message.to_owned()))
        .collect();
    let lists = [
        ("failsafe.inbound", &failsafe.inbound),
        ("failsafe.outbound", &failsafe.outbound),
    ];
    for (key, entries) in lists {
        for (i, entry) in entries.iter().enumerate() {
            if entries[..i].contains(entry) {
                found.push((key, format!("entry {i} of `{key}` is there twice")));
            }
        }
    }
    let vlans = vlans::contradiction(&interfaces.vlans);
    found.extend(vlans.map(|message| ("interfaces.vlans", message.to_owned())));
    found.extend(patterns(config));
    found.extend(labels(config));
    found
}

/// Patterns of interfaces that match nothing.
fn patterns(config: &Config) -> impl Iterator<Item = (&'static str, String)> {
    let lists = [
        ("interfaces.include", &config.interfaces.include),
        ("interfaces.exclude", &config.interfaces.exclude),
    ];
    lists.into_iter().flat_map(|(key, patterns)| {
        patterns.iter().filter_map(move |pattern| {
            let why = check_glob(pattern).err()?;
            let message = format!("\"{pattern}\" matches no interface: {why}");
            Some((key, message))
        })
    })
}

/// Labels that no selector can name: the grammar is that of Kubernetes.
fn labels(config: &Config) -> impl Iterator<Item = (&'static str, String)> {
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
        Some(("node.labels", message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(toml: &str) -> Vec<(&'static str, String)> {
        contradictions(&toml_edit::de::from_str(toml).unwrap())
    }

    #[test]
    fn patterns_that_match_nothing_are_named() {
        assert_eq!(
            found("[interfaces]\ninclude = [\"eth*\", \"[\"]\nexclude = [\"\"]"),
            [
                (
                    "interfaces.include",
                    "\"[\" matches no interface: the `]` is missing that ends its `[`".to_owned()
                ),
                (
                    "interfaces.exclude",
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
            let [("node.labels", message)] = found.as_slice() else {
                panic!("{label}: {found:?}");
            };
            assert!(message.contains(part), "{label}: {message}");
        }
    }
}
