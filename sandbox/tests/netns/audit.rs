//! Audit mode drops nothing and says what it would drop, and what to do about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sandbox::ping::ping;
use sandbox::probe::{self, Outcome};
use sandbox::{Family, Host, Monitor, tcp};
use serde_json::Value;

use crate::fixture::{EGRESS_NOTHING, Fixture, INGRESS_NOTHING};
use crate::on_xdp_and_tc;

const PATIENCE: Duration = Duration::from_secs(3);

on_xdp_and_tc!(
    nothing_is_dropped_and_everything_is_told,
    from_audit_to_enforcement_by_a_suggested_policy,
);

fn nothing_is_dropped_and_everything_is_told(xdp: &'static str) {
    let specs = [("in", INGRESS_NOTHING), ("out", EGRESS_NOTHING)];
    let Some(fixture) = Fixture::start(xdp, "audit", &specs) else {
        return;
    };
    let monitor = Monitor::start(&fixture.fw_ctl, &["-t", "policy-verdict"]).unwrap();
    let (node, stranger) = (&fixture.lab.node, &fixture.lab.stranger);
    for (number, family) in (0..).zip(Family::BOTH) {
        let case = format!("{family} {xdp}");
        let pairs = [
            (stranger, node, 46_000 + number),
            (node, stranger, 47_000 + number),
        ];
        for (from, to, port) in pairs {
            let outcome = probe::tcp(&from.namespace, Some(port), to.socket(family, 22));
            assert_eq!(outcome, Outcome::Answered, "{case}");
            let verdict = monitor.verdict(PATIENCE, |verdict| verdict.source.1 == Some(port));
            let verdict = verdict.unwrap_or_else(|| panic!("nothing reported: {case}"));
            assert_eq!(verdict.action, "audit", "{case}");
            assert_eq!(
                verdict.destination,
                (to.address(family), Some(22)),
                "{case}"
            );
            let large = probe::udp_of_size(&from.namespace, None, to.socket(family, 53), 9_000);
            assert_eq!(large, Outcome::Answered, "{case}");
            let echo = ping(&from.namespace, to.address(family), port, 56);
            assert_eq!(echo, Outcome::Answered, "{case}");
        }
    }
    assert!(
        monitor
            .verdicts()
            .iter()
            .all(|verdict| verdict.action != "deny")
    );
    assert_eq!(fixture.node.seen(tcp(22)), 2);
}

/// What somebody asks for: by TCP, by UDP, or by a ping.
#[derive(Clone, Copy)]
enum Ask {
    Tcp(u16),
    Udp(u16),
    Ping,
}

/// Who asks whom for what, and over which IP.
type Wish<'a> = (&'a Host, &'a Host, Ask, Family);

fn ask((from, to, what, family): &Wish<'_>) -> Outcome {
    let from = &from.namespace;
    match what {
        Ask::Tcp(port) => probe::tcp(from, None, to.socket(*family, *port)),
        Ask::Udp(port) => probe::udp(from, None, to.socket(*family, *port)),
        Ask::Ping => ping(from, to.address(*family), 4_711, 56),
    }
}

/// `ingress TCP 22 10.0.0.12`, as a row of the report is about it.
fn about((from, to, what, family): &Wish<'_>) -> String {
    let ingress = to.name == "node";
    let (way, peer) = if ingress {
        ("ingress", from)
    } else {
        ("egress", to)
    };
    let what = match (what, family) {
        (Ask::Tcp(port), _) => format!("TCP {port}"),
        (Ask::Udp(port), _) => format!("UDP {port}"),
        (Ask::Ping, Family::V4) => "ICMP 8".to_owned(),
        (Ask::Ping, Family::V6) => "ICMPv6 128".to_owned(),
    };
    format!("{way} {what} {}", peer.address(*family))
}

/// The rows of a report by what they are about, one for each address.
fn report(fixture: &Fixture, more: &[&str]) -> BTreeMap<String, Value> {
    let arguments = [&["audit", "report", "--addresses", "-o", "json"], more].concat();
    let answer = fixture.fw_ctl.ask(&arguments).unwrap();
    let report: Value = serde_json::from_str(&answer.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(
        answer.code,
        i32::from(!rows.is_empty()),
        "{}",
        answer.stderr
    );
    let mut found = BTreeMap::new();
    for row in rows {
        for address in row["addresses"].as_array().unwrap() {
            let text = |key: &str| row[key].to_string().replace('"', "");
            let (way, protocol, service) = (text("direction"), text("protocol"), text("service"));
            let about = format!("{way} {protocol} {service} {}", address.as_str().unwrap());
            found.insert(about, row.clone());
        }
    }
    found
}

/// The report, as soon as it has all of these and, of what these peers ask for, nothing else.
fn rows_of(fixture: &Fixture, more: &[&str], wishes: &[Wish<'_>]) -> BTreeMap<String, Value> {
    let expected: BTreeSet<String> = wishes.iter().map(about).collect();
    let end = Instant::now() + PATIENCE;
    loop {
        let found = report(fixture, more);
        let keys: BTreeSet<String> = found.keys().cloned().collect();
        if keys == expected || Instant::now() > end {
            assert_eq!(keys, expected);
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn config(fixture: &Fixture) -> String {
    fixture.fw_ctl.files().config.to_string_lossy().into_owned()
}

fn suggest<'a>(config: &'a str, state: &'a str, ids: &[&'a str]) -> Vec<&'a str> {
    let command = [
        "policy",
        "suggest",
        "--config",
        config,
        "--state-dir",
        state,
    ];
    [&command, ids].concat()
}

/// Puts the policy for these rows among the others; it is valid, and takes nothing away.
fn suggested(fixture: &Fixture, ids: &[&str]) -> String {
    let (fw_ctl, files) = (&fixture.fw_ctl, fixture.fw_ctl.files());
    let config = config(fixture);
    let state = files.state.to_string_lossy().into_owned();
    let place = files.policies.join("suggested.yaml");
    let path = place.to_string_lossy().into_owned();
    let mut write = suggest(&config, &state, ids);
    write.extend(["--write", &path]);
    let said = fw_ctl.must(&write).unwrap();
    assert_eq!(said, "", "it is in the file");
    let text = std::fs::read_to_string(&place).unwrap();
    // It is not replaced, whatever would come.
    let again = fw_ctl.ask(&write).unwrap();
    assert_eq!(again.code, 4, "{}", again.stderr);
    assert_eq!(std::fs::read_to_string(&place).unwrap(), text);
    let valid = fw_ctl.ask_offline(&["policy", "validate", &path]).unwrap();
    assert_eq!(valid.code, 0, "{}{text}", valid.stdout);
    assert!(!valid.stdout.contains("warning"), "{}", valid.stdout);
    let mut diff = vec!["policy", "diff", "-o", "json", "--config", &config];
    diff.extend(["--state-dir", &state]);
    let diff = fw_ctl.ask(&diff).unwrap();
    assert_eq!(diff.code, 1, "{}", diff.stderr);
    let diff: Value = serde_json::from_str(&diff.stdout).unwrap();
    let effect = diff["effect"].as_array().unwrap();
    assert!(!effect.is_empty());
    assert!(
        effect.iter().all(|change| change["from"] == "deny"),
        "{effect:?}"
    );
    text
}

fn from_audit_to_enforcement_by_a_suggested_policy(xdp: &'static str) {
    let specs = [("in", INGRESS_NOTHING), ("out", EGRESS_NOTHING)];
    let Some(mut fixture) = Fixture::start(xdp, "audit", &specs) else {
        return;
    };
    let lab = &fixture.lab;
    let (node, node2, jump, stranger) = (
        lab.node.clone(),
        lab.node2.clone(),
        lab.jump.clone(),
        lab.stranger.clone(),
    );
    let (v4, v6) = (Family::V4, Family::V6);
    let wanted = [
        (&node2, &node, Ask::Tcp(22), v4),
        (&jump, &node, Ask::Ping, v4),
        (&jump, &node, Ask::Tcp(7_001), v6),
        (&stranger, &node, Ask::Udp(7_001), v4),
        (&stranger, &node, Ask::Tcp(80), v6),
        (&stranger, &node, Ask::Ping, v6),
        (&node, &stranger, Ask::Tcp(7_002), v4),
    ];
    let unwanted = [
        (&node2, &node, Ask::Tcp(80), v4),
        (&jump, &node, Ask::Tcp(22), v4),
        (&jump, &node, Ask::Tcp(7_001), v4),
        (&stranger, &node, Ask::Udp(7_001), v6),
        (&stranger, &node, Ask::Tcp(22), v4),
        (&stranger, &node, Ask::Ping, v4),
        (&node, &stranger, Ask::Tcp(7_001), v4),
    ];
    let all = [wanted, unwanted].concat();
    for wish in &all {
        assert_eq!(ask(wish), Outcome::Answered, "{}", about(wish));
    }
    let rows = rows_of(&fixture, &[], &all);
    for row in rows.values() {
        assert_eq!(row["because"][0]["reason"], "default-deny", "{row}");
        assert_eq!(row["passes_now"], false, "{row}");
    }
    let of_node2 = &rows[&about(&wanted[0])];
    assert_eq!(of_node2["peer"]["name"], "server2 (kube-apiserver)");
    assert_eq!(of_node2["events"], 1);
    assert!(report(&fixture, &["--dropped"]).is_empty());

    // It outlasts the daemon.
    let daemon = fixture.daemon.take().unwrap();
    nix::sys::signal::kill(daemon.pid(), nix::sys::signal::Signal::SIGTERM).unwrap();
    daemon.wait(Duration::from_secs(10)).unwrap();
    fixture.restart_daemon();
    assert_eq!(rows_of(&fixture, &[], &all), rows);

    let ids = wanted.iter().map(|wish| &rows[&about(wish)]["id"]);
    let ids: Vec<_> = ids.filter_map(Value::as_str).collect();
    let text = suggested(&fixture, &ids);
    // Of the other server only IPv4 was seen; labels mean all of it.
    let also = format!(
        "# the same by other addresses: {} (node server2)",
        node2.v6.0
    );
    assert!(text.contains(&also), "{text}");

    // While the files are not what is in force, nothing is suggested; after a reload what
    // they allow is not suggested again, and is no row.
    let (config, state) = (config(&fixture), fixture.fw_ctl.files().state.clone());
    let state = state.to_string_lossy().into_owned();
    let refused = |code, says: &str| {
        let command = suggest(&config, &state, &ids);
        let again = fixture.fw_ctl.ask(&command).unwrap();
        let said = (again.code, again.stdout.as_str());
        assert_eq!(said, (code, ""), "{}", again.stderr);
        assert!(again.stderr.contains(says), "{}", again.stderr);
    };
    refused(4, "fw-ctl policy diff, then fw-ctl reload");
    fixture.reload();
    refused(1, "it is allowed already");
    rows_of(&fixture, &[], &unwanted);
    let told = report(&fixture, &["--all"]);
    assert_eq!(told[&about(&wanted[0])]["passes_now"], true);

    fixture
        .fw_ctl
        .must(&["mode", "enforce", "--force"])
        .unwrap();
    for wish in &wanted {
        assert_eq!(ask(wish), Outcome::Answered, "{}\n{text}", about(wish));
    }
    std::thread::scope(|scope| {
        let asked = unwanted
            .iter()
            .map(|wish| (about(wish), scope.spawn(|| ask(wish))));
        for (about, outcome) in asked.collect::<Vec<_>>() {
            assert_eq!(outcome.join().unwrap(), Outcome::Silence, "{about}\n{text}");
        }
    });
    let dropped = rows_of(&fixture, &["--dropped"], &unwanted);
    // The same wish has the same name, whether it was audited or dropped.
    let wish = about(&unwanted[0]);
    assert_eq!(dropped[&wish]["id"], rows[&wish]["id"]);
}
