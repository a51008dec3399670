//! What a change of policies changes: rules, and who may ask for what.
//!
//! Two sides, each policies with everything around them, compiled. Rules are compared by
//! what they mean (`rules`), the effect by the plans, exactly (`effect`); `who` says whose
//! the addresses are.

mod addresses;
mod effect;
mod groups;
mod peers;
mod rules;
mod services;
mod settings;
mod who;

use crate::compile::plan::Plan;

pub use addresses::Addresses;
pub use effect::{Change, Passage, effect, find};
pub(crate) use groups::named as named_groups;
pub use groups::{GroupChange, groups};
pub use rules::{Field, Named, RuleChange, rules, said};
pub use services::ServiceSet;
pub use settings::{Setting, Surroundings, settings};
pub use who::{Described, Who};
pub(crate) use who::{addresses_by_labels, short as short_labels};

/// Everything that is not as it was.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// Configuration, mode, default deny.
    pub settings: Vec<Setting>,
    /// Rules, in the order of their policies.
    pub rules: Vec<RuleChange>,
    /// CIDR groups that rules of both sides name.
    pub groups: Vec<GroupChange>,
    /// Who gains and who loses.
    pub effect: Vec<Change>,
}

/// Compares two sides.
#[must_use]
pub fn difference(from: (&Surroundings<'_>, &Plan), to: (&Surroundings<'_>, &Plan)) -> Difference {
    let ((from, old), (to, new)) = (from, to);
    let cluster = |side: &Surroundings<'_>| side.config.policy.cluster_name.clone();
    let clusters = [cluster(from), cluster(to)];
    let clusters = clusters.each_ref().map(String::as_str);
    Difference {
        settings: settings(from, to),
        rules: rules(from.rules, to.rules, clusters),
        groups: groups(from.rules, to.rules),
        effect: effect(old, new),
    }
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let Self {
            settings,
            rules,
            groups,
            effect,
        } = self;
        settings.is_empty() && rules.is_empty() && groups.is_empty() && effect.is_empty()
    }
}
