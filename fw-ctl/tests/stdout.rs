//! What becomes of data that cannot be written: a full disk is an error of every
//! command, a reader that has read enough (`| head`) of none.
#![allow(clippy::unwrap_used, reason = "tests may")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::json;

const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {}
  ingress:
  - fromCIDR: [192.0.2.0/24]
  ingressDeny:
  - fromCIDR: [0.0.0.0/0]
";
const INVENTORY: &str = "\
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}
";
const FLOW: &str = r#"{"src":"192.0.2.7","dst":"10.0.0.1","proto":"TCP","dport":22}"#;

/// Every command that prints data and needs no daemon, with the exit code of its answer.
const COMMANDS: [(&str, i32); 19] = [
    ("--help", 0),
    ("--version", 0),
    ("policy test --help", 0),
    ("version", 0),
    ("version --verbose", 0),
    ("completions bash", 0),
    ("init --profile plain --root . --node n1 --dry-run", 0),
    (
        "init --profile plain --root . --node n1 --dry-run -o json",
        0,
    ),
    ("policy validate p.yaml", 0),
    ("policy validate p.yaml -o json", 0),
    ("policy list p.yaml", 0),
    ("policy list --builtin -o json", 0),
    ("policy diff p.yaml i.yaml --node n1 --inventory i.yaml", 1),
    (
        "policy diff p.yaml p.yaml --node n1 --inventory i.yaml -o json",
        0,
    ),
    ("policy lint p.yaml", 1),
    ("policy lint p.yaml -o json", 1),
    (
        "policy test --policies p.yaml --inventory i.yaml --node n1 --flows f.jsonl",
        0,
    ),
    (
        "policy test --policies p.yaml --inventory i.yaml --node n1 --flows f.jsonl -o json",
        0,
    ),
    (
        "trace --from 192.0.2.7 --to 10.0.0.1:443 --policies p.yaml --inventory i.yaml --node n1",
        1,
    ),
];

fn files() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("p.yaml", POLICY), ("i.yaml", INVENTORY), ("f.jsonl", FLOW)] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn run(directory: &Path, command: &str, stdout: Stdio) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fw-ctl"))
        .args(command.split(' '))
        .env_clear()
        .current_dir(directory)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_full_disk_is_an_error() {
    let directory = files();
    for (command, _) in COMMANDS {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = run(directory.path(), command, full.into());
        assert_eq!(output.status.code(), Some(5), "{command}");
        let said = stderr(&output);
        let error = "error: cannot write to stdout: No space left on device\n";
        assert!(said.ends_with(error), "{command}: {said}");
    }
}

#[test]
fn a_closed_pipe_changes_neither_the_exit_code_nor_what_is_said() {
    let directory = files();
    for (command, code) in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = run(directory.path(), command, writer.into());
        let open = run(directory.path(), command, Stdio::piped());
        assert_eq!(closed.status.code(), Some(code), "{command}");
        assert_eq!(open.status.code(), Some(code), "{command}");
        assert_eq!(stderr(&closed), stderr(&open), "{command}");
    }
}

/// Who looks at the first verdict only must not wait for the end of all verdicts.
#[test]
fn a_monitor_that_nobody_reads_ends() {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("control.sock")).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        reader.read_line(&mut request).unwrap();
        assert_eq!(request, "{\"verb\":\"monitor\"}\n");
        let side = |address, identity| json!({"address": address, "port": 1, "identity": {"number": identity, "labels": []}});
        let record = json!({
            "time": 1, "node": "default/n1", "told": "allow", "reason": null, "ingress": true,
            "source": side("192.0.2.1", 2), "destination": side("10.0.0.1", 1),
            "family": 4, "protocol": 6, "tcp_flags": 2, "icmp_type": 0, "icmp_code": 0,
            "vlan": 0, "length": 60, "ifindex": 2, "interface": "eth0", "plan": 1, "rule": null,
        });
        let replies = format!("{}\n{}\n", json!({"done": null}), json!({"record": record}));
        stream.write_all(replies.as_bytes()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        matches!(stream.read(&mut [0]), Ok(0))
    });
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = run(directory.path(), "monitor --run-dir .", writer.into());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        "Listening for events\nPress Ctrl-C to quit\n"
    );
    assert!(daemon.join().unwrap(), "the monitor went on");
}
