//! pcapng, as far as dropped packets need it (draft-ietf-opsawg-pcapng): a section header, an
//! interface description for each interface before its first packet, and enhanced packet blocks
//! with a comment. Numbers are little-endian, and times nanoseconds.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{Link, Packet};
use crate::observe::Record;
use crate::observe::Told;
use crate::observe::text::explanation;

/// Block types (§4).
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
/// Options (§3.5, §4.1 to §4.3).
const COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
/// Link types (<https://www.tcpdump.org/linktypes.html>).
const LINKTYPE_ETHERNET: u16 = 1;
const LINKTYPE_RAW: u16 = 101;
/// 10^-9 seconds.
const NANOSECONDS: u8 = 9;
/// Of `epb_flags`, in its lowest two bits.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/// Bytes of a comment at most; options have 65,535.
const MAX_COMMENT: usize = 4_096;

/// A block that is being made.
struct Block(Vec<u8>);

impl Block {
    fn new(kind: u32) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(kind.to_le_bytes());
        // The length, which is known in the end.
        bytes.extend([0; 4]);
        Self(bytes)
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// To the next multiple of four bytes.
    fn pad(&mut self) {
        let length = self.0.len().next_multiple_of(4);
        self.0.resize(length, 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.add(&code.to_le_bytes());
        self.add(&length.to_le_bytes());
        self.add(&value[..length.into()]);
        self.pad();
    }

    /// With the end of the options, and its length at both ends.
    fn finish(mut self) -> Vec<u8> {
        self.add(&[0; 4]);
        let length = u32::try_from(self.0.len() + 4).unwrap_or(u32::MAX);
        self.0[4..8].copy_from_slice(&length.to_le_bytes());
        self.add(&length.to_le_bytes());
        self.0
    }
}

/// Writes packets. Each call writes whole blocks: a file that ends between two of them is whole.
pub struct Writer<W> {
    to: W,
    snaplen: u32,
    /// By index, link type and name, in the order of their descriptions.
    interfaces: BTreeMap<(u32, Link, String), u32>,
}

impl<W: Write> Writer<W> {
    /// Begins a file of packets of at most `snaplen` bytes.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(mut to: W, snaplen: u32) -> io::Result<Self> {
        let mut block = Block::new(SECTION_HEADER);
        block.add(&0x1a2b_3c4d_u32.to_le_bytes());
        // Version 1.0, and a section of unknown length.
        block.add(&1_u16.to_le_bytes());
        block.add(&0_u16.to_le_bytes());
        block.add(&u64::MAX.to_le_bytes());
        let application = concat!("fw-ctl ", env!("CARGO_PKG_VERSION"));
        block.option(SHB_USERAPPL, application.as_bytes());
        to.write_all(&block.finish())?;
        to.flush()?;
        Ok(Self {
            to,
            snaplen,
            interfaces: BTreeMap::new(),
        })
    }

    /// Adds a packet, and what is read so far can be read.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn packet(&mut self, packet: &Packet) -> io::Result<()> {
        let record = &packet.record;
        let key = (record.ifindex, packet.link, name(record));
        let mut bytes = Vec::new();
        let interface = match self.interfaces.get(&key) {
            Some(interface) => *interface,
            None => {
                bytes = self.description(&key);
                let interface = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
                self.interfaces.insert(key, interface);
                interface
            }
        };
        bytes.extend(enhanced(packet, interface));
        self.to.write_all(&bytes)?;
        self.to.flush()
    }

    fn description(&self, (_, link, name): &(u32, Link, String)) -> Vec<u8> {
        let link = match link {
            Link::Ethernet => LINKTYPE_ETHERNET,
            Link::Ip => LINKTYPE_RAW,
        };
        let mut block = Block::new(INTERFACE_DESCRIPTION);
        block.add(&link.to_le_bytes());
        block.add(&[0; 2]);
        block.add(&self.snaplen.to_le_bytes());
        block.option(IF_NAME, name.as_bytes());
        block.option(IF_TSRESOL, &[NANOSECONDS]);
        block.finish()
    }
}

/// Of the interface; of one that is gone, its index.
fn name(record: &Record) -> String {
    match &*record.interface {
        "" => format!("ifindex {}", record.ifindex),
        name => name.to_owned(),
    }
}

fn enhanced(packet: &Packet, interface: u32) -> Vec<u8> {
    let record = &packet.record;
    let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
    let mut block = Block::new(ENHANCED_PACKET);
    block.add(&interface.to_le_bytes());
    // The upper half of the time first.
    block.add(&((record.time >> 32) as u32).to_le_bytes());
    block.add(&(record.time as u32).to_le_bytes());
    block.add(&captured.to_le_bytes());
    block.add(&packet.length.max(captured).to_le_bytes());
    block.add(&packet.bytes);
    block.pad();
    let direction = if record.ingress { INBOUND } else { OUTBOUND };
    block.option(EPB_FLAGS, &direction.to_le_bytes());
    block.option(COMMENT, comment(record).as_bytes());
    block.finish()
}

/// `DROPPED default-deny, by ingress[0] of policy web (web.yaml:4), plan 3, eth0, 74 bytes`
fn comment(record: &Record) -> String {
    let verdict = match record.told {
        Told::Allow => "FORWARDED",
        Told::Deny => "DROPPED",
        Told::Audit => "AUDIT",
    };
    let mut text = format!("{verdict} {}", explanation(record).trim_start());
    text.truncate(text.floor_char_boundary(MAX_COMMENT));
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observe::text::tests::record;

    /// Worked out by hand from the draft.
    #[test]
    fn blocks_are_those_of_the_draft() {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, 64).unwrap();
        let packet = Packet {
            record: Arc::new(Record {
                time: 0x0102_0304_0506_0708,
                ifindex: 2,
                interface: "eth0".into(),
                told: Told::Audit,
                reason: Some(2),
                ingress: false,
                plan: 3,
                vlan: 0,
                length: 60,
                ..record()
            }),
            link: Link::Ip,
            length: 60,
            bytes: vec![0x45, 1, 2, 3, 4],
        };
        writer.packet(&packet).unwrap();
        let begun = file.len();
        let application = format!("fw-ctl {}", env!("CARGO_PKG_VERSION"));
        let header = 28 + 4 + application.len().next_multiple_of(4) + 4;
        assert_eq!(file[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
        assert_eq!(file[4..8], u32::try_from(header).unwrap().to_le_bytes());
        assert_eq!(file[8..12], [0x4d, 0x3c, 0x2b, 0x1a]);
        let interface: [u8; 40] = [
            [1, 0, 0, 0, 40, 0, 0, 0],
            [101, 0, 0, 0, 64, 0, 0, 0],
            [2, 0, 4, 0, b'e', b't', b'h', b'0'],
            [9, 0, 1, 0, 9, 0, 0, 0],
            [0, 0, 0, 0, 40, 0, 0, 0],
        ]
        .concat()
        .try_into()
        .unwrap();
        assert_eq!(file[header..header + 40], interface);
        let packet = &file[header + 40..];
        let length = u32::try_from(begun - header - 40).unwrap().to_le_bytes();
        assert_eq!(packet[..4], [6, 0, 0, 0]);
        assert_eq!(packet[4..8], length);
        assert_eq!(packet[8..12], [0; 4]);
        assert_eq!(packet[12..20], [4, 3, 2, 1, 8, 7, 6, 5]);
        assert_eq!(packet[20..28], [5, 0, 0, 0, 60, 0, 0, 0]);
        assert_eq!(packet[28..36], [0x45, 1, 2, 3, 4, 0, 0, 0]);
        assert_eq!(packet[36..44], [2, 0, 4, 0, 2, 0, 0, 0]);
        let comment = "AUDIT invalid-packet, no policy asked, plan 3, eth0, 60 bytes";
        assert_eq!(packet[44..46], [1, 0]);
        assert_eq!(usize::from(packet[46]), comment.len());
        assert_eq!(&packet[48..48 + comment.len()], comment.as_bytes());
        assert_eq!(packet[packet.len() - 4..], length);
    }

    #[test]
    fn an_interface_is_described_once() {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, 64).unwrap();
        let packet = |ifindex, link| Packet {
            record: Arc::new(Record {
                ifindex,
                interface: "".into(),
                ..record()
            }),
            link,
            length: 1,
            bytes: vec![0],
        };
        for (ifindex, link) in [
            (7, Link::Ethernet),
            (8, Link::Ethernet),
            (7, Link::Ethernet),
            (7, Link::Ip),
        ] {
            writer.packet(&packet(ifindex, link)).unwrap();
        }
        assert_eq!(writer.interfaces.len(), 3);
        let described = file.windows(9).filter(|bytes| *bytes == b"ifindex 7");
        assert_eq!(described.count() - 3, 2, "beside the comments");
    }
}
