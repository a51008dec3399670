//! ARP (RFC 826): who asks for whom, to tell it; nothing is decided by it.

use super::{Packet, Window, forget_range};
use crate::packet::ip::Places;
use crate::wire::Address;

/// Of Ethernet and IPv4: hardware and protocol type, lengths of their addresses.
const ETHERNET: u16 = 1;
const IPV4: u16 = super::eth::ETHERTYPE_IPV4;
const LENGTHS: [u8; 2] = [6, 4];
/// Bytes of such a message.
const LENGTH: usize = 28;
/// Where the addresses of sender and target are in it.
const SENDER: usize = 14;
const TARGET: usize = 24;

/// Reads the addresses of the message that begins at `offset`. False: it is not about
/// IPv4 addresses on Ethernet, or cut short.
#[inline(always)]
pub fn read<P: Packet>(packet: &P, offset: u32, places: &mut Places<'_>) -> bool {
    let Some(message) = packet.window_at(forget_range(offset) as usize, LENGTH) else {
        return false;
    };
    let lengths = [message.byte(4), message.byte(5)];
    if u16::from_be(message.pair(0)) != ETHERNET
        || u16::from_be(message.pair(2)) != IPV4
        || lengths != LENGTHS
    {
        return false;
    }
    *places.source = Address::v4_word(message.word(SENDER));
    *places.destination = Address::v4_word(message.word(TARGET));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SliceFrame;
    use crate::packet::ip::Addresses;

    fn addresses(bytes: &[u8]) -> Option<[[u8; 4]; 2]> {
        let frame = SliceFrame {
            bytes,
            ..SliceFrame::default()
        };
        let mut read_to = Addresses::default();
        let mut places = Places {
            source: &mut read_to.source,
            destination: &mut read_to.destination,
        };
        read(&frame, 14, &mut places)
            .then(|| [read_to.source.v4_bytes(), read_to.destination.v4_bytes()])
    }

    #[test]
    fn sender_and_target_are_read() {
        // RFC 826: a request of 10.0.0.2 for 10.0.0.1.
        let mut frame = vec![0; 14];
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend([2, 0, 0, 0, 0, 2, 10, 0, 0, 2]);
        frame.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
        assert_eq!(addresses(&frame), Some([[10, 0, 0, 2], [10, 0, 0, 1]]));
        assert_eq!(addresses(&frame[..41]), None, "cut short");
        for at in [15, 16, 18, 19] {
            let mut other = frame.clone();
            other[at] ^= 1;
            assert_eq!(addresses(&other), None, "{at}");
        }
    }
}
