//! A view with something in every table.

use super::view::{Dropped, FlowRate, Rate, ReasonRate, RuleRate, SCHEMA, View};

fn rate(packets: f64, bytes: f64) -> Rate {
    Rate {
        packets_per_second: Some(packets),
        bytes_per_second: Some(bytes),
    }
}

fn rule(rule: &str, verdict: &str, packets: u64, rate: Rate) -> RuleRate {
    RuleRate {
        direction: "ingress".into(),
        verdict: verdict.into(),
        policy: "servers".into(),
        rule: rule.into(),
        origin: "/etc/fw-ctl/policies/servers.yaml:9".into(),
        packets,
        bytes: packets * 60,
        rate,
        limited_per_second: None,
    }
}

fn reason(name: &str, packets: u64, rate: Rate) -> ReasonRate {
    ReasonRate {
        direction: "ingress".into(),
        reason: name.into(),
        packets,
        bytes: packets * 60,
        rate,
    }
}

fn flow(name: &str, identity: &str, (new, denied): (u64, u64)) -> FlowRate {
    FlowRate {
        name: name.into(),
        identity: identity.into(),
        others: name.is_empty(),
        new,
        denied,
        new_per_second: Some(f64::from(u32::try_from(new).unwrap()) / 2.0),
        denied_per_second: Some(f64::from(u32::try_from(denied).unwrap()) / 2.0),
    }
}

/// Of a node under light fire.
pub fn view() -> View {
    let drop = |port: u16| Dropped {
        nanoseconds: 1_795_233_983_000_000_000,
        audited: false,
        direction: "ingress".into(),
        interface: "eth0".into(),
        port: format!("tcp/{port}"),
        source: "203.0.113.66:40000".into(),
        destination: format!("10.0.0.10:{port}"),
        reason: "default-deny".into(),
        policy: "servers".into(),
        rule: "default-deny".into(),
    };
    View {
        schema: SCHEMA,
        time: "2026-11-21T04:06:23Z".into(),
        node: "server1".into(),
        mode: "enforce".into(),
        generation: 7,
        seconds: Some(2.0),
        rules: vec![
            rule("ingress[0]", "allow", 1_200, rate(12.5, 800.0)),
            rule("ingress[1]", "allow", 0, rate(0.0, 0.0)),
            rule("default-deny", "deny", 90_000, rate(1_234.0, 74_040.0)),
        ],
        reasons: vec![
            reason("allowed", 1_200, rate(12.5, 800.0)),
            reason("dropped/default-deny", 90_000, rate(1_234.0, 74_040.0)),
        ],
        sources: vec![
            flow("10.0.9.5", "256", (25, 0)),
            flow("203.0.113.66", "world", (1, 400)),
            flow("", "", (0, 700)),
        ],
        ports: vec![flow("tcp/22", "", (0, 400)), flow("tcp/6443", "", (25, 0))],
        interfaces: vec![flow("eth0", "", (26, 400))],
        drops: (20..40).map(drop).collect(),
        unreported_per_second: Some(834.0),
        missed: 0,
        trouble: None,
        deaf: None,
    }
}
