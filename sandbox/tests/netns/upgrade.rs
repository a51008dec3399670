//! Another version of the daemon takes over: one whose tables are others, under the next
//! schema number (`scripts/next-schema.sh` builds it).

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sandbox::probe::{self, Connection, Outcome};
use sandbox::{Family, FwCtl, Status, udp};

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::lifecycle::protected;
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    an_upgrade_under_traffic_changes_nothing,
    an_upgrade_without_a_plan_leaves_the_former_version_filtering,
);

/// Denied by [`INGRESS_WEB`].
const CLOSED: u16 = 7001;

/// The daemon to upgrade to; `None`, and the reason on stderr, where there is none.
fn next(fixture: &Fixture) -> Option<FwCtl> {
    let named = std::env::var_os("FW_CTL_NEXT").map(PathBuf::from);
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/next-schema/fw-ctl");
    let binary = named.unwrap_or(built);
    if !binary.is_file() {
        let required = std::env::var("FW_KERNEL_TESTS").as_deref() == Ok("require");
        let why = "no fw-ctl with the next schema (FW_CTL_NEXT; try: scripts/next-schema.sh)";
        assert!(!required, "FW_KERNEL_TESTS=require, but: {why}");
        eprintln!("skipped: {why}");
        return None;
    }
    let files = fixture.fw_ctl.files().clone();
    Some(FwCtl::new(&fixture.lab, &binary, files).unwrap())
}

/// While `work` is done: connections of both directions talk, the node begins new ones
/// whose replies policy would deny, and what is denied comes again and again.
fn under_traffic(fixture: &mut Fixture, what: &str, work: impl FnOnce(&mut Fixture)) {
    let (node, stranger) = (fixture.lab.node.clone(), fixture.lab.stranger.clone());
    let old = Connection::open(&node.namespace, None, stranger.socket(Family::V6, 80)).unwrap();
    let web = Connection::open(&stranger.namespace, None, node.socket(Family::V4, 80)).unwrap();
    let done = AtomicBool::new(false);
    let rounds = thread::scope(|scope| {
        let talks = [old, web].map(|mut connection| {
            let done = &done;
            scope.spawn(move || {
                let mut words = 0;
                while !done.load(Ordering::Relaxed) {
                    connection.talk("still here").unwrap();
                    words += 1;
                }
                words
            })
        });
        let begins = scope.spawn(|| {
            let mut begun = 0;
            while !done.load(Ordering::Relaxed) {
                let to = stranger.socket(Family::V4, 53);
                let answer = probe::udp_within(Duration::from_secs(2), &node.namespace, None, to);
                assert_eq!(answer, Outcome::Answered, "{what}, after {begun}");
                begun += 1;
            }
            begun
        });
        let knocks = scope.spawn(|| {
            let socket = stranger.namespace.enter(|| UdpSocket::bind("0.0.0.0:0"));
            let (socket, mut knocks) = (socket.unwrap(), 0);
            while !done.load(Ordering::Relaxed) {
                let to = node.socket(Family::V4, CLOSED);
                socket.send_to(b"knock", to).unwrap();
                knocks += 1;
                thread::sleep(Duration::from_millis(1));
            }
            knocks
        });
        work(fixture);
        done.store(true, Ordering::Relaxed);
        let mut rounds: Vec<_> = talks.map(|talk| talk.join().unwrap()).into();
        rounds.extend([begins.join().unwrap(), knocks.join().unwrap()]);
        rounds
    });
    assert!(rounds.iter().all(|&count| count > 3), "{what}: {rounds:?}");
    assert_eq!(fixture.node.seen(udp(CLOSED)), 0, "{what}: passed");
}

/// The status, once the programs were tested with the plan in force.
fn self_tested(fixture: &Fixture) -> Status {
    let end = Instant::now() + Duration::from_mins(2);
    loop {
        let status = fixture.fw_ctl.status().unwrap();
        let test = &status.datapath["self_test"];
        if !test.is_null() {
            assert_eq!(test["generation"], status.generation["number"], "{test}");
            assert!(test["packets"].as_u64().unwrap() > 20, "{test}");
            assert!(test["failed"].is_null(), "{test}");
            return status;
        }
        assert!(Instant::now() < end, "{}", fixture.fw_ctl.log());
        // A change has it look whether the programs for the test are there.
        fixture.reload();
        thread::sleep(Duration::from_millis(100));
    }
}

fn an_upgrade_under_traffic_changes_nothing(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "audit", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let Some(next) = next(&fixture) else {
        return;
    };
    fixture.fw_ctl.must(&["mode", "enforce"]).unwrap();
    let banned = "203.0.113.9";
    fixture.fw_ctl.must(&["ban", "add", banned]).unwrap();
    let this = fixture.fw_ctl.clone();
    let before = this.status().unwrap();
    under_traffic(&mut fixture, "upgrade", |fixture| {
        fixture.kill_daemon();
        fixture.fw_ctl = next;
        fixture.restart_daemon();
    });
    let after = fixture.fw_ctl.status().unwrap();
    assert!(!after.is_degraded(), "{after:?}");
    assert_eq!(
        (&after.mode, &after.interfaces),
        (&before.mode, &before.interfaces)
    );
    let bans = fixture.fw_ctl.must(&["ban", "list"]).unwrap();
    assert!(bans.contains(banned), "{bans}");
    protected(&fixture, "after the upgrade");
    let pinned = |fixture: &Fixture| {
        let node = &fixture.lab.node.namespace;
        let names = node.run("ls", &["/sys/fs/bpf/fw-ctl"]).unwrap();
        // Beside, programs for the self-test are being loaded.
        let versions = names.lines().filter(|name| name.starts_with('v'));
        versions.map(str::to_owned).collect::<Vec<_>>()
    };
    let versions = pinned(&fixture);
    assert_eq!(versions.len(), 1, "{versions:?}");
    let status = self_tested(&fixture);
    let programs = status.datapath["programs"].as_array().unwrap();
    assert_eq!(programs.len(), 2, "{programs:?}");
    for program in programs {
        assert_eq!(program["tag"].as_str().map(str::len), Some(16), "{program}");
    }
    let schema = status.datapath["schema"].to_string();
    assert_eq!(format!("v{schema}"), versions[0]);

    // And back: the older one refuses, and what filters goes on.
    let next = fixture.fw_ctl.clone();
    under_traffic(&mut fixture, "downgrade", |fixture| {
        fixture.kill_daemon();
        let daemon = this.spawn().unwrap();
        let status = daemon.wait(Duration::from_mins(1)).unwrap();
        assert_eq!(status.code(), Some(4), "{}", this.log());
        assert!(
            this.log().contains("a newer version of fw-ctl"),
            "{}",
            this.log()
        );
    });
    assert_eq!(pinned(&fixture), versions);
    fixture.fw_ctl = next;
    fixture.restart_daemon();
    assert!(!fixture.fw_ctl.status().unwrap().is_degraded());
}

fn an_upgrade_without_a_plan_leaves_the_former_version_filtering(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let Some(next) = next(&fixture) else {
        return;
    };
    fixture.write_policy("typo", "\n  nodeSelector: {}\n  ingres: []\n");
    under_traffic(&mut fixture, "no plan", |fixture| {
        fixture.kill_daemon();
        // What was accepted last is lost as well.
        std::fs::remove_dir_all(&fixture.fw_ctl.files().state).unwrap();
        fixture.fw_ctl = next;
        fixture.restart_daemon();
        protected(fixture, "without a plan");
        let status = fixture.fw_ctl.ask(&["status"]).unwrap();
        assert_eq!(status.code, 1, "{}", status.stdout);
        for part in ["programs of a former version", "typo.yaml"] {
            assert!(status.stdout.contains(part), "{part}: {}", status.stdout);
        }
        assert!(
            !status.stdout.contains("nothing is filtered"),
            "{}",
            status.stdout
        );

        fixture.write_policy("typo", INGRESS_WEB);
        fixture.reload();
    });
    let status = fixture.fw_ctl.status().unwrap();
    assert!(!status.is_degraded(), "{status:?}");
    protected(&fixture, "at last");
}
