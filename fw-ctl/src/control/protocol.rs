//! What client and daemon say to each other.
//!
//! A client sends one [`Request`] and gets one [`Reply`]; after [`Request::Monitor`]
//! and [`Reply::Done`] it gets [`Reply::Record`]s until one side closes, after
//! [`Request::Capture`] [`Reply::Packet`]s likewise, and after
//! [`Request::Observe`] [`Reply::Flow`]s, until these are all or one side closes.

use std::net::IpAddr;
use std::sync::Arc;

use fw_common::wire::SINGLES;
use serde::{Deserialize, Serialize};

use crate::capture::{CaptureQuery, Packet};
use crate::compile::plan::Mode;
use crate::diagnostic::Diagnostic;
use crate::exit;
use crate::harm::SshSession;
use crate::observe::{self, AgentEvent, Happened, Lost, Query, Record, Seen, Span};
use crate::peers;
use crate::vlans::UNTAGGED;

/// Longest reason of a ban: bytes of UTF-8.
pub const MAX_REASON: usize = 256;
/// Longest ban in a list of them, in bytes of JSON:
///
/// - 49 for `{"address":"","since":"","until":"","reason":""},`,
/// - 39 for an IPv6 address whose parts have four digits each,
/// - 28 for each of two moments: 20, and 8 more for the last year that 64 bits can say,
/// - twice the reason, in which every `"` and every `\` is escaped. Others that would be
///   are control characters, and never kept.
pub const MAX_BAN: usize = 49 + 39 + 2 * 28 + 2 * MAX_REASON;
/// Longest answer. The longest that there is lists every ban for which the kernel has
/// room: 41 MiB if all are as long as can be; a MiB more is for what is around them. A
/// status with thousands of interfaces and rules fits, too; what is longer is no message
/// of ours.
pub const MAX_LINE: usize = SINGLES as usize * MAX_BAN + 1024 * 1024;
/// Longest request.
pub const MAX_REQUEST: usize = 64 * 1024;

/// Every [`Request::verb`].
const VERBS: [&str; 19] = [
    "status",
    "reload",
    "confirm",
    "rollback",
    "journal",
    "mode",
    "monitor",
    "observe",
    "capture",
    "rules",
    "detach",
    "trace",
    "peers",
    "ban",
    "unban",
    "bans",
    "audit",
    "metrics",
    "agent-events",
];

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How it goes.
    Status,
    /// Read everything again.
    Reload(Change),
    /// Keep what is on trial.
    Confirm,
    /// Go back to what was in force.
    Rollback {
        /// The generation; absent: the one before.
        to: Option<u64>,
        /// How.
        #[serde(default)]
        change: Change,
    },
    /// What was in force.
    Journal,
    /// Say or change the mode.
    Mode {
        /// The new mode; absent: only say it.
        set: Option<ModeChange>,
        /// How.
        #[serde(default, skip_serializing_if = "Change::is_usual")]
        change: Change,
    },
    /// Every verdict from now on.
    Monitor,
    /// Flows of the past, and perhaps what is to come.
    Observe(Query),
    /// Every packet that is dropped from now on, with its bytes.
    Capture(CaptureQuery),
    /// What became of the daemon and its policies, and perhaps what is to come.
    AgentEvents(Span),
    /// Rules with their counters.
    Rules,
    /// Take the filter off every interface.
    Detach,
    /// What would happen to a packet.
    Trace(Flow),
    /// Every known address.
    Peers(peers::Query),
    /// Ban addresses.
    Ban(BanRequest),
    /// Lift bans.
    Unban {
        /// Of these addresses; absent: of all.
        addresses: Option<Vec<IpAddr>>,
    },
    /// Every ban.
    Bans,
    /// What was audited, and what was dropped.
    Audit,
    /// Numbers for a monitoring system.
    Metrics,
}

impl Request {
    /// The verb on the wire.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Reload(_) => "reload",
            Self::Confirm => "confirm",
            Self::Rollback { .. } => "rollback",
            Self::Journal => "journal",
            Self::Mode { .. } => "mode",
            Self::Monitor => "monitor",
            Self::Observe(_) => "observe",
            Self::Capture(_) => "capture",
            Self::AgentEvents(_) => "agent-events",
            Self::Rules => "rules",
            Self::Detach => "detach",
            Self::Trace(_) => "trace",
            Self::Peers(_) => "peers",
            Self::Ban(_) => "ban",
            Self::Unban { .. } => "unban",
            Self::Bans => "bans",
            Self::Audit => "audit",
            Self::Metrics => "metrics",
        }
    }

    /// Reads a line of a client.
    ///
    /// # Errors
    /// What about it is not understood, in words that say nothing of Rust's types.
    pub fn read(line: &[u8]) -> Result<Self, Failure> {
        const OTHER_VERSION: &str =
            "client and daemon may differ in version: systemctl restart fw-ctl";
        #[derive(Deserialize)]
        struct Envelope {
            verb: String,
        }
        if let Ok(request) = serde_json::from_slice(line) {
            return Ok(request);
        }
        let Ok(Envelope { verb }) = serde_json::from_slice(line) else {
            return Err(Failure::new(
                exit::USAGE,
                "the request is not understood: it is no JSON object with a `verb` on one line",
            ));
        };
        let message = if VERBS.contains(&verb.as_str()) {
            format!(
                "the request `{verb}` is not understood: its fields are not those of this version"
            )
        } else {
            let shown: String = verb.chars().take(40).collect();
            format!("the daemon knows no request {shown:?}")
        };
        Err(Failure::new(exit::USAGE, message).help(OTHER_VERSION))
    }

    /// Whether only root may ask for it: it changes something, or tells what packets say.
    #[must_use]
    pub fn is_roots(&self) -> bool {
        self.changes() || matches!(self, Self::Capture(_))
    }

    /// Whether it changes anything.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Reload(_)
            | Self::Confirm
            | Self::Rollback { .. }
            | Self::Detach
            | Self::Mode { set: Some(_), .. }
            | Self::Ban(_)
            | Self::Unban { .. } => true,
            Self::Status
            | Self::Monitor
            | Self::Observe(_)
            | Self::Capture(_)
            | Self::AgentEvents(_)
            | Self::Rules
            | Self::Trace(_)
            | Self::Peers(_)
            | Self::Bans
            | Self::Audit
            | Self::Metrics
            | Self::Journal
            | Self::Mode { set: None, .. } => false,
        }
    }
}

/// How a change is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// Seconds within which it must be confirmed; 0: it need not; absent: as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
    /// Also if connections are cut by it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// The SSH session in which the operator sits, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asker: Option<SshSession>,
}

impl Change {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What `fw-ctl mode` may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ModeChange {
    /// Report what would be dropped, and let it pass.
    Audit,
    /// Drop it.
    Enforce,
    /// Forget what was set here: the configuration decides again.
    Configured,
}

impl From<Mode> for ModeChange {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Audit => Self::Audit,
            Mode::Enforce => Self::Enforce,
        }
    }
}

impl ModeChange {
    /// The mode that is set; `None`: the configuration decides.
    #[must_use]
    pub fn mode(self) -> Option<Mode> {
        match self {
            Self::Audit => Some(Mode::Audit),
            Self::Enforce => Some(Mode::Enforce),
            Self::Configured => None,
        }
    }

    /// Who decides the mode then, as `status` says it.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::Audit | Self::Enforce => "fw-ctl mode",
            Self::Configured => "configuration",
        }
    }
}

/// The packet of a trace: the first of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Source port; 0 where it does not matter.
    pub source_port: u16,
    /// Destination port; the type for ICMP.
    pub destination_port: u16,
    /// Id of the VLAN; 0: untagged.
    #[serde(default, skip_serializing_if = "is_untagged")]
    pub vlan: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_untagged(vlan: &u16) -> bool {
    *vlan == UNTAGGED
}

/// Whom to ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRequest {
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// Until when: seconds since 1970; absent: for good.
    pub until: Option<u64>,
    /// Why, for whoever reads the list; at most [`MAX_REASON`].
    pub reason: String,
    /// Also addresses that the node or its operator depend on.
    pub force: bool,
    /// Where the operator is connected from by SSH, if so.
    pub asker: Option<IpAddr>,
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It is done; the value depends on the request.
    Done(serde_json::Value),
    /// It is not.
    Failed(Failure),
    /// A verdict.
    Record(Arc<Record>),
    /// What Hubble tells of one.
    Flow(observe::Flow),
    /// A packet with its bytes.
    Packet(Box<Packet>),
    /// Verdicts that are not told.
    Lost(Lost),
    /// Something about the daemon.
    AgentEvent(AgentEvent),
}

impl From<AgentEvent> for Reply {
    fn from(event: AgentEvent) -> Self {
        Self::AgentEvent(event)
    }
}

impl From<Happened> for Reply {
    fn from(happened: Happened) -> Self {
        match happened {
            Happened::Record(record) => Self::Record(record),
            Happened::Lost(lost) => Self::Lost(lost),
        }
    }
}

impl From<Seen> for Reply {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Flow(flow) => Self::Flow(flow),
            Seen::Lost(lost) => Self::Lost(lost),
        }
    }
}

/// Why a request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Exit code for the client (see [`crate::exit`]).
    pub exit: u8,
    /// What failed, on what, and why; may have several lines.
    pub message: String,
    /// What is wrong with files, each as a text of several lines.
    #[serde(default)]
    pub findings: Vec<String>,
    /// What to try.
    pub help: Option<String>,
    /// The same for programs, where it is more than the message: printed by `-o json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

impl Failure {
    /// A failure without advice.
    #[must_use]
    pub fn new(exit: u8, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            findings: Vec::new(),
            help: None,
            data: None,
        }
    }

    /// Files are refused because of `errors`; `what` is not done.
    #[must_use]
    pub fn refused(what: &str, errors: &[Diagnostic]) -> Self {
        let count = match errors.len() {
            1 => "1 error".to_owned(),
            count => format!("{count} errors"),
        };
        Self {
            findings: errors.iter().map(|error| error.render(false)).collect(),
            ..Self::new(exit::INVALID, format!("{what}: {count}"))
        }
    }

    /// Message and advice in one line, for logs and `status`.
    #[must_use]
    pub fn line(&self) -> String {
        let message = self.message.replace('\n', "; ");
        match &self.help {
            Some(help) => format!("{message} (try: {help})"),
            None => message,
        }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_to_root_alone_but_asking_for_them_changes_nothing() {
        let text = br#"{"verb":"capture","snaplen":64}"#;
        let request = Request::read(text).unwrap();
        let query = CaptureQuery {
            snaplen: 64,
            filters: crate::observe::filter::Filters::default(),
        };
        assert_eq!(request, Request::Capture(query));
        assert!(request.is_roots() && !request.changes());
        assert!(!Request::Monitor.is_roots() && Request::Detach.is_roots());
    }

    #[test]
    fn a_question_about_peers_on_the_wire() {
        let text = r#"{"verb":"peers","address":"192.0.2.1","label":"k8s:app=web","after":"10.0.0.0/8","limit":7}"#;
        let request = Request::Peers(peers::Query {
            address: Some("192.0.2.1".parse().unwrap()),
            identity: None,
            label: Some(observe::filter::Labels::parse("k8s:app=web").unwrap()),
            after: Some("10.0.0.0/8".parse().unwrap()),
            limit: 7,
        });
        assert_eq!(Request::read(text.as_bytes()).unwrap(), request);
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        assert_eq!((request.verb(), request.changes()), ("peers", false));
        let more = text.replace("\"limit\"", "\"most\":1,\"limit\"");
        assert!(Request::read(more.as_bytes()).is_err());
    }

    #[test]
    fn requests_on_the_wire() {
        for (text, expected, changes) in [
            (r#"{"verb":"status"}"#, Request::Status, false),
            (
                r#"{"verb":"mode","set":null}"#,
                Request::Mode {
                    set: None,
                    change: Change::default(),
                },
                false,
            ),
            (
                r#"{"verb":"mode","set":"enforce"}"#,
                Request::Mode {
                    set: Some(ModeChange::Enforce),
                    change: Change::default(),
                },
                true,
            ),
            (r#"{"verb":"detach"}"#, Request::Detach, true),
            (
                r#"{"verb":"reload"}"#,
                Request::Reload(Change::default()),
                true,
            ),
            (
                r#"{"verb":"reload","confirm":60,"force":true,"asker":{"client":"10.0.0.7:50000","server":"10.0.0.10:22"}}"#,
                Request::Reload(Change {
                    confirm: Some(60),
                    force: true,
                    asker: Some(SshSession {
                        client: "10.0.0.7:50000".parse().unwrap(),
                        server: "10.0.0.10:22".parse().unwrap(),
                    }),
                }),
                true,
            ),
            (r#"{"verb":"confirm"}"#, Request::Confirm, true),
            (
                r#"{"verb":"rollback","to":null,"change":{}}"#,
                Request::Rollback {
                    to: None,
                    change: Change::default(),
                },
                true,
            ),
            (r#"{"verb":"journal"}"#, Request::Journal, false),
            (
                r#"{"verb":"trace","source":"10.0.0.1","destination":"10.0.0.2","protocol":6,"source_port":0,"destination_port":22}"#,
                Request::Trace(Flow {
                    source: "10.0.0.1".parse().unwrap(),
                    destination: "10.0.0.2".parse().unwrap(),
                    protocol: 6,
                    source_port: 0,
                    destination_port: 22,
                    vlan: 0,
                }),
                false,
            ),
            (
                r#"{"verb":"ban","addresses":["192.0.2.1"],"until":null,"reason":"","force":false,"asker":"2001:db8::1"}"#,
                Request::Ban(BanRequest {
                    addresses: vec!["192.0.2.1".parse().unwrap()],
                    until: None,
                    reason: String::new(),
                    force: false,
                    asker: Some("2001:db8::1".parse().unwrap()),
                }),
                true,
            ),
            (
                r#"{"verb":"unban","addresses":["192.0.2.1"]}"#,
                Request::Unban {
                    addresses: Some(vec!["192.0.2.1".parse().unwrap()]),
                },
                true,
            ),
            (r#"{"verb":"bans"}"#, Request::Bans, false),
            (r#"{"verb":"audit"}"#, Request::Audit, false),
            (r#"{"verb":"metrics"}"#, Request::Metrics, false),
            (
                r#"{"verb":"observe","filters":{},"span":{"last":20,"follow":true}}"#,
                Request::Observe(Query::of(Span {
                    last: Some(20),
                    follow: true,
                    ..Span::default()
                })),
                false,
            ),
        ] {
            let request: Request = serde_json::from_str(text).unwrap();
            assert_eq!(request, expected);
            assert_eq!(request.changes(), changes);
            assert_eq!(Request::read(text.as_bytes()), Ok(request.clone()));
            assert!(text.starts_with(&format!(r#"{{"verb":"{}""#, request.verb())));
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
        }
    }

    #[test]
    fn what_is_not_understood_is_told_without_rust() {
        for (text, says) in [
            ("", "no JSON object"),
            ("nonsense", "no JSON object"),
            ("[]", "no JSON object"),
            ("{}", "no JSON object"),
            (r#"{"verb":7}"#, "no JSON object"),
            (r#"{"verb":"destroy"}"#, "knows no request \"destroy\""),
            (r#"{"verb":"mode","sett":"audit"}"#, "the request `mode`"),
            (r#"{"verb":"mode","set":"off"}"#, "the request `mode`"),
            (r#"{"verb":"trace"}"#, "the request `trace`"),
        ] {
            let failure = Request::read(text.as_bytes()).unwrap_err();
            assert!(failure.message.contains(says), "{text}: {failure}");
            for rust in ["enum", "struct", "variant", "Request", "tagged"] {
                assert!(!failure.message.contains(rust), "{text}: {failure}");
            }
        }
        for verb in VERBS {
            let text = format!(r#"{{"verb":"{verb}","other":1}}"#);
            let failure =
                Request::read(text.as_bytes()).map_or_else(|f| f.message, |r| r.verb().into());
            assert!(failure.contains(verb), "{failure}");
        }
    }
}
