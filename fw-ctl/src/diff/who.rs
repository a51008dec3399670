//! Whose some addresses are, by what the operator knows: nodes by name, CIDR groups,
//! labels of the inventory, and prefixes where nothing is known.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Addresses, groups};
use crate::inventory::{Identities, Inventory};
use crate::policy::label::{CLUSTER, K8S, LabelSet, NAMESPACE, SERVICE_ACCOUNT};
use crate::policy::rules::{PeerSelector, Peers, RuleSet};
use crate::ranges::{Number, Range, longest, spans};

/// Names that are kept of one description; more are counted.
const KEPT: usize = 100;
/// Prefixes that are named as missing in a larger one.
const LEFT_OUT: usize = 3;

/// Names for addresses, as one side of a comparison has them.
pub struct Who {
    /// Outside of the cluster: whoever CIDR rules may match.
    outside: Addresses,
    /// The node's own, which it never talks to over an interface.
    own: Addresses,
    /// Other nodes, and all of them together.
    nodes: Vec<(String, Addresses)>,
    all_nodes: Addresses,
    /// Whoever else the inventory knows, by labels.
    others: Vec<(String, Addresses)>,
    /// CIDR groups, those with the most addresses first.
    groups: Vec<(String, Addresses)>,
    /// Prefixes as rules have them, the shortest first.
    written: Vec<IpNet>,
}

/// Who some addresses are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// `everybody`, `everybody on IPv4`: all of these but those that are named.
    pub but: Option<&'static str>,
    /// Names and prefixes; the first hundred.
    pub names: Vec<String>,
    /// How many there are.
    pub count: usize,
}

impl Who {
    /// Of one side.
    #[must_use]
    pub fn of(identities: &Identities, inventory: &Inventory, rules: &RuleSet) -> Self {
        let nodes = inventory.nodes.iter();
        let nodes = nodes.map(|(name, node)| {
            let addresses = node.addresses.iter().map(|(address, _)| *address);
            (name.as_str(), addresses.collect())
        });
        let rules_of = rules.directions.iter().flat_map(|side| &side.rules);
        let selectors = rules_of.filter_map(|rule| match &rule.peers {
            Peers::Any => None,
            Peers::Only(selectors) => Some(selectors),
        });
        let written = selectors.flatten().filter_map(|selector| match selector {
            PeerSelector::Cidr(block) => Some(block.cidr),
            PeerSelector::Labels(_) | PeerSelector::Group(_) => None,
        });
        Self::new(identities, nodes, groups::held(rules), written.collect())
    }

    /// `nodes` are those of the inventory with their addresses, `groups` CIDR groups that
    /// rules name, `written` their prefixes.
    fn new<'a>(
        identities: &Identities,
        nodes: impl IntoIterator<Item = (&'a str, Vec<IpAddr>)>,
        groups: impl IntoIterator<Item = (&'a str, Addresses)>,
        mut written: Vec<IpNet>,
    ) -> Self {
        written.sort_unstable_by_key(|prefix| (prefix.prefix_len(), *prefix));
        written.dedup();
        let known = addresses_by_labels(identities);
        let of = |is: fn(&LabelSet) -> bool| {
            let some = known.iter().filter(|(labels, _)| is(labels));
            Addresses::union(some.map(|(_, addresses)| addresses))
        };
        let is_node = |labels: &LabelSet| labels.is_remote_node();
        let outside = of(LabelSet::is_world);
        let all_nodes = of(is_node);
        let nodes = nodes.into_iter().map(|(name, addresses)| {
            let own = Addresses::of(addresses.iter().copied().map(IpNet::from));
            (format!("node {name}"), own.common(&all_nodes))
        });
        let groups = groups.into_iter().map(|(name, all)| {
            let count = all.prefixes().count();
            let plural = if count == 1 { "prefix" } else { "prefixes" };
            let name = format!("CIDR group {name} ({count} {plural})");
            (name, all.common(&outside))
        });
        let mut groups: Vec<_> = groups.collect();
        groups.sort_by_key(|(_, all)| std::cmp::Reverse(all.v4.len() + all.v6.len()));
        let rest = |labels: &LabelSet| !labels.is_world() && !labels.is_host();
        let mut others: Vec<_> = known
            .iter()
            .filter(|(labels, _)| rest(labels) && !is_node(labels))
            .map(|(labels, all)| (short(labels), all.clone()))
            .collect();
        let nodes: Vec<_> = nodes.filter(|(_, all)| !all.is_empty()).collect();
        // Nodes that only AddressIdentities know.
        let named = Addresses::union(nodes.iter().map(|(_, all)| all));
        let nameless = all_nodes.without(&named);
        if !nameless.is_empty() {
            others.push(("remote-node".to_owned(), nameless));
        }
        Self {
            outside,
            own: of(LabelSet::is_host),
            nodes,
            all_nodes,
            others,
            groups,
            written,
        }
    }

    /// Says who they are, or who the others are, where these are far fewer.
    #[must_use]
    pub fn describe(&self, peers: &Addresses) -> Described {
        let theirs = peers.without(&self.own);
        let mut all = Addresses::all();
        let everybody = match (theirs.v4.is_empty(), theirs.v6.is_empty()) {
            (true, true) => {
                return Described {
                    but: None,
                    names: vec!["this node".to_owned()],
                    count: 1,
                };
            }
            (true, false) => {
                all.v4.clear();
                "everybody on IPv6"
            }
            (false, true) => {
                all.v6.clear();
                "everybody on IPv4"
            }
            (false, false) => "everybody",
        };
        let others = self.name(&all.without(&self.own).without(&theirs));
        let named = self.name(&theirs);
        // "Everybody but" has to be worth it: one more word to read.
        let but = others.count == 0 || others.count + 1 < named.count;
        let Names { names, count } = if but { others } else { named };
        Described {
            but: but.then_some(everybody),
            names,
            count,
        }
    }

    fn name(&self, set: &Addresses) -> Names {
        let mut names = Names::default();
        self.name_outside(set.common(&self.outside), &mut names);
        let mut inside = set.without(&self.outside);
        if self.nodes.len() > 1 && self.all_nodes.lies_in(&inside) {
            names.push(|| "every other node".to_owned());
            inside = inside.without(&self.all_nodes);
        }
        for (name, all) in self.nodes.iter().chain(&self.others) {
            if inside.is_empty() {
                break;
            }
            let part = inside.common(all);
            if part.is_empty() {
                continue;
            }
            let mut prefixes = part.prefixes();
            match (prefixes.next(), prefixes.next()) {
                (Some(only), None) => names.push(|| format!("{} ({name})", prefix(only))),
                _ if part == *all => names.push(|| name.clone()),
                _ => part
                    .prefixes()
                    .for_each(|net| names.push(|| format!("{} ({name})", prefix(net)))),
            }
            inside = inside.without(all);
        }
        names
    }

    fn name_outside(&self, mut set: Addresses, names: &mut Names) {
        let everybody = if self.outside == Addresses::all() {
            "everybody"
        } else {
            "everybody outside of the cluster"
        };
        if !set.is_empty() && set == self.outside {
            return names.push(|| everybody.to_owned());
        }
        if !set.v4.is_empty() && set.v4 == self.outside.v4 {
            names.push(|| format!("{everybody} on IPv4"));
            set.v4.clear();
        }
        if !set.v6.is_empty() && set.v6 == self.outside.v6 {
            names.push(|| format!("{everybody} on IPv6"));
            set.v6.clear();
        }
        for (name, all) in &self.groups {
            if all.lies_in(&set) {
                names.push(|| name.clone());
                set = set.without(all);
            }
        }
        for whole in &self.written {
            set = self.name_most_of(*whole, set, names);
        }
        set.prefixes().for_each(|net| names.push(|| prefix(net)));
    }

    /// Names what is in `set` of a prefix that a rule has by what is not, if that is less;
    /// returns the rest.
    fn name_most_of(&self, whole: IpNet, set: Addresses, names: &mut Names) -> Addresses {
        let part = set.within(&whole);
        let parts = part.prefixes().count();
        // Quickly for the many that are not in question.
        if parts < 3 {
            return set;
        }
        let left_out = self.outside.within(&whole).without(&part);
        let count = left_out.prefixes().count();
        if count + 1 >= parts {
            return set;
        }
        names.push(|| {
            let others: Vec<_> = left_out.prefixes().take(LEFT_OUT).map(prefix).collect();
            let mut text = prefix(whole);
            if count > 0 {
                let _ = write!(text, " but {}", others.join(" and "));
            }
            if count > LEFT_OUT {
                let _ = write!(text, " and {} more", count - LEFT_OUT);
            }
            text
        });
        set.without(&part)
    }
}

#[derive(Default)]
struct Names {
    names: Vec<String>,
    count: usize,
}

impl Names {
    fn push(&mut self, name: impl FnOnce() -> String) {
        if self.names.len() < KEPT {
            self.names.push(name());
        }
        self.count += 1;
    }
}

/// A single address without its length.
fn prefix(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

/// Whoever has the same labels, by these.
pub(crate) fn addresses_by_labels(identities: &Identities) -> BTreeMap<&LabelSet, Addresses> {
    let mut known: BTreeMap<&LabelSet, Addresses> = BTreeMap::new();
    for (range, labels) in by_labels::<u32>(identities) {
        known.entry(labels).or_default().v4.push(range);
    }
    for (range, labels) in by_labels::<u128>(identities) {
        known.entry(labels).or_default().v6.push(range);
    }
    known
}

/// All addresses of a family, with the labels of who has them.
fn by_labels<N: Number>(identities: &Identities) -> impl Iterator<Item = (Range<N>, &LabelSet)> {
    let entries: Vec<_> = identities.entries_with_world().collect();
    let ranges = entries.iter().enumerate();
    let ranges = ranges.filter_map(|(i, (prefix, _))| Some((N::range_of(prefix)?, i)));
    let runs = longest(usize::MAX, ranges);
    let spans: Vec<_> = spans(&runs).collect();
    // Both default routes are entries, so that there is no address without.
    spans
        .into_iter()
        .map(move |(range, i)| (range, entries[i].1))
}

/// `app=web in shop`, `kube-apiserver`: labels without those that Cilium adds to all.
pub(crate) fn short(labels: &LabelSet) -> String {
    let mut parts = Vec::new();
    let mut namespace = "";
    for label in labels.as_slice() {
        let key = label.key.as_str();
        match label.source.as_str() {
            K8S if key == NAMESPACE => namespace = &label.value,
            K8S if [CLUSTER, SERVICE_ACCOUNT].contains(&key) || key.starts_with("io.cilium.") => {}
            K8S => parts.push(format!("{key}={}", label.value)),
            "reserved" => parts.push(label.key.clone()),
            _ => parts.push(label.to_string()),
        }
    }
    if parts.is_empty() && namespace.is_empty() {
        return "without labels".to_owned();
    }
    if parts.is_empty() {
        parts.push("pods".to_owned());
    }
    let mut text = parts.join(" ");
    if !namespace.is_empty() {
        let _ = write!(text, " in {namespace}");
    }
    text
}

impl Described {
    /// In a line, with at most so many names.
    #[must_use]
    pub fn text(&self, most: usize) -> String {
        let mut text = String::new();
        if let Some(everybody) = self.but {
            text.push_str(everybody);
            if self.names.is_empty() {
                return text;
            }
            text.push_str(" but ");
        }
        let shown = self.names.len().min(most);
        text.push_str(&self.names[..shown].join(", "));
        if self.count > shown {
            let _ = write!(text, " and {} more", self.count - shown);
        }
        text
    }
}

#[cfg(test)]
#[path = "who_tests.rs"]
mod tests;
