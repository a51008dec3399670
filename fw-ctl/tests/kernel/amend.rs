//! Plans in force that are amended by single addresses: what the kernel holds is the new
//! plan, also to who reads it back.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{PIN_DIR, in_sandbox, plan};
use fw_common::wire::SCHEMA_VERSION;
use fw_ctl::compile::plan::{Mode, Plan};
use fw_ctl::datapath::tables::Tables;
use fw_ctl::datapath::{AMENDED, Datapath, amendment, brake, plan_hash};

fn open() -> Datapath {
    Datapath::open(Path::new(PIN_DIR)).expect("the datapath opens")
}

fn base() -> Plan {
    plan(&["10.0.0.0/8", "2001:db8::/32"], &[22])
}

fn with(more: &[&str]) -> Plan {
    plan(&[&["10.0.0.0/8", "2001:db8::/32"], more].concat(), &[22])
}

#[test]
fn an_amended_plan_reads_back_as_the_new_one() {
    in_sandbox(|| {
        let mut datapath = open();
        let installed = datapath.install(&base(), 1).unwrap();
        let pods = with(&["192.0.2.1/32", "fd00::1/128"]);
        let amended = datapath.amend(&base(), &pods, 2).unwrap().unwrap();
        assert_eq!((amended.number, amended.hash), (2, plan_hash(&pods)));
        assert_eq!(amended.index, installed.index, "the same generation");
        assert_eq!(datapath.active().unwrap(), Some(amended));
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&pods));
        // One goes, another comes.
        let other = with(&["192.0.2.2/32", "fd00::1/128"]);
        datapath.amend(&pods, &other, 3).unwrap().unwrap();
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&other));

        drop(datapath);
        let mut audit = other.clone();
        audit.mode = Mode::Audit;
        brake(Path::new(PIN_DIR), Mode::Audit).unwrap();
        let mut datapath = open();
        assert_eq!(datapath.active().unwrap().unwrap().hash, plan_hash(&audit));
        assert_eq!(
            datapath.read_back().unwrap(),
            plan_hash(&audit),
            "the brake"
        );
        datapath.set_mode(Mode::Enforce).unwrap();
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&other));

        datapath.install(&base(), 4).unwrap();
        assert_eq!(
            datapath.read_back().unwrap(),
            plan_hash(&base()),
            "nothing is left"
        );
        datapath
            .amend(&base(), &with(&["192.0.2.7/32"]), 5)
            .unwrap()
            .unwrap();
        let read = datapath.read_back().unwrap();
        assert_eq!(
            read,
            plan_hash(&with(&["192.0.2.7/32"])),
            "nor after the next one"
        );
    });
}

#[test]
fn what_is_more_than_few_addresses_is_no_amendment() {
    in_sandbox(|| {
        let mut datapath = open();
        let before = datapath.install(&base(), 1).unwrap();
        let mut audit = base();
        audit.mode = Mode::Audit;
        let mut renamed = base();
        renamed.rules[2].origin = "a.yaml:1".into();
        let open_port = plan(&["10.0.0.0/8", "2001:db8::/32"], &[22, 80]);
        let network = with(&["172.16.0.0/16"]);
        let mapped = with(&["::ffff:192.0.2.1/128"]);
        for other in [audit, renamed, open_port, network, mapped] {
            assert_eq!(datapath.amend(&base(), &other, 2).unwrap(), None);
        }
        assert_eq!(datapath.active().unwrap(), Some(before));
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&base()));
    });
}

#[test]
fn amendments_add_up_to_a_bound() {
    in_sandbox(|| {
        let mut datapath = open();
        datapath.install(&base(), 1).unwrap();
        let pods = |count: u32| {
            let mut plan = base();
            let hosts = (0..count).map(|n| Ipv4Addr::from_bits(0xc612_0000 + 2 * n));
            let hosts = hosts.map(|host| (IpAddr::from(host), 1)).collect();
            plan.peers = plan.peers.with(&hosts);
            plan
        };
        let full = u32::try_from(AMENDED).unwrap();
        datapath
            .amend(&base(), &pods(full - 1), 2)
            .unwrap()
            .unwrap();
        datapath
            .amend(&pods(full - 1), &pods(full), 3)
            .unwrap()
            .unwrap();
        let refused = datapath.amend(&pods(full), &pods(full + 1), 4).unwrap();
        assert_eq!(refused, None);
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&pods(full)));
        // Those that are there already may change on.
        datapath
            .amend(&pods(full), &pods(full - 1), 5)
            .unwrap()
            .unwrap();
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&pods(full - 1)));
        assert_eq!(amendment(&base(), &pods(full + 1)), None);
    });
}

#[test]
fn one_address_takes_less_than_a_millisecond_in_the_kernel() {
    in_sandbox(|| {
        let mut datapath = open();
        datapath.install(&base(), 1).unwrap();
        let maps = format!("{PIN_DIR}/v{SCHEMA_VERSION}/maps");
        let mut tables = Tables::open(Path::new(&maps)).unwrap();
        let mut taken: Vec<Duration> = (0..101_u32)
            .map(|n| {
                let pod = Ipv4Addr::from_bits(0xc612_0000 + n).into();
                let begin = Instant::now();
                tables.amend(&[(pod, 1)], [7; 16], 2).unwrap().unwrap();
                begin.elapsed()
            })
            .collect();
        taken.sort_unstable();
        let _ = writeln!(
            std::io::stderr(),
            "one address: median {:?}, worst {:?}",
            taken[50],
            taken[100]
        );
        assert!(taken[50] < Duration::from_millis(1), "{:?}", taken[50]);
    });
}
