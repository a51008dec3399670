//! Which layer wins, and what is said about a mistake in one.

use super::*;
use crate::config::{CidrMatchMode, FailsafePorts, ModeSetting};

struct Dir(tempfile::TempDir);

impl Dir {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(dir)
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            config: Some(self.0.path().join("fw-ctl.toml")),
            ..Overrides::default()
        }
    }

    fn load(&self, environment: &[(&str, &str)]) -> Result<Loaded, Vec<Diagnostic>> {
        load(
            &self.overrides(),
            environment
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        )
    }

    fn errors(&self) -> Vec<String> {
        self.load(&[])
            .unwrap_err()
            .iter()
            .map(|d| {
                let place = d.span.map(|s| format!("{}:{}", s.line, s.column));
                let help = d.help.clone().unwrap_or_default();
                format!("{} {} | {help}", place.unwrap_or_default(), d.message)
            })
            .collect()
    }
}

#[test]
fn later_layers_win() {
    let dir = Dir::new(&[
        (
            "fw-ctl.toml",
            "[policy]\nmode = \"enforce\"\ncluster_name = \"file\"\ndirs = [\"a\", \"b\"]\n",
        ),
        ("conf.d/20.toml", "[policy]\ncluster_name = \"twenty\"\n"),
        (
            "conf.d/10.toml",
            "[policy]\ncluster_name = \"ten\"\ndirs = [\"c\"]\n",
        ),
        ("conf.d/30.conf", "not toml"),
    ]);
    let loaded = dir
        .load(&[("FW_CTL_NODE__NAME", "env"), ("HOME", "/root")])
        .unwrap();
    assert_eq!(loaded.config.policy.mode, ModeSetting::Enforce);
    assert_eq!(loaded.config.policy.cluster_name, "twenty");
    assert_eq!(loaded.config.policy.dirs, [PathBuf::from("c")]);
    assert_eq!(loaded.config.node_name(), "env");

    let flags = Overrides {
        node: Some("flag".into()),
        policies: vec!["/p".into()],
        ..dir.overrides()
    };
    let loaded = load(&flags, [("FW_CTL_NODE__NAME".into(), "env".into())]).unwrap();
    assert_eq!(loaded.config.node.name, "flag");
    assert_eq!(loaded.config.policy.dirs, [PathBuf::from("/p")]);
}

#[test]
fn the_keys_of_the_interface_are_read() {
    let dir = Dir::new(&[(
        "fw-ctl.toml",
        r#"
[node]
name = "node1"
labels = { "rack" = "r1", "example.com/zone" = "z" }
[policy]
mode = "audit"
dirs = ["/etc/fw-ctl/policies"]
inventory = ["/etc/fw-ctl/inventory"]
cluster_name = "default"
cidr_match_mode = ["nodes"]
[interfaces]
include = ["auto"]
exclude = []
xdp = "auto"
require = "any"
[failsafe]
inbound = [{ protocol = "tcp", port = "ssh" }]
outbound = []
[builtins]
disable = ["dhcpv4-client"]
[hubble]
listen = "off"
[paths]
state_dir = "/var/lib/fw-ctl"
run_dir = "/run/fw-ctl"
pin_dir = "/sys/fs/bpf/fw-ctl"
"#,
    )]);
    let config = dir.load(&[]).unwrap().config;
    assert_eq!(config.node.labels["example.com/zone"], "z");
    assert_eq!(config.policy.cidr_match_mode, [CidrMatchMode::Nodes]);
    assert_eq!(config.failsafe.inbound[0].ports, FailsafePorts::Ssh);
    assert_eq!(
        config.builtins.bits(),
        fw_common::wire::Builtin::ALL & !fw_common::wire::Builtin::DhcpV4.bit()
    );
    let with_defaults = Config {
        node: config.node.clone(),
        builtins: config.builtins.clone(),
        policy: crate::config::Policy {
            cidr_match_mode: vec![CidrMatchMode::Nodes],
            ..crate::config::Policy::default()
        },
        ..Config::default()
    };
    assert_eq!(
        config, with_defaults,
        "the documented values are the defaults"
    );
}

#[test]
fn environment_values_nest_and_may_be_lists() {
    let dir = Dir::new(&[("fw-ctl.toml", "")]);
    let loaded = dir
        .load(&[
            ("FW_CTL_POLICY__MODE", "enforce"),
            ("FW_CTL_INTERFACES__INCLUDE", "[eth0, \"eth1\"]"),
            ("FW_CTL_FAILSAFE__INBOUND", "[]"),
            ("FW_CTL_LOG", "debug"),
            ("FW_CTL_SOMETHING", "1"),
        ])
        .unwrap();
    assert_eq!(loaded.config.policy.mode, ModeSetting::Enforce);
    assert_eq!(loaded.config.interfaces.include, ["eth0", "eth1"]);
    assert!(loaded.config.failsafe.inbound.is_empty());
    assert_eq!(loaded.warnings.len(), 1, "FW_CTL_SOMETHING");

    let errors = dir.load(&[("FW_CTL_POLICY__MOED", "enforce")]).unwrap_err();
    assert_eq!(
        errors[0].source.name,
        "environment variable FW_CTL_POLICY__MOED"
    );
    assert_eq!(errors[0].help.as_deref(), Some("did you mean `mode`?"));
}

#[test]
fn mistakes_are_named_with_line_and_key() {
    let cases: [(&str, &[&str]); 13] = [
        (
            "[policy]\nmoed = \"audit\"\n\n[interface]\nxdp = \"auto\"\n",
            &[
                "2:1 unknown key `policy.moed` | did you mean `mode`?",
                "4:2 unknown key `interface` | did you mean `interfaces`?",
            ],
        ),
        (
            "[policy]\nmode = \"enforced\"\n",
            &[
                "2:1 `policy.mode`: `enforced` is none of `audit`, `enforce`: did you mean `enforce`? | ",
            ],
        ),
        (
            "[policy]\ndirs = \"/etc\"\n",
            &["2:1 `policy.dirs`: \"/etc\" is not an array | "],
        ),
        (
            "[failsafe]\ninbound = [\n  { protocol = \"icmp\", port = 8 },\n]\n",
            &[
                "3:3 `failsafe.inbound[0]`: protocol `icmp` has no ports | leave `port` out: all its messages are meant",
            ],
        ),
        (
            "[failsafe]\ninbound = [{ protocol = \"tcp\", port = 70000 }]\n",
            &[
                "2:32 `failsafe.inbound[0].port`: `70000` is not a port from 1 to 65535, a range as \"8000-8100\", or \"ssh\" | ",
            ],
        ),
        (
            "[interfaces]\nxdp = \"off\"\nrequire = \"native\"\n",
            &[
                "3:1 `require = \"native\"` contradicts `interfaces.xdp`, which rules native XDP out | ",
            ],
        ),
        (
            "[interfaces]\ninclude = []\n",
            &[
                "2:1 no interface is included: nothing would be filtered; write [\"auto\"] or names | ",
            ],
        ),
        (
            "[failsafe]\noutbound = [{ protocol = \"tcp\", port = \"ssh\" }]\n",
            &[
                "2:33 \"ssh\" means the ports that this node's sshd listens on | outbound, write the number",
            ],
        ),
        (
            "[failsafe]\ninbound = [{ protocol = \"tcp\", port = 22 }, { protocol = \"TCP\", port = \"22\" }]\n",
            &[
                "2:45 `failsafe.inbound[1]` is the same as `failsafe.inbound[0]` | leave one of them out",
            ],
        ),
        (
            "[interfaces]\nvlans = [\n  212,\n  4095,\n]\n",
            &[
                "4:3 `interfaces.vlans[1]`: 4095 is not the id of a VLAN; write an id from 1 to 4094, a range as 300-310, or `untagged` for frames without a tag, or \"all\" alone | ",
            ],
        ),
        (
            "[interfaces]\nvlans = [\"all\", 212]\n",
            &["2:1 \"all\" admits every VLAN; write it alone, or leave it out | "],
        ),
        (
            "[interfaces]\nvlans = []\n",
            &["2:1 no VLAN is admitted, not even untagged frames; write [\"all\"] or some | "],
        ),
        (
            "[builtins]\ndisable = [\"dhcp\"]\n",
            &[
                "2:12 `builtins.disable[0]`: no built-in is called `dhcp`; there are: multicast, neighbor-discovery, dhcpv4-client, dhcpv6-client, fragmentation-needed, packet-too-big, arp, igmp, mld | ",
            ],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            Dir::new(&[("fw-ctl.toml", text)]).errors(),
            expected,
            "{text}"
        );
    }
}

/// Every way to be wrong, each in line 3: where it stands, what is wrong, what to do.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn failsafe_entries_are_refused_where_they_stand() {
    let mut wrong = Vec::new();
    let port = "is not a port from 1 to 65535, a range as \"8000-8100\", or \"ssh\" | ";
    for (entry, place, expected) in [
        (
            "{ protocol = \"tcp\", ports = 22 }",
            "3:23 ",
            "`failsafe.inbound[1].ports`: unknown key `ports` | did you mean `port`?",
        ),
        (
            "{ protocol = \"tcp\", port = 22, from = \"10.0.0.0/8\" }",
            "3:34 ",
            "`failsafe.inbound[1].from`: unknown key `from` | there are: protocol, port, cidr",
        ),
        (
            "{ protocol = \"tcp\", port = 22, origin = \"x\" }",
            "3:34 ",
            "unknown key `origin` | there are: protocol, port, cidr",
        ),
        (
            "{ port = 22 }",
            "3:3 ",
            "`failsafe.inbound[1]`: `protocol` is missing | ",
        ),
        (
            "{ protocol = \"tpc\", port = 22 }",
            "3:3 ",
            "`failsafe.inbound[1]`: unknown protocol \"tpc\" | one of: tcp, udp, sctp, icmp, icmpv6",
        ),
        (
            "{ protocol = 6, port = 22 }",
            "3:5 ",
            "`failsafe.inbound[1].protocol`: `6` is not a string | ",
        ),
        (
            "{ protocol = \"tcp\", port = 0 }",
            "3:23 ",
            &format!("`failsafe.inbound[1].port`: `0` {port}"),
        ),
        (
            "{ protocol = \"tcp\", port = \"0-9\" }",
            "3:23 ",
            &format!("`failsafe.inbound[1].port`: `\"0-9\"` {port}"),
        ),
        (
            "{ protocol = \"tcp\", port = \"-9\" }",
            "3:23 ",
            &format!("`failsafe.inbound[1].port`: `\"-9\"` {port}"),
        ),
        (
            "{ protocol = \"tcp\", port = \"\" }",
            "3:23 ",
            &format!("`failsafe.inbound[1].port`: `\"\"` {port}"),
        ),
        (
            "{ protocol = \"tcp\", port = [22, 80] }",
            "3:23 ",
            &format!("`failsafe.inbound[1].port`: an array {port}"),
        ),
        (
            "{ protocol = \"tcp\", port = 22.5 }",
            "3:23 ",
            &format!("`failsafe.inbound[1].port`: `22.5` {port}"),
        ),
        (
            "{ protocol = \"tcp\", port = \"9-8\" }",
            "3:23 ",
            "`failsafe.inbound[1].port`: the range 9-8 is empty | write the smaller port first",
        ),
        (
            "{ protocol = \"tcp\" }",
            "3:3 ",
            &format!(
                "`failsafe.inbound[1]`: `port` is missing: a failsafe for every tcp port would be \
                 no firewall | write {}",
                port.trim_start_matches("is not ").trim_end_matches(" | ")
            ),
        ),
        (
            "{ protocol = \"udp\", port = \"ssh\" }",
            "3:3 ",
            "`failsafe.inbound[1]`: port \"ssh\" goes with protocol \"tcp\" only | write the number",
        ),
        (
            "{ protocol = \"icmpv6\", port = 128 }",
            "3:3 ",
            "`failsafe.inbound[1]`: protocol `icmpv6` has no ports | \
             leave `port` out: all its messages are meant",
        ),
        (
            "{ protocol = \"icmp\", cidr = \"fd00::/8\" }",
            "3:3 ",
            "`failsafe.inbound[1]`: protocol `icmp` is IPv4, but `cidr` is IPv6 | use `icmpv6`",
        ),
        (
            "{ protocol = \"tcp\", port = 22, cidr = \"10.1.0.0/8\" }",
            "3:3 ",
            "`failsafe.inbound[1]`: `10.1.0.0/8` has bits beyond its prefix length | \
             did you mean 10.0.0.0/8?",
        ),
        (
            "{ protocol = \"tcp\", port = 22, cidr = \"office\" }",
            "3:3 ",
            "`failsafe.inbound[1]`: \"office\" is no CIDR | \
             write an address or a prefix as 192.0.2.0/24",
        ),
        (
            "{ protocol = \"sctp\", port = \"7-9\" }",
            "3:3 ",
            "`failsafe.inbound[1]` is the same as `failsafe.inbound[0]` | leave one of them out",
        ),
        (
            "{ protocol = \"sctp\", port = 8, cidr = \"10.0.0.0/8\" }",
            "3:3 ",
            "`failsafe.inbound[1]` adds nothing: all of it is within `failsafe.inbound[0]` | \
             leave it out, or make the other narrower",
        ),
    ] {
        let text = format!(
            "[failsafe]\ninbound = [{{ protocol = \"sctp\", port = \"7-9\" }},\n  {entry},\n]\n"
        );
        let errors = Dir::new(&[("fw-ctl.toml", &text)]).errors();
        if errors != [format!("{place}{expected}")] {
            wrong.push(format!("{entry}\n  {errors:?}\n  {place}{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn failsafe_entries_may_be_tables_and_none_at_all() {
    let dir = Dir::new(&[(
        "fw-ctl.toml",
        "[[failsafe.inbound]]\nprotocol = \"tcp\"\nport = 1\n\n[[failsafe.inbound]]\nprotocol = \"tcp\"\nport = 1\n",
    )]);
    assert_eq!(
        dir.errors(),
        ["5:1 `failsafe.inbound[1]` is the same as `failsafe.inbound[0]` | leave one of them out"]
    );
    let two = Dir::new(&[(
        "fw-ctl.toml",
        "[failsafe]\ninbound = [\n  { protocol = \"icmp\" },\n  { protocol = \"icmpv6\" },\n]\n",
    )]);
    let failsafe = two.load(&[]).unwrap().config.failsafe;
    let places = failsafe.inbound.iter().map(|entry| entry.origin.0.as_str());
    let file = two.0.path().join("fw-ctl.toml").display().to_string();
    assert_eq!(
        places.collect::<Vec<_>>(),
        [format!("{file}:3"), format!("{file}:4")]
    );
    let outbound = ("FW_CTL_FAILSAFE__OUTBOUND", "[{protocol=\"icmp\"}]");
    let failsafe = two.load(&[outbound]).unwrap().config.failsafe;
    assert_eq!(
        failsafe.outbound[0].origin.0,
        "environment variable FW_CTL_FAILSAFE__OUTBOUND"
    );
    let default = Dir::new(&[("fw-ctl.toml", "")]).load(&[]).unwrap().config;
    assert_eq!(default.failsafe.inbound[0].origin.0, "");
    let none = Dir::new(&[("fw-ctl.toml", "[failsafe]\ninbound = []\n")]);
    assert_eq!(none.load(&[]).unwrap().config.failsafe.inbound, []);
    // A layer replaces the whole list, and the file that did so is named.
    let layers = Dir::new(&[
        ("fw-ctl.toml", "[failsafe]\ninbound = []\n"),
        (
            "conf.d/10.toml",
            "[failsafe]\n\n\ninbound = [{ protocol = \"icmp\" }, { protocol = \"icmp\" }]\n",
        ),
    ]);
    let errors = layers.load(&[]).unwrap_err();
    assert!(errors[0].source.name.ends_with("10.toml"));
    assert_eq!(
        errors[0].span.map(|span| (span.line, span.column)),
        Some((4, 35))
    );
    let odd = Dir::new(&[(
        "fw-ctl.toml",
        "[failsafe]\ninbound = { protocol = \"icmp\" }\n",
    )]);
    assert_eq!(
        odd.errors(),
        ["2:1 `failsafe.inbound`: a table is not an array | "]
    );
    let odd = Dir::new(&[("fw-ctl.toml", "[failsafe]\ninbuond = []\n")]);
    assert_eq!(
        odd.errors(),
        ["2:1 unknown key `failsafe.inbuond` | did you mean `inbound`?"]
    );
}

#[test]
fn a_named_file_must_be_there() {
    let dir = Dir::new(&[]);
    let errors = dir.errors();
    assert!(
        errors[0].contains("cannot read the configuration"),
        "{errors:?}"
    );
}

#[test]
fn values_that_mean_nothing_are_refused_where_they_stand() {
    let dir = Dir::new(&[
        ("fw-ctl.toml", "[interfaces]\ninclude = [\"[\"]\n"),
        (
            "conf.d/10.toml",
            "[node]\nname = \"a\"\n[node.labels]\n\"a b\" = \"c\"\n",
        ),
    ]);
    let errors = dir.errors();
    assert!(
        errors[0].starts_with("2:1 \"[\" matches no interface"),
        "{errors:?}"
    );
    assert!(
        errors[1].starts_with("3:") && errors[1].contains("\"a b\" is not the key of a label"),
        "{errors:?}"
    );
}

#[test]
fn paths_are_had_from_a_configuration_that_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fw-ctl.toml");
    let overrides = Overrides {
        config: Some(file.clone()),
        pin_dir: Some("/sys/fs/bpf/flag".into()),
        ..Overrides::default()
    };
    let text = "[policy]\nmode = 7\ntypo = 1\n\
                [paths]\nstate_dir = \"/s\"\nrun_dir = 5\npin_dir = \"/p\"\n";
    std::fs::write(&file, text).unwrap();
    assert!(load(&overrides, []).is_err());
    let (paths, unreadable) = super::paths(&overrides, []);
    assert_eq!(paths.state_dir, Path::new("/s"));
    assert_eq!(paths.run_dir, Paths::default().run_dir);
    assert_eq!(paths.pin_dir, Path::new("/sys/fs/bpf/flag"));
    assert_eq!(unreadable, [""; 0].map(PathBuf::from));

    std::fs::write(&file, "[paths\n").unwrap();
    let variable = ("FW_CTL_PATHS__RUN_DIR".to_owned(), "/r".to_owned());
    let (paths, unreadable) = super::paths(&overrides, [variable]);
    assert_eq!(paths.state_dir, Paths::default().state_dir);
    assert_eq!(paths.run_dir, Path::new("/r"));
    assert_eq!(unreadable, [file]);
}
