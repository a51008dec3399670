//! A device that appears with an address while somebody sends to it: how long is it
//! before the filter is there, and how much is delivered meanwhile?
//!
//! The sender's neighbour entry is permanent, so that the first packet needs no ARP. Each
//! datagram says when it was sent; the last one that a socket of the node gets tells the
//! end of the window, and the moment at which the address was asked for its beginning.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sandbox::{Error, Namespace, Result, probe};

use super::counters::segments_delivered;
use super::flows::VXLAN;
use super::report::Report;
use super::stage::{Sources, Stage, Xdp};

/// How often a device appears: a veth, a VLAN.
const REPETITIONS: [usize; 2] = [20, 10];
/// Silence that means that the filter is there.
const QUIET: Duration = Duration::from_millis(200);
/// Between two datagrams: what the end of the window is measured in. Without it the
/// sender would take the CPU that the daemon needs.
const STEP: Duration = Duration::from_micros(50);
/// The longest that a filter may take, in an emulated machine; generous.
const BOUND: Duration = Duration::from_secs(5);
/// The node's address on the device, and its peer's.
const HERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// The node's end of the cable that appears.
const DEVICE: &str = "new0";
/// Hardware address of the device.
const MAC: &str = "02:f3:00:00:02:01";
/// A port that nothing listens on here but the test itself, and nobody may use.
const PORT: u16 = 7777;

/// One appearance.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// From the request for the address to the last datagram that got through.
    open: Duration,
    datagrams: usize,
    segments: u64,
}

/// A veth with an address, and then one whose VLAN has it: filtered is [`DEVICE`] both times.
///
/// # Errors
/// If something cannot be tried.
pub fn later(sources: &Sources, report: &mut Report) -> Result<()> {
    let stage = Stage::new(sources, Xdp::Auto)?;
    let kinds = [("veth", false), ("vlan", true)];
    for ((kind, vlan), repetitions) in kinds.into_iter().zip(REPETITIONS) {
        let mut windows = Vec::new();
        for _ in 0..repetitions {
            windows.push(appear(&stage, vlan)?);
        }
        tell(report, kind, &mut windows);
    }
    Ok(())
}

fn tell(report: &mut Report, kind: &str, windows: &mut [Window]) {
    windows.sort_by_key(|window| window.open);
    let micros = |window: &Window| window.open.as_micros();
    let (least, most) = (&windows[0], &windows[windows.len() - 1]);
    let middle = &windows[windows.len() / 2];
    report.data(
        format!("{kind}: unfiltered for, in us: least, median, most"),
        format!("{} {} {}", micros(least), micros(middle), micros(most)),
    );
    let sum = |of: fn(&Window) -> u64| windows.iter().map(of).sum::<u64>();
    report.data(
        format!(
            "{kind}: delivered in {} appearances: datagrams, segments",
            windows.len()
        ),
        format!("{} {}", sum(|w| w.datagrams as u64), sum(|w| w.segments)),
    );
    let bound = BOUND.as_micros() as u64;
    report.at_most(format!("{kind}: us unfiltered"), bound, micros(most) as u64);
}

/// Lets a device appear under fire and go again.
fn appear(stage: &Stage, vlan: bool) -> Result<Window> {
    let (node, peer) = (&stage.lab.node.namespace, &stage.lab.stranger.namespace);
    let (here, there) = if vlan {
        ("new0.7", "far0.7")
    } else {
        ("new0", "far0")
    };
    peer.ip([
        format!(
            "link add far0 type veth peer name new0 address {MAC} netns {}",
            node.path().display()
        ),
        "link set far0 up".to_owned(),
    ])?;
    if vlan {
        peer.ip([
            "link add link far0 name far0.7 type vlan id 7",
            "link set far0.7 up",
        ])?;
    }
    peer.ip([
        format!("addr add {THERE}/24 dev {there}"),
        format!("neigh replace {HERE} lladdr {MAC} nud permanent dev {there}"),
    ])?;
    let socket = node
        .enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)))
        .map_err(Error::io(format!("listen on {PORT}/udp")))?;
    socket
        .set_read_timeout(Some(QUIET))
        .map_err(Error::io("set a time-out"))?;
    let before = segments_delivered(node)?;

    let stop = AtomicBool::new(false);
    let epoch = Instant::now();
    let window = thread::scope(|scope| {
        scope.spawn(|| flood(peer, epoch, &stop));
        scope.spawn(|| knock(peer, &stop));
        let window = receive(stage, &socket, epoch, here, vlan);
        stop.store(true, Ordering::Relaxed);
        window
    });
    let segments = segments_delivered(node)? - before;
    peer.ip(["link del far0"])?;
    // The next one has the same name: this one shall be forgotten first.
    stage.await_status(|status| status.ingress_of(DEVICE).is_none())?;
    let window = window?;
    Ok(Window { segments, ..window })
}

/// Brings the device up with its address and takes what is delivered, until nothing has
/// been for a while although the filter is said to be there.
fn receive(
    stage: &Stage,
    socket: &UdpSocket,
    epoch: Instant,
    device: &str,
    vlan: bool,
) -> Result<Window> {
    let node = &stage.lab.node.namespace;
    let mut lines = Vec::new();
    if vlan {
        lines.push("link set new0 up".to_owned());
        lines.push(format!("link add link new0 name {device} type vlan id 7"));
    }
    lines.push(format!("link set {device} up"));
    lines.push(format!("addr add {HERE}/24 dev {device}"));
    let began = epoch.elapsed();
    node.ip(lines)?;
    let mut window = Window::default();
    let end = Instant::now() + 2 * BOUND;
    while Instant::now() < end {
        let mut sent = [0; 8];
        if socket.recv(&mut sent).is_ok() {
            let sent = Duration::from_nanos(u64::from_ne_bytes(sent));
            window.datagrams += 1;
            window.open = window.open.max(sent.saturating_sub(began));
        } else if stage.fw_ctl.status()?.ingress_of(DEVICE).is_some() {
            return Ok(window);
        }
    }
    Err(Error::Unexpected(format!(
        "{device} is not filtered after {} s: {:?}",
        2 * BOUND.as_secs(),
        stage.fw_ctl.status()?.unfiltered
    )))
}

/// Sends datagrams; each says when it was sent.
fn flood(from: &Namespace, epoch: Instant, stop: &AtomicBool) {
    let Ok(socket) = from.enter(|| UdpSocket::bind((THERE, 0))) else {
        return;
    };
    let to = SocketAddr::from((HERE, PORT));
    while !stop.load(Ordering::Relaxed) {
        let now = u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // As long as the other end is not up there is no carrier, and an error.
        let _ = socket.send_to(&now.to_ne_bytes(), to);
        thread::sleep(STEP);
    }
}

/// Sends SYNs, one after the other.
fn knock(from: &Namespace, stop: &AtomicBool) {
    let to = SocketAddr::from((HERE, VXLAN));
    while !stop.load(Ordering::Relaxed) {
        // It is not for the answer: what the node's TCP has received is counted.
        let _ = probe::connect(Duration::from_millis(2), from, None, to);
    }
}
