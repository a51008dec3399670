//! Addresses read from bytes: a list has a million of them, and a text of a million
//! lines is read in a tenth of a second only if nothing is looked at twice.
//!
//! What is read here is what the standard library would read; what is not read here
//! may still be an address, and is read again by it, with a message if it is none.

/// Reads `10.0.0.0` from the beginning of `text`; returns it as a number and what
/// follows. Without leading zeros, which some read as octal.
pub(super) fn v4(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut address = 0_u32;
    let mut rest = text;
    for part in 0..4 {
        if part > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let (octet, behind) = decimal(rest)?;
        address = address << 8 | u32::from(u8::try_from(octet).ok()?);
        rest = behind;
    }
    Some((address, rest))
}

/// Reads a number of at most three digits, without leading zeros.
pub(super) fn decimal(text: &[u8]) -> Option<(u32, &[u8])> {
    let digit = |at: usize| {
        let value = text.get(at)?.wrapping_sub(b'0');
        (value < 10).then_some(u32::from(value))
    };
    let mut number = digit(0)?;
    if number == 0 {
        return digit(1).is_none().then_some((0, &text[1..]));
    }
    let mut length = 1;
    while let Some(next) = digit(length) {
        number = number * 10 + next;
        length += 1;
        if length > 3 {
            return None;
        }
    }
    Some((number, &text[length..]))
}

/// Reads `2001:db8::1` from the beginning of `text`; returns it as a number and
/// what follows. Without an IPv4 part at its end.
pub(super) fn v6(text: &[u8]) -> Option<(u128, &[u8])> {
    let mut rest = text;
    // The groups up to `::`, and those behind it.
    let (mut front, mut back) = (0_u128, 0_u128);
    let mut count = 0;
    let mut gap = None;
    if let Some(behind) = rest.strip_prefix(b"::") {
        (gap, rest) = (Some(0), behind);
    }
    loop {
        let Some((group, behind)) = hexadecimal(rest) else {
            // Only behind `::` may there be none.
            if gap == Some(count) {
                break;
            }
            return None;
        };
        count += 1;
        rest = behind;
        if gap.is_some() {
            back = back << 16 | group;
        } else {
            front = front << 16 | group;
        }
        if count == 8 {
            break;
        }
        match rest {
            [b':', b':', behind @ ..] if gap.is_none() => {
                (gap, rest) = (Some(count), behind);
            }
            [b':', behind @ ..] => rest = behind,
            _ => break,
        }
    }
    let before = match gap {
        None if count == 8 => return Some((front, rest)),
        // `::` stands for at least one group.
        Some(before) if count < 8 => before,
        _ => return None,
    };
    let front = if before == 0 {
        0
    } else {
        front << (16 * (8 - before))
    };
    Some((front | back, rest))
}

/// Reads a group of one to four digits.
fn hexadecimal(text: &[u8]) -> Option<(u128, &[u8])> {
    let mut number = 0_u128;
    let mut length = 0;
    while let Some(digit) = text
        .get(length)
        .and_then(|byte| char::from(*byte).to_digit(16))
    {
        number = number << 4 | u128::from(digit);
        length += 1;
        if length > 4 {
            return None;
        }
    }
    (length > 0).then(|| (number, &text[length..]))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// All of a text.
    fn whole<N>(read: impl Fn(&[u8]) -> Option<(N, &[u8])>, text: &str) -> Option<N> {
        let (number, rest) = read(text.as_bytes())?;
        rest.is_empty().then_some(number)
    }

    /// What the standard library reads, but for what is left to it.
    fn standard_v6(text: &str) -> Option<u128> {
        let address: Ipv6Addr = text.parse().ok()?;
        (!text.contains('.')).then(|| address.to_bits())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_address_is_read_as_it_was_written(v4_bits: u32, v6_bits: u128, mask: u8) {
            let text = Ipv4Addr::from_bits(v4_bits).to_string();
            prop_assert_eq!(whole(v4, &text), Some(v4_bits));
            // Groups of zeros, which are written in many ways.
            let holes = (0..8).filter(|group| mask >> group & 1 == 1);
            let bits = holes.fold(v6_bits, |bits, group| bits & !(0xffff << (16 * group)));
            let address = Ipv6Addr::from_bits(bits);
            let text = address.to_string();
            if !text.contains('.') {
                prop_assert_eq!(whole(v6, &text), Some(bits), "{}", text);
            }
            let groups = address.segments().map(|group| format!("{group:04X}"));
            prop_assert_eq!(whole(v6, &groups.join(":")), Some(bits));
        }

        #[test]
        fn what_looks_like_an_address_is_one_exactly_if_the_standard_library_says_so(
            dotted in "[0-9.]{1,5}|([0-9]{0,4}\\.){3,4}[0-9]{0,4}",
            colons in "[0-9a-fA-Fg:]{0,12}|([0-9a-f]{0,5}:{1,2}){1,9}[0-9a-f]{0,5}|(::)?([0-9a-f]:){0,8}[0-9a-f]?(::)?",
        ) {
            let standard = dotted.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
            prop_assert_eq!(whole(v4, &dotted), standard, "{}", dotted);
            prop_assert_eq!(whole(v6, &colons), standard_v6(&colons), "{}", colons);
        }
    }

    #[test]
    fn the_forms_of_ipv6() {
        for text in [
            "::",
            "::1",
            "1::",
            "1::2",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "fe80::ABCD",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4::5:6:7:8",
            "1::2::3",
            ":1",
            "1:",
            ":::",
            "12345::",
            "",
            ":",
            "g::",
        ] {
            assert_eq!(whole(v6, text), standard_v6(text), "{text}");
        }
        assert_eq!(v6(b"1::/64"), Some((1 << 112, &b"/64"[..])));
        assert_eq!(v4(b"1.2.3.4/8"), Some((0x0102_0304, &b"/8"[..])));
    }
}
