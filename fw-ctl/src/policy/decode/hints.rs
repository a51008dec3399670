//! What somebody who wrote an unknown word probably meant.

/// What is said about an unknown field.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) label: Option<String>,
    pub(super) help: Option<String>,
}

/// The known word nearest to `written`, if it is near: the same but for case, or
/// about one slip for every three letters.
pub(super) fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let lower = written.to_lowercase();
    let allowed = (lower.chars().count() / 3).clamp(1, 4);
    known
        .map(|word| {
            (
                strsim::damerau_levenshtein(&lower, &word.to_lowercase()),
                word,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, word)| word)
}

/// `a, b, c`.
pub(super) fn enumerate(words: &[&str]) -> String {
    words.join(", ")
}

/// About the field `name` at `path`, where only `known` are fields.
pub(super) fn unknown_field(name: &str, path: &str, known: &[&str]) -> Hint {
    if let Some(help) = misplaced(name, path) {
        return Hint {
            label: None,
            help: Some(help.to_owned()),
        };
    }
    let twin = twin(name).filter(|twin| known.contains(&twin.as_str()));
    if let Some(near) = twin.or_else(|| nearest(name, known.iter().copied()).map(str::to_owned)) {
        return Hint {
            label: Some(format!("did you mean `{near}`?")),
            help: None,
        };
    }
    if known.contains(&"matchLabels") {
        let help = format!("is it a label? Labels belong into `matchLabels: {{{name}: …}}`");
        return Hint {
            label: None,
            help: Some(help),
        };
    }
    let help = match known {
        [] => "no field is known here".to_owned(),
        known => format!("known here: {}", enumerate(known)),
    };
    Hint {
        label: None,
        help: Some(help),
    }
}

/// `toCIDR` for `fromCIDR` and the other way round.
fn twin(name: &str) -> Option<String> {
    name.strip_prefix("from")
        .map(|rest| format!("to{rest}"))
        .or_else(|| name.strip_prefix("to").map(|rest| format!("from{rest}")))
}

/// Mistakes that are made again and again, most of them seen in public policies.
fn misplaced(name: &str, path: &str) -> Option<&'static str> {
    let deny = path.contains("Deny[");
    Some(match name {
        "description" if path == "description" => "it belongs into `spec`",
        "nodeSelector" | "endpointSelector" | "ingress" | "egress" | "ingressDeny"
        | "egressDeny"
            if path == name =>
        {
            "it belongs into `spec`"
        }
        "kafka" | "l7" | "l7proto" => "Cilium has removed it; L7 rules are `http` and `dns`",
        "fromFQDNs" => "there are no DNS names for ingress: use fromCIDR, or toFQDNs in egress",
        "toFQDNs" if deny => "DNS names can be allowed, not denied: use toCIDR",
        "authentication" if deny => "it exists in `ingress` and `egress` only",
        "rules" | "listener" | "serverNames" | "terminatingTLS" | "originatingTLS" if deny => {
            "deny lists take `ports` only in `toPorts`"
        }
        "auth" => "it is called `authentication: {mode: …}`",
        "code" => "an ICMP code cannot be selected, only a type",
        "podSelector" | "policyTypes" => {
            "this is a field of Kubernetes' NetworkPolicy: a host policy has a `nodeSelector`, \
             and begins to deny by having `ingress` or `egress`"
        }
        "ipBlock" | "namespaceSelector" | "from" | "to" => {
            "this is a field of Kubernetes' NetworkPolicy: here peers are named by \
             fromCIDR, fromEntities, fromEndpoints … and their `to…` twins"
        }
        "port" | "protocol" | "endPort" if path.contains("toPorts[") => {
            "it belongs into `ports`: `toPorts: [{ports: [{port: \"22\", protocol: TCP}]}]`"
        }
        "ports" => "it belongs into `toPorts`: `toPorts: [{ports: [{port: \"22\"}]}]`",
        "order" | "priority" | "tier" => {
            "Cilium policies have no order: deny always wins over allow"
        }
        "action" => "what is denied belongs into `ingressDeny` or `egressDeny`",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["fromCIDR", "fromCIDRSet", "fromEntities", "toPorts"];
        let near = |word| nearest(word, known.iter().copied());
        assert_eq!(near("fromCIDRs"), Some("fromCIDR"));
        assert_eq!(near("fromcidrset"), Some("fromCIDRSet"));
        assert_eq!(near("fromEntites"), Some("fromEntities"));
        assert_eq!(near("toPort"), Some("toPorts"));
        assert_eq!(near("selector"), None);
        assert_eq!(nearest("tpc", ["TCP", "UDP"].into_iter()), Some("TCP"));
    }

    #[test]
    fn hints_name_the_twin_the_place_or_what_is_known() {
        let label = |hint: Hint| hint.label.unwrap_or_default();
        assert_eq!(
            label(unknown_field(
                "fromCIDR",
                "spec.egress[0].fromCIDR",
                &["toCIDR"]
            )),
            "did you mean `toCIDR`?"
        );
        let deny = unknown_field("toFQDNs", "spec.egressDeny[0].toFQDNs", &["toCIDR"]);
        assert!(deny.help.is_some_and(|help| help.contains("denied")));
        let other = unknown_field("xyzzy", "spec.xyzzy", &["ingress", "egress"]);
        assert_eq!(other.help.as_deref(), Some("known here: ingress, egress"));
    }
}
