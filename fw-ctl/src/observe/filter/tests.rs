//! Every condition by itself, and how they are joined.

use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::observe::text::tests::record;
use crate::observe::{Message, Record};

fn flow(change: impl FnOnce(&mut Record)) -> Flow {
    let mut record = record();
    change(&mut record);
    Flow {
        message: Message::PolicyVerdict,
        record: Arc::new(record),
    }
}

/// A filter as it is on the wire.
fn filter(json: &str) -> Filter {
    let filter: Filter = serde_json::from_str(json).unwrap();
    assert_eq!(
        serde_json::to_string(&filter).unwrap(),
        json.replace(' ', "")
    );
    filter
}

/// The record is of an audited SYN from 10.0.2.2:47500 (world) to 10.0.2.15:6443 (host), at
/// eth0 of default/node1, denied by default because of the policy host-all.
#[test]
fn every_condition_matches_what_it_says_and_nothing_else() {
    for (json, matches) in [
        ("{}", true),
        (r#"{"source":{"address":["10.0.2.2/32"]}}"#, true),
        (
            r#"{"source":{"address":["192.0.2.0/24","10.0.0.0/8"]}}"#,
            true,
        ),
        (r#"{"source":{"address":["10.0.2.15/32"]}}"#, false),
        (r#"{"source":{"address":["2001:db8::/32"]}}"#, false),
        (r#"{"destination":{"address":["10.0.2.15/32"]}}"#, true),
        (r#"{"destination":{"port":[22,6443]}}"#, true),
        (r#"{"source":{"port":[6443]}}"#, false),
        (r#"{"source":{"identity":[2]}}"#, true),
        (r#"{"destination":{"identity":[2]}}"#, false),
        (r#"{"destination":{"label":["reserved:host"]}}"#, true),
        (r#"{"destination":{"label":["!reserved:host"]}}"#, false),
        (r#"{"source":{"namespace":["kube-system"]}}"#, false),
        (r#"{"verdict":["audit"]}"#, true),
        (r#"{"verdict":["allow","deny"]}"#, false),
        (r#"{"message":["policy-verdict"]}"#, true),
        (r#"{"message":["drop"]}"#, false),
        // Audited: nothing was dropped.
        (r#"{"reason":[133]}"#, false),
        (r#"{"protocol":[6]}"#, true),
        (r#"{"protocol":[17,132]}"#, false),
        (r#"{"tcp_flags":[2]}"#, true),
        (r#"{"tcp_flags":[18]}"#, false),
        (r#"{"tcp_flags":[18,2]}"#, true),
        (r#"{"node":["node1"]}"#, true),
        (r#"{"node":["default/node*"]}"#, true),
        (r#"{"node":["default/"]}"#, true),
        (r#"{"node":["/node1"]}"#, true),
        (r#"{"node":["other/node1"]}"#, false),
        (r#"{"node":["node"]}"#, false),
        (r#"{"ingress":[true]}"#, true),
        (r#"{"ingress":[false]}"#, false),
        // Nobody knows.
        (r#"{"reply":[true,false]}"#, false),
        (r#"{"family":[4]}"#, true),
        (r#"{"family":[6]}"#, false),
        (r#"{"interface":[{"name":"eth*"}]}"#, true),
        (r#"{"interface":[{"name":"bond0"},{"index":7}]}"#, false),
        (r#"{"vlan":[0]}"#, true),
        (r#"{"vlan":[212]}"#, false),
        (r#"{"policy":["host-*"]}"#, true),
        (r#"{"policy":["host"]}"#, false),
        // All kinds must hold.
        (
            r#"{"source":{"address":["10.0.2.2/32"],"port":[47500]},"protocol":[6]}"#,
            true,
        ),
        (
            r#"{"source":{"address":["10.0.2.2/32"],"port":[1]},"protocol":[6]}"#,
            false,
        ),
    ] {
        assert_eq!(filter(json).matches(&flow(|_| ())), matches, "{json}");
    }
}

#[test]
fn drops_have_reasons_and_what_is_allowed_opens_a_connection() {
    let dropped = flow(|record| record.told = Told::Deny);
    assert!(filter(r#"{"reason":[181,133]}"#).matches(&dropped));
    assert!(!filter(r#"{"reason":[181]}"#).matches(&dropped));
    let dropped = Flow {
        message: Message::Drop,
        ..dropped
    };
    for (json, matches) in [
        (r#"{"message":["drop"]}"#, true),
        (r#"{"message":["drop:133"]}"#, true),
        (r#"{"message":["drop:181"]}"#, false),
        (r#"{"message":["policy-verdict","drop:133"]}"#, true),
    ] {
        assert_eq!(filter(json).matches(&dropped), matches, "{json}");
    }
    assert!(serde_json::from_str::<Filter>(r#"{"message":["drop:many"]}"#).is_err());
    let allowed = flow(|record| (record.told, record.reason) = (Told::Allow, None));
    assert!(filter(r#"{"reply":[false]}"#).matches(&allowed));
    assert!(!filter(r#"{"reply":[true]}"#).matches(&allowed));
}

/// No condition on what could not be read holds, not even by its zeros.
#[test]
fn what_could_not_be_read_matches_nothing_about_it() {
    let unread = flow(|record| {
        record.family = 0;
        record.protocol = 0;
        record.source.address = IpAddr::from([0; 4]);
        (record.source.port, record.reason, record.told) = (0, Some(2), Told::Deny);
    });
    for json in [
        r#"{"source":{"address":["0.0.0.0/0"]}}"#,
        r#"{"source":{"port":[0]}}"#,
        r#"{"protocol":[0]}"#,
        r#"{"policy":["*"]}"#,
    ] {
        assert!(!filter(json).matches(&unread), "{json}");
    }
    assert!(filter(r#"{"interface":[{"name":"eth0","index":2}]}"#).matches(&unread));
}

#[test]
fn labels_of_pods_and_their_namespace() {
    let pod = flow(|record| {
        let identity = Arc::make_mut(&mut record.source.identity);
        identity.number = 4_711;
        identity.labels = vec![
            "k8s:app=web".into(),
            "k8s:io.kubernetes.pod.namespace=shop".into(),
        ];
    });
    for (json, matches) in [
        (r#"{"source":{"namespace":["shop"]}}"#, true),
        (r#"{"source":{"namespace":["shop2","sho"]}}"#, false),
        (r#"{"source":{"label":["app=web"]}}"#, true),
        (r#"{"source":{"label":["app=db","app"]}}"#, true),
        (r#"{"destination":{"label":["app"]}}"#, false),
        (r#"{"source":{"identity":[4711]}}"#, true),
    ] {
        assert_eq!(filter(json).matches(&pod), matches, "{json}");
    }
}

#[test]
fn one_must_match_and_none_that_denies() {
    let flow = flow(|_| ());
    let tell = |allow: &[&str], deny: &[&str]| {
        let of = |texts: &[&str]| texts.iter().map(|text| filter(text)).collect();
        let (allow, deny) = (of(allow), of(deny));
        Filters { allow, deny }.tell(&flow)
    };
    let (yes, no) = (r#"{"protocol":[6]}"#, r#"{"protocol":[17]}"#);
    assert!(tell(&[], &[]));
    assert!(tell(&[no, yes], &[]));
    assert!(!tell(&[no], &[]));
    assert!(tell(&[], &[no]));
    assert!(!tell(&[yes], &[no, yes]));
}
