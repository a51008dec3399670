//! Which interface of the guest is whose, and on what packets arrive.
//!
//! Each peer has three cables: one to `eth0` of its node, and one to each member of its
//! bond. Behind all cables are the interfaces on the switch: first the sender's, then
//! one of each node.

use std::fmt;
use std::net::Ipv4Addr;

use sandbox::Namespace;

use super::PEERS;
use crate::Result;

/// Interfaces of one peer: both ends of three cables.
const EACH: usize = 6;
/// Interfaces on cables.
pub const CABLED: usize = EACH * PEERS.len();
/// Interfaces on the switch.
pub const SWITCHED: usize = 1 + PEERS.len();

/// Names of the bond's members in the node, and of the other ends of their cables.
pub const PORTS: [&str; 2] = ["port0", "port1"];
/// The interface on the switch, in every namespace that has one.
pub const SWITCH: &str = "wire0";
/// The sender's address on the switch.
pub const SENDER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);
/// A node's address on its bond.
pub const ON_BOND: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);

/// What packets arrive on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// One virtio interface.
    Virtio,
    /// A bond of two, which share the packets.
    Bond,
}

impl Device {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Virtio, Self::Bond];

    /// The interface with the address.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Virtio => "eth0",
            Self::Bond => "bond0",
        }
    }

    /// The interfaces with a cable: they are called the same on both ends.
    pub const fn cables(self) -> &'static [&'static str] {
        match self {
            Self::Virtio => &["eth0"],
            Self::Bond => &PORTS,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Virtio => "virtio",
            Self::Bond => "bond of two virtio",
        })
    }
}

/// The name in the guest of the `end`th interface of the peer with this number: node and
/// sender of `eth0`, of the first port, of the second port.
pub fn cabled(number: usize, end: usize) -> String {
    format!("eth{}", EACH * number + end)
}

/// The same of the peer's interface on the switch.
pub fn switched(number: usize) -> String {
    format!("eth{}", CABLED + 1 + number)
}

/// The node's address on the switch.
pub fn on_switch(number: usize) -> Ipv4Addr {
    let [a, b, c, _] = SENDER.octets();
    // There are four of them.
    Ipv4Addr::new(a, b, c, 10 + number as u8)
}

/// The machine that sends and receives TCP streams.
///
/// # Errors
/// There is no such interface.
pub fn sender() -> Result<Namespace> {
    let sender = Namespace::new()?;
    lend(&format!("eth{CABLED}"), &sender, SWITCH)?;
    sender.ip([
        format!("link set {SWITCH} up"),
        format!("addr add {SENDER}/24 dev {SWITCH}"),
    ])?;
    Ok(sender)
}

/// Moves an interface into a namespace, under another name.
///
/// # Errors
/// `ip` fails.
pub fn lend(name: &str, to: &Namespace, new: &str) -> Result<()> {
    Namespace::here()?.ip([format!(
        "link set {name} netns {} name {new}",
        to.path().display()
    )])?;
    Ok(())
}
