//! `fw-ctl peers` and events call an address by the same name.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use sandbox::{Family, FwCtl, Host, probe};
use serde_json::{Value, json};

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

const PATIENCE: Duration = Duration::from_secs(5);

/// A second policy, which tells one network apart.
const FROM_ADMINS: &str = "
  nodeSelector: {}
  ingress:
  - fromCIDRSet: [{cidrGroupRef: admin-networks}]
    toPorts:
    - ports:
      - {port: \"22\", protocol: TCP}
";

on_xdp_and_tc!(peers_are_called_what_events_call_them);

fn ask(fw_ctl: &FwCtl, arguments: &[&str]) -> Value {
    let arguments = [&["peers", "-o", "json"], arguments].concat();
    let answer: Value = serde_json::from_str(&fw_ctl.must(&arguments).unwrap()).unwrap();
    assert_eq!(answer["schema"], 1);
    answer
}

/// The two sides of the last flow from a port, as events name them.
fn seen(fw_ctl: &FwCtl, port: u16) -> (Value, Value) {
    let port = port.to_string();
    let end = Instant::now() + PATIENCE;
    loop {
        let text = fw_ctl
            .must(&["observe", "-o", "json", "--all", "--from-port", &port])
            .unwrap();
        if let Some(line) = text.lines().last() {
            let value: Value = serde_json::from_str(line).unwrap();
            let flow = &value["flow"];
            let side = |name: &str| json!([flow[name]["identity"], flow[name]["labels"]]);
            return (side("source"), side("destination"));
        }
        assert!(Instant::now() < end, "no flow from port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn peers_are_called_what_events_call_them(xdp: &'static str) {
    let policies = [("web", INGRESS_WEB), ("admins", FROM_ADMINS)];
    let Some(fixture) = Fixture::start(xdp, "enforce", &policies) else {
        return;
    };
    let (fw_ctl, lab) = (&fixture.fw_ctl, &fixture.lab);
    let named = |address: IpAddr| {
        let answer = ask(fw_ctl, &[&address.to_string()]);
        let asked = &answer["address"];
        let identity = &asked["identity"];
        let name = json!([identity["number"], identity["labels"]]);
        // The address and the first row, the longest, say the same.
        assert_eq!(answer["peers"][0]["identity"], *identity, "{answer}");
        (name, answer)
    };
    let mut ports = 46_000..;
    let mut classes = Vec::new();
    let cases: [(&Host, &str, &[&str]); 3] = [
        (
            &lab.node2,
            "kube-apiserver (node server2)",
            &["Node", "EndpointSlice"],
        ),
        (&lab.jump, "world", &["CiliumCIDRGroup"]),
        (&lab.stranger, "world", &[]),
    ];
    for family in Family::BOTH {
        for (host, name, kinds) in cases {
            let port = ports.next().unwrap();
            let server = lab.node.socket(family, 80);
            let _ = probe::tcp(&host.namespace, Some(port), server);
            let (source, destination) = seen(fw_ctl, port);
            let (theirs, answer) = named(host.address(family));
            let case = format!("{name} {family} {xdp}: {answer}");
            assert_eq!(theirs, source, "{case}");
            assert_eq!(answer["address"]["name"], name, "{case}");
            let from = answer["peers"][0]["from"].as_array().unwrap();
            let found: Vec<_> = from.iter().map(|said| said["kind"].as_str()).collect();
            let expected: Vec<_> = kinds.iter().copied().map(Some).collect();
            assert_eq!(found, expected, "{case}");
            for said in from {
                let place = said["place"].as_str().unwrap();
                assert!(place.contains("inventory/cluster.yaml:"), "{case}");
            }
            let (ours, answer) = named(lab.node.address(family));
            assert_eq!(ours, destination, "{case} {answer}");
            let from = answer["peers"][0]["from"].to_string();
            assert!(from.contains("\"interface\",\"name\":\"eth0\""), "{from}");
            classes.push(named(host.address(family)).1["address"]["class"].clone());
        }
    }
    // Rules tell the administrators apart, and nobody else.
    let [node2, jump, stranger, ..] = &classes[..] else {
        panic!("{classes:?}");
    };
    assert_ne!(jump, stranger);
    assert_eq!(node2, stranger);
    assert_eq!(classes[..3], classes[3..]);

    let banned = lab.stranger.address(Family::V4).to_string();
    fw_ctl.must(&["ban", "add", &banned]).unwrap();
    let (_, answer) = named(lab.stranger.address(Family::V4));
    let ban = answer["address"]["ban"].as_str().unwrap();
    assert!(ban.starts_with(&format!("{banned} is banned")), "{ban}");

    let whole = ask(fw_ctl, &[]);
    let page = fw_ctl.ask(&["peers", "--limit", "2"]).unwrap();
    assert_eq!(page.stdout.lines().count(), 3, "{}", page.stdout);
    let told = format!("2 of {} rows; the next ones: --after ", whole["total"]);
    assert!(page.stderr.contains(&told), "{}", page.stderr);
}
