//! A node with policies in both directions, and what changes of them would cut.

use std::sync::Arc;

use fw_common::wire::{DropReason, Origin, Phase};

use super::*;
use crate::compile::plan::{Mode, Plan};
use crate::compile::{Enforcement, Failsafe, Options, compile};
use crate::diagnostic::{Source, Span};
use crate::exit;
use crate::inventory::Identities;
use crate::policy::rules::{
    CidrBlock, CidrMatchMode, DirectionRules, Origin as Place, PeerSelector, Peers, Rule, RuleSet,
    ServiceRange, Services, Switch,
};
use crate::sockets::{Began, Connection, State, TCP, UDP};

const NODE: &str = "10.0.0.10";

fn place(rule: &str, line: usize) -> Place {
    Place {
        policy: "host-all".into(),
        rule: rule.into(),
        source: Arc::new(Source {
            name: "host-all.yaml".into(),
            text: String::new(),
        }),
        span: Span {
            line,
            ..Span::default()
        },
        log: String::new(),
    }
}

fn port(protocol: u8, port: u16) -> ServiceRange {
    ServiceRange::Ports {
        protocol,
        first: port,
        last: port,
    }
}

/// Default deny where there are rules: each allows a port for a prefix, in a line.
fn direction(rules: &[(u8, u16, &str, usize)], line: usize) -> DirectionRules {
    let rule = |(protocol, number, cidr, line): &(u8, u16, &str, usize)| Rule {
        deny: false,
        peers: Peers::Only(vec![PeerSelector::Cidr(CidrBlock {
            cidr: cidr.parse().unwrap(),
            except: vec![],
        })]),
        services: Services::Only(vec![port(*protocol, *number)]),
        rate: None,
        vlans: None,
        origin: place("ingress[0]", *line),
    };
    DirectionRules {
        default_deny: vec![Switch {
            origin: place("ingress[0]", line),
            vlans: None,
        }],
        rules: rules.iter().map(rule).collect(),
    }
}

/// What each plan allows in, and out; `None`: no policy of that direction.
type Rules<'a> = Option<&'a [(u8, u16, &'a str, usize)]>;

fn plan_with(ingress: Rules<'_>, egress: Rules<'_>, failsafe: Vec<Failsafe>) -> Plan {
    let none = DirectionRules::default;
    let rules = RuleSet {
        directions: [
            ingress.map_or_else(none, |rules| direction(rules, 9)),
            egress.map_or_else(none, |rules| direction(rules, 30)),
        ],
    };
    let options = Options {
        mode: Mode::Enforce,
        builtins: u32::MAX,
        enforcement: Enforcement::Default,
        cidr_match_mode: CidrMatchMode::World,
        failsafe,
        vlans: None,
    };
    compile(&rules, &Identities::default(), &options).unwrap()
}

fn plan(ingress: Rules<'_>, egress: Rules<'_>) -> Plan {
    plan_with(ingress, egress, Vec::new())
}

fn judge(plan: &Plan, mode: Mode) -> Judge<'_> {
    Judge {
        plan,
        mode,
        banned: &|_| false,
    }
}

/// Connections by `protocol local remote`, with who began them.
fn sockets(open: &[(u8, &str, &str, Began)]) -> Sockets {
    let connection = |(protocol, local, remote, began): &(u8, &str, &str, Began)| Connection {
        protocol: *protocol,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        state: State::Established,
        began: *began,
    };
    Sockets {
        connections: open.iter().map(connection).collect(),
        notes: Vec::new(),
    }
}

struct Node {
    local: LocalAddresses,
    places: Places,
    sockets: Sockets,
    remembered: Vec<Remembered>,
    seen: Vec<Seen>,
    ssh_ports: BTreeSet<u16>,
    asker: Option<SshSession>,
}

impl Node {
    fn new(open: &[(u8, &str, &str, Began)]) -> Self {
        Self {
            local: [NODE.parse().unwrap(), "fd00::10".parse().unwrap()].into(),
            places: Places::default(),
            sockets: sockets(open),
            remembered: Vec::new(),
            seen: Vec::new(),
            ssh_ports: [22].into(),
            asker: None,
        }
    }

    fn traffic(&self) -> Traffic<'_> {
        Traffic {
            local: &self.local,
            places: &self.places,
            sockets: &self.sockets,
            remembered: &self.remembered,
            seen: &self.seen,
            ssh_ports: &self.ssh_ports,
            asker: self.asker,
        }
    }

    /// Lines of what enforcing `new` in the place of nothing would cut.
    fn cut_by(&self, new: &Plan) -> Vec<String> {
        harm(None, &judge(new, Mode::Enforce), &self.traffic()).lines()
    }
}

fn session(client: &str) -> SshSession {
    SshSession {
        client: client.parse().unwrap(),
        server: "10.0.0.10:22".parse().unwrap(),
    }
}

fn seen(direction: Direction, remote: &str, service: u16) -> Seen {
    Seen {
        direction,
        local: NODE.parse().unwrap(),
        remote: remote.parse().unwrap(),
        protocol: TCP,
        service,
        vlan: 0,
        reason: DropReason::DefaultDeny as u8,
        count: 1,
        age: 12,
    }
}

#[test]
fn the_askers_own_session_comes_first_and_then_those_of_others() {
    let mut node = Node::new(&[
        (TCP, "10.0.0.10:6443", "10.2.0.1:40000", Began::Peer),
        (TCP, "10.0.0.10:6443", "10.2.0.1:40001", Began::Peer),
        (TCP, "10.0.0.10:22", "10.1.101.111:50001", Began::Peer),
        (TCP, "10.0.0.10:22", "10.1.101.110:50512", Began::Peer),
        (TCP, "10.0.0.10:443", "10.3.0.1:40000", Began::Peer),
    ]);
    node.asker = Some(session("10.1.101.110:50512"));
    let new = plan(Some(&[(TCP, 443, "0.0.0.0/0", 12)]), None);
    let harm = harm(None, &judge(&new, Mode::Enforce), &node.traffic());
    assert_eq!((harm.connections, harm.own_ssh), (4, true));
    let failure = harm.refusal();
    assert_eq!(failure.exit, exit::REFUSED);
    assert_eq!(
        failure.message,
        "this change would cut 4 connections that are open now, your own SSH session among them\n\
         your SSH session 10.1.101.110:50512 -> 10.0.0.10:22/TCP: \
         default-deny of policy host-all (host-all.yaml:9)\n\
         SSH session 10.1.101.111:50001 -> 10.0.0.10:22/TCP: \
         default-deny of policy host-all (host-all.yaml:9)\n\
         2 connections from 10.2.0.1 to 6443/TCP: \
         default-deny of policy host-all (host-all.yaml:9)"
    );
    assert!(failure.help.unwrap().contains("--force"));
}

#[test]
fn the_askers_session_is_judged_also_where_sockets_are_not_known() {
    let mut node = Node::new(&[]);
    node.asker = Some(session("10.1.101.110:50512"));
    let new = plan(Some(&[]), None);
    assert_eq!(node.cut_by(&new).len(), 1);
    // It came to an address that is not the node's: through a NAT we know nothing of.
    node.asker.as_mut().unwrap().server = "192.0.2.1:22".parse().unwrap();
    assert_eq!(node.cut_by(&new), [""; 0]);
    // A failsafe entry lets it in, and so it is not cut.
    node.asker = Some(session("10.1.101.110:50512"));
    let failsafe = Failsafe {
        direction: Direction::Ingress,
        services: vec![port(TCP, 22)],
        cidr: None,
        origin: String::new(),
    };
    let safe = plan_with(Some(&[]), None, vec![failsafe]);
    assert_eq!(node.cut_by(&safe), [""; 0]);
}

#[test]
fn a_connection_is_judged_by_the_direction_in_which_it_began() {
    let node = Node::new(&[
        (TCP, "10.0.0.10:443", "10.3.0.1:40000", Began::Peer),
        (TCP, "10.0.0.10:40000", "10.3.0.2:5432", Began::Node),
        (UDP, "10.0.0.10:40001", "10.3.0.3:53", Began::Node),
    ]);
    let web: Rules<'_> = Some(&[(TCP, 443, "0.0.0.0/0", 1)]);
    let database: Rules<'_> = Some(&[(TCP, 5_432, "0.0.0.0/0", 1)]);
    // What they answer is denied by the other direction: it is remembered.
    assert_eq!(node.cut_by(&plan(web, None)), [""; 0]);
    assert_eq!(
        node.cut_by(&plan(web, database)),
        ["connection 10.0.0.10:40001 -> 10.3.0.3:53/UDP: \
          default-deny of policy host-all (host-all.yaml:30)"]
    );
    assert_eq!(
        node.cut_by(&plan(None, Some(&[]))),
        [
            "connection 10.0.0.10:40000 -> 10.3.0.2:5432/TCP: \
             default-deny of policy host-all (host-all.yaml:30)",
            "connection 10.0.0.10:40001 -> 10.3.0.3:53/UDP: \
             default-deny of policy host-all (host-all.yaml:30)",
        ]
    );
}

#[test]
fn where_nobody_knows_who_began_it_either_will_do() {
    let node = Node::new(&[(TCP, "10.0.0.10:22", "10.3.0.1:40000", Began::Unknown)]);
    let ssh: Rules<'_> = Some(&[(TCP, 22, "0.0.0.0/0", 1)]);
    let out: Rules<'_> = Some(&[(TCP, 40_000, "0.0.0.0/0", 1)]);
    assert_eq!(node.cut_by(&plan(ssh, Some(&[]))), [""; 0]);
    assert_eq!(node.cut_by(&plan(Some(&[]), out)), [""; 0]);
    let cut = node.cut_by(&plan(Some(&[]), Some(&[])));
    assert!(
        cut[0].starts_with("SSH session 10.3.0.1:40000 -> 10.0.0.10:22/TCP"),
        "{cut:?}"
    );
}

#[test]
fn of_two_directions_that_is_named_which_passes_now() {
    let node = Node::new(&[(UDP, "10.0.0.10:5001", "10.3.0.1:9999", Began::Unknown)]);
    let out: Rules<'_> = Some(&[(UDP, 9_999, "0.0.0.0/0", 1)]);
    let (old, new) = (plan(Some(&[]), out), plan(Some(&[]), Some(&[])));
    let [old, new] = [&old, &new].map(|plan| judge(plan, Mode::Enforce));
    let lines = harm(Some(&old), &new, &node.traffic()).lines();
    assert!(
        lines[0].starts_with("connection 10.0.0.10:5001 -> 10.3.0.1:9999/UDP"),
        "{lines:?}"
    );
}

#[test]
fn only_what_passes_now_is_cut() {
    let node = Node::new(&[
        (TCP, "10.0.0.10:80", "10.3.0.1:40000", Began::Peer),
        (TCP, "10.0.0.10:443", "10.3.0.1:40000", Began::Peer),
    ]);
    let web = plan(Some(&[(TCP, 443, "0.0.0.0/0", 1)]), None);
    let nothing = plan(Some(&[]), None);
    let count = |old: Option<Mode>, new| {
        let old = old.map(|mode| judge(&web, mode));
        harm(old.as_ref(), &judge(&nothing, new), &node.traffic()).connections
    };
    assert_eq!(count(None, Mode::Enforce), 2);
    assert_eq!(count(Some(Mode::Audit), Mode::Enforce), 2);
    // Port 80 is cut already.
    assert_eq!(count(Some(Mode::Enforce), Mode::Enforce), 1);
    for old in [None, Some(Mode::Audit), Some(Mode::Enforce)] {
        assert_eq!(count(old, Mode::Audit), 0);
    }
}

#[test]
fn what_is_over_on_both_sides_is_not_cut() {
    let mut node = Node::new(&[(TCP, "10.0.0.10:80", "10.3.0.1:40000", Began::Peer)]);
    let nothing = plan(Some(&[]), None);
    assert_eq!(node.cut_by(&nothing).len(), 1);
    node.sockets.connections[0].state = State::Closing;
    assert_eq!(node.cut_by(&nothing), [""; 0]);
}

#[test]
fn bans_count_where_the_mode_comes_to_enforce() {
    let node = Node::new(&[(TCP, "10.0.0.10:443", "10.3.0.1:40000", Began::Peer)]);
    let open = plan(None, None);
    let banned = |address: IpAddr| address == IpAddr::from([10, 3, 0, 1]);
    let with = |mode| Judge {
        banned: &banned,
        ..judge(&open, mode)
    };
    let lines = |old| harm(Some(&with(old)), &with(Mode::Enforce), &node.traffic()).lines();
    assert_eq!(
        lines(Mode::Audit),
        ["connection 10.3.0.1:40000 -> 10.0.0.10:443/TCP: banned-peer"]
    );
    assert_eq!(lines(Mode::Enforce), [""; 0]);
}

#[test]
fn what_never_meets_the_filter_is_not_cut() {
    let nothing = plan(Some(&[]), Some(&[]));
    for (local, remote) in [
        ("127.0.0.1:22", "127.0.0.1:40000"),
        ("10.0.0.10:22", "10.0.0.10:40000"),
        ("[fd00::10]:22", "[::1]:40000"),
        // Not the node's: of a container that shares its namespace, forwarded.
        ("10.42.0.1:22", "10.3.0.1:40000"),
    ] {
        let node = Node::new(&[(TCP, local, remote, Began::Peer)]);
        assert_eq!(node.cut_by(&nothing), [""; 0], "{local} {remote}");
    }
    // The built-in that lets a DHCP client work, and multicast.
    let node = Node::new(&[
        (UDP, "10.0.0.10:68", "10.0.0.1:67", Began::Node),
        (UDP, "10.0.0.10:40000", "239.0.0.1:5000", Began::Node),
    ]);
    assert_eq!(node.cut_by(&nothing), [""; 0]);
}

#[test]
fn what_the_datapath_remembers_counts_beside_sockets() {
    let mut node = Node::new(&[(TCP, "10.0.0.10:40000", "10.3.0.2:5432", Began::Node)]);
    let end = |text: &str| text.parse().unwrap();
    let remembered = |local, remote, idle| Remembered {
        key: seeds::key(TCP, end(local), end(remote)),
        origin: Origin::Remote,
        idle,
    };
    node.remembered = vec![
        // A published port of a container: its socket is in another namespace.
        remembered("10.0.0.10:8080", "10.3.0.1:40000", 5),
        // Silent for longer than counts.
        remembered("10.0.0.10:8080", "10.3.0.1:40001", 601),
        // Guessed wrongly; the socket knows better.
        remembered("10.0.0.10:40000", "10.3.0.2:5432", 0),
    ];
    assert_eq!(
        node.cut_by(&plan(Some(&[]), None)),
        ["connection 10.3.0.1:40000 -> 10.0.0.10:8080/TCP: \
          default-deny of policy host-all (host-all.yaml:9)"]
    );
}

#[test]
fn what_was_allowed_lately_is_told_once_and_with_its_peers() {
    let mut node = Node::new(&[(TCP, "10.0.0.10:9100", "10.3.0.1:40000", Began::Peer)]);
    for peer in ["10.3.0.1", "10.3.0.5", "10.3.0.4", "10.3.0.3", "10.3.0.2"] {
        node.seen.push(seen(Direction::Ingress, peer, 9_100));
    }
    node.seen.push(Seen {
        age: 601,
        ..seen(Direction::Ingress, "10.3.0.9", 9_100)
    });
    node.seen.push(Seen {
        protocol: ICMP,
        count: 3,
        ..seen(Direction::Ingress, "10.3.0.9", 8)
    });
    let scrape = plan(Some(&[(TCP, 9_100, "0.0.0.0/0", 12)]), None);
    let fewer = plan(Some(&[(TCP, 9_100, "10.3.0.2/32", 12)]), None);
    let now = judge(&scrape, Mode::Enforce);
    let harm = harm(Some(&now), &judge(&fewer, Mode::Enforce), &node.traffic());
    assert_eq!(
        harm.headline(),
        "this change would cut 1 connection that is open now, and drop what has passed lately"
    );
    assert_eq!(
        harm.lines(),
        [
            "connection 10.3.0.1:40000 -> 10.0.0.10:9100/TCP: \
             default-deny of policy host-all (host-all.yaml:9)",
            "from 10.3.0.3, 10.3.0.4, 10.3.0.5 to 9100/TCP, seen 3 times, last 12 s ago: \
             default-deny of policy host-all (host-all.yaml:9)",
        ]
    );
}

/// As when a pod has gone whose address a stranger has: the plan in force denies it.
#[test]
fn what_a_former_plan_allowed_does_not_count() {
    let mut node = Node::new(&[]);
    node.seen = vec![seen(Direction::Ingress, "10.3.0.1", 9_100)];
    let scrape = plan(Some(&[(TCP, 9_100, "0.0.0.0/0", 12)]), None);
    let nothing = plan(Some(&[]), None);
    let lines = |old, mode| {
        let old = judge(old, mode);
        harm(Some(&old), &judge(&nothing, Mode::Enforce), &node.traffic())
            .lines()
            .len()
    };
    for (old, mode, expected) in [
        (&nothing, Mode::Audit, 0),
        (&nothing, Mode::Enforce, 0),
        (&scrape, Mode::Audit, 1),
        (&scrape, Mode::Enforce, 1),
    ] {
        assert_eq!(lines(old, mode), expected, "{mode:?}");
    }
}

#[test]
fn many_services_and_peers_are_counted_not_listed() {
    let texts: Vec<_> = (1..=30_u16)
        .flat_map(|number| {
            let peers = (1..=number).map(move |peer| format!("10.3.{number}.{peer}:40000"));
            peers.map(move |peer| (format!("10.0.0.10:{number}"), peer))
        })
        .collect();
    let open: Vec<_> = texts
        .iter()
        .map(|(local, remote)| (TCP, local.as_str(), remote.as_str(), Began::Peer))
        .collect();
    let mut node = Node::new(&open);
    node.sockets.notes.push("UDP is not known".into());
    let lines = node.cut_by(&plan(Some(&[]), None));
    assert_eq!(lines.len(), 20 + 2);
    // SSH before all others.
    assert!(
        lines[0].starts_with("22 SSH sessions from 10.3.22.1, 10.3.22.2 and 20 more to 22/TCP: ")
    );
    assert!(
        lines[1].starts_with("30 connections from 10.3.30.1, 10.3.30.2 and 28 more to 30/TCP: ")
    );
    assert_eq!(lines[20..], ["and 10 more services", "UDP is not known"]);
}

#[test]
fn connections_are_remembered_whose_answers_are_denied_and_no_others() {
    let node = Node::new(&[
        (TCP, "10.0.0.10:443", "10.3.0.1:40000", Began::Peer),
        (TCP, "10.0.0.10:22", "10.3.0.1:40001", Began::Unknown),
        (TCP, "10.0.0.10:40000", "10.3.0.2:5432", Began::Node),
        (UDP, "10.0.0.10:40001", "10.3.0.3:53", Began::Node),
        (TCP, "10.0.0.10:40002", "10.0.0.10:22", Began::Node),
    ]);
    let seeds = |ingress: Rules<'_>, egress: Rules<'_>, mode| -> Vec<_> {
        let plan = plan(ingress, egress);
        let seeds = seeds(&judge(&plan, mode), &node.traffic());
        seeds
            .iter()
            .map(|seed| (seed.key.local_port, seed.origin, seed.phase, seed.certain))
            .collect()
    };
    let ssh: Rules<'_> = Some(&[(TCP, 22, "0.0.0.0/0", 1), (TCP, 443, "0.0.0.0/0", 1)]);
    let (here, there) = (Origin::Local, Origin::Remote);
    let (tcp, udp) = (Phase::Established, Phase::Answered);
    assert_eq!(seeds(None, None, Mode::Enforce), []);
    // The node's own connections, under default deny of ingress.
    let own = [(40_000, here, tcp, true), (40_001, here, udp, true)];
    let as_client = (22, here, tcp, false);
    assert_eq!(seeds(ssh, None, Mode::Enforce), own);
    assert_eq!(
        seeds(Some(&[]), None, Mode::Enforce),
        [as_client, own[0], own[1]]
    );
    // Those of its clients, under default deny of egress, unless they are cut anyway.
    let clients = [(443, there, tcp, true), (22, there, tcp, false)];
    assert_eq!(seeds(None, Some(&[]), Mode::Enforce), clients);
    assert_eq!(seeds(ssh, Some(&[]), Mode::Enforce), clients);
    assert_eq!(seeds(Some(&[]), Some(&[]), Mode::Enforce), []);
    // In audit mode nothing is cut, and answers are not to look like connections.
    let all = [clients[0], own[0], own[1]];
    assert_eq!(seeds(Some(&[]), Some(&[]), Mode::Audit), all);
}

#[test]
fn audit_mode_tells_what_the_plan_would_still_drop() {
    let new = plan(Some(&[(TCP, 443, "0.0.0.0/0", 12)]), Some(&[]));
    let judge = judge(&new, Mode::Audit);
    let scans = (1..=12_u64).map(|n| Seen {
        age: n * 60,
        ..seen(Direction::Ingress, &format!("203.0.113.{n}"), 23)
    });
    let mut all: Vec<_> = scans.collect();
    // A rule allows it by now.
    all.push(seen(Direction::Ingress, "203.0.113.1", 443));
    all.push(Seen {
        age: 8_000,
        count: 2,
        ..seen(Direction::Egress, "10.3.0.2", 5_432)
    });
    all.push(Seen {
        reason: DropReason::TinyFragment as u8,
        protocol: UDP,
        ..seen(Direction::Ingress, "203.0.113.2", 0)
    });
    assert_eq!(
        audited(&judge, &all).lines(),
        [
            "audit mode let this pass, which is dropped in enforce mode:",
            "from 203.0.113.2 to 0/UDP, once, last 12 s ago: tiny-fragment",
            "from 203.0.113.1, 203.0.113.2 and 10 more to 23/TCP, 12 times, last 60 s ago: \
             default-deny of policy host-all (host-all.yaml:9)",
            "to 5432/TCP of 10.3.0.2, 2 times, last 2 h ago: \
             default-deny of policy host-all (host-all.yaml:30)",
        ]
    );
    assert_eq!(audited(&judge, &[]).lines(), [""; 0]);
}

#[test]
fn the_data_says_what_the_words_say() {
    let mut node = Node::new(&[(TCP, "10.0.0.10:22", "10.1.101.110:50512", Began::Peer)]);
    node.asker = Some(session("10.1.101.110:50512"));
    let new = plan(Some(&[]), None);
    let harm = harm(None, &judge(&new, Mode::Enforce), &node.traffic());
    assert_eq!(
        harm.headline(),
        "this change would cut your own SSH session"
    );
    let json = serde_json::to_value(&harm).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "schema": 1, "connections": 1, "own_ssh": true, "more": 0, "notes": [],
            "cuts": [{
                "kind": "own-ssh", "count": 1, "direction": "ingress", "protocol": 6,
                "service": 22, "source": "10.1.101.110:50512", "destination": "10.0.0.10:22",
                "peers": {"named": ["10.1.101.110"], "more": 0},
                "because": {"reason": "default-deny", "policy": "host-all",
                    "rule": "ingress[0]", "origin": "host-all.yaml:9"},
            }],
        })
    );
    assert_eq!(serde_json::from_value::<Harm>(json).unwrap(), harm);
}
