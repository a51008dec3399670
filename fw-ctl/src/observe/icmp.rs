//! Names of ICMP messages as gopacket has them (`layers/icmp4.go`, `icmp6.go`),
//! because Cilium prints those.

type Names = &'static [(u8, &'static str, &'static [&'static str])];

const V4: Names = &[
    (0, "EchoReply", &[]),
    (
        3,
        "DestinationUnreachable",
        &[
            "Net",
            "Host",
            "Protocol",
            "Port",
            "FragmentationNeeded",
            "SourceRoutingFailed",
            "NetUnknown",
            "HostUnknown",
            "SourceIsolated",
            "NetAdminProhibited",
            "HostAdminProhibited",
            "NetTOS",
            "HostTOS",
            "CommAdminProhibited",
            "HostPrecedence",
            "PrecedenceCutoff",
        ],
    ),
    (4, "SourceQuench", &[]),
    (5, "Redirect", &["Net", "Host", "TOS+Net", "TOS+Host"]),
    (8, "EchoRequest", &[]),
    (9, "RouterAdvertisement", &[]),
    (10, "RouterSolicitation", &[]),
    (
        11,
        "TimeExceeded",
        &["TTLExceeded", "FragmentReassemblyTimeExceeded"],
    ),
    (
        12,
        "ParameterProblem",
        &["PointerIndicatesError", "MissingOption", "BadLength"],
    ),
    (13, "TimestampRequest", &[]),
    (14, "TimestampReply", &[]),
    (15, "InfoRequest", &[]),
    (16, "InfoReply", &[]),
    (17, "AddressMaskRequest", &[]),
    (18, "AddressMaskReply", &[]),
];

const V6: Names = &[
    (
        1,
        "DestinationUnreachable",
        &[
            "NoRouteToDst",
            "AdminProhibited",
            "BeyondScopeOfSrc",
            "AddressUnreachable",
            "PortUnreachable",
            "SrcAddressFailedPolicy",
            "RejectRouteToDst",
        ],
    ),
    (2, "PacketTooBig", &[]),
    (
        3,
        "TimeExceeded",
        &["HopLimitExceeded", "FragmentReassemblyTimeExceeded"],
    ),
    (
        4,
        "ParameterProblem",
        &[
            "ErroneousHeader",
            "UnrecognizedNextHeader",
            "UnrecognizedIPv6Option",
        ],
    ),
    (128, "EchoRequest", &[]),
    (129, "EchoReply", &[]),
    (133, "RouterSolicitation", &[]),
    (134, "RouterAdvertisement", &[]),
    (135, "NeighborSolicitation", &[]),
    (136, "NeighborAdvertisement", &[]),
    (137, "Redirect", &[]),
];

/// `EchoRequest`, `DestinationUnreachable(Port)`, `42(0)`.
#[must_use]
pub fn name(v6: bool, icmp_type: u8, code: u8) -> String {
    let names = if v6 { V6 } else { V4 };
    let Some((_, name, codes)) = names.iter().find(|row| row.0 == icmp_type) else {
        return format!("{icmp_type}({code})");
    };
    match codes.get(usize::from(code)) {
        Some(code) => format!("{name}({code})"),
        None if codes.is_empty() && code == 0 => (*name).to_owned(),
        None => format!("{name}(Code: {code})"),
    }
}

/// The same of a type, whatever the code: `EchoRequest`, `42`.
#[must_use]
pub fn type_name(v6: bool, icmp_type: u8) -> String {
    let mut names = if v6 { V6 } else { V4 }.iter();
    let known = names.find(|row| row.0 == icmp_type);
    known.map_or_else(|| icmp_type.to_string(), |row| row.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name(false, 8, 0), "EchoRequest");
        assert_eq!(name(false, 3, 3), "DestinationUnreachable(Port)");
        assert_eq!(name(false, 3, 77), "DestinationUnreachable(Code: 77)");
        assert_eq!(name(true, 128, 0), "EchoRequest");
        assert_eq!(name(true, 1, 4), "DestinationUnreachable(PortUnreachable)");
        assert_eq!(name(true, 200, 1), "200(1)");
        assert_eq!(type_name(false, 3), "DestinationUnreachable");
        assert_eq!(type_name(true, 200), "200");
    }
}
