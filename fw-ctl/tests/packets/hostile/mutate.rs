//! What is done to a sensible frame: first to its form, while it still has one, then
//! to its bytes.

use super::dice::Dice;
use crate::frames::{extended, padded, piece, tagged, with_length, with_options};

/// Bytes that mean something in many fields.
const TELLING: [u8; 16] = [
    0, 1, 4, 6, 8, 17, 0x20, 0x3f, 0x40, 0x44, 0x45, 0x60, 0x7f, 0x80, 0x86, 0xff,
];
/// Lengths where headers end.
const BORDERS: [usize; 14] = [14, 18, 22, 33, 34, 38, 41, 42, 46, 53, 54, 58, 61, 62];
const EXTENSIONS: [u8; 9] = [0, 43, 44, 60, 50, 51, 59, 135, 139];
const TAGS: [u16; 8] = [
    0x8100, 0x8100, 0x8100, 0x8100, 0x88a8, 0x88a8, 0x88a8, 0x9100,
];
const VLANS: [u16; 9] = [0, 5, 42, 300, 305, 999, 4_095, 0xe000, 0xf3e7];
/// Frames get no longer: the kernel copies a test frame into one page.
const LONGEST: usize = 1_600;
const SHORTEST: usize = 14;

/// Whether the builders of frames know the frame: an IP packet, and nothing in front.
fn is_plain(frame: &[u8]) -> bool {
    let Some(ethertype) = frame.get(12..14) else {
        return false;
    };
    match ethertype {
        [0x08, 0x00] => frame.len() >= 42 && frame[14] == 0x45 && carried(frame, 16) >= 28,
        [0x86, 0xdd] => frame.len() >= 62 && frame[14] >> 4 == 6 && carried(frame, 18) >= 8,
        _ => false,
    }
}

/// The length in the network header, if the frame has as much, else 0.
fn carried(frame: &[u8], at: usize) -> usize {
    let length = usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    let header = if at == 18 { 40 } else { 0 };
    if 14 + header + length <= frame.len() {
        length
    } else {
        0
    }
}

/// Another form: extension headers, options, fragments, tags.
pub fn shaped(dice: &mut Dice, mut frame: Vec<u8>) -> Vec<u8> {
    if is_plain(&frame) {
        let v6 = frame[14] >> 4 == 6;
        if v6 && dice.once_in(3) {
            frame = with_extensions(dice, &frame);
        }
        if dice.once_in(3) {
            frame = fragment(dice, &frame);
        }
        if !v6 && dice.once_in(6) {
            frame = with_length(with_options(&frame, 1 + dice.below(10) as u8));
        }
    }
    if dice.once_in(4) {
        let tags: Vec<_> = (0..1 + dice.below(2) + 2 * usize::from(dice.once_in(8)))
            .map(|_| (dice.one_of(&TAGS), dice.one_of(&VLANS)))
            .collect();
        frame = tagged(&frame, &tags);
    }
    frame
}

/// Mostly chains that a node accepts; some are long, or what a header says is not there.
fn with_extensions(dice: &mut Dice, frame: &[u8]) -> Vec<u8> {
    let most = if dice.once_in(6) { 10 } else { 3 };
    let count = 1 + dice.below(most);
    let headers: Vec<_> = (0..count)
        .map(|_| (dice.one_of(&EXTENSIONS), dice.one_of(&[0, 0, 0, 1, 2])))
        .collect();
    let mut out = extended(frame, &headers);
    if dice.once_in(2) {
        // Something in the first header: where a fragment lies, if it is one.
        let at = 56 + dice.below(6);
        out[at] = dice.byte() & dice.one_of(&[1, 8, 9, 0xff]);
    }
    out
}

/// A piece of the packet, of the few datagrams that are under way.
pub fn fragment(dice: &mut Dice, frame: &[u8]) -> Vec<u8> {
    if !is_plain(frame) {
        return frame.to_vec();
    }
    let start = 8 * if dice.once_in(2) { 0 } else { dice.below(6) };
    let start = if dice.once_in(40) { 65_520 } else { start };
    let odd = if dice.once_in(16) { 4 } else { 0 };
    let end = start + 8 * dice.below(7) + odd;
    let more = !dice.once_in(3);
    piece(frame, 1 + dice.below(3) as u32, start..end, more)
}

/// The next of many small pieces of one packet.
pub fn crumb(frame: &[u8], number: usize) -> Vec<u8> {
    if !is_plain(frame) {
        return frame.to_vec();
    }
    // The first has room for the headers.
    let start = if number == 0 { 0 } else { 24 + 8 * number };
    piece(frame, 9, start..32 + 8 * number, true)
}

/// The bytes of the frame, changed once.
pub fn broken(dice: &mut Dice, mut frame: Vec<u8>) -> Vec<u8> {
    let length = frame.len();
    // Where headers are, mostly.
    let spot = |dice: &mut Dice| match dice.below(4) {
        0 => dice.below(length),
        _ => 13 + dice.below(64.min(length - 13)),
    };
    match dice.below(14) {
        0..=2 => {
            for _ in 0..=dice.below(4) {
                let at = spot(dice);
                frame[at] ^= 1 << dice.below(8);
            }
        }
        3 | 4 => {
            let at = spot(dice);
            frame[at] = dice.one_of(&TELLING);
        }
        5 => frame.truncate(SHORTEST + dice.below(length - SHORTEST + 1)),
        6 => frame.truncate(dice.one_of(&BORDERS)),
        7 => {
            let byte = dice.byte();
            frame = padded(frame, &vec![byte; 1 + dice.below(60)]);
        }
        8 | 9 => lie(dice, &mut frame),
        10 => {
            let at = spot(dice);
            let end = (at + 1 + dice.below(12)).min(length);
            if length - (end - at) >= SHORTEST {
                frame.drain(at..end);
            }
        }
        11 => {
            let at = spot(dice);
            let end = (at + 1 + dice.below(40)).min(length);
            let copy = frame[at..end].to_vec();
            frame.splice(at..at, copy);
        }
        12 if dice.once_in(2) => frame[..6].fill(0xff),
        13 if dice.once_in(4) => {
            let kind = dice.one_of(&[0x0800_u16, 0x86dd, 0x8100, 0x0806, 0x8864]);
            frame[12..14].copy_from_slice(&kind.to_be_bytes());
        }
        _ => {
            let at = spot(dice);
            frame[at] = dice.byte();
        }
    }
    frame
}

/// A length, version or offset in the network header that is not true.
fn lie(dice: &mut Dice, frame: &mut [u8]) {
    let v6 = frame[12..14] == [0x86, 0xdd];
    if frame.len() < 24 {
        return;
    }
    let at = if v6 { 18 } else { 16 };
    let length = u16::from_be_bytes([frame[at], frame[at + 1]]);
    match dice.below(3) {
        0 => frame[14] = dice.byte() & dice.one_of(&[0x0f, 0xf0, 0xff]) | frame[14] & 0x40,
        1 => {
            let wrong = [0_u16, 1, 8, 19, 20, 27, 28, 40, 0xfff8, 0xffff];
            frame[at..at + 2].copy_from_slice(&dice.one_of(&wrong).to_be_bytes());
        }
        _ => {
            let wrong = length.wrapping_add(dice.one_of(&[1, 8, 0xffff, 0xfff8]));
            frame[at..at + 2].copy_from_slice(&wrong.to_be_bytes());
        }
    }
}

/// The answer to an untagged packet: the sides change places.
pub fn reply(dice: &mut Dice, frame: &[u8]) -> Vec<u8> {
    let mut out = frame.to_vec();
    if !is_plain(frame) {
        return out;
    }
    let (first, length) = if frame[14] >> 4 == 6 {
        (22, 16)
    } else {
        (26, 4)
    };
    for at in first..first + length {
        out.swap(at, at + length);
    }
    let l4 = first + 2 * length;
    match frame[if length == 16 { 20 } else { 23 }] {
        6 | 17 | 132 => {
            out.swap(l4, l4 + 2);
            out.swap(l4 + 1, l4 + 3);
            if out.len() > l4 + 13 && frame[if length == 16 { 20 } else { 23 }] == 6 {
                out[l4 + 13] = dice.one_of(&[0x12, 0x10, 0x11, 0x04, 0x02]);
            }
        }
        1 if frame[l4] == 8 => out[l4] = 0,
        58 if frame[l4] == 128 => out[l4] = 129,
        _ => {}
    }
    out
}

/// The frame with a length that the kernel takes for a test.
pub fn fitting(mut frame: Vec<u8>) -> Vec<u8> {
    frame.truncate(LONGEST);
    frame.resize(frame.len().max(SHORTEST), 0);
    frame
}
