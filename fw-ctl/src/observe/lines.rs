//! Flows as `hubble observe` prints them (Cilium `hubble/pkg/printer/printer.go`), to the letter.

use std::net::SocketAddr;

use super::identity::Identity;
use super::json::summary;
use super::local::{Layout, local};
use super::{Endpoint, Flow, Message, Record, Told};

/// What is in a line beside the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// `--time-format`
    pub time: Layout,
    /// `--print-node-name`
    pub node: bool,
    /// `--print-policy-names`
    pub policies: bool,
}

/// Above the columns of a table, and before the lines of a block.
pub const HEADER: [&str; 7] = [
    "TIMESTAMP",
    "NODE",
    "SOURCE",
    "DESTINATION",
    "TYPE",
    "VERDICT",
    "SUMMARY",
];

/// What stands below each of [`HEADER`]; no node unless it is asked for.
#[must_use]
pub fn cells(flow: &Flow, style: Style) -> [String; HEADER.len()] {
    let record = &*flow.record;
    let node = match style.node {
        true => record.node.to_string(),
        false => String::new(),
    };
    [
        local(record.time, style.time),
        node,
        side(&record.source, record),
        side(&record.destination, record),
        kind(flow),
        verdict(flow, style),
        summary(record),
    ]
}

/// `Nov 21 04:06:23.000: 10.0.2.2:47500 (world) <> 10.0.2.15:6443 (host) policy-verdict:none INGRESS AUDITED (TCP Flags: SYN)`
#[must_use]
pub fn compact(flow: &Flow, style: Style) -> String {
    let [time, node, source, destination, kind, verdict, summary] = cells(flow, style);
    let node = match style.node {
        true => format!(" [{node}]"),
        false => node,
    };
    let arrow = match flow.record.is_reply() {
        None => "<>",
        Some(false) => "->",
        Some(true) => "<-",
    };
    format!("{time}{node}: {source} {arrow} {destination} {kind} {verdict} ({summary})")
}

/// A block of lines with a key each; `------------` stands between two blocks.
#[must_use]
pub fn dict(flow: &Flow, style: Style) -> String {
    let lines = HEADER.iter().zip(cells(flow, style));
    let lines = lines.filter(|(key, _)| style.node || **key != "NODE");
    let lines: Vec<_> = lines
        .map(|(key, cell)| format!("{key:>11}: {cell}"))
        .collect();
    lines.join("\n")
}

/// `10.0.2.2:47500 (world)`, and of a pod `shop/web-0:47500 (ID:4711)`; without a port where there
/// is none.
fn side(side: &Endpoint, record: &Record) -> String {
    let who = match &*side.pod {
        "" => address(side, record),
        pod => {
            let pod = format!("{}/{pod}", side.namespace());
            match side.port {
                port if port != 0 && has_ports(record.protocol) => format!("{pod}:{port}"),
                _ => pod,
            }
        }
    };
    format!("{who} {}", named(&side.identity))
}

/// `10.0.2.2:47500`; without a port where there is none.
#[must_use]
pub fn address(side: &Endpoint, record: &Record) -> String {
    match side.port {
        _ if record.family == 0 => "<unknown>".to_owned(),
        // The identifier of an echo is no port.
        port if port != 0 && has_ports(record.protocol) => {
            SocketAddr::new(side.address, port).to_string()
        }
        _ => side.address.to_string(),
    }
}

/// TCP, UDP and SCTP.
#[must_use]
pub fn has_ports(protocol: u8) -> bool {
    [6, 17, 132].contains(&protocol)
}

/// `(world)`, `(ID:4711)`.
fn named(identity: &Identity) -> String {
    match identity.reserved_name() {
        Some(name) => format!("({name})"),
        None => format!("(ID:{})", identity.number),
    }
}

fn kind(flow: &Flow) -> String {
    let record = &flow.record;
    match flow.message {
        Message::Drop => match record.drop_reason() {
            Some(reason) => reason.text().to_owned(),
            None => "Unknown".to_owned(),
        },
        Message::PolicyVerdict => {
            let direction = if record.ingress { "INGRESS" } else { "EGRESS" };
            format!("policy-verdict:{} {direction}", record.match_type())
        }
    }
}

fn verdict(flow: &Flow, style: Style) -> String {
    let record = &flow.record;
    let verdict = match (flow.message, record.told) {
        (Message::Drop, _) => return "DROPPED".to_owned(),
        (_, Told::Allow) => "ALLOWED",
        (_, Told::Deny) => "DENIED",
        (_, Told::Audit) => "AUDITED",
    };
    match record.decided_by().filter(|_| style.policies) {
        Some(policy) => format!("{verdict} BY {policy} (CiliumClusterwideNetworkPolicy)"),
        None => verdict.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::text::tests::record;
    use super::*;

    fn flow(message: Message, change: impl FnOnce(&mut Record)) -> Flow {
        let mut record = record();
        change(&mut record);
        Flow {
            message,
            record: Arc::new(record),
        }
    }

    /// Without the time, which is where the test runs.
    fn line(flow: &Flow, style: Style) -> String {
        let text = compact(flow, style);
        let time = local(flow.record.time, style.time);
        text.strip_prefix(&time).unwrap().to_owned()
    }

    #[test]
    fn compact_lines_are_hubbles() {
        let style = Style::default();
        let audited = flow(Message::PolicyVerdict, |_| ());
        assert_eq!(
            line(&audited, style),
            ": 10.0.2.2:47500 (world) <> 10.0.2.15:6443 (host) policy-verdict:none INGRESS AUDITED (TCP Flags: SYN)"
        );
        let all = Style {
            time: Layout::Rfc3339Nano,
            node: true,
            policies: true,
        };
        assert_eq!(
            line(&audited, all),
            " [default/node1]: 10.0.2.2:47500 (world) <> 10.0.2.15:6443 (host) policy-verdict:none INGRESS AUDITED BY host-all (CiliumClusterwideNetworkPolicy) (TCP Flags: SYN)"
        );
        let deny = |record: &mut Record| record.told = Told::Deny;
        assert_eq!(
            line(&flow(Message::PolicyVerdict, deny), style),
            ": 10.0.2.2:47500 (world) <> 10.0.2.15:6443 (host) policy-verdict:none INGRESS DENIED (TCP Flags: SYN)"
        );
        assert_eq!(
            line(&flow(Message::Drop, deny), style),
            ": 10.0.2.2:47500 (world) <> 10.0.2.15:6443 (host) Policy denied DROPPED (TCP Flags: SYN)"
        );
        let pod = flow(Message::PolicyVerdict, |record| {
            (record.told, record.reason, record.ingress) = (Told::Allow, None, false);
            std::mem::swap(&mut record.source, &mut record.destination);
            record.protocol = 17;
            Arc::make_mut(&mut record.destination.identity).number = 4_711;
            Arc::make_mut(record.rule.as_mut().unwrap()).match_type = "L3-L4".into();
        });
        assert_eq!(
            line(&pod, style),
            ": 10.0.2.15:6443 (host) -> 10.0.2.2:47500 (ID:4711) policy-verdict:L3-L4 EGRESS ALLOWED (UDP)"
        );
    }

    #[test]
    fn what_has_no_ports_and_what_could_not_be_read() {
        let named = flow(Message::PolicyVerdict, |record| {
            record.source.pod = "web-0".into();
            record.source.identity = Arc::new(Identity {
                number: 4_711,
                labels: vec!["k8s:io.kubernetes.pod.namespace=shop".into()],
            });
        });
        assert_eq!(
            line(&named, Style::default()),
            ": shop/web-0:47500 (ID:4711) <> 10.0.2.15:6443 (host) policy-verdict:none INGRESS AUDITED (TCP Flags: SYN)"
        );
        let echo = flow(Message::PolicyVerdict, |record| {
            record.protocol = 1;
            record.icmp_type = 8;
            record.source.port = 77;
        });
        assert_eq!(
            line(&echo, Style::default()),
            ": 10.0.2.2 (world) <> 10.0.2.15 (host) policy-verdict:none INGRESS AUDITED (ICMPv4 EchoRequest)"
        );
        let unread = flow(Message::Drop, |record| {
            (record.family, record.told, record.reason) = (0, Told::Deny, Some(2));
        });
        assert_eq!(
            line(&unread, Style::default()),
            ": <unknown> (world) <> <unknown> (host) Invalid packet DROPPED ()"
        );
    }

    #[test]
    fn a_block_has_a_line_for_each_key() {
        let style = Style::default();
        let audited = flow(Message::PolicyVerdict, |_| ());
        let text = dict(&audited, style);
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "     SOURCE: 10.0.2.2:47500 (world)",
                "DESTINATION: 10.0.2.15:6443 (host)",
                "       TYPE: policy-verdict:none INGRESS",
                "    VERDICT: AUDITED",
                "    SUMMARY: TCP Flags: SYN",
            ]
        );
        assert!(text.starts_with("  TIMESTAMP: "));
        let node = Style {
            node: true,
            ..style
        };
        assert!(dict(&audited, node).contains("\n       NODE: default/node1\n"));
    }
}
