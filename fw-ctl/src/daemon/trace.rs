//! What happens to a packet: by the plan, by what the node has banned and remembers, and
//! by the programs in the kernel, which must say the same.

use std::net::IpAddr;

use fw_common::wire::{Address, Direction, FlowKey, Origin, Phase};

use super::{Compiled, Firewall, Kernel, Sources};
use crate::control::protocol::{Failure, Flow};
use crate::datapath::seed::Known;
use crate::exit;
use crate::policy::rules::PORT_PROTOCOLS;
use crate::trace::{Context, Decision, Step, Trace, compare, decide, judged};

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Traces the first packet of a connection.
    ///
    /// # Errors
    /// When there is no plan, or the kernel cannot be asked.
    pub fn trace(&mut self, flow: Flow) -> Result<Trace, Failure> {
        let (compiled, network) = self.plan().ok_or_else(|| {
            Failure::new(
                exit::UNREACHABLE,
                "no policy was accepted since the daemon started: there is nothing to trace",
            )
            .help("fw-ctl status names the errors")
        })?;
        let local = network.local_addresses();
        let context = Context {
            ban: &|peer| self.ban_of(peer),
            ..compiled.context(&local)
        };
        let (mut trace, decision) = decide(context, flow);
        let direction = match trace.direction.as_deref() {
            Some("ingress") => Direction::Ingress,
            Some(_) => Direction::Egress,
            None => return Ok(trace),
        };
        if let Some(key) = key(&flow, direction) {
            let known = self.kernel.connection(&key)?;
            trace
                .steps
                .push(step("conntrack", connection(known, direction)));
        }
        self.ask_kernel(&mut trace, decision, direction)?;
        Ok(trace)
    }

    /// Adds what the kernel says.
    fn ask_kernel(
        &mut self,
        trace: &mut Trace,
        decision: Decision,
        direction: Direction,
    ) -> Result<(), Failure> {
        let packet = judged(&trace.flow, direction).packet();
        let (local, peer) = match direction {
            Direction::Ingress => (packet.destination, packet.source),
            Direction::Egress => (packet.source, packet.destination),
        };
        if decision == Decision::Banned {
            return self.check_ban(trace, peer);
        }
        let Some((in_force, _)) = &self.installed else {
            return Ok(());
        };
        if self.kernel.active()? != Some(*in_force) {
            return Err(Failure::new(
                exit::UNREACHABLE,
                "the kernel judges by another plan than the one that this daemon installed",
            )
            .help("fw-ctl status says which, fw-ctl reload puts ours in force"));
        }
        let Some(answers) = self.kernel.ask(&packet, local)? else {
            let why = self.unasked();
            trace.steps.push(step("program", why));
            return Ok(());
        };
        let Some((_, Compiled { plan, .. })) = &self.installed else {
            return Ok(());
        };
        if let Some(programs) = compare(plan, decision, &answers) {
            let mut name = "program";
            for line in programs.lines() {
                trace.steps.push(step(name, line));
                name = "";
            }
            trace.programs = Some(programs);
        }
        Ok(())
    }

    /// That the kernel holds a ban, too.
    fn check_ban(&self, trace: &mut Trace, peer: IpAddr) -> Result<(), Failure> {
        if !self.kernel.bans().contains_key(&peer.to_canonical()) {
            return Err(Failure::new(
                exit::UNREACHABLE,
                format!("{peer} is banned, and the kernel does not hold the ban"),
            )
            .help("fw-ctl status names what is wrong, fw-ctl reload writes all bans again"));
        }
        trace.steps.push(step(
            "program",
            "the ban is in the kernel's table".to_owned(),
        ));
        Ok(())
    }

    /// Why the programs cannot be asked.
    fn unasked(&self) -> String {
        match self.kernel.tested().and_then(|tested| tested.failed) {
            Some(why) => format!("not asked: {why}"),
            None => "not asked: those that can be are still being loaded; try again soon".into(),
        }
    }
}

fn step(name: &str, found: String) -> Step {
    Step {
        name: name.into(),
        found,
    }
}

/// The connection, where both of its ports are known.
fn key(flow: &Flow, direction: Direction) -> Option<FlowKey> {
    if flow.source_port == 0 || !PORT_PROTOCOLS.contains(&flow.protocol) {
        return None;
    }
    let source = (Address::from(flow.source), flow.source_port);
    let destination = (Address::from(flow.destination), flow.destination_port);
    let ((local, local_port), (remote, remote_port)) = match direction {
        Direction::Ingress => (destination, source),
        Direction::Egress => (source, destination),
    };
    Some(FlowKey {
        local,
        remote,
        local_port,
        remote_port,
        protocol: flow.protocol,
        pad: [0; 3],
    })
}

/// What it means that a connection is remembered.
fn connection(known: Option<Known>, direction: Direction) -> String {
    let Some(Known {
        origin,
        phase,
        idle,
    }) = known
    else {
        return "not remembered: this is what happens to its first packet".into();
    };
    let phase = match phase {
        Phase::Opening | Phase::Asking => "not answered yet",
        Phase::Established | Phase::Answered => "answered",
        Phase::Closing => "closing",
        Phase::Icmp => "ICMP",
    };
    let (begun, replies) = match origin {
        Origin::Local => ("the node", direction == Direction::Ingress),
        Origin::Remote => ("the peer", direction == Direction::Egress),
    };
    let then = if replies {
        "its packets pass as replies, whatever policy says of a new one"
    } else {
        "its packets are judged as above"
    };
    format!("begun by {begun}, {phase}, seen {idle} s ago: {then}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(source_port: u16, protocol: u8) -> Flow {
        Flow {
            source: "192.0.2.9".parse().unwrap(),
            destination: "10.0.0.1".parse().unwrap(),
            protocol,
            source_port,
            destination_port: 22,
            vlan: 0,
        }
    }

    #[test]
    fn the_nodes_side_of_a_connection_is_local() {
        let ingress = key(&flow(40_000, 6), Direction::Ingress).unwrap();
        assert_eq!((ingress.local_port, ingress.remote_port), (22, 40_000));
        assert_eq!(IpAddr::from(ingress.remote).to_string(), "192.0.2.9");
        let egress = key(&flow(40_000, 6), Direction::Egress).unwrap();
        assert_eq!((egress.local_port, egress.remote_port), (40_000, 22));
        assert_eq!(IpAddr::from(egress.local).to_string(), "192.0.2.9");
        assert_eq!(key(&flow(0, 6), Direction::Ingress), None);
        assert_eq!(key(&flow(40_000, 1), Direction::Ingress), None);
    }

    #[test]
    fn a_remembered_connection_says_whose_replies_pass() {
        let known = |origin| {
            Some(Known {
                origin,
                phase: Phase::Established,
                idle: 3,
            })
        };
        assert_eq!(
            connection(known(Origin::Local), Direction::Ingress),
            "begun by the node, answered, seen 3 s ago: its packets pass as replies, \
             whatever policy says of a new one"
        );
        assert_eq!(
            connection(known(Origin::Remote), Direction::Ingress),
            "begun by the peer, answered, seen 3 s ago: its packets are judged as above"
        );
        let none = connection(None, Direction::Ingress);
        assert!(none.starts_with("not remembered"), "{none}");
    }
}
