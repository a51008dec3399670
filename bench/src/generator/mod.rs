//! Packets from within the kernel, as fast as one CPU makes them.
//!
//! An XDP program of our own ([`program`]) is run on live frames
//! (`BPF_PROG_TEST_RUN`): it writes addresses, ports and checksums of each packet
//! into a [`template`] as a [`traffic`] says, and redirects the frame into the port
//! of the segment that leads to the node. The node's interface is polled in the
//! generator's own softirq on the same CPU: nothing is lost, and the time of a
//! packet is that of the generator plus that of the receiver. The former is
//! measured alone, with the same traffic and the same program but for its last
//! instruction, and taken off.

pub mod program;
pub mod template;
pub mod traffic;

use std::time::Duration;

use sandbox::Lab;

use crate::bpf::calls::{Memory, Program};
use crate::{Error, Result, realtime};
use program::{Destination, SEGMENT, STAMPS};
use traffic::Traffic;

/// Packets that find out how many fit into the time of a sample: warm caches, and
/// connections for those that repeat.
const FIRST: u32 = 64 * SEGMENT;
/// How often a sample without a packet is made again.
const TRIALS: u32 = 3;

/// How long and how much a sample may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// About as long.
    pub duration: Duration,
    /// At most as many, the warm-up included: some tables must not be filled.
    pub packets: u32,
}

/// What the generator saw of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sent {
    /// Packets, without the warm-up.
    pub packets: u64,
    /// Packets, with it.
    pub all: u64,
    /// Nanoseconds a packet: median over segments of [`SEGMENT`] packets, so that
    /// what else ran meanwhile on the CPU weighs little.
    pub median: f64,
    /// Nanoseconds a packet from the first to the last segment.
    pub mean: f64,
}

/// A traffic ready to be sent.
#[derive(Debug)]
pub struct Generator {
    program: Program,
    state: Memory,
    frame: Vec<u8>,
    /// Never the same twice, so that "new" flows are.
    seed: u64,
    _addresses: Option<Memory>,
}

impl Generator {
    /// Towards the node, through its port on the segment.
    ///
    /// # Errors
    /// The kernel refuses the program.
    pub fn to_node(lab: &Lab, traffic: &Traffic) -> Result<Self> {
        let port = lab
            .segment
            .enter(|| nix::net::if_::if_nametoindex("p-node"))
            .map_err(|errno| Error::kernel("find the node's port")(errno.into()))?;
        Self::new(traffic, Destination::Interface(port))
    }

    /// Towards nowhere: what the generator costs alone.
    ///
    /// # Errors
    /// The kernel refuses the program.
    pub fn to_nowhere(traffic: &Traffic) -> Result<Self> {
        Self::new(traffic, Destination::Nowhere)
    }

    /// # Errors
    /// The kernel refuses the program.
    pub fn new(traffic: &Traffic, destination: Destination) -> Result<Self> {
        let state = Memory::new(program::STATE)?;
        let memory = traffic.memory();
        let memory = match memory.is_empty() {
            true => None,
            false => Some(Memory::with(&memory)?),
        };
        let code = program::assemble(
            traffic,
            destination,
            state.descriptor(),
            memory.as_ref().map(Memory::descriptor),
        );
        Ok(Self {
            program: Program::load(&code)?,
            state,
            frame: traffic.first_frame(),
            seed: 0,
            _addresses: memory,
        })
    }

    /// One sample: a warm-up, then one long call within the bounds. The calling
    /// thread must be in the namespace of the segment.
    ///
    /// # Errors
    /// The kernel cannot send live frames.
    pub fn send(&mut self, bounds: Bounds) -> Result<Sent> {
        let first = FIRST.min(bounds.packets / 2).max(2 * SEGMENT);
        let warm = self.call(first)?;
        let wanted = bounds.duration.as_nanos() as f64 / warm.median.max(1.0);
        let most = (bounds.packets.saturating_sub(first)).min(STAMPS as u32 * SEGMENT);
        let packets = (wanted as u32).clamp(2 * SEGMENT, most.max(2 * SEGMENT));
        let sent = self.call(packets)?;
        Ok(Sent {
            all: sent.packets + warm.packets,
            ..sent
        })
    }

    /// Sends a number of packets and returns how long they took.
    ///
    /// # Errors
    /// The kernel cannot send live frames.
    pub fn call(&mut self, packets: u32) -> Result<Sent> {
        self.seed = self.seed.wrapping_add(1 << 32);
        let mut state = vec![0; program::STATE];
        state[8..16].copy_from_slice(&self.seed.to_le_bytes());
        self.state.write(&state)?;
        self.program.run_live(&self.frame, packets)?;
        Ok(read(&self.state.read()?))
    }
}

/// One sample, on one CPU, undisturbed if the system allows, inside the segment. On a busy
/// machine a call now and then returns without a packet: it says nothing, and is made again.
///
/// # Errors
/// The kernel cannot send live frames, or sends none again and again.
pub fn sample(lab: &Lab, mut send: impl FnMut() -> Result<Sent> + Send) -> Result<Sent> {
    for _ in 0..TRIALS {
        let sent = lab.segment.enter(|| realtime::undisturbed(&mut send))?;
        if sent.median.is_finite() {
            return Ok(sent);
        }
    }
    Err(Error::Unfit(format!(
        "the generator sent nothing in {TRIALS} trials"
    )))
}

/// What the program left in its state.
fn read(state: &[u8]) -> Sent {
    let words: Vec<u64> = state
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().expect("chunks of eight bytes")))
        .collect();
    let packets = words[0];
    let stamps = (packets.div_ceil(u64::from(SEGMENT)) as usize).min(STAMPS);
    let stamps = &words[2..2 + stamps];
    let per_packet = |from: u64, to: u64, segments: usize| {
        (to - from) as f64 / (segments as f64 * f64::from(SEGMENT))
    };
    let mut segments: Vec<f64> = stamps
        .windows(2)
        .map(|pair| per_packet(pair[0], pair[1], 1))
        .collect();
    segments.sort_by(f64::total_cmp);
    let mean = match stamps {
        [first, .., last] => per_packet(*first, *last, stamps.len() - 1),
        _ => f64::NAN,
    };
    Sent {
        packets,
        all: packets,
        median: segments
            .get(segments.len() / 2)
            .copied()
            .unwrap_or(f64::NAN),
        mean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbed_segment_moves_the_mean_but_not_the_median() {
        let mut state = vec![0; program::STATE];
        let segment = u64::from(SEGMENT);
        let stamps = [0, 20 * segment, 40 * segment, 1_040 * segment];
        let words = [3 * segment + 1, 0].into_iter().chain(stamps);
        for (i, word) in words.enumerate() {
            state[8 * i..8 * i + 8].copy_from_slice(&word.to_le_bytes());
        }
        let sent = read(&state);
        assert_eq!(sent.packets, 3 * segment + 1);
        assert!((sent.median - 20.0).abs() < 1e-9);
        assert!((sent.mean - 1_040.0 / 3.0).abs() < 1e-9);
    }
}
