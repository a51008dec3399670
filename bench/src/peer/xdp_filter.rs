//! xdp-filter of xdp-tools: single addresses in a hash table.

use std::net::IpAddr;

use ipnet::IpNet;
use sandbox::Lab;

use crate::{Result, lists};

/// Where it pins its table of IPv4 addresses.
const TABLE: &str = "/sys/fs/bpf/xdp-filter/filter_ipv4";
/// "Deny by source" in the flags of an entry; the rest counts hits (its source,
/// `common_kern_user.h`).
const DENY_SOURCE: &str = "01 00 00 00 00 00 00 00";

/// Denies one address of each prefix, the one that packets of the list come from.
pub fn install(lab: &Lab, list: &[IpNet]) -> Result<()> {
    let node = &lab.node.namespace;
    node.run(
        "xdp-filter",
        &["load", "eth0", "-m", "native", "-p", "allow", "-f", "ipv4"],
    )?;
    // Its own command adds one address a run; the table is filled directly.
    let mut batch = String::new();
    for address in lists::inside(list) {
        if let IpAddr::V4(v4) = address {
            let key = v4.octets().map(|byte| byte.to_string()).join(" ");
            batch += &format!("map update pinned {TABLE} key {key} value hex {DENY_SOURCE}\n");
        }
    }
    node.run_with_input("bpftool", &["batch", "file", "-"], &batch)?;
    Ok(())
}
