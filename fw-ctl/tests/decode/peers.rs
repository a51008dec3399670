//! Whom a policy protects, and the peers that it names.

use super::{accepts, host, messages, one, rejects, warnings};

#[test]
fn subjects() {
    let with = |selectors: &str| host("ingress: [{}]").replace("nodeSelector: {}", selectors);
    rejects(
        &with("nodeSelector: {}, endpointSelector: {}"),
        "spec.endpointSelector",
        "exclude",
    );
    rejects(&with("nodeSelector: null"), "spec", "neither");
    rejects(
        &with("nodeSelector: {role: x}"),
        "spec.nodeSelector.role",
        "unknown field",
    );
    rejects(
        &with("nodeSelector: {matchLabels: {a: 1}}"),
        "spec.nodeSelector.matchLabels.a",
        "string",
    );
    rejects(
        &with("nodeSelector: {matchLabels: {a: }}"),
        "spec.nodeSelector.matchLabels.a",
        "null",
    );
    rejects(
        &with("nodeSelector: {matchLabels: {a: -x}}"),
        "spec.nodeSelector.matchLabels.a",
        "-x",
    );
    rejects(
        &with("nodeSelector: {matchLabels: {'a b': x}}"),
        "spec.nodeSelector.matchLabels.a b",
        "a b",
    );
    let expression = |e: &str| with(&format!("nodeSelector: {{matchExpressions: [{e}]}}"));
    let path = |key: &str| format!("spec.nodeSelector.matchExpressions[0].{key}");
    accepts(&expression("{key: $host, operator: Exists}"));
    accepts(&expression("{key: a, operator: DoesNotExist, values: []}"));
    rejects(
        &expression("{key: a, operator: In}"),
        &path("values"),
        "needs",
    );
    rejects(
        &expression("{key: a, operator: NotIn, values: []}"),
        &path("values"),
        "needs",
    );
    rejects(
        &expression("{key: a, operator: Exists, values: [b]}"),
        &path("values"),
        "takes no",
    );
    rejects(
        &expression("{key: a, operator: exists}"),
        &path("operator"),
        "exists",
    );
    rejects(&expression("{operator: Exists}"), &path("key"), "missing");
    assert!(warnings(&with("endpointSelector: {}"))[0].contains("no subject on this host"));
    // As in one of Cilium's examples.
    let slipped = with("endpointSelector: {matchLabels: null, role: x}");
    assert!(
        warnings(&slipped)
            .iter()
            .any(|text| text.contains("unknown field `role`"))
    );
}

#[test]
fn peers() {
    let ingress = |item: &str| host(&format!("ingress: [{{{item}}}]"));
    let egress = |item: &str| host(&format!("egress: [{{{item}}}]"));
    for name in ["all", "world-ipv4", "world-ipv6", "cluster-mesh", "none"] {
        accepts(&ingress(&format!("fromEntities: [{name}]")));
    }
    rejects(
        &ingress("fromEntities: [World]"),
        "spec.ingress[0].fromEntities[0]",
        "World",
    );
    rejects(
        &ingress("fromCIDR: [10.0.0.0/8], fromNodes: [{}]"),
        "spec.ingress[0].fromNodes",
        "exclude",
    );
    accepts(&ingress("fromCIDR: [10.0.0.0/8], fromNodes: []"));
    rejects(
        &egress("toFQDNs: [{matchName: a.b}], toServices: [{}]"),
        "spec.egress[0].toServices",
        "exclude",
    );
    rejects(
        &ingress("fromRequires: [a]"),
        "spec.ingress[0].fromRequires",
        "removed",
    );
    accepts(&ingress("fromRequires: []"));
    rejects(
        &ingress("fromCIDRSet: [{}]"),
        "spec.ingress[0].fromCIDRSet[0]",
        "required",
    );
    rejects(
        &ingress("fromCIDRSet: [{cidr: 10.0.0.0/8, cidrGroupRef: a}]"),
        "spec.ingress[0].fromCIDRSet[0].cidrGroupRef",
        "exclude",
    );
    rejects(
        &ingress("fromCIDRSet: [{cidrGroupRef: A_b}]"),
        "spec.ingress[0].fromCIDRSet[0].cidrGroupRef",
        "A_b",
    );
    accepts(&ingress(
        "fromCIDRSet: [{cidrGroupRef: a, except: [10.0.0.0/8]}]",
    ));
    accepts(&ingress(
        "fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}]",
    ));
    rejects(
        &ingress("fromCIDRSet: [{cidr: 10.0.0.0/16, except: [10.0.0.0/8]}]"),
        "spec.ingress[0].fromCIDRSet[0].except[0]",
        "does not lie in",
    );
    for (item, part) in [
        ("toFQDNs: [{}]", "required"),
        ("toFQDNs: [{matchName: a, matchPattern: b}]", "exclude"),
        ("toFQDNs: [{matchName: '*.a'}]", "DNS name"),
        ("toFQDNs: [{matchName: 'https://a'}]", "DNS name"),
        ("toFQDNs: [{matchPattern: 'a b'}]", "pattern"),
        ("toServices: [{k8sServiceSelector: {}}]", "missing"),
        ("toGroups: [{gcp: {}}]", "unknown field"),
        ("authentication: {mode: sometimes}", "sometimes"),
        ("authentication: {}", "missing"),
    ] {
        let decoded = one(&egress(item));
        assert!(
            messages(&decoded, true)
                .iter()
                .any(|text| text.contains(part)),
            "{item}: {decoded:?}"
        );
    }
    for (deny, path) in [
        (
            "egressDeny: [{toFQDNs: [{matchName: a}]}]",
            "spec.egressDeny[0].toFQDNs",
        ),
        (
            "ingressDeny: [{authentication: {mode: required}}]",
            "spec.ingressDeny[0].authentication",
        ),
        (
            "ingressDeny: [{toPorts: [{rules: {}}]}]",
            "spec.ingressDeny[0].toPorts[0].rules",
        ),
        ("ingress: [{fromFQDNs: []}]", "spec.ingress[0].fromFQDNs"),
        ("ingress: [{toServices: []}]", "spec.ingress[0].toServices"),
    ] {
        rejects(&host(deny), path, "unknown field");
    }
}
