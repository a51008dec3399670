//! What only a proxy could enforce.

use super::{accepts, host, messages, one, warnings};

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
