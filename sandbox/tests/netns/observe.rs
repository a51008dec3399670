//! `fw-ctl observe`: what packets were, field by field; every filter; past and present.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sandbox::{Family, FwCtl, probe};
use serde_json::{Value, json};

use crate::fixture::{Fixture, INGRESS_NOTHING, INGRESS_WEB};
use crate::on_xdp_and_tc;

const PATIENCE: Duration = Duration::from_secs(5);

on_xdp_and_tc!(
    flows_are_what_the_packets_were_and_filters_tell_them_apart,
    followers_get_what_happens_and_the_past_they_ask_for,
    policies_are_told_when_they_come_and_go,
    what_happened_without_a_daemon_has_names
);

/// The flows that `fw-ctl observe -o json` prints.
fn observe(fw_ctl: &FwCtl, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["observe", "-o", "json"], arguments].concat();
    let text = fw_ctl.must(&arguments).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.map(|line: Value| line["flow"].clone()).collect()
}

/// The same, once there are any.
fn observe_some(fw_ctl: &FwCtl, arguments: &[&str]) -> Vec<Value> {
    let end = Instant::now() + PATIENCE;
    loop {
        let flows = observe(fw_ctl, arguments);
        if !flows.is_empty() || Instant::now() > end {
            return flows;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A denied SYN, an allowed one and a denied datagram of each family, from these ports on.
pub fn traffic(fixture: &Fixture, first: u16) {
    let (from, node) = (&fixture.lab.stranger, &fixture.lab.node);
    for (number, family) in (0..).zip(Family::BOTH) {
        let port = first + 10 * number;
        let _ = probe::tcp(&from.namespace, Some(port), node.socket(family, 22));
        let _ = probe::tcp(&from.namespace, Some(port + 1), node.socket(family, 80));
        let _ = probe::udp(&from.namespace, Some(port + 2), node.socket(family, 7001));
    }
}

fn flows_are_what_the_packets_were_and_filters_tell_them_apart(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    traffic(&fixture, 45_000);
    let (fw_ctl, lab) = (&fixture.fw_ctl, &fixture.lab);
    for (number, family) in (0..).zip(Family::BOTH) {
        let port = 45_000 + 10 * number;
        let (source, node) = (lab.stranger.address(family), lab.node.address(family));
        let version = match family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        let of_port = |port: u16, kind: &str| {
            let port = port.to_string();
            let flows = observe_some(fw_ctl, &["--all", "--from-port", &port, "-t", kind]);
            flows
                .into_iter()
                .next()
                .unwrap_or_else(|| panic!("{port} {kind} {xdp}"))
        };
        let common = |flow: &Value| {
            assert_eq!(
                flow["IP"],
                json!({
                    "source": source.to_string(),
                    "destination": node.to_string(),
                    "ipVersion": version,
                })
            );
            assert_eq!(flow["Type"], "L3_L4");
            assert_eq!(flow["traffic_direction"], "INGRESS");
            assert_eq!(flow["interface"]["name"], "eth0");
            assert_eq!(flow["source"]["identity"], 2);
            assert_eq!(flow["destination"]["identity"], 1);
        };
        let denied = of_port(port, "policy-verdict");
        common(&denied);
        assert_eq!(denied["verdict"], "DROPPED");
        assert_eq!(denied["drop_reason_desc"], "POLICY_DENIED");
        assert_eq!(
            denied["l4"],
            json!({"TCP": {"source_port": port, "destination_port": 22, "flags": {"SYN": true}}})
        );
        assert_eq!(denied["ingress_denied_by"][0]["name"], "web");
        let dropped = of_port(port, "drop");
        common(&dropped);
        assert_eq!(dropped["event_type"], json!({"type": 1, "sub_type": 133}));
        assert_eq!(dropped["time"], denied["time"]);
        let allowed = of_port(port + 1, "policy-verdict");
        common(&allowed);
        assert_eq!(allowed["verdict"], "FORWARDED");
        assert_eq!(allowed["is_reply"], false);
        assert_eq!(allowed["policy_match_type"], 3);
        assert_eq!(allowed["ingress_allowed_by"][0]["name"], "web");
        let datagram = of_port(port + 2, "drop");
        assert_eq!(
            datagram["l4"],
            json!({"UDP": {"source_port": port + 2, "destination_port": 7001}})
        );
    }
    filters(&fixture);
    let all = observe(fw_ctl, &["--all"]);
    let uuid = all[1]["uuid"].as_str().unwrap();
    assert_eq!(observe(fw_ctl, &["--all", "--uuid", uuid]), all[1..2]);
}

/// Whether a flow is one of those that a filter asks for.
type Is = fn(&Value) -> bool;

/// What each filter tells is what it should of everything that there is.
fn filters(fixture: &Fixture) {
    let fw_ctl = &fixture.fw_ctl;
    let v4 = fixture.lab.stranger.address(Family::V4).to_string();
    let table: [(&[&str], Is); 15] = [
        (&["--verdict", "DROPPED"], |flow| {
            flow["verdict"] == "DROPPED"
        }),
        (&["--not", "--verdict", "DROPPED"], |flow| {
            flow["verdict"] != "DROPPED"
        }),
        (&["-t", "drop"], |flow| flow["event_type"]["type"] == 1),
        (&["--protocol", "udp"], |flow| !flow["l4"]["UDP"].is_null()),
        (&["--to-port", "80"], |flow| {
            flow["l4"]["TCP"]["destination_port"] == 80
        }),
        (&["--port", "45001"], |flow| {
            flow["l4"]["TCP"]["source_port"] == 45_001
        }),
        (&["-6"], |flow| flow["IP"]["ipVersion"] == "IPv6"),
        (&["--from-ip", &v4], |flow| {
            flow["IP"]["ipVersion"] == "IPv4" && flow["traffic_direction"] == "INGRESS"
        }),
        (&["--traffic-direction", "ingress"], |flow| {
            flow["traffic_direction"] == "INGRESS"
        }),
        (&["--tcp-flags", "syn"], |flow| {
            flow["l4"]["TCP"]["flags"]["SYN"] == true
        }),
        (&["--to-identity", "host"], |flow| {
            flow["destination"]["identity"] == 1
        }),
        (&["--from-label", "reserved:host"], |flow| {
            flow["source"]["identity"] == 1
        }),
        (&["--policy", "w?b", "-t", "policy-verdict"], |flow| {
            flow["ingress_denied_by"][0]["name"] == "web" && flow["event_type"]["type"] == 5
                || flow["ingress_allowed_by"][0]["name"] == "web"
        }),
        (&["--reply=false"], |flow| flow["is_reply"] == false),
        (
            &["--drop-reason-desc", "POLICY_DENIED", "--to-port", "22"],
            |flow| {
                flow["drop_reason_desc"] == "POLICY_DENIED"
                    && flow["l4"]["TCP"]["destination_port"] == 22
            },
        ),
    ];
    for (arguments, is) in table {
        // What the node itself does goes on: only the past up to now is compared.
        let all = observe(fw_ctl, &["--all"]);
        let until = all.last().unwrap()["time"].as_str().unwrap();
        let expected: Vec<_> = all.iter().filter(|flow| is(flow)).collect();
        let told = observe(fw_ctl, &[&["--all", "--until", until], arguments].concat());
        assert_eq!(told.iter().collect::<Vec<_>>(), expected, "{arguments:?}");
        // A filter that tells nothing proves nothing, nor one that tells everything; but
        // a node that says nothing by itself has flows towards it only.
        let is_of_node = arguments == ["--from-label", "reserved:host"];
        assert!(is_of_node || !expected.is_empty(), "{arguments:?}");
        let is_of_all = ["--traffic-direction", "--to-identity"].contains(&arguments[0]);
        assert!(is_of_all || expected.len() < all.len(), "{arguments:?}");
    }
}

fn followers_get_what_happens_and_the_past_they_ask_for(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "audit", &[("web", INGRESS_WEB)]) else {
        return;
    };
    traffic(&fixture, 46_000);
    let past = observe_some(&fixture.fw_ctl, &["--all", "--from-port", "46010"]);
    assert_eq!(past[0]["verdict"], "AUDIT", "{xdp}");
    let mut child = fixture
        .fw_ctl
        .command(&[
            "observe",
            "-f",
            "--last",
            "1",
            "--to-port",
            "22",
            "--verdict",
            "AUDIT",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, told) = mpsc::channel();
    let stdout = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    let line = told.recv_timeout(PATIENCE).unwrap();
    let v6 = fixture.lab.stranger.socket(Family::V6, 46_010);
    let node = fixture.lab.node.socket(Family::V6, 22);
    let summary = format!(
        "{v6} (world) <> {node} (host) policy-verdict:none INGRESS AUDITED (TCP Flags: SYN)"
    );
    assert!(line.ends_with(&summary), "{line}");
    traffic(&fixture, 47_000);
    for port in ["47000", "47010"] {
        let line = told.recv_timeout(PATIENCE).unwrap();
        assert!(line.contains(&format!(":{port} (world) <> ")), "{line}");
    }
    // The daemon ends: whoever follows is told so.
    fixture.kill_daemon();
    assert!(told.recv_timeout(PATIENCE).is_err());
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

fn policies_are_told_when_they_come_and_go(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    // Type, name of the policy, rules, generation.
    let told = || {
        let text = fixture
            .fw_ctl
            .must(&["observe", "agent-events", "--all", "-o", "json"])
            .unwrap();
        let events = text.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let event = line["agent_event"].clone();
            let change = &event["policy_update"];
            let name = change["labels"][1].as_str().unwrap_or_default();
            let name = name.strip_prefix("k8s:io.cilium.k8s.policy.name=");
            json!([
                event["type"],
                name.unwrap_or_default(),
                change["rule_count"],
                change["revision"]
            ])
        });
        events.collect::<Vec<_>>()
    };
    let revision = || {
        // Not well where a trial was not confirmed.
        let text = fixture
            .fw_ctl
            .ask(&["status", "-o", "json"])
            .unwrap()
            .stdout;
        let status: Value = serde_json::from_str(&text).unwrap();
        status["generation"]["number"]
            .as_u64()
            .unwrap_or_else(|| panic!("{text}"))
            .to_string()
    };
    let mut expected = vec![
        json!(["AGENT_STARTED", "", null, null]),
        json!(["POLICY_UPDATED", "web", "2", revision()]),
    ];
    assert_eq!(told(), expected, "{xdp}");
    fixture.write_policy("dns", INGRESS_NOTHING);
    fixture.reload();
    expected.push(json!(["POLICY_UPDATED", "dns", "1", revision()]));
    assert_eq!(told(), expected, "{xdp}");
    // A comment changes nothing of what it says.
    let web = fixture.fw_ctl.files().policies.join("web.yaml");
    let text = std::fs::read_to_string(&web).unwrap();
    std::fs::write(&web, format!("# for the web\n{text}")).unwrap();
    fixture.reload();
    assert_eq!(told(), expected, "{xdp}");
    std::fs::remove_file(&web).unwrap();
    fixture.reload();
    expected.push(json!(["POLICY_DELETED", "web", "2", revision()]));
    assert_eq!(told(), expected, "{xdp}");
    // On trial it is in force, and it is gone when nobody has confirmed it.
    fixture.write_policy("web", INGRESS_WEB);
    fixture.fw_ctl.must(&["reload", "--confirm", "5s"]).unwrap();
    expected.push(json!(["POLICY_UPDATED", "web", "2", revision()]));
    assert_eq!(told(), expected, "{xdp}");
    let end = Instant::now() + 2 * PATIENCE;
    while told().len() == expected.len() {
        assert!(Instant::now() < end, "{xdp}: the trial does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    expected.push(json!(["POLICY_DELETED", "web", "2", revision()]));
    assert_eq!(told(), expected, "{xdp}");
}

/// Programs go on while no daemon is there, and so do their reports.
fn what_happened_without_a_daemon_has_names(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    for number in 0..3 {
        let port = 48_000 + 100 * number;
        fixture.kill_daemon();
        traffic(&fixture, port);
        fixture.restart_daemon();
        for (port, by) in [
            (port, "ingress_denied_by"),
            (port + 1, "ingress_allowed_by"),
        ] {
            let port = port.to_string();
            let flows = observe_some(
                &fixture.fw_ctl,
                &["--all", "--from-port", &port, "-t", "policy-verdict"],
            );
            let flow = &flows[0];
            assert_eq!(flow[by][0]["name"], "web", "{xdp}: {flow}");
            assert_eq!(flow["interface"]["name"], "eth0", "{xdp}");
            // The inventory says so.
            let labels = flow["destination"]["labels"].as_array().unwrap();
            assert!(labels.contains(&json!("reserved:kube-apiserver")), "{flow}");
        }
    }
}
