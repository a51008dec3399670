//! `fw-ctl init` as a user meets it: files below another root, and on a live host, for which a
//! network namespace stands in.
#![allow(clippy::unwrap_used, reason = "tests may")]

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs it with no environment but `variables`.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_fw-ctl"))
        .arg("init")
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

const FILES: [(&str, &str); 2] = [
    ("etc/hostname", "server1\n"),
    (
        "etc/rancher/rke2/config.yaml",
        "cluster-cidr: 10.42.0.0/16\nnode-label:\n- rack=r1\n",
    ),
];

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in FILES {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

fn on(root: &Path, more: &[&str]) -> Answer {
    let root = root.to_str().unwrap();
    let arguments = ["--profile", "rke2-server", "--root", root];
    run(&[&arguments[..], more].concat(), &[])
}

const ADMIN: [&str; 2] = ["--admin", "10.0.9.0/24"];

/// What is said, with the root by a name that does not change.
fn named(text: &str, root: &Path) -> String {
    text.replace(root.to_str().unwrap(), "ROOT")
}

/// A line of a table with one blank between its words.
fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn files_are_written_below_the_root_and_once_more_is_no_change() {
    let root = root();
    let first = on(root.path(), &ADMIN);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let said = named(&first.stdout, root.path());
    let lines: Vec<String> = said.lines().map(words).collect();
    for line in [
        "profile rke2-server --profile",
        "node server1 hostname",
        "label node-role.kubernetes.io/control-plane=true servers of RKE2",
        "node-role.kubernetes.io/etcd=true servers of RKE2",
        "rack=r1 ROOT/etc/rancher/rke2/config.yaml:3",
        "SSH port 22",
        "admin network 10.0.9.0/24 --admin",
        "pod network 10.42.0.0/16 ROOT/etc/rancher/rke2/config.yaml:1",
        "ROOT/etc/fw-ctl/fw-ctl.toml written",
        "ROOT/etc/fw-ctl/inventory/site.yaml written",
        "ROOT/etc/fw-ctl/policies/every-node.yaml written",
    ] {
        assert!(lines.iter().any(|one| one == line), "{line}\n{said}");
    }
    let expected = "\
note: addresses and listening sockets here are this machine's, and left out
  try: kubectl get nodes,namespaces,pods,endpointslices,ciliumcidrgroups -A -o yaml > ROOT/etc/fw-ctl/inventory/cluster.yaml
";
    assert_eq!(named(&first.stderr, root.path()), expected);
    let policies = root.path().join("etc/fw-ctl/policies");
    assert_eq!(std::fs::read_dir(&policies).unwrap().count(), 5);
    let again = on(root.path(), &ADMIN);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(
        again.stdout.matches("unchanged").count(),
        7,
        "{}",
        again.stdout
    );
    // The daemon's own way of reading them.
    let (policies, inventory) = (
        policies.display().to_string(),
        root.path().join("etc/fw-ctl/inventory"),
    );
    let list = Command::new(env!("CARGO_BIN_EXE_fw-ctl"))
        .args([
            "policy",
            "list",
            &policies,
            "--node",
            "server1",
            "-o",
            "json",
            "--inventory",
        ])
        .arg(inventory)
        .output()
        .unwrap();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let listed = list["policies"].as_array().unwrap();
    assert!(
        listed.iter().all(|policy| policy["selected"] == true),
        "{list}"
    );
}

#[test]
fn what_says_something_else_is_in_the_way() {
    let root = root();
    let path = root.path().join("etc/fw-ctl/policies/web.yaml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "# mine\n").unwrap();
    let refused = on(root.path(), &ADMIN);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(4), ""));
    let expected = "\
error: nothing was written: these files are there already, and say something else:
       ROOT/etc/fw-ctl/policies/web.yaml
  try: --dry-run to see what would be written; --force to replace them (each is kept with .bak behind its name)
";
    assert_eq!(named(&refused.stderr, root.path()), expected);
    assert!(!root.path().join("etc/fw-ctl/fw-ctl.toml").exists());
    let forced = on(root.path(), &[&ADMIN[..], &["--force"]].concat());
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    let told = "replaced; before: ROOT/etc/fw-ctl/policies/web.yaml.bak";
    assert!(
        named(&forced.stdout, root.path()).contains(told),
        "{}",
        forced.stdout
    );
    let kept = std::fs::read_to_string(path.with_extension("yaml.bak")).unwrap();
    assert_eq!(kept, "# mine\n");
}

#[test]
fn a_dry_run_prints_the_files_and_writes_none() {
    let root = root();
    let dry = on(root.path(), &[&ADMIN[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    for part in [
        "==> ROOT/etc/fw-ctl/fw-ctl.toml <==\n# Configuration of fw-ctl.",
        "\nname = \"server1\"\n",
        "==> ROOT/etc/fw-ctl/policies/web.yaml <==\n",
        "ROOT/etc/fw-ctl/policies/web.yaml         would be written\n",
    ] {
        let said = named(&dry.stdout, root.path());
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(!root.path().join("etc/fw-ctl").exists());
    // What is in the way is said by the exit code, too.
    let path = root.path().join("etc/fw-ctl/fw-ctl.toml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "[policy]\nmode = \"enforce\"\n").unwrap();
    let dry = on(
        root.path(),
        &[&ADMIN[..], &["--dry-run", "-o", "json"]].concat(),
    );
    assert_eq!(dry.code, Some(4), "{}", dry.stderr);
    let value: Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(
        (&value["schema"], &value["written"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(value["files"][0]["there"], "other");
    assert_eq!(
        value["node"],
        json!({"name": "server1", "from": "hostname"})
    );
    assert_eq!(
        value["admin_networks"],
        json!([{"prefix": "10.0.9.0/24", "from": "--admin"}])
    );
    assert_eq!(value["listening"], Value::Null);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "[policy]\nmode = \"enforce\"\n"
    );
}

#[test]
fn the_ssh_session_is_an_administrator_where_none_is_named() {
    let root = root();
    let path = root.path().to_str().unwrap();
    let arguments = ["--profile", "plain", "--root", path];
    let session = [("SSH_CONNECTION", "203.0.113.7 50000 10.0.0.1 22")];
    let answer = run(&arguments, &session);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let inventory =
        std::fs::read_to_string(root.path().join("etc/fw-ctl/inventory/site.yaml")).unwrap();
    assert!(
        inventory.contains("  # your SSH session\n  - \"203.0.113.7/32\"\n"),
        "{inventory}"
    );
}

#[test]
fn wrong_usage_says_what_is_wrong() {
    let root = root();
    let path = root.path().to_str().unwrap();
    for (arguments, message) in [
        (&[][..], "--profile <PROFILE>"),
        (&["--profile", "debian"], "possible values: rke2-server"),
        (
            &[
                "--profile",
                "plain",
                "--root",
                path,
                "--admin",
                "10.0.9.7/24",
            ],
            "write 10.0.9.0/24, or 10.0.9.7/32",
        ),
        (
            &["--profile", "plain", "--root", "/no/such"],
            "--root: /no/such is no directory",
        ),
        (
            &["--profile", "talos"],
            "  try: --root DIR, or all of --config",
        ),
    ] {
        let answer = run(arguments, &[]);
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(
            answer.stderr.contains(message),
            "{arguments:?}: {}",
            answer.stderr
        );
    }
}

#[test]
fn a_wrong_configuration_of_the_host_is_told_with_its_place() {
    let root = root();
    let path = root.path().join("etc/rancher/rke2/config.yaml");
    std::fs::write(path, "node-label: [\n").unwrap();
    let answer = on(root.path(), &[]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(3), ""));
    assert!(
        answer.stderr.contains("etc/rancher/rke2/config.yaml:"),
        "{}",
        answer.stderr
    );
    assert!(!answer.stderr.contains("Diagnostic"), "{}", answer.stderr);
}

/// Runs `test` on a thread with a network namespace of its own; not without root.
fn in_namespace(test: impl FnOnce() + Send) {
    if !nix::unistd::geteuid().is_root() {
        assert_ne!(std::env::var("FW_KERNEL_TESTS").as_deref(), Ok("require"));
        eprintln!("skipped: namespaces need root");
        return;
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

/// Everything of this machine but its network is the real one; the files go elsewhere.
#[test]
fn what_listens_is_shown_with_who_could_reach_it() {
    in_namespace(|| {
        ip("link set lo up");
        ip("link add eth0 type veth peer name eth1");
        ip("address add 10.0.0.10/24 dev eth0");
        ip("address add 2001:db8::10/64 dev eth0 nodad");
        ip("link add docker0 type bridge");
        ip("address add 172.17.0.1/16 dev docker0");
        let _datagrams = UdpSocket::bind("0.0.0.0:8472").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (config, policies, inventory) =
            (path("fw-ctl.toml"), path("policies"), path("inventory"));
        let mut arguments = vec!["--profile", "rke2-agent", "--node", "agent1"];
        arguments.extend(["--admin", "10.0.9.0/24", "--admin", "2001:db8:9::/64"]);
        arguments.extend([
            "--config",
            &config,
            "--policies",
            &policies,
            "--inventory",
            &inventory,
        ]);
        arguments.extend(["-o", "json"]);
        let ask = |more: &[&str]| {
            let answer = run(&[&arguments[..], more].concat(), &[]);
            assert_eq!(answer.code, Some(0), "{}", answer.stderr);
            let value: Value = serde_json::from_str(&answer.stdout).unwrap();
            (value, answer.stderr)
        };
        // Where this machine has its sshd.
        let ssh = ask(&["--dry-run"]).0["ssh_ports"][0].as_u64().unwrap() as u16;
        let _sockets = [
            TcpListener::bind(("0.0.0.0", ssh)).unwrap(),
            TcpListener::bind("10.0.0.10:111").unwrap(),
            TcpListener::bind("127.0.0.1:8080").unwrap(),
            TcpListener::bind("[::]:10250").unwrap(),
        ];
        let (value, told) = ask(&[]);
        assert_eq!(value["addresses"], json!(["10.0.0.10", "2001:db8::10"]));
        let ports = value["listening"].as_array().unwrap().iter().map(|port| {
            let own = port["processes"].as_array().unwrap();
            assert_eq!(own.len(), 1, "{port}");
            (
                format!("{}/{}", port["port"], port["protocol"].as_str().unwrap()),
                port["open_to"].clone(),
                port["by_policy"].clone(),
                port["because"].as_str().unwrap().to_owned(),
            )
        });
        let mut ports: Vec<_> = ports.collect();
        let own = format!("{ssh}/tcp");
        let at = ports.iter().position(|port| port.0 == own).unwrap();
        let first = ports.remove(at);
        let row = |port: &str, open_to: Value, by_policy: Value, because: &str| {
            (port.to_owned(), open_to, by_policy, because.to_owned())
        };
        let cluster = json!(["cluster"]);
        let expected = [
            row(
                "111/tcp",
                json!([]),
                json!([]),
                "default deny of rke2-every-node",
            ),
            row("10250/tcp", cluster.clone(), cluster, "rke2-every-node"),
            row(
                "8472/udp",
                json!(["nodes"]),
                json!(["nodes"]),
                "rke2-every-node",
            ),
        ];
        assert_eq!(ports, expected);
        let everybody = json!(["everybody"]);
        assert_eq!(first, row(&own, everybody, json!(["admin"]), "[failsafe]"));
        // The daemon finds what was written where the configuration says.
        let text = std::fs::read_to_string(&config).unwrap();
        assert!(text.contains(&format!("dirs = [\"{policies}\"]")), "{text}");
        let step = format!("> {inventory}/cluster.yaml\n       ");
        assert!(
            told.contains(&step) && told.ends_with("fw-ctl mode enforce\n"),
            "{told}"
        );

        let table = run(&arguments[..arguments.len() - 2], &[]);
        assert_eq!(table.code, Some(0), "{}", table.stderr);
        let by_failsafe =
            format!("{ssh}/tcp is open to everybody by [failsafe]; by policy alone, to admin\n");
        for part in [
            "PROTO  PORT   PROCESS",
            "in enforce mode 3 of 4 would be closed to strangers, 1 of them to everybody\n",
            &by_failsafe,
        ] {
            assert!(table.stdout.contains(part), "{part}\n{}", table.stdout);
        }
    });
}
