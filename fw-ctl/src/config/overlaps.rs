//! Failsafe entries that mean nothing beside others. All of them allow, so none can take
//! back what another says; but one that adds nothing is a mistake, and its counter would
//! stay at zero.

use super::contradictions::Contradiction;
use super::{Failsafe, FailsafeEntry, FailsafePorts};

/// Entries that are there twice, or within another; and `ssh` where it has no meaning.
pub(super) fn contradictions(failsafe: &Failsafe) -> Vec<Contradiction> {
    let mut found = Vec::new();
    for (i, entry) in failsafe.outbound.iter().enumerate() {
        if entry.ports == FailsafePorts::Ssh {
            found.push(Contradiction::new(
                &format!("failsafe.outbound.{i}.port"),
                "\"ssh\" means the ports that this node's sshd listens on\n\
                 outbound, write the number",
            ));
        }
    }
    let lists = [
        ("inbound", &failsafe.inbound),
        ("outbound", &failsafe.outbound),
    ];
    for (list, entries) in lists {
        for (i, entry) in entries.iter().enumerate() {
            let mut others = entries.iter().enumerate().filter(|(j, _)| *j != i);
            // Of two that are the same the second is one too many.
            let wider = others
                .find(|(j, other)| is_within(entry, other) && (*j < i || !is_within(other, entry)));
            let Some((j, other)) = wider else { continue };
            let (one, other_one) = (
                format!("failsafe.{list}[{i}]"),
                format!("failsafe.{list}[{j}]"),
            );
            let message = if entry == other {
                format!("`{one}` is the same as `{other_one}`\nleave one of them out")
            } else {
                format!(
                    "`{one}` adds nothing: all of it is within `{other_one}`\n\
                     leave it out, or make the other narrower"
                )
            };
            found.push(Contradiction::new(&format!("failsafe.{list}.{i}"), message));
        }
    }
    found
}

/// Whether `wide` allows everything that `narrow` does, on every machine: which ports
/// `ssh` is, each says for itself.
fn is_within(narrow: &FailsafeEntry, wide: &FailsafeEntry) -> bool {
    let ports = match (&narrow.ports, &wide.ports) {
        (FailsafePorts::Range(narrow), FailsafePorts::Range(wide)) => {
            wide.start() <= narrow.start() && narrow.end() <= wide.end()
        }
        (FailsafePorts::Ssh, FailsafePorts::Range(wide)) => {
            (*wide.start(), *wide.end()) == (1, u16::MAX)
        }
        (narrow, wide) => narrow == wide,
    };
    let peers = match (&narrow.cidr, &wide.cidr) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(narrow), Some(wide)) => wide.contains(narrow),
    };
    narrow.protocol == wide.protocol && ports && peers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which entries of `inbound` are refused.
    fn refused(entries: &[&str]) -> Vec<String> {
        let toml = format!("inbound = [{}]", entries.join(", "));
        let failsafe: Failsafe = toml_edit::de::from_str(&toml).unwrap();
        let found = contradictions(&failsafe).into_iter();
        found.map(|one| one.path.join(".")).collect()
    }

    #[test]
    fn an_entry_within_another_is_refused_wherever_it_stands() {
        let all = "{ protocol = \"tcp\", port = \"1-100\" }";
        let one = "{ protocol = \"tcp\", port = 22 }";
        let edge = "{ protocol = \"tcp\", port = \"100-101\" }";
        let udp = "{ protocol = \"udp\", port = 22 }";
        let of_few = "{ protocol = \"tcp\", port = 22, cidr = \"192.0.2.0/24\" }";
        let of_fewer = "{ protocol = \"tcp\", port = 22, cidr = \"192.0.2.0/25\" }";
        let of_others = "{ protocol = \"tcp\", port = 22, cidr = \"fd00::/8\" }";
        let ssh = "{ protocol = \"tcp\", port = \"ssh\" }";
        let ssh_of_few = "{ protocol = \"tcp\", port = \"ssh\", cidr = \"10.0.0.0/8\" }";
        let any = "{ protocol = \"tcp\", port = \"1-65535\" }";
        let ping = "{ protocol = \"icmp\" }";
        for (entries, expected) in [
            (vec![all, one], vec!["failsafe.inbound.1"]),
            (vec![one, all], vec!["failsafe.inbound.0"]),
            (vec![one, one], vec!["failsafe.inbound.1"]),
            (
                vec![one, one, one],
                vec!["failsafe.inbound.1", "failsafe.inbound.2"],
            ),
            (vec![of_few, one], vec!["failsafe.inbound.0"]),
            (
                vec![of_few, of_fewer, of_others],
                vec!["failsafe.inbound.1"],
            ),
            (vec![ssh, ssh_of_few], vec!["failsafe.inbound.1"]),
            (vec![ssh, any], vec!["failsafe.inbound.0"]),
            (vec![ping, ping], vec!["failsafe.inbound.1"]),
            (
                vec![all, edge, udp, of_others, ssh_of_few, ping],
                vec!["failsafe.inbound.3"],
            ),
            (vec![one, ssh, udp, edge], vec![]),
        ] {
            assert_eq!(refused(&entries), expected, "{entries:?}");
        }
    }

    #[test]
    fn the_directions_do_not_meet() {
        let toml = "inbound = [{ protocol = \"icmp\" }]\noutbound = [{ protocol = \"icmp\" }]";
        assert_eq!(contradictions(&toml_edit::de::from_str(toml).unwrap()), []);
    }
}
