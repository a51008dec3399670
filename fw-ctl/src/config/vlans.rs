//! `interfaces.vlans`: the VLANs that are admitted.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::Interfaces;
use crate::vlans::{VlanError, VlanRange, VlanSet};

/// The word for every VLAN and for none.
const ALL: &str = "all";

/// An entry of `interfaces.vlans`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VlanEntry {
    /// `"all"`.
    All,
    /// `212`, `"212"`, `"300-310"`, `"untagged"`.
    Range(VlanRange),
}

impl<'de> Deserialize<'de> for VlanEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

impl Serialize for VlanEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str(ALL),
            Self::Range(range) => serializer.collect_str(range),
        }
    }
}

struct EntryVisitor;

fn wrong<E: de::Error>(error: VlanError) -> E {
    E::custom(format!("{error}, or \"{ALL}\" alone"))
}

impl Visitor<'_> for EntryVisitor {
    type Value = VlanEntry;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the id of a VLAN, a range as \"300-310\", \"untagged\", or \"all\"")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<VlanEntry, E> {
        self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<VlanEntry, E> {
        let range = VlanRange::single(value).map_err(wrong)?;
        Ok(VlanEntry::Range(range))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<VlanEntry, E> {
        if value == ALL {
            return Ok(VlanEntry::All);
        }
        value.parse().map(VlanEntry::Range).map_err(wrong)
    }
}

impl Interfaces {
    /// The VLANs that are admitted; `None`: all.
    #[must_use]
    pub fn admitted(&self) -> Option<VlanSet> {
        let ranges = self.vlans.iter().map(|entry| match entry {
            VlanEntry::All => None,
            VlanEntry::Range(range) => Some(*range),
        });
        ranges.collect()
    }
}

/// What of `vlans` can have no meaning.
pub(super) fn contradiction(vlans: &[VlanEntry]) -> Option<&'static str> {
    if vlans.is_empty() {
        Some("no VLAN is admitted, not even untagged frames; write [\"all\"] or some")
    } else if vlans.len() > 1 && vlans.contains(&VlanEntry::All) {
        Some("\"all\" admits every VLAN; write it alone, or leave it out")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(list: &str) -> Result<Option<String>, String> {
        let interfaces: Result<Interfaces, _> = toml_edit::de::from_str(&format!("vlans = {list}"));
        let set = interfaces.map_err(|error| error.message().to_owned())?;
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<Interfaces>(&json).unwrap(), set);
        Ok(set.admitted().map(|set| set.to_string()))
    }

    #[test]
    fn entries_are_numbers_ranges_and_words() {
        let set = admitted("[212, \"300-310\", \"untagged\", \"7\"]");
        assert_eq!(set, Ok(Some("untagged,7,212,300-310".into())));
        assert_eq!(admitted("[\"all\"]"), Ok(None));
        assert_eq!(Interfaces::default().admitted(), None);
        for (wrong, says) in [
            (
                "[0]",
                "0 is not the id of a VLAN; write an id from 1 to 4094",
            ),
            ("[4095]", "4095 is not the id of a VLAN"),
            ("[-1]", "-1 is not the id of a VLAN"),
            ("[\"eth0\"]", "\"eth0\" names no VLAN"),
            ("[\"9-8\"]", "the range 9-8 of VLANs is empty"),
            ("[true]", "invalid type"),
            ("212", "invalid type"),
        ] {
            let error = admitted(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_means_nothing_is_told() {
        let one = VlanEntry::Range(VlanRange::single(7).unwrap());
        assert!(contradiction(&[]).is_some());
        assert!(contradiction(&[one, VlanEntry::All]).is_some());
        assert!(contradiction(&[VlanEntry::All]).is_none());
        assert!(contradiction(&[one, one]).is_none());
    }
}
