//! One line of raw data: what was measured once.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// A line of the raw data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Line {
    /// The first line: where and how.
    Run {
        /// The machine.
        machine: Machine,
        /// Rounds that were asked for.
        rounds: u32,
        /// Milliseconds of a sample.
        sample_ms: u64,
        /// How packets are made.
        generator: String,
        /// What a ping-pong goes through.
        #[serde(default = "lab_link")]
        link: String,
    },
    /// A stream of packets.
    Packets(Packets),
    /// A ping-pong.
    Latency(Latency),
    /// Packets of the kernel's pktgen, through a driver.
    Flood(Flood),
    /// A TCP transfer through a driver.
    Bulk(Bulk),
    /// How long a peer took to put its rules in force.
    Install(Install),
    /// A peer or a scenario that could not be measured.
    Skipped {
        /// Who; empty if the whole scenario.
        peer: String,
        /// What; empty if all of it.
        scenario: String,
        /// Why.
        why: String,
    },
}

/// Lines of raw data.
///
/// # Errors
/// One is none.
pub fn lines(text: &str) -> serde_json::Result<Vec<Line>> {
    text.lines().map(serde_json::from_str).collect()
}

/// What a ping-pong goes through in the lab.
#[must_use]
pub fn lab_link() -> String {
    "a bridge and the node's veth".to_owned()
}

impl Line {
    /// The stream of packets, if it is one.
    #[must_use]
    pub const fn packets(&self) -> Option<&Packets> {
        match self {
            Self::Packets(packets) => Some(packets),
            _ => None,
        }
    }

    /// The ping-pong, if it is one.
    #[must_use]
    pub const fn latency(&self) -> Option<&Latency> {
        match self {
            Self::Latency(latency) => Some(latency),
            _ => None,
        }
    }

    /// The installation, if it is one.
    #[must_use]
    pub const fn install(&self) -> Option<&Install> {
        match self {
            Self::Install(install) => Some(install),
            _ => None,
        }
    }
}

/// One sample of a stream of packets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Packets {
    /// Round, from 0.
    pub round: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the peer.
    pub peer: String,
    /// Packets, without the warm-up.
    pub packets: u64,
    /// Nanoseconds a packet, generator and receiver: median over segments.
    pub wall_ns: f64,
    /// The same, mean.
    pub wall_mean_ns: f64,
    /// Nanoseconds a packet of the generator alone, right before and after.
    pub generator_ns: f64,
    /// Nanoseconds that a bare drop of the same packets takes the receiver, right before
    /// and after.
    #[serde(default)]
    pub drop_ns: Option<f64>,
    /// Part of the packets that reached a UDP socket.
    pub delivered: f64,
    /// Part of the packets that were lost before anything could judge them.
    pub lost: f64,
}

impl Packets {
    /// Nanoseconds that the receiver needs for a packet.
    #[must_use]
    pub fn receive_ns(&self) -> f64 {
        self.wall_ns - self.generator_ns
    }
}

/// One sample of a ping-pong over an established TCP connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Round, from 0.
    pub round: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the peer.
    pub peer: String,
    /// Round trips.
    pub count: u64,
    /// Microseconds that half of them took at most.
    pub p50_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1000.
    pub p999_us: f64,
    /// The same three of a lab in which nothing is attached, in turns with this one.
    #[serde(default)]
    pub beside_us: Option<[f64; 3]>,
}

/// One run of the kernel's pktgen: packets that all are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flood {
    /// Round, from 0.
    pub round: u32,
    /// What they arrive on: `virtio`.
    pub device: String,
    /// What they are: `one flow`.
    pub traffic: String,
    /// Name of the peer.
    pub peer: String,
    /// Packets that pktgen has sent.
    pub sent: u64,
    /// Packets that the peer has counted as refused.
    pub counted: u64,
    /// Microseconds from the first one until the last one was handed over, by pktgen.
    pub us: u64,
}

impl Flood {
    /// Thousands of packets a second.
    #[must_use]
    pub fn kpps(&self) -> f64 {
        self.sent as f64 * 1e3 / self.us as f64
    }
}

/// One TCP transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bulk {
    /// Round, from 0.
    pub round: u32,
    /// `to the node`, `from the node`.
    pub direction: String,
    /// Name of the peer.
    pub peer: String,
    /// Bytes of the stream.
    pub bytes: u64,
    /// Microseconds until the receiver had all of them.
    pub us: u64,
    /// Frames that the receiver's driver has handed over meanwhile.
    pub frames: u64,
}

impl Bulk {
    /// Millions of bytes a second.
    #[must_use]
    pub fn megabytes_a_second(&self) -> f64 {
        self.bytes as f64 / self.us as f64
    }

    /// Bytes of the stream in each frame.
    #[must_use]
    pub fn bytes_a_frame(&self) -> f64 {
        self.bytes as f64 / self.frames as f64
    }
}

/// What it took to put rules in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Install {
    /// Round, from 0.
    pub round: u32,
    /// Rules of this name.
    pub rules: String,
    /// Name of the peer.
    pub peer: String,
    /// Milliseconds from the command to its end; of a daemon until it answers.
    pub ms: f64,
}
