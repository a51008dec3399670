//! Bans in the kernel's tables: at once, as many as promised, and gone without a trace.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{PIN_DIR, in_sandbox, plan};
use aya::maps::{Array, Map, MapData};
use fw_common::wire::{ActiveWord, Address, BAN_FOR_GOOD, FILTER_WORDS, SCHEMA_VERSION, SINGLES};
use fw_ctl::datapath::frame::{Packet, Payload, SYN};
use fw_ctl::datapath::{Datapath, Hook, TestRun, Verdict};

fn open() -> Datapath {
    Datapath::open(Path::new(PIN_DIR)).expect("the datapath opens")
}

fn pinned<T: TryFrom<Map, Error = aya::maps::MapError>>(name: &str) -> T {
    let path = format!("{PIN_DIR}/v{SCHEMA_VERSION}/maps/{name}");
    let data = MapData::from_pin(path).expect("the pin");
    Map::from_map_data(data).unwrap().try_into().unwrap()
}

/// Bits that are set in the filter.
fn bits() -> u32 {
    let filter: Array<_, u64> = pinned("BAN_FILTER");
    let words = (0..FILTER_WORDS).map(|word| filter.get(&word, 0).unwrap());
    words.map(u64::count_ones).sum()
}

fn asked() -> bool {
    let word: Array<_, ActiveWord> = pinned("ACTIVE");
    word.get(&0, 0).unwrap().asks(ActiveWord::BANS)
}

/// The address `n` of many, of both families.
fn numbered(n: u32) -> IpAddr {
    if n.is_multiple_of(2) {
        Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    } else {
        Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n) << 64 | 1).into()
    }
}

#[test]
fn one_ban_takes_less_than_a_millisecond() {
    in_sandbox(|| {
        let mut datapath = open();
        datapath.install(&plan(&["10.0.0.0/8"], &[22]), 1).unwrap();
        let mut taken: Vec<Duration> = (0..1_001)
            .map(|n| {
                let begin = Instant::now();
                datapath.ban(numbered(n), u64::MAX).unwrap();
                begin.elapsed()
            })
            .collect();
        taken.sort_unstable();
        let median = taken[taken.len() / 2];
        let _ = writeln!(
            std::io::stderr(),
            "one ban: median {median:?}, worst {:?}",
            taken[1_000]
        );
        assert!(median < Duration::from_millis(1), "{median:?}");
    });
}

#[test]
fn bans_belong_to_no_plan_and_leave_nothing_behind() {
    in_sandbox(|| {
        let mut datapath = open();
        let plan = plan(&["10.0.0.0/8"], &[22]);
        let before = datapath.install(&plan, 1).unwrap();
        assert!(!asked() && datapath.bans().is_empty());
        let bans = BTreeMap::from([(numbered(0), BAN_FOR_GOOD), (numbered(1), 77)]);
        for (address, until) in &bans {
            datapath.ban(*address, 1).unwrap();
            datapath.ban(*address, *until).unwrap();
        }
        assert_eq!(datapath.bans(), bans);
        assert_eq!(
            datapath.read_back().unwrap(),
            before.hash,
            "the plan is what it was"
        );
        assert!(asked());
        datapath.install(&plan, 2).unwrap();
        assert!(asked(), "with the next plan");
        drop(datapath);
        let mut datapath = open();
        assert_eq!(datapath.bans(), bans, "for the next process");
        datapath.unban(numbered(9)).unwrap();
        for address in bans.keys() {
            assert!(asked());
            datapath.unban(*address).unwrap();
        }
        assert!(!asked() && datapath.bans().is_empty());
        assert_eq!(bits(), 0);
    });
}

#[test]
fn a_full_table_refuses_and_loses_nobody() {
    in_sandbox(|| {
        let mut datapath = open();
        for n in 0..SINGLES {
            datapath.ban(numbered(n), BAN_FOR_GOOD).unwrap();
        }
        let refused = datapath.ban(numbered(SINGLES), BAN_FOR_GOOD).unwrap_err();
        assert_eq!(refused.exit_code(), 4);
        let text = refused.to_string();
        assert!(
            text.starts_with("the table of banned addresses is full: it has room for 65536"),
            "{text}"
        );
        datapath.ban(numbered(7), 7).unwrap();
        drop(datapath);
        let mut datapath = open();
        assert_eq!(datapath.bans().len(), SINGLES as usize);
        assert_eq!(datapath.bans()[&numbered(7)], 7);
        let set = bits();
        assert!(set > SINGLES * 9 / 10, "{set} bits");
        datapath.unban(numbered(0)).unwrap();
        datapath.ban(numbered(SINGLES), BAN_FOR_GOOD).unwrap();
        for address in datapath.bans().into_keys() {
            datapath.unban(address).unwrap();
        }
        assert_eq!(bits(), 0);
    });
}

#[test]
fn addresses_that_share_a_bit_are_banned_apart() {
    in_sandbox(|| {
        let of_one_bit = || {
            let spot = Address::from(numbered(0)).spot();
            let all = (0_u32..).step_by(2).map(numbered);
            all.filter(move |address| Address::from(*address).spot() == spot)
        };
        let [first, second, third] = [0, 1, 2].map(|n| of_one_bit().nth(n).unwrap());
        let mut engine = TestRun::new().unwrap();
        let node: IpAddr = [192, 0, 2, 1].into();
        engine.set_local(&[node].into_iter().collect()).unwrap();
        engine.install(&plan(&["10.0.0.0/8"], &[22])).unwrap();
        let passes = |engine: &mut TestRun, source| {
            let payload = Payload::Tcp {
                source: 40_000,
                destination: 22,
                flags: SYN,
            };
            let packet = Packet {
                vlan: None,
                source,
                destination: node,
                payload,
            };
            let outcome = engine.judge(Hook::Xdp, &packet).unwrap();
            outcome.verdict == Verdict::Pass
        };
        engine.ban(first, BAN_FOR_GOOD).unwrap();
        engine.ban(second, BAN_FOR_GOOD).unwrap();
        assert_eq!(
            [first, second, third].map(|a| passes(&mut engine, a)),
            [false, false, true]
        );
        engine.unban(first).unwrap();
        assert_eq!(
            [first, second, third].map(|a| passes(&mut engine, a)),
            [true, false, true]
        );
        engine.unban(second).unwrap();
        assert!(passes(&mut engine, second));
    });
}
