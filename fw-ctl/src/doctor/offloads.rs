//! What MTU, offloads and queues of an interface mean for XDP.
//!
//! What drivers refuse is from their source: native XDP wants frames as they are on the wire,
//! each in one page, unless driver and program know frames of several buffers.

use super::facts::{Facts, Interface, Kernel};
use super::interfaces::{Native, finding};
use super::{Finding, Level};
use crate::ethtool::{Channels, Switch};

/// The largest MTU at which every driver still fits a frame, its headroom and the kernel's
/// `skb_shared_info` into a page of 4096 bytes: that of veth. Most drivers allow some bytes more
/// or less.
const PAGE_MTU: u32 = 3_498;

/// The driver of virtio's network devices.
const VIRTIO: &str = "virtio_net";

pub fn findings(interface: &Interface, facts: &Facts, native: Native) -> Vec<Finding> {
    let mut findings = Vec::new();
    if native == Native::Wished {
        findings.extend(mtu(interface, &facts.kernel));
        findings.extend(large_packets(interface));
    }
    if native != Native::Unwished {
        findings.extend(tags(interface));
        findings.extend(locked_sending(interface, facts.cpus));
    }
    // The queues of virtual interfaces are no hardware that shares work.
    if interface.kind.is_empty() {
        findings.extend(receiving(interface, facts.cpus));
    }
    findings
}

fn mtu(interface: &Interface, kernel: &Kernel) -> Option<Finding> {
    if interface.mtu <= PAGE_MTU {
        return None;
    }
    let what = format!("MTU {}: frames do not fit one page", interface.mtu);
    let smaller = format!("ip link set {} mtu {PAGE_MTU}", interface.name);
    if !kernel.is_at_least(5, 18) {
        return Some(
            finding(interface, Level::Slow, what)
                .why("this kernel has no XDP for frames of several buffers (5.18 has): TC serves")
                .advice(format!(
                    "a newer kernel, or where no jumbo frames are needed: {smaller}"
                )),
        );
    }
    let virtio = interface.driver.as_deref() == Some(VIRTIO);
    if virtio && !kernel.is_at_least(6, 3) {
        return Some(
            finding(interface, Level::Slow, what)
                .why("virtio_net has XDP for frames of several buffers since 6.3: TC serves")
                .advice(format!(
                    "a newer kernel, or where no jumbo frames are needed: {smaller}"
                )),
        );
    }
    if virtio || interface.kind == "veth" {
        return None;
    }
    Some(finding(interface, Level::Note, what).why(
        "native XDP needs a driver that hands over frames of several buffers (xdp.frags); \
             where it does not, TC serves",
    ))
}

/// LRO and GRO in hardware, which are large packets where XDP wants frames.
fn large_packets(interface: &Interface) -> Option<Finding> {
    let features = interface.features;
    let on = |switch: Option<Switch>| switch.filter(|switch| switch.on);
    if interface.driver.as_deref() == Some(VIRTIO) {
        // What the host may hand over was LRO to virtio_net before 5.15.
        let switch = on(features.gro_hw).or(on(features.lro))?;
        return switch.fixed.then(|| {
            finding(interface, Level::Slow, "the host hands over large packets, and cannot be asked not to")
                .why("virtio_net refuses native XDP while guest offloads are on and ctrl_guest_offloads is off: TC serves")
                .advice(
                    "on the host, ctrl_guest_offloads=on, or guest_tso4=off,guest_tso6=off,\
                     guest_ecn=off,guest_ufo=off,guest_csum=off for this device",
                )
        });
    }
    let lro = on(features.lro)?;
    let said = finding(interface, Level::Slow, "LRO is on")
        .why("many drivers refuse native XDP while it is on: TC serves");
    Some(match lro.fixed {
        true => said.advice("nothing here: this driver does not let it be switched off"),
        false => said.advice(format!("ethtool -K {} lro off", interface.name)),
    })
}

/// Tags that the NIC takes out of the frame before XDP sees it.
fn tags(interface: &Interface) -> Option<Finding> {
    let switch = interface.features.rx_vlan.filter(|switch| switch.on)?;
    if interface.vlans.is_empty() || !interface.kind.is_empty() {
        return None;
    }
    let said = finding(
        interface,
        Level::Note,
        "the NIC takes VLAN tags out of the frame",
    )
    .why(format!(
        "native XDP cannot see which VLAN a packet is of ({}); that matters for rules about \
             VLANs only: all other policy holds on what is inside",
        interface.vlans.join(", ")
    ));
    Some(match switch.fixed {
        true => said.advice("interfaces.xdp = \"off\" where rules name VLANs: TC sees the tag"),
        false => said.advice(format!(
            "ethtool -K {} rxvlan off, if rules are to name VLANs",
            interface.name
        )),
    })
}

/// virtio wants a queue for each CPU beside those of the guest, or sends from XDP under a lock.
fn locked_sending(interface: &Interface, cpus: usize) -> Option<Finding> {
    let channels = interface.channels?;
    let virtio = interface.driver.as_deref() == Some(VIRTIO);
    let liked = channels.tx as usize + cpus;
    (virtio && liked > channels.max_tx as usize).then(|| {
        let what = format!(
            "{} send queues at most, where XDP would like {liked}",
            channels.max_tx
        );
        finding(interface, Level::Note, what).why(
            "the kernel says of this that XDP_TX and XDP_REDIRECT operate in a slower locked tx \
             mode; fw-ctl uses neither",
        )
    })
}

/// Queues that could share the work and do not.
fn receiving(interface: &Interface, cpus: usize) -> Option<Finding> {
    let Channels { rx, max_rx, .. } = interface.channels?;
    let possible = max_rx.min(u32::try_from(cpus).unwrap_or(u32::MAX));
    if rx >= possible {
        return None;
    }
    let level = if rx == 1 { Level::Slow } else { Level::Note };
    let what = format!("{rx} of {max_rx} receive queues in use, with {cpus} CPUs");
    Some(
        finding(interface, level, what)
            .why("each queue is judged by one CPU")
            .advice(format!(
                "ethtool -L {name} combined {possible} (or rx {possible}, see ethtool -l {name})",
                name = interface.name
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::super::interfaces::tests::eth0;
    use super::*;
    use crate::ethtool::Features;

    fn kernel(major: u32, minor: u32) -> Kernel {
        Kernel {
            version: Some((major, minor)),
            ..Kernel::default()
        }
    }

    fn virtio() -> Interface {
        Interface {
            driver: Some(VIRTIO.into()),
            ..eth0()
        }
    }

    const OFF: Switch = Switch {
        on: false,
        fixed: false,
    };
    const ON: Switch = Switch {
        on: true,
        fixed: false,
    };
    const FIXED: Switch = Switch {
        on: true,
        fixed: true,
    };

    fn level(found: Option<&Finding>) -> Option<Level> {
        found.map(|finding| finding.level)
    }

    #[test]
    fn an_mtu_beyond_a_page_needs_kernel_and_driver() {
        let jumbo = |interface| Interface {
            mtu: 9000,
            ..interface
        };
        let veth = Interface {
            kind: "veth".into(),
            ..eth0()
        };
        for (interface, version, expected) in [
            (eth0(), (5, 10), None),
            (jumbo(eth0()), (5, 10), Some(Level::Slow)),
            (jumbo(eth0()), (6, 1), Some(Level::Note)),
            (jumbo(virtio()), (6, 1), Some(Level::Slow)),
            (jumbo(virtio()), (6, 12), None),
            (jumbo(veth.clone()), (5, 10), Some(Level::Slow)),
            (jumbo(veth), (6, 1), None),
        ] {
            let said = mtu(&interface, &kernel(version.0, version.1));
            assert_eq!(level(said.as_ref()), expected, "{interface:?} {version:?}");
        }
    }

    #[test]
    fn large_packets_keep_native_xdp_away_only_where_they_cannot_be_switched_off() {
        let lro = |interface, switch| Interface {
            features: Features {
                lro: Some(switch),
                ..Features::default()
            },
            ..interface
        };
        let gro_hw = |interface, switch| Interface {
            features: Features {
                gro_hw: Some(switch),
                ..Features::default()
            },
            ..interface
        };
        for (interface, expected) in [
            (lro(eth0(), OFF), None),
            (lro(eth0(), ON), Some("ethtool -K eth0 lro off")),
            (lro(eth0(), FIXED), Some("nothing here")),
            // Every driver switches it off when a program is attached.
            (gro_hw(eth0(), ON), None),
            (gro_hw(virtio(), ON), None),
            (gro_hw(virtio(), FIXED), Some("on the host")),
            (lro(virtio(), FIXED), Some("on the host")),
        ] {
            let advice = large_packets(&interface).and_then(|said| said.advice);
            match expected {
                None => assert_eq!(advice, None, "{interface:?}"),
                Some(start) => assert!(advice.unwrap().starts_with(start), "{interface:?}"),
            }
        }
    }

    #[test]
    fn tags_matter_where_there_are_vlans() {
        let stripping = |fixed, vlans: &[&str]| Interface {
            features: Features {
                rx_vlan: Some(Switch { on: true, fixed }),
                ..Features::default()
            },
            vlans: vlans.iter().map(|name| (*name).into()).collect(),
            ..eth0()
        };
        assert_eq!(tags(&stripping(false, &[])), None);
        let said = tags(&stripping(false, &["bond0.212"])).unwrap();
        assert_eq!(said.level, Level::Note);
        assert!(said.why.unwrap().contains("(bond0.212)"));
        assert!(
            said.advice
                .unwrap()
                .starts_with("ethtool -K eth0 rxvlan off")
        );
        let said = tags(&stripping(true, &["eth0.7"])).unwrap();
        assert!(said.advice.unwrap().contains("interfaces.xdp = \"off\""));
    }

    #[test]
    fn virtio_without_queues_to_spare_is_explained() {
        let with = |interface, max_tx| Interface {
            channels: Some(Channels {
                tx: 2,
                max_tx,
                ..Channels::default()
            }),
            ..interface
        };
        let said = locked_sending(&with(virtio(), 4), 4).unwrap();
        assert_eq!(said.level, Level::Note);
        assert_eq!(said.what, "4 send queues at most, where XDP would like 6");
        assert_eq!(locked_sending(&with(virtio(), 6), 4), None);
        assert_eq!(locked_sending(&with(eth0(), 4), 4), None);
    }

    #[test]
    fn queues_are_held_against_cpus() {
        let with = |rx, max_rx| Interface {
            channels: Some(Channels {
                rx,
                max_rx,
                ..Channels::default()
            }),
            ..eth0()
        };
        for (interface, cpus, expected) in [
            (with(1, 1), 8, None),
            (with(1, 4), 1, None),
            (with(1, 4), 8, Some(Level::Slow)),
            (with(2, 4), 8, Some(Level::Note)),
            (with(4, 64), 4, None),
            (eth0(), 8, None),
        ] {
            let said = receiving(&interface, cpus);
            assert_eq!(level(said.as_ref()), expected, "{interface:?} {cpus}");
        }
    }
}
