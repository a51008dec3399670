//! The lab by itself, without a firewall: what it promises to the other tests.

use std::time::{Duration, Instant};

use sandbox::bpf::ForeignXdp;
use sandbox::frame::{self, FrameSocket};
use sandbox::ping::ping;
use sandbox::probe::{self, Connection, Outcome};
use sandbox::{Family, Host, Lab, Servers, tcp, udp};

/// A lab, or `None` (and the reason on stderr) where there cannot be one.
fn lab() -> Option<Lab> {
    if nix::unistd::geteuid().is_root() {
        return Some(Lab::new().expect("the lab can be built"));
    }
    let why = "skipped: namespaces need root";
    assert!(
        std::env::var("FW_KERNEL_TESTS").as_deref() != Ok("require"),
        "{why}"
    );
    eprintln!("{why}");
    None
}

fn reaches(from: &Host, to: &Host, family: Family) {
    let address = to.address(family);
    let who = format!("{} to {} {family}", from.name, to.name);
    assert_eq!(
        ping(&from.namespace, address, 1, 8),
        Outcome::Answered,
        "ping {who}"
    );
    let tcp = probe::tcp(&from.namespace, None, to.socket(family, 80));
    assert_eq!(tcp, Outcome::Answered, "tcp {who}");
    let udp = probe::udp(&from.namespace, None, to.socket(family, 53));
    assert_eq!(udp, Outcome::Answered, "udp {who}");
}

#[test]
fn it_starts_quickly() {
    let begin = Instant::now();
    let Some(_lab) = lab() else { return };
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn everybody_reaches_everybody_in_both_families() {
    let Some(lab) = lab() else { return };
    let hosts = lab.on_segment();
    let _servers = hosts.map(|host| Servers::start(host, &[tcp(80), udp(53)]).unwrap());
    for from in hosts {
        for to in hosts {
            for family in Family::BOTH {
                reaches(from, to, family);
            }
        }
    }
}

#[test]
fn servers_count_what_they_see_and_probes_tell_what_happened() {
    let Some(lab) = lab() else { return };
    let servers = Servers::start(&lab.node, &[tcp(22), udp(8472)]).unwrap();
    let from = &lab.jump.namespace;
    for family in Family::BOTH {
        let mut connection =
            Connection::open(from, Some(40_001), lab.node.socket(family, 22)).unwrap();
        assert_eq!(connection.greeting, "node 22");
        assert_eq!(connection.source_port().unwrap(), 40_001);
        connection.talk("still there").unwrap();
        let sent = probe::udp(from, Some(40_002), lab.node.socket(family, 8472));
        assert_eq!(sent, Outcome::Answered);
        let closed = probe::tcp(from, None, lab.node.socket(family, 23));
        assert_eq!(closed, Outcome::Refused);
    }
    assert_eq!(servers.seen(tcp(22)), 2);
    assert_eq!(servers.seen(udp(8472)), 2);
    assert_eq!(servers.seen(tcp(80)), 0);
    let nobody = probe::tcp(from, None, "10.0.0.99:80".parse().unwrap());
    assert!(!nobody.answered(), "{nobody}");
}

#[test]
fn packets_larger_than_the_mtu_arrive_whole() {
    let Some(lab) = lab() else { return };
    let _servers = Servers::start(&lab.node, &[tcp(80), udp(53)]).unwrap();
    let from = &lab.stranger.namespace;
    for family in Family::BOTH {
        let large = probe::udp_of_size(from, None, lab.node.socket(family, 53), 9_000);
        assert_eq!(large, Outcome::Answered, "{family}");
        let echo = ping(from, lab.node.address(family), 9, 9_000);
        assert_eq!(echo, Outcome::Answered, "{family}");
        let mut connection = Connection::open(from, None, lab.node.socket(family, 80)).unwrap();
        connection.bulk(8 << 20).unwrap();
    }
}

#[test]
fn a_pod_has_the_network_only_behind_the_masquerade() {
    let Some(lab) = lab() else { return };
    let _servers = Servers::start(&lab.stranger, &[tcp(80), udp(53)]).unwrap();
    let before = probe::udp(
        &lab.pod.namespace,
        None,
        lab.stranger.socket(Family::V4, 53),
    );
    assert!(!before.answered(), "{before}");
    lab.masquerade().unwrap();
    for family in Family::BOTH {
        reaches(&lab.pod, &lab.stranger, family);
    }
}

#[test]
fn raw_frames_arrive_as_they_were_sent_tags_included() {
    let Some(lab) = lab() else { return };
    let servers = Servers::start(&lab.node, &[udp(53)]).unwrap();
    let port = FrameSocket::open(&lab.segment, "p-node").unwrap();
    let node = FrameSocket::open(&lab.node.namespace, "eth0").unwrap();
    let from = lab.stranger.socket(Family::V4, 40_000);
    let to = lab.node.socket(Family::V4, 53);
    let (kind, packet) = frame::udp(from, to, b"by hand");
    let macs = (lab.node.mac, lab.stranger.mac);

    port.send(&frame::ethernet(macs.0, macs.1, &[], kind, &packet))
        .unwrap();
    let end = Instant::now() + Duration::from_secs(2);
    while servers.seen(udp(53)) == 0 && Instant::now() < end {
        std::thread::yield_now();
    }
    assert_eq!(
        servers.seen(udp(53)),
        1,
        "the checksums are right, so the socket got it"
    );

    // Behind two tags it is not for this host's sockets, but it is on the wire.
    let tags = [(frame::SERVICE_VLAN, 100), (frame::VLAN, 7)];
    port.send(&frame::ethernet(macs.0, macs.1, &tags, kind, &packet))
        .unwrap();
    let inner = [&[0x81, 0, 0, 7][..], &kind.to_be_bytes()].concat();
    node.wait_for(|seen| {
        seen.windows(inner.len())
            .any(|part| part == inner)
            .then_some(())
    })
    .expect("the tagged frame is seen on eth0");
    assert_eq!(servers.seen(udp(53)), 1);
}

#[test]
fn two_labs_live_side_by_side_and_leave_nothing() {
    let Some(one) = lab() else { return };
    let two = Lab::new().unwrap();
    let _on_one = Servers::start(&one.node, &[tcp(80)]).unwrap();
    let wrong = probe::tcp(&two.jump.namespace, None, two.node.socket(Family::V4, 80));
    assert_eq!(
        wrong,
        Outcome::Refused,
        "the other lab's server is not reachable"
    );
    let paths = [one.dir.path().to_owned(), two.dir.path().to_owned()];
    assert!(paths.iter().all(|path| path.exists()));
    drop((one, two));
    assert!(!paths.iter().any(|path| path.exists()));
}

#[test]
fn the_node_has_a_bpffs_of_its_own_and_sees_only_its_interfaces() {
    let Some(lab) = lab() else { return };
    let node = &lab.node.namespace;
    let kind = node
        .run("stat", &["-f", "-c", "%T", "/sys/fs/bpf"])
        .unwrap();
    assert_eq!(kind.trim(), "bpf_fs");
    let interfaces = node.run("ls", &["/sys/class/net"]).unwrap();
    let mut names: Vec<_> = interfaces.split_whitespace().collect();
    names.sort_unstable();
    assert_eq!(names, ["eth0", "lo", "pod0"]);
}

#[test]
fn a_foreign_program_can_be_attached_and_lets_traffic_pass() {
    let Some(lab) = lab() else { return };
    let _servers = Servers::start(&lab.node, &[tcp(80), udp(53)]).unwrap();
    let foreign = ForeignXdp::attach(&lab.node.namespace, "eth0").unwrap();
    let shown = lab
        .node
        .namespace
        .run("ip", &["link", "show", "eth0"])
        .unwrap();
    assert!(
        shown.contains(&format!("prog/xdp id {} ", foreign.id)),
        "{shown}"
    );
    reaches(&lab.stranger, &lab.node, Family::V4);
    drop(foreign);
    let shown = lab
        .node
        .namespace
        .run("ip", &["link", "show", "eth0"])
        .unwrap();
    assert!(!shown.contains("xdp"), "{shown}");
}
