//! Whole documents: metadata, lists of objects, the fields of a rule.

use fw_ctl::policy::decode::Body;
use fw_ctl::policy::schema::{Entity, Operator, PolicyKind, Port, Protocol, Subject};

use super::{accepts, decode_text, host, one, policy, rejects, warnings};

#[test]
fn a_policy_is_decoded_with_everything_in_it() {
    let text = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata:
  name: edge
  labels: {team: net}
  annotations: {example.com/note: why}
spec:
  description: the edge
  nodeSelector:
    matchLabels: {role: edge}
    matchExpressions:
    - {key: 'k8s:zone', operator: NotIn, values: [a, b]}
  enableDefaultDeny: {egress: false}
  log: {value: edge}
  ingress:
  - fromCIDRSet:
    - {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    toPorts:
    - ports:
      - {port: '8000', endPort: 8080, protocol: TCP}
      - {port: '53'}
  - fromEntities: [remote-node, kube-apiserver]
  egressDeny:
  - toCIDR: ['2001:db8::/32']
specs:
- nodeSelector: {}
  ingressDeny: [{icmps: [{fields: [{type: EchoRequest, family: IPv6}]}]}]
";
    let policy = policy(text);
    assert_eq!(
        (policy.name.as_str(), policy.kind),
        ("edge", PolicyKind::Clusterwide)
    );
    assert_eq!(policy.labels["team"], "net");
    assert_eq!(policy.annotations["example.com/note"].value, "why");
    assert_eq!(policy.specs.len(), 2);

    let first = &policy.specs[0];
    assert_eq!(first.path, "spec");
    assert_eq!(
        (first.default_deny_ingress, first.default_deny_egress),
        (None, Some(false))
    );
    assert_eq!(
        (first.description.as_deref(), first.log.as_deref()),
        (Some("the edge"), Some("edge"))
    );
    let Subject::Nodes(selector) = &first.subject else {
        panic!("{:?}", first.subject)
    };
    let found: Vec<(String, &Operator)> = selector
        .requirements
        .iter()
        .map(|r| (format!("{}:{}", r.key.source, r.key.key), &r.operator))
        .collect();
    assert_eq!(
        found[0],
        ("any:role".to_owned(), &Operator::In(vec!["edge".into()]))
    );
    assert_eq!(
        found[1],
        (
            "k8s:zone".to_owned(),
            &Operator::NotIn(vec!["a".into(), "b".into()])
        )
    );

    let item = &first.ingress[0];
    assert_eq!(
        (item.path.as_str(), item.span.line, item.span.column),
        ("spec.ingress[0]", 16, 5)
    );
    let rule = &item.cidr_set.as_ref().unwrap()[0];
    assert_eq!(rule.except[0].value.to_string(), "10.1.0.0/16");
    assert!(item.cidr.is_none() && item.entities.is_none() && item.icmps.is_none());
    let ports = &item.to_ports.as_ref().unwrap()[0].ports;
    assert_eq!(
        (&ports[0].port, ports[0].protocol),
        (&Port::Range(8000, 8080), Protocol::Number(6))
    );
    assert_eq!(
        (&ports[1].port, ports[1].protocol),
        (&Port::Range(53, 53), Protocol::Any)
    );
    let entities: Vec<Entity> = first.ingress[1]
        .entities
        .as_ref()
        .unwrap()
        .iter()
        .map(|e| e.value)
        .collect();
    assert_eq!(entities, [Entity::RemoteNode, Entity::KubeApiserver]);
    assert_eq!(
        first.egress_deny[0].cidr.as_ref().unwrap()[0]
            .value
            .to_string(),
        "2001:db8::/32"
    );

    let second = &policy.specs[1];
    assert_eq!(second.path, "specs[0]");
    let icmp = &second.ingress_deny[0].icmps.as_ref().unwrap()[0].fields[0];
    assert_eq!((icmp.v6, icmp.icmp_type), (true, 128));
}

#[test]
fn absent_null_and_empty_lists_are_told_apart() {
    let item = |fields: &str| {
        policy(&host(&format!("ingress: [{{{fields}}}]"))).specs[0].ingress[0].clone()
    };
    assert!(item("").cidr.is_none());
    assert!(item("fromCIDR: null").cidr.is_none());
    assert_eq!(item("fromCIDR: []").cidr.map(|list| list.len()), Some(0));
    assert!(item("toPorts: null").to_ports.is_none());
    assert_eq!(
        item("toPorts: [{}]")
            .to_ports
            .map(|list| list[0].ports.len()),
        Some(0)
    );
    accepts(&host("ingress: null, egress: [{}]"));
    rejects(
        &host("ingress: [null]"),
        "spec.ingress[0]",
        "must be a map, not null",
    );
    rejects(&host("ingress: []"), "spec", "no rule");
}

#[test]
fn what_kubectl_prints_is_accepted() {
    let text = "\
apiVersion: v1
kind: List
metadata: {resourceVersion: ''}
items:
- apiVersion: cilium.io/v2
  kind: CiliumClusterwideNetworkPolicy
  metadata:
    annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}
    creationTimestamp: '2026-01-01T00:00:00Z'
    generation: 3
    managedFields: [{manager: kubectl, fieldsV1: {'f:spec': {}}}]
    name: a
    ownerReferences: [{kind: X}]
    resourceVersion: '17'
    uid: 0f1e
  spec: {nodeSelector: {}, ingress: [{}]}
  status: {conditions: [{type: Valid, status: 'True'}]}
- {apiVersion: v1, kind: Pod, metadata: {name: p}}
- apiVersion: cilium.io/v2
  kind: CiliumClusterwideNetworkPolicy
  metadata: {name: b}
  spec: {nodeSelector: {}, ingres: [{}]}
";
    let all = decode_text(text);
    let names: Vec<(&str, usize)> = all.iter().map(|d| (d.name.as_str(), d.index)).collect();
    assert_eq!(names, [("a", 0), ("p", 0), ("b", 0)]);
    assert!(
        matches!(all[0].body, Body::Policy(_)),
        "{:?}",
        all[0].diagnostics
    );
    assert!(matches!(all[1].body, Body::Other));
    assert!(
        all[2]
            .diagnostics
            .iter()
            .any(|found| found.path == "items[2].spec.ingres")
    );
}

#[test]
fn json_is_the_same() {
    accepts(
        r#"{"apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy",
            "metadata": {"name": "t"}, "spec": {"nodeSelector": {}, "ingress": [{}]}}"#,
    );
}

#[test]
fn envelopes() {
    let text = host("ingress: [{}]");
    accepts(&text);
    rejects(&text.replace("name: t", ""), "metadata.name", "missing");
    rejects(
        &text.replace("name: t", "name: My_Policy"),
        "metadata.name",
        "My_Policy",
    );
    rejects(
        &text.replace("metadata: {name: t}\n", ""),
        "metadata",
        "missing",
    );
    rejects(
        &text.replace("apiVersion: cilium.io/v2\n", ""),
        "apiVersion",
        "missing",
    );
    rejects(
        &text.replace("cilium.io/v2", "v1"),
        "apiVersion",
        "no CiliumClusterwideNetworkPolicy",
    );
    rejects(
        &text
            .replace("spec:", "sepc:")
            .replace("sepc:", "x: 1\nspec:"),
        "x",
        "unknown field",
    );
    rejects(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: t}\n",
        "",
        "neither",
    );
    rejects("- a\n- b\n", "", "must be a map, not a list");
    rejects("kind: ''\n", "kind", "empty");
    assert!(matches!(
        one("apiVersion: v1\nkind: Service\n").body,
        Body::Other
    ));
    assert_eq!(
        warnings(&text.replace("name: t", "name: t, namespace: x")).len(),
        1
    );
}

#[test]
fn switches_logs_and_labels() {
    rejects(
        &host("ingress: [{}], enableDefaultDeny: {ingress: 'false'}"),
        "spec.enableDefaultDeny.ingress",
        "boolean",
    );
    let off = host("ingress: [{}], enableDefaultDeny: {ingress: no}");
    assert!(warnings(&off)[0].contains("boolean for Kubernetes"));
    assert_eq!(policy(&off).specs[0].default_deny_ingress, Some(false));
    assert!(
        warnings(&host("ingress: [{}], enableDefaultDeny: {egress: true}"))[0]
            .contains("does nothing")
    );
    rejects(
        &host(&format!(
            "ingress: [{{}}], log: {{value: {}}}",
            "x".repeat(33)
        )),
        "spec.log.value",
        "33",
    );
    accepts(&host(
        "ingress: [{}], labels: [{key: a, value: b, source: k8s}]",
    ));
    rejects(
        &host("ingress: [{}], labels: [{value: b}]"),
        "spec.labels[0].key",
        "missing",
    );
}

#[test]
fn cidr_groups() {
    let group = |version: &str, spec: &str| {
        format!(
            "apiVersion: cilium.io/{version}\nkind: CiliumCIDRGroup\nmetadata: {{name: g, labels: {{env: prod}}}}\nspec: {spec}\n"
        )
    };
    for version in ["v2", "v2alpha1"] {
        let decoded = one(&group(version, "{externalCIDRs: [10.1.2.3/8, 'fd00::/8']}"));
        let Body::CidrGroup(found) = decoded.body else {
            panic!("{:?}", decoded.diagnostics)
        };
        assert_eq!(
            (found.name.as_str(), found.labels["env"].as_str()),
            ("g", "prod")
        );
        let cidrs = found.live().map(|(prefix, _)| prefix.to_string());
        let cidrs: Vec<String> = cidrs.collect();
        assert_eq!(cidrs, ["10.0.0.0/8", "fd00::/8"]);
    }
    rejects(
        &group("v1", "{externalCIDRs: []}"),
        "apiVersion",
        "no CiliumCIDRGroup",
    );
    rejects(
        &group("v2", "{externalCIDRs: [10.1.2.3]}"),
        "spec.externalCIDRs[0]",
        "not a CIDR",
    );
    rejects(
        &group("v2", "{cidrs: [], externalCIDRs: []}"),
        "spec.cidrs",
        "unknown field",
    );
    rejects(&group("v2", "{}"), "spec.externalCIDRs", "missing");
}

#[test]
fn a_rate_is_read_and_other_annotations_are_left_alone() {
    let annotated = |annotations: &str| {
        let text = host("ingress: [{}]");
        text.replace(
            "{name: t}",
            &format!("{{name: t, annotations: {annotations}}}"),
        )
    };
    let rate = policy(&annotated(
        "{fw-ctl.io/rate: 1000/s per /32, a.example/rate: 1/d}",
    ))
    .rate;
    assert_eq!(
        rate.unwrap().value.to_string(),
        "1000/s per /32 /64 burst 1000"
    );
    assert!(policy(&annotated("{xfw-ctl.io/rates: 1/d}")).rate.is_none());
    assert!(policy(&annotated("{rate: 1/d}")).rate.is_none());
    rejects(
        &annotated("{fw-ctl.io/rat: 1/s}"),
        "metadata.annotations[\"fw-ctl.io/rat\"]",
        "fw-ctl has no annotation",
    );
}

#[test]
fn a_rate_holds_for_all_specs_of_a_policy() {
    let text = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: t, annotations: {fw-ctl.io/rate: 5/s}}
specs:
- {nodeSelector: {}, ingressDeny: [{fromEntities: [world]}]}
- {nodeSelector: {}, ingress: [{fromEntities: [world]}]}
";
    assert!(policy(text).rate.is_some());
    let egress = text.replace("ingressDeny: [{from", "egress: [{to");
    rejects(
        &egress,
        "metadata.annotations[\"fw-ctl.io/rate\"]",
        "a rate limits ingress only",
    );
}
