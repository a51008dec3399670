//! Frames that somebody would send: what the others are made from.

use super::dice::Dice;
use crate::frames::{ADMIN, ADMIN6, NODE, NODE6, STRANGER, STRANGER6};
use crate::frames::{
    echo, error, extended, icmp, packet, sctp, tcp, udp, with_length, with_options,
};
use fw_ctl::datapath::frame::Payload;

/// Banned while the plan of the table is in force.
pub const BANNED: [&str; 2] = ["203.0.113.66", "2001:db8::66"];

/// Those that have a rule, and those whom nobody should believe.
const PEERS: [&[&str]; 2] = [
    &[
        ADMIN,
        STRANGER,
        "192.0.2.77",
        BANNED[0],
        "10.0.1.255",
        NODE,
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.9",
        "255.255.255.255",
    ],
    &[
        ADMIN6,
        STRANGER6,
        "2001:db8:2::77",
        BANNED[1],
        "fe80::9",
        NODE6,
        "::1",
        "::",
        "ff02::1",
        "::ffff:10.0.1.7",
    ],
];
/// Addresses of the node, and some that are nearly such.
const NEAR: [&[&str]; 2] = [
    &[
        NODE,
        "198.51.100.9",
        "127.0.0.1",
        "127.255.0.3",
        "10.0.0.2",
        "10.0.0.255",
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
    ],
    &[
        NODE6,
        "fe80::1",
        "2001:db8:a::5",
        "2001:db8:a::",
        "::1",
        "fd00::2",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::",
    ],
];
const FAR_PORTS: [u16; 10] = [53, 67, 68, 123, 443, 547, 546, 4_000, 40_000, 65_535];
const NEAR_PORTS: [u16; 14] = [
    22, 23, 53, 68, 80, 443, 546, 2_222, 7_000, 7_001, 7_002, 8_472, 9_000, 40_000,
];
const FLAGS: [u8; 14] = [
    0x02, 0x02, 0x12, 0x10, 0x10, 0x11, 0x04, 0x14, 0x00, 0x29, 0x03, 0x06, 0xc2, 0xff,
];
const KINDS: [&[u8]; 2] = [
    &[0, 3, 3, 3, 4, 5, 8, 8, 9, 10, 11, 12, 13, 17, 40],
    &[
        1, 2, 3, 4, 5, 128, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143, 151, 160,
    ],
];
/// Protocols that nobody looks into, and headers of IPv6 where they do not belong.
const OTHERS: [u8; 18] = [
    0, 2, 4, 17, 33, 41, 43, 44, 47, 50, 51, 59, 60, 89, 112, 135, 136, 255,
];

/// Who talks to whom. Mostly a peer that has rules with the node's first address.
fn sides(dice: &mut Dice, v6: bool) -> (&'static str, &'static str) {
    let side = |dice: &mut Dice, all: &[&'static str]| match dice.below(4) {
        0 => dice.one_of(all),
        _ => all[usize::from(dice.once_in(3))],
    };
    let family = usize::from(v6);
    let peer = side(dice, PEERS[family]);
    (peer, side(dice, NEAR[family]))
}

fn port(dice: &mut Dice, usual: &[u16]) -> u16 {
    if dice.once_in(20) {
        dice.next() as u16
    } else {
        dice.one_of(usual)
    }
}

/// A frame of one packet, to the node or from it.
pub fn frame(dice: &mut Dice) -> Vec<u8> {
    let v6 = dice.once_in(2);
    let (peer, node) = sides(dice, v6);
    let (far, near) = (port(dice, &FAR_PORTS), port(dice, &NEAR_PORTS));
    let (mut from, mut to) = ((peer, far), (node, near));
    if dice.once_in(3) {
        (from, to) = (to, from);
    }
    match dice.below(25) {
        24 => group(dice, v6, from.0, to.0),
        0..=5 | 20.. => tcp(from, to, dice.one_of(&FLAGS)),
        6..=9 => udp(from, to),
        10 => sctp(from, to),
        11 | 12 => echo(
            from.0,
            to.0,
            if v6 { 128 } else { 8 } + dice.below(2) as u8,
            7,
        ),
        13 | 14 => message(dice, from.0, to.0),
        15 | 16 => {
            let about = match dice.below(3) {
                0 => tcp(to, from, dice.one_of(&FLAGS)),
                1 => udp(to, from),
                _ => frame(dice),
            };
            quoting(dice, from.0, to.0, &about)
        }
        17 => dhcp(dice, v6, peer, node),
        18 => {
            let protocol = dice.one_of(&OTHERS);
            packet(from.0, to.0, Payload::Other { protocol })
        }
        19 => no_ip(dice),
    }
}

/// An ICMP message; of neighbour discovery also with a hop limit that shows that it
/// came from farther than the link.
fn message(dice: &mut Dice, from: &str, to: &str) -> Vec<u8> {
    let v6 = from.contains(':');
    let kind = dice.one_of(KINDS[usize::from(v6)]);
    let code = if dice.once_in(2) {
        0
    } else {
        dice.one_of(&[1, 4, 255])
    };
    let mut frame = icmp(from, to, kind, code);
    let at = if v6 { 21 } else { 22 };
    if dice.once_in(3) {
        frame[at] = dice.one_of(&[0, 1, 64, 254, 255]);
    }
    frame
}

/// An ICMP error about the packet in another frame, if there is a place for it.
pub fn quoting(dice: &mut Dice, from: &str, to: &str, about: &[u8]) -> Vec<u8> {
    let v6 = from.contains(':');
    let kind = dice.one_of(if v6 { &[1, 2, 3, 4] } else { &[3, 3, 11, 12] });
    error(from, to, kind, dice.below(6) as u8, about)
}

/// What hosts say of the groups that they belong to: it never leaves the link.
fn group(dice: &mut Dice, v6: bool, from: &str, to: &str) -> Vec<u8> {
    let hops = dice.one_of(&[1, 1, 1, 64, 255]);
    let mut frame = if v6 {
        let kind = dice.one_of(&[130, 131, 132, 143, 151, 152, 153]);
        let from = dice.one_of(&[from, "fe80::9", "::"]);
        icmp(from, to, kind, 0)
    } else {
        packet(from, to, Payload::Other { protocol: 2 })
    };
    frame[if v6 { 21 } else { 22 }] = hops;
    match (v6, dice.once_in(4)) {
        (true, false) => extended(&frame, &[(0, 0)]),
        (false, false) => with_length(with_options(&frame, 1)),
        _ => frame,
    }
}

fn dhcp(dice: &mut Dice, v6: bool, peer: &str, node: &str) -> Vec<u8> {
    let (server, client) = if v6 { (547, 546) } else { (67, 68) };
    if dice.once_in(2) {
        udp((peer, server), (node, client))
    } else {
        udp((node, client), (peer, server))
    }
}

/// ARP and other things that are no IP.
fn no_ip(dice: &mut Dice) -> Vec<u8> {
    let mut frame = udp((STRANGER, 1), (NODE, 2));
    let kind = dice.one_of(&[0x0806_u16, 0x88cc, 0x8864, 0x8847, 0x0042, 0x05dc, 0xffff]);
    frame[12..14].copy_from_slice(&kind.to_be_bytes());
    frame
}
