//! What a fragment says of itself, in IPv4 (RFC 791 §3.2) and IPv6 (RFC 8200 §4.5).

/// A packet has at most as many bytes, its header included in IPv4.
const LONGEST: u32 = 65_535;
const V4_HEADER: u32 = super::ip::V4_HEADER as u32;

/// Whether a packet is whole, and its place if it is not. No enum with a payload: the
/// verifier refuses the undefined bytes of its other variants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Fragment {
    /// Identification, as in the header.
    pub id: u32,
    /// Bytes of its data, by the headers; anything if they contradict each other.
    pub length: u32,
    /// Place of its data in that of the packet, in bytes.
    pub start: u16,
    /// The part of the packet.
    pub part: Part,
    /// Whether there are more fragments behind this one.
    pub more: bool,
}

/// Which part of a packet a frame carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// All of it; in IPv6 also an atomic fragment (RFC 6946).
    #[default]
    Whole = 0,
    /// The first fragment, with the transport header.
    First = 1,
    /// A later fragment.
    Later = 2,
}

impl Fragment {
    /// Of `length` bytes; `start` in bytes, of which the lowest three bits are zero.
    #[inline(always)]
    pub(crate) const fn new(id: u32, start: u16, more: bool, length: u32) -> Self {
        let part = if start != 0 {
            Part::Later
        } else if more {
            Part::First
        } else {
            Part::Whole
        };
        Self {
            id,
            length,
            start,
            part,
            more,
        }
    }

    /// Where its data ends in that of the packet.
    #[inline(always)]
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.start as u32 + self.length
    }

    /// Whether a packet can have such a fragment: data (an empty one only makes work),
    /// no more than fits, and in all but the last a multiple of eight bytes.
    #[inline(always)]
    #[must_use]
    pub const fn is_possible(&self, family: u8) -> bool {
        let room = if family == 4 {
            LONGEST - V4_HEADER
        } else {
            LONGEST
        };
        self.length != 0
            && self.length <= LONGEST
            && self.end() <= room
            && (!self.more || self.length.is_multiple_of(8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn possible(start: u16, more: bool, length: u32) -> [bool; 2] {
        [4, 6].map(|family| Fragment::new(1, start, more, length).is_possible(family))
    }

    #[test]
    fn parts_are_told_by_offset_and_flag() {
        let part = |start, more| Fragment::new(1, start, more, 8).part;
        assert_eq!(part(0, false), Part::Whole);
        assert_eq!(part(0, true), Part::First);
        assert_eq!(part(8, true), Part::Later);
        assert_eq!(part(8, false), Part::Later);
    }

    #[test]
    fn impossible_fragments_are_told() {
        assert_eq!(possible(0, true, 8), [true; 2]);
        assert_eq!(possible(8, false, 1), [true; 2]);
        assert_eq!(possible(8, true, 0), [false; 2], "empty");
        assert_eq!(possible(8, false, 0), [false; 2], "empty, the last");
        assert_eq!(possible(8, true, 12), [false; 2], "not of whole units");
        // The largest datagrams, and one byte more ("ping of death").
        assert_eq!(possible(65_512, false, 3), [true; 2]);
        assert_eq!(possible(65_512, false, 4), [false, true]);
        assert_eq!(possible(65_528, false, 7), [false, true]);
        assert_eq!(possible(65_528, false, 8), [false; 2]);
        // The header ends behind the packet.
        assert_eq!(possible(8, false, 0_u32.wrapping_sub(4)), [false; 2]);
    }
}
