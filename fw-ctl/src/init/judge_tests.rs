//! Who could open a connection, by the shipped policies.

use std::net::Ipv4Addr;

use super::super::tests::{root, wish};
use super::super::{Profile, draft};
use super::*;
use crate::sockets::TCP;

fn on(protocol: u8, port: u16) -> Listening {
    Listening {
        protocol,
        port,
        addresses: [Ipv4Addr::UNSPECIFIED.into()].into(),
        v4: true,
        v6: true,
        ..Listening::default()
    }
}

/// What is said of these ports on a host with these files.
fn judged(profile: Profile, files: &[(&str, &str)], ports: &[(u8, u16)]) -> Vec<Port> {
    let root = root(files);
    let wish = wish(profile, root.path());
    let draft = draft(&wish).unwrap();
    let mut found = draft.found;
    found.listening = ports
        .iter()
        .map(|(protocol, port)| on(*protocol, *port))
        .collect();
    judge(&wish, &found, &draft.files).unwrap().ports
}

fn said(ports: &[Port]) -> Vec<String> {
    let ports = ports.iter().map(|port| {
        let names: Vec<_> = port.open_to.iter().map(|who| who.name()).collect();
        format!(
            "{} {}: {}",
            port.listening.port,
            names.join("+"),
            port.because
        )
    });
    ports.collect()
}

#[test]
fn ports_of_a_server_of_rke2_are_open_to_those_who_need_them() {
    let ports = [22, 111, 443, 2379, 6443, 9345, 10_250].map(|port| (TCP, port));
    let ports = [
        &ports[..],
        &[(UDP, 68), (UDP, 546), (UDP, 5353), (UDP, 8472)],
    ]
    .concat();
    let judged = judged(Profile::Rke2Server, &[], &ports);
    let expected = [
        "22 everybody: [failsafe]",
        "111 : default deny of rke2-etcd",
        "443 everybody: rke2-web",
        "2379 API servers: rke2-etcd",
        "6443 admin+cluster: rke2-servers",
        "9345 admin+cluster: rke2-servers",
        "10250 cluster: rke2-every-node",
        "68 admin: built-in dhcpv4-client",
        "546 : default deny of rke2-etcd",
        "5353 : default deny of rke2-etcd",
        "8472 nodes: rke2-every-node",
    ];
    let said = said(&judged);
    assert_eq!(said, expected);
    assert_eq!(judged[0].by_policy, [Who::Admin]);
    assert_eq!(judged[1].by_policy, []);
}

#[test]
fn a_client_of_dhcp_is_reached_by_its_server() {
    let root = root(&[]);
    let wish = wish(Profile::Plain, root.path());
    let draft = draft(&wish).unwrap();
    let mut found = draft.found;
    let of = |v4, port| Listening {
        v4,
        v6: !v4,
        ..on(UDP, port)
    };
    found.listening = vec![of(true, 68), of(false, 546), of(true, 546)];
    let ports = judge(&wish, &found, &draft.files).unwrap().ports;
    let expected = [
        "68 everybody: built-in dhcpv4-client",
        "546 everybody: built-in dhcpv6-client",
        "546 : default deny of plain-host",
    ];
    assert_eq!(said(&ports), expected);
}

#[test]
fn an_agent_has_none_of_a_server_s_ports() {
    let ports = [(TCP, 2379), (TCP, 6443), (TCP, 10_250)];
    let judged = judged(Profile::Rke2Agent, &[], &ports);
    assert_eq!(judged[0].open_to, []);
    assert_eq!(judged[1].open_to, []);
    assert_eq!(judged[2].open_to, [Who::Cluster]);
}

#[test]
fn other_policies_and_drop_ins_count() {
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
                  metadata: {name: metrics}\nspec:\n  nodeSelector: {}\n  ingress:\n  \
                  - fromEntities: [world]\n    toPorts: [{ports: [{port: '9100', protocol: TCP}]}]\n";
    let drop_in = "[failsafe]\ninbound = []\n";
    let files = [
        ("etc/fw-ctl/policies/metrics.yaml", policy),
        ("etc/fw-ctl/conf.d/ssh.toml", drop_in),
    ];
    let judged = judged(Profile::Plain, &files, &[(TCP, 22), (TCP, 9100)]);
    assert_eq!(
        said(&judged),
        ["22 admin: plain-host", "9100 everybody: metrics"]
    );
}

#[test]
fn an_admin_network_of_one_family_is_asked_about_in_that_one() {
    let root = root(&[]);
    let wish = wish(Profile::Plain, root.path());
    let draft = draft(&wish).unwrap();
    let mut found = draft.found;
    let only_v6 = Listening {
        v4: false,
        ..on(TCP, 22)
    };
    found.listening = vec![on(TCP, 22), only_v6];
    let ports = judge(&wish, &found, &draft.files).unwrap().ports;
    assert_eq!(ports[0].by_policy, [Who::Admin]);
    assert_eq!(
        ports[1].by_policy,
        [],
        "nobody of the admin networks speaks IPv6"
    );
}

#[test]
fn an_example_of_a_network_is_a_host_of_it() {
    for (prefix, expected) in [
        ("10.0.9.0/24", "10.0.9.1"),
        ("10.0.9.7/32", "10.0.9.7"),
        ("10.0.9.6/31", "10.0.9.6"),
        ("0.0.0.0/0", "0.0.0.1"),
    ] {
        assert_eq!(
            example(prefix.parse().unwrap()).to_string(),
            expected,
            "{prefix}"
        );
    }
}
