//! Names and numbers of every field of a `flow.Flow` (Cilium 1.19 `api/v1/flow/flow.proto`), also
//! of those that a host firewall never fills: a client may ask for them, and gets nothing.

/// A field of a message.
pub struct Field {
    /// As in `flow.proto`.
    pub name: &'static str,
    /// On the wire.
    pub number: u32,
    /// Those of the message that it is; empty for anything else, lists of messages included.
    pub inside: &'static [Field],
}

const fn field(name: &'static str, number: u32) -> Field {
    message(name, number, &[])
}

const fn message(name: &'static str, number: u32, inside: &'static [Field]) -> Field {
    Field {
        name,
        number,
        inside,
    }
}

/// `Flow`
pub const FLOW: &[Field] = &[
    message("time", 1, TIMESTAMP),
    field("uuid", 34),
    field("verdict", 2),
    field("drop_reason", 3),
    field("auth_type", 35),
    message("ethernet", 4, ETHERNET),
    message("IP", 5, IP),
    message("l4", 6, LAYER4),
    message("tunnel", 39, TUNNEL),
    message("source", 8, ENDPOINT),
    message("destination", 9, ENDPOINT),
    field("Type", 10),
    field("node_name", 11),
    field("node_labels", 37),
    field("source_names", 13),
    field("destination_names", 14),
    message("l7", 15, LAYER7),
    field("reply", 16),
    message("event_type", 19, EVENT_TYPE),
    message("source_service", 20, SERVICE),
    message("destination_service", 21, SERVICE),
    field("traffic_direction", 22),
    field("policy_match_type", 23),
    field("trace_observation_point", 24),
    field("trace_reason", 36),
    message("file", 38, FILE),
    message("ip_trace_id", 40, IP_TRACE_ID),
    field("drop_reason_desc", 25),
    message("is_reply", 26, WRAPPED),
    field("debug_capture_point", 27),
    message("interface", 28, INTERFACE),
    field("proxy_port", 29),
    message("trace_context", 30, TRACE_CONTEXT),
    field("sock_xlate_point", 31),
    field("socket_cookie", 32),
    field("cgroup_id", 33),
    message("emitter", 41, EMITTER),
    field("Summary", 100_000),
    message("extensions", 150_000, ANY),
    field("egress_allowed_by", 21_001),
    field("ingress_allowed_by", 21_002),
    field("egress_denied_by", 21_004),
    field("ingress_denied_by", 21_005),
    field("policy_log", 21_006),
];

const TIMESTAMP: &[Field] = &[field("seconds", 1), field("nanos", 2)];
const WRAPPED: &[Field] = &[field("value", 1)];
const ANY: &[Field] = &[field("type_url", 1), field("value", 2)];
const ETHERNET: &[Field] = &[field("source", 1), field("destination", 2)];
const IP: &[Field] = &[
    field("source", 1),
    field("source_xlated", 5),
    field("destination", 2),
    field("ipVersion", 3),
    field("encrypted", 4),
];
const LAYER4: &[Field] = &[
    message("TCP", 1, TCP),
    message("UDP", 2, PORTS),
    message("ICMPv4", 3, ICMP),
    message("ICMPv6", 4, ICMP),
    message("SCTP", 5, PORTS),
];
const PORTS: &[Field] = &[field("source_port", 1), field("destination_port", 2)];
const TCP: &[Field] = &[
    field("source_port", 1),
    field("destination_port", 2),
    message("flags", 3, TCP_FLAGS),
];
const TCP_FLAGS: &[Field] = &[
    field("FIN", 1),
    field("SYN", 2),
    field("RST", 3),
    field("PSH", 4),
    field("ACK", 5),
    field("URG", 6),
    field("ECE", 7),
    field("CWR", 8),
    field("NS", 9),
];
const ICMP: &[Field] = &[field("type", 1), field("code", 2)];
const TUNNEL: &[Field] = &[
    field("protocol", 1),
    message("IP", 2, IP),
    message("l4", 3, LAYER4),
];
const ENDPOINT: &[Field] = &[
    field("ID", 1),
    field("identity", 2),
    field("cluster_name", 7),
    field("namespace", 3),
    field("labels", 4),
    field("pod_name", 5),
    field("workloads", 6),
];
const LAYER7: &[Field] = &[
    field("type", 1),
    field("latency_ns", 2),
    message("dns", 100, DNS),
    message("http", 101, HTTP),
    message("kafka", 102, KAFKA),
];
const DNS: &[Field] = &[
    field("query", 1),
    field("ips", 2),
    field("ttl", 3),
    field("cnames", 4),
    field("observation_source", 5),
    field("rcode", 6),
    field("qtypes", 7),
    field("rrtypes", 8),
];
const HTTP: &[Field] = &[
    field("code", 1),
    field("method", 2),
    field("url", 3),
    field("protocol", 4),
    field("headers", 5),
];
const KAFKA: &[Field] = &[
    field("error_code", 1),
    field("api_version", 2),
    field("api_key", 3),
    field("correlation_id", 4),
    field("topic", 5),
];
const EVENT_TYPE: &[Field] = &[field("type", 1), field("sub_type", 2)];
const SERVICE: &[Field] = &[field("name", 1), field("namespace", 2)];
const FILE: &[Field] = &[field("name", 1), field("line", 2)];
const IP_TRACE_ID: &[Field] = &[field("trace_id", 1), field("ip_option_type", 2)];
const INTERFACE: &[Field] = &[field("index", 1), field("name", 2)];
const TRACE_CONTEXT: &[Field] = &[message("parent", 1, TRACE_PARENT)];
const TRACE_PARENT: &[Field] = &[field("trace_id", 1)];
const EMITTER: &[Field] = &[field("name", 1), field("version", 2)];
