//! Prefixes that somebody but the inventory's identities speaks of: policies, CIDR groups,
//! failsafe entries, and the node itself.

use ipnet::IpNet;

use super::{Known, Role, Said};
use crate::netlink::Network;
use crate::policy::rules::{Origin, PeerSelector, Peers};
use crate::policy::schema::CidrGroup;

/// Who speaks of a prefix.
#[derive(Clone, Copy)]
pub(super) enum Mark<'a> {
    /// The node has it: on a link of this name, or by a route.
    Own(Option<&'a str>),
    /// A group has it on this line.
    Group(&'a CidrGroup, u32),
    /// An item of a policy means it.
    Rule(&'a Origin),
    /// An item of a policy leaves it out.
    Except(&'a Origin),
    /// A failsafe entry means it: where that stands.
    Failsafe(&'a str),
}

impl Mark<'_> {
    pub(super) fn said(&self) -> Said {
        let said = |role, kind: &str, name: String, place: String| Said {
            role,
            kind: kind.into(),
            name,
            place,
            says: None,
        };
        let item = |origin: &Origin| format!("{} {}", origin.policy, origin.rule);
        match self {
            Self::Own(Some(link)) => said(Role::Own, "interface", (*link).into(), String::new()),
            Self::Own(None) => said(Role::Own, "local route", String::new(), String::new()),
            Self::Group(group, line) => {
                let place = format!("{}:{line}", group.file);
                said(Role::Meant, "CiliumCIDRGroup", group.name.clone(), place)
            }
            Self::Rule(origin) => said(Role::Meant, "policy", item(origin), origin.place()),
            Self::Except(origin) => said(Role::LeftOut, "policy", item(origin), origin.place()),
            Self::Failsafe(place) => {
                said(Role::Meant, "failsafe", String::new(), (*place).to_owned())
            }
        }
    }
}

/// All of them, sorted by prefix; of one prefix in the order of [`Mark`].
pub(super) struct Marks<'a>(Vec<(IpNet, Mark<'a>)>);

impl<'a> Marks<'a> {
    pub(super) fn new(known: &Known<'a>) -> Self {
        let compiled = known.compiled;
        let mut marks = known.network.map_or_else(Vec::new, own);
        let written = compiled.groups.iter().filter(|group| group.line.is_some());
        for group in written {
            let live = group.live();
            marks.extend(live.map(|(prefix, line)| (prefix, Mark::Group(group.as_ref(), line))));
        }
        for rule in compiled
            .rules
            .directions
            .iter()
            .flat_map(|side| &side.rules)
        {
            let Peers::Only(selectors) = &rule.peers else {
                continue;
            };
            for selector in selectors {
                let except = match selector {
                    PeerSelector::Labels(_) => continue,
                    PeerSelector::Cidr(block) => {
                        marks.push((block.cidr.trunc(), Mark::Rule(&rule.origin)));
                        &block.except
                    }
                    PeerSelector::Group(block) => &block.except,
                };
                let except = except.iter().map(IpNet::trunc);
                marks.extend(except.map(|prefix| (prefix, Mark::Except(&rule.origin))));
            }
        }
        let failsafe = &compiled.inputs.config.failsafe;
        for entry in failsafe.inbound.iter().chain(&failsafe.outbound) {
            if let Some(cidr) = entry.cidr {
                marks.push((cidr.trunc(), Mark::Failsafe(&entry.origin.0)));
            }
        }
        // Stable, so that each prefix keeps the order in which they were read.
        marks.sort_by_key(|mark| mark.0);
        Self(marks)
    }

    pub(super) fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        self.0.iter().map(|mark| mark.0)
    }

    /// Those of a prefix.
    pub(super) fn of(&self, prefix: IpNet) -> impl Iterator<Item = &Mark<'a>> {
        let from = self.0.partition_point(|mark| mark.0 < prefix);
        let these = self.0[from..].iter();
        these
            .take_while(move |mark| mark.0 == prefix)
            .map(|(_, mark)| mark)
    }

    /// Whether the node has it.
    pub(super) fn is_own(&self, prefix: IpNet) -> bool {
        self.of(prefix).any(|mark| matches!(mark, Mark::Own(_)))
    }
}

/// What makes a packet the node's own, as the datapath sees it: no loopback addresses.
fn own(network: &Network) -> Vec<(IpNet, Mark<'_>)> {
    let local = network.local_addresses();
    let addresses = network.addresses.iter();
    let addresses = addresses.filter(|entry| local.contains(&entry.address));
    let addresses = addresses.map(|entry| {
        let link = network.link(entry.link).map(|link| link.name.as_str());
        (IpNet::from(entry.address), Mark::Own(link))
    });
    let routes = network.local_routes.iter();
    let routes = routes.filter(|route| local.contains(&route.network()));
    let routes = routes.map(|route| (route.trunc(), Mark::Own(None)));
    addresses.chain(routes).collect()
}
