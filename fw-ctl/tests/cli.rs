//! The binary as a user meets it: help, exit codes, and what it says when
//! something is missing. Nothing here needs root or a daemon.

use std::path::Path;
use std::process::{Command, Output};

struct Sandbox(tempfile::TempDir);

impl Sandbox {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("the file can be written");
        path.display().to_string()
    }

    /// Runs fw-ctl with no configuration but its own.
    fn run(&self, arguments: &[&str]) -> Answer {
        Answer::from(self.command(arguments).output().expect("fw-ctl starts"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fw-ctl"));
        command.args(arguments).env_clear().current_dir(self.path());
        command
    }
}

#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

const COMMANDS: [&str; 19] = [
    "daemon",
    "init",
    "status",
    "doctor",
    "reload",
    "mode",
    "monitor",
    "observe",
    "rules",
    "peers",
    "top",
    "metrics",
    "policy",
    "trace",
    "explain",
    "detach",
    "completions",
    "man",
    "version",
];

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let sandbox = Sandbox::new();
    let help = sandbox.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for command in COMMANDS {
        let line = help
            .stdout
            .lines()
            .find(|line| line.trim().starts_with(command));
        assert!(line.is_some(), "{command}");
        let own = sandbox.run(&[command, "--help"]);
        assert_eq!((own.code, own.stderr.as_str()), (Some(0), ""), "{command}");
    }
    assert!(
        help.stdout.contains("4  refused for safety"),
        "{}",
        help.stdout
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    let sandbox = Sandbox::new();
    for arguments in [
        &[][..],
        &["nonsense"],
        &["mode", "off"],
        // No build but that of scripts/ebpf-log.sh has it.
        &["daemon", "--ebpf-log"],
        &["trace", "--from", "10.0.0.1"],
        &["trace", "--from", "ten", "--to", "10.0.0.1:22"],
        &["trace", "--from", "10.0.0.1", "--to", "[fd00::1]:22/tcp"],
        &["status", "-o", "yaml"],
        &["peers", "ten"],
        &["peers", "10.0.0.1", "--label", "k8s:app=web"],
        &["peers", "--identity", "nobody"],
        &["peers", "--limit", "0"],
        &["peers", "--limit", "10001"],
        &["peers", "--node", "n1"],
        &["monitor", "-t", "nothing"],
        &["observe", "-t", "trace"],
        &["observe", "-f", "-o", "table"],
        &["observe", "--not"],
        // Nobody looks at what a test has as stdout.
        &["top"],
        &["top", "--once", "-d", "0"],
        &["top", "-n", "1"],
    ] {
        let answer = sandbox.run(arguments);
        assert_eq!(answer.code, Some(2), "{arguments:?} {answer:?}");
        assert_eq!(answer.stdout, "", "{arguments:?}");
        assert_ne!(answer.stderr, "", "{arguments:?}");
    }
}

#[test]
fn without_a_daemon_every_client_says_so_and_exits_with_5() {
    let sandbox = Sandbox::new();
    let run_dir = sandbox.path().display().to_string();
    for arguments in [
        &["status"][..],
        &["reload"],
        &["mode"],
        &["mode", "enforce"],
        &["monitor"],
        &["observe"],
        &["rules"],
        &["peers"],
        &["peers", "10.0.0.1", "-o", "json"],
        &["top", "--once"],
        &["trace", "--from", "10.0.0.1", "--to", "10.0.0.2:22/tcp"],
    ] {
        let answer = sandbox.run(&[arguments, &["--run-dir", &run_dir]].concat());
        assert_eq!(answer.code, Some(5), "{arguments:?} {answer:?}");
        let told = format!(
            "error: fw-ctl's daemon is not running: nobody listens on {run_dir}/control.sock"
        );
        let more = answer.stderr.strip_prefix(&told);
        let more = more.and_then(|more| more.strip_suffix("\n  try: systemctl start fw-ctl\n"));
        // What this machine's kernel filters by now, root may know.
        let is_right = more.is_some_and(|more| match arguments[0] {
            "status" => more.is_empty() || more.starts_with("; "),
            _ => more.is_empty(),
        });
        assert!(is_right, "{arguments:?} {answer:?}");
        assert_eq!(answer.stdout, "");
    }
}

#[test]
fn a_wrong_configuration_exits_with_3_and_names_line_and_key() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("fw-ctl.toml", "[policy]\nmoed = \"enforce\"\n");
    let answer = sandbox.run(&["daemon", "--config", &config]);
    assert_eq!(answer.code, Some(3), "{answer:?}");
    let expected = format!(
        "error: unknown key `policy.moed`
 --> {config}:2:1
  |
2 | moed = \"enforce\"
  | ^^^^
  |
  = field: policy.moed
  = help: did you mean `mode`?

error: the configuration is refused: 1 error
"
    );
    assert_eq!(answer.stderr, expected);
    let absent = sandbox.path().join("absent.toml").display().to_string();
    let answer = sandbox.run(&["daemon", "--config", &absent]);
    assert_eq!(answer.code, Some(3), "{answer:?}");
    assert!(
        answer.stderr.contains("No such file or directory"),
        "{answer:?}"
    );
    assert!(!answer.stderr.contains("os error"), "{answer:?}");

    let config = sandbox.write("fw-ctl.toml", "");
    let mut command = sandbox.command(&["daemon", "--config", &config]);
    command.env("FW_CTL_POLICY__MODE", "on");
    let answer = Answer::from(command.output().expect("fw-ctl starts"));
    assert_eq!(answer.code, Some(3), "{answer:?}");
    assert!(
        answer
            .stderr
            .contains("environment variable FW_CTL_POLICY__MODE"),
        "{answer:?}"
    );
}

#[test]
fn a_broken_configuration_does_not_keep_a_client_from_its_daemon() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("fw-ctl.toml", "nonsense");
    let answer = sandbox.run(&["status", "--config", &config]);
    assert_eq!(answer.code, Some(5), "{answer:?}");
    for part in [
        "cannot be read as a configuration",
        "trying /run/fw-ctl",
        "--run-dir",
    ] {
        assert!(answer.stderr.contains(part), "{part}: {answer:?}");
    }

    // A wrong value elsewhere: the paths are those of the file.
    let config = sandbox.write(
        "fw-ctl.toml",
        "[policy]\nmode = \"on\"\n[paths]\nrun_dir = \"/nowhere/run\"\npin_dir = \"/nowhere/pins\"\n",
    );
    let answer = sandbox.run(&["status", "--config", &config]);
    assert_eq!(answer.code, Some(5), "{answer:?}");
    let socket = "nobody listens on /nowhere/run/control.sock";
    assert!(answer.stderr.contains(socket), "{answer:?}");
    let answer = sandbox.run(&["detach", "--config", &config]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(
        answer.stderr.contains("no pins in /nowhere/pins"),
        "{answer:?}"
    );
}

#[test]
fn completions_and_man_pages_cover_the_commands() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.run(&["completions", shell]);
        assert_eq!(script.code, Some(0));
        for command in COMMANDS {
            assert!(script.stdout.contains(command), "{shell}: {command}");
        }
    }
    let out = sandbox.path().join("man").display().to_string();
    assert_eq!(sandbox.run(&["man", "--out", &out]).code, Some(0));
    for command in COMMANDS {
        let page = Path::new(&out).join(format!("fw-ctl-{command}.1"));
        assert!(page.exists(), "{}", page.display());
    }
    assert!(Path::new(&out).join("fw-ctl.1").exists());
}

#[test]
fn version_goes_to_stdout() {
    let sandbox = Sandbox::new();
    let short = sandbox.run(&["version"]);
    assert_eq!(
        (short.code, short.stdout.as_str()),
        (Some(0), concat!("fw-ctl ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    let long = sandbox.run(&["version", "--verbose"]);
    assert!(long.stdout.starts_with(&short.stdout));
    assert!(
        long.stdout
            .contains(&format!("pins      v{}", fw_common::wire::SCHEMA_VERSION))
    );
}

#[test]
fn colours_are_for_terminals_only() {
    let sandbox = Sandbox::new();
    let answer = sandbox.run(&["status", "--run-dir", "/nonexistent"]);
    assert!(!answer.stderr.contains('\u{1b}'), "{answer:?}");
    let mut command = sandbox.command(&["status", "--run-dir", "/nonexistent"]);
    command.env("CLICOLOR_FORCE", "1");
    let forced = Answer::from(command.output().expect("fw-ctl starts"));
    assert!(forced.stderr.contains('\u{1b}'), "{forced:?}");
    command.env("NO_COLOR", "1");
    let none = Answer::from(command.output().expect("fw-ctl starts"));
    assert!(!none.stderr.contains('\u{1b}'), "NO_COLOR wins: {none:?}");
}

const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {matchLabels: {role: cp}}
  ingress:
  - fromCIDR: [192.0.2.0/24]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
";
const NODE: &str = "\
kind: Node
apiVersion: v1
metadata: {name: n1, labels: {role: cp}}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}
";

fn trace(sandbox: &Sandbox, from: &str, to: &str, more: &[&str]) -> Answer {
    let policy = sandbox.write("p.yaml", POLICY);
    let inventory = sandbox.write("i.yaml", NODE);
    let arguments = [
        "trace",
        "--from",
        from,
        "--to",
        to,
        "--policies",
        &policy,
        "--inventory",
        &inventory,
        "--node",
        "n1",
    ];
    sandbox.run(&[&arguments, more].concat())
}

#[test]
fn a_trace_of_files_exits_with_0_allowed_and_1_denied() {
    let sandbox = Sandbox::new();
    let allowed = trace(&sandbox, "192.0.2.7", "10.0.0.1:443/tcp", &[]);
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    assert!(allowed.stdout.ends_with("\nallowed\n"), "{allowed:?}");
    let denied = trace(
        &sandbox,
        "198.51.100.7",
        "10.0.0.1:443/tcp",
        &["-o", "json"],
    );
    assert_eq!(denied.code, Some(1), "{denied:?}");
    let json: serde_json::Value = serde_json::from_str(&denied.stdout).expect("JSON");
    assert_eq!(json["schema"], 1);
    assert_eq!(json["verdict"], "deny");
    assert_eq!(json["direction"], "ingress");
    assert_eq!(json["rule"]["policy"], "host");
    let origin = json["rule"]["origin"].as_str().expect("a place");
    assert!(origin.ends_with("p.yaml:7"), "{origin}");
}

#[test]
fn peers_of_files_say_who_an_address_is_and_which_line_says_so() {
    let sandbox = Sandbox::new();
    let policy = sandbox.write("p.yaml", POLICY);
    let inventory = sandbox.write("i.yaml", NODE);
    let ask = |more: &[&str]| {
        let files = ["--policies", &policy, "--inventory", &inventory];
        let node = ["--node", "n1"];
        sandbox.run(&[&["peers"], more, &files[..], &node].concat())
    };
    let table = ask(&["10.0.0.1"]);
    assert_eq!(table.code, Some(0), "{table:?}");
    let told = "10.0.0.1 is host (node n1), identity 1 [reserved:host]; peer class ";
    assert!(table.stdout.starts_with(told), "{table:?}");
    let row = table
        .stdout
        .lines()
        .find(|line| line.starts_with("10.0.0.1/32"))
        .expect("a row");
    assert!(row.ends_with(&format!("Node n1 ({inventory}:1)")), "{row}");

    let json = ask(&["-o", "json", "--limit", "2"]);
    assert_eq!(json.code, Some(0), "{json:?}");
    let value: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((&value["schema"], &value["total"]), (&1.into(), &4.into()));
    assert_eq!(value["next"], "10.0.0.1/32");
    assert!(json.stderr.contains("2 of 4 rows"), "{json:?}");
    let rest = ask(&["-o", "json", "--after", "10.0.0.1/32"]);
    let value: serde_json::Value = serde_json::from_str(&rest.stdout).expect("JSON");
    let peers = value["peers"].as_array().expect("rows");
    let prefixes: Vec<_> = peers.iter().map(|peer| peer["prefix"].as_str()).collect();
    assert_eq!(prefixes, [Some("192.0.2.0/24"), Some("::/0")]);
    assert_eq!(value["next"], serde_json::Value::Null);
    let place = peers[0]["from"][0]["place"].as_str().expect("a place");
    assert!(place.ends_with("p.yaml:7"), "{place}");
}

#[test]
fn a_trace_of_wrong_files_exits_with_3() {
    let sandbox = Sandbox::new();
    let policy = sandbox.write("wrong.yaml", &POLICY.replace("/24", "/40"));
    let answer = sandbox.run(&[
        "trace",
        "--from",
        "192.0.2.7",
        "--to",
        "10.0.0.1:443/tcp",
        "--policies",
        &policy,
    ]);
    assert_eq!(answer.code, Some(3), "{answer:?}");
    assert!(answer.stderr.contains("wrong.yaml:7:"), "{answer:?}");
    assert_eq!(answer.stdout, "");
}

#[test]
fn policy_validate_exits_with_0_or_3() {
    let sandbox = Sandbox::new();
    let right = sandbox.write("right.yaml", POLICY);
    let wrong = sandbox.write("wrong.yaml", &POLICY.replace("fromCIDR", "fromCdir"));
    assert_eq!(sandbox.run(&["policy", "validate", &right]).code, Some(0));
    let answer = sandbox.run(&["policy", "validate", &wrong]);
    assert_eq!(answer.code, Some(3), "{answer:?}");
    assert!(
        answer.stderr.contains("fromCIDR"),
        "it says what was meant: {answer:?}"
    );
}
