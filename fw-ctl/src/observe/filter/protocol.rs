//! Protocols by the names that Hubble's filters know.

/// Numbers of a protocol; none for those of layer 7, which no packet of a host firewall is of.
/// `None` for what is no name.
#[must_use]
pub fn protocols(name: &str) -> Option<&'static [u8]> {
    Some(match name.to_ascii_lowercase().as_str() {
        "tcp" => &[6],
        "udp" => &[17],
        "sctp" => &[132],
        "icmp" => &[1, 58],
        "icmpv4" => &[1],
        "icmpv6" => &[58],
        "vrrp" => &[112],
        "igmp" => &[2],
        "http" | "dns" | "kafka" => &[],
        _ => return None,
    })
}
