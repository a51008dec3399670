//! Where the daemon listens for others.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// An address with a port, or `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Listen(pub Option<SocketAddr>);

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        match text.parse::<SocketAddr>() {
            // Any port would be one that nobody else knows.
            Ok(address) if address.port() != 0 => Ok(Self(Some(address))),
            _ => Err(format!(
                "`{text}` is no address with a port, as 127.0.0.1:9962 or [::]:4244, nor `off`"
            )),
        }
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        let address = listen.0.map(|address| address.to_string());
        address.unwrap_or_else(|| "off".to_owned())
    }
}
