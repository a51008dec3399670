//! Writing a plan into one generation of the tables, and reading it back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use aya::Pod;
use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, MapData, MapError};
use fw_common::wire::{
    Generation, GenerationFlags, MATRIX_BLOCKS, MATRIX_WORDS, MatrixBlock, NumberClasses,
    PORT_PROTOCOLS, PeerKeyV4, PeerKeyV6, VerdictWord, direction_index, matrix_index, port_index,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::error::{DatapathError, io_cause};
use super::image::{DIRECTIONS, Image, block_words, blocks};
use super::port_table;
use super::tables::{Tables, present, reading, writing};
use crate::compile::plan::{DirectionPlan, Mode};

/// Bits of a peer key before the prefix: the number of the generation.
const GENERATION_BITS: u32 = u32::BITS;

impl Tables {
    /// Makes the generation `index`, which must not be in force, hold `image` and
    /// nothing else. The header comes last.
    ///
    /// # Errors
    /// The kernel refuses, or a table is full.
    pub(super) fn write(
        &mut self,
        index: u32,
        image: &Image<'_>,
        header: Generation,
    ) -> Result<(), DatapathError> {
        let old = self.generation(index)?;
        self.write_peers(index, &image.peers)?;
        for direction in DIRECTIONS {
            let side = direction as usize;
            let plan = &image.directions[side];
            for (slot, classes) in (0..PORT_PROTOCOLS).zip(&plan.ports) {
                let at = port_index(index, direction, slot);
                port_table::write(&mut self.ports, at, classes)
                    .map_err(|error| DatapathError::io("writing the table PORTS", &error))?;
            }
            self.numbers
                .set(direction_index(index, direction), number_classes(plan), 0)
                .map_err(writing("NUMBERS"))?;
            // Blocks of a larger plan that stood here before are zeroed: denials.
            let stale = blocks(old.rows as usize * old.columns[side] as usize);
            let count = blocks(plan.cells.len()).max(stale.min(MATRIX_BLOCKS as usize));
            for (block, number) in (0..count).zip(0..MATRIX_BLOCKS) {
                let at = matrix_index(index, direction, number);
                self.matrix
                    .set(at, MatrixBlock(block_words(&plan.cells, block)), 0)
                    .map_err(writing("MATRIX"))?;
            }
        }
        self.generations
            .set(index, header, 0)
            .map_err(writing("GENERATION"))
    }

    /// Changes the mode of the generation `index`, which may be in force, and with
    /// it the hash.
    ///
    /// In place: of what packets look at, only the bit of the mode changes, in one
    /// word that is written whole, so that each packet is dropped or passes by one
    /// mode or the other. That makes it safe also where no room is left for a
    /// second copy of the plan. The bit comes first, because who opens a node in
    /// distress should not wait until a million prefixes are hashed.
    ///
    /// Tables that were not those of the old hash keep it, so that who reads
    /// them back goes on to see it.
    ///
    /// # Errors
    /// The kernel cannot be asked, or refuses.
    pub(super) fn set_mode(&mut self, index: u32, mode: Mode) -> Result<Generation, DatapathError> {
        let mut header = self.generation(index)?;
        let former = mode_of(&header);
        header.flags = match mode {
            Mode::Enforce => header.flags | GenerationFlags::ENFORCE,
            Mode::Audit => header.flags & !GenerationFlags::ENFORCE,
        };
        self.generations
            .set(index, header, 0)
            .map_err(writing("GENERATION"))?;
        let (_, mut image) = self.read(index)?;
        image.mode = former;
        if image.hash() == header.hash {
            image.mode = mode;
            header.hash = image.hash();
            self.generations
                .set(index, header, 0)
                .map_err(writing("GENERATION"))?;
        }
        Ok(header)
    }

    /// What the kernel holds in the generation `index`.
    ///
    /// # Errors
    /// The kernel cannot be asked, or the header names more than the tables hold.
    pub(super) fn read(&self, index: u32) -> Result<(Generation, Image<'static>), DatapathError> {
        let header = self.generation(index)?;
        let mut peers = read_peers(&self.peers_v4, index).map_err(reading("PEERS_V4"))?;
        peers.extend(read_peers(&self.peers_v6, index).map_err(reading("PEERS_V6"))?);
        peers.sort_unstable();
        let ingress = self.read_direction(index, &header, 0)?;
        let egress = self.read_direction(index, &header, 1)?;
        let image = Image {
            mode: mode_of(&header),
            builtins: header.builtins,
            rows: header.rows,
            peers: Cow::Owned(peers),
            directions: Cow::Owned([ingress, egress]),
        };
        Ok((header, image))
    }

    /// Whether the generation `index` holds exactly `image` under `header`.
    ///
    /// # Errors
    /// It does not: which table differs.
    pub(super) fn verify(
        &self,
        index: u32,
        image: &Image<'_>,
        header: &Generation,
    ) -> Result<(), DatapathError> {
        let (found_header, found) = self.read(index)?;
        let differs = |what: String| Err(DatapathError::Differs { what });
        if found_header != *header {
            return differs("the header of the generation".into());
        }
        if found.peers != image.peers {
            return differs(format!(
                "the peer tables have {} entries, {} were written",
                found.peers.len(),
                image.peers.len()
            ));
        }
        let sides = found.directions.iter().zip(image.directions.iter());
        for ((found, written), name) in sides.zip(["ingress", "egress"]) {
            if found.cells != written.cells {
                return differs(format!("the verdicts of {name}"));
            }
            if found != written {
                return differs(format!("the service classes of {name}"));
            }
        }
        if found != *image {
            return differs("the flags of the generation".into());
        }
        Ok(())
    }

    fn write_peers(&mut self, index: u32, peers: &[(IpNet, u16)]) -> Result<(), DatapathError> {
        let mut v4 = BTreeMap::new();
        let mut v6 = BTreeMap::new();
        for (prefix, class) in peers {
            match prefix {
                IpNet::V4(prefix) => v4.insert(prefix.trunc(), *class),
                IpNet::V6(prefix) => v6.insert(prefix.trunc(), *class),
            };
        }
        let [room_v4, room_v6] = self.peer_room;
        replace(&mut self.peers_v4, index, &v4, room_v4, "PEERS_V4")?;
        replace(&mut self.peers_v6, index, &v6, room_v6, "PEERS_V6")
    }

    fn read_direction(
        &self,
        index: u32,
        header: &Generation,
        side: usize,
    ) -> Result<DirectionPlan, DatapathError> {
        let direction = DIRECTIONS[side];
        let columns = header.columns[side];
        let count = header.rows as usize * columns as usize;
        if count > MATRIX_WORDS as usize {
            return Err(DatapathError::Differs {
                what: format!("the header names {count} verdicts, more than there can be"),
            });
        }
        let mut cells = Vec::with_capacity(count);
        for (number, _) in (0..MATRIX_BLOCKS).zip(0..blocks(count)) {
            let at = matrix_index(index, direction, number);
            let words = self.matrix.get(&at, 0).map_err(reading("MATRIX"))?.0;
            cells.extend(words.into_iter().map(VerdictWord));
        }
        cells.truncate(count);
        let read_ports = |slot| {
            let at = port_index(index, direction, slot);
            port_table::read(&self.ports, at)
                .map_err(|error| DatapathError::io("reading the table PORTS", &error))
        };
        let numbers = self
            .numbers
            .get(&direction_index(index, direction), 0)
            .map_err(reading("NUMBERS"))?;
        Ok(DirectionPlan {
            columns,
            ports: [read_ports(0)?, read_ports(1)?, read_ports(2)?],
            icmp: [numbers.icmp.to_vec(), numbers.icmpv6.to_vec()],
            protocols: numbers.protocol.to_vec(),
            cells,
        })
    }
}

/// Whether the generation drops what is denied.
pub(super) fn mode_of(header: &Generation) -> Mode {
    if header.flags & GenerationFlags::ENFORCE == 0 {
        Mode::Audit
    } else {
        Mode::Enforce
    }
}

fn number_classes(plan: &DirectionPlan) -> NumberClasses {
    let table = |classes: &[u16]| {
        let mut table = [0; 256];
        for (to, from) in table.iter_mut().zip(classes) {
            *to = *from;
        }
        table
    };
    NumberClasses {
        icmp: table(&plan.icmp[0]),
        icmpv6: table(&plan.icmp[1]),
        protocol: table(&plan.protocols),
    }
}

/// A key of a peer table: the generation in front of a prefix of one family.
trait PeerKey: Pod {
    type Net: Copy + Ord + Into<IpNet>;
    fn key(generation: u32, net: Self::Net) -> Key<Self>;
    fn net(self, length: u8) -> Option<Self::Net>;
    fn generation(self) -> u32;
}

impl PeerKey for PeerKeyV4 {
    type Net = Ipv4Net;
    fn key(generation: u32, net: Ipv4Net) -> Key<Self> {
        let address = net.addr().octets();
        let data = Self {
            generation,
            address,
        };
        Key::new(GENERATION_BITS + u32::from(net.prefix_len()), data)
    }
    fn net(self, length: u8) -> Option<Ipv4Net> {
        Ipv4Net::new(Ipv4Addr::from(self.address), length).ok()
    }
    fn generation(self) -> u32 {
        self.generation
    }
}

impl PeerKey for PeerKeyV6 {
    type Net = Ipv6Net;
    fn key(generation: u32, net: Ipv6Net) -> Key<Self> {
        let address = net.addr().octets();
        let data = Self {
            generation,
            address,
        };
        Key::new(GENERATION_BITS + u32::from(net.prefix_len()), data)
    }
    fn net(self, length: u8) -> Option<Ipv6Net> {
        Ipv6Net::new(Ipv6Addr::from(self.address), length).ok()
    }
    fn generation(self) -> u32 {
        self.generation
    }
}

/// Makes `wanted` the entries of the generation; others' are left alone.
fn replace<K: PeerKey>(
    map: &mut LpmTrie<MapData, K, u32>,
    index: u32,
    wanted: &BTreeMap<K::Net, u16>,
    room: u32,
    name: &'static str,
) -> Result<(), DatapathError> {
    let keys: Vec<Key<K>> = map
        .keys()
        .collect::<Result<_, _>>()
        .map_err(reading(name))?;
    let (own, others): (Vec<_>, Vec<_>) = keys
        .into_iter()
        .partition(|key| key.data().generation() == index);
    for key in &own {
        if !net_of(key).is_some_and(|net| wanted.contains_key(&net)) {
            present(map.remove(key)).map_err(writing(name))?;
        }
    }
    for (net, class) in wanted {
        map.insert(&K::key(index, *net), u32::from(*class), 0)
            .map_err(
                |error| match io_cause(&error).and_then(std::io::Error::raw_os_error) {
                    Some(libc::ENOSPC) => DatapathError::Capacity {
                        table: if name == "PEERS_V4" {
                            "the table of IPv4 peers"
                        } else {
                            "the table of IPv6 peers"
                        },
                        needed: wanted.len(),
                        room: (room as usize).saturating_sub(others.len()),
                    },
                    _ => writing(name)(error),
                },
            )?;
    }
    Ok(())
}

fn read_peers<K: PeerKey>(
    map: &LpmTrie<MapData, K, u32>,
    index: u32,
) -> Result<Vec<(IpNet, u16)>, MapError> {
    let mut peers = Vec::new();
    for entry in map {
        let (key, class) = entry?;
        if key.data().generation() == index
            && let Some(net) = net_of(&key)
        {
            // A class that does not fit is shown as the largest: it then differs.
            peers.push((net.into(), u16::try_from(class).unwrap_or(u16::MAX)));
        }
    }
    Ok(peers)
}

fn net_of<K: PeerKey>(key: &Key<K>) -> Option<K::Net> {
    let length = key.prefix_len().checked_sub(GENERATION_BITS)?;
    key.data().net(u8::try_from(length).ok()?)
}
