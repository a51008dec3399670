//! A daemon of another schema takes over: what filters goes on filtering.
//!
//! Tables of another schema are made by giving the directory of this one another number.
//! (A daemon whose tables really differ upgrades in `sandbox/tests/netns/upgrade.rs`.)

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aya::maps::MapData;
use fw_common::wire::{CONNECTIONS_READABLE_SINCE, CONNECTIONS_SINCE, SCHEMA_VERSION};
use fw_ctl::compile::plan::{Mode, Plan};
use fw_ctl::datapath::flows::CONNTRACK;
use fw_ctl::datapath::frame::{Packet, Payload};
use fw_ctl::datapath::host::TcKind;
use fw_ctl::datapath::tables::Tables;
use fw_ctl::datapath::{Datapath, DatapathError, XdpWish, brake, plan_hash};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;

use crate::attach::RawSocket;
use crate::support::{PIN_DIR, in_sandbox, ip, link, peers, plan};

const NODE: &str = "192.0.2.1";
const PEER: &str = "198.51.100.7";
/// Allowed by policy.
const OPEN: u16 = 7;
/// Denied.
const CLOSED: u16 = 9;
/// Denied, but the node has a connection from there to [`SERVICE`] of the peer.
const OWN: u16 = 5_000;
const SERVICE: u16 = 53;

fn version(schema: u32) -> PathBuf {
    format!("{PIN_DIR}/v{schema}").into()
}

fn open() -> Datapath {
    Datapath::open(Path::new(PIN_DIR)).expect("the datapath opens")
}

/// UDP to [`OPEN`] may come in, from anybody.
fn policy() -> Plan {
    let mut plan = plan(&[], &[]);
    plan.peers = peers(vec!["0.0.0.0/0".parse().unwrap()]);
    plan.directions[0].ports[1][usize::from(OPEN)] = 1;
    plan
}

/// `eth0` is the node's interface, `peer` its other end.
fn network() {
    ip("link add eth0 address 02:00:00:00:00:01 type veth peer name peer");
    ip("link set eth0 up");
    ip("link set peer up");
    ip("addr add 192.0.2.1/24 dev eth0");
    ip("route add default dev eth0");
    ip("neigh add 198.51.100.7 lladdr 02:00:00:00:00:02 dev eth0");
}

/// A datapath with [`policy`] on the node's interface, by a former process.
fn former(wish: XdpWish, tc: TcKind) {
    let mut datapath = Datapath::open_with(Path::new(PIN_DIR), tc).unwrap();
    datapath
        .set_local_addresses(&[NODE.parse().unwrap()].into())
        .unwrap();
    datapath.install(&policy(), 3).unwrap();
    datapath.attach(&link("eth0"), wish).unwrap();
}

/// Gives the present directory another number, as if a daemon of that schema had made it.
fn as_schema(schema: u32) {
    fs::rename(version(SCHEMA_VERSION), version(schema)).unwrap();
}

/// What a new daemon does: the plan first, then the links.
fn take_over(datapath: &mut Datapath, wish: XdpWish) {
    datapath
        .set_local_addresses(&[NODE.parse().unwrap()].into())
        .unwrap();
    datapath.install(&policy(), 1).unwrap();
    datapath.attach(&link("eth0"), wish).unwrap();
}

fn map_id(schema: u32, name: &str) -> u32 {
    let map = MapData::from_pin(version(schema).join("maps").join(name)).unwrap();
    map.info().unwrap().id()
}

/// Packets to the node, again and again, of three kinds: allowed, denied, and replies to
/// the node's own connection.
struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    sockets: [UdpSocket; 3],
}

impl Stream {
    fn start() -> Self {
        let sockets = [OPEN, CLOSED, OWN].map(|port| UdpSocket::bind((NODE, port)).unwrap());
        for socket in &sockets {
            socket.set_nonblocking(true).unwrap();
            // Whoever reads them may have to wait for a CPU.
            setsockopt(socket, RcvBufForce, &(64 << 20)).unwrap();
        }
        // The node begins a connection.
        sockets[2].send_to(b"?", (PEER, SERVICE)).unwrap();
        let frames = [(40_000, OPEN), (40_000, CLOSED), (SERVICE, OWN)].map(|ports| {
            let packet = Packet {
                vlan: None,
                source: PEER.parse().unwrap(),
                destination: NODE.parse().unwrap(),
                payload: Payload::new(17, ports, (0, 0)),
            };
            packet.frame().unwrap()
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            let peer = RawSocket::open("peer");
            let mut rounds = 0;
            while !stopped.load(Ordering::Relaxed) {
                for frame in &frames {
                    peer.send(frame).unwrap();
                }
                rounds += 1;
                thread::sleep(Duration::from_micros(100));
            }
            rounds
        });
        Self {
            stop,
            sender,
            sockets,
        }
    }

    /// Does `work` while packets flow; returns how many rounds were sent, and how many
    /// packets of each kind arrived.
    fn during(work: impl FnOnce()) -> (u64, [u64; 3]) {
        let Self {
            stop,
            sender,
            sockets,
        } = Self::start();
        let counts: [AtomicU64; 3] = Default::default();
        let mut buffer = [0; 64];
        let mut drain = || {
            for (socket, count) in sockets.iter().zip(&counts) {
                while socket.recv(&mut buffer).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let done = AtomicBool::new(false);
        let rounds = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drain();
                    thread::sleep(Duration::from_millis(1));
                }
                drain();
            });
            thread::sleep(Duration::from_millis(50));
            work();
            thread::sleep(Duration::from_millis(50));
            stop.store(true, Ordering::Relaxed);
            let rounds = sender.join().unwrap();
            thread::sleep(Duration::from_millis(50));
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
            rounds
        });
        (rounds, counts.map(AtomicU64::into_inner))
    }
}

/// Nothing is passed or dropped wrongly while `work` is done.
fn undisturbed(what: &str, work: impl FnOnce()) {
    let (rounds, [open, closed, own]) = Stream::during(work);
    assert!(rounds > 20, "{what}: only {rounds} rounds");
    assert_eq!((open, closed, own), (rounds, 0, rounds), "{what}");
}

#[test]
fn an_older_schema_is_taken_over_under_a_stream_of_packets() {
    in_sandbox(|| {
        network();
        for (schema, wish, tc) in [
            (CONNECTIONS_SINCE, XdpWish::Native, TcKind::Tcx),
            (CONNECTIONS_SINCE, XdpWish::Off, TcKind::Clsact),
            (CONNECTIONS_READABLE_SINCE, XdpWish::Native, TcKind::Tcx),
            (CONNECTIONS_READABLE_SINCE, XdpWish::Off, TcKind::Tcx),
        ] {
            let what = format!("schema {schema}, {wish:?}, {tc:?}");
            former(wish, tc);
            as_schema(schema);
            let connections = map_id(schema, CONNTRACK);
            undisturbed(&what, || {
                let mut datapath = Datapath::open_with(Path::new(PIN_DIR), tc).unwrap();
                assert_eq!(datapath.active().unwrap(), None, "{what}: no plan yet");
                let unswitched = [(link("eth0"), schema)];
                assert_eq!(datapath.unswitched().unwrap(), unswitched, "{what}");
                thread::sleep(Duration::from_millis(50));
                take_over(&mut datapath, wish);
                assert_eq!(datapath.unswitched().unwrap(), [], "{what}");
            });
            assert!(!version(schema).exists(), "{what}: nothing of it is needed");
            let shared = map_id(SCHEMA_VERSION, CONNTRACK) == connections;
            assert_eq!(shared, schema >= CONNECTIONS_SINCE, "{what}");
            let datapath = open();
            assert_eq!(datapath.read_back().unwrap(), plan_hash(&policy()));
            datapath.close().unwrap();
        }
    });
}

#[test]
fn tables_that_somebody_removed_are_made_again_under_a_stream_of_packets() {
    in_sandbox(|| {
        network();
        let pin = |name: &str| version(SCHEMA_VERSION).join("maps").join(name);
        for (lost, keeps_connections) in [
            (&["FRAGMENTS"][..], true),
            (&["ACTIVE", "MATRIX", "RULES"], true),
            (&["BAN_FILTER"], true),
            (&[CONNTRACK], false),
        ] {
            former(XdpWish::Native, TcKind::Tcx);
            let connections = map_id(SCHEMA_VERSION, CONNTRACK);
            let work = || {
                for name in lost {
                    fs::remove_file(pin(name)).unwrap();
                }
                let datapath = open();
                assert_eq!(datapath.active().unwrap(), None, "{lost:?}: no plan yet");
                assert_eq!(datapath.unswitched().unwrap(), [(link("eth0"), 0)]);
                // Killed, and once more somebody removes something.
                drop(datapath);
                fs::remove_file(pin("PORTS")).unwrap();
                let mut datapath = open();
                thread::sleep(Duration::from_millis(50));
                take_over(&mut datapath, XdpWish::Native);
                assert_eq!(datapath.unswitched().unwrap(), [], "{lost:?}");
            };
            let (rounds, [open, closed, own]) = Stream::during(work);
            assert!(rounds > 20, "{lost:?}: only {rounds} rounds");
            assert_eq!((open, closed), (rounds, 0), "{lost:?}");
            let shared = map_id(SCHEMA_VERSION, CONNTRACK) == connections;
            assert_eq!(shared, keeps_connections, "{lost:?}");
            if keeps_connections {
                assert_eq!(own, rounds, "{lost:?}");
            }
            assert!(!version(0).exists(), "nothing of it is needed");
            let datapath = self::open();
            assert_eq!(datapath.read_back().unwrap(), plan_hash(&policy()));
            datapath.close().unwrap();
        }
    });
}

#[test]
fn what_brakes_works_as_long_as_the_table_of_the_mode_is_there() {
    in_sandbox(|| {
        network();
        let at = Path::new(PIN_DIR);
        let maps = version(SCHEMA_VERSION).join("maps");
        former(XdpWish::Native, TcKind::Tcx);
        fs::remove_file(maps.join("COUNTERS")).unwrap();
        assert!(brake(at, Mode::Audit).unwrap());
        let (rounds, all) = Stream::during(|| thread::sleep(Duration::from_millis(200)));
        assert_eq!(all, [rounds; 3], "everything passes");
        // A daemon set it aside, and ended before it put anything in its place.
        drop(open());
        assert!(brake(at, Mode::Enforce).unwrap());
        undisturbed("set aside", || thread::sleep(Duration::from_millis(200)));
        fs::remove_file(version(0).join("maps/GENERATION")).unwrap();
        let error = brake(at, Mode::Audit).unwrap_err();
        assert_eq!(error.exit_code(), 4, "{error}");
        assert!(
            error.to_string().contains("try: systemctl start fw-ctl"),
            "{error}"
        );
    });
}

#[test]
fn a_directory_in_the_place_of_a_link_is_in_nobodys_way() {
    in_sandbox(|| {
        network();
        for begins_again in [true, false] {
            former(XdpWish::Off, TcKind::Tcx);
            let links = version(SCHEMA_VERSION).join("links");
            let stray = links.join(format!("{}-tc-ingress", link("eth0").index));
            fs::remove_file(&stray).unwrap();
            fs::create_dir_all(stray.join("deeper")).unwrap();
            if begins_again {
                let mut datapath = open();
                take_over(&mut datapath, XdpWish::Off);
                assert!(datapath.lost().is_empty());
            }
            let report = Datapath::detach_all(Path::new(PIN_DIR)).unwrap();
            assert_eq!(report.interfaces, ["eth0"]);
            assert!(!links.exists());
        }
    });
}

#[test]
fn without_a_plan_the_programs_of_the_older_schema_go_on() {
    in_sandbox(|| {
        network();
        former(XdpWish::Native, TcKind::Tcx);
        as_schema(5);
        undisturbed("no plan", || {
            for _ in 0..2 {
                let datapath = open();
                assert_eq!(datapath.active().unwrap(), None);
                assert_eq!(datapath.unswitched().unwrap(), [(link("eth0"), 5)]);
                drop(datapath);
                // Nobody is to believe that the node is open now.
                let error = brake(Path::new(PIN_DIR), Mode::Audit).unwrap_err();
                let other = matches!(error, DatapathError::OtherSchema { schema: 5 });
                assert!(other && error.exit_code() == 4, "{error}");
            }
        });
        assert!(version(5).exists());
    });
}

#[test]
fn an_upgrade_that_was_broken_off_is_finished_or_made_again() {
    in_sandbox(|| {
        network();
        ip("link add eth1 type veth peer name peer1");
        let other = "203.0.113.9".parse().unwrap();
        former(XdpWish::Native, TcKind::Tcx);
        let mut datapath = open();
        datapath.attach(&link("eth1"), XdpWish::Native).unwrap();
        drop(datapath);
        as_schema(5);

        // Killed with a plan, before the first link.
        let mut datapath = open();
        datapath.install(&plan(&[], &[]), 1).unwrap();
        drop(datapath);
        // The older daemon came back, and somebody was banned.
        let mut tables = Tables::open(&version(5).join("maps")).unwrap();
        tables.ban(other, 0).unwrap();
        drop(tables);
        let mut datapath = open();
        assert_eq!(datapath.active().unwrap(), None, "that plan may be old");
        assert_eq!(datapath.bans().keys().collect::<Vec<_>>(), [&other]);

        // Killed between two links.
        take_over(&mut datapath, XdpWish::Native);
        datapath.unban(other).unwrap();
        drop(datapath);
        let mut datapath = open();
        assert_eq!(datapath.unswitched().unwrap(), [(link("eth1"), 5)]);
        assert_eq!(
            datapath.active().unwrap().map(|active| active.number),
            Some(1)
        );
        assert!(datapath.bans().is_empty(), "lifted since");
        datapath.attach(&link("eth1"), XdpWish::Native).unwrap();
        assert_eq!(datapath.unswitched().unwrap(), []);
        assert!(!version(5).exists());

        // Killed before the tables of the older schema were removed.
        fs::create_dir_all(version(5).join("links")).unwrap();
        drop(datapath);
        let mut datapath = open();
        datapath.attach(&link("eth0"), XdpWish::Native).unwrap();
        assert!(!version(5).exists());
        // Without an interface, nothing of the older schema can be in use.
        drop(datapath);
        former(XdpWish::Native, TcKind::Tcx);
    });
}

#[test]
fn connections_that_cannot_be_read_are_no_obstacle() {
    in_sandbox(|| {
        network();
        former(XdpWish::Native, TcKind::Tcx);
        as_schema(CONNECTIONS_READABLE_SINCE - 1);
        let mut datapath = open();
        take_over(&mut datapath, XdpWish::Native);
        assert_eq!(datapath.unswitched().unwrap(), []);
        let capacity = datapath.pressure().unwrap();
        assert_eq!(capacity.live, 0);
    });
}

#[test]
fn a_newer_schema_that_filters_is_refused_and_goes_on() {
    in_sandbox(|| {
        network();
        former(XdpWish::Native, TcKind::Tcx);
        let newer = SCHEMA_VERSION + 1;
        as_schema(newer);
        let tree = |at: &Path| {
            let mut names = Vec::new();
            for directory in ["maps", "links"] {
                let entries = fs::read_dir(at.join(directory)).unwrap();
                names.extend(entries.map(|entry| entry.unwrap().path()));
            }
            names.sort();
            names
        };
        let before = tree(&version(newer));
        undisturbed("downgrade", || {
            let error = Datapath::open(Path::new(PIN_DIR)).err().unwrap();
            assert!(
                matches!(error, DatapathError::NewerSchema { found, .. } if found == newer),
                "{error}"
            );
            assert_eq!(error.exit_code(), 4);
            let text = error.to_string();
            for part in ["nothing was changed", "try: ", "fw-ctl detach"] {
                assert!(text.contains(part), "{part} in: {text}");
            }
        });
        assert_eq!(tree(&version(newer)), before);
        assert!(!version(SCHEMA_VERSION).exists());

        // The way out that the message names.
        Datapath::detach_all(Path::new(PIN_DIR)).unwrap();
        former(XdpWish::Native, TcKind::Tcx);
        // One that filters nothing, an upgrade that was broken off, is in nobody's way.
        fs::create_dir_all(version(newer).join("links")).unwrap();
        open();
        assert!(!version(newer).exists());
    });
}
