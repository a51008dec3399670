//! ICMP types, by number and by name.
//! Source: Cilium `pkg/policy/api/icmp.go` and the CRD's pattern; the names are
//! those of the IANA registries as Cilium spells them.

use super::cursor::{Decoder, Field};
use super::hints;
use crate::policy::schema::{IcmpField, IcmpRule};
use crate::policy::yaml::Kind;
use crate::printable::quoted;

/// How many fields one rule takes.
const MAX_FIELDS: usize = 40;

const IPV4: &[(&str, u8)] = &[
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    // Cilium's spelling; the registry says RouterSolicitation.
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEchoReply", 43),
];

const IPV6: &[(&str, u8)] = &[
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
    ("ExtendedEchoRequest", 160),
    ("ExtendedEchoReply", 161),
];

/// Reads `icmps`.
pub(super) fn icmps(cx: &mut Decoder, at: &Field<'_>) -> Option<Vec<IcmpRule>> {
    let items = cx.list(at)?;
    Some(items.iter().filter_map(|item| rule(cx, item)).collect())
}

fn rule(cx: &mut Decoder, at: &Field<'_>) -> Option<IcmpRule> {
    let object = cx.object(at, &["fields"])?;
    let Some(fields_at) = object.get("fields") else {
        return Some(IcmpRule::default());
    };
    let items = cx.list(&fields_at)?;
    if items.len() > MAX_FIELDS {
        cx.error_at_key(
            &object,
            "fields",
            format!(
                "{} types, more than the {MAX_FIELDS} that one entry takes",
                items.len()
            ),
        )
        .help("go on in a second entry of `icmps`");
    }
    let fields = items.iter().filter_map(|item| field(cx, item)).collect();
    Some(IcmpRule { fields })
}

/// Reads one type. `None` also for a number that no packet can carry: what names
/// only such numbers matches nothing.
fn field(cx: &mut Decoder, at: &Field<'_>) -> Option<IcmpField> {
    let object = cx.object(at, &["family", "type"])?;
    let family = object.get("family");
    let family = family.and_then(|at| cx.one_of(&at, "the family", &["IPv4", "IPv6"]));
    let v6 = family == Some("IPv6");
    let type_at = cx.required(&object, "type")?;
    let icmp_type = match &type_at.node.kind {
        Kind::Str(text) => by_text(cx, &type_at, text, v6),
        _ => by_number(cx, &type_at),
    }?;
    if icmp_type == 0 {
        cx.warn(
            &type_at,
            "type 0 is that one type here; Cilium takes it for every ICMP type",
        )
        .help("name the types that you mean, for example EchoRequest");
    }
    Some(IcmpField {
        span: at.span(),
        v6,
        icmp_type,
    })
}

fn by_number(cx: &mut Decoder, at: &Field<'_>) -> Option<u8> {
    // Kubernetes' IntOrString holds 32 bits; the CRD's pattern looks at strings only.
    let value = cx.int(at, i32::MIN.into()..=i32::MAX.into())?;
    let fits = u8::try_from(value).ok();
    if fits.is_none() {
        cx.warn(
            at,
            format!("no packet has ICMP type {value}: this matches nothing"),
        )
        .help("a type is a number between 0 and 255");
    }
    fits
}

fn by_text(cx: &mut Decoder, at: &Field<'_>, text: &str, v6: bool) -> Option<u8> {
    let (table, other) = if v6 { (IPV6, IPV4) } else { (IPV4, IPV6) };
    if let Some((_, number)) = table.iter().find(|(name, _)| *name == text) {
        return Some(*number);
    }
    let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if digits
        && (text == "0" || !text.starts_with('0'))
        && let Ok(number) = text.parse()
    {
        return Some(number);
    }
    let family = if v6 { "IPv6" } else { "IPv4" };
    let in_other = other.iter().any(|(name, _)| *name == text);
    let near = hints::nearest(text, table.iter().map(|(name, _)| *name));
    let found = cx.error(
        at,
        format!("{} is not an ICMP type of {family}", quoted(text)),
    );
    if in_other {
        found.help(format!(
            "it is one of {}: add `family: {}`",
            if v6 { "IPv4" } else { "IPv6" },
            if v6 { "IPv4" } else { "IPv6" }
        ));
    } else if let Some(near) = near {
        found.label(format!("did you mean {near}?"));
    } else if digits {
        found.help("a type is a number between 0 and 255, without leading zeros");
    } else {
        let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
        found.help(format!(
            "a number between 0 and 255, or one of {}",
            hints::enumerate(&names)
        ));
    }
    None
}
