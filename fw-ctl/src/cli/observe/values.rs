//! What filters of `fw-ctl observe` are given, each as Hubble's client reads it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use fw_common::wire::DropReason;
use ipnet::IpNet;

use crate::glob::check_glob;
use crate::observe::filter::{Filter, Interface, Kind, Labels, Pod, Side, protocols};
use crate::observe::json::drop_reason_desc;
use crate::observe::{Identity, Message, Told};

type Read = Result<(), String>;

/// An address or a prefix.
pub fn address(side: &mut Side, text: &str) -> Read {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let net = address.or_else(|_| text.parse());
    let net =
        net.map_err(|_| "it is no address and no prefix (10.0.0.0/8, 2001:db8::1)".to_owned())?;
    side.address.push(net.trunc());
    Ok(())
}

/// A port.
pub fn port(side: &mut Side, text: &str) -> Read {
    let port = text
        .parse()
        .map_err(|_| "it is no port (1-65535)".to_owned())?;
    side.port.push(port);
    Ok(())
}

/// A number or the name of a reserved identity.
pub fn identity(side: &mut Side, text: &str) -> Read {
    let number = Identity::number_of(text).ok_or_else(|| {
        "it is neither a number nor a reserved identity (host, world, remote-node, \
         kube-apiserver, health, ingress, init, unmanaged)"
            .to_owned()
    })?;
    side.identity.push(number);
    Ok(())
}

/// A selector of labels.
pub fn label(side: &mut Side, text: &str) -> Read {
    side.label.push(Labels::parse(text)?);
    Ok(())
}

/// The namespace of a pod.
pub fn namespace(side: &mut Side, text: &str) -> Read {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    side.namespace.push(text.to_owned());
    Ok(())
}

/// A pod, or how its name begins.
pub fn pod(side: &mut Side, text: &str) -> Read {
    let pod = Pod::parse(text);
    side.pod
        .push(pod.ok_or_else(|| "it names neither a pod nor a namespace".to_owned())?);
    Ok(())
}

/// The cluster of a node or pod.
pub fn cluster(side: &mut Side, text: &str) -> Read {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    side.cluster.push(text.to_owned());
    Ok(())
}

/// Labels of the node that tells the flow.
pub fn node_label(filter: &mut Filter, text: &str) -> Read {
    filter.node_label.push(Labels::parse(text)?);
    Ok(())
}

/// `policy-verdict`, `drop`, `drop:133`.
pub fn message(filter: &mut Filter, text: &str) -> Read {
    let (name, sub_type) = text
        .split_once(':')
        .map_or((text, None), |(name, sub)| (name, Some(sub)));
    match (name, sub_type) {
        ("policy-verdict", None) => filter.message.push(Message::PolicyVerdict.into()),
        ("policy-verdict", Some(_)) => {
            return Err(
                "a policy-verdict has no sub-types; --policy and --verdict tell them apart"
                    .to_owned(),
            );
        }
        ("drop", None) => filter.message.push(Message::Drop.into()),
        ("drop", Some(text)) => filter.message.push(Kind {
            message: Message::Drop,
            reason: Some(reason_number(text)?),
        }),
        ("trace" | "l7" | "agent" | "debug" | "capture" | "trace-sock" | "recorder", _) => {
            return Err(format!(
                "fw-ctl tells verdicts and drops, and has no {name} events; leave it out, or \
                 write policy-verdict or drop"
            ));
        }
        _ => return Err("it is no type: write policy-verdict, drop or drop:REASON".to_owned()),
    }
    Ok(())
}

/// What became of the packet, in Hubble's words.
pub fn verdict(filter: &mut Filter, text: &str) -> Read {
    let told = match text.to_ascii_uppercase().as_str() {
        "FORWARDED" => Told::Allow,
        "DROPPED" => Told::Deny,
        "AUDIT" => Told::Audit,
        _ => return Err("fw-ctl's verdicts are FORWARDED, DROPPED and AUDIT".to_owned()),
    };
    filter.verdict.push(told);
    Ok(())
}

/// A reason by Hubble's name or Cilium's number.
pub fn reason(filter: &mut Filter, text: &str) -> Read {
    filter.reason.push(reason_number(text)?);
    Ok(())
}

/// Several reasons may share a number.
fn reason_number(text: &str) -> Result<u8, String> {
    let name = text.to_ascii_uppercase();
    let known = || (0..=u8::MAX).map_while(DropReason::from_slot);
    let found = known()
        .find(|reason| drop_reason_desc(*reason) == name || reason.number().to_string() == text);
    found.map(DropReason::number).ok_or_else(|| {
        let names: BTreeSet<_> = known().map(drop_reason_desc).collect();
        let names: Vec<_> = names.into_iter().collect();
        format!("fw-ctl's reasons are {}", names.join(", "))
    })
}

/// A protocol by its name or number.
pub fn protocol(filter: &mut Filter, text: &str) -> Read {
    match protocols(text) {
        Some([]) => {
            return Err("it is of layer 7, and fw-ctl judges packets; filter by --port".to_owned());
        }
        Some(numbers) => filter.protocol.extend(numbers),
        None => filter.protocol.push(text.parse().map_err(|_| {
            "it is no protocol: write tcp, udp, sctp, icmp, icmpv4, icmpv6, vrrp, igmp or a number".to_owned()
        })?),
    }
    Ok(())
}

/// `syn`, `syn,ack`.
pub fn tcp_flags(filter: &mut Filter, text: &str) -> Read {
    const NAMES: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
    let mut flags = 0;
    for name in text.split(',') {
        let name = name.trim().to_ascii_lowercase();
        let bit = NAMES.iter().position(|known| *known == name);
        let bit = bit.ok_or_else(|| format!("TCP's flags are {}", NAMES.join(", ")))?;
        flags |= 1 << bit;
    }
    filter.tcp_flags.push(flags);
    Ok(())
}

/// `ingress`, `egress`.
pub fn direction(filter: &mut Filter, text: &str) -> Read {
    filter
        .ingress
        .push(match text.to_ascii_lowercase().as_str() {
            "ingress" => true,
            "egress" => false,
            _ => return Err("it is no direction: write ingress or egress".to_owned()),
        });
    Ok(())
}

/// `4`, `6`; with a `v` before it, too.
pub fn family(filter: &mut Filter, text: &str) -> Read {
    filter.family.push(match text.trim_start_matches('v') {
        "4" => 4,
        "6" => 6,
        _ => return Err("it is no version of IP: write 4 or 6".to_owned()),
    });
    Ok(())
}

/// `true`, `false`.
pub fn reply(filter: &mut Filter, text: &str) -> Read {
    let reply = text.parse().map_err(|_| "write true or false".to_owned())?;
    filter.reply.push(reply);
    Ok(())
}

/// What one flow is called.
pub fn uuid(filter: &mut Filter, text: &str) -> Read {
    filter.uuid.push(a_uuid(text)?);
    Ok(())
}

/// As flows are called, in lower case.
///
/// # Errors
/// That it is none.
pub fn a_uuid(text: &str) -> Result<String, String> {
    let parts = text.split('-').map(str::len);
    let is_hex = |byte: u8| byte == b'-' || byte.is_ascii_hexdigit();
    if parts.eq([8, 4, 4, 4, 12]) && text.bytes().all(is_hex) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("it is no UUID; fw-ctl observe -o json tells the uuid of each flow".to_owned())
}

/// A pattern of `cluster/node`.
pub fn node(filter: &mut Filter, text: &str) -> Read {
    // `cluster/`: all nodes there.
    let parts = text.split('/').filter(|part| !part.is_empty());
    parts.clone().try_for_each(check_glob)?;
    if parts.count() == 0 {
        return Err("it names no node and no cluster".to_owned());
    }
    filter.node.push(text.to_owned());
    Ok(())
}

/// A pattern of names of interfaces.
pub fn interface(filter: &mut Filter, text: &str) -> Read {
    check_glob(text)?;
    filter.interface.push(Interface {
        name: Some(text.to_owned()),
        index: None,
    });
    Ok(())
}

/// `212`, `untagged`.
pub fn vlan(filter: &mut Filter, text: &str) -> Read {
    let id = match text {
        "untagged" => Some(0),
        _ => text.parse().ok().filter(|id| (1..=4_094).contains(id)),
    };
    let id = id.ok_or_else(|| "it is no VLAN: write 1-4094, or untagged".to_owned())?;
    filter.vlan.push(id);
    Ok(())
}

/// A pattern of names of policies.
pub fn policy(filter: &mut Filter, text: &str) -> Read {
    check_glob(text)?;
    filter.policy.push(text.to_owned());
    Ok(())
}
