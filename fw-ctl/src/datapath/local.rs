//! The addresses of the node, as the datapath holds them.
//!
//! Single addresses lie in buckets of four, which a packet finds without a call.
//! What has no room there, and networks, are in a trie that only nodes which need it
//! pay for. Packets look while this changes; so an address that stays keeps its
//! place, and one that comes is there before anything goes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, LpmTrie, MapData};
use fw_common::wire::{Address, LOCAL_BUCKETS, LocalBucket};

use super::error::DatapathError;
use super::tables::{open_array, open_map, present, reading, writing};
use crate::netlink::LocalAddresses;

/// What is in the unused places of a bucket: an address of another bucket, for which
/// nobody looks here. `::` is on the wire, too: a host that has no address yet sends from it.
const fn free(bucket: u32) -> Address {
    const ELSEWHERE: [Address; 2] = [Address([0; 4]), Address([1, 0, 0, 0])];
    const { assert!(ELSEWHERE[0].bucket() != ELSEWHERE[1].bucket()) }
    ELSEWHERE[(bucket == ELSEWHERE[0].bucket()) as usize]
}
/// Bits of an address in mapped form.
const ADDRESS_BITS: u8 = 128;

/// By length and network in mapped form: whether it is the node's.
type Trie = BTreeMap<(u8, Address), bool>;

/// Both tables.
pub struct Local {
    buckets: Array<MapData, LocalBucket>,
    trie: LpmTrie<MapData, Address, u32>,
    room: u32,
    /// What both hold, once it was read: nobody else writes there. Reading takes 2,048
    /// calls, and a packet of a new address waits for nobody.
    known: Option<(BTreeMap<u32, LocalBucket>, Trie)>,
}

impl Local {
    pub(super) fn open(directory: &Path) -> Result<Self, DatapathError> {
        let (trie, room) = open_map(directory, "LOCAL_PREFIXES")?;
        Ok(Self {
            buckets: open_array(directory, "LOCAL", LOCAL_BUCKETS)?,
            trie,
            room,
            known: None,
        })
    }

    /// The addresses in the buckets.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn single(&self) -> Result<BTreeSet<IpAddr>, DatapathError> {
        let buckets = self.read()?;
        let addresses = buckets.iter().flat_map(|(index, bucket)| {
            let mut places = bucket.0.to_vec();
            places.retain(|address| address.bucket() == *index);
            places
        });
        Ok(addresses.map(IpAddr::from).collect())
    }

    /// What is in the trie.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn trie(&self) -> Result<Trie, DatapathError> {
        self.trie
            .iter()
            .map(|entry| {
                let (key, own) = entry.map_err(reading("LOCAL_PREFIXES"))?;
                let length = u8::try_from(key.prefix_len()).unwrap_or(u8::MAX);
                Ok(((length, key.data()), own != 0))
            })
            .collect()
    }

    fn read(&self) -> Result<BTreeMap<u32, LocalBucket>, DatapathError> {
        (0..LOCAL_BUCKETS)
            .map(|index| {
                let bucket = self.buckets.get(&index, 0).map_err(reading("LOCAL"))?;
                Ok((index, bucket))
            })
            .collect()
    }

    /// Makes `addresses` the node's. `announce` is told, in between, whether the trie
    /// must be asked from now on.
    pub(super) fn set(
        &mut self,
        addresses: &LocalAddresses,
        announce: impl FnOnce(bool) -> Result<(), DatapathError>,
    ) -> Result<(), DatapathError> {
        // On an error in between it is not known any more.
        let (old, old_trie) = match self.known.take() {
            Some(known) => known,
            None => (self.read()?, self.trie()?),
        };
        let layout = Layout::new(addresses, &old);
        if layout.trie.len() > self.room as usize {
            return Err(DatapathError::TooManyAddresses {
                what: "addresses and networks",
                needed: layout.trie.len(),
                room: self.room,
            });
        }
        for (key, own) in &layout.trie {
            if old_trie.get(key) != Some(own) {
                let (length, network) = *key;
                let key = Key::new(u32::from(length), network);
                self.trie
                    .insert(&key, u32::from(*own), 0)
                    .map_err(writing("LOCAL_PREFIXES"))?;
            }
        }
        for (index, bucket) in &layout.buckets {
            if old.get(index) != Some(bucket) {
                self.buckets
                    .set(*index, *bucket, 0)
                    .map_err(writing("LOCAL"))?;
            }
        }
        announce(!layout.trie.is_empty())?;
        for (length, network) in old_trie.keys() {
            if !layout.trie.contains_key(&(*length, *network)) {
                let key = Key::new(u32::from(*length), *network);
                present(self.trie.remove(&key)).map_err(writing("LOCAL_PREFIXES"))?;
            }
        }
        self.known = Some((layout.buckets, layout.trie));
        Ok(())
    }

    /// Whether there is anything in the trie, as far as it is known.
    pub(super) fn has_prefixes(&self) -> Option<bool> {
        let (_, trie) = self.known.as_ref()?;
        Some(!trie.is_empty())
    }

    /// Makes the kernel hold what [`Self::set`] has written, where somebody has meddled.
    /// Returns whether anybody has.
    pub(super) fn mend(&mut self) -> Result<bool, DatapathError> {
        let Some((buckets, trie)) = &self.known else {
            return Ok(false);
        };
        let (found, found_trie) = (self.read()?, self.trie()?);
        if (&found, &found_trie) == (buckets, trie) {
            return Ok(false);
        }
        // What is missing first: packets to those addresses pass unjudged.
        for ((length, network), own) in trie {
            let key = Key::new(u32::from(*length), *network);
            self.trie
                .insert(&key, u32::from(*own), 0)
                .map_err(writing("LOCAL_PREFIXES"))?;
        }
        for (index, bucket) in buckets {
            self.buckets
                .set(*index, *bucket, 0)
                .map_err(writing("LOCAL"))?;
        }
        for (length, network) in found_trie.keys().filter(|key| !trie.contains_key(*key)) {
            let key = Key::new(u32::from(*length), *network);
            present(self.trie.remove(&key)).map_err(writing("LOCAL_PREFIXES"))?;
        }
        Ok(true)
    }

    /// Has the next [`Self::set`] read what the kernel holds: somebody may have meddled.
    pub(super) fn distrust(&mut self) {
        self.known = None;
    }
}

/// Where each address is to be.
struct Layout {
    buckets: BTreeMap<u32, LocalBucket>,
    trie: Trie,
}

impl Layout {
    fn new(addresses: &LocalAddresses, old: &BTreeMap<u32, LocalBucket>) -> Self {
        let mut wanted: BTreeMap<u32, BTreeSet<Address>> = BTreeMap::new();
        for address in addresses.single() {
            let address = Address::from(*address);
            wanted.entry(address.bucket()).or_default().insert(address);
        }
        let mut layout = Self {
            buckets: BTreeMap::new(),
            trie: addresses.trie(),
        };
        for (index, old) in old {
            let mut new = wanted.remove(index).unwrap_or_default();
            let mut bucket = *old;
            let free = free(*index);
            for place in &mut bucket.0 {
                // What stays, stays where it is.
                if !new.remove(place) {
                    *place = free;
                }
            }
            let mut new = new.into_iter();
            for place in bucket.0.iter_mut().filter(|place| **place == free) {
                *place = new.next().unwrap_or(free);
            }
            layout
                .trie
                .extend(new.map(|address| ((ADDRESS_BITS, address), true)));
            layout.buckets.insert(*index, bucket);
        }
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> BTreeMap<u32, LocalBucket> {
        (0..LOCAL_BUCKETS)
            .map(|index| (index, LocalBucket::default()))
            .collect()
    }

    /// More addresses of one bucket than it has places.
    fn of_one_bucket(count: usize) -> Vec<IpAddr> {
        let all = (0_u32..).map(|n| IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n)));
        all.filter(|address| Address::from(*address).bucket() == 7)
            .take(count)
            .collect()
    }

    #[test]
    fn what_has_no_room_in_its_bucket_is_in_the_trie() {
        let addresses = of_one_bucket(6);
        let layout = Layout::new(&addresses.iter().copied().collect(), &empty());
        assert!(!layout.buckets[&7].0.contains(&free(7)));
        assert_eq!(layout.trie.len(), 2);
        for address in addresses.into_iter().map(Address::from) {
            let in_trie = layout.trie.contains_key(&(ADDRESS_BITS, address));
            assert!(layout.buckets[&7].contains(&address) != in_trie);
        }
    }

    /// What was never written is zeros.
    #[test]
    fn nobody_is_found_in_an_unused_place() {
        let layout = Layout::new(&LocalAddresses::default(), &empty());
        for (index, bucket) in &layout.buckets {
            for place in bucket.0 {
                assert_ne!(place.bucket(), *index);
            }
        }
        let unspecified = Address::default();
        assert!(!layout.buckets[&unspecified.bucket()].contains(&unspecified));
    }

    #[test]
    fn what_stays_keeps_its_place() {
        let addresses = of_one_bucket(5);
        let first = Layout::new(&addresses[..3].iter().copied().collect(), &empty());
        let second = Layout::new(&addresses[1..].iter().copied().collect(), &first.buckets);
        let (before, after) = (first.buckets[&7].0, second.buckets[&7].0);
        for address in addresses[1..3]
            .iter()
            .map(|address| Address::from(*address))
        {
            let place = |bucket: [Address; 4]| bucket.iter().position(|a| *a == address);
            assert_eq!(place(before), place(after));
        }
        assert_eq!(second.trie.len(), 0);
    }
}
