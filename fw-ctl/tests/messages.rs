//! What an operator reads when a policy is wrong: the place, the line, what would
//! be right. The snapshots were read by a person; a change of one is a change of
//! the interface.

use fw_ctl::diagnostic::{Diagnostic, Source};
use fw_ctl::policy::load::load_sources;

/// A policy for all nodes with `body` below `spec`.
fn policy(body: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\n\
         kind: CiliumClusterwideNetworkPolicy\n\
         metadata:\n  name: web\n\
         spec:\n  nodeSelector: {{}}\n{body}"
    )
}

/// A policy with an annotation and `body` below `spec`.
fn annotated(annotation: &str, body: &str) -> String {
    let annotations = format!("metadata:\n  annotations:\n    {annotation}\n");
    policy(body).replacen("metadata:\n", &annotations, 1)
}

/// The same with a rule for the website.
fn web(annotation: &str) -> String {
    annotated(
        annotation,
        "  ingress:\n  - toPorts:\n    - ports: [{port: \"80\", protocol: TCP}]\n",
    )
}

/// Everything that is said about a text.
fn said(text: &str) -> String {
    let source = Source {
        name: "web.yaml".to_owned(),
        text: text.to_owned(),
    };
    let loaded = load_sources([source]);
    let rendered: Vec<String> = loaded
        .diagnostics
        .iter()
        .map(|found| found.render(false))
        .collect();
    assert!(!rendered.is_empty(), "nothing is said about:\n{text}");
    rendered.join("\n\n")
}

/// Names the snapshot after the test, and keeps the text beside what is said.
macro_rules! messages {
    ($($name:ident: $text:expr;)*) => {$(
        #[test]
        fn $name() {
            let text = $text;
            insta::with_settings!({ description => text.chars().take(2_000).collect::<String>(), omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), said(&text));
            });
        }
    )*};
}

messages! {
    typo_in_a_field: policy("  ingress:\n  - fromCIDRs: [10.0.0.0/8]\n");
    wrong_twin: policy("  egress:\n  - fromEntities: [world]\n");
    cidr_without_length: policy("  ingress:\n  - fromCIDR: [10.1.2.3]\n");
    cidr_with_mask: policy("  ingress:\n  - fromCIDR: [10.0.0.0/255.0.0.0]\n");
    cidr_too_long: policy("  ingress:\n  - fromCIDRSet:\n    - cidr: 10.0.0.0/33\n");
    cidr_host_bits: policy("  ingress:\n  - fromCIDR: [10.1.2.3/8]\n");
    except_outside: policy("  ingress:\n  - fromCIDRSet:\n    - cidr: 10.0.0.0/8\n      except: [11.0.0.0/16]\n");
    rate_without_time: web("fw-ctl.io/rate: \"1000\"");
    rate_by_the_day: web("fw-ctl.io/rate: 1000/d");
    rate_of_nothing: web("fw-ctl.io/rate: 0/s");
    rate_with_a_prefix_too_long: web("fw-ctl.io/rate: 1000/s per /33");
    rate_with_a_word_too_many: web("fw-ctl.io/rate: 1000/s per host");
    rate_and_more: web("fw-ctl.io/rate: 1000/s for each /32");
    rate_as_a_number: web("fw-ctl.io/rate: 1000");
    rate_with_an_endless_burst: web("fw-ctl.io/rate: 1/h burst 1000");
    rate_without_ingress: annotated("fw-ctl.io/rate: 10/s", "  ingressDeny:\n  - fromEntities: [world]\n");
    rate_with_egress: annotated("fw-ctl.io/rate: 10/s", "  ingress:\n  - fromEntities: [world]\n  egress:\n  - toEntities: [world]\n");
    vlan_of_no_use: web("fw-ctl.io/vlans: \"212,4095\"");
    vlan_zero: web("fw-ctl.io/vlans: \"0\"");
    vlan_range_upside_down: web("fw-ctl.io/vlans: 310-300");
    vlan_by_name: web("fw-ctl.io/vlans: storage");
    vlan_as_a_number: web("fw-ctl.io/vlans: 212");
    vlans_of_nothing: web("fw-ctl.io/vlans: \"\"");
    vlan_annotation_misspelt: web("fw-ctl.io/vlan: \"212\"");
    annotation_misspelt: web("fw-ctl.io/rates: 10/s");
    annotation_in_another_case: web("FW-ctl.io/Rate: 10/s");
    annotation_unknown: web("fw-ctl.io/owner: me");
    duplicate_key: policy("  ingress:\n  - fromEntities: [host]\n    toPorts: []\n    fromEntities: [world]\n");
    port_70000: policy("  ingress:\n  - toPorts:\n    - ports:\n      - port: \"70000\"\n        protocol: TCP\n");
    port_as_number: policy("  ingress:\n  - toPorts:\n    - ports:\n      - port: 22\n");
    port_range_with_dash: policy("  ingress:\n  - toPorts:\n    - ports: [{port: 80-90}]\n");
    port_named: policy("  ingress:\n  - toPorts:\n    - ports: [{port: https, protocol: TCP}]\n");
    port_beside_ports: policy("  ingress:\n  - toPorts:\n    - port: \"22\"\n      protocol: TCP\n");
    protocol_lower_case: policy("  ingress:\n  - toPorts:\n    - ports: [{port: \"22\", protocol: tcp}]\n");
    protocol_icmp: policy("  ingress:\n  - toPorts:\n    - ports: [{port: \"0\", protocol: ICMP}]\n");
    entity_unknown: policy("  ingress:\n  - fromEntities: [wrold]\n");
    entity_kube_dns: policy("  ingress:\n  - fromEntities: [kube-dns]\n");
    icmp_of_the_other_family: policy("  ingress:\n  - icmps:\n    - fields: [{type: PacketTooBig}]\n");
    tab_in_the_indentation: policy("  ingress:\n\t- fromEntities: [host]\n");
    not_closed: policy("  ingress:\n  - fromEntities: [host\n  egress:\n  - {}\n");
    alias_bomb: {
        let list = |of: &str| [of; 9].join(", ");
        format!("a: &a [{}]\nb: &b [{}]\nc: &c [{}]\nd: &d [{}]\ne: &e [{}]\nf: [{}]\n",
            list("x"), list("*a"), list("*b"), list("*c"), list("*d"), list("*e"))
    };
    too_deep: format!("a: {}{}\n", "[".repeat(80), "]".repeat(80));
    api_version_of_the_beta: policy("  ingress: [{}]\n").replace("cilium.io/v2", "cilium.io/v2alpha1");
    kind_misspelt: policy("  ingress: [{}]\n").replace("Clusterwide", "ClusterWide");
    no_kubernetes_object: "rules:\n- allow: ssh\n".to_owned();
    both_selectors: policy("  endpointSelector: {}\n  ingress: [{}]\n");
    selector_null: policy("  ingress: [{}]\n").replace("nodeSelector: {}", "nodeSelector:");
    node_selector_in_a_namespaced_policy:
        policy("  ingress: [{}]\n").replace("Clusterwide", "").replace("name: web", "name: web\n  namespace: default");
    label_out_of_match_labels: policy("  ingress: [{}]\n").replace("nodeSelector: {}", "nodeSelector:\n    matchLabels:\n    role: web");
    no_rule: policy("  ingress: []\n");
    two_kinds_of_peers: policy("  ingress:\n  - fromCIDR: [10.0.0.0/8]\n    fromEntities: [world]\n");
    yaml_1_1_boolean: policy("  ingress: [{}]\n").replace("nodeSelector: {}", "nodeSelector: {matchLabels: {edge: yes}}");
    not_enforced: policy("  egress:\n  - toFQDNs: [{matchName: www.example.com}]\n");
    l7_on_a_host: policy("  ingress:\n  - toPorts:\n    - ports: [{port: \"80\", protocol: TCP}]\n      rules: {http: [{path: /}]}\n");
    top_level_description: policy("  ingress: [{}]\n").replace("spec:", "description: web servers\nspec:");
    kubernetes_network_policy_fields: policy("  ingress:\n  - from: [{ipBlock: {cidr: 10.0.0.0/8}}]\n    ports: [{port: 22}]\n");
    end_port_too_large: policy("  ingress:\n  - toPorts:\n    - ports:\n      - {port: \"1\", endPort: 99999999999999999999}\n      - {port: \"1\", endPort: 1.5}\n");
    unknown_field_of_the_object: policy("  ingress: [{}]\nxyzzy: 1\n");
    two_json_objects: "{\"kind\": \"x\"}\n{\"kind\": \"y\"}\n".to_owned();
    list_with_misspelt_items: "kind: List\nitmes: []\n".to_owned();
    all_errors_at_once: policy("  ingress:\n  - fromCIDR: [10.0.0.1, 300.0.0.0/8]\n    toPorts:\n    - ports:\n      - {port: \"0x\", protocol: TPC}\n      - {port: 1.5}\n  egres: []\n");
}

#[test]
fn two_policies_of_one_name_name_both_places() {
    let text = policy("  ingress: [{}]\n");
    let source = |name: &str, text: String| Source {
        name: name.to_owned(),
        text,
    };
    let loaded = load_sources([
        source("a.yaml", text.clone()),
        source("b.yaml", format!("---\n{text}")),
    ]);
    let rendered: Vec<String> = loaded
        .diagnostics
        .iter()
        .map(|found| found.render(false))
        .collect();
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!(rendered.join("\n\n"));
    });
    assert!(loaded.diagnostics.iter().any(Diagnostic::is_error));
}
