//! The daemon comes and goes; the filter stays.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use sandbox::probe::{self, Connection, Outcome};
use sandbox::{Family, tcp};

use crate::fixture::{EGRESS_NOTHING, Fixture, INGRESS_NOTHING, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    a_killed_daemon_changes_nothing_and_a_new_one_adopts,
    a_stopped_daemon_leaves_the_node_protected,
    a_broken_policy_refuses_the_whole_change,
    a_reboot_among_broken_files_leaves_the_last_accepted_policies,
    the_mode_survives_a_restart,
    detach_opens_the_node,
);

/// Web passes and SSH does not, in both families.
pub fn protected(fixture: &Fixture, when: &str) {
    let (from, node) = (&fixture.lab.stranger.namespace, &fixture.lab.node);
    for family in Family::BOTH {
        let web = probe::tcp(from, None, node.socket(family, 80));
        assert_eq!(web, Outcome::Answered, "{family} {when}");
        let ssh = probe::tcp(from, None, node.socket(family, 22));
        assert_eq!(ssh, Outcome::Silence, "{family} {when}");
    }
    assert_eq!(fixture.node.seen(tcp(22)), 0, "{when}");
}

fn a_killed_daemon_changes_nothing_and_a_new_one_adopts(xdp: &'static str) {
    let specs = [("web", INGRESS_WEB)];
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &specs) else {
        return;
    };
    let (node, stranger) = (fixture.lab.node.clone(), fixture.lab.stranger.clone());
    // One of the node's own connections needs what the kernel remembers of it.
    let mut own = Connection::open(&node.namespace, None, stranger.socket(Family::V6, 80)).unwrap();
    let mut in_ = Connection::open(&stranger.namespace, None, node.socket(Family::V4, 80)).unwrap();
    let before = fixture.fw_ctl.status().unwrap();
    protected(&fixture, "at first");
    fixture.kill_daemon();
    protected(&fixture, "with the daemon dead");
    let answer = fixture.fw_ctl.ask(&["status"]).unwrap();
    assert_eq!(answer.code, 5, "daemon unreachable: {}", answer.stderr);
    let goes_on = "; the kernel goes on filtering eth0 by generation ";
    assert!(answer.stderr.contains(goes_on), "{}", answer.stderr);
    own.talk("with the daemon dead").unwrap();
    in_.talk("with the daemon dead").unwrap();
    fixture.restart_daemon();
    protected(&fixture, "after the restart");
    own.talk("after the restart").unwrap();
    in_.talk("after the restart").unwrap();
    let after = fixture.fw_ctl.status().unwrap();
    assert!(!after.is_degraded(), "{after:?}");
    assert_eq!(
        (after.mode, after.interfaces),
        (before.mode, before.interfaces)
    );
}

fn a_stopped_daemon_leaves_the_node_protected(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let daemon = fixture.daemon.take().unwrap();
    kill(daemon.pid(), Signal::SIGTERM).unwrap();
    let status = daemon.wait(Duration::from_secs(10)).unwrap();
    assert!(status.success(), "{status}: {}", fixture.fw_ctl.log());
    protected(&fixture, "after SIGTERM");
}

fn a_broken_policy_refuses_the_whole_change(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let broken = "\n  nodeSelector: {}\n  ingress:\n  - toPorts:\n    - ports:\n      \
                  - {port: \"70000\", protocol: TCP}\n";
    // A good change beside the bad one must not come through, either.
    fixture.write_policy("good", EGRESS_NOTHING);
    fixture.write_policy("typo", broken);
    let answer = fixture.fw_ctl.ask(&["reload"]).unwrap();
    assert_eq!(answer.code, 3, "{}", answer.stderr);
    for part in ["typo.yaml", "70000"] {
        assert!(answer.stderr.contains(part), "{part} in: {}", answer.stderr);
    }
    let still_open = |fixture: &Fixture| {
        let (node, stranger) = (&fixture.lab.node, &fixture.lab.stranger);
        probe::tcp(&node.namespace, None, stranger.socket(Family::V4, 80))
    };
    protected(&fixture, "after the refused change");
    assert_eq!(still_open(&fixture), Outcome::Answered);
    assert!(fixture.fw_ctl.status().unwrap().is_degraded());
    assert_eq!(fixture.fw_ctl.ask(&["status"]).unwrap().code, 1);

    // A daemon that starts now must not start empty.
    fixture.kill_daemon();
    fixture.restart_daemon();
    protected(&fixture, "after a restart with the broken policy");
    assert!(fixture.fw_ctl.status().unwrap().is_degraded());

    std::fs::remove_file(fixture.fw_ctl.files().policies.join("typo.yaml")).unwrap();
    fixture.reload();
    assert!(!fixture.fw_ctl.status().unwrap().is_degraded());
    protected(&fixture, "after the corrected change");
    assert_eq!(
        still_open(&fixture),
        Outcome::Silence,
        "now the good change is in force"
    );
}

/// Nothing is pinned, as after a reboot.
fn reboot(fixture: &mut Fixture) {
    fixture.kill_daemon();
    let mut rm = fixture.lab.node.namespace.command("rm");
    let status = rm.args(["-rf", "/sys/fs/bpf/fw-ctl"]).status().unwrap();
    assert!(status.success());
    let (from, node) = (&fixture.lab.stranger.namespace, &fixture.lab.node);
    // The kernel lets go of links some time after their pins have been removed.
    let open = || probe::tcp(from, None, node.socket(Family::V4, 7001)) == Outcome::Answered;
    assert!((0..5).any(|_| open()), "nothing filters");
    fixture.restart_daemon();
}

fn a_reboot_among_broken_files_leaves_the_last_accepted_policies(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "audit", &[("web", INGRESS_WEB)]) else {
        return;
    };
    fixture.fw_ctl.must(&["mode", "enforce"]).unwrap();
    let files = fixture.fw_ctl.files().clone();
    let fifo = files.policies.join("fifo.yaml");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let config = std::fs::read_to_string(&files.config).unwrap();

    for (what, told) in [("policies", "fifo.yaml"), ("configuration", "fw-ctl.toml")] {
        if what == "configuration" {
            std::fs::write(&files.config, "[policy\n").unwrap();
        }
        reboot(&mut fixture);
        protected(&fixture, what);
        let status = fixture.fw_ctl.ask(&["status"]).unwrap();
        assert_eq!(status.code, 1, "{}", status.stdout);
        assert!(status.stdout.contains(told), "{told}: {}", status.stdout);
        let rules = fixture.fw_ctl.must(&["rules"]).unwrap();
        assert!(rules.contains("web.yaml:"), "{rules}");
        let answer = fixture.fw_ctl.ask(&["reload"]).unwrap();
        assert_eq!(answer.code, 3, "{}", answer.stderr);
    }
    // What was wrong is mended: everything is as it was.
    std::fs::remove_file(fifo).unwrap();
    std::fs::write(&files.config, config).unwrap();
    fixture.reload();
    let status = fixture.fw_ctl.status().unwrap();
    assert!(!status.is_degraded(), "{status:?}");
    assert_eq!(status.mode, "enforce");
    protected(&fixture, "at last");
}

fn the_mode_survives_a_restart(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "audit", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let ssh = |fixture: &Fixture| {
        let (from, node) = (&fixture.lab.stranger.namespace, &fixture.lab.node);
        probe::tcp(from, None, node.socket(Family::V4, 22))
    };
    assert_eq!(ssh(&fixture), Outcome::Answered);
    for (mode, outcome) in [("enforce", Outcome::Silence), ("audit", Outcome::Answered)] {
        fixture.fw_ctl.must(&["mode", mode]).unwrap();
        assert_eq!(ssh(&fixture), outcome, "{mode}");
        fixture.kill_daemon();
        assert_eq!(ssh(&fixture), outcome, "{mode} with the daemon dead");
        fixture.restart_daemon();
        assert_eq!(fixture.fw_ctl.status().unwrap().mode, mode);
        assert_eq!(ssh(&fixture), outcome, "{mode} after a restart");
        fixture.reload();
        assert_eq!(ssh(&fixture), outcome, "{mode} after a reload");
    }
}

fn detach_opens_the_node(xdp: &'static str) {
    let specs = [("in", INGRESS_NOTHING), ("out", EGRESS_NOTHING)];
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &specs) else {
        return;
    };
    let ssh = |fixture: &Fixture| {
        let (from, node) = (&fixture.lab.stranger.namespace, &fixture.lab.node);
        probe::tcp(from, None, node.socket(Family::V6, 22))
    };
    assert_eq!(ssh(&fixture), Outcome::Silence);
    fixture.fw_ctl.must(&["detach"]).unwrap();
    assert_eq!(ssh(&fixture), Outcome::Answered, "detached");

    // The way out of a lock-out must not depend on a daemon.
    fixture.kill_daemon();
    fixture.restart_daemon();
    assert_eq!(
        ssh(&fixture),
        Outcome::Silence,
        "a new start protects again"
    );
    fixture.kill_daemon();
    fixture.fw_ctl.must(&["detach"]).unwrap();
    assert_eq!(
        ssh(&fixture),
        Outcome::Answered,
        "detached without a daemon"
    );
    let answer = fixture.fw_ctl.ask(&["status"]).unwrap();
    assert_eq!(answer.code, 5, "{}", answer.stderr);
    assert!(
        answer
            .stderr
            .contains("; no interface of this network namespace is filtered by anything pinned in"),
        "{}",
        answer.stderr
    );
}
