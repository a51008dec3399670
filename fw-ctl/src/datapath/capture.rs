//! Tapping the datapath: while somebody captures, it hands out what it drops with its bytes,
//! through a buffer for each CPU.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::{Path, PathBuf};

use aya::maps::perf::{PerfEvent, PerfEventArrayBuffer};
use aya::maps::{Array, MapData, PerfEventArray};
use fw_common::wire::{Event, EventLink};

use super::error::DatapathError;
use super::tables::{open_array, open_map, writing};
use crate::capture::Link;

/// Name of the table that says how many bytes of a packet are wanted; 0: nobody captures.
pub const CAPTURE: &str = "CAPTURE";
/// Name of the table of the buffers.
pub const CAPTURED: &str = "CAPTURED";
/// Pages of each buffer, a power of two: on most machines 256 KiB, a fifth of a second of what a
/// CPU reports of packets of usual length.
const PAGES: usize = 64;
/// A tag of IEEE 802.1Q, where it has left the frame: its kind is not known any more.
const VLAN: u16 = 0x8100;
/// Where it was: behind both addresses of Ethernet.
const TAG_AT: usize = 12;

/// A packet as the datapath has handed it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// What became of it.
    pub event: Event,
    /// What its bytes begin with.
    pub link: Link,
    /// Bytes that it had.
    pub length: u32,
    /// Its first ones.
    pub bytes: Vec<u8>,
}

/// What a buffer has.
pub enum Tapped {
    /// A packet.
    Caught(Box<Caught>),
    /// So many had no room.
    Lost(u64),
}

/// Where the datapath can be tapped.
#[derive(Clone)]
pub struct TapPoint {
    maps: PathBuf,
}

/// How many bytes are wanted; nobody captures any more when it is dropped.
pub struct TapGate(Array<MapData, u32>);

/// The buffer of a CPU.
///
/// Its file descriptor becomes readable when packets arrive.
pub struct TapBuffer(PerfEventArrayBuffer<MapData>);

impl TapPoint {
    pub(super) fn new(maps: PathBuf) -> Self {
        Self { maps }
    }

    /// Has nobody capture, whatever an earlier process has left.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn close(&self) -> Result<(), DatapathError> {
        gate(&self.maps)?.set(0, 0, 0).map_err(writing(CAPTURE))
    }

    /// A gate that is still closed, and the buffers of all CPUs.
    ///
    /// # Errors
    /// The kernel refuses, as without the right to open perf events.
    pub fn open(&self) -> Result<(TapGate, Vec<TapBuffer>), DatapathError> {
        let gate = TapGate(gate(&self.maps)?);
        // Of its own each time: buffers leave the table with the descriptor by which they came.
        let (mut table, _): (PerfEventArray<MapData>, _) = open_map(&self.maps, CAPTURED)?;
        let cpus = aya::util::online_cpus()
            .map_err(|(_, error)| DatapathError::io("listing the CPUs", &error))?;
        let mut buffers = Vec::new();
        for cpu in cpus {
            let buffer = table.open(cpu, Some(PAGES)).map_err(|error| {
                DatapathError::aya(format!("opening a buffer for packets on CPU {cpu}"), &error)
            })?;
            buffers.push(TapBuffer(buffer));
        }
        Ok((gate, buffers))
    }
}

fn gate(maps: &Path) -> Result<Array<MapData, u32>, DatapathError> {
    open_array(maps, CAPTURE, 1)
}

impl TapGate {
    /// From now on so many bytes of a packet are handed out at most.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set(&mut self, snaplen: u32) -> Result<(), DatapathError> {
        self.0.set(0, snaplen, 0).map_err(writing(CAPTURE))
    }
}

impl Drop for TapGate {
    fn drop(&mut self) {
        if let Err(error) = self.set(0) {
            // Without buffers there is nothing that could be handed out.
            tracing::warn!("packets are handed out that nobody wants: {error}");
        }
    }
}

impl TapBuffer {
    /// Takes what is there.
    pub fn drain(&mut self, mut take: impl FnMut(Tapped)) {
        self.0.for_each(|record| match record {
            PerfEvent::Sample { head, tail } => {
                if let Some(caught) = Caught::read(&[head, tail].concat()) {
                    take(Tapped::Caught(Box::new(caught)));
                }
            }
            PerfEvent::Lost { count } => take(Tapped::Lost(count)),
        });
    }
}

impl AsFd for TapBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for TapBuffer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Caught {
    /// An event, the bytes that it announces, and what the kernel pads them with; `None`: it is
    /// shorter than that.
    fn read(record: &[u8]) -> Option<Self> {
        let (event, bytes) = record.split_at_checked(size_of::<Event>())?;
        // SAFETY: as long as an `Event`, which is plain data of which every bit pattern is
        // valid; it need not be aligned.
        let event = unsafe { event.as_ptr().cast::<Event>().read_unaligned() };
        let bytes = bytes.get(..event.captured.into())?;
        // What is in front of a packet without a link layer is not its own.
        let mut bytes = bytes.get(event.front.into()..)?.to_vec();
        let mut length = event.length;
        let link = match event.link {
            link if link == EventLink::None as u8 => Link::Ip,
            _ => Link::Ethernet,
        };
        if event.link == EventLink::Tagged as u8 {
            length += 4;
            if bytes.len() >= TAG_AT {
                let tag = [VLAN.to_be_bytes(), event.tag.to_be_bytes()].concat();
                bytes.splice(TAG_AT..TAG_AT, tag);
            }
        }
        Some(Self {
            event,
            link,
            length,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: Event, bytes: &[u8]) -> Option<Caught> {
        // SAFETY: plain data of this size without padding.
        let head: [u8; size_of::<Event>()] = unsafe { std::mem::transmute(event) };
        Caught::read(&[&head, bytes].concat())
    }

    fn event(link: EventLink, front: u16, captured: u16) -> Event {
        Event {
            length: 60,
            front,
            captured,
            tag: 0x6007,
            link: link as u8,
            ..Event::default()
        }
    }

    #[test]
    fn bytes_are_as_many_as_were_captured_and_begin_with_the_packet() {
        let bytes: Vec<u8> = (0..24).collect();
        let caught = read(event(EventLink::Ethernet, 0, 20), &bytes).unwrap();
        assert_eq!((caught.link, caught.length), (Link::Ethernet, 60));
        assert_eq!(caught.bytes, bytes[..20]);
        let caught = read(event(EventLink::None, 4, 20), &bytes).unwrap();
        assert_eq!((caught.link, caught.length), (Link::Ip, 60));
        assert_eq!(caught.bytes, bytes[4..20]);
        assert_eq!(read(event(EventLink::Ethernet, 0, 25), &bytes), None);
        assert_eq!(read(event(EventLink::None, 21, 20), &bytes), None);
        assert_eq!(Caught::read(&bytes), None);
    }

    #[test]
    fn a_tag_that_was_moved_out_of_the_frame_is_back_in_its_place() {
        let bytes: Vec<u8> = (0..24).collect();
        let caught = read(event(EventLink::Tagged, 0, 24), &bytes).unwrap();
        assert_eq!((caught.link, caught.length), (Link::Ethernet, 64));
        assert_eq!(caught.bytes[..12], bytes[..12]);
        assert_eq!(caught.bytes[12..16], [0x81, 0, 0x60, 7]);
        assert_eq!(caught.bytes[16..], bytes[12..]);
        let short = read(event(EventLink::Tagged, 0, 6), &bytes).unwrap();
        assert_eq!((short.length, &short.bytes[..]), (64, &bytes[..6]));
    }
}
