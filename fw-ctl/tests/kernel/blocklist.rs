//! A million prefixes in the kernel: how long it takes to replace them, from the list
//! that was read to the plan in force, and how much memory they take.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::support::{PIN_DIR, in_sandbox};
use aya::maps::MapData;
use fw_common::wire::SCHEMA_VERSION;
use fw_ctl::compile::plan::{Mode, Plan};
use fw_ctl::compile::{Enforcement, Options};
use fw_ctl::datapath::{Datapath, pins};
use fw_ctl::diagnostic::Source;
use fw_ctl::engine::Context;
use fw_ctl::inventory::{Identities, Inventory};
use fw_ctl::lists::{List, Prefixes};
use fw_ctl::policy::label::LabelSet;
use fw_ctl::policy::load;
use fw_ctl::policy::rules::CidrMatchMode;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A list that is spread over all of IPv4 and `2000::/3`: another one for each `seed`.
fn list(v4: u32, v6: u32, seed: u32) -> Prefixes {
    let spread = |n: u32| u64::from(n ^ seed << 24).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let v4 = (0..v4).map(|n| {
        let address = Ipv4Addr::from_bits((spread(n) >> 32) as u32);
        let length = [32, 32, 24, 28][n as usize % 4];
        IpNet::from(Ipv4Net::new_assert(address, length).trunc())
    });
    let v6 = (0..v6).map(|n| {
        let address = Ipv6Addr::from_bits(u128::from(spread(n) >> 3 | 1 << 61) << 64);
        let length = [128, 64, 56, 48][n as usize % 4];
        IpNet::from(Ipv6Net::new_assert(address, length).trunc())
    });
    Prefixes::of(v4.chain(v6).zip(1..))
}

/// Everybody but those on the list may use TCP 22.
fn plan(list: Prefixes) -> Plan {
    const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: p}
spec:
  nodeSelector: {}
  ingress: [{toPorts: [{ports: [{port: '22', protocol: TCP}]}]}]
  ingressDeny: [{fromCIDRSet: [{cidrGroupRef: list}]}]
";
    let policies = load::load_sources([Source {
        name: "p.yaml".into(),
        text: POLICY.into(),
    }]);
    let mut inventory = Inventory::default();
    let list = List {
        prefixes: Arc::new(list),
        ..List::parse("list.cidr", b"").unwrap()
    };
    inventory.add_lists([&Arc::new(list)], 0);
    let (groups, _) = inventory.groups_with(policies.cidr_groups);
    let context = Context {
        documents: policies.documents,
        groups,
        node: LabelSet::default(),
        identities: Identities::default(),
        cluster: "default".into(),
        options: Options {
            mode: Mode::Enforce,
            builtins: 0,
            enforcement: Enforcement::Default,
            cidr_match_mode: CidrMatchMode::World,
            failsafe: Vec::new(),
            vlans: None,
        },
    };
    context.plan().unwrap()
}

/// Memory of the peer tables by the kernel's own account, in MiB.
fn memory() -> u64 {
    let directory = format!("{PIN_DIR}/v{SCHEMA_VERSION}/maps");
    let names = pins::names(Path::new(&directory)).unwrap();
    let of_peers = names.iter().filter(|name| name.starts_with("PEER"));
    let bytes: u64 = of_peers
        .map(|name| {
            let map = MapData::from_pin(format!("{directory}/{name}")).unwrap();
            let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(map.fd()));
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
            let line = info.lines().find_map(|line| line.strip_prefix("memlock:"));
            line.unwrap().trim().parse::<u64>().unwrap()
        })
        .sum();
    bytes >> 20
}

#[test]
fn a_million_and_a_half_prefixes_are_replaced_in_little_memory() {
    in_sandbox(|| {
        let mut datapath = Datapath::open(Path::new(PIN_DIR)).unwrap();
        let small = plan(list(10, 10, 0));
        datapath.install(&small, 1).unwrap();
        let little = memory();
        assert!(little <= 2, "{little} MiB for 20 prefixes");

        for (number, seed) in [(2, 1), (3, 2)] {
            let list = list(1_000_000, 500_000, seed);
            let start = Instant::now();
            let large = plan(list);
            let compiled = start.elapsed();
            assert_eq!(large.rows, 2);
            let installed = datapath.install(&large, number).unwrap();
            let took = start.elapsed();
            let start = Instant::now();
            assert_eq!(datapath.read_back().unwrap(), installed.hash);
            // Not `println!`: the test runner would swallow it.
            let _ = writeln!(
                std::io::stderr(),
                "{} runs: compiled in {compiled:?}, in force after {took:?}, read back in {:?}, {} MiB in the kernel",
                large.peers.len(),
                start.elapsed(),
                memory(),
            );
        }
        let both = memory();
        assert!(both <= 64, "{both} MiB for both generations");

        // And given back: the inactive generation first.
        datapath.install(&small, 4).unwrap();
        datapath.install(&small, 5).unwrap();
        assert_eq!(memory(), little);
    });
}
