//! `peer.proto`

use prost::{Enumeration, Message};

/// `ChangeNotification`
#[derive(Clone, PartialEq, Message)]
pub struct ChangeNotification {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub address: String,
    #[prost(enumeration = "ChangeType", tag = "3")]
    pub r#type: i32,
}

/// `ChangeNotificationType`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum ChangeType {
    Unknown = 0,
    PeerAdded = 1,
}
