//! What an unquoted word means: the reading of Kubernetes.
//!
//! `kubectl`, the API server and Cilium's agent read YAML through
//! `sigs.k8s.io/yaml`, that is go-yaml v2 with the rules of YAML 1.1: `no` is a
//! boolean, `010` is eight, `1_000` a number (go-yaml `resolve.go`). YAML 1.2
//! reads them otherwise. Who moves a policy between tools should not be
//! surprised, so we read as Kubernetes does and mark the scalar as ambiguous.

use super::raw::RawValue;
use super::{Kind, Node};
use crate::diagnostic::Span;

/// Gives a scalar its meaning. `value` is what the library made of it, which
/// decides for quoted, block and tagged scalars.
pub(super) fn resolve(value: RawValue, tag: Option<&str>, span: Span, text: &str) -> Node {
    let written = text.get(span.start..span.end).unwrap_or("");
    let plain = tag.is_none()
        && !written.starts_with(['"', '\'', '|', '>'])
        && !follows_block_header(text.get(..span.start).unwrap_or(""));
    if plain {
        // A plain scalar over several lines is folded, and always a string.
        let word = match &value {
            RawValue::Str(folded) => folded,
            _ => written,
        };
        let kind = yaml_1_1(word);
        let ambiguous = differ(&kind, &yaml_1_2(word));
        return Node {
            span,
            kind,
            ambiguous,
        };
    }
    let kind = match value {
        RawValue::Bool(value) => Kind::Bool(value),
        RawValue::Int(value) => Kind::Int(value),
        RawValue::Float(value) => Kind::Float(value),
        RawValue::Str(value) => Kind::Str(value),
        RawValue::Null | RawValue::Seq(_) | RawValue::Map(_) => Kind::Null,
    };
    Node {
        span,
        kind,
        ambiguous: false,
    }
}

/// Whether the text before a scalar ends in the header of a block scalar (`|`,
/// `>-`, `|2+`): the library's span begins after it.
fn follows_block_header(before: &str) -> bool {
    let trimmed = before.trim_end();
    let header = trimmed.rsplit([' ', '\n', '\t']).next().unwrap_or(trimmed);
    before[trimmed.len()..].contains('\n')
        && header.strip_prefix(['|', '>']).is_some_and(|rest| {
            rest.chars()
                .all(|c| matches!(c, '+' | '-') || c.is_ascii_digit())
        })
}

/// Whether two readings mean different things: 80 and 80.0 do not.
#[allow(
    clippy::cast_precision_loss,
    reason = "a float and an int beyond 2^53 count as equal"
)]
fn differ(a: &Kind, b: &Kind) -> bool {
    let number = |kind: &Kind| match kind {
        Kind::Int(value) => Some(*value as f64),
        Kind::Float(value) => Some(*value),
        _ => None,
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_ne(),
        _ => a != b,
    }
}

/// go-yaml v2, `resolve.go`.
fn yaml_1_1(word: &str) -> Kind {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Kind::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Kind::Bool(false);
        }
        _ => {}
    }
    if let Some(float) = special_float(word) {
        return Kind::Float(float);
    }
    if word.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-') {
        let digits = word.replace('_', "");
        if let Some(value) = go_int(&digits) {
            return Kind::Int(value);
        }
        if let Some(value) = decimal_float(&digits) {
            return Kind::Float(value);
        }
    } else if word.starts_with('.')
        && let Some(value) = decimal_float(word)
    {
        return Kind::Float(value);
    }
    Kind::Str(word.to_owned())
}

/// The core schema of YAML 1.2.2, chapter 10.3.
fn yaml_1_2(word: &str) -> Kind {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let radix = |digits: &str, radix| {
        let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        valid
            .then(|| i64::from_str_radix(digits, radix).ok())
            .flatten()
    };
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let int = if let Some(digits) = word.strip_prefix("0o") {
        radix(digits, 8)
    } else if let Some(digits) = word.strip_prefix("0x") {
        radix(digits, 16)
    } else {
        radix(unsigned, 10).map(|v| if word.starts_with('-') { -v } else { v })
    };
    if let Some(value) = int {
        return Kind::Int(value);
    }
    special_float(word)
        .or_else(|| decimal_float(word))
        .map_or_else(|| Kind::Str(word.to_owned()), Kind::Float)
}

/// Go's `strconv.ParseInt` with base 0: prefixes `0b`, `0o`, `0x`, and a bare `0`
/// for octal.
fn go_int(digits: &str) -> Option<i64> {
    let (negative, unsigned) = match digits.as_bytes().first()? {
        b'-' => (true, &digits[1..]),
        b'+' => (false, &digits[1..]),
        _ => (false, digits),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (radix, body) = if let Some(body) = lower.strip_prefix("0b") {
        (2, body)
    } else if let Some(body) = lower.strip_prefix("0o") {
        (8, body)
    } else if let Some(body) = lower.strip_prefix("0x") {
        (16, body)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if !body.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from_str_radix(body, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

fn special_float(word: &str) -> Option<f64> {
    match word {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        _ => None,
    }
}

/// `[-+]?` digits, a dot, digits, an exponent; not what Rust reads besides
/// (`inf`, `nan`).
fn decimal_float(word: &str) -> Option<f64> {
    let shape = word.chars().any(|c| c.is_ascii_digit())
        && word
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    shape.then(|| word.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_kubernetes_reads_them() {
        for (word, meaning) in [
            ("yes", Kind::Bool(true)),
            ("n", Kind::Bool(false)),
            ("Off", Kind::Bool(false)),
            ("oN", Kind::Str("oN".into())),
            ("80", Kind::Int(80)),
            ("+80", Kind::Int(80)),
            ("-1", Kind::Int(-1)),
            ("010", Kind::Int(8)),
            ("0o10", Kind::Int(8)),
            ("0x50", Kind::Int(80)),
            ("0b11", Kind::Int(3)),
            ("1_000", Kind::Int(1000)),
            // Not octal, so go-yaml takes it for a float.
            ("080", Kind::Float(80.0)),
            ("1e3", Kind::Float(1000.0)),
            (".5", Kind::Float(0.5)),
            ("1.2.3.4", Kind::Str("1.2.3.4".into())),
            ("10.0.0.0/8", Kind::Str("10.0.0.0/8".into())),
            ("fd00::/8", Kind::Str("fd00::/8".into())),
            ("2024-01-01", Kind::Str("2024-01-01".into())),
            ("0x", Kind::Str("0x".into())),
            ("-", Kind::Str("-".into())),
            ("inf", Kind::Str("inf".into())),
            ("~", Kind::Null),
            ("", Kind::Null),
        ] {
            assert_eq!(yaml_1_1(word), meaning, "{word}");
        }
    }

    #[test]
    fn only_words_with_two_readings_are_ambiguous() {
        let ambiguous = |word: &str| differ(&yaml_1_1(word), &yaml_1_2(word));
        for word in ["yes", "no", "on", "off", "y", "N", "010", "1_000", "0b1"] {
            assert!(ambiguous(word), "{word}");
        }
        for word in [
            "true", "null", "80", "0x50", "0", "080", "1.5", ".5", "web", "10.0.0.1",
        ] {
            assert!(!ambiguous(word), "{word}");
        }
    }
}
