//! That a suggestion allows what was chosen, and nothing else: by compiling it together
//! with everything that is there, and comparing all that is allowed before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fw_common::wire::Direction;

use super::draft::Draft;
use super::{Base, Need, direction};
use crate::cli::output::plain;
use crate::daemon::sources::compile_known;
use crate::daemon::{Compiled, Inputs};
use crate::diagnostic::{Diagnostic, Source};
use crate::diff::{
    Addresses, Change, Passage, RuleChange, ServiceSet, Surroundings, Who, difference,
};
use crate::policy::load;
use crate::policy::rules::{Service, ServiceRange, Services};
use crate::vlans;

/// What the text is called in messages.
const FILE: &str = "the suggested policy";
/// Peers that a comment names.
const NAMED: usize = 6;

/// Who is allowed a service beside those who were chosen.
pub(super) type Extras = BTreeMap<(usize, Option<u16>, Service), Addresses>;

/// # Errors
/// What is not as it should be: then nobody is to see the text.
pub(super) fn prove(
    base: &Base<'_>,
    text: &str,
    drafts: &[Draft],
    needs: &BTreeSet<Need>,
) -> Result<Extras, String> {
    let source = Arc::new(Source {
        name: FILE.to_owned(),
        text: text.to_owned(),
    });
    let read = load::load_sources([Arc::clone(&source)]);
    if let Some(found) = read.diagnostics.first() {
        return Err(plain(found));
    }
    let compiled = with(base, source)?;
    let around = [base.compiled, &compiled].map(|side| Surroundings {
        config: &side.inputs.config,
        ssh_ports: &side.inputs.ssh_ports,
        mode: None,
        rules: &side.rules,
    });
    let [from, to] = &around;
    let difference = difference((from, &base.compiled.plan), (to, &compiled.plan));
    if let Some(setting) = difference.settings.first() {
        return Err(format!("it changes {}", setting.name));
    }
    if let Some(group) = difference.groups.first() {
        return Err(format!("CIDR group {} has changed meanwhile", group.name));
    }
    let is_ours = |name: &str| drafts.iter().any(|draft| draft.name == name);
    for change in &difference.rules {
        match change {
            RuleChange::Added(rule) if is_ours(&rule.policy) => {}
            other => return Err(format!("it changes rule {}", other.rule().rule)),
        }
    }
    for need in needs {
        let vlan = need.vlan.unwrap_or_default();
        let (direction, address) = (need.direction(), need.address);
        let word = compiled.plan.lookup(direction, vlan, address, need.service);
        if !word.is_allow() || word.is_limited() {
            return Err(format!("it does not allow what {address} needs"));
        }
    }
    Widened { drafts, needs }.check(&difference.effect)
}

/// Everything together.
fn with(base: &Base<'_>, source: Arc<Source>) -> Result<Compiled, String> {
    let mut inputs = Inputs::clone(&base.compiled.inputs);
    inputs.policies.push(source);
    let (compiled, _) = compile_known(Arc::new(inputs), Vec::new()).map_err(|wrong| {
        let lines = wrong.lines();
        lines.into_iter().next().unwrap_or_default()
    })?;
    let ours = |found: &&Diagnostic| found.source.name == FILE;
    match compiled.warnings.iter().find(ours) {
        Some(warning) => Err(plain(warning)),
        None => Ok(compiled),
    }
}

/// What may be allowed in addition.
struct Widened<'a> {
    drafts: &'a [Draft],
    needs: &'a BTreeSet<Need>,
}

impl Widened<'_> {
    fn check(&self, effect: &[Change]) -> Result<Extras, String> {
        let mut extras = Extras::new();
        for change in effect {
            if change.from != Passage::No || change.to != Passage::Yes {
                return Err(format!(
                    "it changes how {} is limited or denied",
                    change.services
                ));
            }
            for vlan in self.vlans(change)? {
                self.check_in(change, vlan, &mut extras)?;
            }
        }
        Ok(extras)
    }

    /// The VLANs of a change, as needs have them.
    fn vlans(&self, change: &Change) -> Result<Vec<Option<u16>>, String> {
        let by_vlan = self.needs.iter().any(|need| need.vlan.is_some());
        match (&change.vlans, by_vlan) {
            (None, false) => Ok(vec![None]),
            (Some(set), true) => {
                let all = vlans::UNTAGGED..=vlans::LAST;
                Ok(all.filter(|vlan| set.contains(*vlan)).map(Some).collect())
            }
            _ => Err(format!("it allows {} in other VLANs", change.services)),
        }
    }

    fn check_in(
        &self,
        change: &Change,
        vlan: Option<u16>,
        extras: &mut Extras,
    ) -> Result<(), String> {
        let is_here =
            |way: usize, at: Option<u16>| direction(way) == change.direction && at == vlan;
        let mut services: BTreeMap<Service, Vec<&Need>> = BTreeMap::new();
        for need in self
            .needs
            .iter()
            .filter(|need| is_here(need.way, need.vlan))
        {
            if change.services.contains(need.service) {
                services.entry(need.service).or_default().push(need);
            }
        }
        let ranges = services.keys().map(|service| range(*service)).collect();
        if ServiceSet::of(&Services::Only(ranges)) != change.services {
            return Err(format!(
                "it allows {}, of which not all was chosen",
                change.services
            ));
        }
        for (service, needs) in services {
            let addresses = needs.iter().map(|need| need.address.into());
            let extra = change.peers.without(&Addresses::of(addresses));
            let items = self.drafts.iter().filter(|draft| draft.vlan == vlan);
            let items = items
                .flat_map(Draft::all)
                .filter(|(direction, _, _, item)| {
                    *direction == change.direction && item.services.contains(&service)
                });
            let meant: Vec<_> = items.map(|(.., item)| &item.meant).collect();
            if !extra
                .without(&Addresses::union(meant.into_iter()))
                .is_empty()
            {
                return Err(format!("it allows {} for others, too", change.services));
            }
            let extra = of_family(service, extra);
            if !extra.is_empty() {
                let way = usize::from(change.direction == Direction::Egress);
                let known = extras.entry((way, vlan, service)).or_default();
                *known = Addresses::union([&*known, &extra].into_iter());
            }
        }
        Ok(())
    }
}

/// Those who can ask for it: ICMP is of IPv4 only, `ICMPv6` of IPv6.
fn of_family(service: Service, mut peers: Addresses) -> Addresses {
    match service {
        Service::Icmp(_) => peers.v6.clear(),
        Service::Icmpv6(_) => peers.v4.clear(),
        Service::Port { .. } | Service::Protocol(_) => {}
    }
    peers
}

fn range(service: Service) -> ServiceRange {
    match service {
        Service::Port { protocol, port } => ServiceRange::Ports {
            protocol,
            first: port,
            last: port,
        },
        Service::Icmp(icmp_type) => ServiceRange::Icmp(icmp_type),
        Service::Icmpv6(icmp_type) => ServiceRange::Icmpv6(icmp_type),
        Service::Protocol(number) => ServiceRange::Protocol(number),
    }
}

/// Who else items allow, in a line each: by draft, direction and number of the item.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Peers that were chosen, by addresses that were not seen.
    pub(super) own: BTreeMap<(usize, usize, usize), String>,
    /// Who was not chosen.
    pub(super) others: BTreeMap<(usize, usize, usize), String>,
}

pub(super) fn notes(base: &Base<'_>, drafts: &[Draft], extras: &Extras) -> Notes {
    let identities = base.compiled.identities.identities();
    let who = Who::of(identities, base.inventory, &base.compiled.rules);
    let mut notes = Notes::default();
    for (place, draft) in drafts.iter().enumerate() {
        for (_, way, number, item) in draft.all() {
            let of_item = item.services.iter().filter_map(|service| {
                let extra = extras.get(&(way, draft.vlan, *service))?;
                Some(extra.common(&item.meant))
            });
            let all: Vec<_> = of_item.collect();
            let all = Addresses::union(all.iter());
            let own = all.common(&item.own);
            for (some, lines) in [
                (all.without(&own), &mut notes.others),
                (own, &mut notes.own),
            ] {
                if !some.is_empty() {
                    lines.insert((place, way, number), who.describe(&some).text(NAMED));
                }
            }
        }
    }
    notes
}
