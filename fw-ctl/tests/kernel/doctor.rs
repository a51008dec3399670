//! `fw-ctl doctor` and what it asks drivers, in a network namespace: the real command.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use aya::programs::tc::TcAttachType;
use aya::programs::{SchedClassifier, Xdp, XdpMode};
use fw_ctl::datapath::objects;
use fw_ctl::ethtool::{self, Switch};
use serde_json::Value;

use crate::support::{in_sandbox, ip};
use crate::tun::Tun;

fn doctor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fw-ctl"))
        .arg("doctor")
        .args(["--run-dir", "/nowhere"])
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

/// Findings of a group, as level, subject and text, with the exit code.
fn findings(group: &str) -> (Vec<[String; 3]>, Option<i32>) {
    let output = doctor(&["-o", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["schema"], 1);
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let findings = json["findings"].as_array().unwrap().iter();
    let findings = findings
        .filter(|finding| finding["group"] == group)
        .map(|finding| ["level", "subject", "what"].map(|field| text(finding, field)))
        .collect();
    (findings, output.status.code())
}

fn line(level: &str, subject: &str, what: &str) -> [String; 3] {
    [level, subject, what].map(str::to_owned)
}

/// `eth0` is the node's interface.
fn veth() {
    ip("link add eth0 numrxqueues 1 type veth peer name peer");
    ip("link set eth0 up");
    ip("link set peer up");
    ip("address add 192.0.2.1/24 dev eth0");
}

#[test]
fn the_datapath_is_tried_and_leaves_nothing_behind() {
    in_sandbox(|| {
        veth();
        let before = fs::read_to_string("/proc/self/mounts").unwrap();
        let (findings, _) = findings("datapath");
        let subjects: Vec<_> = findings
            .iter()
            .map(|f| (f[0].as_str(), f[1].as_str()))
            .collect();
        let expected = [
            ("ok", "programs"),
            ("ok", "XDP"),
            ("ok", "TC"),
            ("ok", "memory"),
        ];
        assert_eq!(subjects, expected, "{findings:?}");
        assert!(findings[1][2].ends_with("(tried)"), "{findings:?}");
        // The connections alone are a thousandth of the memory of the machine.
        let mib = findings[3][2].split_whitespace().nth(3).unwrap();
        assert!(mib.parse::<u64>().unwrap() >= 2, "{findings:?}");

        assert_eq!(fs::read_to_string("/proc/self/mounts").unwrap(), before);
        assert_eq!(fs::read_dir("/sys/fs/bpf").unwrap().count(), 0);
        for name in ["lo", "eth0"] {
            let shown = Command::new("ip")
                .args(["-d", "link", "show", name])
                .output()
                .unwrap();
            let shown = String::from_utf8(shown.stdout).unwrap();
            assert!(shown.contains(name) && !shown.contains("xdp"), "{shown}");
        }
    });
}

#[test]
fn interfaces_are_described_and_gaps_are_missing() {
    in_sandbox(|| {
        veth();
        let (before, _) = findings("interfaces");
        assert_eq!(
            before,
            [line(
                "ok",
                "eth0",
                "veth, MTU 1500, 1 queue: to be filtered"
            )]
        );
        // Without an Ethernet header, and up.
        let _tun = Tun::new("tun0");
        ip("link set tun0 up");
        // As if it were InfiniBand.
        let other = Tun::new("ib0");
        other.set_type(32);
        ip("link set ib0 up");
        let (after, code) = findings("interfaces");
        let of = |name: &str| after.iter().find(|finding| finding[1] == name).unwrap();
        assert_eq!(of("tun0")[0], "ok");
        let gap = of("ib0");
        assert_eq!(gap[0], "missing");
        assert!(
            gap[2].ends_with("traffic of the node may pass unfiltered"),
            "{gap:?}"
        );
        assert_eq!(code, Some(1));
    });
}

#[test]
fn programs_of_others_are_named() {
    in_sandbox(|| {
        veth();
        // Our own object under another name is a program of somebody else.
        let mut object = objects::xdp().unwrap().to_vec();
        rename(&mut object, b"fw_xdp\0", b"so_xdp\0");
        fs::create_dir("/sys/fs/bpf/somebody").unwrap();
        nix::mount::mount(
            Some("bpf"),
            "/sys/fs/bpf/somebody",
            Some("bpf"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        )
        .unwrap();
        let load = |object: &[u8]| {
            let mut loader = aya::EbpfLoader::new();
            loader.default_map_pin_directory("/sys/fs/bpf/somebody");
            loader.map_pin_path("PEERS", PathBuf::from("/sys/fs/bpf/somebody/PEERS"));
            loader.load(object).unwrap()
        };
        let mut foreign = load(&object);
        let xdp: &mut Xdp = foreign.program_mut("so_xdp").unwrap().try_into().unwrap();
        xdp.load().unwrap();
        xdp.attach("eth0", XdpMode::Driver).unwrap();
        let id = xdp.info().unwrap().id();
        let mut foreign = load(objects::tc().unwrap());
        let tc: &mut SchedClassifier = foreign.program_mut("fw_clock").unwrap().try_into().unwrap();
        tc.load().unwrap();
        // Below 6.6 a filter of clsact.
        let _ = aya::programs::tc::qdisc_add_clsact("eth0");
        tc.attach("eth0", TcAttachType::Egress).unwrap();
        let clock = tc.info().unwrap().id();

        let (findings, code) = findings("interfaces");
        let expected = [
            line("ok", "eth0", "veth, MTU 1500, 1 queue: to be filtered"),
            line(
                "slow",
                "eth0",
                &format!("the native XDP program {id} (so_xdp) is on it, which is not ours"),
            ),
            line(
                "note",
                "eth0",
                &format!("programs of others on TC egress: {clock} (fw_clock)"),
            ),
        ];
        assert_eq!(findings, expected);
        assert_eq!(code, Some(1));
        let text = String::from_utf8(doctor(&[]).stdout).unwrap();
        let advice = format!("try: bpftool prog show id {id}; ip link set eth0 xdp off");
        assert!(text.contains(&advice), "{text}");
    });
}

fn rename(object: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..object.len() - from.len() {
        if object[at..].starts_with(from) {
            object[at..at + to.len()].copy_from_slice(to);
        }
    }
}

/// veth lets tags be taken out of the frame and loopback does not (their `hw_features`).
#[test]
fn drivers_tell_their_features() {
    in_sandbox(|| {
        veth();
        assert_eq!(ethtool::driver("eth0").as_deref(), Some("veth"));
        assert_eq!(ethtool::driver("eth9"), None);
        let veth = ethtool::features("eth0").unwrap();
        let changeable = Switch {
            on: true,
            fixed: false,
        };
        assert_eq!(veth.rx_vlan, Some(changeable));
        assert_eq!(veth.tso, Some(changeable));
        let loopback = ethtool::features("lo").unwrap();
        assert_eq!(
            loopback.rx_vlan,
            Some(Switch {
                on: false,
                fixed: true
            })
        );
        if let Some(channels) = ethtool::channels("eth0") {
            assert_eq!((channels.rx, channels.max_rx), (1, 1));
        }
    });
}
