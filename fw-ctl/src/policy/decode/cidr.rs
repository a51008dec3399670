//! Address prefixes, `fromCIDRSet` entries and `CiliumCIDRGroup`s.
//! Source: Cilium `pkg/policy/api/cidr.go`, the CRD's patterns, Go's `netip.ParsePrefix`.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::cursor::{Decoder, Field, Object};
use super::metadata::metadata;
use super::names::is_dns_subdomain;
use super::selector::cidr_group_selector;
use crate::diagnostic::{Span, Spanned};
use crate::lists::Prefixes;
use crate::policy::schema::{CidrGroup, CidrRule, CidrSelector};
use crate::printable::quoted;

/// Reads one prefix; bits behind its length are masked off, with a warning.
pub(super) fn prefix(cx: &mut Decoder, at: &Field<'_>) -> Option<Spanned<IpNet>> {
    let text = cx.text(at)?;
    match parse(text) {
        Ok(written) => {
            let masked = written.trunc();
            if masked != written {
                cx.warn(
                    at,
                    format!(
                        "{text} is read as {masked}: the bits behind /{} do not count",
                        written.prefix_len()
                    ),
                )
                .help(format!(
                    "write {masked}, or {}/{} for the one address",
                    written.addr(),
                    written.max_prefix_len()
                ));
            }
            Some(Spanned {
                value: masked,
                span: at.span(),
            })
        }
        Err(why) => {
            let found = cx.error(
                at,
                format!("{} is not a CIDR: {}", quoted(text), why.problem),
            );
            if let Some(help) = why.help {
                found.help(help);
            }
            None
        }
    }
}

/// Reads a list of prefixes.
pub(super) fn prefixes(cx: &mut Decoder, at: &Field<'_>) -> Option<Vec<Spanned<IpNet>>> {
    let items = cx.list(at)?;
    Some(items.iter().filter_map(|item| prefix(cx, item)).collect())
}

/// Reads one entry of `fromCIDRSet` or `toCIDRSet`.
pub(super) fn cidr_rule(cx: &mut Decoder, at: &Field<'_>) -> Option<CidrRule> {
    const FORMS: [&str; 3] = ["cidr", "cidrGroupRef", "cidrGroupSelector"];
    let object = cx.object(at, &["cidr", "cidrGroupRef", "cidrGroupSelector", "except"])?;
    let given: Vec<&str> = FORMS
        .into_iter()
        .filter(|form| object.get(form).is_some())
        .collect();
    match given[..] {
        [_] => {}
        [] => {
            cx.error(
                at,
                "one of `cidr`, `cidrGroupRef` and `cidrGroupSelector` is required",
            )
            .help("for example `- cidr: 10.0.0.0/8`");
        }
        [first, second, ..] => {
            cx.error_at_key(
                &object,
                second,
                format!("`{first}` and `{second}` exclude each other"),
            )
            .help("make two entries of it");
        }
    }
    let selector = selector(cx, &object);
    let mut except = Vec::new();
    for item in object
        .get("except")
        .and_then(|at| cx.list(&at))
        .unwrap_or_default()
    {
        let Some(hole) = prefix(cx, &item) else {
            continue;
        };
        if let Some(CidrSelector::Cidr(whole)) = &selector
            && !whole.value.contains(&hole.value)
        {
            cx.error(
                &item,
                format!("{} does not lie in {}", hole.value, whole.value),
            )
            .help("`except` takes parts out of the `cidr` beside it");
        }
        except.push(hole);
    }
    Some(CidrRule {
        span: at.span(),
        selector: selector?,
        except,
    })
}

fn selector(cx: &mut Decoder, object: &Object<'_>) -> Option<CidrSelector> {
    let cidr = object
        .get("cidr")
        .map(|at| prefix(cx, &at).map(CidrSelector::Cidr));
    let group = object.get("cidrGroupRef").map(|at| {
        let name = cx.spanned_text(&at)?;
        if !is_dns_subdomain(&name.value) {
            cx.error(
                &at,
                format!(
                    "{} is not the name of a CiliumCIDRGroup",
                    quoted(&name.value)
                ),
            )
            .help("lower case letters, digits, `-` and `.`, at most 253");
            return None;
        }
        Some(CidrSelector::Group(name))
    });
    let labels = object
        .get("cidrGroupSelector")
        .map(|at| cidr_group_selector(cx, &at).map(CidrSelector::GroupSelector));
    cidr.or(group).or(labels).flatten()
}

/// Reads a `CiliumCIDRGroup`.
pub(super) fn group(cx: &mut Decoder, at: &Field<'_>) -> Option<CidrGroup> {
    let object = cx.object(at, &["apiVersion", "kind", "metadata", "spec", "status"])?;
    let metadata = metadata(cx, &object, "CiliumCIDRGroup", false);
    let spec = cx.required(&object, "spec");
    let spec = spec.and_then(|at| cx.object(&at, &["externalCIDRs"]));
    let cidrs = spec.and_then(|spec| {
        let at = cx.required(&spec, "externalCIDRs")?;
        prefixes(cx, &at)
    });
    let metadata = metadata?;
    let line = |span: Span| u32::try_from(span.line).unwrap_or(u32::MAX);
    let cidrs = cidrs?.into_iter();
    Some(CidrGroup {
        name: metadata.name,
        labels: metadata.labels,
        file: cx.source().name.as_str().into(),
        line: Some(line(at.span())),
        prefixes: Arc::new(Prefixes::of(
            cidrs.map(|cidr| (cidr.value, line(cidr.span))),
        )),
        now: 0,
    })
}

/// Why a text is no prefix, and what would be one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoPrefix {
    /// What is wrong.
    pub(crate) problem: String,
    /// What would be right.
    pub(crate) help: Option<String>,
}

fn no_prefix(problem: impl Into<String>, help: impl Into<Option<String>>) -> NoPrefix {
    NoPrefix {
        problem: problem.into(),
        help: help.into(),
    }
}

/// An address, `/` and the number of leading bits that count.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<IpNet, NoPrefix> {
    let Some((address, bits)) = text.split_once('/') else {
        return Err(without_length(text));
    };
    if let Some((bare, _)) = address.split_once('%') {
        return Err(no_prefix(
            "a prefix has no zone (`%…`)",
            Some(format!("write {bare}/{bits}")),
        ));
    }
    let ip: IpAddr = address.parse().map_err(|_| wrong_address(address))?;
    if let IpAddr::V6(v6) = ip
        && address.contains('.')
    {
        // The first 96 of its bits say that it is mapped (RFC 4291 §2.5.5.2).
        let v4_bits = bits.parse::<u8>().ok().filter(|bits| *bits <= 128);
        let v4_bits = v4_bits.and_then(|bits| bits.checked_sub(96));
        let help = v6.to_ipv4_mapped().zip(v4_bits);
        let help = help.map(|(v4, v4_bits)| format!("write it as IPv4: {v4}/{v4_bits}"));
        return Err(no_prefix(
            "an IPv6 address with an IPv4 part is not taken",
            help,
        ));
    }
    let most: u8 = if ip.is_ipv4() { 32 } else { 128 };
    let plain = !bits.is_empty() && bits.chars().all(|c| c.is_ascii_digit());
    if !plain {
        let length = bits
            .parse()
            .ok()
            .and_then(|mask: IpAddr| ipnet::ip_mask_to_prefix(mask).ok());
        let help = length.map(|length| format!("write {ip}/{length}"));
        return Err(no_prefix(
            format!("{} is not the length of a prefix", quoted(bits)),
            help,
        ));
    }
    if bits.len() > 1 && bits.starts_with('0') {
        let trimmed = bits.trim_start_matches('0');
        let trimmed = if trimmed.is_empty() { "0" } else { trimmed };
        return Err(no_prefix(
            "the length has a leading zero",
            Some(format!("write {ip}/{trimmed}")),
        ));
    }
    let length = bits
        .parse::<u8>()
        .ok()
        .filter(|length| *length <= most)
        .ok_or_else(|| {
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            no_prefix(
                format!("the length of an {family} prefix is at most {most}"),
                Some(format!("for the one address, write {ip}/{most}")),
            )
        })?;
    Ok(IpNet::new(ip, length).expect("the length was compared with the family's"))
}

fn without_length(text: &str) -> NoPrefix {
    if let Ok(ip) = text.parse::<IpAddr>() {
        let most = if ip.is_ipv4() { 32 } else { 128 };
        return no_prefix(
            "the prefix length is missing",
            Some(format!("for the one address, write {ip}/{most}")),
        );
    }
    if let Some((first, last)) = text.split_once('-')
        && first.trim().parse::<IpAddr>().is_ok()
        && last.trim().parse::<IpAddr>().is_ok()
    {
        return no_prefix(
            "ranges of addresses are not taken",
            Some("write the prefixes that make it up".to_owned()),
        );
    }
    match text {
        "" => no_prefix(
            "it is empty",
            Some("write 0.0.0.0/0 and ::/0 for every address".to_owned()),
        ),
        "any" | "all" | "*" => no_prefix(
            "addresses are named by numbers",
            Some(
                "for everybody, write `fromEntities: [all]`, or 0.0.0.0/0 and ::/0 for the world"
                    .to_owned(),
            ),
        ),
        _ if text.chars().any(|c| c.is_ascii_alphabetic()) && !text.contains(':') => no_prefix(
            "names are not looked up",
            Some("write the address, as in 192.0.2.1/32".to_owned()),
        ),
        _ => wrong_address(text),
    }
}

fn wrong_address(address: &str) -> NoPrefix {
    let octets: Vec<&str> = address.split('.').collect();
    let digits = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    if octets.len() == 4 && octets.iter().all(digits) {
        if let Some(large) = octets.iter().find(|part| part.parse::<u8>().is_err()) {
            return no_prefix(format!("{large} is more than 255"), None);
        }
        let trimmed: Vec<String> = octets
            .iter()
            .filter_map(|part| part.parse::<u8>().ok())
            .map(|n| n.to_string())
            .collect();
        return no_prefix(
            "a number in it has a leading zero",
            Some(format!("write {}", trimmed.join("."))),
        );
    }
    if (2..4).contains(&octets.len()) && octets.iter().all(digits) {
        return no_prefix(
            format!(
                "an IPv4 address has four numbers, this has {}",
                octets.len()
            ),
            Some("fill up with zeros: 10.0.0.0/8".to_owned()),
        );
    }
    no_prefix(
        format!("{} is not an IP address", quoted(address)),
        Some("for example 192.0.2.0/24 or 2001:db8::/32".to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_taken_as_kubernetes_and_cilium_together_take_them() {
        for text in [
            "10.0.0.0/8",
            "10.1.2.3/8",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::1/128",
            "fd00::/8",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "10.1.2.3",
            "2001:db8::1",
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/255.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "fe80::%eth0/64",
            "010.0.0.0/8",
            "10.0/8",
            "256.0.0.0/8",
            "::ffff:10.0.0.0/104",
            "example.com",
            "10.0.0.1-10.0.0.9",
            " 10.0.0.0/8",
            "10.0.0.0/8/8",
            "any",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wrong_prefix_is_answered_with_the_right_one() {
        let help = |text: &str| parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("10.1.2.3"), "for the one address, write 10.1.2.3/32");
        assert_eq!(
            help("2001:db8::1"),
            "for the one address, write 2001:db8::1/128"
        );
        assert_eq!(help("10.0.0.0/255.0.0.0"), "write 10.0.0.0/8");
        assert_eq!(help("fe80::%eth0/64"), "write fe80::/64");
        assert_eq!(help("10.0.0.0/08"), "write 10.0.0.0/8");
        assert_eq!(help("010.0.0.0/8"), "write 10.0.0.0");
        let mapped = |bits| help(&format!("::ffff:203.0.113.0/{bits}"));
        assert_eq!(mapped("120"), "write it as IPv4: 203.0.113.0/24");
        assert_eq!(mapped("128"), "write it as IPv4: 203.0.113.0/32");
        assert_eq!(mapped("96"), "write it as IPv4: 203.0.113.0/0");
        for bits in ["95", "129", "", "x"] {
            assert_eq!(mapped(bits), "", "{bits}");
        }
    }
}
