//! Rule ids, and the distinct sets of peers and of services that rules share.

use fw_common::wire::{Direction, VerdictWord};
use ipnet::IpNet;

use super::bits::Interner;
use super::plan::{NOT_ADMITTED, PlanRule};
use super::vlans::{self, VlanClass, VlanClasses};
use super::{Enforcement, Failsafe, Options};
use crate::policy::rules::{
    DirectionRules, PORT_PROTOCOLS, Peers, Rule, RuleSet, ServiceRange, Services, Switch,
};

/// Whom a rule or a failsafe entry means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum PeerSet {
    /// The peers of a rule.
    Rule(Peers),
    /// Everybody whose address lies in the prefix, whatever the identity.
    Address(IpNet),
}

/// The rules of one direction, by number.
pub(super) struct NumberedDirection {
    /// Distinct sets of services.
    pub(super) service_sets: Vec<Services>,
    /// By VLAN class.
    pub(super) vlans: Vec<InVlan>,
}

/// The rules of one direction that hold in one VLAN class.
pub(super) struct InVlan {
    /// Where no rule matches.
    pub(super) base: VerdictWord,
    /// By number of the peer set: number of the service set and verdict.
    pub(super) by_peers: Vec<Vec<(u32, Verdict)>>,
}

/// What a rule wants, ordered by precedence: the least wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Verdict {
    /// Failsafe, then
    Failsafe(u16),
    /// deny, then
    Deny(u16),
    /// allow, then
    Allow(u16),
    /// allow up to a limit: what one rule allows without, another does not take back.
    /// Of equal kind the rule that comes first.
    Limited(u16),
}

impl Verdict {
    pub(super) fn word(self) -> VerdictWord {
        match self {
            Self::Failsafe(rule) => VerdictWord::failsafe(rule),
            Self::Deny(rule) => VerdictWord::deny(rule),
            Self::Allow(rule) => VerdictWord::allow(rule),
            Self::Limited(rule) => VerdictWord::limited(rule),
        }
    }
}

/// All rules with their ids.
pub(super) struct Numbered {
    /// By rule id.
    pub(super) rules: Vec<PlanRule>,
    /// Distinct sets of peers of both directions.
    pub(super) peer_sets: Vec<PeerSet>,
    pub(super) directions: [NumberedDirection; 2],
    pub(super) vlans: VlanClasses,
}

impl Numbered {
    /// Gives ids: 0 for "no policy", 1 for bans, the next for VLANs that are not admitted,
    /// if there are; then for each direction failsafe entries, the defaults, and the rules
    /// in document order.
    pub(super) fn new(rules: &RuleSet, options: &Options) -> Self {
        let mut list = vec![no_policy(), ban()];
        let unadmitted = VerdictWord::unadmitted(next(&list));
        if options.vlans.is_some() {
            list.push(not_admitted());
        }
        let empty = DirectionRules::default();
        let sides = [Direction::Ingress, Direction::Egress];
        let sides = sides.map(|direction| match options.enforcement {
            Enforcement::Never => (direction, &empty),
            _ => (direction, rules.direction(direction)),
        });
        let in_force = sides.iter().flat_map(|(_, rules)| &rules.rules);
        let vlans = vlans::classify(in_force, options.vlans.as_ref());
        let mut peer_sets = Interner::new();
        let directions = sides.map(|(direction, rules)| {
            let mut numbering = Numbering {
                direction,
                list: &mut list,
                peer_sets: &mut peer_sets,
                service_sets: Interner::new(),
                entries: Vec::new(),
                defaults: Vec::new(),
            };
            numbering.failsafe(&options.failsafe);
            let mut base = |class: &VlanClass| {
                if class.admitted {
                    numbering.default_verdict(rules, class, options.enforcement)
                } else {
                    unadmitted
                }
            };
            let bases: Vec<VerdictWord> = vlans.classes.iter().map(&mut base).collect();
            for rule in &rules.rules {
                numbering.rule(rule);
            }
            (
                bases,
                numbering.service_sets.into_values(),
                numbering.entries,
            )
        });
        let peer_sets = peer_sets.into_values();
        let directions = directions.map(|(bases, service_sets, entries)| {
            let in_vlan = |(base, class): (VerdictWord, &VlanClass)| {
                let mut by_peers = vec![Vec::new(); peer_sets.len()];
                for entry in &entries {
                    if entry.rule.is_none_or(|rule| class.has(rule)) {
                        by_peers[entry.peers as usize].push((entry.services, entry.verdict));
                    }
                }
                InVlan { base, by_peers }
            };
            NumberedDirection {
                service_sets,
                vlans: bases.into_iter().zip(&vlans.classes).map(in_vlan).collect(),
            }
        });
        Self {
            rules: list,
            peer_sets,
            directions,
            vlans,
        }
    }
}

/// What a rule or a failsafe entry says.
struct Entry<'r> {
    /// Number of the peer set.
    peers: u32,
    /// Number of the service set.
    services: u32,
    verdict: Verdict,
    /// `None`: a failsafe entry, which holds in every VLAN.
    rule: Option<&'r Rule>,
}

/// The id of the next rule. More rules than ids are refused before a plan is
/// made of them, so that the saturated id is never seen.
fn next(list: &[PlanRule]) -> u16 {
    u16::try_from(list.len()).unwrap_or(u16::MAX)
}

/// The numbering of one direction.
struct Numbering<'a, 'r> {
    direction: Direction,
    list: &'a mut Vec<PlanRule>,
    peer_sets: &'a mut Interner<PeerSet>,
    service_sets: Interner<Services>,
    entries: Vec<Entry<'r>>,
    /// Ids of what holds where no rule matches.
    defaults: Vec<u16>,
}

impl<'r> Numbering<'_, 'r> {
    fn next(&self) -> u16 {
        next(self.list)
    }

    fn entry(
        &mut self,
        peers: &PeerSet,
        services: &Services,
        verdict: Verdict,
        rule: Option<&'r Rule>,
    ) {
        let peers = self.peer_sets.number(peers);
        let services = self.service_sets.number(services);
        self.entries.push(Entry {
            peers,
            services,
            verdict,
            rule,
        });
    }

    fn failsafe(&mut self, entries: &[Failsafe]) {
        let direction = self.direction;
        let here = entries.iter().filter(|entry| entry.direction == direction);
        for (i, entry) in here.enumerate() {
            let peers = entry.cidr.map_or(PeerSet::Rule(Peers::Any), |cidr| {
                PeerSet::Address(cidr.trunc())
            });
            let verdict = Verdict::Failsafe(self.next());
            let services = Services::Only(entry.services.clone());
            self.entry(&peers, &services, verdict, None);
            self.list.push(PlanRule {
                rule: format!("failsafe[{i}]"),
                origin: entry.origin.clone(),
                direction: Some(self.direction),
                allow: true,
                match_type: if entry.cidr.is_some() {
                    "L3-L4"
                } else {
                    "L4-Only"
                },
                ..nameless()
            });
        }
    }

    /// What holds where no rule matches, in one VLAN class.
    fn default_verdict(
        &mut self,
        rules: &DirectionRules,
        class: &VlanClass,
        enforcement: Enforcement,
    ) -> VerdictWord {
        let mut entry = PlanRule {
            rule: "default-deny".to_owned(),
            direction: Some(self.direction),
            ..nameless()
        };
        let mut switches = rules.default_deny.iter();
        if let Some(switch) = switches.find(|switch| class.switches(switch)) {
            let Switch { origin, vlans } = switch;
            entry.policy = origin.policy.to_string();
            entry.rule.clone_from(&origin.rule);
            entry.origin = origin.place();
            entry.log.clone_from(&origin.log);
            entry.vlans.clone_from(vlans);
        } else if enforcement != Enforcement::Always {
            let Some(first) = rules.rules.iter().find(|rule| class.has(rule)) else {
                return VerdictWord::allow(fw_common::wire::RULE_NO_POLICY);
            };
            let id = self.default(PlanRule {
                policy: first.origin.policy.to_string(),
                rule: "default-allow".to_owned(),
                origin: first.origin.place(),
                log: first.origin.log.clone(),
                allow: true,
                match_type: "all",
                vlans: first.vlans.clone(),
                ..entry
            });
            return VerdictWord::allow(id);
        }
        VerdictWord::default_deny(self.default(entry))
    }

    /// The id of a default, the same for all VLAN classes that have it.
    fn default(&mut self, entry: PlanRule) -> u16 {
        let mut known = self.defaults.iter();
        if let Some(id) = known.find(|id| self.list[usize::from(**id)] == entry) {
            return *id;
        }
        let id = self.next();
        self.list.push(entry);
        self.defaults.push(id);
        id
    }

    fn rule(&mut self, rule: &'r Rule) {
        let id = self.next();
        let verdict = if rule.deny {
            Verdict::Deny(id)
        } else if rule.rate.is_some() {
            Verdict::Limited(id)
        } else {
            Verdict::Allow(id)
        };
        let peers = PeerSet::Rule(rule.peers.clone());
        self.entry(&peers, &rule.services, verdict, Some(rule));
        self.list.push(PlanRule {
            policy: rule.origin.policy.to_string(),
            rule: rule.origin.rule.clone(),
            origin: rule.origin.place(),
            direction: Some(self.direction),
            allow: !rule.deny,
            match_type: match_type(rule),
            rate: rule.rate,
            vlans: rule.vlans.clone(),
            log: rule.origin.log.clone(),
        });
    }
}

/// An entry that denies, without a name.
fn nameless() -> PlanRule {
    PlanRule {
        policy: String::new(),
        rule: String::new(),
        origin: String::new(),
        direction: None,
        allow: false,
        match_type: "none",
        rate: None,
        vlans: None,
        log: String::new(),
    }
}

fn no_policy() -> PlanRule {
    PlanRule {
        rule: "no-policy".to_owned(),
        allow: true,
        match_type: "all",
        ..nameless()
    }
}

/// What decides about banned peers, beside the matrix ([`fw_common::wire::RULE_BAN`]).
fn ban() -> PlanRule {
    PlanRule {
        policy: "ban".to_owned(),
        rule: "banned-peer".to_owned(),
        match_type: "L3-Only",
        ..nameless()
    }
}

/// What decides where a VLAN is not admitted.
fn not_admitted() -> PlanRule {
    PlanRule {
        rule: NOT_ADMITTED.to_owned(),
        ..nameless()
    }
}

/// Cilium's name for how narrow a rule is (`pkg/monitor/api/types.go`): by the
/// narrowest of its services.
fn match_type(rule: &Rule) -> &'static str {
    let whole = |range: &ServiceRange| match *range {
        ServiceRange::Ports {
            protocol,
            first,
            last,
        } => PORT_PROTOCOLS.contains(&protocol) && (first, last) == (0, u16::MAX),
        ServiceRange::Protocol(_) => true,
        ServiceRange::Icmp(_) | ServiceRange::Icmpv6(_) => false,
    };
    match (&rule.peers, &rule.services) {
        (Peers::Any, Services::All) => "all",
        (Peers::Only(_), Services::All) => "L3-Only",
        (Peers::Any, Services::Only(ranges)) if ranges.iter().all(whole) => "Proto-Only",
        (Peers::Any, Services::Only(_)) => "L4-Only",
        (Peers::Only(_), Services::Only(ranges)) if ranges.iter().all(whole) => "L3-Proto",
        (Peers::Only(_), Services::Only(_)) => "L3-L4",
    }
}
