//! What a monitoring system gets from `/metrics` and `/healthz`, against packets that were sent.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sandbox::{Family, FwCtl, Namespace, probe};
use serde_json::Value;

use crate::fixture::{EGRESS_NOTHING, Fixture, INGRESS_WEB, policy};
use crate::on_xdp_and_tc;

/// The default of `metrics.listen`: each lab has its own, for its node is a network namespace.
pub const ADDRESS: &str = "127.0.0.1:9962";
/// An answer of the daemon is told again for half a second.
const FRESH: Duration = Duration::from_millis(600);
/// Header of Ethernet, IPv4 or IPv6, and UDP.
const V4_HEADERS: i64 = 14 + 20 + 8;
const V6_HEADERS: i64 = 14 + 40 + 8;

on_xdp_and_tc!(
    counters_move_by_the_packets_that_were_sent,
    what_is_wrong_is_said,
    clients_that_hang_hold_up_nobody,
);

/// Status, headers in small letters, and body.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends a request as it is.
fn send(node: &Namespace, request: &str) -> Answer {
    let mut stream = connect(node);
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head[9..12].parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn connect(node: &Namespace) -> TcpStream {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match node.enter(|| TcpStream::connect(ADDRESS)) {
            Ok(stream) => {
                let patience = Some(Duration::from_secs(15));
                stream.set_read_timeout(patience).unwrap();
                return stream;
            }
            // The daemon begins to listen a moment after it answers.
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn get(node: &Namespace, path: &str, accept: &str) -> Answer {
    let accept = match accept {
        "" => String::new(),
        accept => format!("Accept: {accept}\r\n"),
    };
    send(
        node,
        &format!("GET {path} HTTP/1.1\r\nHost: node\r\n{accept}\r\n"),
    )
}

/// Whole numbers of a text by name with labels, as they are written: all but sums of times.
fn numbers(text: &str) -> BTreeMap<String, i64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            Some((name.to_owned(), value.parse().ok()?))
        })
        .collect()
}

fn scrape(fixture: &Fixture) -> BTreeMap<String, i64> {
    std::thread::sleep(FRESH);
    let answer = get(&fixture.lab.node.namespace, "/metrics", "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    numbers(&answer.body)
}

/// By how much each has moved that did.
fn moved(before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let old = |name: &String| before.get(name).copied().unwrap_or_default();
    after
        .iter()
        .map(|(name, value)| (name.clone(), value - old(name)))
        .filter(|(_, by)| *by != 0)
        .collect()
}

/// So many datagrams of one byte to a port.
fn datagrams(fixture: &Fixture, family: Family, port: u16, count: u8) -> usize {
    let (from, node) = (&fixture.lab.stranger, &fixture.lab.node);
    probe::datagrams(&from.namespace, None, node.socket(family, port), count).unwrap()
}

const PACKETS: &str = "fw_ctl_packets_total";
const BYTES: &str = "fw_ctl_bytes_total";
const DENIED: &str = r#"{direction="ingress",verdict="dropped",reason="default-deny"}"#;
const ALLOWED: &str = r#"{direction="ingress",verdict="allowed",reason="allowed"}"#;
const RULE: &str = r#"{direction="ingress",policy="web",rule="ingress[0]",verdict="allow"}"#;
const DEFAULT: &str = r#"{direction="ingress",policy="web",rule="ingress[0]",verdict="deny"}"#;

fn counters_move_by_the_packets_that_were_sent(xdp: &'static str) {
    let specs = [("web", INGRESS_WEB), ("out", EGRESS_NOTHING)];
    let Some(fixture) = Fixture::start(xdp, "enforce", &specs) else {
        return;
    };
    // Neighbours are known, so that no datagram waits for that.
    for family in Family::BOTH {
        datagrams(&fixture, family, 53, 1);
    }
    let before = scrape(&fixture);
    assert_eq!(datagrams(&fixture, Family::V4, 7001, 5), 0);
    assert_eq!(datagrams(&fixture, Family::V6, 7001, 2), 0);
    assert_eq!(datagrams(&fixture, Family::V4, 53, 7), 7);
    let after = scrape(&fixture);
    let by = moved(&before, &after);
    let of = |name: &str, labels: &str| by.get(&format!("{name}{labels}")).copied();
    // A virtual cable does not fill frames up to what Ethernet asks for.
    let denied = 5 * (V4_HEADERS + 1) + 2 * (V6_HEADERS + 1);
    let allowed = 7 * (V4_HEADERS + 1);
    for (labels, rule, packets, bytes) in
        [(DENIED, DEFAULT, 7, denied), (ALLOWED, RULE, 7, allowed)]
    {
        assert_eq!(of(PACKETS, labels), Some(packets), "{by:?}");
        assert_eq!(
            of("fw_ctl_rule_packets_total", rule),
            Some(packets),
            "{by:?}"
        );
        assert_eq!(of(BYTES, labels), Some(bytes), "{by:?}");
        assert_eq!(of("fw_ctl_rule_bytes_total", rule), Some(bytes), "{by:?}");
    }
    assert_eq!(
        of(
            PACKETS,
            r#"{direction="egress",verdict="allowed",reason="reply"}"#
        ),
        Some(7),
        "{by:?}"
    );
    // One connection was remembered, and told once; of what was denied each datagram was.
    assert_eq!(of("fw_ctl_conntrack_begun_total", ""), Some(1), "{by:?}");
    let told = |verdict: &str| {
        let labels = format!(r#"{{verdict="{verdict}",protocol="UDP"}}"#);
        of("fw_ctl_events_total", &labels)
    };
    assert_eq!(told("allowed"), Some(1), "{by:?}");
    assert_eq!(told("dropped"), Some(7), "{by:?}");
    let ingress = if xdp == "native" { "xdp-native" } else { "tc" };
    for (name, value) in [
        (r#"fw_ctl_mode{mode="enforce"}"#.to_owned(), 1),
        (r#"fw_ctl_mode{mode="audit"}"#.to_owned(), 0),
        ("fw_ctl_degraded".to_owned(), 0),
        ("fw_ctl_judging".to_owned(), 1),
        ("fw_ctl_policies".to_owned(), 2),
        ("fw_ctl_generation".to_owned(), 1),
        ("fw_ctl_reload_duration_seconds_count".to_owned(), 1),
        (
            format!(r#"fw_ctl_interface_info{{interface="eth0",ingress="{ingress}",egress="tc"}}"#),
            1,
        ),
        (
            r#"fw_ctl_map_entries_limit{map="rules"}"#.to_owned(),
            16_384,
        ),
    ] {
        assert_eq!(after.get(&name), Some(&value), "{name} {after:?}");
    }
    assert!(after[r#"fw_ctl_map_entries{map="verdicts-ingress"}"#] >= 1);
    assert!(after["fw_ctl_conntrack_entries"] <= after["fw_ctl_conntrack_entries_limit"]);
    over_reloads(&fixture, &after);
    formats_are_of_one_definition(&fixture);
}

/// Counters only grow, also those of rules, which the kernel counts anew for each plan.
fn over_reloads(fixture: &Fixture, before: &BTreeMap<String, i64>) {
    fixture.write_policy(
        "other",
        "\n  nodeSelector: {}\n  egress: [{}]\n  enableDefaultDeny: {egress: false}\n",
    );
    fixture.reload();
    assert_eq!(datagrams(fixture, Family::V4, 7001, 3), 0);
    let after = scrape(fixture);
    for (name, value) in before.iter().filter(|(name, _)| name.contains("_total")) {
        assert!(after[name] >= *value, "{name} {value} {}", after[name]);
    }
    let rule = format!("fw_ctl_rule_packets_total{DEFAULT}");
    assert_eq!(after[&rule] - before[&rule], 3);
    assert_eq!(after[r#"fw_ctl_reloads_total{outcome="applied"}"#], 2);
    assert_eq!(after["fw_ctl_generation"], 2);
}

/// Text, `OpenMetrics` and `fw-ctl metrics list` tell the same names, and the same numbers.
fn formats_are_of_one_definition(fixture: &Fixture) {
    let config = fixture.fw_ctl.files().config.clone();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[metrics]\ncilium_names = true\n")).unwrap();
    fixture.reload();
    std::thread::sleep(FRESH);
    let node = &fixture.lab.node.namespace;
    let classic = get(node, "/metrics", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    assert!(
        classic
            .head
            .contains("content-type: text/plain; version=0.0.4"),
        "{}",
        classic.head
    );
    let open = get(
        node,
        "/metrics",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    );
    assert!(
        open.head
            .contains("content-type: application/openmetrics-text; version=1.0.0")
    );
    assert!(open.body.ends_with("\n# EOF\n"));
    assert!(open.body.contains("\n# TYPE fw_ctl_packets counter\n"));
    assert!(
        open.body
            .contains("\n# UNIT fw_ctl_reload_duration_seconds seconds\n")
    );
    let names = |text: &str| numbers(text).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&classic.body), names(&open.body));
    let told = numbers(&classic.body);
    let drops = r#"cilium_drop_count_total{reason="Policy denied",direction="INGRESS"}"#;
    assert_eq!(told[drops], told[&format!("{PACKETS}{DENIED}")]);
    let flows = r#"hubble_drop_total{reason="POLICY_DENIED",protocol="UDP"}"#;
    assert_eq!(told[flows], 10);
    let list = fixture
        .fw_ctl
        .ask_offline(&["metrics", "list", "-o", "json"])
        .unwrap();
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let listed: BTreeMap<&str, Vec<&str>> = list["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| {
            let labels = metric["labels"].as_array().unwrap().iter();
            (
                metric["name"].as_str().unwrap(),
                labels.filter_map(Value::as_str).collect(),
            )
        })
        .collect();
    let types = classic
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let types: Vec<_> = types.filter_map(|line| line.split(' ').next()).collect();
    let mut sorted = types.clone();
    sorted.sort_unstable();
    assert_eq!(listed.keys().copied().collect::<Vec<_>>(), sorted);
    for sample in told.keys() {
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        if let Some(defined) = listed.get(name) {
            let labels = labels
                .split("\",")
                .filter_map(|label| label.split_once("=\""));
            let labels: Vec<_> = labels.map(|(label, _)| label).collect();
            assert_eq!(&labels, defined, "{sample}");
        }
    }
}

fn what_is_wrong_is_said(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "audit", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let node = &fixture.lab.node.namespace;
    let health = || {
        std::thread::sleep(FRESH);
        let answer = get(node, "/healthz", "");
        (answer.status, answer.body)
    };
    assert_eq!(health(), (200, "ok\n".to_owned()));
    assert_eq!(
        datagrams(&fixture, Family::V4, 7001, 2),
        2,
        "audit mode lets pass"
    );
    let audited =
        format!(r#"{PACKETS}{{direction="ingress",verdict="audited",reason="default-deny"}}"#);
    assert_eq!(scrape(&fixture)[&audited], 2);
    let broken = policy("broken", "\n  nodeSelector: {}\n  ingres: [{}]\n");
    std::fs::write(fixture.fw_ctl.files().policies.join("broken.yaml"), broken).unwrap();
    fixture.fw_ctl.ask(&["reload"]).unwrap();
    let (status, why) = health();
    assert_eq!(status, 503);
    assert!(why.contains("broken.yaml"), "{why}");
    let numbers = scrape(&fixture);
    assert_eq!(numbers["fw_ctl_degraded"], 1);
    assert_eq!(
        usize::try_from(numbers["fw_ctl_problems"]).unwrap(),
        why.lines().count()
    );
    assert_eq!(numbers[r#"fw_ctl_reloads_total{outcome="refused"}"#], 1);
    std::fs::remove_file(fixture.fw_ctl.files().policies.join("broken.yaml")).unwrap();
    fixture.reload();
    assert_eq!(health(), (200, "ok\n".to_owned()));
    fixture.fw_ctl.must(&["detach"]).unwrap();
    let (status, why) = health();
    assert_eq!(status, 503);
    assert!(why.contains("nothing is filtered"), "{why}");
    assert_eq!(scrape(&fixture)["fw_ctl_judging"], 0);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: n\r\n\r\n", 404),
        (
            "POST /metrics HTTP/1.1\r\nHost: n\r\nContent-Length: 0\r\n\r\n",
            405,
        ),
    ] {
        assert_eq!(send(node, request).status, status, "{request}");
    }
}

fn clients_that_hang_hold_up_nobody(xdp: &'static str) {
    let Some(mut fixture) = Fixture::prepare(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    // Somebody else has the port: the node is filtered all the same, and it is said.
    let node = fixture.lab.node.namespace.clone();
    let taken = node.enter(|| std::net::TcpListener::bind(ADDRESS)).unwrap();
    fixture.restart_daemon();
    let warning = |fw_ctl: &FwCtl| {
        let status = fw_ctl.must(&["status", "-o", "json"]).unwrap();
        status.contains("metrics are not served on 127.0.0.1:9962: ") && status.contains("ss -ltnp")
    };
    let end = Instant::now() + Duration::from_secs(10);
    while !warning(&fixture.fw_ctl) {
        assert!(Instant::now() < end, "{}", fixture.fw_ctl.log());
    }
    assert!(!fixture.fw_ctl.status().unwrap().is_degraded());
    assert_eq!(datagrams(&fixture, Family::V4, 7001, 1), 0);
    drop(taken);
    while warning(&fixture.fw_ctl) {
        assert!(
            Instant::now() < end + Duration::from_secs(10),
            "{}",
            fixture.fw_ctl.log()
        );
    }
    let hanging: Vec<_> = (0..100)
        .map(|number| {
            let mut stream = connect(&node);
            if number % 2 == 0 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
            }
            stream
        })
        .collect();
    let began = Instant::now();
    let answer = get(&node, "/metrics", "");
    assert_eq!(answer.status, 200);
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    // Those for whom there was no place are gone.
    let mut oldest = &hanging[0];
    assert!(matches!(oldest.read(&mut [0]), Ok(0) | Err(_)));
    assert!(scrape(&fixture)["fw_ctl_scrapes_displaced_total"] >= 60);
}
