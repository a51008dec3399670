//! What Cilium tells of one packet: a denied one twice, what policy says and that it was dropped.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Record, Told};

/// Which of Cilium's two messages about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// What policy says.
    PolicyVerdict,
    /// That it was dropped.
    Drop,
}

impl Message {
    /// Cilium's `MessageTypeDrop` and `MessageTypePolicyVerdict` (`pkg/monitor/api/types.go`).
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Drop => 1,
            Self::PolicyVerdict => 5,
        }
    }
}

/// One message, as Hubble tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Which.
    pub message: Message,
    /// About which packet.
    pub record: Arc<Record>,
}

impl Flow {
    /// See [`Record::uuid`].
    #[must_use]
    pub fn uuid(&self) -> String {
        self.record.uuid(self.message)
    }

    /// Every message about a packet, in the order in which Cilium sends them.
    #[must_use]
    pub fn of(record: &Arc<Record>) -> Vec<Self> {
        let flow = |message| Self {
            message,
            record: Arc::clone(record),
        };
        record.messages().into_iter().map(flow).collect()
    }
}

impl Record {
    /// Of this message alone, in the form of RFC 9562 §5.8: of the packet's time, its number and
    /// which message it is.
    #[must_use]
    pub fn uuid(&self, message: Message) -> String {
        let (time, number) = (self.time, self.number);
        let message = u64::from(message.number());
        let (high, middle, low) = (time >> 32, time >> 16 & 0xffff, time >> 4 & 0xfff);
        let variant = 0x8000 | (time & 0xf) << 4 | message;
        let number = number & 0xffff_ffff_ffff;
        format!("{high:08x}-{middle:04x}-8{low:03x}-{variant:04x}-{number:012x}")
    }

    /// The messages about it.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        // A malformed packet is dropped before policy is asked; in audit mode the
        // verdict line is the only one that can say that it would have been.
        if self.by_policy() || self.told == Told::Audit {
            messages.push(Message::PolicyVerdict);
        }
        if self.told == Told::Deny {
            messages.push(Message::Drop);
        }
        messages
    }

    /// Hubble's `is_reply`: what is allowed opens a connection; of what is not, nobody knows.
    #[must_use]
    pub fn is_reply(&self) -> Option<bool> {
        (self.told == Told::Allow).then_some(false)
    }
}
