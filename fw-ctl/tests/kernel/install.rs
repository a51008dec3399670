//! Plans in the kernel's tables: installing, reading back, adopting, removing.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use crate::support::{ALLOW, PIN_DIR, in_sandbox, peers, plan};
use aya::maps::{Array, Map, MapData};
use fw_common::wire::{
    ActiveWord, Direction, MATRIX_BLOCK_WORDS, MatrixBlock, SCHEMA_VERSION, VerdictWord,
    matrix_index,
};
use fw_ctl::compile::plan::{Mode, Plan};
use fw_ctl::datapath::pins;
use fw_ctl::datapath::tables::Tables;
use fw_ctl::datapath::{Datapath, DatapathError, plan_hash};
use fw_ctl::netlink::LocalAddresses;
use ipnet::IpNet;

fn open() -> Datapath {
    Datapath::open(Path::new(PIN_DIR)).expect("the datapath opens")
}

/// Makes a plan one that must be refused.
type Spoil = fn(&mut Plan);

fn version_dir() -> String {
    format!("{PIN_DIR}/v{SCHEMA_VERSION}")
}

fn pinned(name: &str) -> Map {
    let data = MapData::from_pin(format!("{}/maps/{name}", version_dir())).expect("the pin");
    Map::from_map_data(data).expect("a known type")
}

/// Blocks of the peer tables that are pinned for a generation.
fn blocks(generation: u32) -> usize {
    let of_generation = format!("PEERS_{generation}_");
    let names = pins::names(Path::new(&format!("{}/maps", version_dir()))).unwrap();
    let own = |name: &&String| name.starts_with(&of_generation);
    names.iter().filter(own).count()
}

#[test]
fn a_plan_is_in_force_once_it_is_installed_and_reads_back_the_same() {
    in_sandbox(|| {
        let mut datapath = open();
        assert_eq!(datapath.active().unwrap(), None);

        let first = plan(&["10.0.0.0/8", "2001:db8::/32"], &[22, 443]);
        let installed = datapath.install(&first, 7).unwrap();
        assert_eq!((installed.number, installed.index), (7, 1));
        assert_eq!(installed.hash, plan_hash(&first));
        assert_eq!(datapath.active().unwrap(), Some(installed));
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&first));

        let mut second = plan(&["192.0.2.0/24"], &[80]);
        second.mode = Mode::Audit;
        second.builtins = 3;
        let installed = datapath.install(&second, 8).unwrap();
        assert_eq!((installed.number, installed.index), (8, 0));
        assert_eq!(installed.mode, Mode::Audit);
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&second));
        assert_ne!(plan_hash(&first), plan_hash(&second));
    });
}

#[test]
fn nothing_of_an_older_plan_stays_in_its_generation() {
    in_sandbox(|| {
        let mut datapath = open();
        let mut large = plan(&[], &[22]);
        // A leaf of 16 bytes in each of 40,000 parts of 2^16 addresses: 625 KiB.
        let hosts = (0..40_000).map(|n| IpAddr::from(Ipv4Addr::from_bits(n << 16 | 1)).into());
        large.peers = peers(hosts.collect());
        // 3,000 peer classes × 2 service classes: two blocks of the matrix.
        large.rows = 3_000;
        large.directions[0].cells = vec![VerdictWord::allow(ALLOW); 6_000];
        large.directions[1].cells = vec![VerdictWord::allow(0); 3_000];
        let small = plan(&["10.2.0.0/16"], &[80]);
        let other = plan(&["172.16.0.0/12"], &[22]);

        assert_eq!(datapath.install(&large, 1).unwrap().index, 1);
        assert_eq!(datapath.install(&other, 2).unwrap().index, 0);
        assert_eq!((blocks(0), blocks(1)), (1, 3));
        assert_eq!(datapath.install(&small, 3).unwrap().index, 1);
        assert_eq!((blocks(0), blocks(1)), (1, 1));
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&small));

        let matrix: Array<_, MatrixBlock> = pinned("MATRIX").try_into().unwrap();
        let second_block = matrix_index(1, Direction::Ingress, 1);
        let words = matrix.get(&second_block, 0).unwrap().0;
        assert_eq!(words, [0; MATRIX_BLOCK_WORDS as usize]);
    });
}

#[test]
fn a_refused_plan_leaves_the_old_one_in_force() {
    in_sandbox(|| {
        let mut datapath = open();
        let good = plan(&["10.0.0.0/8"], &[22]);
        let installed = datapath.install(&good, 1).unwrap();
        let refused: [(Spoil, &str); 3] = [
            (|p| p.peers.v4[1].1 = 9, "has the peer class 9 of 2"),
            (|p| p.rules.truncate(1), "names a rule"),
            (
                |p| {
                    p.rules = vec![p.rules[0].clone(); 16_385];
                },
                "16385 entries and has room for 16384",
            ),
        ];
        for (spoil, says) in refused {
            let mut bad = good.clone();
            spoil(&mut bad);
            let error = datapath.install(&bad, 2).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.exit_code(), 4);
        }
        assert!(datapath.install(&good, 0).is_err(), "number 0");
        assert_eq!(datapath.active().unwrap(), Some(installed));
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&good));
    });
}

#[test]
fn the_mode_changes_without_the_plan() {
    in_sandbox(|| {
        let mut datapath = open();
        let error = datapath.set_mode(Mode::Audit).unwrap_err();
        assert!(error.to_string().contains("no plan is in force"), "{error}");
        assert_eq!(error.exit_code(), 4);

        let enforcing = plan(&["10.0.0.0/8", "2001:db8::/32"], &[22]);
        let auditing = Plan {
            mode: Mode::Audit,
            ..enforcing.clone()
        };
        let installed = datapath.install(&enforcing, 3).unwrap();
        drop(datapath);

        // Of a former daemon, so that nobody here has the plan.
        let mut datapath = open();
        for (mode, same) in [
            (Mode::Audit, &auditing),
            (Mode::Audit, &auditing),
            (Mode::Enforce, &enforcing),
        ] {
            let changed = datapath.set_mode(mode).unwrap();
            assert_eq!((changed.number, changed.mode), (3, mode));
            assert_eq!(changed.index, installed.index, "no second copy is needed");
            assert_eq!(
                changed.hash,
                plan_hash(same),
                "as if installed with {mode:?}"
            );
            assert_eq!(datapath.active().unwrap(), Some(changed));
            assert_eq!(datapath.read_back().unwrap(), changed.hash);
        }
    });
}

#[test]
fn tables_that_were_tampered_with_open_but_do_not_pass_for_sound() {
    in_sandbox(|| {
        let mut datapath = open();
        let installed = datapath.install(&plan(&["10.0.0.0/8"], &[22]), 3).unwrap();
        let mut matrix: Array<_, MatrixBlock> = pinned("MATRIX").try_into().unwrap();
        let block = matrix_index(installed.index, Direction::Ingress, 0);
        let mut words = matrix.get(&block, 0).unwrap();
        words.0[0] = VerdictWord::allow(ALLOW).0;
        matrix.set(block, words, 0).unwrap();

        let changed = datapath.set_mode(Mode::Audit).unwrap();
        assert_eq!(changed.mode, Mode::Audit);
        assert_eq!(
            changed.hash, installed.hash,
            "no new hash for what is not it"
        );
        assert_ne!(datapath.read_back().unwrap(), changed.hash);
    });
}

#[test]
fn local_addresses_are_replaced() {
    in_sandbox(|| {
        let local = |texts: &[&str]| -> LocalAddresses {
            texts
                .iter()
                .map(|text| text.parse::<IpNet>().unwrap())
                .collect()
        };
        let mut datapath = open();
        let tables = Tables::open(Path::new(&format!("{}/maps", version_dir()))).unwrap();
        let has_prefixes = || {
            let word: Array<_, ActiveWord> = pinned("ACTIVE").try_into().unwrap();
            let word = word.get(&0, 0).unwrap();
            word.asks(ActiveWord::LOCAL_PREFIXES)
        };
        let installed = datapath.install(&plan(&[], &[]), 1).unwrap();
        let rounds: [(&[&str], usize); 4] = [
            (&["10.0.0.1/32", "fe80::1/128"], 0),
            (&["10.0.0.2/32", "198.51.100.0/24", "2001:db8::/32"], 2),
            // All of IPv4, but not its multicast and broadcast.
            (&["10.0.0.2/32", "0.0.0.0/0"], 3),
            (&["10.0.0.2/32"], 0),
        ];
        for (texts, entries) in rounds {
            let wanted = local(texts);
            datapath.set_local_addresses(&wanted).unwrap();
            assert_eq!(&tables.local().single().unwrap(), wanted.single());
            let trie = tables.local().trie().unwrap();
            assert_eq!((&trie, trie.len()), (&wanted.trie(), entries));
            assert_eq!(has_prefixes(), entries > 0, "{texts:?}");
            assert_eq!(datapath.active().unwrap(), Some(installed), "{texts:?}");
        }
        // A flip keeps what is known of prefixes.
        datapath
            .set_local_addresses(&local(&["198.51.100.0/24"]))
            .unwrap();
        datapath.install(&plan(&[], &[]), 2).unwrap();
        assert!(has_prefixes());
    });
}

#[test]
fn more_addresses_than_there_is_room_for_are_told() {
    in_sandbox(|| {
        let mut datapath = open();
        let many: LocalAddresses = (0..100_000)
            .map(|n| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n)))
            .collect();
        let error = datapath.set_local_addresses(&many).unwrap_err().to_string();
        assert!(
            error.contains("addresses and networks of its own"),
            "{error}"
        );
        assert!(error.contains("room for 65536"), "{error}");
    });
}

#[test]
fn the_plan_outlives_the_process_and_is_adopted() {
    in_sandbox(|| {
        let kept = plan(&["10.0.0.0/8"], &[22]);
        let mut datapath = open();
        let installed = datapath.install(&kept, 41).unwrap();
        let busy = Datapath::open(Path::new(PIN_DIR)).map(drop).unwrap_err();
        assert!(matches!(busy, DatapathError::Busy { .. }), "{busy}");
        drop(datapath);

        let mut datapath = open();
        assert_eq!(datapath.active().unwrap(), Some(installed));
        assert_eq!(datapath.read_back().unwrap(), plan_hash(&kept));
        let next = datapath.install(&kept, 42).unwrap();
        assert_eq!((next.number, next.index), (42, 1 - installed.index));
    });
}

#[test]
fn leftovers_of_a_process_that_died_while_publishing_are_removed() {
    in_sandbox(|| {
        let mut datapath = open();
        datapath.install(&plan(&[], &[]), 1).unwrap();
        drop(datapath);
        let leftover = format!("{PIN_DIR}/new-4711");
        fs::create_dir_all(format!("{leftover}/maps")).unwrap();
        fs::rename(
            format!("{}/maps/ACTIVE", version_dir()),
            format!("{leftover}/maps/ACTIVE"),
        )
        .unwrap();
        // The published tables now miss one, and filter nothing: they are made anew.
        let datapath = open();
        assert_eq!(datapath.active().unwrap(), None);
        assert!(!Path::new(&leftover).exists());
    });
}

#[test]
fn detaching_removes_everything_and_may_be_repeated() {
    in_sandbox(|| {
        let mut datapath = open();
        datapath.install(&plan(&[], &[]), 1).unwrap();
        let busy = Datapath::detach_all(Path::new(PIN_DIR)).unwrap_err();
        assert!(matches!(busy, DatapathError::Busy { .. }), "{busy}");
        let report = datapath.close().unwrap();
        assert_eq!((report.links, report.maps), (0, 31));
        assert!(!Path::new(PIN_DIR).exists());
        let report = Datapath::detach_all(Path::new(PIN_DIR)).unwrap();
        assert_eq!(report.maps, 0);
        assert_eq!(open().active().unwrap(), None, "made anew");
    });
}
