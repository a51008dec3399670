//! A trace says what becomes of packets: it is held against what the programs say, and here
//! against what packets meet.

use std::time::{Duration, Instant};

use sandbox::ping::ping;
use sandbox::probe::{self, Connection, Outcome};
use sandbox::{Answer, Family};

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    a_trace_is_confirmed_by_the_programs_and_by_packets,
    a_trace_knows_bans_and_remembered_connections,
    a_drop_is_explained_also_when_it_would_be_none_now,
);

/// Asks until the programs that can be asked are loaded.
fn trace(fixture: &Fixture, from: &str, to: &str) -> (Answer, serde_json::Value) {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let ask = ["trace", "--from", from, "--to", to, "-o", "json"];
        let answer = fixture.fw_ctl.ask(&ask).unwrap();
        let value: serde_json::Value =
            serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{}", answer.stderr));
        if !answer.stdout.contains("not asked:") {
            return (answer, value);
        }
        assert!(Instant::now() < end, "never asked: {value}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Packets that each rule has decided.
fn packets(fixture: &Fixture) -> Vec<serde_json::Value> {
    let rules = fixture.fw_ctl.must(&["rules", "-o", "json"]).unwrap();
    let rules: serde_json::Value = serde_json::from_str(&rules).unwrap();
    let rules = rules["rules"].as_array().unwrap().iter();
    rules.map(|rule| rule["packets"].clone()).collect()
}

/// What a step found.
fn step(value: &serde_json::Value, name: &str) -> String {
    let steps = value["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["name"] == name);
    let step = step.unwrap_or_else(|| panic!("no step {name}: {value}"));
    step["found"].as_str().unwrap().to_owned()
}

fn a_trace_is_confirmed_by_the_programs_and_by_packets(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let (node, peer) = (&fixture.lab.node, &fixture.lab.stranger);
    for family in Family::BOTH {
        let from = peer.address(family).to_string();
        let (icmp, request) = match family {
            Family::V4 => ("icmp", "8"),
            Family::V6 => ("icmpv6", "128"),
        };
        let to = |port: u16, protocol: &str| format!("{}/{protocol}", node.socket(family, port));
        let echo = match family {
            Family::V4 => format!("{}:{request}/{icmp}", node.address(family)),
            Family::V6 => format!("[{}]:{request}/{icmp}", node.address(family)),
        };
        let tcp = |port| probe::tcp(&peer.namespace, None, node.socket(family, port));
        let udp = |port| probe::udp(&peer.namespace, None, node.socket(family, port));
        for (to, outcome) in [
            (to(80, "tcp"), tcp(80)),
            (to(7001, "tcp"), tcp(7001)),
            (to(53, "udp"), udp(53)),
            (to(7001, "udp"), udp(7001)),
            (echo, ping(&peer.namespace, node.address(family), 1, 56)),
        ] {
            let before = packets(&fixture);
            let (answer, value) = trace(&fixture, &from, &to);
            let case = format!("{to} {xdp}: {}", answer.stdout);
            let passes = outcome == Outcome::Answered;
            assert_eq!(answer.code, i32::from(!passes), "{case}");
            let programs = &value["programs"];
            assert_eq!(programs["agree"], true, "{case}");
            let answers = programs["answers"].as_array().unwrap();
            let names: Vec<_> = answers.iter().map(|one| one["name"].as_str()).collect();
            assert_eq!(names, [Some("XDP"), Some("TC ingress")], "{case}");
            let verdict = if passes { "pass" } else { "drop" };
            assert!(
                answers.iter().all(|one| one["verdict"] == verdict),
                "{case}"
            );
            let found = step(&value, "program");
            assert!(found.starts_with("XDP and TC ingress: it "), "{case}");
            assert!(found.contains("web.yaml:"), "{case}");
            let after = packets(&fixture);
            assert_eq!(after, before, "asking counts nothing, {to} {xdp}");
        }
        // What no policy restricts, and what a built-in lets pass.
        let to = format!("{}/tcp", peer.socket(family, 80));
        let (answer, value) = trace(&fixture, &node.address(family).to_string(), &to);
        assert_eq!(answer.code, 0, "{value}");
        let found = step(&value, "program");
        assert_eq!(found, "TC egress: it passes, by no rule", "{value}");
    }
    let (answer, value) = trace(
        &fixture,
        &peer.address(Family::V6).to_string(),
        &format!("[{}]:135/icmpv6", node.address(Family::V6)),
    );
    assert_eq!(answer.code, 0, "{value}");
    let found = step(&value, "program");
    assert_eq!(found, "XDP and TC ingress: it passes, by no rule");
    // In audit mode the programs let pass what the trace says that policy denies.
    fixture.fw_ctl.must(&["mode", "audit"]).unwrap();
    let from = peer.address(Family::V4).to_string();
    let to = format!("{}/tcp", node.socket(Family::V4, 7001));
    let (answer, value) = trace(&fixture, &from, &to);
    assert_eq!(answer.code, 1, "{value}");
    assert_eq!(value["programs"]["agree"], true, "{value}");
    assert_eq!(
        value["programs"]["answers"][0]["verdict"], "pass",
        "{value}"
    );
}

fn a_trace_knows_bans_and_remembered_connections(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let (node, peer) = (&fixture.lab.node, &fixture.lab.stranger);
    for family in Family::BOTH {
        let server = peer.socket(family, 80);
        let mut open = Connection::open(&node.namespace, None, server).unwrap();
        open.talk("hello").unwrap();
        let ours = node.socket(family, open.source_port().unwrap());
        let to = format!("{ours}/tcp");
        let (answer, value) = trace(&fixture, &server.to_string(), &to);
        assert_eq!(answer.code, 1, "a new one is denied: {value}");
        let found = step(&value, "conntrack");
        assert!(found.starts_with("begun by the node, answered"), "{found}");
        assert!(found.contains("pass as replies"), "{found}");
        assert_eq!(value["programs"]["agree"], true, "{value}");
        let other = format!("{}/tcp", node.socket(family, 1));
        let (_, value) = trace(&fixture, &server.to_string(), &other);
        let found = step(&value, "conntrack");
        assert!(found.starts_with("not remembered"), "{found}");

        let banned = peer.address(family).to_string();
        fixture.fw_ctl.must(&["ban", "add", &banned]).unwrap();
        let to = format!("{}/tcp", node.socket(family, 80));
        let (answer, value) = trace(&fixture, &banned, &to);
        assert_eq!(answer.code, 1, "{value}");
        let found = step(&value, "program");
        assert_eq!(found, "the ban is in the kernel's table");
    }
}

/// Asks until the drop was told.
fn explain(fixture: &Fixture, arguments: &[&str]) -> Answer {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let all = [&["explain"], arguments].concat();
        let answer = fixture.fw_ctl.ask(&all).unwrap();
        if !answer.stdout.is_empty() || Instant::now() > end {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn a_drop_is_explained_also_when_it_would_be_none_now(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let (node, peer) = (&fixture.lab.node, &fixture.lab.stranger);
    let none = fixture.fw_ctl.ask(&["explain"]).unwrap();
    assert_eq!((none.code, none.stdout.as_str()), (1, ""));
    assert!(
        none.stderr.contains("no packet that was not allowed"),
        "{}",
        none.stderr
    );

    let outcome = probe::tcp(&peer.namespace, None, node.socket(Family::V4, 7001));
    assert_eq!(outcome, Outcome::Silence);
    let answer = explain(&fixture, &[]);
    assert_eq!(answer.code, 1, "{}{}", answer.stdout, answer.stderr);
    let text = &answer.stdout;
    let to = node.socket(Family::V4, 7001).to_string();
    assert!(text.contains(&to) && text.contains("DROPPED"), "{text}");
    assert!(
        text.contains("default-deny, by ") && text.contains("web.yaml:8"),
        "{text}"
    );
    assert!(text.contains("switches default deny on"), "{text}");

    let answer = explain(&fixture, &["-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let uuid = value["flow"]["flow"]["uuid"].as_str().unwrap().to_owned();
    assert_eq!(value["trace"]["verdict"], "deny", "{value}");
    assert_eq!(value["notes"], serde_json::json!([]), "{value}");

    let allowed = INGRESS_WEB.replace(r#"port: "80""#, r#"port: "7001""#);
    fixture.write_policy("web", &allowed);
    fixture.reload();
    let answer = explain(&fixture, &[&uuid]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    let text = &answer.stdout;
    assert!(
        text.contains("it would be judged otherwise now: dropped then"),
        "{text}"
    );
    let gone = fixture
        .fw_ctl
        .ask(&["explain", "00000000-0000-8000-8000-000000000000"])
        .unwrap();
    assert_eq!(gone.code, 1, "{}", gone.stderr);
    let wrong = fixture.fw_ctl.ask(&["explain", "42"]).unwrap();
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
}
