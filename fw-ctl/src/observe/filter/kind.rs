//! Which messages: `policy-verdict`, `drop`, or `drop:133` for drops of one reason.

use std::fmt;

use fw_common::wire::DropReason;
use serde::{Deserialize, Serialize};

use crate::observe::{Flow, Message};

/// A kind of messages; on the wire as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Kind {
    /// Which.
    pub message: Message,
    /// Of drops: Cilium's number of the reason.
    pub reason: Option<u8>,
}

impl Kind {
    /// Whether a flow is one of them.
    #[must_use]
    pub fn is(self, flow: &Flow) -> bool {
        let reason = || flow.record.drop_reason().map(DropReason::number);
        self.message == flow.message && (self.reason.is_none() || self.reason == reason())
    }
}

impl From<Message> for Kind {
    fn from(message: Message) -> Self {
        let reason = None;
        Self { message, reason }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.message, self.reason) {
            (Message::PolicyVerdict, _) => f.write_str("policy-verdict"),
            (Message::Drop, None) => f.write_str("drop"),
            (Message::Drop, Some(reason)) => write!(f, "drop:{reason}"),
        }
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.to_string()
    }
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let reason = text.strip_prefix("drop:").map(str::parse);
        match (text.as_str(), reason) {
            ("policy-verdict", _) => Ok(Message::PolicyVerdict.into()),
            ("drop", _) => Ok(Message::Drop.into()),
            (_, Some(Ok(reason))) => Ok(Self {
                message: Message::Drop,
                reason: Some(reason),
            }),
            _ => Err(format!("`{text}` is no kind of messages")),
        }
    }
}
