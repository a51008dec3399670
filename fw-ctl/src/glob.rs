//! Shell patterns on names: `*`, `?` and `[a-c]`, as in glob(7).

/// Whether `pattern` matches the whole of `name`.
#[must_use]
pub fn glob_match(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where the last `*` was, and how much of the name it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => {
                p += 1;
                n += 1;
                continue;
            }
            Some('[') => {
                if let Some(class) = Class::read(&pattern[p + 1..])
                    && class.contains(name[n])
                {
                    p += 1 + class.length;
                    n += 1;
                    continue;
                }
            }
            Some(c) if *c == name[n] => {
                p += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        match star {
            Some((at, swallowed)) => {
                star = Some((at, swallowed + 1));
                p = at + 1;
                n = swallowed + 1;
            }
            None => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether a text is a pattern at all: what is not matches nothing, not even itself.
///
/// # Errors
/// What is wrong with it.
pub fn check_glob(pattern: &str) -> Result<(), String> {
    if pattern.is_empty() {
        return Err("it is empty".to_owned());
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    while at < pattern.len() {
        if pattern[at] != '[' {
            at += 1;
            continue;
        }
        let Some(class) = Class::read(&pattern[at + 1..]) else {
            return Err("the `]` is missing that ends its `[`".to_owned());
        };
        if let Some((first, last)) = class.ranges.iter().find(|(a, b)| a > b) {
            return Err(format!("the range `{first}-{last}` is empty"));
        }
        at += 1 + class.length;
    }
    Ok(())
}

/// A bracket expression.
struct Class {
    negated: bool,
    /// First and last of each range; a single character is a range of one.
    ranges: Vec<(char, char)>,
    /// Characters behind the `[`, the `]` counted.
    length: usize,
}

impl Class {
    /// Reads it behind its `[`; `None`: it does not end.
    fn read(pattern: &[char]) -> Option<Self> {
        let negated = matches!(pattern.first(), Some('!' | '^'));
        let start = usize::from(negated);
        let mut ranges = Vec::new();
        let mut i = start;
        loop {
            let first = *pattern.get(i)?;
            if first == ']' && i > start {
                return Some(Self {
                    negated,
                    ranges,
                    length: i + 1,
                });
            }
            let is_range = pattern.get(i + 1) == Some(&'-');
            match pattern.get(i + 2).filter(|last| is_range && **last != ']') {
                Some(last) => {
                    ranges.push((first, *last));
                    i += 3;
                }
                None => {
                    ranges.push((first, first));
                    i += 1;
                }
            }
        }
    }

    fn contains(&self, c: char) -> bool {
        let found = self.ranges.iter().any(|(a, b)| (*a..=*b).contains(&c));
        found != self.negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("eth0", "eth0", true),
            ("eth0", "eth00", false),
            ("eth*", "eth0", true),
            ("eth*", "eth", true),
            ("*", "", true),
            ("e?h0", "eth0", true),
            ("eth?", "eth", false),
            ("en[ps]*", "enp3s0", true),
            ("en[!p]*", "enp3s0", false),
            ("bond[0-9]", "bond3", true),
            ("bond[0-9]", "bondx", false),
            ("*.100", "bond0.100", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("a[b", "a[b", false),
        ] {
            assert_eq!(glob_match(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_can_match_nothing_is_no_pattern() {
        for right in [
            "eth0", "*", "en[ps]*", "[!a-c]?", "a]", "[]x]", "[a-]", "[-a]",
        ] {
            assert_eq!(check_glob(right), Ok(()), "{right}");
        }
        for (wrong, why) in [
            ("", "it is empty"),
            ("[", "`]` is missing"),
            ("eth[0-9", "`]` is missing"),
            ("[]", "`]` is missing"),
            ("[a]b[!]", "`]` is missing"),
            ("eth[9-0]", "the range `9-0` is empty"),
        ] {
            let said = check_glob(wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }
}
