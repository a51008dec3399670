//! Bans: nothing passes from one moment to the next, whoever else is let in, with
//! the daemon or without.

use std::time::{Duration, Instant};

use sandbox::ping::ping;
use sandbox::probe::{self, Connection, Outcome};
use sandbox::{Answer, Family};

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    a_ban_cuts_what_is_there_and_what_comes_where_no_policy_restricts_anything,
    a_ban_ends_by_itself_without_a_daemon,
    bans_outlast_restart_reload_and_detach,
    bans_of_two_at_once_both_hold,
    who_is_needed_is_not_banned_by_mistake,
);

fn web(fixture: &Fixture, family: Family) -> Outcome {
    let node = fixture.lab.node.socket(family, 80);
    probe::tcp(&fixture.lab.stranger.namespace, None, node)
}

fn ban(fixture: &Fixture, arguments: &[&str]) -> Answer {
    let all = [&["ban"], arguments].concat();
    fixture.fw_ctl.ask(&all).unwrap()
}

/// The stranger's addresses, to be banned.
fn stranger(fixture: &Fixture) -> [String; 2] {
    Family::BOTH.map(|family| fixture.lab.stranger.address(family).to_string())
}

fn ban_stranger(fixture: &Fixture, span: &[&str]) {
    let [v4, v6] = stranger(fixture);
    let arguments = [&["add", &v4, &v6], span].concat();
    let answer = ban(fixture, &arguments);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
}

fn a_ban_cuts_what_is_there_and_what_comes_where_no_policy_restricts_anything(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[]) else {
        return;
    };
    let (node, peer) = (&fixture.lab.node, &fixture.lab.stranger);
    for family in Family::BOTH {
        let mut theirs = Connection::open(&peer.namespace, None, node.socket(family, 22)).unwrap();
        let mut ours = Connection::open(&node.namespace, None, peer.socket(family, 80)).unwrap();
        theirs.talk("before").unwrap();
        ours.talk("before").unwrap();
        ban_stranger(&fixture, &["--reason", "it scans"]);
        let case = format!("{family} {xdp}");
        theirs.talk("banned").expect_err(&case);
        ours.talk("banned").expect_err(&case);
        let new = probe::tcp(&peer.namespace, None, node.socket(family, 22));
        assert_eq!(new, Outcome::Silence, "{case}");
        let new = probe::udp(&peer.namespace, None, node.socket(family, 53));
        assert_eq!(new, Outcome::Silence, "{case}");
        let new = ping(&peer.namespace, node.address(family), 3, 56);
        assert_eq!(new, Outcome::Silence, "{case}");
        let new = probe::tcp(&node.namespace, None, peer.socket(family, 80));
        assert_ne!(new, Outcome::Answered, "{case}");
        let other = probe::tcp(&fixture.lab.jump.namespace, None, node.socket(family, 22));
        assert_eq!(other, Outcome::Answered, "somebody else, {case}");
        let lifted = ban(&fixture, &["remove", "--all"]);
        assert_eq!(lifted.code, 0, "{}", lifted.stderr);
        let new = probe::tcp(&peer.namespace, None, node.socket(family, 22));
        assert_eq!(new, Outcome::Answered, "lifted, {case}");
    }
    let rules = fixture.fw_ctl.must(&["rules", "-o", "json"]).unwrap();
    let rules: serde_json::Value = serde_json::from_str(&rules).unwrap();
    let rule = &rules["rules"][1];
    assert_eq!(
        (&rule["policy"], &rule["verdict"]),
        (&"ban".into(), &"deny".into())
    );
    assert!(rule["packets"].as_u64() > Some(8), "{rule}");
}

fn a_ban_ends_by_itself_without_a_daemon(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    assert_eq!(web(&fixture, Family::V4), Outcome::Answered);
    let begin = Instant::now();
    ban_stranger(&fixture, &["--for", "8s"]);
    fixture.kill_daemon();
    for family in Family::BOTH {
        assert_eq!(web(&fixture, family), Outcome::Silence, "{family}");
    }
    assert!(begin.elapsed() < Duration::from_secs(8), "too slow to tell");
    std::thread::sleep(Duration::from_millis(9_100).saturating_sub(begin.elapsed()));
    for family in Family::BOTH {
        assert_eq!(web(&fixture, family), Outcome::Answered, "{family}");
    }
    fixture.restart_daemon();
    let left = ban(&fixture, &["list"]);
    assert_eq!((left.code, left.stdout.as_str()), (0, ""));
    assert_eq!(web(&fixture, Family::V4), Outcome::Answered);
}

fn bans_outlast_restart_reload_and_detach(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    ban_stranger(&fixture, &["--for", "1h", "--reason", "it scans"]);
    let holds = |fixture: &Fixture, when: &str| {
        for family in Family::BOTH {
            assert_eq!(web(fixture, family), Outcome::Silence, "{family} {when}");
        }
        let list = fixture.fw_ctl.must(&["ban", "list"]).unwrap();
        assert_eq!(list.matches("it scans").count(), 2, "{when}: {list}");
    };
    holds(&fixture, "at first");
    fixture.reload();
    holds(&fixture, "after a reload");
    fixture.kill_daemon();
    assert_eq!(web(&fixture, Family::V4), Outcome::Silence, "no daemon");
    fixture.restart_daemon();
    holds(&fixture, "after a restart");
    fixture.fw_ctl.must(&["detach"]).unwrap();
    assert_eq!(web(&fixture, Family::V4), Outcome::Answered, "detached");
    fixture.reload();
    holds(&fixture, "attached again");
    // Nothing is pinned any more, as after a reboot.
    fixture.kill_daemon();
    fixture.fw_ctl.must(&["detach"]).unwrap();
    assert_eq!(web(&fixture, Family::V4), Outcome::Answered, "detached");
    fixture.restart_daemon();
    holds(&fixture, "after a reboot");

    fixture.fw_ctl.must(&["mode", "audit"]).unwrap();
    assert_eq!(web(&fixture, Family::V4), Outcome::Answered, "audit");
    let [v4, v6] = stranger(&fixture);
    let again = ban(&fixture, &["add", &v4]);
    assert!(
        again.stderr.contains("the mode is audit"),
        "{}",
        again.stderr
    );
    fixture.fw_ctl.must(&["mode", "enforce"]).unwrap();
    assert_eq!(web(&fixture, Family::V4), Outcome::Silence, "enforce");
    let trace = ["trace", "--from", &v6, "--to", "[2001:db8:0:10::10]:80/tcp"];
    let trace = fixture.fw_ctl.ask(&trace).unwrap();
    assert_eq!(trace.code, 1, "{}", trace.stderr);
    assert!(trace.stdout.contains("it scans"), "{}", trace.stdout);
}

fn bans_of_two_at_once_both_hold(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let stranger = stranger(&fixture);
    let children = stranger.clone().map(|address| {
        let mut command = fixture.fw_ctl.command(&["ban", "add", &address]);
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for family in Family::BOTH {
        assert_eq!(web(&fixture, family), Outcome::Silence, "{family}");
    }
    let list = fixture.fw_ctl.must(&["ban", "list", "-o", "json"]).unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["schema"], 1);
    let log = fixture.fw_ctl.log();
    for address in &stranger {
        assert!(log.contains(&format!("{address} is banned")), "{log}");
    }
    let (_, since) = log.split_once(" is banned").unwrap();
    assert!(!since.contains(": ingress "), "links stay: {log}");
    let listed = list["bans"].as_array().unwrap().iter();
    let listed: Vec<_> = listed.filter_map(|ban| ban["address"].as_str()).collect();
    assert_eq!(listed, stranger, "IPv4 first");
    let [v4, _] = &stranger;
    let answer = ban(&fixture, &["remove", v4, "192.0.2.99"]);
    assert_eq!(answer.code, 1, "one was not banned: {}", answer.stderr);
    assert!(
        answer.stderr.contains("192.0.2.99 was not banned"),
        "{}",
        answer.stderr
    );
    assert_eq!(web(&fixture, Family::V4), Outcome::Answered);
    assert_eq!(web(&fixture, Family::V6), Outcome::Silence);
}

fn who_is_needed_is_not_banned_by_mistake(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let lab = &fixture.lab;
    let own = lab.node.address(Family::V6).to_string();
    let other = lab.node2.address(Family::V4).to_string();
    for (address, code, says) in [
        (own.as_str(), 4, "is an address of this node"),
        (other.as_str(), 4, "is a node of the cluster"),
        ("127.0.0.1", 2, "no peer has such an address"),
        ("10.0.0.0/8", 2, "put it into a CIDR list"),
        ("example.org", 2, "this is no address"),
    ] {
        let answer = ban(&fixture, &["add", address]);
        assert_eq!(answer.code, code, "{address}: {}", answer.stderr);
        assert!(answer.stderr.contains(says), "{address}: {}", answer.stderr);
    }
    let mut command = fixture.fw_ctl.command(&["ban", "add", "203.0.113.77"]);
    let output = command
        .env("SSH_CONNECTION", "203.0.113.77 5 10.0.0.10 22")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(ban(&fixture, &["list"]).stdout, "", "nobody is banned");
    let answer = ban(&fixture, &["add", &other, "--force"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("is a node of the cluster"),
        "{}",
        answer.stderr
    );
}
