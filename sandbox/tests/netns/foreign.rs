//! Somebody else's XDP program is on the interface already.

use sandbox::Family;
use sandbox::bpf::ForeignXdp;
use sandbox::probe::{self, Outcome};

use crate::fixture::{Fixture, INGRESS_WEB};

#[test]
fn it_is_named_and_never_displaced_and_tc_judges_behind_it() {
    let Some(mut fixture) = Fixture::prepare("native", "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let node = fixture.lab.node.namespace.clone();
    let foreign = ForeignXdp::attach(&node, "eth0").unwrap();
    let theirs = format!("id {} ", foreign.id);
    let attached = || node.run("ip", &["link", "show", "eth0"]).unwrap();
    assert!(attached().contains(&theirs));

    fixture.restart_daemon();
    let status = fixture.fw_ctl.status().unwrap();
    assert_eq!(status.ingress(), Some("tc"), "{status:?}");
    assert!(status.is_degraded(), "native XDP was asked for: {status:?}");
    let answer = fixture.fw_ctl.ask(&["status"]).unwrap();
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    let program = format!("the XDP program {}", foreign.id);
    for part in [&program, "bpftool prog show id", "not ours"] {
        assert!(answer.stdout.contains(part), "{part} in: {}", answer.stdout);
    }
    assert!(attached().contains(&theirs), "it is still there");
    let judged = |fixture: &Fixture| {
        let (from, node) = (&fixture.lab.stranger.namespace, &fixture.lab.node);
        for (port, expected) in [(80, Outcome::Answered), (22, Outcome::Silence)] {
            let outcome = probe::tcp(from, None, node.socket(Family::V4, port));
            assert_eq!(outcome, expected, "{port}");
        }
    };
    judged(&fixture);

    // When it is gone, XDP is had, without a gap.
    drop(foreign);
    fixture.reload();
    let status = fixture.fw_ctl.status().unwrap();
    assert_eq!(status.ingress(), Some("xdp-native"), "{status:?}");
    judged(&fixture);
}
