//! Somebody takes away what keeps the filter: links and pins.

use std::ffi::CString;
use std::time::{Duration, Instant};

use sandbox::bpf::detach_link;
use sandbox::probe::{self, Outcome};
use sandbox::{Family, Status};

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    a_detached_link_is_attached_again,
    removed_pins_are_made_again,
    a_restart_without_the_directory_of_links_protects_again,
);

const PINS: &str = "/sys/fs/bpf/fw-ctl";

/// The directory of the one schema that is pinned.
fn version(fixture: &Fixture) -> String {
    let mut ls = fixture.lab.node.namespace.command("ls");
    let listed = ls.arg(PINS).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let names = listed.split_whitespace();
    // Beside, programs for the self-test are being loaded.
    let names: Vec<_> = names.filter(|name| name.starts_with('v')).collect();
    assert_eq!(names.len(), 1, "{listed}");
    format!("{PINS}/{}", names[0])
}

fn remove(fixture: &Fixture, path: &str) {
    let mut rm = fixture.lab.node.namespace.command("rm");
    assert!(rm.args(["-rf", path]).status().unwrap().success());
}

fn ssh(fixture: &Fixture) -> Outcome {
    let node = fixture.lab.node.socket(Family::V4, 22);
    probe::tcp(&fixture.lab.stranger.namespace, None, node)
}

/// Asking is what makes the daemon look; it need not be asked.
fn mended(fixture: &Fixture, after: &str) {
    let end = Instant::now() + Duration::from_secs(15);
    while fixture.fw_ctl.status().unwrap().is_degraded() {
        let status = fixture.fw_ctl.status();
        assert!(Instant::now() < end, "{after}: {status:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ssh(fixture), Outcome::Silence, "{after}");
}

/// Breaks something until somebody sees it: the daemon, which looks by itself, may have
/// mended it before `status` asks.
fn broken_and_seen(fixture: &Fixture, what: &str, break_it: impl Fn()) -> Status {
    for _ in 0..20 {
        break_it();
        let status = fixture.fw_ctl.status().unwrap();
        if status.is_degraded() {
            return status;
        }
    }
    panic!("nobody has seen that {what} was taken away")
}

fn a_detached_link_is_attached_again(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let links = format!("{}/links", version(&fixture));
    let mut ls = fixture.lab.node.namespace.command("ls");
    let listed = ls.arg(&links).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert_eq!(listed.split_whitespace().count(), 2, "{listed}");
    // The BPF file system of the lab, seen from here.
    let root = format!("/proc/{}/root", fixture.daemon.as_ref().unwrap().pid());
    for link in listed.split_whitespace() {
        let path = CString::new(format!("{root}{links}/{link}")).unwrap();
        let status = broken_and_seen(&fixture, link, || detach_link(&path).unwrap());
        let told = status.degraded.to_string();
        assert!(told.contains("interface eth0: its"), "{told}");
        assert_eq!(status.ingress(), None, "{link}: {status:?}");
        mended(&fixture, link);
    }
}

fn removed_pins_are_made_again(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let version = version(&fixture);
    for path in [format!("{version}/links"), version, PINS.to_owned()] {
        broken_and_seen(&fixture, &path, || remove(&fixture, &path));
        mended(&fixture, &path);
    }
    // A later daemon finds the tables and links, and nothing else in the way.
    fixture.kill_daemon();
    assert_eq!(ssh(&fixture), Outcome::Silence, "without a daemon");
    fixture.restart_daemon();
    mended(&fixture, "after a restart");
}

fn a_restart_without_the_directory_of_links_protects_again(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let links = format!("{}/links", version(&fixture));
    fixture.kill_daemon();
    remove(&fixture, &links);
    fixture.restart_daemon();
    mended(&fixture, "after the restart");
}
