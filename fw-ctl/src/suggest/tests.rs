//! Against the compiled policies of the shipped sets, and of small inventories.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::audit::{Answer, Class, Entry, Group, SCHEMA, Select, Source, groups};
use crate::config::Config;
use crate::daemon::Inputs;
use crate::daemon::sources::compile_known;
use crate::diagnostic;
use crate::harm::{Because, Way};
use crate::lists::ListFiles;
use Way::{Egress, Ingress};

mod chosen;
mod cluster;
mod nodes;
mod proved;
mod text;
mod vlans;

/// Denies everything both ways.
const NOTHING: &str = "
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: nothing}
spec:
  nodeSelector: {}
  ingress: [{}]
  egress: [{}]
";
const SETS: [&str; 4] = ["rke2", "rke2-optional", "netpol-demo", "plain-host"];

/// The node `server1` of the shipped inventory.
struct Node {
    compiled: Compiled,
    inventory: Inventory,
}

impl Node {
    fn of(config: &Config) -> Self {
        let (inputs, unreadable) = Inputs::read(config, &ListFiles::default());
        let (compiled, inventory) = compile_known(Arc::new(inputs), unreadable).unwrap();
        Self {
            compiled,
            inventory,
        }
    }

    fn shipped(set: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
        let mut config = Config::default();
        config.node.name = "server1".into();
        config.failsafe.inbound = Vec::new();
        config.policy.dirs = vec![root.join("policies").join(set)];
        config.policy.inventory = vec![root.join("inventory/example.yaml")];
        Self::of(&config)
    }

    fn base(&self) -> Base<'_> {
        Base {
            compiled: &self.compiled,
            inventory: &self.inventory,
        }
    }

    fn choose(&self, entries: &[Entry]) -> Chosen {
        choose(&self.base(), &rows(entries), |row| {
            format!("row {}", row.service())
        })
    }

    fn suggestion(&self, entries: &[Entry], by: By) -> Suggestion {
        let chosen = self.choose(entries);
        suggest(&self.base(), &chosen, by, None, "").unwrap()
    }

    /// The text of one that leaves nothing out.
    fn suggest(&self, entries: &[Entry], by: By) -> String {
        let found = self.suggestion(entries, by);
        assert_eq!(found.left, [""; 0]);
        found.text.unwrap()
    }

    /// A node with a policy that denies everything, and this inventory.
    fn denying(inventory: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            vec![path]
        };
        let mut config = Config::default();
        config.node.name = "n1".into();
        config.node.labels = BTreeMap::from([("role".into(), "on".into())]);
        config.policy.dirs = write("p.yaml", NOTHING);
        config.policy.inventory = write("i.yaml", inventory);
        Self::of(&config)
    }

    /// With a policy more.
    fn with(&self, text: &str) -> Self {
        let mut inputs = Inputs::clone(&self.compiled.inputs);
        inputs.policies.push(Arc::new(diagnostic::Source {
            name: "suggested.yaml".into(),
            text: text.to_owned(),
        }));
        let (compiled, inventory) = compile_known(Arc::new(inputs), Vec::new()).unwrap();
        Self {
            compiled,
            inventory,
        }
    }

    fn allows(&self, entry: &Entry) -> bool {
        let flow = entry.seen(0).flow();
        let plan = &self.compiled.plan;
        let word = plan.lookup(flow.direction, entry.vlan, entry.remote, flow.service());
        word.is_allow()
    }

    fn labels(&self, entry: &Entry) -> String {
        self.compiled.identities.labels(entry.remote).to_string()
    }
}

fn entry(way: Way, remote: &str, protocol: u8, service: u16) -> Entry {
    let remote: IpAddr = remote.parse().unwrap();
    Entry {
        dropped: false,
        direction: way,
        protocol,
        service,
        vlan: 0,
        local: if remote.is_ipv4() {
            "10.0.0.10".parse().unwrap()
        } else {
            "2001:db8:0:10::10".parse().unwrap()
        },
        remote,
        source: 0,
        class: Class::Policy,
        first: 0,
        last: 0,
        count: 1,
        passes: false,
        because: Because {
            reason: "default-deny".into(),
            policy: String::new(),
            rule: String::new(),
            origin: String::new(),
        },
    }
}

fn rows(entries: &[Entry]) -> Vec<Group> {
    let answer = Answer {
        schema: SCHEMA,
        mode: "audit".into(),
        now: 0,
        sources: vec![Source {
            name: "world".into(),
            entity: Some("world".into()),
            labels: Vec::new(),
        }],
        entries: entries.to_vec(),
        displaced_audited: 0,
        displaced_dropped: 0,
        notes: Vec::new(),
    };
    let select = Select {
        addresses: true,
        ..Select::default()
    };
    groups(&answer, &select)
}
