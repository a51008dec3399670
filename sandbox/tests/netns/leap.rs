//! A change that would cut what is open is refused, the operator's own session first.

use std::time::Duration;

use sandbox::probe::{self, Connection, Outcome};
use sandbox::{Answer, Family, Host};
use serde_json::Value;

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    to_enforce_is_refused_if_it_cuts_the_askers_own_session,
    a_reload_is_refused_if_it_cuts_the_askers_own_session,
    what_audit_mode_let_pass_is_told_and_refuses_nothing,
);

const INGRESS_WEB_AND_SSH: &str = r#"
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "80", protocol: TCP}
      - {port: "22", protocol: TCP}
"#;

/// An operator with a session: a TCP connection to the node's port 22.
struct Operator {
    session: Connection,
    /// As sshd sets it.
    variable: String,
    /// As a refusal names it.
    named: String,
}

impl Operator {
    fn connect(from: &Host, fixture: &Fixture, family: Family) -> Self {
        let server = fixture.lab.node.socket(family, 22);
        let session = Connection::open(&from.namespace, None, server).unwrap();
        let client =
            std::net::SocketAddr::new(from.address(family), session.source_port().unwrap());
        Self {
            session,
            variable: format!("{} {} {} 22", client.ip(), client.port(), server.ip()),
            named: format!("your SSH session {client} -> {server}/TCP: default-deny of policy web"),
        }
    }

    fn ask(&self, fixture: &Fixture, arguments: &[&str]) -> Answer {
        let mut command = fixture.fw_ctl.command(arguments);
        let output = command
            .env("SSH_CONNECTION", &self.variable)
            .output()
            .unwrap();
        Answer {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Refused, with the session as the first of what would be cut; also as data.
    fn is_refused(&self, fixture: &Fixture, arguments: &[&str]) {
        let answer = self.ask(fixture, arguments);
        assert_eq!(answer.code, 4, "{}", answer.stderr);
        let lines: Vec<_> = answer.stderr.lines().map(str::trim).collect();
        assert!(
            lines[0].contains("your own SSH session"),
            "{}",
            answer.stderr
        );
        assert!(lines[1].starts_with(&self.named), "{}", answer.stderr);
        assert!(lines[1].contains("web.yaml:"), "{}", answer.stderr);
        assert!(answer.stderr.contains("--force"), "{}", answer.stderr);
        let json = [arguments, &["-o", "json"]].concat();
        let answer = self.ask(fixture, &json);
        assert_eq!(answer.code, 4, "{}", answer.stderr);
        let data: Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(data["schema"], 1, "{data}");
        assert_eq!(data["own_ssh"], true, "{data}");
        assert_eq!(data["cuts"][0]["kind"], "own-ssh", "{data}");
    }
}

fn to_enforce_is_refused_if_it_cuts_the_askers_own_session(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "audit", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let mut operators: Vec<_> = Family::BOTH
        .into_iter()
        .map(|family| Operator::connect(&fixture.lab.jump, &fixture, family))
        .collect();
    for operator in &mut operators {
        operator.is_refused(&fixture, &["mode", "enforce"]);
        assert_eq!(fixture.fw_ctl.status().unwrap().mode, "audit");
        operator.session.talk("still here").unwrap();
    }
    let forced = operators[0].ask(&fixture, &["mode", "enforce", "--force"]);
    assert_eq!(forced.code, 0, "{}", forced.stderr);
    assert_eq!(fixture.fw_ctl.status().unwrap().mode, "enforce");
    for operator in &mut operators {
        assert!(operator.session.talk("cut").is_err());
    }
}

fn a_reload_is_refused_if_it_cuts_the_askers_own_session(xdp: &'static str) {
    let specs = [("web", INGRESS_WEB_AND_SSH)];
    let Some(fixture) = Fixture::start(xdp, "enforce", &specs) else {
        return;
    };
    let mut operator = Operator::connect(&fixture.lab.jump, &fixture, Family::V4);
    let mut other = Connection::open(
        &fixture.lab.stranger.namespace,
        None,
        fixture.lab.node.socket(Family::V6, 22),
    )
    .unwrap();
    let before = fixture.fw_ctl.status().unwrap().generation;
    fixture.write_policy("web", INGRESS_WEB);
    operator.is_refused(&fixture, &["reload"]);
    let answer = operator.ask(&fixture, &["reload"]);
    let v6 = fixture.lab.stranger.address(Family::V6).to_string();
    let line = answer.stderr.lines().nth(2).unwrap().trim();
    assert!(
        line.starts_with("SSH session ") && line.contains(&v6),
        "{line}"
    );
    let after = fixture.fw_ctl.status().unwrap().generation;
    assert_eq!(before["kernel"], after["kernel"]);
    operator.session.talk("still here").unwrap();
    other.talk("still here").unwrap();
    // Who does not come by SSH is told as well, though nothing of it is his own.
    let answer = fixture.fw_ctl.ask(&["reload"]).unwrap();
    assert_eq!(answer.code, 4, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("2 connections that are open"),
        "{}",
        answer.stderr
    );
    assert!(!answer.stderr.contains("your"), "{}", answer.stderr);
    let forced = operator.ask(&fixture, &["reload", "--force"]);
    assert_eq!(forced.code, 0, "{}", forced.stderr);
    assert!(operator.session.talk("cut").is_err());
    assert!(other.talk("cut").is_err());
}

fn what_audit_mode_let_pass_is_told_and_refuses_nothing(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "audit", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let (node, stranger) = (&fixture.lab.node, &fixture.lab.stranger);
    for _ in 0..3 {
        // They come and go: nothing of them is open.
        let knock = probe::tcp(&stranger.namespace, None, node.socket(Family::V4, 7_001));
        assert_eq!(knock, Outcome::Answered);
    }
    // Events are on their way for some milliseconds.
    std::thread::sleep(Duration::from_millis(500));
    let answer = fixture.fw_ctl.ask(&["mode", "enforce"]).unwrap();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let peer = stranger.address(Family::V4);
    let line = format!("from {peer} to 7001/TCP, 3 times, last ");
    assert!(answer.stderr.contains(&line), "{}", answer.stderr);
}
