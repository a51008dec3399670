//! What a proxy would have to do: L7 `rules`, TLS, server names, listeners.
//!
//! fw-ctl has no proxy: all of it is read and checked as Cilium does, and then
//! said not to be enforced. Source: Cilium `pkg/policy/api/{l4,http,l7}.go`.

use super::cursor::{Decoder, Field, Object};
use super::peer::fqdn;
use super::spec::List;
use crate::diagnostic::Spanned;
use crate::policy::schema::{Port, PortRule, Protocol};
use crate::printable::quoted;

/// Reads what stands beside `ports` in an entry of `toPorts`, into `rule`.
pub(super) fn decode(
    cx: &mut Decoder,
    object: &Object<'_>,
    list: List,
    host: bool,
    rule: &mut PortRule,
) {
    for key in ["terminatingTLS", "originatingTLS"] {
        if let Some(at) = object.get(key) {
            tls(cx, &at);
            mark(cx, object, key, rule);
        }
    }
    let mut names = 0;
    if let Some(at) = object.get("serverNames") {
        names = server_names(cx, &at);
        if names > 0 {
            mark(cx, object, "serverNames", rule);
        }
    }
    let has_rules = rules(cx, object, list, host, rule);
    if names > 0 && has_rules && object.get("terminatingTLS").is_none() {
        cx.error_at_key(
            object,
            "serverNames",
            "`serverNames` and L7 rules together need `terminatingTLS`",
        )
        .help("leave one of them out");
    }
    if let Some(at) = object.get("listener") {
        listener(cx, &at);
        if list.is_ingress() {
            cx.error_at_key(object, "listener", "a listener is taken in egress only");
        } else if has_rules {
            cx.error_at_key(object, "listener", "a listener excludes L7 `rules`")
                .help("leave one of them out");
        }
        mark(cx, object, "listener", rule);
    }
}

fn mark(cx: &mut Decoder, object: &Object<'_>, key: &'static str, rule: &mut PortRule) {
    rule.proxy.push(Spanned {
        value: key,
        span: object.key_span(key),
    });
    cx.not_enforced(object, key, key);
}

/// Reads `rules`; whether there is any.
fn rules(
    cx: &mut Decoder,
    object: &Object<'_>,
    list: List,
    host: bool,
    rule: &mut PortRule,
) -> bool {
    let Some(rules_at) = object.get("rules") else {
        return false;
    };
    let Some(rules) = cx.object(&rules_at, &["http", "dns"]) else {
        return false;
    };
    let mut count = [0; 2];
    for (n, (key, decode)) in [
        ("http", http as fn(&mut Decoder, &Field<'_>)),
        ("dns", |cx: &mut Decoder, at: &Field<'_>| {
            fqdn(cx, at);
        }),
    ]
    .into_iter()
    .enumerate()
    {
        let Some(items) = rules.get(key).and_then(|at| cx.list(&at)) else {
            continue;
        };
        count[n] = items.len();
        for item in &items {
            decode(cx, item);
        }
        if !items.is_empty() {
            rule.l7.push(Spanned {
                value: key,
                span: rules.key_span(key),
            });
            cx.not_enforced(&rules, key, &format!("L7 rules ({key})"));
        }
    }
    let [http, dns] = count;
    if http + dns == 0 {
        return false;
    }
    if rules.get("http").is_some() && rules.get("dns").is_some() {
        cx.error_at_key(&rules, "dns", "`http` and `dns` exclude each other")
            .help("make two entries of `toPorts` of it");
    }
    if host && list.is_ingress() {
        cx.error_at_key(
            object,
            "rules",
            "Cilium takes no L7 rules in the ingress of a host policy",
        )
        .help("leave `rules` out: the ports are then allowed whatever is spoken on them");
    } else if host && http > 0 {
        cx.error_at_key(
            &rules,
            "http",
            "Cilium takes no `http` rules in a host policy",
        )
        .help("leave `rules` out: the ports are then allowed whatever is spoken on them");
    } else if list.is_ingress() && dns > 0 {
        cx.error_at_key(&rules, "dns", "`dns` rules are taken in egress only");
    }
    check_ports(cx, object, &rules, dns > 0, rule);
    true
}

/// What L7 rules ask of the ports beside them.
fn check_ports(
    cx: &mut Decoder,
    object: &Object<'_>,
    rules: &Object<'_>,
    dns: bool,
    rule: &PortRule,
) {
    if dns && rule.ports.is_empty() {
        cx.error_at_key(rules, "dns", "`dns` rules need a port beside them")
            .help("add `ports: [{port: \"53\", protocol: ANY}]`");
    }
    let written = object
        .get("ports")
        .and_then(|at| at.node.items())
        .unwrap_or_default();
    let absent = |n: usize| {
        written
            .get(n)
            .is_some_and(|port| port.get("port").is_none())
    };
    for (n, port) in rule.ports.iter().enumerate() {
        match port.port {
            Port::All if !absent(n) => {
                cx.error_at_key(object, "rules", "L7 rules exclude port \"0\"")
                    .help("name the ports");
            }
            Port::Range(first, last) if dns && last > first => {
                cx.error_at_key(rules, "dns", "`dns` rules exclude ranges of ports")
                    .help("name the ports");
            }
            _ => {}
        }
        if !dns && port.protocol != Protocol::Number(6) {
            cx.error_at_key(
                object,
                "rules",
                "`http` rules need ports with `protocol: TCP`",
            )
            .help("write the protocol at every port: without it, UDP and SCTP are meant too");
            return;
        }
    }
}

fn http(cx: &mut Decoder, at: &Field<'_>) {
    let Some(object) = cx.object(at, &["path", "method", "host", "headers", "headerMatches"])
    else {
        return;
    };
    for key in ["path", "method", "host"] {
        let Some(at) = object.get(key) else { continue };
        let Some(text) = cx.text(&at) else { continue };
        if let Err(error) = regex_syntax::parse(text) {
            let why = error.to_string();
            let why = why
                .rsplit("error: ")
                .next()
                .unwrap_or("it cannot be read")
                .trim()
                .to_owned();
            cx.error(&at, format!("`{key}` is not a regular expression: {why}"));
        }
    }
    for header in object
        .get("headers")
        .and_then(|at| cx.list(&at))
        .unwrap_or_default()
    {
        if cx.text(&header) == Some("") {
            cx.error(&header, "the header is empty")
                .help("write its name, or `Name: value`");
        }
    }
    for header in object
        .get("headerMatches")
        .and_then(|at| cx.list(&at))
        .unwrap_or_default()
    {
        header_match(cx, &header);
    }
}

fn header_match(cx: &mut Decoder, at: &Field<'_>) {
    let Some(object) = cx.object(at, &["mismatch", "name", "secret", "value"]) else {
        return;
    };
    if let Some(at) = object.get("mismatch") {
        cx.one_of(&at, "the action", &["LOG", "ADD", "DELETE", "REPLACE"]);
    }
    required_name(cx, &object);
    if let Some(at) = object.get("secret") {
        secret(cx, &at);
    }
    if let Some(at) = object.get("value") {
        cx.text(&at);
    }
}

fn tls(cx: &mut Decoder, at: &Field<'_>) {
    let Some(object) = cx.object(at, &["secret", "trustedCA", "certificate", "privateKey"]) else {
        return;
    };
    if let Some(at) = cx.required(&object, "secret") {
        secret(cx, &at);
    }
    for key in ["trustedCA", "certificate", "privateKey"] {
        if let Some(at) = object.get(key) {
            cx.text(&at);
        }
    }
}

fn secret(cx: &mut Decoder, at: &Field<'_>) {
    let Some(object) = cx.object(at, &["namespace", "name"]) else {
        return;
    };
    if let Some(at) = object.get("namespace") {
        cx.text(&at);
    }
    required_text(cx, &object, "name");
}

fn listener(cx: &mut Decoder, at: &Field<'_>) {
    let Some(object) = cx.object(at, &["envoyConfig", "name", "priority"]) else {
        return;
    };
    if let Some(at) = cx.required(&object, "envoyConfig")
        && let Some(config) = cx.object(&at, &["kind", "name"])
    {
        if let Some(at) = config.get("kind") {
            cx.one_of(
                &at,
                "the kind",
                &["CiliumEnvoyConfig", "CiliumClusterwideEnvoyConfig"],
            );
        }
        required_name(cx, &config);
    }
    required_name(cx, &object);
    if let Some(at) = object.get("priority") {
        cx.int(&at, 1..=100);
    }
}

/// Reads `serverNames`; how many there are.
fn server_names(cx: &mut Decoder, at: &Field<'_>) -> usize {
    let items = cx.list(at).unwrap_or_default();
    for item in &items {
        let Some(text) = cx.text(item) else { continue };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
        if text.is_empty() {
            cx.error(item, "the server name is empty");
        } else if text.len() > 255 || !text.chars().all(allowed) {
            cx.error(item, format!("{} is not a server name", quoted(text)))
                .help("a DNS name such as www.example.com, or *.example.com");
        }
    }
    items.len()
}

fn required_text(cx: &mut Decoder, object: &Object<'_>, key: &str) {
    if let Some(at) = cx.required(object, key) {
        cx.text(&at);
    }
}

/// A `name` that must be there and not empty.
fn required_name(cx: &mut Decoder, object: &Object<'_>) {
    if let Some(at) = cx.required(object, "name")
        && cx.text(&at) == Some("")
    {
        cx.error(&at, "the name is empty");
    }
}
