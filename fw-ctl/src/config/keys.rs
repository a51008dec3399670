//! The names of all keys, to say what was meant when one is misspelt.

/// Every key that is no table. A `*` stands for any name.
const KEYS: [&str; 26] = [
    "node.name",
    "node.labels.*",
    "policy.mode",
    "policy.confirm",
    "policy.shrink_delay",
    "policy.dirs",
    "policy.inventory",
    "policy.cluster_name",
    "policy.cidr_match_mode",
    "interfaces.include",
    "interfaces.exclude",
    "interfaces.xdp",
    "interfaces.require",
    "interfaces.vlans",
    "failsafe.inbound",
    "failsafe.outbound",
    "builtins.disable",
    "hubble.listen",
    "hubble.tls.cert",
    "hubble.tls.key",
    "hubble.tls.client_ca",
    "metrics.listen",
    "metrics.cilium_names",
    "paths.state_dir",
    "paths.run_dir",
    "paths.pin_dir",
];

/// Similarity (Jaro-Winkler) from which a name is worth suggesting.
const SIMILAR: f64 = 0.8;

/// Why a key is refused.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// How many parts of the path are right.
    pub known: usize,
    /// What was probably meant.
    pub help: String,
}

/// Checks the path of a key that is no table.
///
/// # Errors
/// Says from which part on the path is unknown, and what is close to it.
pub fn check<S: AsRef<str>>(path: &[S]) -> Result<(), UnknownKey> {
    let mut candidates: Vec<Vec<&str>> = KEYS.iter().map(|key| key.split('.').collect()).collect();
    for (known, part) in path.iter().enumerate() {
        let part = part.as_ref();
        let next: Vec<_> = candidates
            .iter()
            .filter(|key| {
                key.get(known)
                    .is_some_and(|name| *name == part || *name == "*")
            })
            .cloned()
            .collect();
        if next.is_empty() {
            // A value of the wrong type, such as a table in place of a list, is
            // for the deserializer to report.
            if candidates.iter().any(|key| key.len() == known) {
                return Ok(());
            }
            return Err(UnknownKey {
                known,
                help: suggestion(part, known, &candidates),
            });
        }
        candidates = next;
    }
    Ok(())
}

fn suggestion(part: &str, depth: usize, candidates: &[Vec<&str>]) -> String {
    // The right key in the wrong table is as common as a misspelt one.
    if let Some(key) = KEYS.iter().find(|key| key.ends_with(&format!(".{part}"))) {
        return format!("did you mean `{key}`?");
    }
    let mut names: Vec<&str> = candidates
        .iter()
        .filter_map(|key| key.get(depth).copied())
        .collect();
    names.dedup();
    let best = names
        .iter()
        .map(|name| (strsim::jaro_winkler(name, part), *name))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("there are: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_pass() {
        for key in KEYS {
            assert_eq!(check(&key.split('.').collect::<Vec<_>>()), Ok(()), "{key}");
        }
        assert_eq!(check(&["node", "labels", "any.thing"]), Ok(()));
        assert_eq!(check(&["node"]), Ok(()));
    }

    #[test]
    fn misspelt_keys_are_named() {
        for (path, known, help) in [
            (vec!["polcy", "mode"], 0, "did you mean `policy`?"),
            (vec!["policy", "moed"], 1, "did you mean `mode`?"),
            (vec!["node", "mode"], 1, "did you mean `policy.mode`?"),
            (vec!["mode"], 0, "did you mean `policy.mode`?"),
            (vec!["node", "zzz"], 1, "there are: name, labels"),
        ] {
            let expected = UnknownKey {
                known,
                help: help.into(),
            };
            assert_eq!(check(&path), Err(expected), "{path:?}");
        }
    }
}
