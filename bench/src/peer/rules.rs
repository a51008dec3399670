//! The rules that peers enforce, in the words of each.

use std::fmt;

use ipnet::IpNet;
use sandbox::Family;

/// What is to be enforced on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rules {
    /// The host policy of an RKE2 server; TCP 443 is open to the world.
    Host {
        /// UDP [`OPEN_UDP`] is open to the world, too.
        open_udp: bool,
        /// Leaving connections are restricted as well, so that replies need state.
        egress: bool,
    },
    /// As many rules, each allowing TCP 22 from a network of its own; none matches.
    Many(usize),
    /// As many prefixes are denied, everything else is allowed.
    Blocklist(Blocklist),
}

/// A list of prefixes by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blocklist {
    /// All of this family.
    pub family: Family,
    /// How many.
    pub count: usize,
}

/// The open port of [`Rules::Host`].
pub const OPEN_UDP: u16 = 9_000;

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host {
                egress: false,
                open_udp: false,
            } => f.write_str("host"),
            Self::Host { egress: false, .. } => f.write_str("host, UDP open"),
            Self::Host { .. } => f.write_str("host, egress restricted"),
            Self::Many(count) => write!(f, "{count} rules"),
            Self::Blocklist(list) => write!(f, "{} prefixes ({})", list.count, list.family),
        }
    }
}

/// A rule of the host rulesets that netfilter's tools get: what the RKE2 policies
/// say, as a person would write it down for a firewall with connection tracking.
struct HostRule {
    /// IPv4 and IPv6 network of the peers; everybody if there is none.
    from: Option<(&'static str, &'static str)>,
    protocol: &'static str,
    /// `6443` or `2379:2381`.
    ports: &'static str,
}

const ADMIN: Option<(&str, &str)> = Some(("10.0.9.0/24", "2001:db8:0:9::/64"));
const NODES: Option<(&str, &str)> = Some(("10.0.0.0/24", "2001:db8:0:10::/64"));
const PODS: Option<(&str, &str)> = Some(("10.42.0.0/16", "2001:db8:42::/48"));

const fn rule(
    from: Option<(&'static str, &'static str)>,
    protocol: &'static str,
    ports: &'static str,
) -> HostRule {
    HostRule {
        from,
        protocol,
        ports,
    }
}

/// With those that every host has (loopback, established, invalid, ICMP), twenty.
const HOST: [HostRule; 16] = [
    rule(ADMIN, "tcp", "22"),
    rule(NODES, "tcp", "10250"),
    rule(PODS, "tcp", "10250"),
    rule(NODES, "udp", "8472"),
    rule(NODES, "udp", "51871"),
    rule(NODES, "udp", "51820:51821"),
    rule(NODES, "tcp", "4240"),
    rule(PODS, "tcp", "4244"),
    rule(NODES, "tcp", "6443"),
    rule(PODS, "tcp", "6443"),
    rule(ADMIN, "tcp", "6443"),
    rule(NODES, "tcp", "9345"),
    rule(ADMIN, "tcp", "9345"),
    rule(NODES, "tcp", "2379:2381"),
    rule(None, "tcp", "80"),
    rule(None, "tcp", "443"),
];

const OPEN: HostRule = rule(None, "udp", "9000");

/// What a node may begin under restricted egress: names, time and the web.
const EGRESS: [(&str, &str); 5] = [
    ("udp", "53"),
    ("tcp", "53"),
    ("udp", "123"),
    ("tcp", "443"),
    ("tcp", "80"),
];

/// Networks of [`Rules::Many`].
fn networks(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|i| format!("10.{}.{}.0/24", i >> 8 & 0xff, i & 0xff))
}

/// For `nft -f -`; blocklists as a set in the ingress hook of `eth0` or, with
/// `raw`, in front of connection tracking.
#[must_use]
pub fn nft(rules: Rules, list: &[IpNet], raw: bool) -> String {
    match rules {
        Rules::Host { open_udp, egress } => nft_host(open_udp, egress),
        Rules::Many(count) => {
            let rules: String = networks(count)
                .map(|network| format!("    ip saddr {network} tcp dport 22 accept\n"))
                .collect();
            format!(
                "table inet bench {{\n  chain input {{\n    type filter hook input priority 0; \
                 policy drop;\n    iif lo accept\n    ct state established,related accept\n\
                 {rules}  }}\n}}\n"
            )
        }
        Rules::Blocklist(blocklist) => {
            let (kind, ip) = match blocklist.family {
                Family::V4 => ("ipv4_addr", "ip"),
                Family::V6 => ("ipv6_addr", "ip6"),
            };
            let elements: Vec<_> = list.iter().map(ToString::to_string).collect();
            let (table, hook) = match raw {
                true => ("inet", "prerouting priority raw"),
                false => ("netdev", "ingress device eth0 priority 0"),
            };
            format!(
                "table {table} bench {{\n  set listed {{\n    type {kind}; flags interval;\n    \
                 elements = {{ {} }}\n  }}\n  chain first {{\n    type filter hook {hook}; \
                 policy accept;\n    {ip} saddr @listed drop\n  }}\n}}\n",
                elements.join(", ")
            )
        }
    }
}

fn nft_host(open_udp: bool, egress: bool) -> String {
    let mut text = String::from(
        "table inet bench {\n  chain input {\n    type filter hook input priority 0; policy drop;\n\
         \x20   iif lo accept\n    ct state established,related accept\n    ct state invalid drop\n\
         \x20   meta l4proto { icmp, ipv6-icmp } accept\n",
    );
    for rule in HOST.iter().chain(open_udp.then_some(&OPEN)) {
        let (protocol, ports) = (rule.protocol, rule.ports.replace(':', "-"));
        match rule.from {
            None => text += &format!("    {protocol} dport {ports} accept\n"),
            Some((v4, v6)) => {
                text += &format!("    ip saddr {v4} {protocol} dport {ports} accept\n");
                text += &format!("    ip6 saddr {v6} {protocol} dport {ports} accept\n");
            }
        }
    }
    text += "  }\n";
    if egress {
        text += "  chain output {\n    type filter hook output priority 0; policy drop;\n    \
                 oif lo accept\n    ct state established,related accept\n    \
                 meta l4proto { icmp, ipv6-icmp } accept\n    ip daddr 10.0.0.0/8 accept\n";
        for (protocol, port) in EGRESS {
            text += &format!("    {protocol} dport {port} accept\n");
        }
        text += "  }\n";
    }
    text + "}\n"
}

/// For `iptables-restore` and `ip6tables-restore`; blocklists by ipset's set
/// `listed`, in front of connection tracking.
#[must_use]
pub fn iptables(rules: Rules, family: Family) -> String {
    match rules {
        Rules::Host { open_udp, egress } => iptables_host(open_udp, egress, family),
        Rules::Many(count) => {
            let rules: String = networks(count)
                .map(|network| format!("-A INPUT -s {network} -p tcp --dport 22 -j ACCEPT\n"))
                .collect();
            format!(
                "*filter\n:INPUT DROP\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n-A INPUT -i lo -j ACCEPT\n\
                 -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n{rules}COMMIT\n"
            )
        }
        Rules::Blocklist(_) => "*raw\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n\
             -A PREROUTING -m set --match-set listed src -j DROP\nCOMMIT\n"
            .to_owned(),
    }
}

fn iptables_host(open_udp: bool, egress: bool, family: Family) -> String {
    let (icmp, own) = match family {
        Family::V4 => ("icmp", "10.0.0.0/8"),
        Family::V6 => ("ipv6-icmp", "2001:db8::/32"),
    };
    let mut text = format!(
        "*filter\n:INPUT DROP\n:FORWARD ACCEPT\n:OUTPUT {}\n-A INPUT -i lo -j ACCEPT\n\
         -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n\
         -A INPUT -m conntrack --ctstate INVALID -j DROP\n-A INPUT -p {icmp} -j ACCEPT\n",
        if egress { "DROP" } else { "ACCEPT" },
    );
    for rule in HOST.iter().chain(open_udp.then_some(&OPEN)) {
        let from = match (rule.from, family) {
            (None, _) => String::new(),
            (Some((v4, _)), Family::V4) => format!("-s {v4} "),
            (Some((_, v6)), Family::V6) => format!("-s {v6} "),
        };
        text += &format!(
            "-A INPUT {from}-p {} --dport {} -j ACCEPT\n",
            rule.protocol, rule.ports
        );
    }
    if egress {
        text += &format!(
            "-A OUTPUT -o lo -j ACCEPT\n\
             -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n\
             -A OUTPUT -p {icmp} -j ACCEPT\n-A OUTPUT -d {own} -j ACCEPT\n"
        );
        for (protocol, port) in EGRESS {
            text += &format!("-A OUTPUT -p {protocol} --dport {port} -j ACCEPT\n");
        }
    }
    text + "COMMIT\n"
}

/// For `ipset restore`.
#[must_use]
pub fn ipset(blocklist: Blocklist, list: &[IpNet]) -> String {
    let family = match blocklist.family {
        Family::V4 => "inet",
        Family::V6 => "inet6",
    };
    let mut text = format!(
        "create listed hash:net family {family} maxelem {}\n",
        list.len().max(65_536)
    );
    for prefix in list {
        text += &format!("add listed {prefix}\n");
    }
    text
}

/// Rules in one file: `fw-ctl` bounds what a single file may hold.
const RULES_IN_A_FILE: usize = 2_000;

/// Policies beside those of the directory that the host's come from: files of YAML.
#[must_use]
pub fn policies(rules: Rules) -> Vec<String> {
    let head = |number: usize| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
             metadata: {{name: bench-{number}}}\nspec:\n  nodeSelector: {{}}\n"
        )
    };
    match rules {
        Rules::Host {
            open_udp: false, ..
        } => Vec::new(),
        Rules::Host { .. } => vec![format!(
            "{}  ingress:\n  - fromEntities: [all]\n    toPorts:\n    \
             - ports: [{{port: \"{OPEN_UDP}\", protocol: UDP}}]\n",
            head(0)
        )],
        Rules::Many(count) => {
            let rules: Vec<_> = networks(count)
                .map(|network| {
                    format!(
                        "  - fromCIDR: [{network}]\n    toPorts:\n    \
                         - ports: [{{port: \"22\", protocol: TCP}}]\n"
                    )
                })
                .collect();
            rules
                .chunks(RULES_IN_A_FILE)
                .enumerate()
                .map(|(number, rules)| format!("{}  ingress:\n{}", head(number), rules.concat()))
                .collect()
        }
        Rules::Blocklist(_) => vec![format!(
            "{}  ingressDeny:\n  - fromCIDRSet:\n    - cidrGroupRef: blocklist\n  \
             ingress:\n  - fromEntities: [all]\n",
            head(0)
        )],
    }
}

/// The object that the policy of [`Rules::Blocklist`] refers to, as JSON.
#[must_use]
pub fn cidr_group(list: &[IpNet]) -> String {
    serde_json::json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumCIDRGroup",
        "metadata": {"name": "blocklist"},
        "spec": {"externalCIDRs": list},
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST_RULES: Rules = Rules::Host {
        open_udp: true,
        egress: true,
    };

    #[test]
    fn each_tool_gets_the_same_host_rules() {
        let nft = nft(HOST_RULES, &[], false);
        let iptables = iptables(HOST_RULES, Family::V4);
        for port in ["10250", "8472", "9345", "9000"] {
            assert!(nft.contains(&format!("dport {port} accept")), "{nft}");
            assert!(
                iptables.contains(&format!("--dport {port} -j ACCEPT")),
                "{iptables}"
            );
        }
        assert_eq!(iptables.matches("-A INPUT").count(), 21);
        assert!(nft.contains("2379-2381") && iptables.contains("2379:2381"));
        assert_eq!(nft.matches('{').count(), nft.matches('}').count());
    }

    #[test]
    fn rules_that_are_many_are_as_many() {
        let policies = policies(Rules::Many(10_000));
        assert_eq!(policies.len(), 5);
        assert_eq!(policies.concat().matches("fromCIDR").count(), 10_000);
        assert!(policies[0].contains("10.3.231.0/24"));
        let text = nft(Rules::Many(1_000), &[], false);
        assert_eq!(text.matches("ip saddr").count(), 1_000);
    }

    #[test]
    fn a_list_is_in_each_form() {
        let list: Vec<IpNet> = vec!["192.0.2.0/24".parse().unwrap()];
        let blocklist = Blocklist {
            family: Family::V4,
            count: 1,
        };
        let rules = Rules::Blocklist(blocklist);
        for text in [
            nft(rules, &list, false),
            nft(rules, &list, true),
            ipset(blocklist, &list),
            cidr_group(&list),
        ] {
            assert!(text.contains("192.0.2.0/24"), "{text}");
        }
    }
}
