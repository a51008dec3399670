//! Programs on interfaces: modes, adoption, foreign programs, removal.
//!
//! Interfaces are veth pairs in a network namespace of each test.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::{PIN_DIR, in_sandbox, ip, link, plan};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{SchedClassifier, TcAttachType, Xdp, XdpMode};
use fw_common::wire::{Counter, Direction, SCHEMA_VERSION};
use fw_ctl::datapath::frame::{Packet, Payload};
use fw_ctl::datapath::host::TcKind;
use fw_ctl::datapath::{Datapath, DatapathError, Ingress, XdpWish, objects};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, sendto, socket,
};

fn open() -> Datapath {
    Datapath::open(Path::new(PIN_DIR)).expect("the datapath opens")
}

/// `eth0` is the node's interface, `peer` its other end.
fn veth() {
    ip("link add eth0 type veth peer name peer");
    ip("link set eth0 up");
    ip("link set peer up");
}

fn pin(name: &str) -> PathBuf {
    let index = link("eth0").index;
    format!("{PIN_DIR}/v{SCHEMA_VERSION}/links/{index}-{name}").into()
}

/// Id of a pinned link and of the program in it.
fn ids(name: &str) -> (u32, u32) {
    let link = FdLink::from(PinnedLink::from_pin(pin(name)).expect("the pin"));
    let info = link.info().unwrap();
    (info.id(), info.program_id())
}

/// Names of the pinned links.
fn pins() -> Vec<String> {
    let directory = format!("{PIN_DIR}/v{SCHEMA_VERSION}/links");
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.split_once('-').unwrap().1.to_owned())
        .collect();
    names.sort();
    names
}

/// Sends `count` packets from the peer to the node, and waits until they were
/// judged; returns how many were dropped.
fn dropped_of(datapath: &Datapath, count: u64) -> u64 {
    let dropped = || -> u64 {
        let counters = datapath.counters().unwrap();
        let dropped = counters.iter().filter(|(direction, counter, _)| {
            *direction == Direction::Ingress && matches!(counter, Counter::Dropped(_))
        });
        dropped.map(|(_, _, tally)| tally.packets).sum()
    };
    let before = dropped();
    let frame = Packet {
        vlan: None,
        source: "198.51.100.7".parse().unwrap(),
        destination: "192.0.2.1".parse().unwrap(),
        payload: Payload::new(6, (40_000, 80), (0, 0)),
    }
    .frame()
    .unwrap();
    for _ in 0..count {
        send_raw("peer", &frame).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while dropped() - before < count && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    dropped() - before
}

/// Sends a frame; an error if it was dropped on its way out.
pub fn send_raw(interface: &str, frame: &[u8]) -> nix::Result<usize> {
    RawSocket::open(interface).send(frame)
}

/// Sends frames. Closing it takes the kernel some milliseconds.
pub struct RawSocket(OwnedFd, LinkAddr);

impl RawSocket {
    pub fn open(interface: &str) -> Self {
        let socket: OwnedFd = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .unwrap();
        // SAFETY: all zeroes are a valid sockaddr_ll.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = link(interface).index as i32;
        to.sll_halen = 6;
        // SAFETY: the pointer is to a sockaddr_ll.
        let to = unsafe { LinkAddr::from_raw((&raw const to).cast(), None) }.expect("AF_PACKET");
        Self(socket, to)
    }

    pub fn send(&self, frame: &[u8]) -> nix::Result<usize> {
        sendto(self.0.as_raw_fd(), frame, &self.1, MsgFlags::empty())
    }
}

fn denying() -> Datapath {
    let mut datapath = open();
    datapath.install(&plan(&[], &[]), 1).unwrap();
    datapath
        .set_local_addresses(&["192.0.2.1".parse().unwrap()].into())
        .unwrap();
    datapath
}

#[test]
fn the_filter_goes_on_without_the_process_and_is_adopted_in_place() {
    in_sandbox(|| {
        veth();
        let mut datapath = denying();
        let attached = datapath.attach(&link("eth0"), XdpWish::Auto).unwrap();
        assert_eq!(
            (attached.ingress, &attached.note),
            (Ingress::XdpNative, &None)
        );
        assert_eq!(pins(), ["tc-egress", "xdp"]);
        assert_eq!(dropped_of(&datapath, 5), 5);
        let (xdp, tc) = (ids("xdp"), ids("tc-egress"));
        drop(datapath);
        assert_eq!((ids("xdp"), ids("tc-egress")), (xdp, tc), "still attached");

        let mut datapath = open();
        assert_eq!(datapath.attached(), std::slice::from_ref(&attached));
        assert_eq!(dropped_of(&datapath, 5), 5, "before it is attached again");
        assert_eq!(
            datapath.attach(&link("eth0"), XdpWish::Auto).unwrap(),
            attached
        );
        assert_eq!(datapath.attached(), [attached]);
        for (name, old) in [("xdp", xdp), ("tc-egress", tc)] {
            let new = ids(name);
            assert_eq!(new.0, old.0, "{name}: the same link");
            assert_ne!(new.1, old.1, "{name}: the new program");
        }
        assert_eq!(dropped_of(&datapath, 5), 5);
    });
}

#[test]
fn every_wish_can_follow_every_other_and_always_filters() {
    in_sandbox(|| {
        veth();
        let mut datapath = denying();
        let xdp = vec!["tc-egress", "xdp"];
        let tc = vec!["tc-egress", "tc-ingress"];
        let steps = [
            (XdpWish::Generic, Ingress::XdpGeneric, &xdp),
            (XdpWish::Native, Ingress::XdpNative, &xdp),
            (XdpWish::Off, Ingress::Tc, &tc),
            (XdpWish::Generic, Ingress::XdpGeneric, &xdp),
            (XdpWish::Off, Ingress::Tc, &tc),
            (XdpWish::Off, Ingress::Tc, &tc),
            (XdpWish::Auto, Ingress::XdpNative, &xdp),
            (XdpWish::Generic, Ingress::XdpGeneric, &xdp),
            (XdpWish::Auto, Ingress::XdpNative, &xdp),
        ];
        for (wish, ingress, expected) in steps {
            let attached = datapath.attach(&link("eth0"), wish).unwrap();
            assert_eq!(attached.ingress, ingress, "{wish:?}");
            assert_eq!(pins(), *expected, "{wish:?}");
            assert_eq!(dropped_of(&datapath, 3), 3, "{wish:?}");
            drop(datapath);
            datapath = open();
            let [adopted] = datapath.attached() else {
                panic!("{:?}", datapath.attached());
            };
            assert_eq!(adopted.ingress, ingress, "{wish:?}");
        }
    });
}

#[test]
fn a_driver_without_xdp_gets_tc_with_the_reason_or_an_error() {
    in_sandbox(|| {
        // The loopback interface has no XDP in its driver.
        let mut datapath = open();
        let attached = datapath.attach(&link("lo"), XdpWish::Auto).unwrap();
        assert_eq!(attached.ingress, Ingress::Tc);
        let note = attached.note.unwrap();
        assert!(
            note.contains("no native XDP: the kernel says: Underlying driver"),
            "{note}"
        );
        let error = datapath.attach(&link("lo"), XdpWish::Native).unwrap_err();
        assert!(
            error.to_string().starts_with(
                "interface lo: no native XDP: the kernel says: Underlying driver does not support XDP in native mode\ntry:"
            ),
            "{error}"
        );
        assert_eq!(pins(), ["tc-egress", "tc-ingress"], "what was there stays");
    });
}

#[test]
fn a_foreign_xdp_program_is_named_and_never_displaced() {
    in_sandbox(|| {
        veth();
        // Our own object, but loaded by somebody else and not pinned as ours.
        let maps = "/sys/fs/bpf/somebody";
        let mut datapath = open();
        fs::create_dir(maps).unwrap();
        let mut foreign = aya::EbpfLoader::new()
            .default_map_pin_directory(maps)
            .load(objects::xdp().unwrap())
            .unwrap();
        let program: &mut Xdp = foreign.program_mut("fw_xdp").unwrap().try_into().unwrap();
        program.load().unwrap();
        program
            .attach_to_if_index(link("eth0").index, XdpMode::Driver)
            .unwrap();
        let id = program.info().unwrap().id();

        for wish in [XdpWish::Auto, XdpWish::Native, XdpWish::Generic] {
            let error = datapath.attach(&link("eth0"), wish).unwrap_err();
            assert!(
                matches!(error, DatapathError::OtherInstance { id: found, .. } if found == id),
                "{error}"
            );
            assert_eq!(error.exit_code(), 4);
            assert!(pins().is_empty(), "nothing was attached");
        }
        let attached = datapath.attach(&link("eth0"), XdpWish::Off).unwrap();
        assert_eq!(attached.ingress, Ingress::Tc, "behind it");
    });
}

#[test]
fn links_of_interfaces_that_vanished_are_cleaned() {
    in_sandbox(|| {
        veth();
        let mut datapath = denying();
        datapath.attach(&link("eth0"), XdpWish::Auto).unwrap();
        let index = link("eth0").index;
        drop(datapath);
        ip("link del eth0");
        let datapath = open();
        assert!(datapath.attached().is_empty());
        assert!(pins().is_empty());
        drop(datapath);

        // The index comes back as another interface, under a pin that is dead.
        ip(&format!(
            "link add eth0 index {index} type veth peer name peer"
        ));
        let mut datapath = open();
        datapath.attach(&link("eth0"), XdpWish::Auto).unwrap();
        ip("link del eth0");
        ip(&format!(
            "link add eth0 index {index} type veth peer name peer"
        ));
        ip("link set eth0 up");
        ip("link set peer up");
        let attached = datapath.attach(&link("eth0"), XdpWish::Auto).unwrap();
        assert_eq!(attached.ingress, Ingress::XdpNative);
        assert_eq!(dropped_of(&datapath, 3), 3);
        let missing = fw_ctl::datapath::LinkRef {
            index: 99_999,
            name: "gone0".into(),
        };
        let error = datapath.attach(&missing, XdpWish::Auto).unwrap_err();
        assert!(
            matches!(error, DatapathError::NoInterface { .. }),
            "{error}"
        );
    });
}

#[test]
fn detaching_an_interface_and_all_of_them_leaves_no_program() {
    in_sandbox(|| {
        veth();
        ip("link add eth1 type veth peer name peer1");
        let mut datapath = denying();
        datapath.attach(&link("eth0"), XdpWish::Auto).unwrap();
        datapath.attach(&link("eth1"), XdpWish::Auto).unwrap();
        datapath.detach_link(link("eth1").index).unwrap();
        let names: Vec<_> = datapath.attached().iter().map(|a| &a.link.name).collect();
        assert_eq!(names, ["eth0"]);
        let tcx = |name: &str, hook| SchedClassifier::query_tcx(name, hook).unwrap().1.len();
        assert_eq!(tcx("eth1", TcAttachType::Ingress), 0);
        assert_eq!(tcx("eth1", TcAttachType::Egress), 0);
        assert_eq!(tcx("eth0", TcAttachType::Egress), 1);

        let report = datapath.close().unwrap();
        assert_eq!(report.interfaces, ["eth0"]);
        assert_eq!((report.links, report.maps), (2, 31));
        assert_eq!(tcx("eth0", TcAttachType::Egress), 0);
        let mut datapath = denying();
        assert_eq!(dropped_of(&datapath, 0), 0);
        // Native XDP can be attached again: nothing of ours is in the way.
        datapath.attach(&link("eth0"), XdpWish::Native).unwrap();
        assert!(!Path::new("/sys/fs/bpf/fw-ctl/v0").exists());
    });
}

#[test]
fn detaching_from_another_network_namespace_names_no_interface_of_this_one() {
    in_sandbox(|| {
        veth();
        let index = link("eth0").index;
        let mut datapath = denying();
        datapath.attach(&link("eth0"), XdpWish::Native).unwrap();
        drop(datapath);
        // The same index is somebody else's there.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        ip(&format!(
            "link add other0 index {index} type veth peer name peer"
        ));
        let report = Datapath::detach_all(Path::new(PIN_DIR)).unwrap();
        let told = format!("interface {index} (gone, or in another network namespace)");
        assert_eq!(report.interfaces, [told]);
        assert_eq!(report.links, 2);
    });
}

#[test]
fn two_instances_never_filter_one_interface() {
    in_sandbox(|| {
        veth();
        let other_pins = "/sys/fs/bpf/other";
        for theirs in [XdpWish::Native, XdpWish::Off] {
            let mut first = denying();
            first.attach(&link("eth0"), theirs).unwrap();
            let mut second = Datapath::open(Path::new(other_pins)).unwrap();
            for wish in [XdpWish::Auto, XdpWish::Native, XdpWish::Off] {
                let error = second.attach(&link("eth0"), wish).unwrap_err();
                assert_eq!(error.exit_code(), 4, "{error}");
                let text = error.to_string();
                for part in ["interface eth0: another fw-ctl", "try: ", "--pin-dir"] {
                    assert!(text.contains(part), "{part} in: {text}");
                }
            }
            assert_eq!(second.attached(), []);
            assert_eq!(dropped_of(&first, 3), 3, "the first goes on");
            // Its own programs are no stranger's, also those of a former process.
            drop(first);
            let mut first = open();
            first.attach(&link("eth0"), theirs).unwrap();
            // Another interface is another matter.
            second.install(&plan(&[], &[]), 1).unwrap();
            second.attach(&link("peer"), XdpWish::Off).unwrap();
            first.close().unwrap();
            second.attach(&link("eth0"), XdpWish::Auto).unwrap();
            second.close().unwrap();
        }
    });
}

#[test]
fn links_of_another_schema_are_taken_over() {
    in_sandbox(|| {
        veth();
        let mut datapath = denying();
        datapath.attach(&link("eth0"), XdpWish::Auto).unwrap();
        let (xdp, tc) = (ids("xdp"), ids("tc-egress"));
        drop(datapath);
        let old = format!("{PIN_DIR}/v0");
        fs::rename(format!("{PIN_DIR}/v{SCHEMA_VERSION}"), &old).unwrap();

        let mut datapath = denying();
        let attached = datapath.attach(&link("eth0"), XdpWish::Auto).unwrap();
        assert_eq!(attached.ingress, Ingress::XdpNative);
        assert_eq!((ids("xdp").0, ids("tc-egress").0), (xdp.0, tc.0));
        assert!(!Path::new(&old).exists(), "nothing of it is needed");
        assert_eq!(dropped_of(&datapath, 3), 3);
    });
}

#[test]
fn before_tcx_filters_are_replaced_in_place_and_removed() {
    in_sandbox(|| {
        veth();
        let open = || Datapath::open_with(Path::new(PIN_DIR), TcKind::Clsact).unwrap();
        let filters = |direction: &str| {
            let output = std::process::Command::new("tc")
                .args(["filter", "show", "dev", "eth0", direction])
                .output()
                .expect("tc of iproute2");
            String::from_utf8(output.stdout).unwrap()
        };
        let mut datapath = open();
        datapath.install(&plan(&[], &[]), 1).unwrap();
        datapath
            .set_local_addresses(&["192.0.2.1".parse().unwrap()].into())
            .unwrap();
        datapath.attach(&link("eth0"), XdpWish::Off).unwrap();
        assert_eq!(pins(), ["filter-egress", "filter-ingress"]);
        assert_eq!(dropped_of(&datapath, 3), 3);
        let before = filters("ingress");
        drop(datapath);
        assert_eq!(filters("ingress"), before, "it stays");

        let mut datapath = open();
        let [adopted] = datapath.attached() else {
            panic!("{:?}", datapath.attached());
        };
        assert_eq!(adopted.ingress, Ingress::Tc);
        datapath.attach(&link("eth0"), XdpWish::Off).unwrap();
        assert_eq!(filters("ingress").matches(" handle ").count(), 1);
        assert_ne!(filters("ingress"), before, "the new program");
        assert_eq!(dropped_of(&datapath, 3), 3);
        let report = datapath.close().unwrap();
        assert_eq!(report.links, 2);
        assert_eq!(
            (filters("ingress"), filters("egress")),
            (String::new(), String::new())
        );
    });
}

#[test]
fn a_filter_or_its_marker_that_was_removed_is_noticed_and_made_again() {
    in_sandbox(|| {
        veth();
        let mut datapath = Datapath::open_with(Path::new(PIN_DIR), TcKind::Clsact).unwrap();
        datapath.install(&plan(&[], &[]), 1).unwrap();
        datapath
            .set_local_addresses(&["192.0.2.1".parse().unwrap()].into())
            .unwrap();
        let lost = |datapath: &Datapath| -> Vec<String> {
            let lost = datapath.lost().into_iter();
            lost.map(|(_, what)| what).collect()
        };
        datapath.attach(&link("eth0"), XdpWish::Off).unwrap();
        assert_eq!(lost(&datapath), [""; 0]);
        for direction in ["ingress", "egress"] {
            let removed = std::process::Command::new("tc")
                .args(["filter", "del", "dev", "eth0", direction])
                .status()
                .expect("tc of iproute2");
            assert!(removed.success());
            let expected = format!("its TC {direction} filter was removed");
            assert_eq!(lost(&datapath), [expected]);
            datapath.attach(&link("eth0"), XdpWish::Off).unwrap();
            assert_eq!(lost(&datapath), [""; 0], "{direction}");
        }
        // Its place is taken by a program that reads these tables: ours.
        for marker in ["filter-ingress", "filter-egress"] {
            fs::remove_file(pin(marker)).unwrap();
        }
        assert_eq!(
            lost(&datapath),
            ["the pin of its TC ingress program was removed"]
        );
        datapath.attach(&link("eth0"), XdpWish::Off).unwrap();
        assert_eq!(lost(&datapath), [""; 0]);
        assert_eq!(dropped_of(&datapath, 3), 3);
    });
}

#[test]
fn links_of_another_network_namespace_are_not_taken_for_leftovers() {
    in_sandbox(|| {
        veth();
        for wish in [XdpWish::Native, XdpWish::Off] {
            let mut datapath = denying();
            datapath.attach(&link("eth0"), wish).unwrap();
            drop(datapath);
            let pinned = pins();
            let error = std::thread::spawn(|| {
                // The BPF file system is the same there.
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                Datapath::open(Path::new("/sys/fs/bpf/fw-ctl")).map(|_| ())
            });
            let error = error.join().unwrap().unwrap_err();
            let index = link("eth0").index;
            assert!(
                matches!(error, DatapathError::OtherNamespace { index: found, .. } if found == index),
                "{error}"
            );
            assert_eq!(error.exit_code(), 4);
            assert_eq!(pins(), pinned, "they stay");
            assert_eq!(open().attached().len(), 1, "and filter");
        }
    });
}
