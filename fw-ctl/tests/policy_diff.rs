//! `fw-ctl policy diff` as an operator runs it: between paths, and between what the state
//! directory has kept and the files.

#![allow(clippy::unwrap_used, reason = "tests may")]

use std::process::{Command, Output};
use std::sync::Arc;

use fw_ctl::compile::plan::Mode;
use fw_ctl::config::Overrides;
use fw_ctl::daemon::{Confirmed, ConfirmedStore, Event, Inputs};
use fw_ctl::lists::ListFiles;
use serde_json::{Value, json};

const OLD: &str = "
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {}
  ingress:
  - fromCIDR: [192.0.2.0/24, 203.0.113.0/24]
    toPorts: [{ports: [{port: '2222', protocol: TCP}]}]
  - fromNodes: [{}]
  ingressDeny:
  - fromCIDRSet: [{cidrGroupRef: bad}]
";
const NEW: &str = "
# Only one network may use the second SSH server.
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {}
  ingress:
  - fromEntities: [all]
    icmps: [{fields: [{type: 8}]}]
  - fromNodes: [{}]
  - fromCIDR: [192.0.2.0/24]
    toPorts: [{ports: [{port: '2222', protocol: TCP}]}]
  ingressDeny:
  - fromCIDRSet: [{cidrGroupRef: bad}]
";
const INVENTORY: &str = "
{kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{kind: Node, metadata: {name: n2}, status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}
";

/// A directory with two versions of everything, and a configuration that names the second.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        for (name, text) in [
            ("old/p.yaml", OLD),
            ("new/p.yaml", NEW),
            ("i/i.yaml", INVENTORY),
            ("i/bad.cidr", "198.51.100.0/28\n203.0.113.66\n"),
        ] {
            site.write(name, text);
        }
        site.configure("new");
        site
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn configure(&self, policies: &str) {
        let root = self.0.path().display();
        let config = format!(
            "[node]\nname = \"n1\"\n[policy]\nmode = \"enforce\"\ndirs = [\"{root}/{policies}\"]\n\
             inventory = [\"{root}/i\"]\n[paths]\nstate_dir = \"{root}/state\"\n\
             run_dir = \"{root}/run\"\npin_dir = \"{root}/pins\"\n"
        );
        self.write("fw-ctl.toml", &config);
    }

    fn run(&self, args: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_fw-ctl"))
            .args(["policy", "diff"])
            .args(args.split_whitespace())
            .current_dir(self.0.path())
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    }

    fn json(&self, args: &str) -> (Option<i32>, Value) {
        let output = self.run(&format!("{args} -o json"));
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let value = serde_json::from_str(&text);
        (
            output.status.code(),
            value.unwrap_or_else(|_| panic!("{}", stderr(&output))),
        )
    }

    /// Keeps what the configuration names as the daemon would.
    fn keep(&self, number: u64, mode: Mode) {
        let overrides = Overrides {
            config: Some(self.0.path().join("fw-ctl.toml")),
            ..Overrides::default()
        };
        let loaded = fw_ctl::config::load(&overrides, std::iter::empty()).unwrap();
        let (inputs, unreadable) = Inputs::read(&loaded.config, &ListFiles::default());
        assert!(unreadable.is_empty());
        let store = ConfirmedStore::new(&self.0.path().join("state"));
        let kept = Confirmed {
            number,
            mode,
            inputs: Arc::new(inputs),
            event: Event::default(),
        };
        store.save(&kept).unwrap();
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn two_paths_are_compared_without_anything_else() {
    let site = Site::new();
    let output = site.run("old new --node n1 --inventory i");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "\
FROM  old
TO    new

RULES
+ host ingress[0] (new/p.yaml:9)
    verdict   allow
    peers     everybody
    services  ICMP EchoRequest
~ host ingress[0] → ingress[2] (old/p.yaml:8 → new/p.yaml:12)
    peers     - 203.0.113.0/24

   EFFECT   SERVICES          WHO                                                                    WHAT
-  ingress  TCP 2222          203.0.113.0/24 but 203.0.113.66                                        loses
+  ingress  ICMP EchoRequest  everybody on IPv4 but CIDR group bad (2 prefixes), 10.0.0.2 (node n2)  gains

FAILSAFE, which passes whatever the rules say
  tcp 22 from anybody (the default)

1 rule added, 1 changed; ingress TCP 2222: 203.0.113.0/24 but 203.0.113.66 loses; ingress ICMP EchoRequest: \
         everybody on IPv4 but CIDR group bad (2 prefixes), 10.0.0.2 (node n2) gains
"
    );
    let (code, value) = site.json("old new --node n1 --inventory i");
    assert_eq!(code, Some(1));
    assert_eq!(
        (&value["schema"], &value["same"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(value["rules"][0]["change"], "added");
    assert_eq!(
        value["rules"][1]["fields"],
        json!([{"name": "peers", "removed": ["203.0.113.0/24"], "added": []}])
    );
    let lost = &value["effect"][0];
    assert_eq!(
        (
            &lost["change"],
            &lost["direction"],
            &lost["from"],
            &lost["to"],
            &lost["services"]
        ),
        (
            &json!("loses"),
            &json!("ingress"),
            &json!("allow"),
            &json!("deny"),
            &json!(["TCP 2222"])
        )
    );
    assert_eq!(lost["peers"]["prefixes_total"], 8);
    assert_eq!(lost["peers"]["prefixes"][1], "203.0.113.64/31");
}

#[test]
fn what_means_the_same_is_no_difference() {
    let site = Site::new();
    site.write("moved/other-name.yaml", &format!("# A comment.\n{NEW}"));
    let output = site.run("new moved --node n1 --inventory i");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "no difference\n");
    let (code, value) = site.json("new moved --node n1 --inventory i");
    assert_eq!((code, &value["same"]), (Some(0), &json!(true)));
    assert_eq!(
        (&value["rules"], &value["effect"]),
        (&json!([]), &json!([]))
    );
}

#[test]
fn what_the_failsafe_hides_is_named() {
    let site = Site::new();
    site.write("ssh/p.yaml", &OLD.replace("2222", "22"));
    let without = OLD.replace("2222", "22").replace("192.0.2.0/24, ", "");
    site.write("no-ssh/p.yaml", &without);
    let output = site.run("ssh no-ssh --node n1 --inventory i");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let summary = "1 rule changed; nobody gains or loses anything; failsafe in any case: \
                   tcp 22 from anybody\n";
    assert!(text.ends_with(summary), "{text}");
    let (_, value) = site.json("ssh no-ssh --node n1 --inventory i");
    assert_eq!(
        value["failsafe"],
        json!([{"direction": "ingress", "allows": "tcp 22 from anybody", "origin": "the default"}])
    );
}

#[test]
fn what_is_invalid_or_missing_has_its_exit_code() {
    let site = Site::new();
    site.write(
        "broken/p.yaml",
        "kind: CiliumClusterwideNetworkPolicy\nspec: 1\n",
    );
    let config = "--config fw-ctl.toml";
    for (args, code, says) in [
        ("old broken --node n1 --inventory i", 3, "broken/p.yaml:2:7"),
        ("broken old --node n1 --inventory i", 3, "broken is refused"),
        ("old nowhere --node n1 --inventory i", 3, "nowhere"),
        (&format!("7 old {config}"), 2, "there is no generation 7"),
        (&format!("running old {config}"), 5, "nothing is in force"),
        ("old new --nonsense", 2, "--nonsense"),
        ("1 2 --config elsewhere.toml", 3, "elsewhere.toml"),
        ("old new --config elsewhere.toml", 3, "elsewhere.toml"),
    ] {
        let output = site.run(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(says),
            "{args}: {}",
            stderr(&output)
        );
        assert_eq!(stdout(&output), "", "{args}");
    }
}

/// Without a daemon, and nothing in the kernel: what was in force last.
#[test]
fn what_a_reload_would_do() {
    let site = Site::new();
    site.configure("old");
    site.keep(1, Mode::Audit);
    site.configure("new");
    site.keep(2, Mode::Audit);
    let config = "--config fw-ctl.toml";
    // The second was in force last. The mode is that of the configuration now.
    let (code, value) = site.json(config);
    assert_eq!((code, &value["from"]["generation"]), (Some(1), &json!(2)));
    assert_eq!(
        value["settings"],
        json!([{"name": "mode", "from": "audit", "to": "enforce"}])
    );
    assert_eq!(
        (&value["rules"], &value["effect"]),
        (&json!([]), &json!([]))
    );
    // A mode that was set at run time stays.
    site.write("state/mode.json", "{\"schema\":1,\"mode\":\"audit\"}");
    let output = site.run(config);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(
        stderr(&output).contains("compared is generation 2"),
        "{}",
        stderr(&output)
    );

    // Between entries of the journal, whose files may be gone.
    std::fs::remove_dir_all(site.0.path().join("old")).unwrap();
    let (code, value) = site.json(&format!("1 2 {config}"));
    assert_eq!(
        (code, value["rules"].as_array().unwrap().len()),
        (Some(1), 2)
    );
    let (_, back) = site.json(&format!("2 1 {config}"));
    assert_eq!(back["effect"][0]["change"], "loses");
    assert_eq!(back["effect"][0]["services"], json!(["ICMP EchoRequest"]));
    assert_eq!(back["effect"][1]["change"], "gains");

    // Lists and nodes change without a rule.
    site.write("i/bad.cidr", "198.51.100.0/28\n192.0.2.7\n");
    site.write("i/i.yaml", &INVENTORY.replace("10.0.0.2", "10.0.0.3"));
    let output = site.run(config);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("\n~ CIDR group bad: +1 -1 prefixes\n"),
        "{text}"
    );
    // Who was `n2` is a stranger now, and who is now was one; strangers may ping. Of the
    // second SSH server the stranger that is banned now loses something, too.
    for line in [
        "-  ingress  TCP 2222                                      192.0.2.7, 10.0.0.2 (node n2)  loses",
        "-  ingress  ICMP EchoRequest                              192.0.2.7                      loses",
        "-  ingress  everything but TCP 22,2222, ICMP EchoRequest  10.0.0.2 (node n2)             loses",
        "+  ingress  ICMP EchoRequest                              203.0.113.66                   gains",
        "+  ingress  everything but TCP 22, ICMP EchoRequest       10.0.0.3 (node n2)             gains",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains("The mode is audit"), "{text}");

    // A damaged entry is told.
    let journal = site.0.path().join("state/journal");
    for file in std::fs::read_dir(&journal).unwrap() {
        std::fs::write(file.unwrap().path(), "{").unwrap();
    }
    let output = site.run(&format!("1 files {config}"));
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("entry 1 of the journal"),
        "{}",
        stderr(&output)
    );
}
