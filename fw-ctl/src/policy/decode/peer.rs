//! Who a rule is about, apart from addresses and labels: entities, DNS names, and
//! what only Cilium in a cluster can resolve (groups of cloud providers, services).
//! Source: Cilium `pkg/policy/api/{entity,fqdn,groups,service}.go`.

use super::cursor::{Decoder, Field};
use super::hints;
use super::selector::label_selector;
use crate::diagnostic::{Span, Spanned};
use crate::policy::schema::{Entity, FqdnSelector};
use crate::printable::quoted;

/// The names of the entities. `world-ipv4`, `world-ipv6` and `cluster-mesh` are
/// not in the CRD's list, but Cilium's agent knows them.
pub(crate) const ENTITIES: [(&str, Entity); 14] = [
    ("all", Entity::All),
    ("world", Entity::World),
    ("world-ipv4", Entity::WorldIpv4),
    ("world-ipv6", Entity::WorldIpv6),
    ("cluster", Entity::Cluster),
    ("cluster-mesh", Entity::ClusterMesh),
    ("host", Entity::Host),
    ("init", Entity::Init),
    ("ingress", Entity::Ingress),
    ("unmanaged", Entity::Unmanaged),
    ("remote-node", Entity::RemoteNode),
    ("health", Entity::Health),
    ("none", Entity::None),
    ("kube-apiserver", Entity::KubeApiserver),
];

/// Reads `fromEntities` or `toEntities`.
pub(super) fn entities(cx: &mut Decoder, at: &Field<'_>) -> Option<Vec<Spanned<Entity>>> {
    let items = cx.list(at)?;
    Some(items.iter().filter_map(|item| entity(cx, item)).collect())
}

fn entity(cx: &mut Decoder, at: &Field<'_>) -> Option<Spanned<Entity>> {
    let text = cx.text(at)?;
    if let Some((_, entity)) = ENTITIES.iter().find(|(name, _)| *name == text) {
        return Some(Spanned {
            value: *entity,
            span: at.span(),
        });
    }
    let names = ENTITIES.map(|(name, _)| name);
    let meant = match text {
        "internet" | "external" | "public" => Some("world"),
        "any" | "everyone" | "everything" | "*" => Some("all"),
        "node" | "nodes" | "remote-nodes" => Some("remote-node"),
        "localhost" | "local" | "self" => Some("host"),
        "apiserver" | "api-server" | "kube-api-server" => Some("kube-apiserver"),
        "pods" => Some("cluster"),
        _ => hints::nearest(text, names.into_iter()),
    };
    let found = cx.error(at, format!("{} is not an entity", quoted(text)));
    if let Some(meant) = meant {
        found.label(format!("did you mean {meant}?"));
    }
    found.help(if text == "kube-dns" {
        "pods are named by their labels: fromEndpoints or toEndpoints with \
         `matchLabels: {k8s-app: kube-dns}`"
            .to_owned()
    } else {
        format!("one of {}", hints::enumerate(&names))
    });
    None
}

/// Reads `toFQDNs`.
pub(super) fn fqdns(cx: &mut Decoder, at: &Field<'_>) -> Option<Vec<Spanned<FqdnSelector>>> {
    let items = cx.list(at)?;
    Some(items.iter().filter_map(|item| fqdn(cx, item)).collect())
}

/// Reads one DNS name or pattern, of `toFQDNs` or of an L7 `dns` rule.
pub(super) fn fqdn(cx: &mut Decoder, at: &Field<'_>) -> Option<Spanned<FqdnSelector>> {
    let object = cx.object(at, &["matchName", "matchPattern"])?;
    let name = object.get("matchName");
    let pattern = object.get("matchPattern");
    if name.is_some() && pattern.is_some() {
        cx.error_at_key(
            &object,
            "matchPattern",
            "`matchName` and `matchPattern` exclude each other",
        )
        .help("make two entries of it");
    }
    let spanned = |value| Spanned {
        value,
        span: at.span(),
    };
    if let Some(name) = name {
        let text = cx.text(&name)?;
        if !is_dns_text(text, false) {
            let pattern = text.contains('*');
            let found = cx.error(&name, format!("{} is not a DNS name", quoted(text)));
            found.help(if pattern {
                "a name with `*` is a pattern: use `matchPattern`".to_owned()
            } else {
                "at most 255 letters, digits, `-`, `_` and single dots, as in www.example.com; \
                 no scheme, port or path"
                    .to_owned()
            });
            return None;
        }
        if text.parse::<std::net::IpAddr>().is_ok() {
            cx.warn(
                &name,
                format!("{text} is taken for a DNS name, never for the address"),
            )
            .help(format!("for the address use `toCIDR: [{text}/32]`"));
        }
        return Some(spanned(FqdnSelector::Name(text.to_owned())));
    }
    let Some(pattern) = pattern else {
        cx.error(at, "one of `matchName` and `matchPattern` is required")
            .help("for example `- matchName: www.example.com`");
        return None;
    };
    let text = cx.text(&pattern)?;
    if !is_dns_text(text, true) {
        cx.error(
            &pattern,
            format!("{} is not a pattern for DNS names", quoted(text)),
        )
        .help("at most 255 letters, digits, `-`, `_`, `*` and single dots, as in *.example.com");
        return None;
    }
    Some(spanned(FqdnSelector::Pattern(text.to_owned())))
}

/// The CRD's `^([-a-zA-Z0-9_]+[.]?)+$`, with `*` in patterns.
fn is_dns_text(text: &str, pattern: bool) -> bool {
    let allowed = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || (pattern && c == '*')
    };
    (1..=255).contains(&text.len())
        && text.chars().all(allowed)
        && !text.starts_with('.')
        && !text.contains("..")
}

/// Reads `fromGroups` or `toGroups`.
pub(super) fn groups(cx: &mut Decoder, at: &Field<'_>) -> Option<Vec<Span>> {
    let items = cx.list(at)?;
    for item in &items {
        let Some(aws) = cx.object(item, &["aws"]).and_then(|group| group.get("aws")) else {
            continue;
        };
        let known = [
            "labels",
            "region",
            "securityGroupsIds",
            "securityGroupsNames",
        ];
        let Some(aws) = cx.object(&aws, &known) else {
            continue;
        };
        if let Some(labels) = aws.get("labels") {
            cx.string_map(&labels);
        }
        if let Some(region) = aws.get("region") {
            cx.text(&region);
        }
        for list in ["securityGroupsIds", "securityGroupsNames"] {
            for id in aws
                .get(list)
                .and_then(|at| cx.list(&at))
                .unwrap_or_default()
            {
                cx.text(&id);
            }
        }
    }
    Some(items.iter().map(Field::span).collect())
}

/// Reads `toServices`; `host`: of a policy for nodes.
pub(super) fn services(cx: &mut Decoder, at: &Field<'_>, host: bool) -> Option<Vec<Span>> {
    let items = cx.list(at)?;
    for item in &items {
        let Some(service) = cx.object(item, &["k8sService", "k8sServiceSelector"]) else {
            continue;
        };
        if let Some(by_name) = service.get("k8sService")
            && let Some(by_name) = cx.object(&by_name, &["serviceName", "namespace"])
        {
            for key in ["serviceName", "namespace"] {
                if let Some(text) = by_name.get(key) {
                    cx.text(&text);
                }
            }
        }
        if let Some(by_labels) = service.get("k8sServiceSelector")
            && let Some(by_labels) = cx.object(&by_labels, &["selector", "namespace"])
        {
            if let Some(selector) = cx.required(&by_labels, "selector") {
                label_selector(cx, &selector, host);
            }
            if let Some(namespace) = by_labels.get("namespace") {
                cx.text(&namespace);
            }
        }
    }
    Some(items.iter().map(Field::span).collect())
}
