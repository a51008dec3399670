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
                if let Some((matched, next)) = class(&pattern[p + 1..], name[n])
                    && matched
                {
                    p += 1 + next;
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

/// Reads a bracket expression behind its `[`: whether `c` is in it, and its length.
fn class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let mut i = usize::from(negated);
    let start = i;
    let mut found = false;
    loop {
        let first = *pattern.get(i)?;
        if first == ']' && i > start {
            return Some((found != negated, i + 1));
        }
        if pattern.get(i + 1) == Some(&'-') && pattern.get(i + 2).is_some_and(|c| *c != ']') {
            found |= (first..=pattern[i + 2]).contains(&c);
            i += 3;
        } else {
            found |= first == c;
            i += 1;
        }
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
}
