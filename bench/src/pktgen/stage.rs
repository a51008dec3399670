//! One peer on a node of its own, with all its interfaces.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use sandbox::{Lab, Nic};

use super::layout::{self, Device};
use crate::bpf::calls::{Link, Program};
use crate::bpf::{self, Action};
use crate::counters::{self, Received};
use crate::peer::fw_ctl::{self, Started};
use crate::peer::rules::Rules;
use crate::peer::{Means, Peer};
use crate::{Error, Result};

/// The policies of an RKE2 server: TCP 443 is open to the world.
const RULES: Rules = Rules::Host {
    open_udp: false,
    egress: false,
};
/// Who answers for all addresses that are not on link.
const GATEWAY: &str = "10.0.0.254";
/// How long the last packets of a sample may be on their way.
const TAIL: Duration = Duration::from_secs(3);

/// A peer in force.
pub struct Stage {
    /// Who.
    pub peer: Peer,
    /// Its place among the peers.
    pub number: usize,
    /// `node` receives, `jump` sends.
    pub lab: Lab,
    held: Held,
}

enum Held {
    Nothing,
    Xdp { _links: Vec<Link> },
    FwCtl(Box<Started>),
}

impl Stage {
    /// Gives the peer its interfaces and puts it in force.
    ///
    /// # Errors
    /// Interfaces are missing, or the peer does not do what it shall.
    pub fn new(number: usize, peer: Peer, means: &Means) -> Result<Self> {
        let cabled = |end| layout::cabled(number, end);
        let lab = Lab::over(&Nic::named(&cabled(0))?, &Nic::named(&cabled(1))?)?;
        for (port, name) in layout::PORTS.iter().enumerate() {
            layout::lend(&cabled(2 + 2 * port), &lab.node.namespace, name)?;
            layout::lend(&cabled(3 + 2 * port), &lab.jump.namespace, name)?;
        }
        layout::lend(
            &layout::switched(number),
            &lab.node.namespace,
            layout::SWITCH,
        )?;
        connect(&lab, number)?;
        let held = install(&lab, peer, means)?;
        Ok(Self {
            peer,
            number,
            lab,
            held,
        })
    }

    /// Packets that the peer has refused so far, by its own count.
    ///
    /// # Errors
    /// It does not tell.
    pub fn refused(&self, device: Device) -> Result<u64> {
        match &self.held {
            Held::Nothing => self
                .text("snmp")
                .map(|text| counters::udp(&text, &["NoPorts"])),
            Held::Xdp { .. } => Ok(self.received(device)?.dropped),
            Held::FwCtl(started) => {
                let status = started.fw_ctl.status()?;
                let refused = status.counters.iter().filter(|counter| {
                    counter.direction == "ingress" && counter.name.starts_with("dropped/")
                });
                Ok(refused.map(|counter| counter.packets).sum())
            }
        }
    }

    /// Packets refused since there were `before`: as soon as they are `sent`, or when no
    /// more will come.
    ///
    /// # Errors
    /// The peer does not tell.
    pub fn await_refused(&self, device: Device, before: u64, sent: u64) -> Result<u64> {
        let end = Instant::now() + TAIL;
        loop {
            let refused = self.refused(device)? - before;
            if refused >= sent || Instant::now() > end {
                return Ok(refused);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Frames and drops that the drivers have counted on what carries `device`.
    fn received(&self, device: Device) -> Result<Received> {
        let text = self.text("dev")?;
        Ok(device
            .cables()
            .iter()
            .map(|cable| counters::received(&text, cable))
            .sum())
    }

    /// A file of the node in `/proc/net`.
    fn text(&self, file: &str) -> Result<String> {
        let path = format!("/proc/thread-self/net/{file}");
        self.lab
            .node
            .namespace
            .enter(|| fs::read_to_string(&path))
            .map_err(Error::file(format!("read {path}")))
    }

    /// Has a program that passes everything on attached to the interface on the switch
    /// while `work` is done.
    ///
    /// # Errors
    /// It cannot be attached, or those of `work`.
    pub fn passing<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _link = attach(&self.lab, Action::Pass, layout::SWITCH)?;
        work()
    }
}

/// Bond, addresses and routes of the node. Answers to strangers need no resolution of
/// addresses, for the gateway's is known.
fn connect(lab: &Lab, number: usize) -> Result<()> {
    let (node, jump) = (&lab.node.namespace, &lab.jump.namespace);
    let mut lines = vec![
        "link add bond0 type bond mode balance-xor xmit_hash_policy layer3+4 miimon 100".to_owned(),
        "link set bond0 up".to_owned(),
    ];
    for port in layout::PORTS {
        lines.push(format!("link set {port} master bond0"));
        jump.ip([format!("link set {port} up")])?;
    }
    let switch = layout::SWITCH;
    lines.extend([
        format!("addr add {}/24 dev bond0", layout::ON_BOND),
        format!("link set {switch} up"),
        format!("addr add {}/24 dev {switch}", layout::on_switch(number)),
        format!("route replace {} dev eth0", lab.jump.v4.0),
        format!("route replace default via {GATEWAY} dev eth0 onlink"),
        format!(
            "neigh replace {GATEWAY} lladdr {} dev eth0 nud permanent",
            hardware_address(jump, "eth0")?
        ),
    ]);
    node.ip(lines)?;
    Ok(())
}

/// `02:f3:00:00:01:00`
///
/// # Errors
/// There is no such interface.
pub fn hardware_address(namespace: &sandbox::Namespace, device: &str) -> Result<String> {
    let shown = namespace.run("ip", &["-o", "link", "show", "dev", device])?;
    let mut words = shown.split_whitespace();
    words
        .find(|word| *word == "link/ether")
        .and_then(|_| words.next())
        .map(str::to_owned)
        .ok_or_else(|| Error::Unfit(format!("{device} has no hardware address: {shown}")))
}

fn install(lab: &Lab, peer: Peer, means: &Means) -> Result<Held> {
    Ok(match peer {
        Peer::XdpDrop => {
            let cables = Device::ALL.iter().flat_map(|device| device.cables());
            let links = cables.map(|cable| attach(lab, Action::Drop, cable));
            Held::Xdp {
                _links: links.collect::<Result<_>>()?,
            }
        }
        Peer::FwCtlXdp | Peer::FwCtlTc => {
            let xdp = if peer == Peer::FwCtlXdp {
                "native"
            } else {
                "off"
            };
            let started = fw_ctl::start(lab, means, "auto", xdp, RULES, &[])?;
            Held::FwCtl(Box::new(started))
        }
        _ => Held::Nothing,
    })
}

fn attach(lab: &Lab, action: Action, device: &str) -> Result<Link> {
    let program = Program::load(&bpf::bare(action))?;
    lab.node.namespace.enter(|| program.attach(device))
}
