//! Looking things up in a plan, as the datapath does.

use std::net::IpAddr;

use fw_common::wire::{Direction, VerdictWord};

use super::plan::{DirectionPlan, Plan, PlanRule};
use crate::policy::rules::{PORT_PROTOCOLS, Service};

impl Plan {
    /// Who decides about a new connection in a VLAN (0: untagged), and how. Built-ins are not part of the
    /// matrix, failsafe entries are.
    #[must_use]
    pub fn lookup(
        &self,
        direction: Direction,
        vlan: u16,
        peer: IpAddr,
        service: Service,
    ) -> VerdictWord {
        let direction = &self.directions[direction as usize];
        let first = usize::from(self.vlan_class(vlan)) * self.rows as usize;
        let row = first + usize::from(self.peer_class(peer));
        let column = usize::from(direction.service_class(service));
        direction.cells[row * direction.columns as usize + column]
    }

    /// Class of a VLAN.
    #[must_use]
    pub fn vlan_class(&self, vlan: u16) -> u16 {
        self.vlans.get(usize::from(vlan)).copied().unwrap_or(0)
    }

    /// How many VLAN classes there are.
    #[must_use]
    pub fn vlan_classes(&self) -> u32 {
        1 + u32::from(self.vlans.iter().copied().max().unwrap_or(0))
    }

    /// A VLAN of each class, the lowest.
    pub fn vlan_examples(&self) -> impl Iterator<Item = u16> {
        let mut next = 0;
        let first = self.vlans.is_empty().then_some(0);
        let classes = (0..).zip(&self.vlans);
        // Classes are numbered in the order of their lowest ids.
        let lowest = classes.filter(move |(_, class)| {
            let is_first = **class == next;
            next += u16::from(is_first);
            is_first
        });
        first.into_iter().chain(lowest.map(|(vlan, _)| vlan))
    }

    /// Whether the verdict on some packet depends on its VLAN: then packets must be
    /// judged where their tag can be seen.
    #[must_use]
    pub fn needs_vlan(&self) -> bool {
        !self.vlans.is_empty()
    }

    /// Class of a peer's address.
    ///
    /// # Panics
    /// If the plan has no run for address 0, which [`Runs`] promise.
    ///
    /// [`Runs`]: crate::lookup::Runs
    #[must_use]
    pub fn peer_class(&self, peer: IpAddr) -> u16 {
        self.peers.find(peer).2
    }

    /// What the rule id of a verdict stands for.
    #[must_use]
    pub fn rule(&self, word: VerdictWord) -> &PlanRule {
        &self.rules[usize::from(word.rule())]
    }

    /// Whether some packet of a direction is denied, or may be for its number.
    #[must_use]
    pub fn filters(&self, direction: Direction) -> bool {
        let cells = &self.directions[direction as usize].cells;
        cells.iter().any(|word| !word.always_passes())
    }
}

impl DirectionPlan {
    /// Class of a service.
    ///
    /// # Panics
    /// If a service with a port is not of TCP, UDP or SCTP.
    #[must_use]
    pub fn service_class(&self, service: Service) -> u16 {
        match service {
            Service::Port { protocol, port } => {
                let slot = PORT_PROTOCOLS
                    .iter()
                    .position(|number| *number == protocol)
                    .expect("a service with a port is TCP, UDP or SCTP");
                self.ports[slot][usize::from(port)]
            }
            Service::Icmp(number) => self.icmp[0][usize::from(number)],
            Service::Icmpv6(number) => self.icmp[1][usize::from(number)],
            Service::Protocol(number) => self.protocols[usize::from(number)],
        }
    }
}
