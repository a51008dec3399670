//! The kernel's packet generator, told by files (Documentation/networking/pktgen.rst).
//!
//! Each network namespace that is made while the module is loaded has threads and files
//! of its own. Packets go to the driver directly, and where its ring is full they wait: none
//! is lost between sender and receiver.

use std::fmt;
use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use sandbox::Namespace;

use super::layout::{self, Device};
use super::stage::{Stage, hardware_address};
use crate::{Error, Result};

/// Files of the calling thread's namespace.
const FILES: &str = "/proc/thread-self/net/pktgen";
/// The thread on the first CPU.
const THREAD: &str = "kpktgend_0";
/// Bytes of a frame without its checksum: the least that Ethernet has.
const LENGTH: u32 = 60;
/// A UDP port of the node that is closed, and to the policy, too (discard, RFC 863).
const PORT: u16 = 9;
/// How long a thread may take to let go of its devices: it is told so, not waited for.
const LETTING_GO: Duration = Duration::from_secs(5);
/// How long any number of packets may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Which packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Always the same.
    OneFlow,
    /// From 65,536 addresses, one after the other.
    Sources,
}

impl Traffic {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OneFlow, Self::Sources];

    /// First and last source: nobody whom a policy knows.
    const fn sources(self) -> [&'static str; 2] {
        match self {
            Self::OneFlow => ["203.0.113.66", "203.0.113.66"],
            Self::Sources => ["32.0.0.0", "32.0.255.255"],
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneFlow => "one flow",
            Self::Sources => "65,536 sources",
        })
    }
}

/// What pktgen says of a run.
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// Microseconds from the first until the last was handed over.
    pub us: u64,
}

/// Sends about so many packets to a device of the stage's node: the same number on each
/// of its cables.
///
/// # Errors
/// There is no pktgen, it refuses, or it does not come to an end.
pub fn send(stage: &Stage, device: Device, traffic: Traffic, packets: u64) -> Result<Sent> {
    let node = &stage.lab.node;
    let mac = hardware_address(&node.namespace, device.name())?;
    let address = match device {
        Device::Virtio => node.v4.0,
        Device::Bond => layout::ON_BOND,
    };
    let cables = device.cables();
    let jump = &stage.lab.jump.namespace;
    tell(jump, THREAD, "rem_device_all")?;
    for cable in cables {
        add_device(jump, cable)?;
        let [first, last] = traffic.sources();
        for command in [
            format!("count {}", packets / cables.len() as u64),
            format!("pkt_size {LENGTH}"),
            "clone_skb 0".to_owned(),
            "delay 0".to_owned(),
            format!("dst_mac {mac}"),
            format!("dst_min {address}"),
            format!("dst_max {address}"),
            format!("src_min {first}"),
            format!("src_max {last}"),
            "udp_src_min 40000".to_owned(),
            "udp_src_max 40000".to_owned(),
            format!("udp_dst_min {PORT}"),
            format!("udp_dst_max {PORT}"),
        ] {
            tell(jump, cable, &command)?;
        }
    }
    // It returns when all is sent; on a slow machine perhaps before it has begun.
    put(jump, "pgctrl", "start")?;
    let mut sent = Sent { packets: 0, us: 0 };
    for cable in cables {
        let (packets, us) = await_result(jump, cable)?;
        sent.packets += packets;
        sent.us = sent.us.max(us);
    }
    Ok(sent)
}

/// Adds a device to the thread, which may still be letting go of it.
fn add_device(namespace: &Namespace, device: &str) -> Result<()> {
    let end = Instant::now() + LETTING_GO;
    loop {
        match tell(namespace, THREAD, &format!("add_device {device}")) {
            Err(Error::File { source, .. })
                if source.raw_os_error() == Some(libc::EBUSY) && Instant::now() < end =>
            {
                thread::sleep(Duration::from_millis(50));
            }
            ended => return ended,
        }
    }
}

/// Writes a command, and looks at what pktgen says to it.
fn tell(namespace: &Namespace, file: &str, command: &str) -> Result<()> {
    put(namespace, file, command)?;
    let said = look(namespace, file)?;
    match said.lines().find_map(|line| line.strip_prefix("Result: ")) {
        Some(result) if !result.starts_with("OK") => Err(Error::Unfit(format!(
            "pktgen refuses `{command}` for {file}: {result}"
        ))),
        _ => Ok(()),
    }
}

fn put(namespace: &Namespace, file: &str, command: &str) -> Result<()> {
    let path = format!("{FILES}/{file}");
    let line = format!("{command}\n");
    in_namespace(
        namespace,
        || fs::write(&path, &line),
        || format!("write `{command}` to pktgen's {file} (is the module pktgen loaded?)"),
    )
}

fn look(namespace: &Namespace, file: &str) -> Result<String> {
    let path = format!("{FILES}/{file}");
    in_namespace(
        namespace,
        || fs::read_to_string(&path),
        || format!("read pktgen's {file}"),
    )
}

fn in_namespace<T: Send>(
    namespace: &Namespace,
    work: impl FnOnce() -> io::Result<T> + Send,
    what: impl FnOnce() -> String,
) -> Result<T> {
    namespace
        .enter(work)
        .map_err(|error| Error::file(what())(error))
}

/// Packets and microseconds of a device whose run ends.
fn await_result(namespace: &Namespace, device: &str) -> Result<(u64, u64)> {
    let end = Instant::now() + PATIENCE;
    loop {
        let said = look(namespace, device)?;
        if let Some(result) = parse(&said) {
            return Ok(result);
        }
        if Instant::now() > end {
            put(namespace, "pgctrl", "stop")?;
            return Err(Error::Unfit(format!(
                "pktgen is not done after {} s:\n{said}",
                PATIENCE.as_secs()
            )));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Packets and microseconds in what pktgen says of a device whose run has ended.
fn parse(said: &str) -> Option<(u64, u64)> {
    let after = |text: &str, mark: &str| {
        let (_, rest) = text.split_once(mark)?;
        let digits = rest.trim_start();
        let end = digits
            .find(|char: char| !char.is_ascii_digit())
            .unwrap_or(digits.len());
        digits[..end].parse().ok()
    };
    let result = said
        .lines()
        .find_map(|line| line.strip_prefix("Result: OK: "))?;
    // While it runs, the last command is what is said there.
    let us = after(result, "").filter(|_| result.contains("usec"))?;
    Some((after(said, "pkts-sofar:")?, us))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `pktgen_if_show` writes it (net/core/pktgen.c).
    const DONE: &str = "Params: count 200000  min_pkt_size: 60  max_pkt_size: 60\n\
        Current:\n     pkts-sofar: 200000  errors: 0\n     started: 24us  stopped: 4us idle: 9us\n\
        Result: OK: 3230485(c3229975+d510) usec, 200000 (60byte,0frags)\n  61910pps 29Mb/sec (29716800bps) errors: 0\n";

    #[test]
    fn a_run_has_ended_when_its_time_is_said() {
        assert_eq!(parse(DONE), Some((200_000, 3_230_485)));
        let running = "Params: count 200000\nCurrent:\n     pkts-sofar: 70  errors: 0\n\
                       Result: OK: udp_dst_max=9\n";
        assert_eq!(parse(running), None);
        assert_eq!(
            parse("Current:\n     pkts-sofar: 0  errors: 0\nResult: Idle\n"),
            None
        );
    }
}
