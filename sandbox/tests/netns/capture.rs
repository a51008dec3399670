//! `fw-ctl capture`: dropped packets byte by byte, with what dropped them.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::frame::{self, FrameSocket};
use sandbox::pcapng::{self, Captured};
use sandbox::{Family, probe};
use serde_json::Value;

use crate::fixture::{EGRESS_NOTHING, Fixture, INGRESS_WEB};
use crate::lost::flood;
use crate::on_xdp_and_tc;

const PATIENCE: Duration = Duration::from_secs(10);

on_xdp_and_tc!(
    packets_are_captured_as_they_were_with_what_dropped_them,
    captures_are_as_long_and_as_many_as_each_wants,
    captures_end_well_whatever_ends_them,
    a_flood_is_captured_in_part_and_the_rest_is_counted
);

/// `fw-ctl capture`, which has begun.
struct Capture {
    child: Child,
    file: PathBuf,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Capture {
    fn start(fixture: &Fixture, name: &str, arguments: &[&str]) -> Self {
        let file = fixture.lab.dir.path().join(name);
        Self::start_to(fixture, &file, arguments)
    }

    fn start_to(fixture: &Fixture, file: &Path, arguments: &[&str]) -> Self {
        let to = file.to_str().unwrap();
        let arguments = [&["capture", "--dropped", "-w", to], arguments].concat();
        let mut child = fixture
            .fw_ctl
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert_eq!(line, "Capturing dropped packets\n");
        Self {
            child,
            file: file.to_owned(),
            stderr,
        }
    }

    fn packets(&self) -> Vec<Captured> {
        pcapng::read(&std::fs::read(&self.file).unwrap()).unwrap()
    }

    /// The first that fits, which may come yet.
    fn packet(&self, what: &str, fits: impl Fn(&Captured) -> bool) -> Captured {
        let end = Instant::now() + PATIENCE;
        loop {
            let packets = self.packets();
            if let Some(found) = packets.iter().find(|packet| fits(packet)) {
                return found.clone();
            }
            assert!(Instant::now() < end, "{what} is not among {packets:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Its exit code, and what it has said in the end.
    fn wait(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "the capture does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).unwrap();
        (status.code(), text)
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

fn packets_are_captured_as_they_were_with_what_dropped_them(xdp: &'static str) {
    let policies = [("web", INGRESS_WEB), ("out", EGRESS_NOTHING)];
    let Some(fixture) = Fixture::start(xdp, "enforce", &policies) else {
        return;
    };
    let (lab, node) = (&fixture.lab, &fixture.lab.node);
    let capture = Capture::start(&fixture, "all.pcapng", &[]);
    let wire = FrameSocket::open(&lab.segment, "p-node").unwrap();
    // On its way through the bridge a tag leaves the frame, as in a card that strips it.
    let bridged = FrameSocket::open(&lab.stranger.namespace, "eth0").unwrap();
    let ethernet = |tags: &[(u16, u16)], (kind, packet): &(u16, Vec<u8>)| {
        frame::ethernet(node.mac, lab.stranger.mac, tags, *kind, packet)
    };
    let began = now();
    let by_policy = "DROPPED default-deny, by ingress[0] of policy web (";
    for (port, family) in (45_000..).zip(Family::BOTH) {
        let from = lab.stranger.socket(family, port);
        let syn = frame::tcp_syn(from, node.socket(family, 22));
        let plain = ethernet(&[], &syn);
        let mut frames = vec![(&wire, plain.clone(), plain, by_policy.to_owned())];
        let tagged = ethernet(&[(frame::VLAN, 0x6007)], &syn);
        frames.push((&wire, tagged.clone(), tagged.clone(), by_policy.to_owned()));
        // Whoever sees no tag beside the frame sees none, as XDP.
        let seen = match xdp {
            "native" => ethernet(&[], &syn),
            _ => tagged.clone(),
        };
        let marked = |frame: &[u8]| [frame, b"through the bridge"].concat();
        frames.push((
            &bridged,
            marked(&tagged),
            marked(&seen),
            by_policy.to_owned(),
        ));
        if family == Family::V4 {
            // The header says that it has 16 bytes; RFC 791 §3.1: at least 20.
            let mut short = syn.clone();
            short.1[0] = 0x44;
            let invalid = "DROPPED invalid-packet, no policy asked, ";
            let short = ethernet(&[], &short);
            frames.push((&wire, short.clone(), short, invalid.to_owned()));
            // A later fragment, of which nobody has seen the first.
            let mut later = syn.clone();
            later.1[6..8].copy_from_slice(&[0, 5]);
            let alone = "DROPPED fragment-without-first, no policy asked, ";
            let later = ethernet(&[], &later);
            frames.push((&wire, later.clone(), later, alone.to_owned()));
        }
        for (socket, sent, frame, comment) in frames {
            socket.send(&sent).unwrap();
            let found = capture.packet(&comment, |packet| packet.bytes == frame);
            assert!(found.comment.starts_with(&comment), "{xdp}: {found:?}");
            if comment == by_policy {
                assert!(found.comment.contains("web.yaml:"), "{xdp}: {found:?}");
            }
            assert_eq!((found.link, found.flags), (1, 1), "{xdp}");
            assert_eq!(found.length as usize, frame.len(), "{xdp}");
            assert_eq!(found.interface, "eth0", "{xdp}");
            assert!((began..=now()).contains(&found.time), "{xdp}: {found:?}");
        }
        let to = lab.stranger.socket(family, 9_999);
        let _ = probe::udp(&node.namespace, Some(port), to);
        let out = "DROPPED default-deny, by egress[0] of policy out (";
        let found = capture.packet(out, |packet| {
            packet.flags == 2
                && packet.bytes.len() == packet.length as usize
                && packet.comment.starts_with(out)
                && packet.bytes[12..14]
                    == match family {
                        Family::V4 => frame::IPV4,
                        Family::V6 => frame::IPV6,
                    }
                    .to_be_bytes()
        });
        assert_eq!(found.bytes[6..12], node.mac, "{xdp}: {found:?}");
        let ports = [port.to_be_bytes(), 9_999_u16.to_be_bytes()].concat();
        assert!(
            found.bytes.windows(4).any(|part| part == ports),
            "{found:?}"
        );
        // What is allowed is not among them.
        assert!(probe::tcp(&lab.stranger.namespace, None, node.socket(family, 80)).answered());
    }
    let packets = capture.packets();
    let is_other = |packet: &&Captured| !packet.comment.starts_with("DROPPED ");
    assert_eq!(packets.iter().find(is_other), None, "{xdp}");
    capture.signal(Signal::SIGINT);
    let file = capture.file.clone();
    let (code, text) = capture.wait();
    assert_eq!(code, Some(0), "{xdp}: {text}");
    let sum = format!("{} packets captured\n", packets.len());
    assert!(text.ends_with(&sum), "{xdp}: {sum}: {text}");
    let fields = ["frame.interface_name", "frame.len", "frame.comment"];
    let expected = packets.iter().map(|packet| {
        let Captured {
            interface,
            length,
            comment,
            ..
        } = packet;
        format!("{interface}\t{length}\t{comment}")
    });
    let expected: Vec<_> = expected.collect();
    assert_eq!(tshark(&file, &fields), expected, "{xdp}");
}

/// What tshark reads of a capture, a row for each packet: the reader of this test is written
/// from the draft, as the writer is.
fn tshark(file: &Path, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("tshark: {error}; try: make deps"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let rows = String::from_utf8(output.stdout).unwrap();
    rows.lines().map(str::to_owned).collect()
}

fn captures_are_as_long_and_as_many_as_each_wants(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "audit", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let (from, node) = (&fixture.lab.stranger, &fixture.lab.node);
    let arguments = ["--snaplen", "40", "--count", "2", "--protocol", "tcp"];
    let few = Capture::start(&fixture, "few.pcapng", &arguments);
    let arguments = ["--duration", "4s", "--protocol", "udp"];
    let timed = Capture::start(&fixture, "timed.pcapng", &arguments);
    let stdout = Capture::start_to(&fixture, Path::new("-"), &["-c", "1", "-6"]);
    for (port, family) in (45_000..).zip(Family::BOTH) {
        let answer = probe::tcp(&from.namespace, Some(port), node.socket(family, 22));
        assert!(answer.answered(), "it is audit mode");
        let _ = probe::udp(&from.namespace, Some(port), node.socket(family, 7001));
    }
    let packets = |path: &Path| pcapng::read(&std::fs::read(path).unwrap()).unwrap();
    let (few_file, timed_file) = (few.file.clone(), timed.file.clone());
    assert_eq!(few.wait().0, Some(0), "{xdp}");
    let found = packets(&few_file);
    assert_eq!(found.len(), 2, "{xdp}");
    for packet in found {
        assert!(
            packet.comment.starts_with("AUDIT default-deny, by "),
            "{packet:?}"
        );
        assert!(packet.bytes.len() == 40 && packet.length > 60, "{packet:?}");
    }
    let mut stdout = stdout;
    let mut bytes = Vec::new();
    let mut pipe = stdout.child.stdout.take().unwrap();
    pipe.read_to_end(&mut bytes).unwrap();
    assert_eq!(stdout.wait().0, Some(0), "{xdp}");
    let found = pcapng::read(&bytes).unwrap();
    assert_eq!(found.len(), 1, "{xdp}");
    assert_eq!(found[0].bytes[12..14], frame::IPV6.to_be_bytes(), "{xdp}");
    let (code, text) = timed.wait();
    assert_eq!(
        (code, text.ends_with("2 packets captured\n")),
        (Some(0), true),
        "{text}"
    );
    for packet in packets(&timed_file) {
        assert_eq!(packet.bytes.len(), packet.length as usize, "{packet:?}");
    }
}

fn captures_end_well_whatever_ends_them(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let drop_one = |fixture: &Fixture, port| {
        let (from, node) = (&fixture.lab.stranger, &fixture.lab.node);
        let _ = probe::udp(&from.namespace, Some(port), node.socket(Family::V4, 7001));
    };
    // A full disk.
    let answer = fixture
        .fw_ctl
        .ask(&["capture", "--dropped", "-w", "/dev/full"])
        .unwrap();
    assert_eq!(answer.code, 5, "{answer:?}");
    // Killed; nobody captures any more, and whoever comes later can.
    for port in [45_001, 45_002] {
        let killed = Capture::start(&fixture, "killed.pcapng", &[]);
        drop_one(&fixture, port);
        let of_port = |packet: &Captured| {
            packet
                .bytes
                .windows(2)
                .any(|part| part == port.to_be_bytes())
        };
        killed.packet("one", of_port);
        killed.signal(Signal::SIGKILL);
        assert_eq!(killed.wait().0, None, "{xdp}");
    }
    // As many as there may be, and one more.
    let some: Vec<_> = (0..4)
        .map(|number| Capture::start(&fixture, &format!("{number}.pcapng"), &[]))
        .collect();
    let place = fixture.lab.dir.path().join("more.pcapng");
    let answer = fixture
        .fw_ctl
        .ask(&["capture", "--dropped", "-w", place.to_str().unwrap()])
        .unwrap();
    assert_eq!(answer.code, 5, "{answer:?}");
    assert!(
        !place.exists(),
        "what was there stays, if there is no capture"
    );
    drop_one(&fixture, 45_003);
    for capture in &some {
        capture.packet("one", |packet| packet.flags == 1);
    }
    fixture.kill_daemon();
    for capture in some {
        let file = capture.file.clone();
        let (code, text) = capture.wait();
        assert_eq!(code, Some(5), "{xdp}: {text}");
        assert!(text.contains("the daemon has hung up"), "{xdp}: {text}");
        assert!(text.contains("1 packet captured"), "{xdp}: {text}");
        assert_eq!(
            pcapng::read(&std::fs::read(file).unwrap()).unwrap().len(),
            1
        );
    }
    fixture.restart_daemon();
    let again = Capture::start(&fixture, "again.pcapng", &["--count", "1"]);
    drop_one(&fixture, 45_004);
    assert_eq!(again.wait().0, Some(0), "{xdp}");
}

fn a_flood_is_captured_in_part_and_the_rest_is_counted(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    // One that nobody reads: it holds up neither the daemon nor the other.
    let mut stuck = Capture::start_to(&fixture, Path::new("-"), &[]);
    let capture = Capture::start(&fixture, "flood.pcapng", &["--duration", "5s"]);
    let end = Instant::now() + Duration::from_secs(2);
    flood(&fixture, || Instant::now() > end);
    let file = capture.file.clone();
    let (code, text) = capture.wait();
    assert_eq!(code, Some(0), "{xdp}: {text}");
    let number = |what: &str| {
        let line = text.lines().find_map(|line| line.strip_suffix(what));
        let line = line.unwrap_or_else(|| panic!("{xdp}: {what}: {text}"));
        line.parse::<u64>().unwrap()
    };
    let captured = number(" packets captured");
    assert_eq!(
        pcapng::read(&std::fs::read(file).unwrap()).unwrap().len() as u64,
        captured
    );
    let lost = number(" not captured: too many at once");
    let counters = fixture.fw_ctl.must(&["status", "-o", "json"]).unwrap();
    let counters: Value = serde_json::from_str(&counters).unwrap();
    let counters = counters["counters"].as_array().unwrap().iter();
    let dropped = counters
        .filter(|counter| counter["name"] == "dropped/default-deny")
        .map(|counter| counter["packets"].as_u64().unwrap());
    let dropped: u64 = dropped.sum();
    assert_eq!(captured + lost, dropped, "{xdp}: {text}");
    stuck.child.kill().unwrap();
    stuck.child.wait().unwrap();
}
