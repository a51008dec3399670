//! Pods that come and go: a reload writes their addresses, not a whole plan, and `status`
//! shows what is in force all the same.

use std::time::{Duration, Instant};

use sandbox::probe::{self, Outcome};
use sandbox::{Family, Host};
use serde_json::Value;

use crate::fixture::Fixture;
use crate::on_xdp_and_tc;

on_xdp_and_tc!(pods_come_and_go_in_the_generation_that_is_in_force,);

/// SSH from pods of one name only.
const FROM_ADMIN_PODS: &str = "
  nodeSelector: {}
  ingress:
  - fromEndpoints:
    - matchLabels: {app: admin}
      matchExpressions:
      - {key: k8s:io.kubernetes.pod.namespace, operator: Exists}
    toPorts:
    - ports:
      - {port: \"22\", protocol: TCP}
";

fn pod(name: &str, addresses: &[String]) -> String {
    let addresses: Vec<_> = addresses
        .iter()
        .map(|ip| format!("{{ip: \"{ip}\"}}"))
        .collect();
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: ops, labels: \
         {{app: admin}}}}\nstatus: {{podIPs: [{}]}}\n",
        addresses.join(", ")
    )
}

fn pods_come_and_go_in_the_generation_that_is_in_force(xdp: &'static str) {
    let Some(fixture) = Fixture::prepare(xdp, "enforce", &[("ssh", FROM_ADMIN_PODS)]) else {
        return;
    };
    let mut fixture = fixture;
    let place = fixture.fw_ctl.files().inventory.join("pods.yaml");
    let set = |text: &str| std::fs::write(&place, text).unwrap();
    let one = pod("one", &["192.0.2.200".into()]);
    set(&one);
    fixture.restart_daemon();
    let ssh = |host: &Host, family| {
        let node = fixture.lab.node.socket(family, 22);
        probe::tcp(&host.namespace, None, node)
    };
    let (stranger, jump) = (&fixture.lab.stranger, &fixture.lab.jump);
    let addresses = |host: &Host| Family::BOTH.map(|family| host.address(family).to_string());
    let sound = |when: &str| {
        let status = fixture.fw_ctl.status().unwrap();
        assert!(!status.is_degraded(), "{when}: {status:?}");
        let hash = |name: &str| status.generation[name].clone();
        for name in ["declared", "compiled", "read_back"] {
            assert_eq!(hash(name), hash("kernel"), "{name} {when}");
        }
        status.generation["number"].as_u64().unwrap()
    };
    let first = sound("at first");
    for family in Family::BOTH {
        assert_eq!(ssh(stranger, family), Outcome::Silence, "{family}");
    }
    // Named as a pod, the stranger is one to the node.
    set(&(one.clone() + &pod("two", &addresses(stranger))));
    fixture.reload();
    assert!(sound("after a pod came") > first);
    for family in Family::BOTH {
        assert_eq!(ssh(stranger, family), Outcome::Answered, "{family}");
        assert_eq!(ssh(jump, family), Outcome::Silence, "{family}");
    }
    named_in_flows(&fixture);
    set(&(one.clone() + &pod("two", &addresses(jump))));
    fixture.reload();
    sound("after one came and one went");
    for family in Family::BOTH {
        assert_eq!(ssh(stranger, family), Outcome::Silence, "{family}");
        assert_eq!(ssh(jump, family), Outcome::Answered, "{family}");
    }
    fixture.fw_ctl.must(&["mode", "audit"]).unwrap();
    sound("in audit mode");
    fixture.fw_ctl.must(&["mode", "enforce"]).unwrap();
    sound("in enforce mode");
    let log = fixture.fw_ctl.log();
    assert_eq!(log.matches("amended").count(), 2, "{log}");
    fixture.kill_daemon();
    fixture.restart_daemon();
    let status = fixture.fw_ctl.status().unwrap();
    assert!(!status.is_degraded(), "{status:?}");
    let node = fixture.lab.node.socket(Family::V4, 22);
    let jump = &fixture.lab.jump.namespace;
    assert_eq!(probe::tcp(jump, None, node), Outcome::Answered, "restart");
}

/// The pod `two` is named where flows are told, and found by its name; so is the node.
fn named_in_flows(fixture: &Fixture) {
    let observe = |filter: &[&str]| -> Vec<Value> {
        let arguments = [&["observe", "--all", "-o", "json"], filter].concat();
        let text = fixture.fw_ctl.must(&arguments).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let end = Instant::now() + Duration::from_secs(5);
    while observe(&["--from-pod", "ops/two"]).len() < Family::BOTH.len() {
        assert!(Instant::now() < end, "{:?}", observe(&[]));
        std::thread::sleep(Duration::from_millis(20));
    }
    let flows = observe(&["--pod", "ops/tw"]);
    for flow in &flows {
        let source = &flow["flow"]["source"];
        assert_eq!(
            (&source["namespace"], &source["pod_name"]),
            (&"ops".into(), &"two".into())
        );
    }
    assert_eq!(observe(&["--pod", "/two"]), flows);
    assert_eq!(observe(&["--pod", "ops/one"]), [Value::Null; 0]);
    assert_eq!(observe(&["--to-pod", "ops/two"]), [Value::Null; 0]);
    let labels = flows[0]["flow"]["node_labels"].as_array().unwrap();
    let label = labels[0].as_str().unwrap();
    assert_eq!(observe(&["--pod", "ops/", "--node-label", label]), flows);
    let other = format!("!{}", label.split_once('=').unwrap().0);
    assert_eq!(observe(&["--node-label", &other]), [Value::Null; 0]);
}
