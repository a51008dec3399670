//! The frames that nearly all traffic is made of, read in one step: an untagged frame,
//! one with a single tag or one without a link layer, IPv4 without options or IPv6 without extension headers,
//! not a fragment, no ICMP error.
//!
//! Every offset is a constant here, every field one load, and nothing is called:
//! in the kernel a call alone costs as much as all of this. What is not recognised
//! is left to [`super::front`] and [`super::behind`], which read everything; where
//! this one answers, they say the same (held against each other in the tests).

use super::eth::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ethertype, is_broadcast, is_tag, vlan_id};
use super::ip::Places;
use super::transport::{ICMP, ICMPV6, SCTP, TCP, UDP};
use super::{Packet, Window, icmp, ip};
use crate::wire::{Address, L4};

/// Where the network header begins in a frame without a link layer.
const HEADERLESS: usize = 0;
/// The same in an untagged frame of Ethernet.
const UNTAGGED: usize = 14;
/// The same behind a tag.
const TAGGED: usize = UNTAGGED + 4;
const V4_HEADER: usize = ip::V4_HEADER;
const V6_HEADER: usize = ip::V6_HEADER;
/// Of the transport header this much is asked for with the network header: all of
/// UDP's, and of ICMP's what matters.
const SHORTEST: usize = 8;
const TCP_HEADER: usize = 20;
const SCTP_HEADER: usize = 12;
/// IPv4, and five words of header.
const PLAIN_V4: u8 = 0x45;
/// An IPv4 header's fragment field without "don't fragment".
const FRAGMENT_BITS: u16 = 0x3fff;

/// What the headers say beside addresses and transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quick {
    /// 4 or 6.
    pub family: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Outermost VLAN id, 0 for none.
    pub vlan: u16,
    /// Sent to all stations of the link.
    pub broadcast: bool,
}

/// What the frame carries, if it is neither IP nor a tag.
#[inline(always)]
pub fn no_ip<P: Packet>(packet: &P) -> Option<u16> {
    let ethertype = if P::HEADERLESS {
        packet.ethertype()
    } else {
        ethertype(&packet.window(UNTAGGED)?, UNTAGGED)
    };
    let is_tagged = !P::HEADERLESS && is_tag(ethertype);
    let is_ip = ethertype == ETHERTYPE_IPV4 || ethertype == ETHERTYPE_IPV6;
    (!is_tagged && !is_ip).then_some(ethertype)
}

/// Reads the headers; `None`: the frame is none of those above, and what was written
/// to `places` and `l4` (zeroed before) means nothing.
#[inline(always)]
pub fn read<P: Packet>(packet: &P, places: &mut Places<'_>, l4: &mut L4) -> Option<Quick> {
    if P::HEADERLESS {
        return headerless(packet, places, l4);
    }
    let window = &packet.window(UNTAGGED + V4_HEADER + SHORTEST)?;
    match ethertype(window, UNTAGGED) {
        ETHERTYPE_IPV4 => v4::<P, UNTAGGED>(packet, window, places, l4),
        ETHERTYPE_IPV6 => v6::<P, UNTAGGED>(packet, places, l4),
        kind if is_tag(kind) => tagged(packet, places, l4),
        _ => None,
    }
}

/// The same without a link layer.
#[inline(always)]
fn headerless<P: Packet>(packet: &P, places: &mut Places<'_>, l4: &mut L4) -> Option<Quick> {
    let window = &packet.window(HEADERLESS + V4_HEADER + SHORTEST)?;
    match packet.ethertype() {
        ETHERTYPE_IPV4 => v4::<P, HEADERLESS>(packet, window, places, l4),
        ETHERTYPE_IPV6 => v6::<P, HEADERLESS>(packet, places, l4),
        _ => None,
    }
}

/// The same behind one tag.
#[inline(always)]
fn tagged<P: Packet>(packet: &P, places: &mut Places<'_>, l4: &mut L4) -> Option<Quick> {
    let window = &packet.window(TAGGED + V4_HEADER + SHORTEST)?;
    match ethertype(window, TAGGED) {
        ETHERTYPE_IPV4 => v4::<P, TAGGED>(packet, window, places, l4),
        ETHERTYPE_IPV6 => v6::<P, TAGGED>(packet, places, l4),
        _ => None,
    }
}

#[inline(always)]
fn v4<P: Packet, const IP: usize>(
    packet: &P,
    window: &P::Window,
    places: &mut Places<'_>,
    l4: &mut L4,
) -> Option<Quick> {
    let fragment = u16::from_be(window.pair(IP + 6));
    if window.byte(IP) != PLAIN_V4 || fragment & FRAGMENT_BITS != 0 {
        return None;
    }
    *places.source = Address::v4_word(window.word(IP + 12));
    *places.destination = Address::v4_word(window.word(IP + 16));
    l4.protocol = window.byte(IP + 9);
    transport(packet, window, l4, IP + V4_HEADER)?;
    Some(Quick {
        family: 4,
        hop_limit: window.byte(IP + 8),
        vlan: vlan::<P, IP>(packet, window),
        broadcast: !P::HEADERLESS && is_broadcast(window),
    })
}

#[inline(always)]
fn v6<P: Packet, const IP: usize>(
    packet: &P,
    places: &mut Places<'_>,
    l4: &mut L4,
) -> Option<Quick> {
    let window = &packet.window(IP + V6_HEADER + SHORTEST)?;
    let next = window.byte(IP + 6);
    if window.byte(IP) >> 4 != 6 || ip::is_extension(next) {
        return None;
    }
    *places.source = ip::address(window, IP + 8);
    *places.destination = ip::address(window, IP + 24);
    l4.protocol = next;
    transport(packet, window, l4, IP + V6_HEADER)?;
    Some(Quick {
        family: 6,
        hop_limit: window.byte(IP + 7),
        vlan: vlan::<P, IP>(packet, window),
        broadcast: !P::HEADERLESS && is_broadcast(window),
    })
}

/// The id in a tag that was moved out of the frame, else in the frame's own.
#[inline(always)]
fn vlan<P: Packet, const IP: usize>(packet: &P, window: &P::Window) -> u16 {
    if P::HEADERLESS {
        return 0;
    }
    let outer = packet.offloaded_tag().map_or(0, vlan_id);
    if IP == TAGGED && outer == 0 {
        vlan_id(u16::from_be(window.pair(UNTAGGED)))
    } else {
        outer
    }
}

#[inline(always)]
fn transport<P: Packet>(packet: &P, window: &P::Window, l4: &mut L4, at: usize) -> Option<()> {
    match l4.protocol {
        TCP | UDP | SCTP => {
            if l4.protocol == TCP {
                l4.tcp_flags = packet.window(at + TCP_HEADER)?.byte(at + 13);
            } else if l4.protocol == SCTP {
                packet.window(at + SCTP_HEADER)?;
            }
            l4.source = u16::from_be(window.pair(at));
            l4.destination = u16::from_be(window.pair(at + 2));
        }
        ICMP | ICMPV6 => {
            l4.icmp_type = window.byte(at);
            l4.icmp_code = window.byte(at + 1);
            if icmp::is_error(l4) {
                return None;
            }
            if icmp::is_echo(l4.protocol, l4.icmp_type) {
                l4.source = u16::from_be(window.pair(at + 4));
            }
        }
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HeaderlessSlice, SliceFrame};
    use crate::packet::behind::{self, Behind};
    use crate::packet::fragment::Part;
    use crate::packet::front::{self, Front};
    use crate::packet::ip::Addresses;
    use crate::wire::DropReason;

    type Read = (Quick, Addresses, L4);

    impl Addresses {
        fn places(&mut self) -> Places<'_> {
            Places {
                source: &mut self.source,
                destination: &mut self.destination,
            }
        }
    }

    /// What the readers of everything say, where that is all that Quick can say.
    fn thorough<P: Packet>(frame: &P) -> Option<Read> {
        let (mut front, mut addresses) = (Front::default(), Addresses::default());
        if front::read(frame, &mut front, &mut addresses.places()).is_some() || front.ip.family == 0
        {
            return None;
        }
        let mut behind = Behind::default();
        if behind::read(frame, &front.ip, &mut behind).is_some() {
            return None;
        }
        assert_eq!(behind.fragment.part, Part::Whole);
        assert!(!behind.quotes);
        let quick = Quick {
            family: front.ip.family,
            hop_limit: front.ip.hop_limit,
            vlan: front.vlan,
            broadcast: front.broadcast,
        };
        Some((quick, addresses, behind.l4))
    }

    fn quick<P: Packet>(frame: &P) -> Option<Read> {
        let (mut addresses, mut l4) = (Addresses::default(), L4::default());
        let quick = read(frame, &mut addresses.places(), &mut l4)?;
        Some((quick, addresses, l4))
    }

    fn ethernet(bytes: &[u8], tag: Option<u16>) -> SliceFrame<'_> {
        SliceFrame {
            bytes,
            tag,
            ..SliceFrame::default()
        }
    }

    /// What is behind the Ethernet header, by itself, as what that header says it is.
    fn headerless(frame: &[u8]) -> HeaderlessSlice<'_> {
        HeaderlessSlice {
            ethertype: u16::from_be_bytes([frame[12], frame[13]]),
            // A tag beside a packet without a link layer means nothing.
            packet: ethernet(&frame[UNTAGGED..], Some(7)),
        }
    }

    /// A generator of bytes that differ, the same in every run (xorshift64).
    struct Bytes(u64);

    impl Bytes {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
            of[usize::try_from(self.next()).unwrap() % of.len()]
        }

        /// A frame whose deciding bytes are often, not always, those of a good one.
        fn frame(&mut self) -> Vec<u8> {
            let length = self.one_of(&[13, 20, 41, 42, 45, 46, 53, 54, 61, 62, 66, 74, 90]);
            let tags = self.one_of(&[0, 0, 1, 2]);
            let mut frame: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
            let protocol = self.one_of(&[0, 1, 6, 17, 43, 44, 47, 58, 60, 132]);
            let kind = self.one_of(&[0, 1, 3, 4, 8, 11, 128, 129, 133]);
            let ethertype = self.one_of(&[0x0800_u16, 0x0800, 0x86dd, 0x86dd, 0x8100, 0x0806]);
            let first = if ethertype == 0x0800 {
                self.one_of(&[0x45, 0x45, 0x45, 0x46, 0x44, 0x65])
            } else {
                self.one_of(&[0x60, 0x6f, 0x60, 0x45])
            };
            let set = [
                (12, (ethertype >> 8) as u8),
                (13, ethertype as u8),
                (14, first),
                (
                    20,
                    if first >> 4 == 4 {
                        self.one_of(&[0, 0x40, 0x20, 1])
                    } else {
                        protocol
                    },
                ),
                (21, self.one_of(&[0, 0, 0, 1])),
                (23, protocol),
                (34, kind),
                (54, kind),
            ];
            for (at, byte) in set {
                if let Some(place) = frame.get_mut(at) {
                    *place = byte;
                }
            }
            if self.next().is_multiple_of(4) {
                frame[..6].fill(0xff);
            }
            for _ in 0..tags {
                let [high, low] = self.one_of(&[[0x81, 0], [0x88, 0xa8]]);
                let id = self.one_of(&[0, 7]);
                frame.splice(12..12, [high, low, 0xe0, id]);
            }
            // As if it had been cut.
            frame.truncate(length);
            frame
        }
    }

    #[test]
    fn where_it_answers_it_says_what_the_thorough_readers_say() {
        let mut bytes = Bytes(0x9e37_79b9_7f4a_7c15);
        let mut answered = [[0; 2]; 2];
        for _ in 0..400_000 {
            let frame = bytes.frame();
            let tag = bytes.one_of(&[None, None, Some(0xe009), Some(0)]);
            let slice = ethernet(&frame, tag);
            let Some(read) = quick(&slice) else {
                continue;
            };
            assert_eq!(Some(read), thorough(&slice), "{tag:?} {frame:02x?}");
            let tagged = usize::from(frame[12] == 0x81 || frame[12] == 0x88);
            answered[tagged][usize::from(read.0.family == 6)] += 1;
        }
        let counts = answered.as_flattened();
        assert!(counts.iter().all(|count| *count > 2_000), "{answered:?}");
    }

    #[test]
    fn without_a_link_layer_both_say_what_they_say_of_the_same_packet_in_ethernet() {
        let mut bytes = Bytes(0x2545_f491_4f6c_dd1d);
        let mut answered = [0; 2];
        for _ in 0..200_000 {
            let mut frame = bytes.frame();
            if frame.len() < UNTAGGED || is_tag(u16::from_be_bytes([frame[12], frame[13]])) {
                continue;
            }
            // There is nobody whom it could be sent to by its link layer.
            frame[..6].fill(0x02);
            let (whole, bare) = (ethernet(&frame, None), headerless(&frame));
            assert_eq!(no_ip(&whole), no_ip(&bare), "{frame:02x?}");
            let read = quick(&bare);
            assert_eq!(quick(&whole), read, "{frame:02x?}");
            if let Some((quick, ..)) = read {
                assert_eq!(read, thorough(&bare), "{frame:02x?}");
                answered[usize::from(quick.family == 6)] += 1;
            }
        }
        assert!(answered.iter().all(|count| *count > 2_000), "{answered:?}");
    }

    #[test]
    fn what_is_no_ip_is_so_for_both() {
        let mut bytes = Bytes(7);
        for _ in 0..20_000 {
            let frame = bytes.frame();
            let slice = SliceFrame {
                bytes: &frame,
                ..SliceFrame::default()
            };
            let (mut front, mut addresses) = (Front::default(), Addresses::default());
            let reason = front::read(&slice, &mut front, &mut addresses.places());
            match no_ip(&slice) {
                Some(0x0806) => assert_eq!(reason, Some(DropReason::ArpOff)),
                Some(_) => assert_eq!((reason, front.ip.family), (None, 0)),
                None => {}
            }
        }
    }

    #[test]
    fn the_usual_frames_are_recognised() {
        let mut frame = vec![0; 62];
        frame[12] = 8;
        frame[14] = 0x45;
        for (protocol, kind, expected) in [(6, 0, true), (17, 0, true), (1, 8, true), (1, 3, false)]
        {
            frame[23] = protocol;
            frame[34] = kind;
            assert_eq!(
                quick(&ethernet(&frame, None)).is_some(),
                expected,
                "{protocol} {kind}"
            );
        }
        assert_eq!(quick(&ethernet(&frame[..41], None)), None);
    }
}
