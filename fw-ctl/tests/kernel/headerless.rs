//! Interfaces without an Ethernet header: which programs they get, and that these judge
//! real packets as the model does.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::loaded_programs;
use fw_common::wire::{Action, Counter, Direction, SCHEMA_VERSION, Tally};
use fw_ctl::capture::Link;
use fw_ctl::compile::plan::Plan;
use fw_ctl::datapath::capture::Tapped;
use fw_ctl::datapath::frame::{Packet, Payload};
use fw_ctl::datapath::host::TcKind;
use fw_ctl::datapath::modelrun::ModelRun;
use fw_ctl::datapath::{Datapath, Hook, Ingress, Verdict, XdpWish};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, sendto, socket,
};

use crate::support::{PIN_DIR, in_sandbox, ip, link, plan};
use crate::tun::Tun;

const NODE: &str = "192.0.2.1";
const NODE6: &str = "2001:db8::1";
const PEER: &str = "192.0.2.9";
const PEER6: &str = "2001:db8::9";
/// Bytes of an Ethernet header.
const HEADER: usize = 14;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_MPLS: u16 = 0x8847;

/// `ARPHRD_ETHER` and `ARPHRD_NONE` of `linux/if_arp.h`.
const TYPE_ETHERNET: u16 = 1;
const TYPE_NONE: u16 = 0xfffe;

/// `tun0`, up, and quiet: nothing but what the test sends.
fn tun() -> Tun {
    let tun = Tun::new("tun0");
    fs::write("/proc/sys/net/ipv6/conf/tun0/disable_ipv6", "1").unwrap();
    ip("link set tun0 up");
    tun
}

fn local() -> fw_ctl::netlink::LocalAddresses {
    [NODE, NODE6].map(|a| a.parse::<IpAddr>().unwrap()).into()
}

fn judging(kind: TcKind, plan: &Plan) -> Datapath {
    let mut datapath = Datapath::open_with(Path::new(PIN_DIR), kind).unwrap();
    datapath.install(plan, 1).unwrap();
    datapath.set_local_addresses(&local()).unwrap();
    datapath
}

/// Peers of `192.0.2.0/24` and `2001:db8::/32` may reach TCP port 80; nobody is answered
/// or asked but by TCP.
fn both_ways() -> Plan {
    let mut plan = plan(&["192.0.2.0/24", "2001:db8::/32"], &[80]);
    let ingress = plan.directions[0].clone();
    plan.directions[1] = ingress;
    plan
}

/// What of the packets in the given direction was counted, by counter.
fn counted(datapath: &Datapath, direction: Direction) -> Vec<(Counter, Tally)> {
    let counters = datapath.counters().unwrap().into_iter();
    let of = counters.filter(|(of, _, tally)| *of == direction && tally.packets > 0);
    of.map(|(_, counter, tally)| (counter, tally)).collect()
}

/// What moved between two looks.
fn moved(before: &[(Counter, Tally)], after: &[(Counter, Tally)]) -> Vec<(Counter, Tally)> {
    let changed = after.iter().filter_map(|(counter, tally)| {
        let old = before.iter().find(|(of, _)| of == counter);
        let old = old.map_or(Tally::default(), |(_, tally)| *tally);
        let tally = Tally {
            packets: tally.packets - old.packets,
            bytes: tally.bytes - old.bytes,
        };
        (tally.packets > 0).then_some((*counter, tally))
    });
    changed.collect()
}

/// Packets, each in a frame of Ethernet, whose header only says what they are.
fn frames(ingress: bool) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (peer, node) in [(PEER, NODE), (PEER6, NODE6), ("198.51.100.7", NODE)] {
        let (mut source, mut destination) = (peer, node);
        if !ingress {
            (source, destination) = (node, peer);
        }
        for payload in [
            Payload::new(6, (40_000, 80), (0, 0)),
            Payload::new(6, (40_000, 22), (0, 0)),
            Payload::new(17, (40_000, 80), (0, 0)),
            Payload::new(132, (40_000, 80), (0, 0)),
            Payload::new(47, (0, 0), (0, 0)),
            Payload::new(if peer == PEER6 { 58 } else { 1 }, (0, 0), (8, 0)),
        ] {
            let packet = Packet {
                vlan: None,
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
                payload,
            };
            frames.push(packet.frame().unwrap());
        }
    }
    let whole = frames[0].clone();
    // A fragment, a header that contradicts itself, and one that is cut.
    let with = |at: usize, byte: u8| {
        let mut frame = whole.clone();
        frame[at] = byte;
        frame
    };
    frames.extend([with(20, 0x20), with(14, 0x44), with(14, 0x65)]);
    frames.extend([whole[..HEADER + 30].to_vec(), whole[..HEADER + 7].to_vec()]);
    // Not IP, whatever it looks like; and another family than it looks like.
    for ethertype in [ETHERTYPE_MPLS, ETHERTYPE_IPV6, 0x0003] {
        let mut frame = whole.clone();
        frame[12..HEADER].copy_from_slice(&ethertype.to_be_bytes());
        frames.push(frame);
    }
    frames
}

fn ethertype(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[12], frame[13]])
}

#[test]
fn real_packets_are_judged_as_the_model_says() {
    in_sandbox(|| {
        let mut tun = tun();
        let plan = both_ways();
        let mut datapath = judging(TcKind::Tcx, &plan);
        let attached = datapath.attach(&link("tun0"), XdpWish::Auto).unwrap();
        assert_eq!(attached.ingress, Ingress::Tc);
        let mut model = ModelRun::default();
        model.set_headerless();
        model.set_local(&local());
        model.install(&plan);
        let mut verdicts = [0; 2];
        for (direction, hook) in [
            (Direction::Ingress, Hook::TcIngress),
            (Direction::Egress, Hook::TcEgress),
        ] {
            let ingress = direction == Direction::Ingress;
            for frame in frames(ingress) {
                model.forget();
                let expected = model.run(hook, &frame);
                let wanted: Vec<_> = expected.moved.iter().map(|m| (m.1, m.2)).collect();
                let before = counted(&datapath, direction);
                let (ethertype, packet) = (ethertype(&frame), &frame[HEADER..]);
                if ingress {
                    tun.send(ethertype, packet);
                } else {
                    while tun.receive().is_some() {}
                    send_on("tun0", ethertype, packet);
                    let passed = tun.receive().is_some_and(|sent| sent.1 == packet);
                    assert_eq!(passed, expected.verdict == Verdict::Pass, "{frame:02x?}");
                }
                let found = moved(&before, &counted(&datapath, direction));
                assert_eq!(found, wanted, "{direction:?} {frame:02x?}");
                verdicts[usize::from(expected.verdict == Verdict::Pass)] += 1;
            }
        }
        assert!(verdicts.iter().all(|count| *count >= 10), "{verdicts:?}");
    });
}

/// While somebody captures, and as many bytes as are wanted.
#[test]
fn dropped_packets_are_captured_from_their_ip_header_on() {
    const SNAPLEN: u32 = 30;
    in_sandbox(|| {
        let mut tun = tun();
        let mut datapath = judging(TcKind::Tcx, &both_ways());
        datapath.attach(&link("tun0"), XdpWish::Auto).unwrap();
        let (mut gate, mut buffers) = datapath.tap().unwrap().open().unwrap();
        let mut caught = || {
            let mut caught = Vec::new();
            for buffer in &mut buffers {
                buffer.drain(|one| match one {
                    Tapped::Caught(one) => caught.push(one),
                    Tapped::Lost(lost) => panic!("{lost} of a few are lost"),
                });
            }
            caught
        };
        for (snaplen, each) in [(0, 0), (SNAPLEN, 1), (0, 0)] {
            gate.set(snaplen).unwrap();
            for (source, destination, ingress) in [
                (PEER, NODE, true),
                (PEER6, NODE6, true),
                (NODE, PEER, false),
            ] {
                let packet = Packet {
                    vlan: None,
                    source: source.parse().unwrap(),
                    destination: destination.parse().unwrap(),
                    payload: Payload::new(17, (40_000, 80), (0, 0)),
                };
                let frame = packet.frame().unwrap();
                let (ethertype, packet) = (ethertype(&frame), &frame[HEADER..]);
                match ingress {
                    true => tun.send(ethertype, packet),
                    false => send_on("tun0", ethertype, packet),
                }
                let caught = caught();
                assert_eq!(caught.len(), each, "{source} {snaplen}");
                for caught in caught {
                    assert_eq!(caught.link, Link::Ip, "{source}");
                    assert_eq!(caught.length as usize, packet.len(), "{source}");
                    let first = packet.len().min(SNAPLEN as usize);
                    assert_eq!(caught.bytes, packet[..first], "{source}");
                    assert_eq!(caught.event.action, Action::Deny as u8, "{source}");
                }
            }
        }
    });
}

/// Sends a packet out of an interface, past the IP stack.
fn send_on(interface: &str, ethertype: u16, packet: &[u8]) {
    let socket: OwnedFd = socket(
        AddressFamily::Packet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    // SAFETY: all zeroes are a valid sockaddr_ll.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_protocol = ethertype.to_be();
    to.sll_ifindex = link(interface).index as i32;
    // SAFETY: the pointer is to a sockaddr_ll.
    let to = unsafe { LinkAddr::from_raw((&raw const to).cast(), None) }.expect("AF_PACKET");
    // What the filter drops is answered with "no buffer space".
    let _ = sendto(socket.as_raw_fd(), packet, &to, MsgFlags::empty());
}

#[test]
fn the_node_answers_whom_it_may_and_reaches_nobody_else() {
    in_sandbox(|| {
        for kind in [TcKind::Tcx, TcKind::Clsact] {
            let mut tun = tun();
            ip("address add 192.0.2.1/24 dev tun0");
            let mut datapath = judging(kind, &both_ways());
            datapath.attach(&link("tun0"), XdpWish::Native).unwrap();
            for (port, answered) in [(80, true), (22, false)] {
                let syn = Packet {
                    vlan: None,
                    source: PEER.parse().unwrap(),
                    destination: NODE.parse().unwrap(),
                    payload: Payload::new(6, (40_000, port), (0, 0)),
                };
                tun.send(ETHERTYPE_IPV4, &syn.frame().unwrap()[HEADER..]);
                // Nobody listens, so the kernel resets the connection.
                let answer = tun.receive();
                assert_eq!(answer.is_some(), answered, "{kind:?} {port} {answer:?}");
            }
            let own = UdpSocket::bind((NODE, 0)).unwrap();
            let before = counted(&datapath, Direction::Egress);
            let _ = own.send_to(b"refused", (PEER, 53));
            assert_eq!(tun.receive(), None, "{kind:?}");
            let found = moved(&before, &counted(&datapath, Direction::Egress));
            let [(Counter::Dropped(_), tally)] = found[..] else {
                panic!("{found:?}");
            };
            // Headers of IPv4 and UDP, and seven bytes; no link layer.
            assert_eq!((tally.packets, tally.bytes), (1, 20 + 8 + 7), "{kind:?}");
            drop(tun);
            datapath.close().unwrap();
        }
    });
}

/// Names of the programs on `tun0` and the ids of their links, in the pins.
fn programs() -> Vec<(String, u32)> {
    let index = link("tun0").index;
    let of = |name: &str| {
        let pin = format!("{PIN_DIR}/v{SCHEMA_VERSION}/links/{index}-{name}");
        let link = FdLink::from(PinnedLink::from_pin(pin).expect("the pin"));
        let info = link.info().unwrap();
        let program = info.program_id();
        let mut loaded = loaded_programs().flatten();
        let program = loaded.find(|known| known.id() == program).unwrap();
        (program.name_as_str().unwrap().to_owned(), info.id())
    };
    ["tc-ingress", "tc-egress"].map(of).into()
}

fn names(programs: &[(String, u32)]) -> Vec<&str> {
    programs.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn each_type_of_link_gets_its_own_programs_in_the_same_place() {
    in_sandbox(|| {
        let tun = Tun::new("tun0");
        let mut datapath = judging(TcKind::Tcx, &both_ways());
        tun.set_type(TYPE_ETHERNET);
        datapath.attach(&link("tun0"), XdpWish::Off).unwrap();
        let ethernet = programs();
        assert_eq!(names(&ethernet), ["fw_tc_ingress", "fw_tc_egress"]);
        tun.set_type(TYPE_NONE);
        for process in ["the same", "a later one"] {
            datapath.attach(&link("tun0"), XdpWish::Auto).unwrap();
            let headerless = programs();
            assert_eq!(names(&headerless), ["fw_l3_ingress", "fw_l3_egress"]);
            for (old, new) in ethernet.iter().zip(&headerless) {
                assert_eq!(old.1, new.1, "{process}: the same link");
            }
            assert_eq!(datapath.lost().len(), 0, "{process}");
            drop(datapath);
            datapath = Datapath::open(Path::new(PIN_DIR)).unwrap();
            assert_eq!(datapath.attached().len(), 1, "{process}");
        }
    });
}

#[test]
fn another_fw_ctl_on_such_a_link_is_refused() {
    in_sandbox(|| {
        let _tun = Tun::new("tun0");
        let mut first = judging(TcKind::Tcx, &both_ways());
        first.attach(&link("tun0"), XdpWish::Auto).unwrap();
        fs::create_dir_all("/sys/fs/bpf/other").unwrap();
        let mut second = Datapath::open(Path::new("/sys/fs/bpf/other")).unwrap();
        let error = second.attach(&link("tun0"), XdpWish::Auto).unwrap_err();
        assert!(
            matches!(error, fw_ctl::datapath::DatapathError::OtherInstance { .. }),
            "{error}"
        );
    });
}
