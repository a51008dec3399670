//! A switch outside of the guest: tap devices on a bridge.
//!
//! QEMU's own hubs know nothing of offloads, so a guest behind them never gets more than
//! one segment a frame. Tap devices carry the header that says so (`IFF_VNET_HDR`).

use std::path::Path;
use std::process::Command;

use crate::{Namespace, Result};

/// A bridge with a tap device for each port, in a network namespace of its own.
pub struct Switch {
    namespace: Namespace,
    ports: usize,
}

impl Switch {
    /// With that many ports.
    ///
    /// # Errors
    /// Without root, `ip` or `/dev/net/tun`.
    pub fn new(ports: usize) -> Result<Self> {
        let switch = Self {
            namespace: Namespace::new()?,
            ports,
        };
        // Nothing of this machine talks to the guest.
        switch
            .namespace
            .sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        let mut lines = vec![
            "link add br0 type bridge mcast_snooping 0 stp_state 0".to_owned(),
            "link set br0 up".to_owned(),
        ];
        for port in switch.ports() {
            lines.push(format!("tuntap add dev {port} mode tap"));
            lines.push(format!("link set {port} master br0 up"));
        }
        switch.namespace.ip(lines)?;
        Ok(switch)
    }

    /// Names of the tap devices.
    pub fn ports(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.ports).map(|port| format!("tap{port}"))
    }

    /// A command that finds them.
    pub fn command(&self, program: &Path) -> Command {
        self.namespace.command(program)
    }
}
