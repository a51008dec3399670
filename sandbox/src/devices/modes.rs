//! Where and how packets are to be judged, for each scenario and kernel: one table.

/// `device mode` of every filtered interface, as `fw-ctl status` tells it, sorted.
///
/// `release` is what `uname -r` says.
#[must_use]
pub fn expected(scenario: &str, release: &str) -> &'static [&'static str] {
    // A bond has native XDP of its own since 5.15.
    let bond: &[&str] = match at_least(release, (5, 15)) {
        true => &["bond0 xdp-native"],
        false => &["bond0 tc"],
    };
    match scenario {
        "nic" | "nic-9000" => &["eth0 tc"],
        // No kernel has native XDP on a bond of this mode.
        "bond-balance-alb-vlan" => &["bond0 tc"],
        "bridge-vlan-bond" => match at_least(release, (5, 15)) {
            true => &["bond0 xdp-native", "br1 tc"],
            false => &["bond0 tc", "br1 tc"],
        },
        // The cable is a veth, which is filtered only where it has an address.
        "vlan-tag-offloaded" | "vlan-tag-in-frame" => &["eth0.212 tc"],
        "vlan-on-used-nic" | "vlan-on-used-nic-offloaded" => &["eth0 tc"],
        "bridge" => &["br1 tc"],
        "renamed" => &["wan0 tc"],
        "macvlan" => &["macvlan0 tc"],
        "vxlan" | "geneve" => &["eth0 tc", "in0 tc", "in1 tc"],
        // No Ethernet header inside.
        "wireguard" | "ipip" | "gre" => &["eth0 tc"],
        _ => bond,
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
