//! The network of the lab.
//!
//! ```text
//!            jump        server2      stranger
//!             │eth0        │eth0         │eth0
//!   ──────────┴───────┬────┴─────────────┴──── one Ethernet segment (a bridge)
//!                     │eth0
//!                    node ── pod0 ── eth0 pod
//! ```
//!
//! Each machine has one IPv4 and one IPv6 address. The peers are in networks of
//! their own, and every network is on link for everybody: no router is needed,
//! and still each peer looks to policy like what it is.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::host::{Host, Mac};
use crate::{Namespace, Nic, Result, WorkDir};

/// The whole lab. Dropping it takes everything away.
#[derive(Debug)]
pub struct Lab {
    /// The machine under test.
    pub node: Host,
    /// Where administrators come from.
    pub jump: Host,
    /// Another node of the same cluster.
    pub node2: Host,
    /// Somebody on the Internet.
    pub stranger: Host,
    /// A pod or container on the node, on `pod0`; reaches nothing but the node
    /// before [`Self::masquerade`].
    pub pod: Host,
    /// The segment: a bridge `br0`, and a port `p-NAME` for each machine on it.
    pub segment: Namespace,
    /// Files of the lab.
    pub dir: WorkDir,
}

/// IPv4 network of the pods on the node.
const POD_GATEWAY_V4: &str = "10.42.0.1/24";
/// IPv6 network of the pods on the node.
const POD_GATEWAY_V6: &str = "2001:db8:42::1/64";

impl Lab {
    /// Builds the lab: well under a second on an idle machine.
    ///
    /// # Errors
    /// Without root, `ip`, or a kernel with bridges and veth.
    pub fn new() -> Result<Self> {
        let lab = Self::apart()?;
        lab.connect_segment(&lab.on_segment())?;
        lab.connect_pod()?;
        Ok(lab)
    }

    /// The peers on the segment, and the node beside it: it has no network before
    /// [`Self::plug`]. There is no pod.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn unplugged() -> Result<Self> {
        let lab = Self::apart()?;
        quicken(&lab.node.namespace)?;
        lab.connect_segment(&lab.peers())?;
        Ok(lab)
    }

    /// Connects the node by whatever stands between it and the segment: `port`, an
    /// interface in the segment's namespace, joins the bridge; `device`, one in the
    /// node's, gets the node's addresses and the default routes.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn plug(&self, port: &str, device: &str) -> Result<()> {
        self.segment
            .ip([format!("link set {port} master br0 up")])?;
        self.node.namespace.ip(uplink(&self.node, device))
    }

    /// Only the node and the jump host, over real interfaces with a cable between them.
    /// The others are there without a network. When the lab is dropped the kernel gives
    /// the interfaces back, and the next lab can have them.
    ///
    /// # Errors
    /// Without root or `ip`, or if the interfaces are not free.
    pub fn over(node: &Nic, jump: &Nic) -> Result<Self> {
        let lab = Self::apart()?;
        for (host, nic) in [(&lab.node, node), (&lab.jump, jump)] {
            quicken(&host.namespace)?;
            nic.lend(&host.namespace)?;
        }
        for host in [&lab.node, &lab.jump] {
            host.namespace.ip(uplink(host, "eth0"))?;
        }
        Ok(lab)
    }

    /// The machines without any network between them.
    fn apart() -> Result<Self> {
        let dir = WorkDir::new()?;
        Ok(Self {
            node: Host {
                name: "node",
                namespace: Namespace::with_bpffs()?,
                v4: (Ipv4Addr::new(10, 0, 0, 10), 24),
                v6: (Ipv6Addr::new(0x2001, 0xdb8, 0, 0x10, 0, 0, 0, 0x10), 64),
                mac: mac(1),
            },
            jump: Host {
                name: "jump",
                namespace: Namespace::new()?,
                v4: (Ipv4Addr::new(10, 0, 9, 5), 24),
                v6: (Ipv6Addr::new(0x2001, 0xdb8, 0, 0x9, 0, 0, 0, 0x5), 64),
                mac: mac(2),
            },
            node2: Host {
                name: "node2",
                namespace: Namespace::new()?,
                v4: (Ipv4Addr::new(10, 0, 0, 12), 24),
                v6: (Ipv6Addr::new(0x2001, 0xdb8, 0, 0x10, 0, 0, 0, 0x12), 64),
                mac: mac(3),
            },
            stranger: Host {
                name: "stranger",
                namespace: Namespace::new()?,
                v4: (Ipv4Addr::new(203, 0, 113, 66), 24),
                v6: (Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0x66), 64),
                mac: mac(4),
            },
            pod: Host {
                name: "pod",
                namespace: Namespace::new()?,
                v4: (Ipv4Addr::new(10, 42, 0, 20), 24),
                v6: (Ipv6Addr::new(0x2001, 0xdb8, 0x42, 0, 0, 0, 0, 0x20), 64),
                mac: mac(5),
            },
            segment: Namespace::new()?,
            dir,
        })
    }

    /// The machines on the segment.
    #[must_use]
    pub fn on_segment(&self) -> [&Host; 4] {
        [&self.node, &self.jump, &self.node2, &self.stranger]
    }

    /// The machines that the node can talk to.
    #[must_use]
    pub fn peers(&self) -> [&Host; 3] {
        [&self.jump, &self.node2, &self.stranger]
    }

    /// Gives pods the network as most container networks do: under the node's own
    /// address, by netfilter.
    ///
    /// # Errors
    /// Without `nft`, or a kernel without NAT.
    pub fn masquerade(&self) -> Result<()> {
        let rules = "\
            table ip lab { chain out { type nat hook postrouting priority 100; \
              ip saddr 10.42.0.0/24 oifname eth0 masquerade; }; }\n\
            table ip6 lab { chain out { type nat hook postrouting priority 100; \
              ip6 saddr 2001:db8:42::/64 oifname eth0 masquerade; }; }\n";
        let node = &self.node.namespace;
        node.sysctl("net/ipv4/ip_forward", "1")?;
        node.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        node.run_with_input("nft", &["-f", "-"], rules).map(drop)
    }

    /// Takes the node's cable away, its `eth0` with it.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn cut(&self) -> Result<()> {
        self.segment.ip(["link del p-node"])
    }

    /// Brings a cable again after [`Self::cut`]: a new `eth0`, down and without addresses.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn replace_cable(&self) -> Result<()> {
        self.segment.ip([
            veth("p-node", &self.node),
            "link set p-node master br0 up".to_owned(),
        ])
    }

    /// Brings the node's `eth0` up with its addresses and routes, of which it may have some.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn bring_up(&self) -> Result<()> {
        self.node.namespace.ip(uplink(&self.node, "eth0"))
    }

    fn connect_segment(&self, hosts: &[&Host]) -> Result<()> {
        let mut lines = vec![
            // A learning switch and nothing else: no querier, no spanning tree.
            "link add br0 type bridge mcast_snooping 0 stp_state 0".to_owned(),
            "link set br0 up".to_owned(),
        ];
        for host in hosts {
            quicken(&host.namespace)?;
            let port = format!("p-{}", host.name);
            lines.push(veth(&port, host));
            lines.push(format!("link set {port} master br0 up"));
        }
        self.segment.ip(lines)?;
        for host in hosts {
            host.namespace.ip(uplink(host, "eth0"))?;
        }
        Ok(())
    }

    fn connect_pod(&self) -> Result<()> {
        quicken(&self.pod.namespace)?;
        self.node.namespace.ip([
            veth("pod0", &self.pod),
            "link set pod0 up".to_owned(),
            format!("addr add {POD_GATEWAY_V4} dev pod0"),
            format!("addr add {POD_GATEWAY_V6} dev pod0 nodad"),
        ])?;
        let via = |prefix: &str| prefix.split('/').next().unwrap_or(prefix).to_owned();
        let routes = [POD_GATEWAY_V4, POD_GATEWAY_V6].map(|own| format!("eth0 via {}", via(own)));
        self.pod.namespace.ip(addressed(&self.pod, "eth0", &routes))
    }
}

/// One end here, `eth0` in the host's namespace.
fn veth(here: &str, host: &Host) -> String {
    format!(
        "link add {here} type veth peer name eth0 address {} netns {}",
        crate::frame::mac_text(host.mac),
        host.namespace.path().display(),
    )
}

/// Brings a device up with the host's addresses; everything else is on link there.
fn uplink(host: &Host, device: &str) -> Vec<String> {
    addressed(host, device, &[device.to_owned(), device.to_owned()])
}

/// The same, with the ways of the default routes: IPv4, IPv6. It may have some of it.
fn addressed(host: &Host, device: &str, [v4_way, v6_way]: &[String; 2]) -> Vec<String> {
    vec![
        format!("link set {device} up"),
        format!("addr replace {}/{} dev {device}", host.v4.0, host.v4.1),
        format!(
            "addr replace {}/{} dev {device} nodad",
            host.v6.0, host.v6.1
        ),
        format!("route replace 0.0.0.0/0 dev {v4_way}"),
        format!("route replace ::/0 dev {v6_way}"),
    ]
}

/// Addresses are usable at once: nobody else is on this network.
fn quicken(namespace: &Namespace) -> Result<()> {
    namespace.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
    namespace.sysctl("net/ipv6/conf/default/router_solicitations", "0")
}

/// A locally administered address (IEEE 802, second bit of the first byte).
const fn mac(number: u8) -> Mac {
    [0x02, 0xf3, 0, 0, 0, number]
}
