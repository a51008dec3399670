//! Service classes: services that every rule of a direction treats alike.

use super::bits::{Bits, Counted, Interner};
use crate::policy::rules::{ICMP, ICMPV6, PORT_PROTOCOLS, ServiceRange, Services};

/// The classes of one direction.
pub(super) struct ServiceClasses {
    /// Class by destination port of TCP, UDP, SCTP.
    pub(super) ports: [Vec<u32>; 3],
    /// Class by type of ICMP, ICMPv6.
    pub(super) icmp: [Vec<u32>; 2],
    /// Class by IP protocol number.
    pub(super) protocols: Vec<u32>,
    /// By class: the service sets that hold it.
    pub(super) classes: Vec<Bits>,
}

/// The protocol whose class stands in the entries that are never looked up (255,
/// "reserved"), so that they do not make a class of their own.
const UNUSED: usize = 255;

/// Numbers the classes that distinct service sets make.
pub(super) fn classify(sets: &[Services]) -> ServiceClasses {
    let mut classes = Interner::new();
    let mut sorted = Sorted::new(sets);
    let ports = sorted
        .ports
        .each_mut()
        .map(|changes| port_classes(changes, &sorted.all, sets.len(), &mut classes));
    let mut by_number = |members: &[Vec<usize>]| -> Vec<u32> {
        members
            .iter()
            .map(|members| {
                let mut bits = sorted.all.clone();
                for set in members {
                    bits.insert(*set);
                }
                classes.number(&bits)
            })
            .collect()
    };
    let icmp = sorted.icmp.each_ref().map(|types| by_number(types));
    let protocols = by_number(&sorted.protocols);
    ServiceClasses {
        ports,
        icmp,
        protocols,
        classes: classes.into_values(),
    }
}

/// One set begins or ends to hold the ports from here on.
struct Change {
    /// First port that it is about.
    port: usize,
    set: usize,
    begins: bool,
}

/// The sets, by what they hold.
struct Sorted {
    all: Bits,
    ports: [Vec<Change>; 3],
    icmp: [Vec<Vec<usize>>; 2],
    protocols: Vec<Vec<usize>>,
}

impl Sorted {
    fn new(sets: &[Services]) -> Self {
        let mut out = Self {
            all: Bits::new(sets.len()),
            ports: [Vec::new(), Vec::new(), Vec::new()],
            icmp: [vec![Vec::new(); 256], vec![Vec::new(); 256]],
            protocols: vec![Vec::new(); 256],
        };
        for (set, services) in sets.iter().enumerate() {
            match services {
                Services::All => out.all.insert(set),
                Services::Only(ranges) => ranges.iter().for_each(|range| out.add(set, *range)),
            }
        }
        let unused = out.protocols[UNUSED].clone();
        for protocol in PORT_PROTOCOLS.into_iter().chain([ICMP, ICMPV6]) {
            out.protocols[usize::from(protocol)].clone_from(&unused);
        }
        out
    }

    fn add(&mut self, set: usize, range: ServiceRange) {
        match range {
            ServiceRange::Ports {
                protocol,
                first,
                last,
            } => {
                let slot = PORT_PROTOCOLS
                    .iter()
                    .position(|number| *number == protocol)
                    .expect("port ranges are only made for TCP, UDP and SCTP");
                let first = usize::from(first);
                let end = usize::from(last) + 1;
                for (port, begins) in [(first, true), (end, false)] {
                    self.ports[slot].push(Change { port, set, begins });
                }
            }
            ServiceRange::Icmp(number) => self.icmp[0][usize::from(number)].push(set),
            ServiceRange::Icmpv6(number) => self.icmp[1][usize::from(number)].push(set),
            ServiceRange::Protocol(number) => self.protocols[usize::from(number)].push(set),
        }
    }
}

/// Sweeps over the ports and numbers the sets that hold each stretch.
fn port_classes(
    changes: &mut [Change],
    all: &Bits,
    sets: usize,
    classes: &mut Interner<Bits>,
) -> Vec<u32> {
    const END: usize = 65_536;
    changes.sort_by_key(|change| change.port);
    let mut table = Vec::with_capacity(END);
    let mut holding = Counted::new(sets);
    let mut rest = changes.iter().peekable();
    while table.len() < END {
        // Beginnings before ends is not needed: a set that ends and begins at the
        // same port was added before, so its count never falls below zero.
        while let Some(change) = rest.next_if(|change| change.port <= table.len()) {
            if change.begins {
                holding.add(change.set);
            } else {
                holding.take(change.set);
            }
        }
        let mut bits = all.clone();
        bits.union(holding.bits());
        let end = rest.peek().map_or(END, |change| change.port.min(END));
        table.resize(end, classes.number(&bits));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(first: u16, last: u16) -> ServiceRange {
        ServiceRange::Ports {
            protocol: 6,
            first,
            last,
        }
    }

    #[test]
    fn ranges_cut_the_ports_where_membership_changes() {
        let classes = classify(&[
            Services::Only(vec![ports(10, 20), ports(15, 30)]),
            Services::Only(vec![ports(30, 65_535)]),
        ]);
        let tcp = &classes.ports[0];
        assert_eq!(tcp.len(), 65_536);
        assert_eq!(tcp[9], tcp[0]);
        assert_eq!(tcp[10], tcp[29]);
        assert_ne!(tcp[29], tcp[30]);
        assert_ne!(tcp[30], tcp[31]);
        assert_eq!(tcp[31], tcp[65_535]);
        assert_eq!(classes.ports[1][80], tcp[0], "UDP is in no set");
        assert_eq!(classes.classes.len(), 4);
    }

    #[test]
    fn entries_that_are_never_looked_up_make_no_class() {
        let all_but_unused: Vec<ServiceRange> = (0..=254).map(ServiceRange::Protocol).collect();
        let classes = classify(&[Services::Only(all_but_unused)]);
        assert_eq!(classes.protocols[6], classes.protocols[255]);
        assert_ne!(classes.protocols[7], classes.protocols[255]);
    }
}
