//! Metrics as both text formats have them: families of samples with labels.

use std::collections::BTreeMap;

use super::histogram::number;

/// What a family's numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the daemon lives; its name ends with `_total`.
    Counter,
    /// Any number.
    Gauge,
    /// A fact: 1, and all is in the labels; its name ends with `_info`.
    Info,
    /// How often a value was at most so large.
    Histogram,
}

impl Kind {
    /// As Prometheus' format and `fw-ctl metrics list` call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::Info => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What is told under one name, and the only place where that is said: the exposition and
/// `fw-ctl metrics list` are both made of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    /// The whole name, with `_total` and the like.
    pub name: &'static str,
    /// What its numbers mean.
    pub kind: Kind,
    /// Their base unit, which the name ends with (before `_total`).
    pub unit: Option<&'static str>,
    /// Names of its labels, in order.
    pub labels: &'static [&'static str],
    /// In a sentence.
    pub help: &'static str,
}

/// One number, with what it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What is behind the family's name: empty, or of histograms `_bucket`, `_sum`, `_count`.
    pub suffix: &'static str,
    /// Values of the labels, and of histograms the end of the bucket.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

/// Numbers of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// What they are.
    pub definition: &'static Definition,
    /// The numbers.
    pub samples: Vec<Sample>,
}

impl Family {
    /// A family without labels.
    #[must_use]
    pub fn single(definition: &'static Definition, value: u64) -> Self {
        Self::of(definition, [([], value)])
    }

    /// Numbers, each with the values of its labels in the order of the definition. Those of
    /// the same labels are added up: a name with labels may be there only once.
    #[must_use]
    pub fn of<const N: usize>(
        definition: &'static Definition,
        numbers: impl IntoIterator<Item = ([String; N], u64)>,
    ) -> Self {
        debug_assert_eq!(definition.labels.len(), N, "{}", definition.name);
        let mut sums = BTreeMap::<_, u64>::new();
        for (labels, value) in numbers {
            let sum = sums.entry(labels).or_default();
            *sum = sum.saturating_add(value);
        }
        let sample = |(values, value): ([String; N], u64)| Sample {
            suffix: "",
            labels: definition.labels.iter().copied().zip(values).collect(),
            value: number(value),
        };
        Self {
            definition,
            samples: sums.into_iter().map(sample).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_labels_is_there_once() {
        static DROPS: Definition = Definition {
            name: "drops_total",
            kind: Kind::Counter,
            unit: None,
            labels: &["direction", "reason"],
            help: "",
        };
        let of = |direction: &str, reason: &str| [direction.to_owned(), reason.to_owned()];
        let numbers = [
            (of("ingress", "b"), 1),
            (of("ingress", "a"), 2),
            (of("ingress", "b"), 4),
        ];
        let family = Family::of(&DROPS, numbers);
        let told: Vec<_> = family
            .samples
            .iter()
            .map(|s| (&s.labels, s.value))
            .collect();
        let labels =
            |reason: &str| vec![("direction", "ingress".into()), ("reason", reason.into())];
        assert_eq!(told, [(&labels("a"), 2.0), (&labels("b"), 5.0)]);
    }
}
