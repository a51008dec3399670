//! What netlink tells of the node's own addresses, in a network namespace.

use std::time::Duration;

use fw_ctl::netlink::Watcher;

use crate::support::{in_sandbox, ip};

/// Runs on this thread, which is in the namespace.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn texts(watcher: &Watcher) -> Vec<String> {
    watcher.network().await.unwrap().local_addresses().texts()
}

#[test]
fn local_and_anycast_routes_make_addresses_the_nodes() {
    in_sandbox(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        ip("link add eth0 type veth peer name eth1");
        ip("link set eth1 up");
        ip("link set lo up");
        ip("link set eth0 up");
        ip("address add 192.0.2.1/24 dev eth0");
        ip("address add 2001:db8::1/64 dev eth0 nodad");
        // An anycast address of the subnet comes with forwarding (RFC 4291 §2.6.1).
        let before = ["192.0.2.1", "2001:db8::", "2001:db8::1"];
        ip("route add local 198.51.100.0/24 dev lo");
        ip("route add local 203.0.113.7 dev lo table 100");
        ip("route add local 2001:db8:a::/48 dev lo");
        ip("route add local default dev lo table 100");
        ip("route add 10.0.0.0/8 dev eth0");
        ip("route add blackhole 10.1.0.0/16");
        runtime().block_on(async {
            let watcher = Watcher::open().unwrap();
            let mut found = texts(&watcher).await;
            found.retain(|text| !text.starts_with("fe80::"));
            let expected = [
                before[0],
                "203.0.113.7",
                before[1],
                before[2],
                "198.51.100.0/24",
                "2001:db8:a::/48",
            ];
            assert_eq!(found, expected);
            ip("route add local default dev lo");
            assert!(texts(&watcher).await.contains(&"0.0.0.0/0".to_owned()));
        });
    });
}

#[test]
fn local_routes_are_heard_of_and_others_are_not() {
    in_sandbox(|| {
        ip("link add eth0 type veth peer name eth1");
        ip("link set eth1 up");
        ip("link set lo up");
        ip("link set eth0 up");
        ip("address add 192.0.2.1/24 dev eth0");
        runtime().block_on(async {
            let mut watcher = Watcher::open().unwrap();
            // Duplicate address detection of the link-local address ends by itself.
            while tokio::time::timeout(Duration::from_secs(3), watcher.changed())
                .await
                .is_ok()
            {}
            for (command, heard) in [
                ("route add 10.0.0.0/8 dev eth0", false),
                ("route add blackhole 10.1.0.0/16", false),
                ("route del 10.0.0.0/8 dev eth0", false),
                ("-6 route add 2001:db8::/32 dev eth0", false),
                ("route add local 198.51.100.0/24 dev lo", true),
                ("route del local 198.51.100.0/24 dev lo", true),
                ("-6 route add local 2001:db8:a::/48 dev lo", true),
                ("-6 route del local 2001:db8:a::/48 dev lo", true),
            ] {
                ip(command);
                let changed =
                    tokio::time::timeout(Duration::from_millis(500), watcher.changed()).await;
                assert_eq!(changed.is_ok(), heard, "{command}");
            }
        });
    });
}
