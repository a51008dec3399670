//! How a plan judges a connection that is there already.

use std::net::{IpAddr, SocketAddr};

use fw_common::wire::{Direction, Origin, RULE_BAN, VerdictWord};

use crate::compile::plan::{Mode, Plan};
use crate::engine::Flow;
use crate::reference::builtin_name;

/// A plan in a mode, and the bans beside it.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// The plan; its own mode does not count.
    pub plan: &'a Plan,
    /// Whether what is denied is dropped.
    pub mode: Mode,
    /// Whether an address is banned.
    pub banned: &'a dyn Fn(IpAddr) -> bool,
}

impl Judge<'_> {
    /// What the datapath says of the first packet of a connection; `None`: a built-in
    /// lets it pass.
    pub(super) fn word(&self, first: &Flow) -> Option<VerdictWord> {
        if builtin_name(self.plan.builtins, first).is_some() {
            return None;
        }
        let (vlan, peer) = (first.vlan_id(), first.peer());
        let word = self
            .plan
            .lookup(first.direction, vlan, peer, first.service());
        Some(if !word.is_failsafe() && (self.banned)(peer) {
            VerdictWord::deny(RULE_BAN)
        } else {
            word
        })
    }

    /// What denies the connection, in whatever mode.
    #[must_use]
    pub fn denies(&self, first: &Flow) -> Option<VerdictWord> {
        self.word(first).filter(|word| !word.is_allow())
    }

    /// What drops it.
    #[must_use]
    pub fn drops(&self, first: &Flow) -> Option<VerdictWord> {
        let enforced = self.mode == Mode::Enforce;
        self.denies(first).filter(|_| enforced)
    }

    /// What lets it pass up to a limit.
    #[must_use]
    pub fn limits(&self, first: &Flow) -> Option<VerdictWord> {
        self.word(first).filter(|word| word.is_limited())
    }

    /// Whether its answers pass only as long as it is remembered: policy denies them, or
    /// the one who began is under a limit, which is not to count answers.
    #[must_use]
    pub fn needs_memory(&self, first: &Flow) -> bool {
        let always = |flow| self.word(flow).is_none_or(VerdictWord::always_passes);
        !always(&reply(first)) || self.limits(first).is_some()
    }
}

/// The first packet of a connection between these ends, if this one began it.
pub(super) fn first(
    origin: Origin,
    protocol: u8,
    local: SocketAddr,
    remote: SocketAddr,
    vlan: u16,
) -> Flow {
    let (source, destination, direction) = match origin {
        Origin::Remote => (remote, local, Direction::Ingress),
        Origin::Local => (local, remote, Direction::Egress),
    };
    Flow {
        id: String::new(),
        source: source.ip(),
        destination: destination.ip(),
        protocol,
        source_port: source.port(),
        destination_port: destination.port(),
        icmp_type: 0,
        icmp_code: 0,
        vlan: Some(vlan),
        direction,
        expect: None,
    }
}

/// What answers it, of a protocol with ports.
fn reply(first: &Flow) -> Flow {
    Flow {
        id: String::new(),
        source: first.destination,
        destination: first.source,
        source_port: first.destination_port,
        destination_port: first.source_port,
        direction: first.direction.reverse(),
        ..first.clone()
    }
}
