//! Bans: in the kernel at once, on disk, over restarts and reboots; and whom they
//! must not hit by mistake.

use fw_common::wire::{BAN_FOR_GOOD, SINGLES};

use super::*;
use crate::config::{FailsafeEntry, FailsafePorts};
use crate::control::protocol::{BanRequest, MAX_BAN, MAX_LINE, MAX_REASON, Reply};
use crate::moment;
use crate::policy::label::Label;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn request(addresses: &[&str]) -> BanRequest {
    BanRequest {
        addresses: addresses.iter().map(|text| ip(text)).collect(),
        until: None,
        reason: "it\tscans".into(),
        force: false,
        asker: None,
    }
}

fn held(fixture: &Fixture) -> Vec<IpAddr> {
    fixture.kernel.0.borrow().bans.keys().copied().collect()
}

fn listed(daemon: &Firewall<Fake, FakeSources>) -> Vec<IpAddr> {
    daemon.bans().bans.iter().map(|ban| ban.address).collect()
}

fn enforcing() -> Fixture {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().config.policy.mode = ModeSetting::Enforce;
    fixture
}

fn started(fixture: &Fixture) -> Firewall<Fake, FakeSources> {
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    daemon
}

#[test]
fn a_ban_outlasts_daemon_reload_and_reboot() {
    let fixture = enforcing();
    let mut daemon = started(&fixture);
    let banned = daemon
        .ban(&request(&["192.0.2.1", "::ffff:192.0.2.2"]))
        .unwrap();
    assert_eq!(banned.addresses, [ip("192.0.2.1"), ip("192.0.2.2")]);
    assert_eq!(banned.warnings, [""; 0]);
    let kernel = fixture.kernel.0.borrow().bans.clone();
    assert_eq!(kernel[&ip("192.0.2.1")], BAN_FOR_GOOD);
    assert_eq!(held(&fixture), banned.addresses);
    assert_eq!(
        daemon.bans().bans[0].reason,
        "it scans",
        "no control characters"
    );
    daemon.reload().unwrap();
    assert_eq!(listed(&daemon), banned.addresses);
    assert_eq!(daemon.how().unwrap().bans, 2);

    let daemon = started(&fixture);
    assert_eq!(listed(&daemon), banned.addresses, "after a restart");
    *fixture.kernel.0.borrow_mut() = Pins::default();
    let mut daemon = fixture.daemon();
    daemon.begin(network(&["eth0"]));
    assert_eq!(
        held(&fixture),
        banned.addresses,
        "after a reboot, before the files"
    );
    assert_eq!(daemon.bans().bans[0].reason, "it scans");
}

#[test]
fn a_ban_ends() {
    let fixture = enforcing();
    let mut daemon = started(&fixture);
    let now = moment::now();
    let until = |until| BanRequest {
        until: Some(until),
        ..request(&["192.0.2.1"])
    };
    let past = daemon.ban(&until(now - 1)).unwrap_err();
    assert_eq!(past.exit, exit::USAGE);
    assert!(past.message.ends_with(" is over"), "{past}");
    daemon.ban(&until(now + 1)).unwrap();
    daemon
        .ban(&BanRequest {
            until: Some(now + 3_600),
            ..request(&["192.0.2.2"])
        })
        .unwrap();
    let kernel = fixture.kernel.0.borrow().bans.clone();
    let hour = 3_599 * 1_000_000_000;
    let between = kernel[&ip("192.0.2.2")] - kernel[&ip("192.0.2.1")];
    assert!(between.abs_diff(hour) < 1_000_000_000, "{between}");
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    assert_eq!(listed(&daemon), [ip("192.0.2.2")]);
    assert!(daemon.check());
    assert_eq!(held(&fixture), [ip("192.0.2.2")], "swept");
    let again = started(&fixture);
    assert_eq!(listed(&again), [ip("192.0.2.2")]);
}

#[test]
fn a_ban_in_place_of_another_one() {
    let fixture = enforcing();
    let mut daemon = started(&fixture);
    daemon.ban(&request(&["192.0.2.1"])).unwrap();
    let until = moment::now() + 100;
    let shorter = BanRequest {
        until: Some(until),
        ..request(&["192.0.2.1"])
    };
    daemon.ban(&shorter).unwrap();
    let bans = daemon.bans().bans;
    assert_eq!(bans.len(), 1);
    assert_eq!(bans[0].until, Some(moment::rfc3339(until)));
    assert_ne!(
        fixture.kernel.0.borrow().bans[&ip("192.0.2.1")],
        BAN_FOR_GOOD
    );
}

#[test]
fn bans_are_lifted() {
    let fixture = enforcing();
    let mut daemon = started(&fixture);
    daemon
        .ban(&request(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]))
        .unwrap();
    let lifted = daemon
        .unban(Some(&[ip("192.0.2.2"), ip("192.0.2.9")]))
        .unwrap();
    assert_eq!(lifted.addresses, [ip("192.0.2.2")]);
    assert_eq!(lifted.missing, [ip("192.0.2.9")]);
    assert_eq!(held(&fixture), [ip("192.0.2.1"), ip("192.0.2.3")]);
    assert_eq!(listed(&started(&fixture)), held(&fixture));
    assert_eq!(daemon.unban(None).unwrap().addresses.len(), 2);
    assert!(held(&fixture).is_empty() && listed(&started(&fixture)).is_empty());
}

#[test]
fn who_is_needed_is_banned_by_force_only() {
    let fixture = enforcing();
    fixture.files.0.borrow_mut().config.failsafe.inbound = vec![FailsafeEntry {
        protocol: 6,
        ports: FailsafePorts::Ssh,
        cidr: Some("198.51.100.0/24".parse().unwrap()),
        origin: crate::config::Origin::default(),
    }];
    let mut daemon = started(&fixture);
    let labels = |key| Arc::new([Label::reserved(key)].into_iter().collect());
    let entries = [
        ("10.0.0.2/32".parse().unwrap(), labels("remote-node")),
        ("10.0.0.3/32".parse().unwrap(), labels("kube-apiserver")),
    ];
    let (_, compiled) = daemon.installed.as_mut().unwrap();
    compiled.identities = Arc::new(Numbered::new(Identities::new(entries)));
    for (address, why) in [
        ("10.0.0.1", "is an address of this node"),
        ("10.0.0.2", "is a node of the cluster"),
        ("10.0.0.3", "is the API server of the cluster"),
        ("203.0.113.7", "is where you are connected from by SSH"),
        (
            "198.51.100.9",
            "is in 198.51.100.0/24 of `failsafe.inbound`",
        ),
    ] {
        let asked = BanRequest {
            asker: Some(ip("::ffff:203.0.113.7")),
            ..request(&["192.0.2.1", address])
        };
        let refused = daemon.ban(&asked).unwrap_err();
        assert_eq!(refused.exit, exit::REFUSED, "{address}");
        assert_eq!(
            refused.message,
            format!("nothing is banned: {address} {why}")
        );
        assert!(refused.help.unwrap().contains("--force"));
        assert!(held(&fixture).is_empty() && listed(&daemon).is_empty());
        let forced = BanRequest {
            force: true,
            ..asked
        };
        let banned = daemon.ban(&forced).unwrap();
        assert_eq!(banned.warnings, [format!("{address} {why}")]);
        daemon.unban(None).unwrap();
    }
}

#[test]
fn what_no_peer_has_is_banned_by_no_force() {
    let fixture = enforcing();
    let mut daemon = started(&fixture);
    for address in [
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "ff02::1",
    ] {
        let asked = BanRequest {
            force: true,
            ..request(&[address])
        };
        let refused = daemon.ban(&asked).unwrap_err();
        assert_eq!(refused.exit, exit::USAGE, "{address}");
    }
    assert!(held(&fixture).is_empty());
}

#[test]
fn a_reason_has_so_many_bytes_and_shows_itself_only() {
    let fixture = enforcing();
    let mut daemon = started(&fixture);
    let because = |reason: String| BanRequest {
        reason,
        ..request(&["192.0.2.1"])
    };
    for long in ["x".repeat(257), "ü".repeat(129)] {
        let length = long.len();
        let refused = daemon.ban(&because(long)).unwrap_err();
        assert_eq!(refused.exit, exit::USAGE);
        let told = format!("the reason has {length} bytes in UTF-8, and at most 256 are kept");
        assert!(refused.message.ends_with(&told), "{refused}");
        assert!(held(&fixture).is_empty());
    }
    for fits in ["x".repeat(256), "ü".repeat(128)] {
        daemon.ban(&because(fits.clone())).unwrap();
        assert_eq!(daemon.bans().bans[0].reason, fits);
    }
    let tricky = "GET /\u{202e}gpj.exe\u{2028}\x1b[2J\u{200f}";
    daemon.ban(&because(tricky.into())).unwrap();
    assert_eq!(daemon.bans().bans[0].reason, "GET / gpj.exe  [2J ");
    let told = daemon.ban_of(ip("192.0.2.1")).unwrap();
    assert!(told.ends_with("GET / gpj.exe  [2J "), "{told}");
}

#[test]
fn the_longest_list_of_bans_fits_an_answer() {
    let fixture = enforcing();
    let mut daemon = started(&fixture);
    let longest = "2001:1db8:1111:2222:3333:4444:5555:6666";
    daemon
        .ban(&BanRequest {
            until: Some(u64::MAX),
            reason: "\"\\".repeat(MAX_REASON / 2),
            ..request(&[longest])
        })
        .unwrap();
    let mut bans = daemon.bans();
    bans.bans[0].since = moment::rfc3339(u64::MAX);
    let ban = serde_json::to_string(&bans.bans[0]).unwrap();
    assert_eq!(format!("{ban},").len(), MAX_BAN);
    let answer = Reply::Done(serde_json::to_value(&bans).unwrap());
    let around = serde_json::to_string(&answer).unwrap().len() - ban.len();
    assert!(around + SINGLES as usize * MAX_BAN < MAX_LINE);
}

#[test]
fn who_is_named_twice_is_banned_and_let_in_once() {
    let fixture = enforcing();
    let mut daemon = started(&fixture);
    let twice = ["192.0.2.2", "192.0.2.1", "::ffff:192.0.2.2", "192.0.2.1"];
    let banned = daemon.ban(&request(&twice)).unwrap();
    let once = [ip("192.0.2.2"), ip("192.0.2.1")];
    assert_eq!(banned.addresses, once);
    let lifted = daemon.unban(Some(&twice.map(ip))).unwrap();
    assert_eq!(lifted.addresses, once);
    assert!(lifted.missing.is_empty(), "{:?}", lifted.missing);
    let missing = daemon.unban(Some(&twice.map(ip))).unwrap().missing;
    assert_eq!(missing, once);
}

#[test]
fn a_full_table_is_told() {
    let fixture = enforcing();
    let mut daemon = started(&fixture);
    daemon.ban(&request(&["192.0.2.1"])).unwrap();
    fixture.kernel.0.borrow_mut().full = true;
    let refused = daemon
        .ban(&request(&["192.0.2.1", "192.0.2.2"]))
        .unwrap_err();
    assert_eq!(
        refused.message,
        "192.0.2.1 is not banned: the table is full"
    );
    assert_eq!(listed(&daemon), held(&fixture));
}

#[test]
fn where_nothing_is_dropped_the_ban_says_so() {
    let fixture = Fixture::new();
    let mut daemon = started(&fixture);
    let warned = |daemon: &mut Firewall<Fake, FakeSources>| {
        let banned = daemon.ban(&request(&["192.0.2.1"])).unwrap();
        banned.warnings.join("\n")
    };
    assert!(warned(&mut daemon).starts_with("the mode is audit"));
    daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap();
    assert_eq!(warned(&mut daemon), "");
    daemon.detach().unwrap();
    assert!(warned(&mut daemon).starts_with("nothing is filtered now"));
    assert_eq!(held(&fixture), [ip("192.0.2.1")]);
}

#[test]
fn damaged_or_unwritable_files_are_told_and_nobody_is_let_in() {
    let fixture = enforcing();
    started(&fixture).ban(&request(&["192.0.2.1"])).unwrap();
    let path = fixture.state.path().join("bans.json");
    std::fs::write(&path, "{").unwrap();
    let mut daemon = started(&fixture);
    assert_eq!(listed(&daemon), [ip("192.0.2.1")], "the kernel knows");
    assert_eq!(held(&fixture), [ip("192.0.2.1")]);
    let degraded = |daemon: &Firewall<Fake, FakeSources>| daemon.how().unwrap().degraded;
    assert!(
        degraded(&daemon)[0].contains("bans.json cannot be read"),
        "{:?}",
        degraded(&daemon)
    );
    assert!(daemon.check());
    assert_eq!(degraded(&daemon).len(), 1, "it is told on");
    assert_eq!(
        daemon.ban(&request(&["192.0.2.2"])).unwrap().warnings,
        [""; 0]
    );
    assert_eq!(degraded(&daemon), [""; 0]);

    std::fs::remove_dir_all(fixture.state.path()).unwrap();
    std::fs::write(fixture.state.path(), "").unwrap();
    let banned = daemon.ban(&request(&["192.0.2.3"])).unwrap();
    assert!(banned.warnings[0].starts_with("the bans will not outlast a reboot"));
    assert_eq!(held(&fixture).len(), 3);
    std::fs::remove_file(fixture.state.path()).unwrap();
    daemon.check();
    assert_eq!(degraded(&daemon), [""; 0]);
    *fixture.kernel.0.borrow_mut() = Pins::default();
    assert_eq!(listed(&started(&fixture)).len(), 3);
}

#[test]
fn a_ban_that_the_kernel_lost_comes_back() {
    let fixture = enforcing();
    let mut daemon = started(&fixture);
    daemon.ban(&request(&["192.0.2.1"])).unwrap();
    fixture.kernel.0.borrow_mut().bans.clear();
    fixture.kernel.0.borrow_mut().full = true;
    daemon.check();
    let degraded = daemon.how().unwrap().degraded;
    assert!(
        degraded
            .iter()
            .any(|line| line.contains("the table is full")),
        "{degraded:?}"
    );
    fixture.kernel.0.borrow_mut().full = false;
    assert!(daemon.check());
    assert_eq!(held(&fixture), [ip("192.0.2.1")]);
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}
