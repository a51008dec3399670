//! Where and how packets are to be judged, for each scenario and kernel: one table.

use super::stage::Xdp;

/// `device mode` of every filtered interface, as `fw-ctl status` tells it, sorted.
///
/// `release` is what `uname -r` says; nothing, if this kernel cannot. Cables are veths, which by default have TC, and a
/// bond has its own where none of its members may have XDP.
#[must_use]
pub fn expected(scenario: &str, xdp: Xdp, release: &str) -> &'static [&'static str] {
    match xdp {
        Xdp::Auto => automatic(scenario),
        Xdp::Native => native(scenario, release),
    }
}

fn automatic(scenario: &str) -> &'static [&'static str] {
    match scenario {
        "nic" | "nic-9000" | "vlan-on-used-nic" | "vlan-on-used-nic-offloaded" => &["eth0 tc"],
        // The carrier, though the address is not its own: there the tag is in sight.
        "vlan-tag-offloaded" | "vlan-tag-in-frame" | "macvlan" => &["eth0 tc"],
        "bridge" => &["br1 tc"],
        "renamed" => &["wan0 tc"],
        "vxlan" | "geneve" | "wireguard" | "ipip" | "gre" => &["eth0 tc", "in0 tc", "in1 tc"],
        "bond-virtio" => &["eth0 xdp-native", "eth1 xdp-native"],
        // Bonds, and what is on them.
        _ => &["bond0 tc"],
    }
}

fn native(scenario: &str, release: &str) -> &'static [&'static str] {
    match scenario {
        // Frames of several buffers are for XDP since 5.18.
        "nic-9000" if !at_least(release, (5, 18)) => &[],
        "nic" | "nic-9000" | "vlan-on-used-nic" | "vlan-on-used-nic-offloaded" => {
            &["eth0 xdp-native"]
        }
        // Bonds of every mode, and what is on them.
        _ => &["eth0 xdp-native", "eth1 xdp-native"],
    }
}

/// Whether a release, `6.1.0-56-cloud-amd64`, is of this version or a later one.
fn at_least(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release
        .split(|char: char| !char.is_ascii_digit())
        .map(|digits| digits.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(at_least("6.1.0-56-cloud-amd64", (5, 15)));
        assert!(at_least("5.15.0", (5, 15)));
        assert!(!at_least("5.10.0-32-cloud-amd64", (5, 15)));
        assert!(!at_least("5.9", (5, 15)));
        assert!(at_least("10.0", (5, 15)));
    }
}
