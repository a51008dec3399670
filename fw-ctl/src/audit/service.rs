//! How services are called.

use crate::harm::protocol;
use crate::observe::icmp_type_name;
use crate::policy::rules::{ICMP, ICMPV6, PORT_PROTOCOLS};

/// Names of system ports as IANA has assigned them, to protocols of hosts that everybody
/// knows. Of higher ports nobody can be sure: whoever comes first has them.
const NAMES: [(u8, u16, &str); 15] = [
    (6, 22, "ssh"),
    (6, 25, "smtp"),
    (6, 53, "dns"),
    (17, 53, "dns"),
    (17, 67, "dhcp"),
    (17, 68, "dhcp"),
    (6, 80, "http"),
    (17, 123, "ntp"),
    (17, 161, "snmp"),
    (6, 179, "bgp"),
    (6, 443, "https"),
    (17, 514, "syslog"),
    (17, 546, "dhcpv6"),
    (17, 547, "dhcpv6"),
    (6, 873, "rsync"),
];

/// `22/TCP ssh`, `9100/TCP`, `ICMP EchoRequest`, `VRRP`; `number` is a port, or a type of
/// ICMP.
#[must_use]
pub fn service(number: u8, service: u16) -> String {
    match number {
        number if PORT_PROTOCOLS.contains(&number) => {
            let named = NAMES.iter().find(|row| (row.0, row.1) == (number, service));
            let name = named.map_or_else(String::new, |row| format!(" {}", row.2));
            format!("{service}/{}{name}", protocol(number))
        }
        ICMP | ICMPV6 => {
            let icmp_type = u8::try_from(service).unwrap_or(u8::MAX);
            let name = icmp_type_name(number == ICMPV6, icmp_type);
            format!("{} {name}", protocol(number))
        }
        _ => protocol(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_names_where_they_are_certain() {
        for (number, port, expected) in [
            (6, 22, "22/TCP ssh"),
            (17, 22, "22/UDP"),
            (17, 53, "53/UDP dns"),
            (6, 9100, "9100/TCP"),
            (132, 7, "7/SCTP"),
            (ICMP, 8, "ICMP EchoRequest"),
            (ICMPV6, 128, "ICMPv6 EchoRequest"),
            (112, 0, "VRRP"),
            (89, 0, "protocol 89"),
        ] {
            assert_eq!(service(number, port), expected);
        }
    }
}
