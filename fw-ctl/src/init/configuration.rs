//! The configuration: the shipped file, with what was found in `[node]`. Its comments stay.

use std::path::Path;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value, value};

use super::{Profile, Wish};
use crate::config::Policy;

use super::found::Found;

/// The file as it is shipped: every key with its default.
pub const SHIPPED: &str = include_str!("../../../config/fw-ctl.toml");

/// The way in to a Talos node, which has no SSH: apid.
const APID: i64 = 50_000;

/// The text of the configuration.
pub(super) fn text(wish: &Wish, found: &Found) -> String {
    let mut document: DocumentMut = SHIPPED
        .parse()
        .expect("a test reads the configuration that is shipped");
    let node = table(&mut document, "node");
    let before = node.decor().prefix().and_then(|text| text.as_str());
    let before = before.unwrap_or_default().to_owned();
    let by = wish.profile.name();
    node.decor_mut().set_prefix(format!(
        "{before}# What `fw-ctl init --profile {by}` has found here.\n"
    ));
    if let Some(name) = &found.node {
        set(node, "name", value(&name.value));
    }
    let mut labels = InlineTable::new();
    for (key, label) in &found.labels {
        labels.insert(key, label.value.as_str().into());
    }
    set(node, "labels", value(labels));
    let usual = Policy::default();
    let policy = table(&mut document, "policy");
    for (key, usual, path) in [
        ("dirs", &usual.dirs, &wish.policies),
        ("inventory", &usual.inventory, &wish.inventory),
    ] {
        if usual.as_slice() != [path.clone()] {
            set(policy, key, value(paths(path)));
        }
    }
    if wish.profile == Profile::Talos {
        let mut apid = InlineTable::new();
        apid.insert("protocol", "tcp".into());
        apid.insert("port", APID.into());
        let failsafe = table(&mut document, "failsafe");
        set(
            failsafe,
            "inbound",
            value(Array::from_iter([Value::from(apid)])),
        );
    }
    document.to_string()
}

fn table<'a>(document: &'a mut DocumentMut, name: &str) -> &'a mut Table {
    let table = document.get_mut(name).and_then(Item::as_table_mut);
    table.expect("a test reads the configuration that is shipped")
}

/// Sets a key that is there, and keeps the comment above it.
fn set(table: &mut Table, key: &str, item: Item) {
    table[key] = item;
}

fn paths(path: &Path) -> Array {
    Array::from_iter([path.display().to_string()])
}

#[cfg(test)]
mod tests {
    use super::super::found::fact;
    use super::super::tests::wish;
    use super::*;
    use crate::config::{FailsafePorts, ModeSetting, load_text};

    /// The lines that are not those of the shipped file, and how many of its own are gone.
    fn changed(text: &str) -> (Vec<&str>, usize) {
        let shipped: Vec<_> = SHIPPED.lines().collect();
        let new: Vec<_> = text
            .lines()
            .filter(|line| !shipped.contains(line))
            .collect();
        let gone = shipped
            .iter()
            .filter(|line| !text.lines().any(|one| one == **line));
        (new, gone.count())
    }

    #[test]
    fn only_what_was_found_differs_from_the_shipped_file() {
        let mut found = Found {
            node: Some(fact("server1".to_owned(), "hostname")),
            ..Found::default()
        };
        let labels = [("rack", "r1"), ("node-role.kubernetes.io/etcd", "true")];
        for (key, text) in labels {
            found.labels.insert(key.into(), fact(text.into(), ""));
        }
        let text = text(&wish(Profile::Rke2Server, "/"), &found);
        let (new, gone) = changed(&text);
        let expected = [
            "# What `fw-ctl init --profile rke2-server` has found here.",
            "name = \"server1\"",
            "labels = { \"node-role.kubernetes.io/etcd\" = \"true\", rack = \"r1\" }",
        ];
        assert_eq!((new.as_slice(), gone), (&expected[..], 2));
        let loaded = load_text(&text).unwrap();
        assert_eq!(loaded.config.node.name, "server1");
        assert_eq!(loaded.config.node.labels["rack"], "r1");
        assert_eq!(loaded.config.policy.mode, ModeSetting::Audit);
    }

    #[test]
    fn other_directories_and_the_way_in_to_talos_are_set() {
        let mut wish = wish(Profile::Talos, "/");
        wish.policies = "/srv/policies".into();
        let text = text(&wish, &Found::default());
        let (new, gone) = changed(&text);
        assert_eq!((new.len(), gone), (3, 2), "{new:?}");
        let config = load_text(&text).unwrap().config;
        assert_eq!(config.policy.dirs, [Path::new("/srv/policies")]);
        assert_eq!(config.policy.inventory, Policy::default().inventory);
        let ports = FailsafePorts::Range(50_000..=50_000);
        assert_eq!(config.failsafe.inbound[0].ports, ports);
        assert_eq!(config.failsafe.inbound.len(), 1);
    }
}
