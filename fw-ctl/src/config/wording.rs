//! What the configuration library finds wrong with a value, in TOML's words.

use super::failsafe::KEPT;
use figment::error::{Actual, Kind};

/// What is wrong.
pub(super) fn of(kind: &Kind) -> String {
    match kind {
        Kind::UnknownVariant(written, known) => {
            let names = known.join("`, `");
            match closest(written, known) {
                Some(best) => format!("`{written}` is none of `{names}`: did you mean `{best}`?"),
                None => format!("`{written}` is none of `{names}`"),
            }
        }
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            let wanted = match wanted.as_str() {
                "a sequence" => "an array",
                "a map" => "a table",
                wanted => wanted,
            };
            format!("{} is not {wanted}", written(found))
        }
        Kind::UnknownField(written, known) => {
            let help = match closest(written, known) {
                Some(best) => format!("did you mean `{best}`?"),
                None => {
                    let known: Vec<_> = known
                        .iter()
                        .filter(|name| **name != KEPT)
                        .copied()
                        .collect();
                    format!("there are: {}", known.join(", "))
                }
            };
            format!("unknown key `{written}`\n{help}")
        }
        Kind::MissingField(name) => format!("`{name}` is missing"),
        // What the library expects is a type of ours, read from an array.
        Kind::InvalidLength(length, _) => format!("an array of {length} is not a table"),
        kind => kind.to_string(),
    }
}

/// What was probably meant.
fn closest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    let closeness = |name: &str| strsim::jaro_winkler(name, written);
    let known = known.iter().copied();
    known
        .max_by(|a, b| closeness(a).total_cmp(&closeness(b)))
        .filter(|best| closeness(best) >= 0.7)
}

/// A message, and what to do, where that stands behind a newline.
pub(super) fn with_help(text: String) -> (String, Option<String>) {
    match text.split_once('\n') {
        Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
        None => (text, None),
    }
}

/// `failsafe.inbound[0].port`
pub(super) fn key(path: &[String]) -> String {
    let mut key = String::new();
    for part in path {
        if part.parse::<usize>().is_ok() {
            key = format!("{key}[{part}]");
        } else {
            let dot = if key.is_empty() { "" } else { "." };
            key = format!("{key}{dot}{part}");
        }
    }
    key
}

/// A value as it is written.
fn written(value: &Actual) -> String {
    match value {
        Actual::Bool(value) => format!("`{value}`"),
        Actual::Unsigned(value) => format!("`{value}`"),
        Actual::Signed(value) => format!("`{value}`"),
        Actual::Float(value) => format!("`{value}`"),
        Actual::Str(value) => format!("\"{value}\""),
        Actual::Seq => "an array".into(),
        Actual::Map => "a table".into(),
        other => other.to_string(),
    }
}
