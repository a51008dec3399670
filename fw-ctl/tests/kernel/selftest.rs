//! The self-test of plans, and what is stated beside them: found out, and mended.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{Array, HashMap, Map, MapData};
use aya::programs::Xdp;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use fw_common::wire::{
    ActiveWord, Address, Generation, LocalBucket, MATRIX_BLOCKS, MatrixBlock, SCHEMA_VERSION,
};
use fw_ctl::compile::plan::{Mode, Plan};
use fw_ctl::datapath::{Datapath, DatapathError, Tested, XdpWish, objects};

use crate::support::{PIN_DIR, in_sandbox, ip, link, peers, plan};

const NODE: &str = "192.0.2.1";

fn open() -> Datapath {
    Datapath::open(Path::new(PIN_DIR)).expect("the datapath opens")
}

fn pin(name: &str) -> String {
    format!("{PIN_DIR}/v{SCHEMA_VERSION}/maps/{name}")
}

fn array<T: aya::Pod>(name: &str) -> Array<MapData, T> {
    let map = Map::from_map_data(MapData::from_pin(pin(name)).unwrap()).unwrap();
    map.try_into().unwrap()
}

/// The test of `plan`, which is in force, once the programs for it are loaded.
fn tested(datapath: &mut Datapath, plan: &Plan) -> Tested {
    let end = Instant::now() + Duration::from_mins(2);
    loop {
        datapath.self_test(plan).unwrap();
        if let Some(tested) = datapath.tested() {
            return tested.clone();
        }
        assert!(Instant::now() < end, "the programs are not loaded");
        thread::sleep(Duration::from_millis(20));
    }
}

fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_plan_is_tested_beside_and_every_later_one_before_it_comes() {
    in_sandbox(|| {
        let mut datapath = open();
        let first = plan(&["10.0.0.0/8", "2001:db8:7::/48"], &[22, 443]);
        datapath.install(&first, 1).unwrap();
        assert_eq!(datapath.tested(), None, "nothing to test it with yet");
        let found = tested(&mut datapath, &first);
        assert_eq!((found.number, &found.failed), (1, &None));
        assert!(found.packets > 20, "{found:?}");
        assert_eq!(names(PIN_DIR), [format!("v{SCHEMA_VERSION}")]);

        let mut audit = plan(&["192.0.2.0/24"], &[80]);
        audit.mode = Mode::Audit;
        for (number, plan) in [(2, &first), (3, &audit)] {
            datapath.install(plan, number).unwrap();
            let found = datapath.tested().unwrap();
            assert_eq!((found.number, &found.failed), (number, &None));
            // A debug build on a busy machine; a release build takes some milliseconds.
            assert!(found.took < Duration::from_secs(5), "{found:?}");
        }
        let whole = datapath.tested().unwrap().clone();
        datapath.set_mode(Mode::Enforce).unwrap();
        let found = datapath.tested().unwrap();
        assert_eq!((found.number, &found.failed), (3, &None));
        assert!(found.at > whole.at, "{found:?}");

        let enforced = Plan {
            mode: Mode::Enforce,
            ..audit
        };
        let mut amended = enforced.clone();
        amended.peers = peers(vec![
            "192.0.2.0/24".parse().unwrap(),
            "198.51.100.9/32".parse().unwrap(),
        ]);
        let header = datapath.amend(&enforced, &amended, 4).unwrap();
        assert!(header.is_some());
        let found = datapath.tested().unwrap();
        assert_eq!((found.number, &found.failed), (4, &None));

        // Nothing of all that happened to the node.
        let counters = datapath.counters().unwrap();
        assert!(counters.iter().all(|(_, _, tally)| tally.packets == 0));
        let rules = datapath.rule_counters(3).unwrap();
        assert!(rules.iter().all(|tally| tally.packets == 0));
        assert_eq!(datapath.pressure().unwrap().begun, 0);
        assert_eq!(datapath.lost_events().unwrap(), 0);
        assert!(datapath.events().unwrap().next_event().unwrap().is_none());
    });
}

#[test]
fn programs_that_judge_otherwise_refuse_a_change() {
    in_sandbox(|| {
        let mut datapath = open();
        let first = plan(&["10.0.0.0/8"], &[22]);
        datapath.install(&first, 1).unwrap();
        // The programs read another table of verdicts than the one that is written.
        fs::remove_file(pin("MATRIX")).unwrap();
        let other = Array::<MapData, MatrixBlock>::create(4 * MATRIX_BLOCKS, 0).unwrap();
        aya::maps::IterableMap::<u32, MatrixBlock>::map(&other)
            .pin(pin("MATRIX"))
            .unwrap();

        let failed = tested(&mut datapath, &first).failed.unwrap();
        for part in [
            "by the plan",
            "is dropped by rule 1 (p default-deny)",
            "(XDP)",
        ] {
            assert!(failed.contains(part), "{part} in: {failed}");
        }
        let second = plan(&["10.0.0.0/8"], &[80]);
        let error = datapath.install(&second, 2).unwrap_err();
        assert!(matches!(error, DatapathError::SelfTest { .. }), "{error}");
        assert_eq!(error.exit_code(), 4);
        let text = error.to_string();
        assert!(text.contains("the plan in force was not changed"), "{text}");
        assert_eq!(datapath.active().unwrap().unwrap().number, 1);
        assert!(datapath.tested().unwrap().failed.is_some());
    });
}

#[test]
fn what_is_stated_beside_a_plan_is_stated_again() {
    in_sandbox(|| {
        let mut datapath = open();
        let banned: IpAddr = "203.0.113.9".parse().unwrap();
        datapath
            .set_local_addresses(&[NODE.parse().unwrap()].into())
            .unwrap();
        datapath.install(&plan(&[], &[]), 1).unwrap();
        datapath.ban(banned, 0).unwrap();
        assert_eq!(datapath.mend().unwrap(), [""; 0]);

        let address = Address::from(NODE.parse::<IpAddr>().unwrap());
        let mut local = array::<LocalBucket>("LOCAL");
        let stated = local.get(&address.bucket(), 0).unwrap();
        local
            .set(address.bucket(), LocalBucket::default(), 0)
            .unwrap();
        assert_eq!(datapath.mend().unwrap(), ["the node's addresses"]);
        assert_eq!(local.get(&address.bucket(), 0).unwrap(), stated);

        let map = Map::from_map_data(MapData::from_pin(pin("BANS")).unwrap()).unwrap();
        let mut bans: HashMap<MapData, Address, u64> = map.try_into().unwrap();
        bans.remove(&Address::from(banned)).unwrap();
        let stranger = Address::from("203.0.113.10".parse::<IpAddr>().unwrap());
        bans.insert(stranger, 0, 0).unwrap();
        assert_eq!(datapath.mend().unwrap(), ["bans"]);
        assert_eq!(bans.get(&Address::from(banned), 0).unwrap(), 0);
        assert!(
            bans.get(&stranger, 0).is_err(),
            "nobody of ours has banned it"
        );

        let mut active = array::<ActiveWord>("ACTIVE");
        let word = active.get(&0, 0).unwrap();
        assert!(word.asks(ActiveWord::BANS) && !word.asks(ActiveWord::LOCAL_PREFIXES));
        let meddled = word
            .with(ActiveWord::BANS, false)
            .with(ActiveWord::LOCAL_PREFIXES, true);
        active.set(0, meddled, 0).unwrap();
        assert_eq!(datapath.mend().unwrap(), ["which tables packets ask"]);
        assert_eq!(active.get(&0, 0).unwrap(), word);

        let mut generations = array::<Generation>("GENERATION");
        let header = generations.get(&word.index(), 0).unwrap();
        let meddled = Generation {
            event_limit: 0,
            seconds_per_tick: 1,
            ..header
        };
        generations.set(word.index(), meddled, 0).unwrap();
        let mended = datapath.mend().unwrap();
        assert_eq!(mended, ["the limit of events, or the tick"]);
        assert_eq!(generations.get(&word.index(), 0).unwrap(), header);
        assert_eq!(datapath.mend().unwrap(), [""; 0]);
    });
}

#[test]
fn another_program_in_a_link_of_ours_is_noticed_and_replaced() {
    in_sandbox(|| {
        ip("link add eth0 type veth peer name peer");
        let mut datapath = open();
        datapath.install(&plan(&[], &[]), 1).unwrap();
        datapath.attach(&link("eth0"), XdpWish::Native).unwrap();
        assert!(datapath.lost().is_empty());
        let places = |datapath: &Datapath| -> Vec<_> {
            let programs = datapath.attached_programs().unwrap().into_iter();
            programs
                .map(|program| (program.hook, program.id, program.tag))
                .collect()
        };
        let before = places(&datapath);
        let hooks: Vec<_> = before.iter().map(|place| place.0).collect();
        assert_eq!(hooks, ["tc-egress", "xdp"]);

        let maps = "/sys/fs/bpf/somebody";
        fs::create_dir(maps).unwrap();
        let mut foreign = aya::EbpfLoader::new()
            .default_map_pin_directory(maps)
            .load(objects::xdp().unwrap())
            .unwrap();
        let program: &mut Xdp = foreign.program_mut("fw_xdp").unwrap().try_into().unwrap();
        program.load().unwrap();
        let index = link("eth0").index;
        let pinned = format!("{PIN_DIR}/v{SCHEMA_VERSION}/links/{index}-xdp");
        let ours = FdLink::from(PinnedLink::from_pin(pinned).unwrap());
        let id = program
            .attach_to_link(XdpLink::try_from(ours).unwrap())
            .unwrap();
        drop(program.take_link(id).unwrap());

        let found = program.info().unwrap().id();
        let lost: Vec<_> = datapath.lost().into_iter().map(|(_, what)| what).collect();
        assert_eq!(
            lost,
            [format!("another program ({found}) is in its xdp link")]
        );
        datapath.attach(&link("eth0"), XdpWish::Native).unwrap();
        assert!(datapath.lost().is_empty());
        assert_eq!(places(&datapath), before);
    });
}
