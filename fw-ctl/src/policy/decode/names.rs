//! The grammars of names in Kubernetes and Cilium.
//! Source: `k8s.io/apimachinery/pkg/util/validation`, Cilium `pkg/iana`.

/// Letters, digits, `-`, `_`, `.`, beginning and ending with a letter or digit.
fn is_qualified_part(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() <= 63
        && text.chars().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// The value of a label: empty, or at most 63 characters.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified_part(text)
}

/// The key of a label or annotation: a name, or a DNS subdomain, `/` and a name.
pub(crate) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_qualified_part(name),
        None => is_qualified_part(text),
    }
}

/// RFC 1123 label: lower case letters, digits, `-`, at most 63.
pub(super) fn is_dns_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 63
        && text.chars().all(|c| edge(c) || c == '-')
        && text.starts_with(edge)
        && text.ends_with(edge)
}

/// Labels joined by dots, at most 253; the parts may be longer than 63 here, as
/// in Kubernetes.
pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        part.chars().all(|c| edge(c) || c == '-') && part.starts_with(edge) && part.ends_with(edge)
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// IANA service name as Cilium takes it for a named port: at most 15 letters,
/// digits and single inner `-`, at least one letter. `0x50` is one.
pub(super) fn is_service_name(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && text.chars().any(|c| c.is_ascii_alphabetic())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// Go's `strconv.ParseUint(text, 0, 16)`: decimal, `0` and `0o` octal, `0x`, `0b`,
/// with underscores between digits.
pub(super) fn go_uint16(text: &str) -> Result<u16, PortNumberError> {
    let lower = text.to_ascii_lowercase();
    let (radix, body, prefixed) = if let Some(body) = lower.strip_prefix("0x") {
        (16, body, true)
    } else if let Some(body) = lower.strip_prefix("0b") {
        (2, body, true)
    } else if let Some(body) = lower.strip_prefix("0o") {
        (8, body, true)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..], true)
    } else {
        (10, lower.as_str(), false)
    };
    // An underscore stands between digits, or after the prefix.
    let after_prefix = if prefixed {
        body.strip_prefix('_').unwrap_or(body)
    } else {
        body
    };
    let well_placed = after_prefix.split('_').all(|digits| !digits.is_empty());
    if !well_placed || !body.chars().all(|c| c == '_' || c.is_digit(radix)) {
        return Err(PortNumberError::Syntax);
    }
    let digits = body.replace('_', "");
    u16::from_str_radix(&digits, radix).map_err(|_| PortNumberError::Range)
}

/// Why a port is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortNumberError {
    /// It is not written as one.
    Syntax,
    /// It is greater than 65535.
    Range,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_numbers_as_go_reads_them() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("80", Ok(80)),
            ("65535", Ok(65535)),
            ("65536", Err(PortNumberError::Range)),
            ("99999999999", Err(PortNumberError::Range)),
            ("010", Ok(8)),
            ("00", Ok(0)),
            ("080", Err(PortNumberError::Syntax)),
            ("1_000", Ok(1000)),
            ("0_10", Ok(8)),
            ("1__0", Err(PortNumberError::Syntax)),
            ("10_", Err(PortNumberError::Syntax)),
            ("_10", Err(PortNumberError::Syntax)),
            ("0x1_0", Ok(16)),
            ("-1", Err(PortNumberError::Syntax)),
            ("+1", Err(PortNumberError::Syntax)),
            ("80-90", Err(PortNumberError::Syntax)),
            (" 80", Err(PortNumberError::Syntax)),
            ("", Err(PortNumberError::Syntax)),
        ] {
            assert_eq!(go_uint16(text), expected, "{text:?}");
        }
    }

    #[test]
    fn service_names() {
        for name in ["http", "web-1", "0x50", "A1", "123456789012345a"] {
            assert_eq!(is_service_name(name), name.len() <= 15, "{name}");
        }
        for name in ["", "80", "80-90", "-a", "a-", "a--b", "a_b", "a b", "ä"] {
            assert!(!is_service_name(name), "{name}");
        }
    }

    #[test]
    fn label_grammars() {
        for value in ["", "a", "A-b_c.9", &"a".repeat(63)] {
            assert!(is_label_value(value), "{value}");
        }
        for value in ["-a", "a-", "a b", "ä", "a/b", &"a".repeat(64)] {
            assert!(!is_label_value(value), "{value}");
        }
        for key in ["a", "app.kubernetes.io/name", "k8s.a/b"] {
            assert!(is_qualified_name(key), "{key}");
        }
        for key in ["", "/a", "a/", "a/b/c", "A.io/b", "a b"] {
            assert!(!is_qualified_name(key), "{key}");
        }
        assert!(
            is_dns_label("a-1") && !is_dns_label("a.b") && !is_dns_label("A") && !is_dns_label("")
        );
        assert!(
            is_dns_subdomain("a.b-c.d") && !is_dns_subdomain("a..b") && !is_dns_subdomain("a_b")
        );
    }
}
