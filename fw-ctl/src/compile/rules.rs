//! Rule ids, and the distinct sets of peers and of services that rules share.

use fw_common::wire::{Direction, VerdictWord};
use ipnet::IpNet;

use super::bits::Interner;
use super::plan::PlanRule;
use super::{Enforcement, Failsafe, Options};
use crate::policy::rules::{
    DirectionRules, PORT_PROTOCOLS, Peers, Rule, RuleSet, ServiceRange, Services,
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
    /// Where no rule matches.
    pub(super) base: VerdictWord,
    /// Distinct sets of services.
    pub(super) service_sets: Vec<Services>,
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
}

impl Numbered {
    /// Gives ids: 0 for "no policy", 1 for bans, then for each direction failsafe entries,
    /// the default, and the rules in document order.
    pub(super) fn new(rules: &RuleSet, options: &Options) -> Self {
        let mut list = vec![no_policy(), ban()];
        let mut peer_sets = Interner::new();
        let empty = DirectionRules::default();
        let directions = [Direction::Ingress, Direction::Egress].map(|direction| {
            let rules = match options.enforcement {
                Enforcement::Never => &empty,
                _ => rules.direction(direction),
            };
            let mut numbering = Numbering {
                direction,
                list: &mut list,
                peer_sets: &mut peer_sets,
                service_sets: Interner::new(),
                entries: Vec::new(),
            };
            numbering.failsafe(&options.failsafe);
            let base = numbering.default_verdict(rules, options.enforcement);
            for rule in &rules.rules {
                numbering.rule(rule);
            }
            (
                base,
                numbering.service_sets.into_values(),
                numbering.entries,
            )
        });
        let peer_sets = peer_sets.into_values();
        let directions = directions.map(|(base, service_sets, entries)| {
            let mut by_peers = vec![Vec::new(); peer_sets.len()];
            for (peers, services, verdict) in entries {
                by_peers[peers as usize].push((services, verdict));
            }
            NumberedDirection {
                base,
                service_sets,
                by_peers,
            }
        });
        Self {
            rules: list,
            peer_sets,
            directions,
        }
    }
}

/// The numbering of one direction.
struct Numbering<'a> {
    direction: Direction,
    list: &'a mut Vec<PlanRule>,
    peer_sets: &'a mut Interner<PeerSet>,
    service_sets: Interner<Services>,
    entries: Vec<(u32, u32, Verdict)>,
}

impl Numbering<'_> {
    /// The id of the next rule. More rules than ids are refused before a plan is
    /// made of them, so that the saturated id is never seen.
    fn next(&self) -> u16 {
        u16::try_from(self.list.len()).unwrap_or(u16::MAX)
    }

    fn entry(&mut self, peers: &PeerSet, services: &Services, verdict: Verdict) {
        let peers = self.peer_sets.number(peers);
        let services = self.service_sets.number(services);
        self.entries.push((peers, services, verdict));
    }

    fn failsafe(&mut self, entries: &[Failsafe]) {
        let direction = self.direction;
        let here = entries.iter().filter(|entry| entry.direction == direction);
        for (i, entry) in here.enumerate() {
            let peers = entry.cidr.map_or(PeerSet::Rule(Peers::Any), |cidr| {
                PeerSet::Address(cidr.trunc())
            });
            let verdict = Verdict::Failsafe(self.next());
            self.entry(&peers, &Services::Only(entry.services.clone()), verdict);
            self.list.push(PlanRule {
                policy: String::new(),
                rule: format!("failsafe[{i}]"),
                origin: String::new(),
                direction: Some(self.direction),
                allow: true,
                match_type: if entry.cidr.is_some() {
                    "L3-L4"
                } else {
                    "L4-Only"
                },
                rate: None,
            });
        }
    }

    /// What holds where no rule matches.
    fn default_verdict(&mut self, rules: &DirectionRules, enforcement: Enforcement) -> VerdictWord {
        let id = self.next();
        let mut entry = PlanRule {
            policy: String::new(),
            rule: "default-deny".to_owned(),
            origin: String::new(),
            direction: Some(self.direction),
            allow: false,
            match_type: "none",
            rate: None,
        };
        if let Some(origin) = &rules.default_deny {
            entry.policy = origin.policy.to_string();
            entry.rule.clone_from(&origin.rule);
            entry.origin = origin.place();
        } else if enforcement != Enforcement::Always {
            let Some(first) = rules.rules.first() else {
                return VerdictWord::allow(fw_common::wire::RULE_NO_POLICY);
            };
            self.list.push(PlanRule {
                policy: first.origin.policy.to_string(),
                rule: "default-allow".to_owned(),
                origin: first.origin.place(),
                allow: true,
                match_type: "all",
                ..entry
            });
            return VerdictWord::allow(id);
        }
        self.list.push(entry);
        VerdictWord::default_deny(id)
    }

    fn rule(&mut self, rule: &Rule) {
        let id = self.next();
        let verdict = if rule.deny {
            Verdict::Deny(id)
        } else if rule.rate.is_some() {
            Verdict::Limited(id)
        } else {
            Verdict::Allow(id)
        };
        self.entry(&PeerSet::Rule(rule.peers.clone()), &rule.services, verdict);
        self.list.push(PlanRule {
            policy: rule.origin.policy.to_string(),
            rule: rule.origin.rule.clone(),
            origin: rule.origin.place(),
            direction: Some(self.direction),
            allow: !rule.deny,
            match_type: match_type(rule),
            rate: rule.rate,
        });
    }
}

fn no_policy() -> PlanRule {
    PlanRule {
        policy: String::new(),
        rule: "no-policy".to_owned(),
        origin: String::new(),
        direction: None,
        allow: true,
        match_type: "all",
        rate: None,
    }
}

/// What decides about banned peers, beside the matrix ([`fw_common::wire::RULE_BAN`]).
fn ban() -> PlanRule {
    PlanRule {
        policy: "ban".to_owned(),
        rule: "banned-peer".to_owned(),
        origin: String::new(),
        direction: None,
        allow: false,
        match_type: "L3-Only",
        rate: None,
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
