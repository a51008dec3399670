//! Who is let in over the network, and who is not; with certificates made here.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tonic::client::Grpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{all, connect, events, flows_of};
use crate::config::TlsFiles;
use crate::hubble::connection::Asker;
use crate::hubble::server::serve_with;
use crate::hubble::tcp::{CLIENTS, open, serve};
use crate::observe::text::tests::record;
use crate::observe::{Events, Observed};

const NAME: &str = "node1.example.org";

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with its key, in PEM; `valid`: still.
    fn sign(&self, purpose: ExtendedKeyUsagePurpose, valid: bool) -> (String, String) {
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(if valid { 4000 } else { 2021 }, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn client(&self) -> (String, String) {
        self.sign(ExtendedKeyUsagePurpose::ClientAuth, true)
    }

    fn server(&self) -> (String, String) {
        self.sign(ExtendedKeyUsagePurpose::ServerAuth, true)
    }
}

struct Remote {
    files: TlsFiles,
    at: SocketAddr,
    task: JoinHandle<()>,
    events: Events,
    dir: tempfile::TempDir,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn write(files: &TlsFiles, of_server: &(String, String), client_ca: &str) {
    // As tools replace files: others take their place.
    for (path, text) in [
        (&files.cert, of_server.0.as_str()),
        (&files.key, &of_server.1),
        (&files.client_ca, client_ca),
    ] {
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, path).unwrap();
    }
}

fn files(dir: &Path) -> TlsFiles {
    TlsFiles {
        cert: dir.join("cert.pem"),
        key: dir.join("key.pem"),
        client_ca: dir.join("ca.pem"),
    }
}

async fn remote(of_server: &(String, String), client_ca: &str) -> Remote {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    write(&files, of_server, client_ca);
    let (listener, tls) = open("127.0.0.1:0".parse().unwrap(), &files).await.unwrap();
    let at = listener.local_addr().unwrap();
    let observed = Arc::new(Observed::new(8, "default/node1"));
    observed.tell(record());
    let events = events(&observed);
    let served = events.clone();
    let task = tokio::spawn(async move { serve(listener, Arc::new(tls), &served).await });
    Remote {
        files,
        at,
        task,
        events,
        dir,
    }
}

impl Remote {
    /// A client that trusts `authority`, with a certificate of its own, perhaps.
    async fn client(
        &self,
        authority: &Authority,
        own: Option<&(String, String)>,
    ) -> Result<Grpc<Channel>, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(authority.pem()))
            .domain_name(NAME);
        if let Some((certificate, key)) = own {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", self.at)).unwrap();
        Ok(Grpc::new(endpoint.tls_config(tls)?.connect().await?))
    }

    /// Whether such a client is told flows.
    async fn serves(&self, authority: &Authority, own: Option<&(String, String)>) -> bool {
        let Ok(mut client) = self.client(authority, own).await else {
            return false;
        };
        // In TLS 1.3 the client hears that it is refused after it has asked.
        if client.ready().await.is_err() {
            return false;
        }
        match flows_of(&mut client, all()).await {
            Ok(mut answers) => answers.message().await.is_ok_and(|answer| answer.is_some()),
            Err(_) => false,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_a_certificate_of_the_authority_is_served() {
    let (ours, other) = (Authority::new(), Authority::new());
    let remote = remote(&ours.server(), &ours.pem()).await;
    assert!(remote.serves(&ours, Some(&ours.client())).await);
    assert!(!remote.serves(&ours, None).await, "without a certificate");
    assert!(
        !remote.serves(&ours, Some(&other.client())).await,
        "of another"
    );
    let expired = ours.sign(ExtendedKeyUsagePurpose::ClientAuth, false);
    assert!(!remote.serves(&ours, Some(&expired)).await, "expired");
    assert!(
        !remote.serves(&ours, Some(&ours.server())).await,
        "a server's"
    );
    assert!(
        !remote.serves(&other, Some(&ours.client())).await,
        "of no node"
    );
    // In plain text there is nothing to be had.
    let plain = Endpoint::from_shared(format!("http://{}", remote.at)).unwrap();
    let answered = match plain.connect().await {
        Ok(channel) => flows_of(&mut Grpc::new(channel), all()).await.is_ok(),
        Err(_) => false,
    };
    assert!(!answered, "in plain text");
    assert_eq!(remote.events.observed.listeners(), 0);
    assert!(remote.serves(&ours, Some(&ours.client())).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again_when_they_are_replaced() {
    let (old, new) = (Authority::new(), Authority::new());
    let remote = remote(&old.server(), &old.pem()).await;
    assert!(remote.serves(&old, Some(&old.client())).await);
    // What is wrong takes nothing away.
    write(
        &remote.files,
        &("nothing".into(), old.server().1),
        &new.pem(),
    );
    assert!(remote.serves(&old, Some(&old.client())).await);
    write(&remote.files, &(old.server().0, old.server().1), &new.pem());
    assert!(
        remote.serves(&old, Some(&old.client())).await,
        "another key"
    );
    write(&remote.files, &new.server(), &new.pem());
    assert!(!remote.serves(&new, Some(&old.client())).await);
    assert!(remote.serves(&new, Some(&new.client())).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_wrong_are_named() {
    let ours = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let at = "127.0.0.1:0".parse().unwrap();
    let failed = async || open(at, &files).await.map(drop).unwrap_err().to_string();
    assert!(failed().await.starts_with("hubble.tls.cert: "));
    write(&files, &(ours.server().0, "no key".into()), &ours.pem());
    assert!(
        failed()
            .await
            .ends_with("key.pem: holds no private key in PEM")
    );
    write(&files, &(ours.server().0, ours.server().1), &ours.pem());
    assert!(failed().await.contains("cert.pem: does not go with"));
    write(&files, &ours.server(), "no authority");
    assert!(
        failed()
            .await
            .ends_with("ca.pem: holds no certificate in PEM")
    );
    write(&files, &ours.server(), &ours.pem());
    assert!(open(at, &files).await.is_ok());
    let (taken, _tls) = open(at, &files).await.unwrap();
    let taken = taken.local_addr().unwrap();
    let failed = open(taken, &files).await.map(drop).unwrap_err();
    assert!(
        failed.to_string().starts_with("hubble.listen: "),
        "{failed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_clients_of_the_network_keep_nobody_out() {
    let ours = Authority::new();
    let remote = remote(&ours.server(), &ours.pem()).await;
    let own = ours.client();
    // Strangers who say nothing: more than have a place.
    let began = Instant::now();
    let mut strangers = Vec::new();
    for _ in 0..200 {
        strangers.push(TcpStream::connect(remote.at).await.unwrap());
    }
    // Those beyond the places are hung up on at once, the others when their time is over.
    let mut hung_up = 0;
    for stranger in &mut strangers {
        let read = tokio::time::timeout(Duration::from_millis(50), stranger.read_u8());
        hung_up += usize::from(read.await.is_ok());
    }
    assert!(hung_up >= 100, "{hung_up}");
    while !remote.serves(&ours, Some(&own)).await {
        assert!(began.elapsed() < Duration::from_secs(30), "strangers stay");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Every place of the network taken, with a request on each.
    let follow = || crate::hubble::proto::observer::GetFlowsRequest {
        follow: true,
        ..all()
    };
    let mut clients = Vec::new();
    while clients.len() < CLIENTS {
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "{}",
            clients.len()
        );
        let Ok(mut client) = remote.client(&ours, Some(&own)).await else {
            continue;
        };
        if let Ok(answers) = flows_of(&mut client, follow()).await {
            clients.push((client, answers));
        }
    }
    assert!(!remote.serves(&ours, Some(&own)).await);
    // Who sits at the machine has places of his own.
    let path = remote.dir.path().join("hubble.sock");
    let member = |_: &UnixStream| Asker { is_root: false };
    let _local = serve_with(&path, &remote.events, member).unwrap();
    let mut local = connect(&path).await;
    assert!(flows_of(&mut local, follow()).await.is_ok());
    clients.pop();
    let began = Instant::now();
    while !remote.serves(&ours, Some(&own)).await {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the place does not come back"
        );
    }
}
