//! How ingress of one link is to be judged.

use super::Demand;
use crate::config::XdpSetting;
use crate::netlink::{Framing, Link};

/// How ingress is to be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Native XDP, else TC.
    Auto,
    /// Native XDP, nothing slower.
    Native,
    /// Generic XDP, nothing else.
    Generic,
    /// TC, for this reason.
    Tc(String),
}

impl Wish {
    /// The modes in the order in which they are tried, with the names of `status`.
    #[must_use]
    pub fn modes(&self) -> &'static [&'static str] {
        match self {
            Self::Auto => &["xdp-native", "tc"],
            Self::Native => &["xdp-native"],
            Self::Generic => &["xdp-generic"],
            Self::Tc(_) => &["tc"],
        }
    }

    /// Why it is not native XDP.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Auto | Self::Native => None,
            Self::Generic => Some("interfaces.xdp = \"generic\""),
            Self::Tc(why) => Some(why),
        }
    }
}

/// Kinds (`IFLA_INFO_KIND`) without XDP of their own, with an article.
const WITHOUT_XDP: [(&str, &str); 18] = [
    ("batadv", "a batman-adv mesh"),
    ("bond", "the bond itself"),
    ("bridge", "a bridge"),
    ("dummy", "a dummy"),
    ("erspan", "an ERSPAN tunnel"),
    ("geneve", "a Geneve tunnel"),
    ("gretap", "a GRE tunnel"),
    ("hsr", "an HSR device"),
    ("ifb", "an ifb"),
    ("ip6gretap", "a GRE tunnel"),
    ("ipvlan", "an ipvlan"),
    ("macsec", "a MACsec device"),
    ("macvlan", "a macvlan"),
    ("netkit", "a netkit device"),
    ("team", "the team itself"),
    ("vlan", "a VLAN"),
    ("vrf", "a VRF"),
    ("vxlan", "a VXLAN tunnel"),
];

/// Why a tunnel or the like is judged at TC.
const NO_HEADER: &str = "no Ethernet header: TC";

/// How ingress of `link` is to be attached, whatever it belongs to.
pub(super) fn wish(link: &Link, demand: Demand<'_>) -> Wish {
    let setting = demand.wanted.xdp;
    // Before what is forced: there is no frame that XDP programs could read.
    if link.framing == Framing::None {
        return Wish::Tc(NO_HEADER.into());
    }
    if setting == XdpSetting::Off {
        return Wish::Tc("interfaces.xdp = \"off\"".into());
    }
    let without = WITHOUT_XDP.iter().find(|(kind, _)| *kind == link.kind);
    // TC still has the tag beside the frame, XDP has not. What is no wire gets its
    // packets from the stack, which has taken the tag out.
    let hides = link.offloads.strips_tags || setting == XdpSetting::Generic && without.is_some();
    if demand.needs_tags && hides {
        return Wish::Tc(format!(
            "VLANs matter here, and {} takes tags out of the frames before XDP sees them \
             (a card leaves them in with ethtool -K {} rxvlan off)",
            link.name, link.name
        ));
    }
    match (setting, without) {
        (XdpSetting::Generic, _) => Wish::Generic,
        (_, Some((_, what))) => Wish::Tc(format!("{what} has no native XDP")),
        (XdpSetting::Native, None) => Wish::Native,
        _ => automatic(link),
    }
}

fn automatic(link: &Link) -> Wish {
    if link.kind == "veth" {
        // A native program on one end of a veth pair switches segmentation
        // offload off for the sender on the other end.
        return Wish::Tc(
            "veth: native XDP would take TSO off its peer (interfaces.xdp = \"native\" forces it)"
                .into(),
        );
    }
    if link.offloads.takes_segments {
        // Half the rate of TCP to the node, measured: bench/report, guest-pktgen.
        return Wish::Tc(
            "virtio: under native XDP the hypervisor would cut every segment down to the MTU \
             (interfaces.xdp = \"native\" forces it)"
                .into(),
        );
    }
    Wish::Auto
}
