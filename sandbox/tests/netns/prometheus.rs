//! Debian's own Prometheus, unpacked beside the lab: its `promtool` reads the text and the alerts,
//! and the server scrapes the node and answers what the dashboard and the alerts ask.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use sandbox::{Family, Namespace, guest, probe};
use serde_json::Value;

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::metrics::{ADDRESS, get};

const SERVER: &str = "127.0.0.1:9090";
const DASHBOARD: &str = include_str!("../../../config/grafana/fw-ctl.json");
const ALERTS: &str = include_str!("../../../config/prometheus/fw-ctl.rules.yaml");
/// What is due when, of series that are written there.
const ALERT_TESTS: &str = include_str!("alerts.test.yaml");
/// For two scrapes, of one a second, and a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn program(name: &str) -> PathBuf {
    let place = guest::unpacked("prometheus").unwrap_or_else(|error| panic!("{error}"));
    place.join("usr/bin").join(name)
}

#[test]
fn promtool_accepts_text_and_alerts() {
    let Some(fixture) = Fixture::start("native", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let config = fixture.fw_ctl.files().config.clone();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[metrics]\ncilium_names = true\n")).unwrap();
    fixture.reload();
    std::thread::sleep(Duration::from_millis(600));
    let node = &fixture.lab.node.namespace;
    let body = get(node, "/metrics", "").body;
    assert!(body.contains("cilium_drop_count_total"));
    assert_eq!(check_metrics(&body), (true, String::new()));
    // It reads what it is given.
    let (accepted, said) = check_metrics("fw_ctl_x_total{a=\"1\"} 1\nfw_ctl_x_total{a=\"1} 1\n");
    assert!(!accepted, "{said}");
    let rules = fixture.lab.dir.write("rules.yaml", ALERTS).unwrap();
    let tests = fixture
        .lab
        .dir
        .write("alerts.test.yaml", ALERT_TESTS)
        .unwrap();
    for (verb, file, expected) in [
        ("check", rules, "SUCCESS: 11 rules"),
        ("test", tests, "SUCCESS"),
    ] {
        let checked = std::process::Command::new(program("promtool"))
            .args([verb, "rules"])
            .arg(file)
            .output()
            .unwrap();
        let said = [checked.stdout, checked.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            checked.status.success() && said.contains(expected),
            "{said}"
        );
    }
}

/// Whether `promtool check metrics` takes a text, and what it finds fault with.
fn check_metrics(text: &str) -> (bool, String) {
    let mut tool = std::process::Command::new(program("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// A server that scrapes the node every second; it ends with the test.
struct Prometheus {
    child: Child,
    node: Namespace,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(fixture: &Fixture) -> Self {
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: fw-ctl\n  \
             static_configs: [{{targets: [\"{ADDRESS}\"]}}]\n"
        );
        let dir = &fixture.lab.dir;
        let config = dir.write("prometheus.yaml", &config).unwrap();
        let log = std::fs::File::create(dir.path().join("prometheus.log")).unwrap();
        let node = fixture.lab.node.namespace.clone();
        let child = node
            .command(program("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("tsdb").display()
            ))
            .arg(format!("--web.listen-address={SERVER}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, node }
    }

    /// The rows that a query returns now: labels and number. `None` while it does not serve yet.
    fn ask(&self, query: &str) -> Option<Vec<(Value, f64)>> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut stream = self.node.enter(|| TcpStream::connect(SERVER)).ok()?;
        write!(stream, "GET /api/v1/query?query={encoded} HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (_, body) = text.split_once("\r\n\r\n")?;
        let answer: Value = serde_json::from_str(body).ok()?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let rows = answer["data"]["result"].as_array().unwrap().iter();
        let row = |row: &Value| {
            let number = row["value"][1].as_str().unwrap().parse().unwrap();
            (row["metric"].clone(), number)
        };
        Some(rows.map(row).collect())
    }

    /// Waits until what it returns is right.
    fn until(&self, query: &str, is: impl Fn(&[(Value, f64)]) -> bool) -> Vec<(Value, f64)> {
        let end = Instant::now() + PATIENCE;
        loop {
            let rows = self.ask(query);
            if let Some(rows) = rows.as_ref().filter(|rows| is(rows)) {
                return rows.clone();
            }
            assert!(Instant::now() < end, "{query}: {rows:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The expressions of the alerts, by name.
fn alerts() -> Vec<(&'static str, &'static str)> {
    let names = ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let queries = ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "));
    names.zip(queries).collect()
}

fn alert(name: &str) -> &'static str {
    let alerts = alerts().into_iter();
    alerts
        .filter(|(other, _)| *other == name)
        .map(|(_, query)| query)
        .next()
        .unwrap()
}

#[test]
fn what_dashboard_and_alerts_ask_is_answered() {
    let Some(fixture) = Fixture::start("native", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let prometheus = Prometheus::start(&fixture);
    prometheus.until("up == 1", |rows| !rows.is_empty());
    let (from, node) = (&fixture.lab.stranger, &fixture.lab.node);
    for port in [53, 7001] {
        let _ = probe::datagrams(&from.namespace, None, node.socket(Family::V4, port), 5);
    }
    prometheus.until(
        "sum(rate(fw_ctl_packets_total{verdict=\"dropped\"}[30s]))",
        |rows| rows.iter().any(|(_, rate)| *rate > 0.0),
    );
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$__rate_interval", "30s")
                .replace("$instance", ".*");
            prometheus.until(&query, |rows| {
                !rows.is_empty() && rows.iter().all(|(_, number)| number.is_finite())
            });
            asked += 1;
        }
    }
    assert!(asked >= 20, "{asked}");
    // Nothing is wrong: no alert is due.
    assert_eq!(alerts().len(), 11);
    for (name, query) in alerts() {
        let rows = prometheus.ask(query).unwrap();
        assert_eq!(rows, [], "{name}");
    }
    wrong_ones_are_alerted(fixture, &prometheus);
}

/// What goes wrong makes those alerts due that are about it.
fn wrong_ones_are_alerted(mut fixture: Fixture, prometheus: &Prometheus) {
    let due = |name: &str| prometheus.until(alert(name), |rows| rows.len() == 1);
    let broken = fixture.fw_ctl.files().policies.join("broken.yaml");
    std::fs::write(&broken, "kind: nonsense: 1\n").unwrap();
    fixture.fw_ctl.ask(&["reload"]).unwrap();
    due("FwCtlDegraded");
    due("FwCtlReloadRefused");
    std::fs::remove_file(&broken).unwrap();
    fixture.reload();
    prometheus.until(alert("FwCtlDegraded"), <[_]>::is_empty);
    fixture.fw_ctl.must(&["mode", "audit"]).unwrap();
    due("FwCtlAuditMode");
    fixture.fw_ctl.must(&["detach"]).unwrap();
    due("FwCtlNotFiltering");
    fixture.kill_daemon();
    due("FwCtlDown");
}
