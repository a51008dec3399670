//! By what a rule is known again: its policy, its direction, and what it says.

use std::collections::HashMap;
use std::fmt;

use fw_common::wire::Direction;
use sha2::{Digest, Sha256};

use crate::compile::plan::PlanRule;
use crate::daemon::Compiled;
use crate::diff::{Named, said};

/// The first half of a hash over policy, direction and what the rule says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub [u8; 16]);

impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The rules of a plan, by their numbers. What was not written as a rule, as `default-deny`
/// or an entry of `failsafe`, is known by its name.
#[must_use]
pub fn identities(compiled: &Compiled) -> Vec<RuleId> {
    let named = said(&compiled.rules, &compiled.inputs.config.policy.cluster_name);
    of_rules(&named, &compiled.plan.rules)
}

/// Where a rule was written.
type Place<'a> = (Option<u8>, &'a str, &'a str, &'a str);

fn of_rules(named: &[Named], rules: &[PlanRule]) -> Vec<RuleId> {
    let mut says: HashMap<Place<'_>, Vec<&Named>> = HashMap::new();
    for rule in named {
        let direction = Some(rule.direction as u8);
        let place = (direction, &*rule.policy, &*rule.rule, &*rule.origin);
        says.entry(place).or_default().push(rule);
    }
    // From the end: what switches default deny on has the name of an item, and stands before
    // the rules.
    let backwards = rules.iter().rev().map(|rule| {
        let direction = rule.direction.map(|direction| direction as u8);
        let place = (direction, &*rule.policy, &*rule.rule, &*rule.origin);
        match says.get_mut(&place).and_then(Vec::pop) {
            Some(named) => written(named),
            None => nameless(rule),
        }
    });
    let hashes: Vec<_> = backwards.collect();
    let mut seen: HashMap<RuleId, u64> = HashMap::new();
    let forwards = hashes.into_iter().rev().map(|mut hash| {
        // Of those that say the same the first decides; the others have numbers.
        let before = seen.entry(end(&hash.clone().finalize())).or_default();
        if *before > 0 {
            hash.update(before.to_le_bytes());
        }
        *before += 1;
        end(&hash.finalize())
    });
    forwards.collect()
}

fn written(rule: &Named) -> Sha256 {
    let mut hash = begin(Some(rule.direction), &rule.policy);
    for (part, texts) in &rule.says {
        field(&mut hash, part);
        hash.update((texts.len() as u64).to_le_bytes());
        for text in texts {
            field(&mut hash, text);
        }
    }
    hash
}

fn nameless(rule: &PlanRule) -> Sha256 {
    let mut hash = begin(rule.direction, &rule.policy);
    field(&mut hash, "name");
    field(&mut hash, &rule.rule);
    hash
}

fn begin(direction: Option<Direction>, policy: &str) -> Sha256 {
    let mut hash = Sha256::new();
    field(&mut hash, direction.map_or("both", Direction::name));
    field(&mut hash, policy);
    hash
}

/// With its length, so that no two rows of texts look alike.
fn field(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

fn end(digest: &[u8]) -> RuleId {
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    RuleId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(policy: &str, name: &str, line: usize) -> PlanRule {
        PlanRule {
            origin: format!("a.yaml:{line}"),
            ..PlanRule::allowing(policy, name)
        }
    }

    fn named(of: &PlanRule, port: &str) -> Named {
        Named {
            direction: Direction::Ingress,
            policy: of.policy.clone(),
            rule: of.rule.clone(),
            origin: of.origin.clone(),
            says: vec![
                ("verdict", vec!["allow".into()]),
                ("services", vec![port.into()]),
            ],
        }
    }

    fn ids(rules: &[(PlanRule, Option<&str>)]) -> Vec<RuleId> {
        let named: Vec<_> = rules
            .iter()
            .filter_map(|(rule, port)| Some(named(rule, (*port)?)))
            .collect();
        let rules: Vec<_> = rules.iter().map(|(rule, _)| rule.clone()).collect();
        of_rules(&named, &rules)
    }

    #[test]
    fn a_rule_that_moves_is_the_same_and_one_that_says_something_else_is_not() {
        let before = ids(&[
            (rule("web", "ingress[0]", 8), Some("tcp 80")),
            (rule("web", "ingress[1]", 12), Some("tcp 443")),
            (rule("web", "default-deny", 8), None),
        ]);
        let after = ids(&[
            (rule("web", "ingress[0]", 8), Some("tcp 22")),
            (rule("web", "ingress[1]", 12), Some("tcp 80")),
            (rule("web", "ingress[2]", 15), Some("tcp 443")),
            (rule("web", "default-deny", 9), None),
            (rule("other", "ingress[0]", 8), Some("tcp 80")),
        ]);
        assert_eq!(before[0], after[1]);
        assert_eq!(before[1], after[2]);
        assert_eq!(before[2], after[3]);
        assert!(!before.contains(&after[0]));
        assert!(!before.contains(&after[4]), "of another policy");
    }

    #[test]
    fn what_switches_default_deny_on_is_not_the_rule_of_its_name() {
        let item = || rule("web", "ingress[0]", 8);
        let both = ids(&[(item(), None), (item(), Some("tcp 80"))]);
        let moved = ids(&[
            (item(), None),
            (item(), Some("tcp 22")),
            (rule("web", "ingress[1]", 9), Some("tcp 80")),
        ]);
        assert_eq!(both[0], moved[0]);
        assert_eq!(both[1], moved[2]);
    }

    #[test]
    fn of_two_that_say_the_same_each_has_its_own() {
        let one = (rule("web", "ingress[0]", 8), Some("tcp 80"));
        let two = (rule("web", "ingress[1]", 12), Some("tcp 80"));
        let both = ids(&[one.clone(), two]);
        assert_ne!(both[0], both[1]);
        assert_eq!(ids(&[one])[0], both[0]);
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let one = |texts: &[&str]| {
            let of = rule("web", "ingress[0]", 1);
            let mut named = named(&of, "");
            named.says = vec![("services", texts.iter().map(|&text| text.into()).collect())];
            end(&written(&named).finalize())
        };
        assert_ne!(one(&["ab", "c"]), one(&["a", "bc"]));
        assert_ne!(one(&["ab"]), one(&["ab", ""]));
    }
}
