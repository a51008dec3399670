//! IP protocols as they are named in flows, and which of them a packet of a
//! family can carry.

use std::net::IpAddr;

use fw_common::packet::ip::is_extension;

use crate::policy::rules::{ICMP, ICMPV6};

/// Protocols by name; any other by number.
const NAMES: [(&str, u8); 12] = [
    ("TCP", 6),
    ("UDP", 17),
    ("SCTP", 132),
    ("ICMP", ICMP),
    ("ICMPv6", ICMPV6),
    ("VRRP", 112),
    ("IGMP", 2),
    ("GRE", 47),
    ("IPIP", 4),
    ("IPv6", 41),
    ("ESP", 50),
    ("AH", 51),
];

/// Number of a protocol, by name (in any case) or number.
///
/// # Errors
/// Which names there are.
pub fn protocol_number(text: &str) -> Result<u8, String> {
    NAMES
        .iter()
        .find(|row| row.0.eq_ignore_ascii_case(text))
        .map(|row| row.1)
        .or_else(|| text.parse().ok())
        .ok_or_else(|| unknown_protocol(text))
}

/// Name of a protocol in lower case, where it has one.
#[must_use]
pub fn protocol_name(number: u8) -> Option<String> {
    NAMES
        .iter()
        .find(|row| row.1 == number)
        .map(|row| row.0.to_ascii_lowercase())
}

/// What is said of a protocol that does not exist.
pub(super) fn unknown_protocol(written: impl std::fmt::Display) -> String {
    let names = NAMES.map(|row| row.0).join(", ");
    format!("unknown protocol `{written}`; try: one of {names}, or a number from 0 to 255")
}

/// Whether a packet of the family of `address` can carry `protocol`.
///
/// # Errors
/// ICMP of the other family; and, in IPv6, the number of an extension header: it
/// stands before the protocol of a packet, so that no packet has it as protocol
/// (RFC 8200 §4).
pub fn check_protocol(protocol: u8, address: IpAddr) -> Result<(), String> {
    match (protocol, address.is_ipv4()) {
        (ICMP, false) => Err("ICMP is of IPv4; in IPv6 it is ICMPv6".to_owned()),
        (ICMPV6, true) => Err("ICMPv6 is of IPv6; in IPv4 it is ICMP".to_owned()),
        (number, false) if is_extension(number) => Err(format!(
            "{number} is an extension header of IPv6, and no protocol of a flow; \
             try: the protocol that follows it"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(protocol_number("icmpV6"), Ok(58));
        assert_eq!(protocol_number("89"), Ok(89));
        assert_eq!(protocol_name(58).as_deref(), Some("icmpv6"));
        assert_eq!(protocol_name(89), None);
        for wrong in ["TPC", "256", "-1", ""] {
            let error = protocol_number(wrong).unwrap_err();
            assert!(error.contains("one of TCP, UDP"), "{error}");
        }
    }

    /// The headers of RFC 8200 §4 that stand before the protocol; AH, ESP, "no next
    /// header" and what came later are judged as protocols of their own.
    #[test]
    fn what_a_family_carries() {
        let refused = |address: &str| -> Vec<u8> {
            let address = address.parse().unwrap();
            let wrong = |protocol: &u8| check_protocol(*protocol, address).is_err();
            (0..=255).filter(wrong).collect()
        };
        assert_eq!(refused("192.0.2.1"), [58]);
        assert_eq!(refused("2001:db8::1"), [0, 1, 43, 44, 60]);
    }
}
