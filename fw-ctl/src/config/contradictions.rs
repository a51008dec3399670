//! Values that are right one by one but not together.

use super::{Config, FailsafePorts, Require, XdpSetting};

/// Every contradiction: the key to change, and what is wrong.
pub fn contradictions(config: &Config) -> Vec<(&'static str, String)> {
    let interfaces = &config.interfaces;
    let failsafe = &config.failsafe;
    let rules_native_out = matches!(interfaces.xdp, XdpSetting::Off | XdpSetting::Generic);
    let table = [
        (
            interfaces.require == Require::Native && rules_native_out,
            "interfaces.require",
            "`require = \"native\"` contradicts `interfaces.xdp`, which rules native XDP out",
        ),
        (
            interfaces.include.is_empty(),
            "interfaces.include",
            "no interface is included: nothing would be filtered; write [\"auto\"] or names",
        ),
        (
            interfaces.exclude.iter().any(|name| name == "auto"),
            "interfaces.exclude",
            "`auto` cannot be excluded; leave it out of `interfaces.include`",
        ),
        (
            failsafe
                .outbound
                .iter()
                .any(|entry| entry.ports == FailsafePorts::Ssh),
            "failsafe.outbound",
            "\"ssh\" means the ports that this node's sshd listens on; outbound, write the number",
        ),
    ];
    let mut found: Vec<_> = table
        .into_iter()
        .filter(|(wrong, _, _)| *wrong)
        .map(|(_, key, message)| (key, message.to_owned()))
        .collect();
    let lists = [
        ("failsafe.inbound", &failsafe.inbound),
        ("failsafe.outbound", &failsafe.outbound),
    ];
    for (key, entries) in lists {
        for (i, entry) in entries.iter().enumerate() {
            if entries[..i].contains(entry) {
                found.push((key, format!("entry {i} of `{key}` is there twice")));
            }
        }
    }
    found
}
