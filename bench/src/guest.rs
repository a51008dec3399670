//! The ping-pong through a driver: in a guest with two virtio interfaces.
//!
//! This machine may have no interface to spare, and veth is no hardware. A guest has
//! a driver with rings, interrupts and native XDP, and any kernel that Debian has. It is
//! emulated, so its times are none of a real machine; the peers' relation is what counts.

use std::path::Path;
use std::time::Duration;

use sandbox::guest::{Guest, Kernel, Output};

use crate::machine::Machine;
use crate::peer::{Means, Peer};
use crate::sample::Line;
use crate::{Error, Result};

/// Who plays in a guest: it has no other firewalls.
pub const PEERS: [Peer; 4] = [Peer::FwCtlXdp, Peer::FwCtlTc, Peer::XdpPass, Peer::Nothing];
/// What one peer in one round takes beside its sample: above all its installation.
const EACH: Duration = Duration::from_secs(20);
/// What the guest takes besides.
const ONCE: Duration = Duration::from_mins(1);

/// Boots a guest with a kernel of `series`, has this very program measure there, and
/// returns its lines. The first one tells of the guest and of the machine below it.
///
/// # Errors
/// There is no guest, or it measured nothing.
pub fn measure(series: &str, means: &Means, rounds: u32, sample: Duration) -> Result<Vec<Line>> {
    let kernel = Kernel::of_series(series)?;
    let this = std::env::current_exe().map_err(Error::file("find this program"))?;
    let limit = ONCE + (EACH + sample) * rounds * PEERS.len() as u32;
    let script = format!(
        "bench --over eth0,eth1 --out /out --name raw --rounds {rounds} --sample {} \
         --fw-ctl /bin/fw-ctl --policies /policies && mv /out/*-raw.jsonl /out/raw.jsonl",
        sample.as_millis()
    );
    let output = Guest::new(&kernel)
        // Both ends are on one CPU anyway, and the machine below has others for the
        // devices.
        .cpus(1)
        .nics(2)
        .module("sch_ingress")
        .module("cls_bpf")
        .program(&this)
        .program(&means.fw_ctl)
        .program("ip")
        .file(&means.policies, "/policies")
        .run(&script, limit)?;
    lines_of(
        &output,
        "two virtio interfaces of the guest, joined in QEMU",
    )
}

/// What the benchmark has left in `/out/raw.jsonl` of a guest. The first line tells also
/// of the machine below, and of what is between the interfaces.
///
/// # Errors
/// It has failed there.
pub fn lines_of(output: &Output, between: &str) -> Result<Vec<Line>> {
    if output.status != 0 {
        return Err(Error::Unfit(format!(
            "bench in the guest ended with {}:\n{}",
            output.status, output.console
        )));
    }
    let mut lines = read(&output.path("raw.jsonl"))?;
    if let Some(Line::Run { machine, link, .. }) = lines.first_mut() {
        let below = Machine::here();
        machine.cpu = format!("emulated by QEMU without KVM on {}", below.cpu);
        machine.commit = below.commit;
        machine.load = below.load;
        between.clone_into(link);
    }
    Ok(lines)
}

fn read(raw: &Path) -> Result<Vec<Line>> {
    let text =
        std::fs::read_to_string(raw).map_err(Error::file(format!("read {}", raw.display())))?;
    crate::sample::lines(&text)
        .map_err(|error| Error::Unfit(format!("{} is no raw data: {error}", raw.display())))
}
