//! A small plan, written by hand, and flows through each step.

use super::*;
use crate::observe::{Identity, WORLD};

struct Inventory;

impl Identities for Inventory {
    fn identity(&self, address: IpAddr) -> Identity {
        let remote = address.to_string().starts_with("10.0.0.");
        let (number, label) = if remote {
            (6, "reserved:remote-node")
        } else {
            (WORLD, "reserved:world")
        };
        Identity {
            number,
            labels: vec![label.into()],
        }
    }
}

fn rule(
    policy: &str,
    name: &str,
    origin: &str,
    direction: Option<Direction>,
    allow: bool,
) -> PlanRule {
    PlanRule {
        policy: policy.into(),
        rule: name.into(),
        origin: origin.into(),
        direction,
        allow,
        match_type: "none",
    }
}

/// Ingress: 22/tcp failsafe for all; 80/tcp for everybody; 81/tcp denied; the rest
/// for 10.0.0.0/24 only. Egress: no policy.
fn plan() -> Plan {
    let ingress = Some(Direction::Ingress);
    let mut tcp = vec![0; 65_536];
    (tcp[80], tcp[81], tcp[22]) = (1, 2, 3);
    let word = [
        VerdictWord::default_deny(1),
        VerdictWord::allow(2),
        VerdictWord::deny(3),
        VerdictWord::failsafe(5),
    ];
    let mut nodes = word;
    nodes[0] = VerdictWord::allow(4);
    let none = |columns, cells| DirectionPlan {
        columns,
        ports: [vec![0; 65_536], vec![0; 65_536], vec![0; 65_536]],
        icmp: [vec![0; 256], vec![0; 256]],
        protocols: vec![0; 256],
        cells,
    };
    let mut guarded = none(4, [word, nodes].concat());
    guarded.ports[0] = tcp;
    Plan {
        mode: Mode::Enforce,
        builtins: fw_common::wire::Builtin::ALL,
        peers: vec![
            ("0.0.0.0/0".parse().unwrap(), 0),
            ("10.0.0.0/24".parse().unwrap(), 1),
            ("::/0".parse().unwrap(), 0),
        ],
        rows: 2,
        directions: [guarded, none(1, vec![VerdictWord::allow(0); 2])],
        rules: vec![
            rule("", "no-policy", "", None, true),
            rule("host", "default-deny", "host.yaml:3", ingress, false),
            rule("host", "ingress[0]", "host.yaml:8", ingress, true),
            rule("host", "ingressDeny[0]", "host.yaml:20", ingress, false),
            rule("host", "ingress[1]", "host.yaml:14", ingress, true),
            rule("", "failsafe[0]", "", ingress, true),
        ],
    }
}

fn ask(plan: &Plan, source: &str, destination: &str, protocol: u8, ports: (u16, u16)) -> Trace {
    let local = BTreeSet::from(["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()]);
    let context = Context {
        plan,
        local: &local,
        identities: &Inventory,
    };
    let flow = Flow {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol,
        source_port: ports.0,
        destination_port: ports.1,
    };
    trace(&context, flow)
}

#[test]
fn every_way_through() {
    let plan = plan();
    for (source, destination, protocol, ports, verdict, last) in [
        (
            "192.0.2.1",
            "10.0.0.1",
            6,
            (0, 80),
            "allow",
            "allowed: ingress[0] of host (host.yaml:8)",
        ),
        (
            "192.0.2.1",
            "10.0.0.1",
            6,
            (0, 443),
            "deny",
            "denied, because nothing allows it: default-deny of host (host.yaml:3)",
        ),
        (
            "192.0.2.1",
            "10.0.0.1",
            6,
            (0, 81),
            "deny",
            "denied by a deny rule: ingressDeny[0] of host (host.yaml:20)",
        ),
        (
            "10.0.0.2",
            "10.0.0.1",
            6,
            (0, 443),
            "allow",
            "allowed: ingress[1] of host (host.yaml:14)",
        ),
        (
            "192.0.2.1",
            "10.0.0.1",
            6,
            (0, 22),
            "allow",
            "allowed by a failsafe entry, before any policy",
        ),
        (
            "192.0.2.1",
            "10.0.0.1",
            17,
            (67, 68),
            "allow",
            "allowed by a built-in, before any policy",
        ),
        (
            "fd00::2",
            "fd00::1",
            58,
            (0, 135),
            "allow",
            "allowed by a built-in, before any policy",
        ),
        (
            "fd00::2",
            "fd00::1",
            58,
            (0, 128),
            "deny",
            "denied, because nothing allows it: default-deny of host (host.yaml:3)",
        ),
        (
            "10.0.0.1",
            "192.0.2.1",
            6,
            (0, 443),
            "allow",
            "allowed: no-policy",
        ),
        (
            "10.0.0.1",
            "224.0.0.251",
            17,
            (5353, 5353),
            "allow",
            "passes: not judged",
        ),
        (
            "192.0.2.1",
            "192.0.2.2",
            6,
            (0, 443),
            "allow",
            "passes: not judged",
        ),
        (
            "10.0.0.1",
            "10.0.0.1",
            6,
            (0, 443),
            "allow",
            "passes: not judged",
        ),
    ] {
        let trace = ask(&plan, source, destination, protocol, ports);
        let found = trace.steps.last().unwrap();
        assert_eq!(
            (trace.verdict.as_str(), found.found.as_str()),
            (verdict, last),
            "{source} {destination} {ports:?}"
        );
    }
}

#[test]
fn the_steps_name_prefix_identity_and_near_misses() {
    let trace = ask(&plan(), "10.0.0.2", "10.0.0.1", 6, (40_000, 443));
    let steps: Vec<_> = trace
        .steps
        .iter()
        .map(|s| (s.name.as_str(), s.found.as_str()))
        .collect();
    assert_eq!(
        steps,
        [
            ("local", "10.0.0.1 is the node's: ingress"),
            ("built-in", "none fits"),
            ("failsafe", "none fits"),
            (
                "identity",
                "10.0.0.2 is remote-node [reserved:remote-node], by 10.0.0.0/24, peer class 1"
            ),
            (
                "service",
                "443/tcp, service class 0; on other services this peer meets ingress[0] of host (host.yaml:8), ingressDeny[0] of host (host.yaml:20), failsafe[0]"
            ),
            ("verdict", "allowed: ingress[1] of host (host.yaml:14)"),
        ]
    );
    assert_eq!(trace.direction.as_deref(), Some("ingress"));
    assert_eq!(trace.rule.unwrap().origin, "host.yaml:14");
}

#[test]
fn a_built_in_that_is_off_does_not_help() {
    let mut plan = plan();
    plan.builtins = 0;
    assert_eq!(
        ask(&plan, "192.0.2.1", "10.0.0.1", 17, (67, 68)).verdict,
        "deny"
    );
}

#[test]
fn audit_says_that_it_passes() {
    let mut plan = plan();
    plan.mode = Mode::Audit;
    let trace = ask(&plan, "192.0.2.1", "10.0.0.1", 6, (0, 443));
    assert_eq!(trace.verdict, "deny");
    assert!(
        trace
            .steps
            .last()
            .unwrap()
            .found
            .ends_with("the mode is audit: it is reported, and passes")
    );
}
