//! The attach plan: which links are judged, and how. A pure function of the
//! configuration and of the links.
//!
//! One verdict per packet: a packet should meet the filter on exactly one link of
//! the stack that it climbs, and there its tag should still be in sight. So:
//!
//! - Of a VLAN and the link that carries it, the carrier.
//! - Of a bond (or team) and its members, the members, as soon as one of them may
//!   have native XDP; else the bond. Native XDP on the bond itself is never asked
//!   for: it needs Linux 5.15 and four of the seven modes, and while it is there
//!   the kernel refuses every new member that has an XDP program, as each of ours
//!   has, or none in its driver. On the members all modes and kernels are alike, and
//!   one that joins or leaves keeps its filter.
//! - Of a bridge and its ports, the bridge. But where a port's traffic is judged on
//!   the wire already (it is a VLAN on a filtered bond, say), the other ports.

mod ingress;
mod stack;

pub use ingress::Wish;

use super::{Link, Network};
use crate::config::Interfaces;

/// What is done with one link, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is filtered, and ingress is judged like this.
    Filter(Wish),
    /// It is left alone.
    Leave {
        /// Why.
        why: String,
        /// Traffic of the node may pass here unfiltered: said in `status`.
        gap: bool,
        /// What kind of reason that is.
        cause: Cause,
    },
}

/// Why a link is left alone, as far as it matters to a filter that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The operator wants it so, or nothing can be filtered there.
    Meant,
    /// What passes here is judged on another link.
    Elsewhere,
    /// Nothing of the node passes here now. A filter that is there stays: a member that
    /// leaves its bond may come back, and must not be bare until we hear of it. With
    /// how ingress is to be attached then.
    Idle(Wish),
}

impl Choice {
    /// Whether it is filtered.
    #[must_use]
    pub fn is_filter(&self) -> bool {
        matches!(self, Self::Filter(_))
    }
}

/// What is asked of the plan.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// `[interfaces]`.
    pub wanted: &'a Interfaces,
    /// Verdicts depend on the VLAN that a packet comes in.
    pub needs_tags: bool,
}

/// Decides on every link, in the order of `network.links`.
#[must_use]
pub fn plan<'a>(network: &'a Network, demand: Demand<'_>) -> Vec<(&'a Link, Choice)> {
    let stack = stack::Stack::new(network, demand);
    let links = network.links.iter();
    links.map(|link| (link, stack.choice(link))).collect()
}

/// Names in `interfaces.include` that no interface has. A pattern is no name: that
/// it fits nothing yet is ordinary.
#[must_use]
pub fn missing<'a>(network: &Network, wanted: &'a Interfaces) -> Vec<&'a str> {
    let is_name = |pattern: &&str| *pattern != "auto" && !pattern.contains(['*', '?', '[']);
    let exists = |name: &str| network.links.iter().any(|link| link.name == name);
    let names = wanted.include.iter().map(String::as_str).filter(is_name);
    names.filter(|name| !exists(name)).collect()
}

#[cfg(test)]
mod tests;
