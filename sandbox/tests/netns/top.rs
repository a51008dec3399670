//! `fw-ctl top`: rates of real packets, on a pseudo-terminal and as lines.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::LocalFlags;
use sandbox::frame::{FrameSocket, ethernet, tcp_syn};
use sandbox::{Family, Pty};
use serde_json::Value;

use crate::fixture::{Fixture, INGRESS_NOTHING, INGRESS_WEB};
use crate::on_xdp_and_tc;

const PATIENCE: Duration = Duration::from_secs(20);
/// Packets a second.
const RATE: u32 = 100;

on_xdp_and_tc!(rates_are_those_of_the_packets_and_names_those_of_the_rules);

/// Connections that the stranger asks for at [`RATE`], until this is dropped.
struct Knocking {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Knocking {
    fn start(fixture: &Fixture, port: u16) -> Self {
        let (from, node) = (&fixture.lab.stranger, &fixture.lab.node);
        let socket = FrameSocket::sender(&from.namespace, "eth0").unwrap();
        let (from_mac, to_mac) = (from.mac, node.mac);
        let source = from.address(Family::V4);
        let to = node.socket(Family::V4, port);
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let began = Instant::now();
            for number in 0_u32.. {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let from = (source, 20_000 + (number % 20_000) as u16).into();
                let (kind, packet) = tcp_syn(from, to);
                let frame = ethernet(to_mac, from_mac, &[], kind, &packet);
                socket.send(&frame).unwrap();
                // By the clock, so that one that is late is no packet less.
                let next = began + Duration::from_secs(1) / RATE * (number + 1);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Self {
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Knocking {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The first object of a list in which `key` is `value`.
fn row<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let rows = list.as_array().unwrap();
    let found = rows.iter().find(|row| row[key] == value);
    found.unwrap_or_else(|| panic!("no {value} in {list}"))
}

/// The rule of the policy `web` with this verdict.
fn rule_of<'a>(view: &'a Value, verdict: &str) -> &'a Value {
    let rules = view["rules"].as_array().unwrap();
    let is = |rule: &&Value| rule["policy"] == "web" && rule["verdict"] == verdict;
    rules.iter().find(is).unwrap_or_else(|| panic!("{view}"))
}

fn assert_near(rate: &Value, what: &str) {
    let rate = rate.as_f64().unwrap_or_else(|| panic!("{what}: {rate}"));
    let expected = f64::from(RATE);
    // A reading is stamped when its answer arrives, which on a busy machine takes a while.
    let tolerance = expected * 0.3;
    assert!((rate - expected).abs() < tolerance, "{what}: {rate}");
}

fn rates_are_those_of_the_packets_and_names_those_of_the_rules(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let _knocking = Knocking::start(&fixture, 7_001);
    let batch = ["top", "--batch", "-n", "2", "-d", "3", "-o", "json"];
    let text = fixture.fw_ctl.must(&batch).unwrap();
    let views: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(views.len(), 2, "{text}");
    for view in &views {
        assert_eq!(view["schema"], 1);
        assert_eq!(view["mode"], "enforce");
        let seconds = view["seconds"].as_f64().unwrap();
        assert!((2.5..6.0).contains(&seconds), "{seconds}");
        let rule = rule_of(view, "deny");
        assert_near(&rule["packets_per_second"], "rule");
        let reason = row(&view["reasons"], "reason", "dropped/default-deny");
        assert_eq!(reason["direction"], "ingress");
        assert_near(&reason["packets_per_second"], "reason");
        // A SYN without options: headers of 14, 20 and 20 bytes.
        let ratio = rule["bytes_per_second"].as_f64().unwrap()
            / rule["packets_per_second"].as_f64().unwrap();
        assert!((ratio - 54.0).abs() < 6.0, "{ratio}");
        let allowed = rule_of(view, "allow");
        assert_eq!(allowed["packets_per_second"], 0.0);
        // Reports are a sample: some, and not more than there are packets.
        let stranger = fixture.lab.stranger.address(Family::V4).to_string();
        for (list, name) in [
            ("sources", stranger.as_str()),
            ("ports", "tcp/7001"),
            ("interfaces", "eth0"),
        ] {
            let told = &row(&view[list], "name", name)["denied_per_second"];
            let told = told.as_f64().unwrap_or_else(|| panic!("{list}: {told}"));
            assert!(told > 0.0 && told < f64::from(RATE) * 1.3, "{list}: {told}");
        }
        assert_eq!(view["drops"][0]["reason"], "default-deny");
        assert_eq!(view["drops"][0]["port"], "tcp/7001");
        assert_eq!(view["drops"][0]["audited"], false);
    }
    // The rate is of exactly what was counted in between.
    let counted = |view: &Value| rule_of(view, "deny")["packets"].as_f64();
    let gained = counted(&views[1]).unwrap() - counted(&views[0]).unwrap();
    let rule = rule_of(&views[1], "deny");
    let rate = rule["packets_per_second"].as_f64().unwrap();
    let seconds = views[1]["seconds"].as_f64().unwrap();
    assert!((rate * seconds - gained).abs() < 0.5, "{rate} {gained}");

    let table = ["top", "--once", "-d", "1", "--view", "rules,ports"];
    let text = fixture.fw_ctl.must(&table).unwrap();
    assert!(text.contains("Rules: every packet, counted by the kernel\nPACKETS/s"));
    assert!(text.contains("Ports: reported flows, sampled; not packets\nDROPS/s"));
    assert!(!text.contains("Sources:"), "{text}");
    assert!(text.contains("tcp/7001"), "{text}");
}

/// Rules of another generation count from 0 or from elsewhere: that is no rate.
#[test]
fn a_reload_makes_no_absurd_rates() {
    let Some(fixture) = Fixture::start("off", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let _knocking = Knocking::start(&fixture, 7_001);
    let batch = ["top", "--batch", "-n", "8", "-d", "0.5", "-o", "json"];
    let mut command = fixture.fw_ctl.command(&batch);
    let top = command.stdout(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(1_500));
    fixture.write_policy("other", INGRESS_NOTHING);
    fixture.reload();
    let output = top.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let views: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let generations: BTreeSet<_> = views
        .iter()
        .map(|view| view["generation"].as_u64().unwrap())
        .collect();
    assert_eq!(generations.len(), 2, "{text}");
    for pair in views.windows(2) {
        let is_new = pair[0]["generation"] != pair[1]["generation"];
        for rule in pair[1]["rules"].as_array().unwrap() {
            let rate = &rule["packets_per_second"];
            assert_eq!(rate.is_null(), is_new, "{rule}");
            let rate = rate.as_f64().unwrap_or_default();
            assert!((0.0..f64::from(RATE) * 3.0).contains(&rate), "{rule}");
        }
    }
}

#[test]
fn without_a_terminal_or_a_daemon_it_says_what_to_do() {
    let Some(fixture) = Fixture::prepare("off", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let answer = fixture.fw_ctl.ask(&["top"]).unwrap();
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(
        answer.stderr.contains("stdout is no terminal"),
        "{answer:?}"
    );
    assert!(
        answer.stderr.contains("try: fw-ctl top --batch"),
        "{answer:?}"
    );
    let answer = fixture.fw_ctl.ask(&["top", "--batch"]).unwrap();
    assert_eq!(answer.code, 5, "{answer:?}");
    assert!(
        answer.stderr.contains("daemon is not running"),
        "{answer:?}"
    );
}

fn start(fixture: &Fixture) -> Pty {
    let command = fixture.fw_ctl.command(&["top", "-d", "0.5"]);
    Pty::start(command, 100, 30).unwrap()
}

/// Whether the terminal is as a shell left it.
fn assert_given_back(terminal: &mut Pty, before: LocalFlags) {
    let (_, screen) = terminal.end(PATIENCE).unwrap();
    assert!(!screen.is_taken() && screen.is_cursor_shown);
    assert_eq!(screen.text(), "");
    assert_eq!(terminal.modes().unwrap().local_flags, before);
}

#[test]
fn keys_turn_the_tables_and_the_terminal_is_given_back() {
    let Some(fixture) = Fixture::start("off", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let _knocking = Knocking::start(&fixture, 7_001);
    let mut top = start(&fixture);
    let before = top.modes().unwrap().local_flags;
    assert!(before.contains(LocalFlags::ECHO | LocalFlags::ICANON));
    let screen = top.wait_for_text(PATIENCE, "default-deny").unwrap();
    assert!(screen.is_taken() && !screen.is_cursor_shown);
    let raw = top.modes().unwrap().local_flags;
    assert!(!raw.intersects(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
    for (key, text) in [
        ("2", "dropped/default-deny"),
        ("3", "Sources: reported flows, sampled"),
        ("\t", "Ports: reported flows, sampled"),
        ("5", "Interfaces: reported flows, sampled"),
        ("6", "AUDITED and let pass: reported ones"),
        ("?", "Rules and reasons are counted by the kernel"),
        ("x1", "Rules: every packet"),
        ("/deny\r", "(only with \"deny\")"),
    ] {
        top.press(key).unwrap();
        let found = top.wait_for_text(PATIENCE, text);
        assert!(found.is_ok(), "{key:?}: {}", found.unwrap_err());
    }
    // The next key only when this one was taken: Escape with a letter behind it is another key.
    top.press("/\x1b").unwrap();
    top.wait_for(PATIENCE, |screen| !screen.text().contains("only with"))
        .unwrap();
    top.press("p").unwrap();
    top.wait_for_text(PATIENCE, "PAUSED").unwrap();
    // While it is held, nothing moves.
    let shown = |top: &mut Pty| {
        let screen = top.wait_for(PATIENCE, |_| true).unwrap();
        screen.text()
    };
    let held = shown(&mut top);
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!(shown(&mut top), held);
    top.press("p").unwrap();
    top.wait_for(PATIENCE, |screen| !screen.text().contains("PAUSED"))
        .unwrap();
    top.resize(50, 12).unwrap();
    top.wait_for_text(PATIENCE, "of 6").unwrap();
    top.press("q").unwrap();
    let (status, _) = top.end(PATIENCE).unwrap();
    assert!(status.success(), "{status}");
    assert_given_back(&mut top, before);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let Some(fixture) = Fixture::start("off", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let mut top = start(&fixture);
        let before = top.modes().unwrap().local_flags;
        top.wait_for_text(PATIENCE, "Rules: every packet").unwrap();
        kill(top.pid(), signal).unwrap();
        let (status, _) = top.end(PATIENCE).unwrap();
        assert_eq!(status.code(), Some(code), "{status}");
        assert_given_back(&mut top, before);
    }
}

#[test]
fn a_daemon_that_goes_away_is_waited_for() {
    let Some(mut fixture) = Fixture::start("off", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let _knocking = Knocking::start(&fixture, 7_001);
    let mut top = start(&fixture);
    top.wait_for_text(PATIENCE, "over 0.").unwrap();
    fixture.kill_daemon();
    let screen = top
        .wait_for_text(PATIENCE, "daemon gone, trying again")
        .unwrap();
    let text = screen.text();
    let denied = text.lines().find(|line| line.contains("deny")).unwrap();
    assert!(denied.trim_start().starts_with('-'), "old rates: {text}");
    fixture.restart_daemon();
    let screen = top.wait_for(PATIENCE, |screen| {
        let text = screen.text();
        !text.contains("daemon gone") && text.contains("over 0.")
    });
    let text = screen.unwrap().text();
    let denied = text.lines().find(|line| line.contains("deny")).unwrap();
    let rate = denied.split_whitespace().next().unwrap();
    let rate: f64 = rate.parse().unwrap_or_else(|_| panic!("{text}"));
    assert!(rate > 0.0 && rate < f64::from(RATE) * 2.0, "{text}");
}
