//! Sets of VLANs as people write them: `212,300-310,untagged`.
//!
//! In the annotation `fw-ctl.io/vlans` of a policy, and item by item in
//! `interfaces.vlans` of the configuration.

use std::fmt;
use std::str::FromStr;

/// The key of the annotation.
pub const ANNOTATION: &str = "fw-ctl.io/vlans";
/// The id that stands for frames without a tag; such with a mere priority tag are none
/// either (IEEE 802.1Q).
pub const UNTAGGED: u16 = 0;
/// Highest id of a VLAN; 4095 is reserved (IEEE 802.1Q).
pub const LAST: u16 = 4_094;
/// The word for [`UNTAGGED`].
const WORD: &str = "untagged";
/// What would be right.
const GRAMMAR: &str =
    "an id from 1 to 4094, a range as 300-310, or `untagged` for frames without a tag";

/// Some VLANs that follow each other: first and last, both meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanRange {
    /// First id; [`UNTAGGED`] only alone.
    pub first: u16,
    /// Last id, at most [`LAST`].
    pub last: u16,
}

/// Some VLANs, [`UNTAGGED`] among them or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanSet {
    /// Sorted; no two overlap.
    ranges: Vec<VlanRange>,
}

/// Why a text names no VLANs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VlanError {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl VlanError {
    fn new(message: String) -> Self {
        Self {
            message,
            help: format!("write {GRAMMAR}"),
        }
    }
}

impl fmt::Display for VlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.help)
    }
}

impl VlanRange {
    /// One VLAN by its number as written, 1 to [`LAST`].
    ///
    /// # Errors
    /// There is no such VLAN.
    pub fn single(number: i64) -> Result<Self, VlanError> {
        match u16::try_from(number) {
            Ok(id) if (1..=LAST).contains(&id) => Ok(Self {
                first: id,
                last: id,
            }),
            _ => Err(VlanError::new(format!("{number} is not the id of a VLAN"))),
        }
    }
}

impl FromStr for VlanRange {
    type Err = VlanError;

    fn from_str(text: &str) -> Result<Self, VlanError> {
        let text = text.trim();
        if text == WORD {
            return Ok(Self {
                first: UNTAGGED,
                last: UNTAGGED,
            });
        }
        let number = |digits: &str| {
            let digits = digits.trim();
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let id = digits.parse().ok().filter(|id| (1..=LAST).contains(id));
            id.filter(|_| plain).ok_or_else(|| {
                VlanError::new(if plain {
                    format!("{digits} is not the id of a VLAN")
                } else {
                    format!("{text:?} names no VLAN")
                })
            })
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(text)?, number(text)?),
        };
        if first > last {
            return Err(VlanError {
                message: format!("the range {first}-{last} of VLANs is empty"),
                help: "write the smaller id first".to_owned(),
            });
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for VlanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { first, .. } if first == UNTAGGED => f.write_str(WORD),
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl VlanSet {
    /// Whether a VLAN is among them.
    #[must_use]
    pub fn contains(&self, vlan: u16) -> bool {
        self.ranges
            .iter()
            .any(|range| (range.first..=range.last).contains(&vlan))
    }

    /// Whether a VLAN is in both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let meet =
            |one: &VlanRange, two: &VlanRange| one.first <= two.last && two.first <= one.last;
        self.ranges
            .iter()
            .any(|one| other.ranges.iter().any(|two| meet(one, two)))
    }
}

impl FromIterator<VlanRange> for VlanSet {
    fn from_iter<I: IntoIterator<Item = VlanRange>>(ranges: I) -> Self {
        let mut sorted: Vec<VlanRange> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut ranges: Vec<VlanRange> = Vec::new();
        for range in sorted {
            match ranges.last_mut() {
                // What is not tagged stays apart, being no id.
                Some(known) if known.last != UNTAGGED && range.first <= known.last + 1 => {
                    known.last = known.last.max(range.last);
                }
                Some(known) if *known == range => {}
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }
}

impl FromStr for VlanSet {
    type Err = VlanError;

    fn from_str(text: &str) -> Result<Self, VlanError> {
        if text.trim().is_empty() {
            return Err(VlanError::new("no VLAN is named".to_owned()));
        }
        text.split(',').map(str::parse).collect()
    }
}

/// Sorted, as it can be written: `untagged,212,300-310`.
impl fmt::Display for VlanSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.ranges.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{range}")?;
        }
        Ok(())
    }
}

/// `VLAN 212`, or that there is none.
#[must_use]
pub fn name(vlan: u16) -> String {
    match vlan {
        UNTAGGED => WORD.to_owned(),
        id => format!("VLAN {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Result<String, String> {
        let set: Result<VlanSet, _> = text.parse();
        set.map(|set| set.to_string())
            .map_err(|error| error.message)
    }

    #[test]
    fn sets_are_sorted_and_joined() {
        for (text, expected) in [
            ("212", "212"),
            ("300-310,212", "212,300-310"),
            (" 310 - 320 , 300-311,untagged ", "untagged,300-320"),
            ("1,untagged,untagged", "untagged,1"),
            ("5,6,7", "5-7"),
            ("1-4094", "1-4094"),
            ("7-7", "7"),
        ] {
            assert_eq!(says(text).as_deref(), Ok(expected), "{text:?}");
            assert_eq!(says(expected).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_in_a_set() {
        let set: VlanSet = "untagged,300-310".parse().unwrap();
        let inside = [0, 1, 299, 300, 310, 311, 4_095].map(|vlan| set.contains(vlan));
        assert_eq!(inside, [true, false, false, true, true, false, false]);
        for (other, meets) in [("310", true), ("untagged", true), ("1-299,311", false)] {
            let other: VlanSet = other.parse().unwrap();
            assert_eq!((set.meets(&other), other.meets(&set)), (meets, meets));
        }
    }

    #[test]
    fn every_mistake_is_named() {
        for (text, message) in [
            ("", "no VLAN is named"),
            ("0", "0 is not the id of a VLAN"),
            ("4095", "4095 is not the id of a VLAN"),
            ("99999999999", "99999999999 is not the id of a VLAN"),
            ("212,", "\"\" names no VLAN"),
            ("+7", "\"+7\" names no VLAN"),
            ("-7", "\"-7\" names no VLAN"),
            ("vlan7", "\"vlan7\" names no VLAN"),
            ("1-untagged", "\"1-untagged\" names no VLAN"),
            ("310-300", "the range 310-300 of VLANs is empty"),
            ("300-4095", "4095 is not the id of a VLAN"),
        ] {
            assert_eq!(says(text), Err(message.to_owned()), "{text:?}");
        }
        assert!(VlanRange::single(0).is_err() && VlanRange::single(-1).is_err());
        assert_eq!(VlanRange::single(7).unwrap().to_string(), "7");
    }
}
