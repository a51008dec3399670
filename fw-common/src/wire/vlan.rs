//! Classes of VLANs: what policy and admission tell apart by the tag of a frame.

use super::pod;

/// Ids of VLANs (IEEE 802.1Q: twelve bits). 0 stands for frames without a tag, and for
/// those whose tag carries only a priority.
pub const VLANS: usize = 4_096;

/// Class by VLAN id. A class has rows of the matrix of its own: those of class `n` begin
/// at `n` times the number of peer classes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct VlanClasses(pub [u16; VLANS]);

pod!(VlanClasses: 8_192);
