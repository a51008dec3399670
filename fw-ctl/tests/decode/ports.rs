//! Ports, protocols, ICMP types.

use fw_ctl::policy::schema::{Port, Protocol};

use super::{accepts, host, policy, ports, rejects, warnings};

#[test]
fn port_numbers_and_names() {
    let port = |text: &str| {
        policy(&ports(text)).specs[0].ingress[0]
            .to_ports
            .as_ref()
            .unwrap()[0]
            .ports[0]
            .port
            .clone()
    };
    assert_eq!(port("{port: '010', protocol: TCP}"), Port::Range(8, 8));
    assert_eq!(
        port("{port: '1_000', protocol: TCP}"),
        Port::Range(1000, 1000)
    );
    assert_eq!(
        port("{port: '0x50', protocol: TCP}"),
        Port::Named("0x50".into())
    );
    assert_eq!(
        port("{port: HTTP, protocol: TCP}"),
        Port::Named("http".into())
    );
    assert_eq!(port("{port: '0', endPort: 9, protocol: TCP}"), Port::All);
    assert_eq!(port("{port: '80', endPort: 79}"), Port::Range(80, 80));
    assert_eq!(port("{port: '80', endPort: 80}"), Port::Range(80, 80));
    assert_eq!(port("{port: '1', endPort: 65535}"), Port::Range(1, 65535));
    assert_eq!(port("{protocol: VRRP}"), Port::All);
    assert_eq!(port("{}"), Port::All);
    let path = "spec.ingress[0].toPorts[0].ports[0].port";
    for wrong in [
        "''",
        "'65536'",
        "'-1'",
        "'080'",
        "'80-90'",
        "' 80'",
        "'80,443'",
        "sixteen-letters-x",
    ] {
        rejects(
            &ports(&format!("{{port: {wrong}, protocol: TCP}}")),
            path,
            "port",
        );
    }
    rejects(&ports("{port: 80}"), path, "must be a string, not a number");
    rejects(
        &ports("{port: '80', endPort: '90'}"),
        "spec.ingress[0].toPorts[0].ports[0].endPort",
        "whole number",
    );
    rejects(
        &ports("{port: '80', endPort: 70000}"),
        "spec.ingress[0].toPorts[0].ports[0].endPort",
        "out of range",
    );
    let many = |n: usize| vec!["{port: '1'}"; n].join(",");
    accepts(&ports(&many(40)));
    rejects(
        &ports(&many(41)),
        "spec.ingress[0].toPorts[0].ports",
        "41 ports",
    );
}

#[test]
fn protocols() {
    for (name, number) in [
        ("VRRP", 112),
        ("IGMP", 2),
        ("GRE", 47),
        ("IPIP", 4),
        ("IPV6", 41),
        ("ESP", 50),
        ("AH", 51),
    ] {
        for port in ["", "port: '0', "] {
            let policy = policy(&ports(&format!("{{{port}protocol: {name}}}")));
            let rule = &policy.specs[0].ingress[0].to_ports.as_ref().unwrap()[0];
            assert_eq!(rule.ports[0].protocol, Protocol::Number(number), "{name}");
            assert_eq!(rule.ports[0].port, Port::All, "{name}");
        }
        let wrong = ports(&format!("{{port: '1', protocol: {name}}}"));
        rejects(
            &wrong,
            "spec.ingress[0].toPorts[0].ports[0].port",
            "no ports",
        );
    }
    for name in ["tcp", "ICMP", "ICMPv6", "'6'", "''", "TPC"] {
        let wrong = ports(&format!("{{port: '1', protocol: {name}}}"));
        rejects(
            &wrong,
            "spec.ingress[0].toPorts[0].ports[0].protocol",
            "not a protocol",
        );
    }
}

#[test]
fn icmp_types() {
    let fields = |fields: &str| host(&format!("ingress: [{{icmps: [{{fields: [{fields}]}}]}}]"));
    let path = "spec.ingress[0].icmps[0].fields[0].type";
    let number = |text: &str| {
        let policy = policy(&fields(text));
        let rule = policy.specs[0].ingress[0].icmps.as_ref().unwrap()[0].clone();
        rule.fields.first().map(|field| (field.v6, field.icmp_type))
    };
    assert_eq!(number("{type: 8}"), Some((false, 8)));
    assert_eq!(number("{type: '8', family: IPv4}"), Some((false, 8)));
    assert_eq!(number("{type: Echo}"), Some((false, 8)));
    assert_eq!(
        number("{type: PacketTooBig, family: IPv6}"),
        Some((true, 2))
    );
    assert_eq!(number("{type: 256}"), None);
    assert_eq!(number("{type: -1}"), None);
    assert!(warnings(&fields("{type: 256}"))[0].contains("matches nothing"));
    assert!(warnings(&fields("{type: 0}"))[0].contains("type 0"));
    for wrong in [
        "PacketTooBig",
        "echorequest",
        "'256'",
        "'08'",
        "''",
        "EchoRequst",
    ] {
        rejects(
            &fields(&format!("{{type: {wrong}}}")),
            path,
            "not an ICMP type of IPv4",
        );
    }
    rejects(&fields("{family: IPv4}"), path, "missing");
    rejects(
        &fields("{type: 8, family: IPv5}"),
        "spec.ingress[0].icmps[0].fields[0].family",
        "IPv5",
    );
    rejects(
        &fields("{type: 8, code: 0}"),
        "spec.ingress[0].icmps[0].fields[0].code",
        "unknown field",
    );
    rejects(
        &fields(&vec!["{type: 8}"; 41].join(",")),
        "spec.ingress[0].icmps[0].fields",
        "41 types",
    );
    rejects(
        &host("ingress: [{icmps: [{fields: [{type: 8}]}], toPorts: [{}]}]"),
        "spec.ingress[0].toPorts",
        "exclude",
    );
}
