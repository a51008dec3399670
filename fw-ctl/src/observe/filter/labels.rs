//! Label selectors as text: `k8s:app=web, rack in (a, b), !spare`, as in `hubble observe --label`
//! and `kubectl -l` (Kubernetes `apimachinery/pkg/labels/selector.go`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::diagnostic::Span;
use crate::policy::label::LabelKey;
use crate::policy::schema::{LabelSelector, Operator, Requirement};

/// A selector that can be written and read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Labels(pub LabelSelector);

impl From<Labels> for String {
    fn from(labels: Labels) -> Self {
        labels.to_string()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Labels {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Labels {
    /// Reads a selector.
    ///
    /// # Errors
    /// What about it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let requirements: Result<Vec<_>, _> = split(text).into_iter().map(requirement).collect();
        Ok(Self(LabelSelector {
            requirements: requirements?,
            ..LabelSelector::default()
        }))
    }
}

/// At commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0_u32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let text = text.trim();
    let wrong = || {
        format!(
            "`{text}` is no requirement on a label; write key=value, key!=value, key, !key, \
             key in (a, b) or key notin (a, b)"
        )
    };
    let (key, operator) = if let Some(key) = text.strip_prefix('!') {
        (key, Operator::DoesNotExist)
    } else if let Some((key, value)) = text.split_once("!=") {
        (key, Operator::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = text.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        (key, Operator::In(vec![value.trim().to_owned()]))
    } else if let Some((left, values)) = text.split_once('(') {
        let values = values.strip_suffix(')').ok_or_else(wrong)?;
        let values: Vec<_> = values
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect();
        match left.trim_end().rsplit_once(char::is_whitespace) {
            Some((key, "in")) => (key, Operator::In(values)),
            Some((key, "notin")) => (key, Operator::NotIn(values)),
            _ => return Err(wrong()),
        }
    } else {
        (text, Operator::Exists)
    };
    let key = key.trim();
    if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "()!=,".contains(c)) {
        return Err(wrong());
    }
    Ok(Requirement {
        key: LabelKey::parse(key),
        operator,
        span: Span::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::label::{Label, LabelSet};

    #[test]
    fn selectors_are_read_as_kubectl_reads_them() {
        let labels =
            |texts: &[&str]| -> LabelSet { texts.iter().map(|t| Label::parse(t)).collect() };
        let web = labels(&["k8s:app=web", "k8s:rack=b"]);
        for (text, matches) in [
            ("app=web", true),
            ("k8s:app==web", true),
            ("node:app=web", false),
            ("app!=web", false),
            ("other!=web", true),
            ("app", true),
            ("!app", false),
            ("rack in (a, b)", true),
            ("rack notin (a,b), app", false),
            ("app=web,rack in (a,b),!spare", true),
            ("app=", false),
        ] {
            let selector = Labels::parse(text).unwrap();
            assert_eq!(selector.0.matches(&web), matches, "{text}");
            assert_eq!(Labels::parse(&selector.to_string()), Ok(selector), "{text}");
        }
        let host = labels(&["reserved:host"]);
        assert!(Labels::parse("reserved:host").unwrap().0.matches(&host));
        for text in [
            "",
            "a b",
            "=x",
            "a in b",
            "a in (b",
            "in (b)",
            "a, ,b",
            "a within (b)",
        ] {
            let why = Labels::parse(text).unwrap_err();
            assert!(why.contains("no requirement"), "{text}: {why}");
        }
    }
}
