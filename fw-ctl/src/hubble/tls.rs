//! Certificates for Hubble's API on the network: ours, and whose clients are let in.
//!
//! TLS 1.3 alone, in both directions: who has no certificate that `client_ca` has signed gets no
//! further than the handshake. Files that are replaced are read again before the next client.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use crate::config::TlsFiles;
use crate::control::protocol::Failure;
use crate::exit;
use crate::why::why;

/// No such file is longer.
const LIMIT: u64 = 1 << 20;

/// What of a file is another one's when it was replaced: device, inode, length, last change.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// The certificates in use.
pub struct Tls {
    files: TlsFiles,
    current: Mutex<(Vec<Stamp>, TlsAcceptor)>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or is not what it should be.
    pub fn open(files: TlsFiles) -> Result<Self, Failure> {
        let stamps = stamps(&files);
        let acceptor = acceptor(&files)?;
        Ok(Self {
            files,
            current: Mutex::new((stamps, acceptor)),
        })
    }

    /// For the next client. While new files are wrong, those before them stay.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.files);
        if stamps != current.0 {
            current.0 = stamps;
            match acceptor(&self.files) {
                Ok(acceptor) => {
                    tracing::info!("the certificates of Hubble's API were read again");
                    current.1 = acceptor;
                }
                Err(failure) => {
                    tracing::error!("{failure}; the certificates read before stay in use");
                }
            }
        }
        current.1.clone()
    }
}

fn stamps(files: &TlsFiles) -> Vec<Stamp> {
    let stamp = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        let changed = (file.ctime(), file.ctime_nsec());
        Some((file.dev(), file.ino(), file.len(), changed.0, changed.1))
    };
    [&files.cert, &files.key, &files.client_ca]
        .map(|path| stamp(path))
        .to_vec()
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, Failure> {
    let wrong = |key: &str, path: &Path, why: String| {
        let message = format!("hubble.tls.{key}: {}: {why}", path.display());
        Failure::new(exit::INVALID, message)
    };
    let read = |key: &str, path: &Path| {
        bytes(path).map_err(|error| wrong(key, path, format!("cannot be read: {}", why(&error))))
    };
    let certificates = |key: &str, path: &Path| {
        let bytes = read(key, path)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            _ => Err(wrong(key, path, "holds no certificate in PEM".to_owned())),
        }
    };
    let chain = certificates("cert", &files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&read("key", &files.key)?)
        .map_err(|_| wrong("key", &files.key, "holds no private key in PEM".to_owned()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca", &files.client_ca)? {
        roots.add(certificate).map_err(|error| {
            let why = format!("holds no certificate of an authority: {error}");
            wrong("client_ca", &files.client_ca, why)
        })?;
    }
    let provider = Arc::new(default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .build()
        .map_err(|error| wrong("client_ca", &files.client_ca, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .and_then(|config| {
            let config = config.with_client_cert_verifier(clients);
            config.with_single_cert(chain, key)
        })
        .map_err(|error| {
            let why = match error {
                rustls::Error::InconsistentKeys(_) => "that is the key of another one".to_owned(),
                error => error.to_string(),
            };
            let why = format!("does not go with {}: {why}", files.key.display());
            wrong("cert", &files.cert, why)
        })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Every connection shows its certificate: one that is let in no more has no way around it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config).into())
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}
