//! What is said of each interface: where it is judged, and what keeps it from the fastest place.

use super::facts::{Facts, Interface, Role};
use super::{Finding, Group, Level, offloads, programs};
use crate::config::XdpSetting;
use crate::datapath::Ingress;
use crate::netlink::Framing;

/// A finding about an interface.
pub fn finding(interface: &Interface, level: Level, what: impl Into<String>) -> Finding {
    Finding::new(Group::Interfaces, &interface.name, level, what)
}

pub fn findings(facts: &Facts) -> Vec<Finding> {
    if !facts.kernel.is_supported() {
        return Vec::new();
    }
    let interfaces = match &facts.interfaces {
        Ok(interfaces) => interfaces,
        Err(message) => {
            return vec![Finding::told(
                Group::Interfaces,
                "all",
                Level::Missing,
                message,
            )];
        }
    };
    let mut findings = Vec::new();
    let filtered = |interface: &Interface| interface.role == Role::Filtered;
    // A daemon says itself why it filters nothing.
    let daemon = matches!(facts.daemon.answer, super::facts::Answer::Status(_));
    if !daemon && !interfaces.iter().any(filtered) {
        findings.push(
            Finding::new(
                Group::Interfaces,
                "all",
                Level::Missing,
                "none is to be filtered",
            )
            .why("none fits `interfaces.include` and `interfaces.exclude`")
            .advice("ip link, and name one in interfaces.include"),
        );
    }
    for interface in interfaces {
        findings.push(headline(interface, facts));
        if matches!(interface.role, Role::Gap { .. }) {
            continue;
        }
        findings.extend(bond(interface));
        if interface.up {
            let native = Native::of(interface, facts.xdp);
            findings.extend(offloads::findings(interface, facts, native));
        }
        findings.extend(programs::findings(interface));
    }
    findings
}

/// Whether native XDP is to be had on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Native {
    /// It is there.
    Had,
    /// It was tried in vain, or is about to be tried.
    Wished,
    /// Nobody wants it there.
    Unwished,
}

impl Native {
    fn of(interface: &Interface, setting: XdpSetting) -> Self {
        if interface
            .judged
            .as_ref()
            .is_some_and(|judged| judged.ingress == Ingress::XdpNative)
        {
            return Self::Had;
        }
        let hardware = interface.kind.is_empty();
        match setting {
            // There is no XDP for those that have no Ethernet header.
            _ if interface.framing != Framing::Ethernet => Self::Unwished,
            XdpSetting::Native => Self::Wished,
            XdpSetting::Auto if hardware => Self::Wished,
            _ => Self::Unwished,
        }
    }
}

/// Driver, MTU, queues, and where it is judged.
fn headline(interface: &Interface, facts: &Facts) -> Finding {
    let about = describe(interface);
    let say = |level, what: &str| finding(interface, level, format!("{about}: {what}"));
    match (&interface.role, &interface.judged) {
        (Role::Gap { why }, _) => {
            let advice = format!(
                "interfaces.exclude = [{:?}], if that is meant",
                interface.name
            );
            say(Level::Missing, "traffic of the node may pass unfiltered")
                .why(why)
                .advice(advice)
        }
        (Role::Elsewhere { why }, None) => say(Level::Ok, why),
        (Role::Member { of }, None) => say(Level::Ok, &format!("belongs to {of}")),
        (_, Some(judged)) => match judged.ingress {
            Ingress::XdpNative => say(Level::Ok, "native XDP"),
            Ingress::XdpGeneric => say(Level::Slow, "generic XDP, which is slower than TC")
                .why(&judged.why)
                .advice("interfaces.xdp = \"auto\""),
            Ingress::Tc if Native::of(interface, facts.xdp) == Native::Wished => {
                say(Level::Slow, "TC in place of native XDP").why(&judged.why)
            }
            Ingress::Tc => say(Level::Ok, "TC").why(&judged.why),
        },
        (Role::Filtered, None) => say(Level::Ok, "to be filtered"),
    }
}

/// `ixgbe, MTU 1500, 8 queues`
fn describe(interface: &Interface) -> String {
    let driver = interface.driver.as_deref();
    let kind = Some(interface.kind.as_str()).filter(|kind| !kind.is_empty());
    let mut parts = vec![driver.or(kind).unwrap_or("unknown driver").to_owned()];
    if !interface.up {
        parts.push("down".into());
    }
    parts.push(format!("MTU {}", interface.mtu));
    if let Some(channels) = interface.channels {
        let plural = if channels.rx == 1 { "" } else { "s" };
        parts.push(format!("{} queue{plural}", channels.rx));
    }
    parts.join(", ")
}

/// Its mode and its members.
fn bond(interface: &Interface) -> Option<Finding> {
    let bond = interface.bond.as_ref()?;
    let members = match bond.members.is_empty() {
        true => "no members yet".to_owned(),
        false => format!("members {}", bond.members.join(", ")),
    };
    let what = format!("mode {}, {members}", bond.mode);
    let finding = finding(interface, Level::Note, what);
    Some(match bond.members.is_empty() {
        true => finding.advice(format!("ip link set NAME master {}", interface.name)),
        false => finding.why("what a member can do decides: native XDP needs it of every one"),
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::datapath::host::TcKind;
    use crate::doctor::facts::{Answer, Bond, Daemon, Datapath, Judged, Kernel, Rehearsal, Rights};

    pub fn eth0() -> Interface {
        Interface {
            name: "eth0".into(),
            up: true,
            driver: Some("ixgbe".into()),
            mtu: 1500,
            ..Interface::default()
        }
    }

    fn facts(interfaces: Vec<Interface>, xdp: XdpSetting) -> Facts {
        Facts {
            kernel: Kernel::default(),
            rights: Rights::default(),
            datapath: Datapath {
                tc: TcKind::Tcx,
                rehearsal: Rehearsal::Skipped("a test".into()),
                cpus: 1,
            },
            interfaces: Ok(interfaces),
            xdp,
            cpus: 1,
            daemon: Daemon {
                socket: "/run/fw-ctl/control.sock".into(),
                answer: Answer::Absent { pins: Some(false) },
                configuration: Vec::new(),
            },
        }
    }

    fn first(interface: Interface, xdp: XdpSetting) -> (Level, String) {
        let first = findings(&facts(vec![interface], xdp)).swap_remove(0);
        (first.level, first.what)
    }

    #[test]
    fn where_an_interface_is_judged() {
        use XdpSetting::{Auto, Generic, Native, Off};
        let at = |ingress| Interface {
            judged: Some(Judged {
                ingress,
                why: "why".into(),
            }),
            ..eth0()
        };
        let veth = Interface {
            kind: "veth".into(),
            ..at(Ingress::Tc)
        };
        // Hardware, but of raw IP.
        let modem = || Interface {
            framing: Framing::None,
            ..at(Ingress::Tc)
        };
        for (interface, xdp, level, what) in [
            (at(Ingress::XdpNative), Auto, Level::Ok, "native XDP"),
            (
                at(Ingress::Tc),
                Auto,
                Level::Slow,
                "TC in place of native XDP",
            ),
            (at(Ingress::Tc), Off, Level::Ok, "TC"),
            (veth, Auto, Level::Ok, "TC"),
            (
                at(Ingress::XdpGeneric),
                Generic,
                Level::Slow,
                "generic XDP, which is slower than TC",
            ),
            (eth0(), Auto, Level::Ok, "to be filtered"),
            (modem(), Auto, Level::Ok, "TC"),
            (modem(), Native, Level::Ok, "TC"),
        ] {
            let expected = format!("ixgbe, MTU 1500: {what}");
            assert_eq!(first(interface, xdp), (level, expected));
        }
    }

    #[test]
    fn a_gap_is_missing_and_can_be_meant() {
        let gap = Interface {
            name: "ib0".into(),
            kind: "ipoib".into(),
            role: Role::Gap {
                why: "not filtered: neither an Ethernet header nor IP at once".into(),
            },
            up: true,
            mtu: 1420,
            ..Interface::default()
        };
        let said = findings(&facts(vec![eth0(), gap], XdpSetting::Auto))
            .pop()
            .unwrap();
        assert_eq!(said.subject, "ib0");
        assert_eq!(said.level, Level::Missing);
        assert_eq!(
            said.advice.as_deref(),
            Some("interfaces.exclude = [\"ib0\"], if that is meant")
        );
    }

    #[test]
    fn a_bond_names_its_mode_and_members() {
        let bond = |members: &[&str]| Interface {
            name: "bond0".into(),
            kind: "bond".into(),
            driver: Some("bonding".into()),
            bond: Some(Bond {
                mode: "802.3ad".into(),
                members: members.iter().map(|name| (*name).into()).collect(),
            }),
            ..eth0()
        };
        let said = |members: &[&str]| {
            findings(&facts(vec![bond(members)], XdpSetting::Auto))
                .swap_remove(1)
                .what
        };
        assert_eq!(said(&["eth1", "eth2"]), "mode 802.3ad, members eth1, eth2");
        assert_eq!(said(&[]), "mode 802.3ad, no members yet");
    }

    #[test]
    fn a_node_without_interfaces_is_not_protected() {
        let said = findings(&facts(Vec::new(), XdpSetting::Auto));
        assert_eq!((said.len(), said[0].level), (1, Level::Missing));
        let mut facts = facts(Vec::new(), XdpSetting::Auto);
        facts.interfaces = Err("cannot open a netlink socket; try: root".into());
        let said = findings(&facts);
        assert_eq!(said[0].advice.as_deref(), Some("root"));
    }
}
