//! Which rows a policy can allow.

use super::*;

#[test]
fn what_no_policy_can_allow_is_left_with_the_reason() {
    let node = Node::shipped("plain-host");
    let banned = Because {
        reason: "banned-peer".into(),
        ..entry(Ingress, "192.0.2.1", 6, 1).because
    };
    for (entry, says) in [
        (entry(Ingress, "198.51.100.1", 6, 443), "a deny rule wins"),
        (entry(Ingress, "192.0.2.1", 6, 0), "port 0"),
        (entry(Ingress, "192.0.2.1", 89, 0), "protocol 89"),
        (
            Entry {
                class: Class::Packet,
                ..entry(Ingress, "192.0.2.1", 6, 25)
            },
            "no matter of policy",
        ),
        (
            Entry {
                because: banned,
                ..entry(Ingress, "192.0.2.1", 6, 25)
            },
            "fw-ctl ban remove",
        ),
    ] {
        let chosen = node.choose(&[entry]);
        assert!(chosen.needs.is_empty(), "{says}");
        assert!(chosen.left[0].contains(says), "{says}: {:?}", chosen.left);
    }
    let deny = node.choose(&[entry(Ingress, "198.51.100.1", 6, 443)]);
    assert!(deny.left[0].contains("block-list.yaml:"), "{:?}", deny.left);
    // VRRP can be named, and is.
    let text = node.suggest(&[entry(Ingress, "192.0.2.1", 112, 0)], By::Auto);
    assert!(text.contains("      - protocol: VRRP"), "{text}");
    // What is allowed needs none, which is no refusal.
    let allowed = node.choose(&[entry(Ingress, "192.0.2.1", 6, 443)]);
    assert!(allowed.needs.is_empty() && allowed.left.is_empty());
    assert!(
        allowed.needless[0].contains("it is allowed already"),
        "{:?}",
        allowed.needless
    );
    // A type of ICMP without a name is its number, once.
    let text = node.suggest(&[entry(Ingress, "2001:db8:7::7", 58, 139)], By::Auto);
    assert!(
        text.contains("        type: 139\n") || text.ends_with("        type: 139"),
        "{text}"
    );
}
