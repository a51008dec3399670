//! The attach plan as `doctor --plan` shows it: what would be judged where, and how, on
//! the interfaces as they are, by the configuration as it is. Nothing is attached.

use serde::Serialize;

use crate::config::Interfaces;
use crate::daemon::status::SCHEMA;
use crate::netlink::{Choice, Demand, Link, Network, missing, plan};

/// Every interface with what is planned for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    schema: u32,
    /// By index.
    pub interfaces: Vec<Planned>,
    /// Names in `interfaces.include` that no interface has.
    pub missing: Vec<String>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// `bond`, `vlan`, `veth`, …; `physical` for hardware and what passes for it.
    pub kind: String,
    /// The bond, bridge or VRF that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// The interface that it sits on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Modes of ingress in the order in which they are tried; none: it is not filtered.
    pub ingress: Vec<&'static str>,
    /// The mode of egress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<&'static str>,
    /// Why so; empty where nothing needs to be said.
    pub why: String,
    /// Traffic of the node may pass here unfiltered.
    pub gap: bool,
}

impl PlanReport {
    /// The plan for these interfaces.
    #[must_use]
    pub fn new(network: &Network, wanted: &Interfaces, needs_tags: bool) -> Self {
        let demand = Demand { wanted, needs_tags };
        let planned = plan(network, demand).into_iter();
        let missing = missing(network, wanted).into_iter();
        Self {
            schema: SCHEMA,
            interfaces: planned
                .map(|(link, choice)| Planned::new(network, link, choice))
                .collect(),
            missing: missing.map(str::to_owned).collect(),
        }
    }

    /// Whether nothing is missing and no traffic of the node would pass unfiltered.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let filtered = |planned: &Planned| planned.egress.is_some();
        self.missing.is_empty()
            && self.interfaces.iter().any(filtered)
            && !self.interfaces.iter().any(|planned| planned.gap)
    }
}

impl Planned {
    fn new(network: &Network, link: &Link, choice: Choice) -> Self {
        let name = |index: Option<u32>| Some(network.link(index?)?.name.clone());
        let (ingress, egress, why, gap) = match choice {
            Choice::Filter(wish) => {
                let why = wish.reason().unwrap_or_default().to_owned();
                (wish.modes().to_vec(), Some("tc"), why, false)
            }
            Choice::Leave { why, gap, .. } => (Vec::new(), None, why, gap),
        };
        let kind = match link.kind.as_str() {
            "" if link.loopback => "loopback",
            "" => "physical",
            kind => kind,
        };
        Self {
            name: link.name.clone(),
            index: link.index,
            kind: kind.to_owned(),
            master: name(link.master),
            parent: name(link.parent),
            ingress,
            egress,
            why,
            gap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Framing;

    #[test]
    fn what_is_planned_is_told_with_its_reason() {
        let link = |index, name: &str, kind: &str| Link {
            index,
            name: name.into(),
            kind: kind.into(),
            ..Link::default()
        };
        let network = Network {
            links: vec![
                link(1, "eth0", ""),
                Link {
                    parent: Some(1),
                    ..link(2, "eth0.5", "vlan")
                },
                link(3, "br0", "bridge"),
                Link {
                    framing: Framing::Other,
                    up: true,
                    ..link(4, "ib0", "ipoib")
                },
            ],
            ..Network::default()
        };
        let wanted = Interfaces {
            include: vec!["auto".into(), "eth9".into()],
            ..Interfaces::default()
        };
        let report = PlanReport::new(&network, &wanted, false);
        let rows: Vec<_> = report
            .interfaces
            .iter()
            .map(|p| (p.kind.as_str(), p.ingress.join(","), p.egress, p.gap))
            .collect();
        assert_eq!(
            rows,
            [
                ("physical", "xdp-native,tc".to_owned(), Some("tc"), false),
                ("vlan", String::new(), None, false),
                ("bridge", "tc".to_owned(), Some("tc"), false),
                ("ipoib", String::new(), None, true),
            ]
        );
        assert_eq!(report.interfaces[1].parent.as_deref(), Some("eth0"));
        assert_eq!(report.interfaces[2].why, "a bridge has no native XDP");
        assert_eq!(report.missing, ["eth9"]);
        assert!(!report.is_whole());
        let eth0 = Network {
            links: network.links[..1].to_vec(),
            ..Network::default()
        };
        assert!(PlanReport::new(&eth0, &Interfaces::default(), false).is_whole());
    }
}
