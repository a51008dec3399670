use super::*;
use crate::policy::schema::{Entity, Operator, Port, Protocol, Subject};
use crate::policy::yaml;

fn decode_text(text: &str) -> Vec<Decoded> {
    let source = Arc::new(Source {
        name: "t.yaml".into(),
        text: text.into(),
    });
    let documents =
        yaml::parse(&source).unwrap_or_else(|error| panic!("{text}: {}", error.message));
    documents
        .iter()
        .enumerate()
        .flat_map(|(i, node)| decode(&source, i, node))
        .collect()
}

fn one(text: &str) -> Decoded {
    let mut all = decode_text(text);
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

/// A host policy with `rules`, in the flow style, beside `nodeSelector`.
fn host(rules: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: t}}\n\
         spec: {{nodeSelector: {{}}, {rules}}}\n"
    )
}

/// A host policy that has `ports` in `toPorts` of its ingress.
fn ports(ports: &str) -> String {
    host(&format!("ingress: [{{toPorts: [{{ports: [{ports}]}}]}}]"))
}

fn policy(text: &str) -> PolicyDocument {
    let decoded = one(text);
    match decoded.body {
        Body::Policy(policy) => *policy,
        other => panic!("{text}: {other:?} {:?}", decoded.diagnostics),
    }
}

fn messages(decoded: &Decoded, errors: bool) -> Vec<&str> {
    let matching = decoded
        .diagnostics
        .iter()
        .filter(|found| found.is_error() == errors);
    matching.map(|found| found.message.as_str()).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let decoded = one(text);
    assert!(
        messages(&decoded, true).is_empty(),
        "{text}: {:?}",
        messages(&decoded, true)
    );
    messages(&decoded, false)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn accepts(text: &str) {
    let decoded = one(text);
    assert!(
        messages(&decoded, true).is_empty(),
        "{text}: {:?}",
        messages(&decoded, true)
    );
}

/// Exactly one error, with `part` in its message, at `path`.
#[track_caller]
fn rejects(text: &str, path: &str, part: &str) {
    let decoded = one(text);
    let errors: Vec<&Diagnostic> = decoded
        .diagnostics
        .iter()
        .filter(|found| found.is_error())
        .collect();
    assert!(matches!(decoded.body, Body::Invalid), "{text}");
    assert_eq!(errors.len(), 1, "{text}: {errors:?}");
    assert_eq!(errors[0].path, path, "{text}: {}", errors[0].message);
    assert!(
        errors[0].message.contains(part),
        "{text}: {}",
        errors[0].message
    );
}

#[test]
fn a_policy_is_decoded_with_everything_in_it() {
    let text = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata:
  name: edge
  labels: {team: net}
  annotations: {fw-ctl.io/note: why}
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
    assert_eq!(policy.annotations["fw-ctl.io/note"].value, "why");
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
    for (_, name) in ["all", "world-ipv4", "world-ipv6", "cluster-mesh", "none"]
        .iter()
        .enumerate()
    {
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

#[test]
fn port_numbers_and_names() {
    let port = |text: &str| {
        policy(&ports(text)).specs[0].ingress[0]
            .to_ports
            .as_ref()
            .unwrap()[0]
            .ports[0]
            .port
            .clone()
    };
    assert_eq!(port("{port: '010', protocol: TCP}"), Port::Range(8, 8));
    assert_eq!(
        port("{port: '1_000', protocol: TCP}"),
        Port::Range(1000, 1000)
    );
    assert_eq!(
        port("{port: '0x50', protocol: TCP}"),
        Port::Named("0x50".into())
    );
    assert_eq!(
        port("{port: HTTP, protocol: TCP}"),
        Port::Named("http".into())
    );
    assert_eq!(port("{port: '0', endPort: 9, protocol: TCP}"), Port::All);
    assert_eq!(port("{port: '80', endPort: 79}"), Port::Range(80, 80));
    assert_eq!(port("{port: '80', endPort: 80}"), Port::Range(80, 80));
    assert_eq!(port("{port: '1', endPort: 65535}"), Port::Range(1, 65535));
    assert_eq!(port("{protocol: VRRP}"), Port::All);
    assert_eq!(port("{}"), Port::All);
    let path = "spec.ingress[0].toPorts[0].ports[0].port";
    for wrong in [
        "''",
        "'65536'",
        "'-1'",
        "'080'",
        "'80-90'",
        "' 80'",
        "'80,443'",
        "sixteen-letters-x",
    ] {
        rejects(
            &ports(&format!("{{port: {wrong}, protocol: TCP}}")),
            path,
            "port",
        );
    }
    rejects(&ports("{port: 80}"), path, "must be a string, not a number");
    rejects(
        &ports("{port: '80', endPort: '90'}"),
        "spec.ingress[0].toPorts[0].ports[0].endPort",
        "whole number",
    );
    rejects(
        &ports("{port: '80', endPort: 70000}"),
        "spec.ingress[0].toPorts[0].ports[0].endPort",
        "out of range",
    );
    let many = |n: usize| vec!["{port: '1'}"; n].join(",");
    accepts(&ports(&many(40)));
    rejects(
        &ports(&many(41)),
        "spec.ingress[0].toPorts[0].ports",
        "41 ports",
    );
}

#[test]
fn protocols() {
    for (name, number) in [
        ("VRRP", 112),
        ("IGMP", 2),
        ("GRE", 47),
        ("IPIP", 4),
        ("IPV6", 41),
        ("ESP", 50),
        ("AH", 51),
    ] {
        for port in ["", "port: '0', "] {
            let policy = policy(&ports(&format!("{{{port}protocol: {name}}}")));
            let rule = &policy.specs[0].ingress[0].to_ports.as_ref().unwrap()[0];
            assert_eq!(rule.ports[0].protocol, Protocol::Number(number), "{name}");
            assert_eq!(rule.ports[0].port, Port::All, "{name}");
        }
        let wrong = ports(&format!("{{port: '1', protocol: {name}}}"));
        rejects(
            &wrong,
            "spec.ingress[0].toPorts[0].ports[0].port",
            "no ports",
        );
    }
    for name in ["tcp", "ICMP", "ICMPv6", "'6'", "''", "TPC"] {
        let wrong = ports(&format!("{{port: '1', protocol: {name}}}"));
        rejects(
            &wrong,
            "spec.ingress[0].toPorts[0].ports[0].protocol",
            "not a protocol",
        );
    }
}

#[test]
fn icmp_types() {
    let fields = |fields: &str| host(&format!("ingress: [{{icmps: [{{fields: [{fields}]}}]}}]"));
    let path = "spec.ingress[0].icmps[0].fields[0].type";
    let number = |text: &str| {
        let policy = policy(&fields(text));
        let rule = policy.specs[0].ingress[0].icmps.as_ref().unwrap()[0].clone();
        rule.fields.first().map(|field| (field.v6, field.icmp_type))
    };
    assert_eq!(number("{type: 8}"), Some((false, 8)));
    assert_eq!(number("{type: '8', family: IPv4}"), Some((false, 8)));
    assert_eq!(number("{type: Echo}"), Some((false, 8)));
    assert_eq!(
        number("{type: PacketTooBig, family: IPv6}"),
        Some((true, 2))
    );
    assert_eq!(number("{type: 256}"), None);
    assert_eq!(number("{type: -1}"), None);
    assert!(warnings(&fields("{type: 256}"))[0].contains("matches nothing"));
    assert!(warnings(&fields("{type: 0}"))[0].contains("type 0"));
    for wrong in [
        "PacketTooBig",
        "echorequest",
        "'256'",
        "'08'",
        "''",
        "EchoRequst",
    ] {
        rejects(
            &fields(&format!("{{type: {wrong}}}")),
            path,
            "not an ICMP type of IPv4",
        );
    }
    rejects(&fields("{family: IPv4}"), path, "missing");
    rejects(
        &fields("{type: 8, family: IPv5}"),
        "spec.ingress[0].icmps[0].fields[0].family",
        "IPv5",
    );
    rejects(
        &fields("{type: 8, code: 0}"),
        "spec.ingress[0].icmps[0].fields[0].code",
        "unknown field",
    );
    rejects(
        &fields(&vec!["{type: 8}"; 41].join(",")),
        "spec.ingress[0].icmps[0].fields",
        "41 types",
    );
    rejects(
        &host("ingress: [{icmps: [{fields: [{type: 8}]}], toPorts: [{}]}]"),
        "spec.ingress[0].toPorts",
        "exclude",
    );
}

#[test]
fn layer_7_of_host_policies() {
    let rules = |direction: &str, port: &str, rules: &str| {
        host(&format!(
            "{direction}: [{{toPorts: [{{ports: [{port}], {rules}}}]}}]"
        ))
    };
    let tcp = "{port: '80', protocol: TCP}";
    let error = |text: &str| messages(&one(text), true).join("; ");
    assert!(
        error(&rules("ingress", tcp, "rules: {http: [{}]}")).contains("ingress of a host policy")
    );
    assert!(
        error(&rules(
            "ingress",
            tcp,
            "rules: {dns: [{matchPattern: '*'}]}"
        ))
        .contains("ingress of a host policy")
    );
    assert!(
        error(&rules("egress", tcp, "rules: {http: [{}]}"))
            .contains("`http` rules in a host policy")
    );
    assert!(error(&rules("egress", tcp, "rules: {kafka: [{}]}")).contains("unknown field"));
    assert!(error(&rules("egress", tcp, "rules: {l7proto: x}")).contains("unknown field"));
    accepts(&rules("ingress", tcp, "rules: {http: []}"));
    accepts(&rules("ingress", tcp, "rules: {}"));
    let dns = "rules: {dns: [{matchPattern: '*'}]}";
    accepts(&rules("egress", "{port: '53', protocol: ANY}", dns));
    accepts(&rules("egress", "{protocol: UDP}", dns));
    assert!(error(&rules("egress", "{port: '0', protocol: UDP}", dns)).contains("port \"0\""));
    assert!(error(&rules("egress", "{port: '53', endPort: 60}", dns)).contains("ranges"));
    assert!(error(&rules("egress", "", dns)).contains("need a port"));
    assert!(
        error(&rules(
            "ingress",
            tcp,
            "listener: {envoyConfig: {name: a}, name: b}"
        ))
        .contains("egress only")
    );
    assert!(error(&rules("ingress", tcp, "serverNames: ['']")).contains("empty"));
    let not_enforced = |text: &str| {
        warnings(text)
            .iter()
            .any(|w| w.starts_with("not enforced by fw-ctl: "))
    };
    assert!(not_enforced(&rules(
        "egress",
        "{port: '53', protocol: ANY}",
        dns
    )));
    assert!(not_enforced(&rules("ingress", tcp, "serverNames: [a.com]")));
    assert!(not_enforced(&rules(
        "egress",
        tcp,
        "listener: {envoyConfig: {name: a}, name: b}"
    )));
    assert!(not_enforced(&rules(
        "egress",
        tcp,
        "originatingTLS: {secret: {name: s}}"
    )));
    assert!(not_enforced(&host(
        "egress: [{toFQDNs: [{matchName: a.b}]}]"
    )));
    assert!(not_enforced(&host(
        "egress: [{toServices: [{k8sService: {serviceName: s}}]}]"
    )));
    assert!(not_enforced(&host(
        "egress: [{toGroups: [{aws: {securityGroupsIds: [sg-1]}}]}]"
    )));
    assert!(not_enforced(&host(
        "ingress: [{authentication: {mode: required}}]"
    )));
    assert!(!not_enforced(&host(
        "ingress: [{authentication: {mode: disabled}}]"
    )));
}

#[test]
fn layer_7_of_pod_policies() {
    let pods =
        |item: &str| host(&format!("egress: [{item}]")).replace("nodeSelector", "endpointSelector");
    let http = |port: &str, more: &str| {
        pods(&format!(
            "{{toPorts: [{{ports: [{port}], rules: {{http: [{{{more}}}]}}}}]}}"
        ))
    };
    let tcp = "{port: '80', protocol: TCP}";
    accepts(&http(tcp, "path: '/a.*', method: GET, headers: ['X-A: b']"));
    accepts(&http(
        tcp,
        "headerMatches: [{name: a, mismatch: LOG, value: b, secret: {name: s}}]",
    ));
    let error = |text: &str| messages(&one(text), true).join("; ");
    assert!(error(&http(tcp, "path: '('")).contains("regular expression"));
    assert!(error(&http(tcp, "headerMatches: [{value: b}]")).contains("`name` is missing"));
    assert!(error(&http("{port: '80'}", "")).contains("protocol: TCP"));
    assert!(error(&http("{port: '80', protocol: UDP}", "")).contains("protocol: TCP"));
    let both = "{toPorts: [{ports: [{port: '53', protocol: TCP}], rules: {http: [{}], dns: [{matchName: a}]}}]}";
    assert!(error(&pods(both)).contains("exclude each other"));
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
        let cidrs: Vec<String> = found.cidrs.iter().map(ToString::to_string).collect();
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
