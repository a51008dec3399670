//! Which policies came in force on this node, were changed, or are gone: told as agent events.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Firewall, Kernel, Sources};
use crate::observe::{AgentChange, AgentEvents, PolicyChange};
use crate::policy::rules::{Rule, RuleSet};

/// The rules of a policy, by direction. What else a policy switches on (default deny) is known of
/// the first one alone that does, so that it would tell of others.
#[derive(Default)]
struct Policy<'a>(Vec<(usize, &'a Rule)>);

impl PartialEq for Policy<'_> {
    fn eq(&self, other: &Self) -> bool {
        let mut both = self.0.iter().zip(&other.0);
        self.0.len() == other.0.len() && both.all(|(one, other)| same(*one, *other))
    }
}

/// Whether two rules say the same, wherever they are written.
fn same((at, one): (usize, &Rule), (other_at, other): (usize, &Rule)) -> bool {
    let Rule {
        deny,
        peers,
        services,
        rate,
        vlans,
        origin: _,
    } = one;
    at == other_at
        && *deny == other.deny
        && *peers == other.peers
        && *services == other.services
        && *rate == other.rate
        && *vlans == other.vlans
}

fn policies(rules: &RuleSet) -> BTreeMap<&str, Policy<'_>> {
    let mut policies: BTreeMap<&str, Policy<'_>> = BTreeMap::new();
    for (direction, of) in rules.directions.iter().enumerate() {
        for rule in &of.rules {
            let policy = policies.entry(&rule.origin.policy).or_default();
            policy.0.push((direction, rule));
        }
    }
    policies
}

/// What becomes of policies when `after` comes in force as generation `revision`.
pub(super) fn changes(
    before: Option<&RuleSet>,
    after: &RuleSet,
    revision: u64,
) -> Vec<AgentChange> {
    let (before, after) = (before.map(policies).unwrap_or_default(), policies(after));
    let change = |(name, policy): (&&str, &Policy<'_>)| PolicyChange {
        policy: (*name).to_owned(),
        revision,
        rules: policy.0.len() as u64,
    };
    let gone = before
        .iter()
        .filter(|(name, _)| !after.contains_key(**name));
    let gone = gone.map(|policy| AgentChange::PolicyDeleted(change(policy)));
    let new = after
        .iter()
        .filter(|(name, policy)| before.get(**name) != Some(*policy));
    let new = new.map(|policy| AgentChange::PolicyUpdated(change(policy)));
    gone.chain(new).collect()
}

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// What becomes of the daemon, for those who ask.
    #[must_use]
    pub fn agent(&self) -> Arc<AgentEvents> {
        Arc::clone(&self.agent)
    }

    /// Tells what becomes of policies with what comes in force, whatever was in force before: also
    /// something that was on trial.
    pub(super) fn tell_policies(&mut self, after: &Arc<RuleSet>, revision: u64) {
        let before = self.told_rules.replace(Arc::clone(after));
        for change in changes(before.as_deref(), after, revision) {
            self.agent.tell(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::inventory::{self, Labels};
    use crate::policy::load;
    use crate::policy::rules::{Surroundings, flatten};

    fn rule_set(policies: &[(&str, &str)]) -> RuleSet {
        let sources = policies.iter().map(|(name, rest)| Source {
            name: format!("{name}.yaml"),
            text: format!(
                "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: {name}}}\n{rest}"
            ),
        });
        let loaded = load::load_sources(sources);
        assert!(loaded.diagnostics.iter().all(|found| !found.is_error()));
        let view =
            inventory::load_sources::<Source>([])
                .inventory
                .view("n", &Labels::new(), "default");
        let surroundings = Surroundings {
            node: &view.labels,
            cluster: "default",
            groups: &loaded.cidr_groups,
        };
        flatten(&loaded.documents, &surroundings).rules
    }

    fn told(before: Option<&RuleSet>, after: &RuleSet) -> Vec<String> {
        let changes = changes(before, after, 7).into_iter();
        let text = |word: &str, change: PolicyChange| {
            assert_eq!(change.revision, 7);
            format!("{word} {} {}", change.policy, change.rules)
        };
        changes
            .map(|change| match change {
                AgentChange::PolicyUpdated(change) => text("updated", change),
                AgentChange::PolicyDeleted(change) => text("deleted", change),
                AgentChange::Started => panic!("nothing starts"),
            })
            .collect()
    }

    #[test]
    fn what_a_policy_says_counts_and_not_where_it_says_it() {
        const WEB: &str = "spec: {nodeSelector: {}, ingress: [{toPorts: [{ports: [{port: \"80\"}]}]}, {fromEntities: [cluster]}]}";
        const DNS: &str =
            "spec: {nodeSelector: {}, egress: [{toPorts: [{ports: [{port: \"53\"}]}]}]}";
        const NONE: &str = "spec: {nodeSelector: {}, ingress: [{}]}";
        let web = rule_set(&[("web", WEB)]);
        let moved = rule_set(&[("web", &format!("# A comment\n{WEB}"))]);
        let both = rule_set(&[("dns", DNS), ("web", WEB)]);
        let (other, first) = (
            rule_set(&[("dns", NONE)]),
            rule_set(&[("dns", NONE), ("web", WEB)]),
        );
        let empty = RuleSet::default();
        assert_eq!(told(None, &web), ["updated web 2"]);
        assert!(told(Some(&web), &moved).is_empty());
        // Also where the other one switches default deny on before it.
        assert_eq!(told(Some(&web), &first), ["updated dns 1"]);
        assert_eq!(told(Some(&web), &both), ["updated dns 1"]);
        assert_eq!(
            told(Some(&both), &other),
            ["deleted web 2", "updated dns 1"]
        );
        assert_eq!(
            told(Some(&both), &empty),
            ["deleted dns 1", "deleted web 2"]
        );
    }
}
