//! The images of `scripts/image.sh`: the same bits twice, what is in them, and the firewall run
//! from them in a network namespace, as Talos and a kubelet would run it, with real connections.
//!
//! Entrypoint, arguments, mounts, variables and capabilities are read from the image and from the
//! manifests. A binary under test that is not statically linked gets its shared objects
//! beside it after unpacking. The binary is found as for `netns`.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "image/built.rs"]
mod built;
#[path = "image/kubelet.rs"]
mod kubelet;
#[path = "image/layout.rs"]
mod layout;
#[path = "image/node.rs"]
mod node;
#[path = "image/talos.rs"]
mod talos;

use sandbox::probe::Outcome;

use built::{Image, binary};
use node::Node;

/// `CAP_NET_ADMIN`, `CAP_PERFMON` and `CAP_BPF`, as `/proc/PID/status` writes sets.
const THREE: &str = "000000c000001000";

/// What the policy allows, what it does not, and what nobody has asked for.
const WEB: u16 = 80;
const DENIED: u16 = 7001;

#[test]
fn the_extension_filters_as_talos_runs_it() {
    let Some(binary) = binary() else {
        return;
    };
    let node = Node::new(&[WEB, DENIED, talos::API]);
    let image = Image::unpacked(&binary, "extension", node.lab.dir.path());
    let service = talos::Service::of(&image);
    // Talos gives all capabilities; these are enough.
    let container = service.container(&node, &image).capabilities(&[12, 38, 39]);
    let line = service.line();

    let mut daemon = node.start(&container, &line);
    assert_eq!(daemon.rights(), [THREE, THREE, "1"]);
    let holds = |when: &str| {
        node.expect(WEB, Outcome::Answered, when);
        node.expect(DENIED, Outcome::Silence, when);
        // The default of the extension, not of the machine configuration.
        node.expect(talos::API, Outcome::Answered, when);
    };
    holds("at first");
    daemon.kill();
    holds("with the daemon dead");
    let (code, _, said) = Node::run(&container, &["/usr/sbin/fw-ctl", "status"]);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("the kernel goes on filtering eth0"), "{said}");

    // `restart: always`
    daemon = node.start(&container, &line);
    holds("with the next daemon");
    // As Talos stops it, also when the configuration has changed.
    assert!(daemon.stop().success());
    holds("with the daemon stopped");

    // From a pod without any right but to be root: it asks over the socket.
    let daemon = node.start(&container, &line);
    let pod = service.container(&node, &image);
    for (command, then) in [
        (&["status", "-v"][..], Outcome::Silence),
        (&["mode", "audit"], Outcome::Answered),
        (&["mode", "enforce", "--force"], Outcome::Silence),
        (&["detach"], Outcome::Answered),
    ] {
        let (code, _, said) = Node::run(&pod, &[&["/usr/sbin/fw-ctl"], command].concat());
        assert_eq!(code, 0, "{command:?}: {said}");
        node.expect(DENIED, then, &format!("after {command:?}"));
    }
    drop(daemon);
}

#[test]
fn the_daemon_set_filters_as_a_kubelet_runs_it() {
    let Some(binary) = binary() else {
        return;
    };
    let node = Node::new(&[WEB, DENIED, kubelet::SSH]);
    let image = Image::unpacked(&binary, "container", node.lab.dir.path());
    let pod = kubelet::Pod::shipped();
    let container = pod.container(&node, &image);
    let line = image.line();

    let mut daemon = node.start(&container, &line);
    assert_eq!(daemon.rights(), [THREE, THREE, "1"]);
    let holds = |when: &str| {
        node.expect(WEB, Outcome::Answered, when);
        node.expect(DENIED, Outcome::Silence, when);
        // A failsafe entry of the manifest.
        node.expect(kubelet::SSH, Outcome::Answered, when);
    };
    holds("at first");
    for probe in pod.probes() {
        let (code, _, said) = Node::run(&container, &probe);
        assert_eq!(code, 0, "{probe:?}: {said}");
    }
    // The pod is deleted: SIGTERM, then nothing.
    assert!(daemon.stop().success());
    holds("without a pod");
    for probe in pod.probes() {
        assert_eq!(Node::run(&container, &probe).0, 5, "{probe:?}");
    }
    // The next one has all of the ConfigMap once, and not what the kubelet keeps beside.
    daemon = node.start(&container, &line);
    holds("with the next pod");
    let status = Node::status(&container).unwrap();
    assert!(!status.is_degraded(), "{status:?}");
    // A changed ConfigMap is in force when somebody says so, and not before.
    pod.update(&node, "more.yaml", &node::allowing("more", DENIED));
    holds("with a changed ConfigMap");
    let (code, _, said) = Node::run(&container, &["fw-ctl", "reload"]);
    assert_eq!(code, 0, "{said}");
    node.expect(DENIED, Outcome::Answered, "after the reload");
    daemon.kill();
    node.expect(DENIED, Outcome::Answered, "with the daemon dead");
    // Opening a node whose pod is gone: by the same image, before or without a daemon.
    let (code, _, said) = Node::run(&container, &["fw-ctl", "detach"]);
    assert_eq!(code, 0, "{said}");
}
