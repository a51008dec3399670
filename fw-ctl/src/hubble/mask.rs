//! Which fields of a flow a client wants (`google.protobuf.FieldMask`): others are left out, which
//! makes answers small.

use prost_types::FieldMask;

use super::proto::flow::{Endpoint, Flow, Ip};

/// Paths, of one level or two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    paths: Vec<String>,
}

impl Mask {
    /// Of a request; `None`: everything.
    pub fn of(mask: Option<&FieldMask>) -> Option<Self> {
        let mask = mask?;
        let paths = mask.paths.clone();
        (!paths.is_empty()).then_some(Self { paths })
    }

    /// Whether a field is wanted, whole or a part of it.
    fn wants(&self, field: &str) -> bool {
        self.paths.iter().any(|path| {
            let rest = path.strip_prefix(field);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Whether a part of a field is wanted, by itself or because all of it is.
    fn wants_part(&self, field: &str, part: &str) -> bool {
        self.paths.iter().any(|path| match path.split_once('.') {
            None => path == field,
            Some((above, below)) => above == field && below.split('.').next() == Some(part),
        })
    }

    /// Leaves out what is not wanted.
    pub fn apply(&self, flow: Flow) -> Flow {
        let zero = Flow::default();
        let wants = |field: &str| self.wants(field);
        macro_rules! kept {
            ($($field:ident: $name:literal),* $(,)?) => {
                Flow {
                    $($field: if wants($name) { flow.$field } else { zero.$field },)*
                    ip: flow.ip.filter(|_| wants("IP")).map(|ip| self.ip(ip)),
                    source: flow.source.filter(|_| wants("source")).map(|side| self.side("source", side)),
                    destination: flow.destination.filter(|_| wants("destination")).map(|side| self.side("destination", side)),
                }
            };
        }
        kept! {
            time: "time",
            uuid: "uuid",
            verdict: "verdict",
            drop_reason: "drop_reason",
            drop_reason_desc: "drop_reason_desc",
            l4: "l4",
            r#type: "Type",
            node_name: "node_name",
            event_type: "event_type",
            traffic_direction: "traffic_direction",
            policy_match_type: "policy_match_type",
            is_reply: "is_reply",
            interface: "interface",
            summary: "Summary",
            egress_allowed_by: "egress_allowed_by",
            ingress_allowed_by: "ingress_allowed_by",
            egress_denied_by: "egress_denied_by",
            ingress_denied_by: "ingress_denied_by",
        }
    }

    fn ip(&self, ip: Ip) -> Ip {
        let part = |name| self.wants_part("IP", name);
        Ip {
            source: if part("source") {
                ip.source
            } else {
                String::new()
            },
            destination: if part("destination") {
                ip.destination
            } else {
                String::new()
            },
            version: if part("ipVersion") { ip.version } else { 0 },
        }
    }

    fn side(&self, name: &str, side: Endpoint) -> Endpoint {
        let part = |part| self.wants_part(name, part);
        Endpoint {
            id: if part("ID") { side.id } else { 0 },
            identity: if part("identity") { side.identity } else { 0 },
            cluster_name: if part("cluster_name") {
                side.cluster_name
            } else {
                String::new()
            },
            namespace: if part("namespace") {
                side.namespace
            } else {
                String::new()
            },
            labels: if part("labels") {
                side.labels
            } else {
                Vec::new()
            },
        }
    }
}
