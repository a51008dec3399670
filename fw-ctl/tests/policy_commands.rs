//! `fw-ctl policy test`, `list` and `lint` as an operator runs them: data on
//! stdout, talk on stderr, and the exit codes.

#![allow(clippy::unwrap_used, reason = "tests may")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host-all}
spec:
  nodeSelector: {matchLabels: {role: cp}}
  ingress:
  - fromCIDR: [192.0.2.0/24]
    toPorts: [{ports: [{port: '22', protocol: TCP}]}]
  ingressDeny:
  - fromCIDR: [192.0.2.66/32]
";
const INVENTORY: &str = "
{kind: Node, metadata: {name: n1, labels: {role: cp}}, status: {addresses: [{type: InternalIP, address: 10.0.0.10}]}}
---
kind: Deployment
";
const FLOWS: &str = r#"{"id":"a","src":"192.0.2.1","dst":"10.0.0.10","proto":"TCP","dport":22,"expect":"allow"}
{"id":"b","src":"192.0.2.66","dst":"10.0.0.10","proto":"TCP","dport":22}
{"id":"c","src":"203.0.113.7","dst":"10.0.0.10","proto":"TCP","sport":40000,"dport":22}
{"id":"d","src":"10.0.0.10","dst":"203.0.113.7","proto":"UDP","dport":53}
"#;

struct Files(tempfile::TempDir);

impl Files {
    fn new(policy: &str, flows: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("p.yaml", policy),
            ("i.yaml", INVENTORY),
            ("f.jsonl", flows),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Self(dir)
    }

    fn run(&self, args: &[&str]) -> Output {
        run(self.0.path(), args)
    }

    fn test(&self, more: &[&str]) -> Output {
        let args = "policy test --policies p.yaml --inventory i.yaml --node n1 --flows f.jsonl --engine reference";
        let args: Vec<&str> = args.split(' ').chain(more.iter().copied()).collect();
        self.run(&args)
    }
}

fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fw-ctl"))
        .args(args)
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap();
    text.lines().map(parse).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_flow_has_a_line_that_names_who_decided() {
    let output = Files::new(POLICY, FLOWS).test(&["-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = |id, direction, verdict, policy, rule, reason, origin| {
        json!({
            "id": id, "direction": direction, "verdict": verdict, "policy": policy,
            "rule": rule, "reason": reason, "origin": origin,
        })
    };
    let p = "host-all";
    assert_eq!(
        lines(&output),
        [
            line(
                "a",
                "ingress",
                "allow",
                p,
                "ingress[0]",
                "allow-rule",
                "p.yaml:8"
            ),
            line(
                "b",
                "ingress",
                "deny",
                p,
                "ingressDeny[0]",
                "deny-rule",
                "p.yaml:11"
            ),
            line(
                "c",
                "ingress",
                "deny",
                p,
                "ingress[0]",
                "default-deny",
                "p.yaml:8"
            ),
            line("d", "egress", "allow", "", "no-policy", "no-policy", ""),
        ]
    );
    assert!(stderr(&output).contains("Deployment skipped"));
}

#[test]
fn an_unmet_expectation_is_told_and_exits_1() {
    let flows = FLOWS.replace("\"expect\":\"allow\"", "\"expect\":\"deny\"");
    let output = Files::new(POLICY, &flows).test(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("flow a: expected deny, got allow"), "{said}");
    assert!(said.contains("1 of 1 expectations not met"), "{said}");
}

#[test]
fn a_node_that_the_inventory_does_not_know_is_told() {
    let files = Files::new(POLICY, FLOWS);
    let warning = "warning: no Node of the inventory is called `nosuch`, so that no label \
                   selects it; there are: n1\n";
    let inventory = ["--inventory", "i.yaml", "--node", "nosuch"];
    std::fs::write(
        files.0.path().join("f.jsonl"),
        FLOWS
            .lines()
            .next()
            .unwrap()
            .replace('}', ",\"direction\":\"ingress\"}"),
    )
    .unwrap();
    for command in [
        &[
            "policy",
            "test",
            "--flows",
            "f.jsonl",
            "--policies",
            "p.yaml",
        ][..],
        &["policy", "list", "p.yaml"],
        &["policy", "lint", "p.yaml"],
    ] {
        let output = files.run(&[command, &inventory].concat());
        let said = stderr(&output);
        assert!(said.contains(warning), "{command:?}: {said}");
        let known = files.run(&[command, &["--inventory", "i.yaml", "--node", "n1"]].concat());
        assert!(!stderr(&known).contains("warning"), "{command:?}");
    }
    let flow = [
        "trace",
        "--from",
        "192.0.2.1",
        "--to",
        "10.0.0.10:22",
        "--policies",
        "p.yaml",
    ];
    let output = files.run(&[&flow[..], &inventory].concat());
    assert!(
        stderr(&output).contains("no Node is called `nosuch`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn failsafe_and_enforcement_are_asked_for() {
    let files = Files::new(POLICY, FLOWS);
    let reasons = |more: &[&str]| -> Vec<Value> {
        let all = lines(&files.test(&[more, &["-o", "json"]].concat()));
        all.into_iter()
            .map(|mut line| line["reason"].take())
            .collect()
    };
    assert_eq!(
        reasons(&["--with-builtins"]),
        ["failsafe", "failsafe", "failsafe", "no-policy"]
    );
    assert_eq!(reasons(&["--enforcement", "always"])[3], "default-deny");
    assert_eq!(reasons(&["--enforcement", "never"]), ["no-policy"; 4]);
}

#[test]
fn a_policy_that_is_not_enforced_is_refused() {
    let policy = POLICY.replace(
        "  - fromCIDR: [192.0.2.0/24]\n",
        "  - authentication: {mode: required}\n",
    );
    let output = Files::new(&policy, FLOWS).test(&[]);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(said.contains("not enforced by fw-ctl"), "{said}");
    assert!(said.contains("p.yaml:8"), "{said}");
}

#[test]
fn a_line_that_is_no_flow_is_wrong_usage() {
    let files = Files::new(POLICY, FLOWS);
    for (flows, message) in [
        (
            &b"\n{\"dst\":1}\n"[..],
            "f.jsonl: line 2: missing field `src`\n",
        ),
        (
            &b"\n\n{\"id\":\"\xff\"}\n"[..],
            "f.jsonl: line 3: not text in the encoding UTF-8\n",
        ),
    ] {
        std::fs::write(files.0.path().join("f.jsonl"), flows).unwrap();
        let output = files.test(&[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).ends_with(message), "{}", stderr(&output));
    }
}

#[test]
fn lists_say_whom_policies_protect() {
    let files = Files::new(POLICY, FLOWS);
    let output = files.run(&[
        "policy",
        "list",
        "p.yaml",
        "--inventory",
        "i.yaml",
        "--node",
        "n1",
        "-o",
        "json",
    ]);
    let list = &lines(&output)[0];
    assert_eq!(list["schema"], 1);
    let policy = &list["policies"][0];
    assert_eq!(policy["subject"], "nodes with role=cp");
    assert_eq!(policy["selected"], true);
    assert_eq!(policy["rules"]["ingressDeny"], 1);
    let output = files.run(&["policy", "list", "--builtin", "-o", "json"]);
    let listed = &lines(&output)[0]["builtins"];
    for (row, (_, name, _)) in fw_common::wire::BUILTINS.iter().enumerate() {
        assert_eq!(listed[row]["name"], *name);
    }
}

#[test]
fn lint_exits_1_with_findings_and_0_without() {
    let files = Files::new(POLICY, FLOWS);
    let lint = |files: &Files| files.run(&["policy", "lint", "p.yaml", "-o", "json"]);
    let output = lint(&files);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(lines(&output)[0], json!({"schema": 1, "findings": []}));
    let deadly = POLICY.replace("192.0.2.66/32", "0.0.0.0/0");
    let output = lint(&Files::new(&deadly, FLOWS));
    assert_eq!(output.status.code(), Some(1));
    let findings = lines(&output)[0]["findings"].take();
    assert_eq!(
        (&findings[0]["file"], &findings[0]["line"]),
        (&json!("p.yaml"), &json!(8))
    );
}

#[test]
fn a_list_of_the_inventory_is_a_group_for_every_command() {
    let policy = POLICY.replace(
        "  - fromCIDR: [192.0.2.66/32]",
        "  - fromCIDRSet: [{cidrGroupRef: drop}]",
    );
    let files = Files::new(&policy, FLOWS);
    let inventory = files.0.path().join("inventory");
    std::fs::create_dir(&inventory).unwrap();
    std::fs::write(inventory.join("i.yaml"), INVENTORY).unwrap();
    let list = inventory.join("drop.netset");
    let entries = "# expired\n192.0.2.1 until=2020-01-01\n192.0.2.64/28 ; ours\n";
    std::fs::write(&list, entries).unwrap();
    let decided = |engine: &str| -> Vec<Value> {
        let args = "policy test --policies p.yaml --inventory inventory --node n1 \
                    --flows f.jsonl -o json --engine";
        let args: Vec<&str> = args.split_whitespace().chain([engine]).collect();
        let output = files.run(&args);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let lines = lines(&output).into_iter();
        lines.map(|mut line| line["rule"].take()).collect()
    };
    let expected = ["ingress[0]", "ingressDeny[0]", "ingress[0]", "no-policy"];
    assert_eq!(decided("reference"), expected);
    assert_eq!(decided("model"), expected);

    let trace =
        "trace --from 192.0.2.66 --to 10.0.0.10:443 --policies p.yaml --node n1 --inventory";
    let trace: Vec<&str> = trace.split_whitespace().chain(["inventory"]).collect();
    let output = files.run(&trace);
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let place = "192.0.2.64/28 is in the CIDR group drop (inventory/drop.netset:3)";
    assert!(said.contains(place), "{said}{}", stderr(&output));

    let lint = ["policy", "lint", "p.yaml", "--inventory", "inventory"];
    assert_eq!(files.run(&lint).status.code(), Some(0));
    std::fs::write(&list, "192.0.2.1 until=2020-01-01\n").unwrap();
    let output = files.run(&lint);
    let said = String::from_utf8(output.stdout).unwrap();
    let expired = "every entry of `drop` (inventory/drop.netset) has expired";
    assert!(said.contains(expired), "{said}");

    std::fs::write(&list, format!("{entries}192.0.2.300\n")).unwrap();
    for command in [&lint[..], &trace[..]] {
        let output = files.run(command);
        assert_eq!(output.status.code(), Some(3));
        let said = stderr(&output);
        assert!(said.contains("inventory/drop.netset:4:1"), "{said}");
        assert!(said.contains("300 is more than 255"), "{said}");
    }
}

#[test]
fn a_policy_for_some_vlans_is_one_for_every_command() {
    let annotated = "{name: host-all, annotations: {fw-ctl.io/vlans: '300-310,212'}}";
    let policy = POLICY.replace("{name: host-all}", annotated);
    let stranger = r#""src":"203.0.113.7","dst":"10.0.0.10","proto":"TCP","dport":22"#;
    let flows = format!("{{{stranger}}}\n{{{stranger},\"vlan\":212}}\n{{{stranger},\"vlan\":7}}\n");
    let files = Files::new(&policy, &flows);
    for engine in ["reference", "model"] {
        let args = "policy test --policies p.yaml --inventory i.yaml --node n1 --flows f.jsonl \
                    -o json --engine";
        let args: Vec<&str> = args.split_whitespace().chain([engine]).collect();
        let output = files.run(&args);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let reasons = lines(&output)
            .into_iter()
            .map(|mut line| line["reason"].take());
        let reasons: Vec<_> = reasons.collect();
        assert_eq!(
            reasons,
            ["no-policy", "default-deny", "no-policy"],
            "{engine}"
        );
    }

    let trace = |vlan: &[&str]| {
        let args = "trace --from 203.0.113.7 --to 10.0.0.10:443 --policies p.yaml --node n1 \
                    --inventory i.yaml";
        let args: Vec<&str> = args
            .split_whitespace()
            .chain(vlan.iter().copied())
            .collect();
        let output = files.run(&args);
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        (output.status.code(), said + &stderr(&output))
    };
    let (code, said) = trace(&["--vlan", "212"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("VLAN 212; VLAN class 1"), "{said}");
    let (code, said) = trace(&[]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = trace(&["--vlan", "4095"]);
    assert_eq!(code, Some(2), "{said}");

    let list = ["policy", "list", "p.yaml", "-o", "json"];
    let listed = &lines(&files.run(&list))[0]["policies"][0];
    assert_eq!(listed["vlans"], "212,300-310");
    let lint = files.run(&["policy", "lint", "p.yaml"]);
    assert_eq!(lint.status.code(), Some(0), "{}", stderr(&lint));
}
