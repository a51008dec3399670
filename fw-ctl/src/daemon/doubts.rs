//! What a configuration says that is accepted, and probably not meant.

use fw_common::wire::Builtin;

use super::sources::warning;
use crate::config::Config;
use crate::diagnostic::Diagnostic;

/// Built-ins for what a node sends mostly to groups.
const SENT_TO_GROUPS: [(Builtin, &str); 3] = [
    (Builtin::NeighborDiscovery, "neighbor-discovery"),
    (Builtin::Igmp, "igmp"),
    (Builtin::Mld, "mld"),
];

/// Warnings about it.
pub(super) fn doubts(config: &Config) -> Vec<Diagnostic> {
    let on = |builtin: Builtin| config.builtins.bits() & builtin.bit() != 0;
    let mut found = Vec::new();
    if !on(Builtin::Arp) {
        found.push(warning(
            "builtins.disable",
            "`arp` is switched off: nobody on the link finds an IPv4 address of this node, nor \
             the node theirs"
                .to_owned(),
            "leave it on, unless all neighbours are known without it (`ip neighbour`)",
        ));
    }
    for (builtin, name) in SENT_TO_GROUPS {
        if !on(builtin) && on(Builtin::Multicast) {
            found.push(warning(
                "builtins.disable",
                format!("`{name}` is switched off, but what the node sends to groups passes by `multicast`"),
                "switch `multicast` off, too, to have policy decide about it",
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_off_by_halves_is_told() {
        let told = |disable: &str| {
            let text = format!("[builtins]\ndisable = [{disable}]");
            let config = toml_edit::de::from_str(&text).unwrap();
            let found = doubts(&config).into_iter();
            found.map(|one| one.message).collect::<Vec<_>>()
        };
        assert_eq!(told("\"dhcpv4-client\""), [""; 0]);
        assert_eq!(told("\"multicast\", \"mld\""), [""; 0]);
        let arp = told("\"arp\"");
        assert!(
            arp.len() == 1 && arp[0].starts_with("`arp` is switched off"),
            "{arp:?}"
        );
        let half = told("\"mld\", \"neighbor-discovery\"");
        let names = ["`neighbor-discovery` is", "`mld` is"];
        let begin = half
            .iter()
            .zip(names)
            .all(|(one, name)| one.starts_with(name));
        assert!(half.len() == 2 && begin, "{half:?}");
    }
}
