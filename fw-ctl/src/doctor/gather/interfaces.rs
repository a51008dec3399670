//! The interfaces that matter, with all that is known of each.

use std::collections::BTreeMap;

use super::links::{self, Details};
use super::loaded;
use crate::config::Interfaces;
use crate::daemon::status::Status;
use crate::datapath::programs::is_ours;
use crate::doctor::facts::{Bond, ForeignXdp, Interface, Judged, Role};
use crate::ethtool;
use crate::netlink::{Cause, Choice, Demand, Link, Network, Wish, plan};

/// Interfaces that are filtered or would be, members of such bonds, and gaps.
///
/// # Errors
/// A sentence: why they cannot be listed.
pub fn gather(wanted: &Interfaces, status: Option<&Status>) -> Result<Vec<Interface>, String> {
    let (network, details) = links::list()?;
    let names = loaded::names();
    let chosen = roles(&network, wanted, status);
    let interfaces = chosen.into_iter().map(|(link, role)| {
        let details = details.iter().find(|details| details.index == link.index);
        let details = details.cloned().unwrap_or_default();
        let mut interface = of(&network, link, role, &details);
        interface.judged = status.and_then(|status| judged(status, &link.name));
        interface.foreign_xdp = names.as_ref().and_then(|names| foreign(names, &details));
        interface.driver = ethtool::driver(&link.name);
        interface.features = ethtool::features(&link.name).unwrap_or_default();
        interface.channels = ethtool::channels(&link.name);
        // TCX runs before the filters of `clsact`.
        interface.tc = loaded::on_tcx(&link.name);
        let filters = details.filters.into_iter();
        interface
            .tc
            .extend(filters.map(|(hook, id, name)| loaded::tc_program(hook, id, &name)));
        interface
    });
    Ok(interfaces.collect())
}

/// Which interfaces matter, and why: as the daemon says, which knows its configuration, else as
/// ours would have it.
fn roles<'a>(
    network: &'a Network,
    wanted: &Interfaces,
    status: Option<&Status>,
) -> Vec<(&'a Link, Role)> {
    let choices = match status {
        Some(status) => told(network, status),
        None => plan(
            network,
            Demand {
                wanted,
                needs_tags: false,
            },
        ),
    };
    let filtered = |index: u32| {
        let same = |(link, choice): &&(&'a Link, Choice)| link.index == index && choice.is_filter();
        choices.iter().find(same).map(|(link, _)| *link)
    };
    let role = |(link, choice): &(&'a Link, Choice)| match choice {
        Choice::Filter(_) => Some((*link, Role::Filtered)),
        Choice::Leave { why, gap: true, .. } => Some((*link, Role::Gap { why: why.clone() })),
        Choice::Leave {
            why,
            cause: Cause::Elsewhere,
            ..
        } if matches!(link.kind.as_str(), "bond" | "team" | "bridge") => {
            Some((*link, Role::Elsewhere { why: why.clone() }))
        }
        Choice::Leave { .. } => {
            let master = filtered(link.master?)?;
            let of = master.name.clone();
            matches!(master.kind.as_str(), "bond" | "team").then_some((*link, Role::Member { of }))
        }
    };
    choices.iter().filter_map(role).collect()
}

/// What the daemon does with each interface.
fn told<'a>(network: &'a Network, status: &Status) -> Vec<(&'a Link, Choice)> {
    let choice = |link: &Link| {
        if judged(status, &link.name).is_some() {
            return Choice::Filter(Wish::Auto);
        }
        let left = status.unfiltered.iter().find(|left| left.name == link.name);
        Choice::Leave {
            why: left.map(|left| left.why.clone()).unwrap_or_default(),
            gap: left.is_some_and(|left| left.gap),
            // Its reason says where.
            cause: match left {
                Some(_) => Cause::Elsewhere,
                None => Cause::Meant,
            },
        }
    };
    network
        .links
        .iter()
        .map(|link| (link, choice(link)))
        .collect()
}

fn of(network: &Network, link: &Link, role: Role, details: &Details) -> Interface {
    let names = |fits: &dyn Fn(&Link) -> bool| -> Vec<String> {
        let fitting = network.links.iter().filter(|other| fits(other));
        fitting.map(|other| other.name.clone()).collect()
    };
    let carries = |vlan: &Link| {
        vlan.kind == "vlan"
            && vlan.parent.is_some()
            && (vlan.parent == Some(link.index) || vlan.parent == link.master)
    };
    Interface {
        name: link.name.clone(),
        kind: link.kind.clone(),
        framing: link.framing,
        role,
        up: link.up,
        mtu: details.mtu,
        vlans: names(&carries),
        bond: details.bond.clone().map(|mode| Bond {
            mode,
            members: names(&|member| member.master == Some(link.index)),
        }),
        ..Interface::default()
    }
}

fn judged(status: &Status, name: &str) -> Option<Judged> {
    let found = status
        .interfaces
        .iter()
        .find(|interface| interface.name == name)?;
    Some(Judged {
        ingress: found.ingress,
        why: found.why.clone(),
    })
}

fn foreign(names: &BTreeMap<u32, String>, details: &Details) -> Option<ForeignXdp> {
    let (mode, id) = details.xdp?;
    let name = names.get(&id).cloned().unwrap_or_default();
    (!is_ours(&name)).then_some(ForeignXdp { id, name, mode })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::XdpSetting;
    use crate::netlink::Framing;

    fn link(index: u32, name: &str, kind: &str) -> Link {
        Link {
            index,
            name: name.into(),
            kind: kind.into(),
            framing: match kind {
                "wireguard" => Framing::None,
                "ipoib" => Framing::Other,
                _ => Framing::Ethernet,
            },
            up: true,
            ..Link::default()
        }
    }

    /// A bond of two with a VLAN, a tunnel, and a dummy that nobody cares for.
    fn machine() -> Network {
        let member = |index, name| Link {
            master: Some(4),
            ..link(index, name, "")
        };
        Network {
            links: vec![
                member(2, "eth1"),
                member(3, "eth2"),
                link(4, "bond0", "bond"),
                Link {
                    parent: Some(4),
                    ..link(5, "bond0.212", "vlan")
                },
                link(6, "wg0", "wireguard"),
                link(7, "dummy0", "dummy"),
                link(8, "ib0", "ipoib"),
            ],
            ..Network::default()
        }
    }

    #[test]
    fn members_of_a_bond_matter_and_what_nobody_filters_does_not() {
        let network = machine();
        let bond = |xdp| Interfaces {
            xdp,
            ..Interfaces::default()
        };
        let off = bond(XdpSetting::Off);
        let auto = bond(XdpSetting::Auto);
        let by_members = roles(&network, &auto, None);
        let roles = roles(&network, &off, None);
        let roles: Vec<_> = roles
            .iter()
            .map(|(link, role)| (link.name.as_str(), role))
            .collect();
        let member = Role::Member { of: "bond0".into() };
        let gap = Role::Gap {
            why: "not filtered: neither an Ethernet header nor IP at once".into(),
        };
        assert_eq!(
            roles,
            [
                ("eth1", &member),
                ("eth2", &member),
                ("bond0", &Role::Filtered),
                ("wg0", &Role::Filtered),
                ("ib0", &gap),
            ]
        );
        let why = "filtered on its members: eth1, eth2".to_owned();
        let by_members: Vec<_> = by_members.iter().map(|(_, role)| role).collect();
        assert_eq!(
            by_members,
            [
                &Role::Filtered,
                &Role::Filtered,
                &Role::Elsewhere { why },
                &Role::Filtered,
                &gap
            ]
        );
    }

    #[test]
    fn the_daemon_knows_better_than_our_configuration() {
        let status = serde_json::from_value(serde_json::json!({
            "schema": 1, "version": "1", "node": "n1", "mode": "enforce", "mode_source": "",
            "degraded": [], "warnings": [],
            "generation": {"number": 1, "declared": null, "compiled": null, "kernel": null, "read_back": null},
            "interfaces": [{"name": "dummy0", "index": 7, "ingress": "tc", "egress": "tc", "why": "named"}],
            "unfiltered": [
                {"name": "bond0", "why": "its filter is gone", "gap": true},
                {"name": "wg0", "why": "excluded", "gap": false},
            ],
            "addresses": [], "policies": 1, "rules": 1, "builtins": [], "counters": [], "lost_events": 0,
        }))
        .unwrap();
        let network = machine();
        let roles = roles(&network, &Interfaces::default(), Some(&status));
        let roles: Vec<_> = roles
            .iter()
            .map(|(link, role)| (link.name.as_str(), role))
            .collect();
        let gap = Role::Gap {
            why: "its filter is gone".into(),
        };
        assert_eq!(roles, [("bond0", &gap), ("dummy0", &Role::Filtered)]);
    }

    #[test]
    fn tags_on_a_bond_are_tags_on_its_members() {
        let network = machine();
        let of = |index: usize| {
            let details = Details {
                bond: (index == 2).then(|| "802.3ad".into()),
                ..Details::default()
            };
            of(&network, &network.links[index], Role::Filtered, &details)
        };
        assert_eq!(of(0).vlans, ["bond0.212"]);
        assert_eq!(of(2).vlans, ["bond0.212"]);
        assert_eq!(of(4).vlans, Vec::<String>::new());
        assert_eq!(of(2).bond.unwrap().members, ["eth1", "eth2"]);
    }

    #[test]
    fn a_program_of_ours_is_not_foreign() {
        let on = |id| Details {
            xdp: Some(("native", id)),
            ..Details::default()
        };
        let names = [(7, "fw_xdp".to_owned()), (8, "katran".to_owned())].into();
        assert_eq!(foreign(&names, &on(7)), None);
        assert_eq!(foreign(&names, &Details::default()), None);
        let found = foreign(&names, &on(8)).unwrap();
        assert_eq!(
            (found.id, found.name.as_str(), found.mode),
            (8, "katran", "native")
        );
    }
}
