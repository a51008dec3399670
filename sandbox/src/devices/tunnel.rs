//! Tunnels: the carrier's policy decides who may send them at all, and what runs inside
//! is judged again where the tunnel is filtered itself.
//!
//! Two tunnels end at the node, `in0` from a peer whose outer packets policy allows, `in1`
//! from one whose outer packets it refuses. Inside, both peers are strangers: they may use
//! the web server, and nothing else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sandbox::probe::{Connection, Outcome};
use sandbox::{Host, Lab, Result};

use super::flows::{self, SSH, WEB};
use super::report::Report;
use super::stage::{Sources, Stage, Xdp};
use super::topology::Topology;
use super::{modes, wireguard};

/// A kind of tunnel.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    /// `ip link add` of one end; `ID`, `OWN` and `PEER` are put in.
    link: &'static str,
    /// Whether administrators are the peer that may send it, by one more policy, for
    /// want of a rule in those for RKE2; else it is the other node.
    by_administrators: bool,
}

const VXLAN: Kind = Kind {
    name: "vxlan",
    link: "type vxlan id ID local OWN remote PEER dstport 8472",
    by_administrators: false,
};
const GENEVE: Kind = Kind {
    name: "geneve",
    // On a port that the policies for RKE2 know.
    link: "type geneve id ID remote PEER dstport 8472",
    by_administrators: false,
};
const IPIP: Kind = Kind {
    name: "ipip",
    link: "type ipip local OWN remote PEER",
    by_administrators: true,
};
const GRE: Kind = Kind {
    name: "gre",
    link: "type gre local OWN remote PEER",
    by_administrators: true,
};
const WIREGUARD: Kind = Kind {
    name: "wireguard",
    link: "type wireguard",
    by_administrators: false,
};

/// Everything from the networks of the administrators, and everything to them.
const ALL_OF_ADMINISTRATORS: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: tunnels}
spec:
  nodeSelector: {}
  ingress:
  - fromCIDRSet: [{cidrGroupRef: admin-networks}]
  egress:
  - toCIDRSet: [{cidrGroupRef: admin-networks}]
";

/// See [`Kind`].
///
/// # Errors
/// If something cannot be tried.
pub fn vxlan(sources: &Sources, report: &mut Report) -> Result<()> {
    run(VXLAN, sources, report)
}

/// See [`Kind`].
///
/// # Errors
/// If something cannot be tried.
pub fn geneve(sources: &Sources, report: &mut Report) -> Result<()> {
    run(GENEVE, sources, report)
}

/// See [`Kind`].
///
/// # Errors
/// If something cannot be tried.
pub fn ipip(sources: &Sources, report: &mut Report) -> Result<()> {
    run(IPIP, sources, report)
}

/// See [`Kind`].
///
/// # Errors
/// If something cannot be tried.
pub fn gre(sources: &Sources, report: &mut Report) -> Result<()> {
    run(GRE, sources, report)
}

/// See [`Kind`].
///
/// # Errors
/// If something cannot be tried.
pub fn wireguard(sources: &Sources, report: &mut Report) -> Result<()> {
    run(WIREGUARD, sources, report)
}

fn run(kind: Kind, sources: &Sources, report: &mut Report) -> Result<()> {
    let more = kind
        .by_administrators
        .then_some(("tunnels", ALL_OF_ADMINISTRATORS));
    let stage = Stage::in_lab(Lab::unplugged()?, sources, Xdp::Auto, more, "fw-ctl")?;
    let lab = &stage.lab;
    Topology::named("nic").plug(lab)?;
    let allowed = if kind.by_administrators {
        &lab.jump
    } else {
        &lab.node2
    };
    for (number, peer) in (0..).zip([allowed, &lab.stranger]) {
        end(kind, number, &lab.node, peer, false)?;
        end(kind, number, peer, &lab.node, true)?;
    }
    stage.check_modes(
        report,
        "",
        modes::expected(kind.name, Xdp::Auto, &super::release()?),
    )?;
    flows::verdicts(&stage, report, "carrier: ");

    let status = stage.fw_ctl.status()?;
    for (number, peer) in (0..).zip([allowed, &lab.stranger]) {
        let tunnel = name(number);
        // What status says of the tunnel is what must be found.
        let filtered = status.ingress_of(&tunnel).is_some();
        let gap = status.unfiltered.iter().find(|row| row.name == tunnel);
        report.check(
            format!("{tunnel} is filtered, or told as a gap"),
            !filtered,
            gap.is_some_and(|row| row.gap),
        );
        for port in [WEB, SSH] {
            let carried = number == 0;
            let passes = carried && (port == WEB || !filtered);
            let expected = if passes {
                Outcome::Answered
            } else {
                Outcome::Silence
            };
            let to = SocketAddr::new(inner(number, false), port);
            let got = ask(peer, to, passes);
            report.check(
                format!("in {tunnel}, {} -> node, {port}/tcp", peer.name),
                expected,
                got,
            );
        }
    }
    Ok(())
}

fn ask(from: &Host, to: SocketAddr, due: bool) -> Outcome {
    let patience = if due { flows::LONG } else { flows::SHORT };
    Connection::open_within(patience, &from.namespace, None, to)
        .and_then(|mut connection| connection.talk("inside"))
        .into()
}

fn name(number: u8) -> String {
    format!("in{number}")
}

/// Address inside a tunnel.
fn inner(number: u8, at_peer: bool) -> IpAddr {
    Ipv4Addr::new(192, 168, number, 1 + u8::from(at_peer)).into()
}

/// Makes one end of a tunnel between two hosts.
fn end(kind: Kind, number: u8, here: &Host, there: &Host, at_peer: bool) -> Result<()> {
    let device = name(number);
    let link = kind
        .link
        .replace("ID", &(7 + number).to_string())
        .replace("OWN", &here.v4.0.to_string())
        .replace("PEER", &there.v4.0.to_string());
    here.namespace.ip([
        format!("link add {device} {link}"),
        format!("addr add {}/24 dev {device}", inner(number, at_peer)),
    ])?;
    if kind.name == WIREGUARD.name {
        wireguard::configure(&here.namespace, &device, number, at_peer, there.v4.0)?;
    }
    here.namespace.ip([format!("link set {device} up")])
}
