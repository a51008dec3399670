//! Packets a second through a driver, by the kernel's own generator.
//!
//! `make bench` has no driver: its frames come out of a program. Here pktgen sends through
//! one virtio interface of a guest into another, singly and into a bond, and the receiver
//! refuses everything. All peers stand beside each other, each behind cables of its own
//! ([`layout`]), so that they take turns within a second and nothing is installed in
//! between. TCP streams go through a switch that has what those cables lack, segmentation
//! in the device ([`bulk`]): native XDP takes that away from the receiver, and whether this
//! matters is to be measured.
//!
//! A guest is emulated: only relations within one table mean anything.

mod bulk;
mod generator;
mod layout;
mod stage;

use std::time::Duration;

use sandbox::guest::{Guest, Kernel, Threads};

use crate::guest::lines_of;
use crate::machine::Machine;
use crate::peer::{Means, Peer};
use crate::sample::{Flood, Line};
use crate::{Error, Result};
use bulk::Direction;
use generator::Traffic;
use layout::Device;
use stage::Stage;

/// Who takes part, in the order of the report.
pub const PEERS: [Peer; 4] = [Peer::XdpDrop, Peer::FwCtlXdp, Peer::FwCtlTc, Peer::Nothing];
/// Packets of a sample, if not said.
pub const PACKETS: u64 = 30_000;
/// Rounds, if not said.
pub const ROUNDS: u32 = 5;
/// Packets of each kind before the first round.
const WARM_UP: u64 = 2_000;
/// What the guest may take beside its samples.
const ONCE: Duration = Duration::from_mins(4);
/// What all samples of a round may take for every packet, and for its transfers.
const A_PACKET: Duration = Duration::from_millis(2);
const TRANSFERS: Duration = Duration::from_mins(2);

/// Boots a guest with a kernel of this name, has this very program measure there, and
/// returns its lines. The first one tells of the guest and of the machine below it.
///
/// # Errors
/// There is no guest, or it measured nothing.
pub fn measure_in_guest(
    series: &str,
    means: &Means,
    rounds: u32,
    packets: u64,
) -> Result<Vec<Line>> {
    let kernel = Kernel::named(series)?;
    let this = std::env::current_exe().map_err(Error::file("find this program"))?;
    let limit = ONCE + (A_PACKET * packets as u32 + TRANSFERS) * rounds;
    // Before 5.11 the kernel counts programs as locked memory.
    let script = format!(
        "ulimit -l unlimited; bench --pktgen --here --out /out --name raw --rounds {rounds} --packets {packets} \
         --fw-ctl /bin/fw-ctl --policies /policies && mv /out/*-raw.jsonl /out/raw.jsonl"
    );
    let output = Guest::new(&kernel)
        .cpus(1)
        .threads(Threads::Each)
        .nics(layout::CABLED)
        .switched(layout::SWITCHED)
        .module("sch_ingress")
        .module("cls_bpf")
        .module("bonding")
        .module("pktgen")
        .program(&this)
        .program(&means.fw_ctl)
        .program("ip")
        .file(&means.policies, "/policies")
        .run(&script, limit)?;
    lines_of(&output, "virtio interfaces of the guest")
}

/// Measures on this machine, which must have the interfaces of [`layout`].
///
/// # Errors
/// It has not, or a peer cannot be installed, or `write` fails.
pub fn measure_here(
    means: &Means,
    rounds: u32,
    packets: u64,
    mut write: impl FnMut(&Line) -> Result<()>,
) -> Result<()> {
    write(&Line::Run {
        machine: Machine::here(),
        rounds,
        sample_ms: 0,
        generator: "pktgen of the kernel".to_owned(),
        link: String::new(),
    })?;
    let mut stages = Vec::new();
    let sender = layout::sender()?;
    for (number, peer) in PEERS.into_iter().enumerate() {
        stages.push(Stage::new(number, peer, means)?);
    }
    for round in 0..rounds {
        // Each comes at each place of a round in turn.
        stages.rotate_left(1);
        for device in Device::ALL {
            for traffic in Traffic::ALL {
                for stage in &stages {
                    if round == 0 {
                        generator::send(stage, device, traffic, WARM_UP)?;
                    }
                    let flood = flood(stage, device, traffic, packets)?;
                    write(&Line::Flood(Flood { round, ..flood }))?;
                }
            }
        }
        for direction in Direction::ALL {
            for stage in &stages {
                // Where all is dropped there is no connection; the program that lets all
                // pass tells what XDP costs by itself.
                let mut bulk = match stage.peer {
                    Peer::XdpDrop => stage.passing(|| bulk::transfer(stage, &sender, direction))?,
                    _ => bulk::transfer(stage, &sender, direction)?,
                };
                bulk.round = round;
                write(&Line::Bulk(bulk))?;
            }
        }
    }
    Ok(())
}

fn flood(stage: &Stage, device: Device, traffic: Traffic, packets: u64) -> Result<Flood> {
    let before = stage.refused(device)?;
    let sent = generator::send(stage, device, traffic, packets)?;
    let counted = stage.await_refused(device, before, sent.packets)?;
    Ok(Flood {
        round: 0,
        device: device.to_string(),
        traffic: traffic.to_string(),
        peer: stage.peer.to_string(),
        sent: sent.packets,
        counted,
        us: sent.us,
    })
}
