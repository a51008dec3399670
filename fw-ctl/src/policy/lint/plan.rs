//! What only the compiled whole shows: rules that never decide anything, CIDR
//! rules around nodes, and default deny without DNS.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fw_common::wire::Direction;
use ipnet::IpNet;

use super::super::rules::{
    CidrBlock, CidrMatchMode, DirectionRules, Origin, PeerSelector, Peers, Rule, Service,
    ServiceRange, Services, Surroundings, flatten,
};
use super::super::schema::PolicyDocument;
use super::{Input, overruled, warning};
use crate::compile::plan::{Mode, Plan};
use crate::compile::{Enforcement, Options, draft};
use crate::diagnostic::Diagnostic;
use crate::inventory::{Identities, Inventory, NodeView};

/// Whose rules are looked at.
pub(super) struct Subject<'a> {
    pub(super) documents: &'a [PolicyDocument],
    pub(super) view: &'a NodeView,
    pub(super) inventory: Option<&'a Inventory>,
}

/// What is said of a rule for peers that the inventory does not know.
pub const SELECTS_NOBODY: &str =
    "this rule never decides: it selects no address that it could match in the inventory";
/// How many deciding rules a message names.
const NAMED: usize = 2;
/// How many prefixes of a group stand for all of them.
const EXAMPLES: usize = 1_000;

/// Adds what the plan of one node shows. Plans that do not fit the kernel's tables
/// are not this module's business: loading refuses them.
pub(super) fn check(input: &Input<'_>, subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let surroundings = Surroundings {
        node: &subject.view.labels,
        cluster: input.cluster,
        groups: input.groups,
    };
    let rules = flatten(subject.documents, &surroundings).rules;
    overruled::check(
        &rules,
        input.failsafe,
        &subject.view.identities,
        input.cidr_match_mode,
        found,
    );
    let options = Options {
        mode: Mode::Enforce,
        builtins: 0,
        enforcement: Enforcement::Default,
        cidr_match_mode: input.cidr_match_mode,
        failsafe: Vec::new(),
        vlans: None,
    };
    let Ok(plan) = draft(&rules, &subject.view.identities, &options) else {
        return;
    };
    for direction in [Direction::Ingress, Direction::Egress] {
        let checked = Checked {
            rules: rules.direction(direction),
            plan: &plan,
            direction,
            identities: &subject.view.identities,
            mode: input.cidr_match_mode,
            has_inventory: subject.inventory.is_some(),
        };
        checked.never_deciding(found);
        if let Some(inventory) = subject.inventory {
            checked.around_nodes(inventory, found);
            checked.no_dns(found);
        }
    }
}

/// One direction of one node.
struct Checked<'a> {
    rules: &'a DirectionRules,
    plan: &'a Plan,
    direction: Direction,
    identities: &'a Identities,
    mode: CidrMatchMode,
    has_inventory: bool,
}

impl Checked<'_> {
    /// Rules that stand in no cell of the matrix.
    fn never_deciding(&self, found: &mut Vec<Diagnostic>) {
        let cells = &self.plan.directions[self.direction as usize].cells;
        let deciding: BTreeSet<u16> = cells.iter().map(|word| word.rule()).collect();
        let ids = self.ids();
        for (id, rule) in &ids {
            let nothing = matches!(&rule.peers, Peers::Only(none) if none.is_empty())
                || matches!(&rule.services, Services::Only(none) if none.is_empty());
            // Rules that hold nothing by themselves are told by the document.
            if nothing || deciding.contains(id) {
                continue;
            }
            let peers = self.examples(&rule.peers);
            if peers.is_empty() {
                if self.has_inventory {
                    found.push(at(&rule.origin, SELECTS_NOBODY.to_owned()));
                }
                continue;
            }
            if let Some(warning) = self.shadowed(rule, &peers, &ids) {
                found.push(warning);
            }
        }
    }

    /// Rule ids of this direction: the last ones of it are the rules in order.
    fn ids(&self) -> BTreeMap<u16, &Rule> {
        let of_direction =
            |id: &u16| self.plan.rules[usize::from(*id)].direction == Some(self.direction);
        let count = u16::try_from(self.plan.rules.len()).unwrap_or(u16::MAX);
        let ids: Vec<u16> = (0..count).filter(of_direction).collect();
        let first = ids.len().saturating_sub(self.rules.rules.len());
        ids[first..]
            .iter()
            .copied()
            .zip(&self.rules.rules)
            .collect()
    }

    /// Who decides instead of a rule.
    fn shadowed(
        &self,
        rule: &Rule,
        peers: &[IpAddr],
        ids: &BTreeMap<u16, &Rule>,
    ) -> Option<Diagnostic> {
        let services: Vec<Service> = match &rule.services {
            Services::All => vec![Service::Protocol(255)],
            Services::Only(ranges) => ranges.iter().map(|range| range.example()).collect(),
        };
        let mut deciders: Vec<&Rule> = Vec::new();
        let vlans = self.plan.vlan_examples();
        let holds = |vlan: &u16| rule.vlans.as_ref().is_none_or(|set| set.contains(*vlan));
        for vlan in vlans.filter(holds) {
            for (peer, service) in peers
                .iter()
                .flat_map(|peer| services.iter().map(move |service| (*peer, *service)))
            {
                let word = self.plan.lookup(self.direction, vlan, peer, service);
                let decider = ids.get(&word.rule())?;
                if !deciders.iter().any(|known| known.origin == decider.origin) {
                    deciders.push(decider);
                }
            }
        }
        deciders.sort_by_key(|decider| !decider.deny);
        let killed = !rule.deny && deciders.first()?.deny;
        let names: Vec<String> = deciders
            .iter()
            .filter(|decider| decider.deny || !killed)
            .take(NAMED)
            .map(|decider| {
                let origin = &decider.origin;
                format!(
                    "`{}` of `{}` ({})",
                    origin.rule,
                    origin.policy,
                    origin.place()
                )
            })
            .collect();
        let names = names.join(" and ");
        Some(if killed {
            let mut warning = at(
                &rule.origin,
                format!("this rule allows nothing: what it would allow is denied by {names}"),
            );
            warning.help = Some(
                "a deny rule wins over every allow rule, whatever their order; leave it out: \
                 what is not allowed is denied anyway"
                    .to_owned(),
            );
            warning
        } else {
            let verb = if rule.deny { "denied" } else { "allowed" };
            at(
                &rule.origin,
                format!("this rule never decides: all of it is already {verb} by {names}"),
            )
        })
    }

    /// Some addresses that the peers of a rule match.
    fn examples(&self, peers: &Peers) -> Vec<IpAddr> {
        let mut candidates: Vec<IpAddr> = Vec::new();
        let known = || self.identities.entries_with_world();
        match peers {
            Peers::Any => candidates.extend(known().map(|(prefix, _)| prefix.addr())),
            Peers::Only(selectors) => {
                for selector in selectors {
                    match selector {
                        PeerSelector::Cidr(block) => candidates.extend(corners(block)),
                        PeerSelector::Group(block) => candidates.extend(
                            block
                                .live()
                                .take(EXAMPLES)
                                .flat_map(|(prefix, _)| [prefix.network(), prefix.broadcast()]),
                        ),
                        PeerSelector::Labels(selector) => candidates.extend(
                            known()
                                .filter(|(_, labels)| selector.matches(labels))
                                .map(|(prefix, _)| prefix.addr()),
                        ),
                    }
                }
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .retain(|address| peers.matches(*address, self.identities.of(*address), self.mode));
        candidates
    }

    /// CIDR rules do not match nodes, which surprises everybody once.
    fn around_nodes(&self, inventory: &Inventory, found: &mut Vec<Diagnostic>) {
        for rule in &self.rules.rules {
            let Peers::Only(selectors) = &rule.peers else {
                continue;
            };
            for selector in selectors {
                if let Some((prefix, name, address)) = self.node_in(selector, inventory) {
                    let message = format!(
                        "{prefix} holds {address} of the node `{name}`, but a CIDR rule does not match nodes",
                    );
                    let twin = match self.direction {
                        Direction::Ingress => "from",
                        Direction::Egress => "to",
                    };
                    let mut warning = at(&rule.origin, message);
                    warning.help = Some(format!(
                        "add a rule with `{twin}Entities: [remote-node]` or `{twin}Nodes`, or set \
                         `cidr_match_mode = [\"nodes\"]`"
                    ));
                    found.push(warning);
                }
            }
        }
    }

    /// A node that a rule would match if it were none, and the prefix that holds it.
    fn node_in<'i>(
        &self,
        selector: &PeerSelector,
        inventory: &'i Inventory,
    ) -> Option<(String, &'i str, IpAddr)> {
        let holds = |address: IpAddr| match selector {
            PeerSelector::Labels(_) => None,
            // Everybody knows that there are nodes in 0.0.0.0/0.
            PeerSelector::Cidr(block) => (block.cidr.prefix_len() > 0 && block.contains(address))
                .then(|| block.cidr.to_string()),
            PeerSelector::Group(block) => block
                .find(address)
                .filter(|(prefix, _)| prefix.prefix_len() > 0)
                .map(|(prefix, line)| format!("{prefix} ({}:{line})", block.group.file)),
        };
        let nodes = inventory.nodes.iter();
        nodes
            .flat_map(|(name, node)| node.addresses.iter().map(move |a| (name.as_str(), a.0)))
            .filter(|(_, address)| !self.mode.admits(self.identities.of(*address)))
            .find_map(|(name, address)| Some((holds(address)?, name, address)))
    }

    /// Egress default deny without DNS: almost nothing works then. Only the whole
    /// set of policies and an inventory can tell.
    fn no_dns(&self, found: &mut Vec<Diagnostic>) {
        const DNS: ServiceRange = ServiceRange::Ports {
            protocol: 17,
            first: 53,
            last: 53,
        };
        let (Direction::Egress, Some(switch)) = (self.direction, self.rules.default_deny.first())
        else {
            return;
        };
        let direction = &self.plan.directions[Direction::Egress as usize];
        let column = usize::from(direction.service_class(DNS.example()));
        let mut rows = direction.cells.chunks(direction.columns as usize);
        if !rows.any(|row| row[column].is_allow()) {
            let mut warning = at(
                &switch.origin,
                "egress is default deny, and nothing allows DNS (UDP 53) to anybody".to_owned(),
            );
            warning.help =
                Some("allow it to the name servers of the node, if it has any".to_owned());
            found.push(warning);
        }
    }
}

pub(super) fn at(origin: &Origin, message: String) -> Diagnostic {
    warning(&origin.source, origin.span, origin.rule.clone(), message)
}

/// Addresses at the edges of a block and of the gaps in it.
pub(super) fn corners(block: &CidrBlock) -> Vec<IpAddr> {
    let mut found = vec![block.cidr.network(), block.cidr.broadcast()];
    for except in &block.except {
        found.extend(after(except));
        found.extend(before(except));
    }
    found.retain(|address| block.contains(*address));
    found
}

fn after(prefix: &IpNet) -> Option<IpAddr> {
    match prefix.broadcast() {
        IpAddr::V4(last) => u32::from(last).checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(last) => u128::from(last)
            .checked_add(1)
            .map(|n| IpAddr::V6(n.into())),
    }
}

fn before(prefix: &IpNet) -> Option<IpAddr> {
    match prefix.network() {
        IpAddr::V4(first) => u32::from(first)
            .checked_sub(1)
            .map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(first) => u128::from(first)
            .checked_sub(1)
            .map(|n| IpAddr::V6(n.into())),
    }
}
