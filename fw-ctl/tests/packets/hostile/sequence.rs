//! Frames in the order in which they come. Later ones answer, repeat, continue or quote
//! former ones, so that connections and fragments meet.

use super::dice::Dice;
use super::mutate::{broken, crumb, fitting, fragment, reply, shaped};
use super::sensible;
use crate::frames::{ADMIN, ADMIN6, NODE, NODE6, STRANGER, STRANGER6};

/// Frames of one sequence.
pub const LENGTH: usize = 256;

/// The frames of a seed.
pub fn frames(seed: u64) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(seed);
    // What comes in fragments that belong together.
    let datagrams: Vec<_> = (0..3).map(|_| sensible::frame(&mut dice)).collect();
    let mut frames: Vec<Vec<u8>> = Vec::with_capacity(LENGTH);
    if dice.once_in(16) {
        // More pieces of one packet than are let through.
        let plain = sensible::frame(&mut dice);
        frames.extend((0..140).map(|number| fitting(crumb(&plain, number))));
    }
    while frames.len() < LENGTH {
        let former = frames.len().checked_sub(1 + dice.below(16));
        let former = former.map(|at| frames[at].clone());
        let frame = match (dice.below(20), former) {
            (0..=3, Some(former)) => reply(&mut dice, &former),
            (4 | 5, Some(former)) => broken(&mut dice, former),
            (6, Some(former)) if former.len() > 14 => quoted(&mut dice, &former),
            (7..=9, _) => {
                let datagram = dice.below(datagrams.len());
                fragment(&mut dice, &datagrams[datagram])
            }
            _ => {
                let frame = sensible::frame(&mut dice);
                shaped(&mut dice, frame)
            }
        };
        let times = dice.one_of(&[0, 0, 0, 1, 1, 1, 2, 4]);
        let broken = (0..times).fold(frame, |frame, _| broken(&mut dice, fitting(frame)));
        frames.push(fitting(broken));
    }
    frames
}

/// An ICMP error about what came before.
fn quoted(dice: &mut Dice, former: &[u8]) -> Vec<u8> {
    let sides = if former[14] >> 4 == 6 {
        [(STRANGER6, NODE6), (NODE6, STRANGER6), (ADMIN6, NODE6)]
    } else {
        [(STRANGER, NODE), (NODE, STRANGER), (ADMIN, NODE)]
    };
    let (from, to) = dice.one_of(&sides);
    sensible::quoting(dice, from, to, former)
}
