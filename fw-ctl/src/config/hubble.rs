//! `[hubble]`: Hubble's API for other machines.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Listen;
use super::contradictions::Contradiction;

/// `[hubble]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hubble {
    /// Where it listens for other machines.
    pub listen: Listen,
    /// With which certificates.
    pub tls: HubbleTls,
}

/// `[hubble.tls]`: files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HubbleTls {
    /// The certificate that clients are shown, with what leads to its authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Authorities that sign certificates of clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

/// All three of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// See [`HubbleTls`].
    pub cert: PathBuf,
    /// See [`HubbleTls`].
    pub key: PathBuf,
    /// See [`HubbleTls`].
    pub client_ca: PathBuf,
}

impl Hubble {
    /// Nothing is said of it.
    pub(super) fn is_unsaid(&self) -> bool {
        *self == Self::default()
    }

    /// Where to listen and with which certificates; `None`: not at all.
    #[must_use]
    pub fn remote(&self) -> Option<(SocketAddr, TlsFiles)> {
        let HubbleTls {
            cert,
            key,
            client_ca,
        } = self.tls.clone();
        let files = TlsFiles {
            cert: cert?,
            key: key?,
            client_ca: client_ca?,
        };
        Some((self.listen.0?, files))
    }
}

/// A network that is listened to without certificates.
pub(super) fn contradiction(hubble: &Hubble) -> Option<Contradiction> {
    let tls = &hubble.tls;
    let missing: Vec<_> = [
        ("cert", &tls.cert),
        ("key", &tls.key),
        ("client_ca", &tls.client_ca),
    ]
    .into_iter()
    .filter(|(_, file)| file.is_none())
    .map(|(name, _)| format!("`hubble.tls.{name}`"))
    .collect();
    if hubble.listen.0.is_none() || missing.is_empty() {
        return None;
    }
    let message = format!(
        "`listen` needs {} too: other machines are served with TLS and certificates on both sides \
         only, never in plain text\nfw-ctl's socket on this machine needs none",
        missing.join(", ")
    );
    Some(Contradiction::new("hubble.listen", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Hubble, String> {
        toml_edit::de::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_needs_a_port_and_all_certificates() {
        let off = parse("listen = \"off\"").unwrap();
        assert_eq!(off, Hubble::default());
        assert_eq!((off.remote(), contradiction(&off)), (None, None));
        let all = "listen = \"[::]:4244\"\n[tls]\ncert = \"/c\"\nkey = \"/k\"\nclient_ca = \"/a\"";
        let all = parse(all).unwrap();
        let (address, files) = all.remote().unwrap();
        assert_eq!(address, "[::]:4244".parse().unwrap());
        assert_eq!(files.client_ca, PathBuf::from("/a"));
        assert_eq!(contradiction(&all), None);
        for (missing, change) in [
            ("cert", (|tls| tls.cert = None) as fn(&mut HubbleTls)),
            ("key", |tls| tls.key = None),
            ("client_ca", |tls| tls.client_ca = None),
        ] {
            let mut some = all.clone();
            change(&mut some.tls);
            assert_eq!(some.remote(), None, "{missing}");
            let found = contradiction(&some).unwrap();
            assert_eq!(found.path, ["hubble", "listen"]);
            let named = format!("`listen` needs `hubble.tls.{missing}` too: ");
            assert!(found.message.starts_with(&named), "{}", found.message);
            assert!(found.message.contains("never in plain text"));
            some.listen = Listen(None);
            assert_eq!(contradiction(&some), None, "{missing}");
        }
        for wrong in ["on", "", "4244", "0.0.0.0", "0.0.0.0:0", "node1:4244"] {
            let error = parse(&format!("listen = \"{wrong}\"")).unwrap_err();
            assert!(error.contains("is no address with a port"), "{error}");
        }
    }
}
