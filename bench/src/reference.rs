//! A bare drop beside every sample.
//!
//! In a virtual machine the processor's speed changes by a third from one second to the
//! next, with what other machines do on the same core. So the same packets are sent to a
//! bare `XDP_DROP` right before and right after each sample, on an interface of its own
//! beside the one that is firewalled: a ratio is of two numbers from the same moment.

use sandbox::Lab;

use crate::bpf::calls::{Link, Program};
use crate::bpf::{self, Action};
use crate::generator::program::{Destination, SEGMENT};
use crate::generator::traffic::Traffic;
use crate::generator::{Generator, sample};
use crate::{Error, Result};

/// The interface's end in the segment, and in the node.
const PORT: &str = "p-reference";
const INTERFACE: &str = "reference0";
/// Packets of one reading, some ten milliseconds of them.
const PACKETS: u32 = 64 * SEGMENT;

/// An interface of the node that drops everything.
pub struct Reference {
    port: u32,
    _link: Link,
}

impl Reference {
    /// # Errors
    /// The kernel has no veth, or refuses the program.
    pub fn new(lab: &Lab) -> Result<Self> {
        let node = &lab.node.namespace;
        lab.segment.ip([
            format!(
                "link add {PORT} type veth peer name {INTERFACE} netns {}",
                node.path().display()
            ),
            format!("link set {PORT} up"),
        ])?;
        let port = lab
            .segment
            .enter(|| nix::net::if_::if_nametoindex(PORT))
            .map_err(|errno| Error::kernel("find the reference's port")(errno.into()))?;
        node.ip([format!("link set {INTERFACE} up")])?;
        let program = Program::load(&bpf::bare(Action::Drop))?;
        let link = node.enter(|| program.attach(INTERFACE))?;
        Ok(Self { port, _link: link })
    }

    /// For samples of this traffic.
    ///
    /// # Errors
    /// The kernel refuses the programs of the generator.
    pub fn with(&self, traffic: &Traffic) -> Result<Yardstick> {
        Ok(Yardstick {
            alone: Generator::to_nowhere(traffic)?,
            dropped: Generator::new(traffic, Destination::Interface(self.port))?,
        })
    }
}

/// A traffic that is sent to nowhere and to the bare drop.
pub struct Yardstick {
    alone: Generator,
    dropped: Generator,
}

/// What the machine did at one moment, in nanoseconds a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The generator alone.
    pub generator_ns: f64,
    /// The bare drop, without the generator.
    pub drop_ns: f64,
}

impl Yardstick {
    /// Reads it now.
    ///
    /// # Errors
    /// The kernel cannot send live frames.
    pub fn read(&mut self, lab: &Lab) -> Result<Reading> {
        let generator_ns = median(lab, &mut self.alone)?;
        let drop_ns = median(lab, &mut self.dropped)? - generator_ns;
        Ok(Reading {
            generator_ns,
            drop_ns,
        })
    }
}

impl Reading {
    /// Between two moments.
    #[must_use]
    pub const fn between(before: Self, after: Self) -> Self {
        Self {
            generator_ns: f64::midpoint(before.generator_ns, after.generator_ns),
            drop_ns: f64::midpoint(before.drop_ns, after.drop_ns),
        }
    }
}

fn median(lab: &Lab, generator: &mut Generator) -> Result<f64> {
    Ok(sample(lab, || generator.call(PACKETS))?.median)
}
