//! VLAN classes: VLANs in which the same rules hold.

use fw_common::wire::VLANS;

use super::bits::{Bits, Interner};
use crate::policy::rules::{Rule, Switch};
use crate::vlans::VlanSet;

/// VLANs that are treated alike.
pub(super) struct VlanClass {
    /// One of them.
    example: u16,
    /// Whether their packets are asked policy about at all.
    pub(super) admitted: bool,
}

impl VlanClass {
    /// Whether a rule holds in these VLANs.
    pub(super) fn has(&self, rule: &Rule) -> bool {
        self.is_in(rule.vlans.as_ref())
    }

    /// Whether what switches default deny on holds in these VLANs.
    pub(super) fn switches(&self, switch: &Switch) -> bool {
        self.is_in(switch.vlans.as_ref())
    }

    fn is_in(&self, vlans: Option<&VlanSet>) -> bool {
        self.admitted && vlans.is_none_or(|set| set.contains(self.example))
    }
}

/// All of them.
pub(super) struct VlanClasses {
    /// By VLAN id; empty where all VLANs are treated alike.
    pub(super) class_of: Vec<u16>,
    /// At least one.
    pub(super) classes: Vec<VlanClass>,
}

/// Numbers the classes, by the lowest id of each: by the VLANs that `rules` name, and
/// those that are admitted, if not all are.
pub(super) fn classify<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    admitted: Option<&VlanSet>,
) -> VlanClasses {
    let mut sets = Interner::new();
    for set in rules.filter_map(|rule| rule.vlans.as_ref()) {
        sets.number(set);
    }
    let sets = sets.into_values();
    let is_admitted = |vlan| admitted.is_none_or(|set| set.contains(vlan));
    if sets.is_empty() && admitted.is_none() {
        return VlanClasses {
            class_of: Vec::new(),
            classes: vec![VlanClass {
                example: 0,
                admitted: true,
            }],
        };
    }
    let mut members = Interner::new();
    let mut classes = Vec::new();
    let ids = (0..=u16::MAX).take(VLANS);
    let class_of = ids.map(|vlan| {
        let admitted = is_admitted(vlan);
        let mut bits = Bits::new(sets.len() + 1);
        if admitted {
            bits.insert(sets.len());
            let holding = sets
                .iter()
                .enumerate()
                .filter(|(_, set)| set.contains(vlan));
            holding.for_each(|(i, _)| bits.insert(i));
        }
        let class = members.number(&bits) as usize;
        if class == classes.len() {
            classes.push(VlanClass {
                example: vlan,
                admitted,
            });
        }
        u16::try_from(class).expect("no more classes than VLANs, of which there are 4,096")
    });
    VlanClasses {
        class_of: class_of.collect(),
        classes,
    }
}
