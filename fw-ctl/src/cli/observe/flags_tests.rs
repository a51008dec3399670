//! What flags become, as Hubble's client makes it of them.

use super::*;
use crate::cli::args::parsed;

fn parse(arguments: &str) -> Result<Filters, clap::Error> {
    parsed::<FilterArgs>(arguments.split_whitespace()).map(|filters| filters.0)
}

fn json(arguments: &str) -> String {
    serde_json::to_string(&parse(arguments).unwrap()).unwrap()
}

#[test]
fn no_flags_are_no_filters() {
    assert_eq!(parse("").unwrap(), Filters::default());
}

#[test]
fn every_flag_becomes_its_condition() {
    for (arguments, filter) in [
        ("-t drop", r#"{"message":["drop"]}"#),
        ("-t drop:133", r#"{"message":["drop:133"]}"#),
        ("--type drop:policy_deny", r#"{"message":["drop:181"]}"#),
        (
            "-t policy-verdict -t drop",
            r#"{"message":["policy-verdict","drop"]}"#,
        ),
        (
            "--verdict AUDIT --verdict dropped",
            r#"{"verdict":["audit","deny"]}"#,
        ),
        ("--drop-reason-desc POLICY_DENIED", r#"{"reason":[133]}"#),
        (
            "--from-ip 10.0.0.7",
            r#"{"source":{"address":["10.0.0.7/32"]}}"#,
        ),
        (
            "--to-ip 10.1.2.3/8",
            r#"{"destination":{"address":["10.0.0.0/8"]}}"#,
        ),
        (
            "--from-ip 2001:db8::1",
            r#"{"source":{"address":["2001:db8::1/128"]}}"#,
        ),
        (
            "--to-port 22 --to-port 443",
            r#"{"destination":{"port":[22,443]}}"#,
        ),
        ("--protocol icmp", r#"{"protocol":[1,58]}"#),
        ("--protocol TCP --protocol 50", r#"{"protocol":[6,50]}"#),
        ("--tcp-flags syn,ack", r#"{"tcp_flags":[18]}"#),
        ("--from-identity world", r#"{"source":{"identity":[2]}}"#),
        (
            "--to-identity 4711",
            r#"{"destination":{"identity":[4711]}}"#,
        ),
        (
            "--from-label k8s:app=web",
            r#"{"source":{"label":["k8s:app=web"]}}"#,
        ),
        (
            "--from-namespace shop",
            r#"{"source":{"namespace":["shop"]}}"#,
        ),
        ("--traffic-direction ingress", r#"{"ingress":[true]}"#),
        ("-4", r#"{"family":[4]}"#),
        ("--ipv6", r#"{"family":[6]}"#),
        ("--ip-version v6", r#"{"family":[6]}"#),
        ("--reply=false", r#"{"reply":[false]}"#),
        ("--node-name default/", r#"{"node":["default/"]}"#),
        (
            "--uuid 18EA63D2-06a2-8d1f-8071-000000000006",
            r#"{"uuid":["18ea63d2-06a2-8d1f-8071-000000000006"]}"#,
        ),
        ("--interface bond*", r#"{"interface":[{"name":"bond*"}]}"#),
        ("--vlan untagged --vlan 212", r#"{"vlan":[0,212]}"#),
        ("--policy host-*", r#"{"policy":["host-*"]}"#),
    ] {
        let expected = format!(r#"{{"allow":[{filter}]}}"#);
        assert_eq!(json(arguments), expected, "{arguments}");
    }
}

#[test]
fn either_side_is_two_filters_and_joins_with_other_kinds() {
    assert_eq!(
        json("--ip 10.0.0.7 --port 22 --verdict AUDIT"),
        concat!(
            r#"{"allow":[{"source":{"address":["10.0.0.7/32"],"port":[22]},"verdict":["audit"]},"#,
            r#"{"destination":{"address":["10.0.0.7/32"],"port":[22]},"verdict":["audit"]}]}"#
        )
    );
    assert_eq!(
        json("--ip 10.0.0.7 --to-port 22"),
        concat!(
            r#"{"allow":[{"source":{"address":["10.0.0.7/32"]},"destination":{"port":[22]}},"#,
            r#"{"destination":{"address":["10.0.0.7/32"],"port":[22]}}]}"#
        )
    );
}

#[test]
fn what_follows_not_is_left_out() {
    assert_eq!(
        json("--protocol tcp --not --to-port 22 --not --from-ip 10.0.0.0/8 -t drop"),
        concat!(
            r#"{"allow":[{"message":["drop"],"protocol":[6]}],"#,
            r#""deny":[{"source":{"address":["10.0.0.0/8"]},"destination":{"port":[22]}}]}"#
        )
    );
    let error = parse("--protocol tcp --not").unwrap_err().to_string();
    assert!(error.contains("stands before the filter"), "{error}");
}

#[test]
fn wrong_values_are_told_with_what_is_right() {
    for (arguments, says) in [
        ("-t trace", "no trace events"),
        ("-t nothing", "write policy-verdict"),
        ("-t policy-verdict:x", "no sub-types"),
        ("--verdict REDIRECTED", "FORWARDED, DROPPED and AUDIT"),
        ("--drop-reason-desc NO_FUN", "POLICY_DENIED"),
        ("--ip 10.0.0", "no address and no prefix"),
        ("--port ssh", "no port"),
        ("--from-port 65536", "no port"),
        ("--identity nobody", "reserved identity"),
        ("--label a,,b", "no requirement"),
        ("--protocol http", "of layer 7"),
        ("--protocol 256", "no protocol"),
        ("--tcp-flags syn,ece,foo", "TCP's flags are"),
        ("--traffic-direction up", "no direction"),
        ("--ip-version 5", "no version of IP"),
        ("--reply maybe", "true or false"),
        ("--node-name /", "names no node"),
        ("--uuid 6", "no UUID"),
        ("--interface eth[", "`]` is missing"),
        ("--vlan 4095", "no VLAN"),
        (
            "--ip 10.0.0.1 --from-ip 10.0.0.2",
            "cannot be used with `--ip`",
        ),
        ("--to-port 1 --port 2", "cannot be used with `--to-port`"),
    ] {
        let error = parse(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{arguments}");
        let text = error.to_string();
        assert!(text.contains(says), "{arguments}: {text}");
    }
}
