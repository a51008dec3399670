//! Which identities a label selector selects, without trying each pair: 10,000
//! selectors and 10,000 pods would be 100 million trials.

use std::collections::HashMap;

use crate::policy::label::LabelSet;
use crate::policy::schema::{LabelSelector, Operator, Requirement};

/// Identities by the keys and values of their labels. Sources are left out here:
/// candidates are tried in full afterwards.
pub(super) struct Index<'a> {
    sets: &'a [&'a LabelSet],
    by_key: HashMap<&'a str, Vec<u32>>,
    by_value: HashMap<(&'a str, &'a str), Vec<u32>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(sets: &'a [&'a LabelSet]) -> Self {
        let mut by_key: HashMap<&str, Vec<u32>> = HashMap::new();
        let mut by_value: HashMap<(&str, &str), Vec<u32>> = HashMap::new();
        for (number, set) in sets.iter().enumerate() {
            let number = u32::try_from(number).expect("fewer than 2^32 identities fit in memory");
            for label in set.as_slice() {
                by_key.entry(&label.key).or_default().push(number);
                by_value
                    .entry((&label.key, &label.value))
                    .or_default()
                    .push(number);
            }
        }
        Self {
            sets,
            by_key,
            by_value,
        }
    }

    /// Numbers of the identities that a selector selects, ascending.
    pub(super) fn select(&self, selector: &LabelSelector) -> Vec<u32> {
        let narrowest = selector
            .requirements
            .iter()
            .filter_map(|requirement| self.candidates(requirement))
            .min_by_key(Vec::len);
        let all = || (0..self.sets.len()).map(|n| u32::try_from(n).expect("checked by new"));
        let mut found: Vec<u32> = narrowest.unwrap_or_else(|| all().collect());
        found.retain(|number| selector.matches(self.sets[*number as usize]));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Every identity that could satisfy a requirement; `None` where the
    /// requirement is satisfied by what is absent.
    fn candidates(&self, requirement: &Requirement) -> Option<Vec<u32>> {
        let key = requirement.key.key.as_str();
        match &requirement.operator {
            Operator::In(values) => Some(
                values
                    .iter()
                    .filter_map(|value| self.by_value.get(&(key, value.as_str())))
                    .flatten()
                    .copied()
                    .collect(),
            ),
            Operator::Exists => Some(self.by_key.get(key).cloned().unwrap_or_default()),
            Operator::NotIn(_) | Operator::DoesNotExist => None,
        }
    }
}
