//! Packets, described and as they are.

use std::cell::RefCell;
use std::sync::LazyLock;

use fw_common::wire::Counter;

use super::files::compiled;
use crate::compile::plan::{Mode, Plan};
use crate::datapath::{Hook, ModelRun, Verdict};
use crate::engine::{Datapath, Engine, Table, read_flows};
use crate::inventory::{self, Identities, Labels};
use crate::netlink::LocalAddresses;

/// Some of everything that a plan can hold.
pub(super) const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: all}
spec:
  nodeSelector: {}
  ingress:
  - fromCIDR: [10.0.0.0/8, 'fd00::/16']
    toPorts: [{ports: [{port: \"22\", protocol: TCP}, {port: \"8000\", endPort: 8080}]}]
  - icmps: [{fields: [{family: IPv4, type: EchoRequest}, {family: IPv6, type: EchoRequest}]}]
  ingressDeny:
  - fromCIDR: [10.6.6.0/24]
  egress:
  - toCIDR: [0.0.0.0/0]
    toPorts: [{ports: [{port: \"53\"}, {port: \"443\", protocol: TCP}]}]
";
pub(super) const INVENTORY: &str = "\
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {role: edge}}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}, {type: InternalIP, address: 'fd00::1'}]}
";

fn plan() -> Plan {
    let compiled = compiled(POLICY, INVENTORY, Vec::new()).expect("the policy compiles");
    Plan {
        mode: Mode::Enforce,
        ..compiled.plan
    }
}

static IDENTITIES: LazyLock<Identities> = LazyLock::new(|| {
    let source = crate::diagnostic::Source {
        name: "inventory.yaml".into(),
        text: INVENTORY.into(),
    };
    let loaded = inventory::load_sources([source]);
    let view = loaded.inventory.view("node-1", &Labels::new(), "default");
    view.identities
});

thread_local! {
    static ENGINES: RefCell<(Table, Datapath)> =
        RefCell::new((Table::new(plan()), Datapath::model(plan())));
    static MODEL: RefCell<ModelRun> = RefCell::new(model());
}

fn model() -> ModelRun {
    let mut model = ModelRun::default();
    let addresses = ["10.0.0.1", "fd00::1"].map(|text| text.parse().expect("an address"));
    model.set_local(&LocalAddresses::from(addresses));
    model.install(&plan());
    model.set_clock(1_000);
    model
}

/// Lines of flows: the plan as it is written and the datapath say the same of each.
pub(super) fn flows(bytes: &[u8]) {
    /// More only take longer.
    const JUDGED: usize = 64;
    let text = String::from_utf8_lossy(bytes);
    match read_flows(&text, &IDENTITIES) {
        Ok(mut flows) => ENGINES.with_borrow_mut(|(table, model)| {
            flows.truncate(JUDGED);
            let expected = table.judge(&flows).expect("the table judges anything");
            let found = model.judge(&flows).expect("the model judges anything");
            assert_eq!(expected, found, "{flows:?}");
        }),
        Err(error) => {
            assert!((1..=text.lines().count()).contains(&error.line), "{error}");
            assert!(!error.message.is_empty());
        }
    }
}

/// Frames in the order in which they come, each behind a byte of its direction and two
/// of its length: one counter moves, and it says what became of the frame.
pub(super) fn frames(mut bytes: &[u8]) {
    MODEL.with_borrow_mut(|model| {
        model.forget();
        while let Some(([kind, high, low], rest)) = bytes.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
            let (frame, rest) = rest.split_at(length);
            bytes = rest;
            let hook = match kind % 3 {
                0 => Hook::Xdp,
                1 => Hook::TcEgress,
                _ => Hook::TcEgressForwarded,
            };
            let outcome = model.run(hook, frame);
            let [(direction, counter, tally)] = outcome.moved[..] else {
                panic!("{outcome:?}");
            };
            assert_eq!(direction, hook.direction());
            assert_eq!((tally.packets, tally.bytes), (1, frame.len() as u64));
            let dropped = matches!(counter, Counter::Dropped(_));
            assert_eq!(outcome.verdict == Verdict::Drop, dropped, "{outcome:?}");
            assert_ne!(counter, Counter::NoPlan);
        }
    });
}
