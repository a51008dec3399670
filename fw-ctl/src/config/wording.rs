//! What the configuration library finds wrong with a value, in TOML's words.

use figment::error::{Actual, Kind};

/// What is wrong.
pub(super) fn of(kind: &Kind) -> String {
    match kind {
        Kind::UnknownVariant(written, known) => {
            let closeness = |name: &str| strsim::jaro_winkler(name, written);
            let best = known
                .iter()
                .max_by(|a, b| closeness(a).total_cmp(&closeness(b)))
                .filter(|best| closeness(best) >= 0.7);
            let known = known.join("`, `");
            match best {
                Some(best) => format!("`{written}` is none of `{known}`: did you mean `{best}`?"),
                None => format!("`{written}` is none of `{known}`"),
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
        kind => kind.to_string(),
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
