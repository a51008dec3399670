//! What stands between the node and the segment: devices, in the words of `ip`.
//!
//! Lines are run in the node's namespace first, then in the segment's. `SEGMENT` is how
//! the node's lines name the other namespace. Each cable is a veth pair: `ethN` at the
//! node, `upN` at the segment. The segment is a switch: its end joins a bridge with the
//! peers behind it.

use sandbox::{Lab, Namespace, Result};

/// One way to be connected.
#[derive(Clone, Copy, Debug)]
pub struct Topology {
    /// As in `--only`.
    pub name: &'static str,
    /// `ip` lines of the node.
    pub node: &'static [&'static str],
    /// `ip` lines of the segment.
    pub segment: &'static [&'static str],
    /// Lines of `ethtool` for the cable `eth0`-`up0`, at both ends; the device's name
    /// stands where `DEVICE` is.
    pub ethtool: &'static [&'static [&'static str]],
    /// Carries the node's addresses.
    pub device: &'static str,
    /// What of the segment joins the bridge.
    pub port: &'static str,
    /// Of every device on the way.
    pub mtu: u16,
}

/// The MTU of Ethernet, as everything has it that is not told otherwise.
pub const ETHERNET: u16 = 1500;

impl Topology {
    /// The one of this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn named(name: &str) -> &'static Self {
        let found = ALL.iter().find(|topology| topology.name == name);
        found.expect("scenarios name what is in the table")
    }

    /// Builds it, connects the node, and makes every link on the way as large as it says.
    ///
    /// # Errors
    /// When `ip` or `ethtool` fails.
    pub fn plug(&self, lab: &Lab) -> Result<()> {
        let path = lab.segment.path().display().to_string();
        let cables = self.node.iter().filter(|line| CABLES.contains(line));
        let lines = cables.map(|line| line.replace("SEGMENT", &path));
        lab.node.namespace.ip(lines)?;
        self.plug_over_cables(lab)
    }

    /// The same where the cables are there already.
    ///
    /// # Errors
    /// When `ip` or `ethtool` fails.
    pub fn plug_over_cables(&self, lab: &Lab) -> Result<()> {
        let (node, segment) = (&lab.node.namespace, &lab.segment);
        node.ip(self.node.iter().filter(|line| !CABLES.contains(line)))?;
        segment.ip(self.segment)?;
        for line in self.ethtool {
            for (namespace, device) in [(node, "eth0"), (segment, "up0")] {
                let words: Vec<_> = line
                    .iter()
                    .map(|word| if *word == "DEVICE" { device } else { word })
                    .collect();
                namespace.run("ethtool", &words)?;
            }
        }
        if self.mtu != ETHERNET {
            self.enlarge(lab)?;
        }
        lab.plug(self.port, self.device)
    }

    /// Takes away all that [`Self::plug`] of whichever topology has made.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn unplug(lab: &Lab) -> Result<()> {
        for (namespace, keep) in [(&lab.node.namespace, "lo"), (&lab.segment, "br0")] {
            for link in links(namespace)? {
                if link != "lo" && link != keep && !link.starts_with("p-") {
                    // The upper of two may have taken the lower, or the other end, with it.
                    let _ = namespace.ip([format!("link del {link}")]);
                }
            }
        }
        for peer in lab.peers() {
            peer.flush_neighbours()?;
            peer.namespace
                .ip([format!("link set eth0 mtu {ETHERNET}")])?;
        }
        Ok(())
    }

    fn enlarge(&self, lab: &Lab) -> Result<()> {
        for namespace in [&lab.node.namespace, &lab.segment] {
            let mut made = links(namespace)?;
            made.retain(|link| link != "lo" && link != "br0");
            // Upper devices may not be larger than lower ones, which were made earlier.
            let lines = made
                .iter()
                .map(|link| format!("link set {link} mtu {}", self.mtu));
            namespace.ip(lines)?;
        }
        for peer in lab.peers() {
            peer.namespace
                .ip([format!("link set eth0 mtu {}", self.mtu)])?;
        }
        Ok(())
    }
}

/// Links of a namespace, in the order in which they were made.
///
/// # Errors
/// When `ip` fails.
pub fn links(namespace: &Namespace) -> Result<Vec<String>> {
    let text = namespace.run("ip", &["-o", "link"])?;
    Ok(text
        .lines()
        .filter_map(name_of)
        .map(str::to_owned)
        .collect())
}

/// `bond0.212` of `5: bond0.212@bond0: <BROADCAST,…`. What the kernel makes in every
/// namespace for a kind of tunnel is none of ours and cannot be removed.
fn name_of(line: &str) -> Option<&str> {
    let name = line.split(": ").nth(1)?.split('@').next()?;
    let kernel = ["tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0"];
    (!kernel.contains(&name)).then_some(name)
}

const CABLE: &str = "link add eth0 type veth peer name up0 netns SEGMENT";
const CABLES: [&str; 2] = [CABLE, "link add eth1 type veth peer name up1 netns SEGMENT"];

/// A bond of both cables, the same at both ends, and what else is built on it.
macro_rules! bond {
    ($name:literal, $mode:literal, [$($upper:literal),*], $device:literal, $port:literal, $mtu:expr) => {
        bond!($name, $mode, [$($upper),*], [$($upper),*], $device, $port, $mtu)
    };
    ($name:literal, $mode:literal, [$($upper:literal),*], [$($other:literal),*], $device:literal, $port:literal, $mtu:expr) => {
        Topology {
            name: $name,
            node: &[
                CABLES[0],
                CABLES[1],
                concat!("link add bond0 type bond miimon 100 mode ", $mode),
                "link set eth0 master bond0",
                "link set eth1 master bond0",
                "link set bond0 up",
                $($upper),*
            ],
            segment: &[
                concat!("link add bond0 type bond miimon 100 mode ", $mode),
                "link set up0 master bond0",
                "link set up1 master bond0",
                "link set bond0 up",
                $($other),*
            ],
            ethtool: &[],
            device: $device,
            port: $port,
            mtu: $mtu,
        }
    };
}

/// One cable, and what is built on it.
macro_rules! cable {
    ($name:literal, [$($upper:literal),*], [$($other:literal),*], $ethtool:expr, $device:literal, $port:literal, $mtu:expr) => {
        Topology {
            name: $name,
            node: &[CABLE, $($upper),*],
            segment: &[$($other),*],
            ethtool: $ethtool,
            device: $device,
            port: $port,
            mtu: $mtu,
        }
    };
}

/// Every one of them.
pub const ALL: &[Topology] = &[
    cable!("nic", [], [], &[], "eth0", "up0", ETHERNET),
    cable!("nic-9000", [], [], &[], "eth0", "up0", 9000),
    // The field's case: tags on everything, the address on the VLAN and none on the bond.
    bond!(
        "bond-active-backup-vlan",
        "active-backup",
        ["link add link bond0 name bond0.212 type vlan id 212"],
        "bond0.212",
        "bond0.212",
        ETHERNET
    ),
    bond!(
        "bond-balance-xor-vlan",
        "balance-xor xmit_hash_policy layer2+3",
        ["link add link bond0 name bond0.212 type vlan id 212"],
        "bond0.212",
        "bond0.212",
        ETHERNET
    ),
    bond!(
        "bond-802.3ad-vlan",
        "802.3ad lacp_rate fast",
        ["link add link bond0 name bond0.212 type vlan id 212"],
        "bond0.212",
        "bond0.212",
        ETHERNET
    ),
    bond!(
        "bond-active-backup",
        "active-backup",
        [],
        "bond0",
        "bond0",
        ETHERNET
    ),
    bond!(
        "bond-balance-xor",
        "balance-xor",
        [],
        "bond0",
        "bond0",
        ETHERNET
    ),
    bond!(
        "bond-802.3ad",
        "802.3ad lacp_rate fast",
        [],
        "bond0",
        "bond0",
        ETHERNET
    ),
    bond!(
        "bond-vlan-9000",
        "active-backup",
        ["link add link bond0 name bond0.212 type vlan id 212"],
        "bond0.212",
        "bond0.212",
        9000
    ),
    // The packets of a connection take turns between the members.
    bond!(
        "bond-balance-rr-vlan",
        "balance-rr",
        ["link add link bond0 name bond0.212 type vlan id 212"],
        ["link add link bond0 name bond0.212 type vlan id 212"],
        "bond0.212",
        "bond0.212",
        ETHERNET
    ),
    bond!(
        "qinq",
        "active-backup",
        [
            "link add link bond0 name bond0.100 type vlan proto 802.1ad id 100",
            "link set bond0.100 up",
            "link add link bond0.100 name bond0.100.212 type vlan id 212"
        ],
        "bond0.100.212",
        "bond0.100.212",
        ETHERNET
    ),
    bond!(
        "bridge-vlan-bond",
        "802.3ad lacp_rate fast",
        [
            "link add link bond0 name bond0.212 type vlan id 212",
            "link add br1 type bridge stp_state 0 mcast_snooping 0",
            "link set bond0.212 master br1 up"
        ],
        ["link add link bond0 name bond0.212 type vlan id 212"],
        "br1",
        "bond0.212",
        ETHERNET
    ),
    cable!(
        "vlan-tag-offloaded",
        [
            "link set eth0 up",
            "link add link eth0 name eth0.212 type vlan id 212"
        ],
        [
            "link set up0 up",
            "link add link up0 name up0.212 type vlan id 212"
        ],
        &[&["-K", "DEVICE", "rxvlan", "on", "txvlan", "on"]],
        "eth0.212",
        "up0.212",
        ETHERNET
    ),
    cable!(
        "vlan-tag-in-frame",
        [
            "link set eth0 up",
            "link add link eth0 name eth0.212 type vlan id 212"
        ],
        [
            "link set up0 up",
            "link add link up0 name up0.212 type vlan id 212"
        ],
        &[&["-K", "DEVICE", "rxvlan", "off", "txvlan", "off"]],
        "eth0.212",
        "up0.212",
        ETHERNET
    ),
    // Both the NIC and a VLAN on it have addresses, so that the carrier is filtered.
    cable!(
        "vlan-on-used-nic",
        [
            "link set eth0 up",
            "addr add 198.51.100.1/24 dev eth0",
            "link add link eth0 name eth0.212 type vlan id 212"
        ],
        [
            "link set up0 up",
            "link add link up0 name up0.212 type vlan id 212"
        ],
        &[&["-K", "DEVICE", "rxvlan", "off", "txvlan", "off"]],
        "eth0.212",
        "up0.212",
        ETHERNET
    ),
    cable!(
        "vlan-on-used-nic-offloaded",
        [
            "link set eth0 up",
            "addr add 198.51.100.1/24 dev eth0",
            "link add link eth0 name eth0.212 type vlan id 212"
        ],
        [
            "link set up0 up",
            "link add link up0 name up0.212 type vlan id 212"
        ],
        &[&["-K", "DEVICE", "rxvlan", "on", "txvlan", "on"]],
        "eth0.212",
        "up0.212",
        ETHERNET
    ),
    cable!(
        "bridge",
        [
            "link add br1 type bridge stp_state 0 mcast_snooping 0",
            "link set eth0 master br1 up"
        ],
        [],
        &[],
        "br1",
        "up0",
        ETHERNET
    ),
    cable!(
        "macvlan",
        [
            "link set eth0 up",
            "link add link eth0 name macvlan0 type macvlan mode bridge"
        ],
        [],
        &[],
        "macvlan0",
        "up0",
        ETHERNET
    ),
];

/// Those that are tried with native XDP on the cables, too.
pub const NATIVE: [&str; 9] = [
    "nic",
    "nic-9000",
    "bond-active-backup-vlan",
    "bond-balance-xor-vlan",
    "bond-802.3ad-vlan",
    "qinq",
    "bridge-vlan-bond",
    "vlan-on-used-nic",
    "vlan-on-used-nic-offloaded",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_ip_lists_them() {
        let line = "5: bond0.212@bond0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN";
        assert_eq!(name_of(line), Some("bond0.212"));
        assert_eq!(name_of("1: lo: <LOOPBACK,UP> mtu 65536"), Some("lo"));
        assert_eq!(name_of("2: tunl0@NONE: <NOARP> mtu 1480"), None);
        assert_eq!(name_of(""), None);
    }

    #[test]
    fn what_is_tried_natively_is_in_the_table() {
        for name in NATIVE {
            assert_eq!(Topology::named(name).name, name);
        }
    }

    #[test]
    fn names_are_unique() {
        for (at, one) in ALL.iter().enumerate() {
            assert!(
                ALL[..at].iter().all(|other| other.name != one.name),
                "{}",
                one.name
            );
        }
    }
}
