//! A Kubernetes API as far as two questions go: real TLS, client certificates, tokens, and refusals on request.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// The token that is accepted; a bait for leaks as well.
pub const TOKEN: &str = "pl4nted-t0ken";

/// The server, and the files of its kubeconfigs.
pub struct Server {
    pub url: String,
    pub dir: tempfile::TempDir,
    pub ca: String,
    /// A certificate that is valid, and one that ended in 2020, each with its key.
    pub valid: (String, String),
    pub ended: (String, String),
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What to say to everybody, instead of the truth.
    instead: Mutex<Option<(u16, String)>>,
    writes: AtomicU64,
}

/// How old the server's certificate is.
#[derive(Clone, Copy, PartialEq)]
pub enum ServerCertificate {
    Valid,
    Ended,
}

fn certificate(name: &str, issuer: &Issuer<'_, KeyPair>, until: i32) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params =
        CertificateParams::new(vec!["127.0.0.1".to_owned(), "kubernetes".to_owned()]).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, issuer).expect("signed");
    (certificate.pem(), key.serialize_pem())
}

impl Server {
    pub async fn start(server_certificate: ServerCertificate) -> Self {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("names");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "test authority");
        let ca_pem = ca.self_signed(&ca_key).expect("signed").pem();
        let issuer = Issuer::new(ca, ca_key);
        let until = if server_certificate == ServerCertificate::Valid { 2090 } else { 2020 };
        let (own, own_key) = certificate("server", &issuer, until);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("PEM")).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .expect("a verifier");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(own.as_bytes()).expect("PEM")],
                PrivateKeyDer::from_pem_slice(own_key.as_bytes()).expect("PEM"),
            )
            .expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared::default());
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&shared)));
        Self {
            url,
            dir: tempfile::tempdir().expect("a directory"),
            valid: certificate("system:masters", &issuer, 2090),
            ended: certificate("system:masters", &issuer, 2020),
            ca: ca_pem,
            shared,
        }
    }

    /// From now on everybody gets this answer.
    pub fn say(&self, status: u16, body: &str) {
        *self.shared.instead.lock().expect("a lock") = Some((status, body.to_owned()));
    }

    /// How many requests were no GET.
    pub fn writes(&self) -> u64 {
        self.shared.writes.load(Ordering::SeqCst)
    }

    /// Puts a file beside the kubeconfigs.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs_err::write(&path, content).expect("written");
        path
    }

    /// A kubeconfig with that user section (YAML in one line), and its handle.
    pub fn kubeconfig(&self, user: &str) -> String {
        self.file("ca.pem", &self.ca);
        let path = self.file(
            "config",
            &format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: main\n\
                 clusters:\n- name: c\n  cluster: {{server: '{}', certificate-authority: ca.pem}}\n\
                 - name: stranger\n  cluster: {{server: '{}'}}\n\
                 contexts:\n- name: main\n  context: {{cluster: c, user: u, namespace: web}}\n\
                 - name: other\n  context: {{cluster: gone, user: u}}\n\
                 - name: unknown-authority\n  context: {{cluster: stranger, user: u}}\n\
                 users:\n- name: u\n  user: {user}\n",
                self.url, self.url
            ),
        );
        handle(&path)
    }
}

/// The handle of a file.
pub fn handle(path: &Path) -> String {
    format!("file:{}", path.display())
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            // A client that does not trust us hangs up here.
            let Ok(mut stream) = tls.accept(stream).await else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let known = stream.get_ref().1.peer_certificates().is_some();
            let (status, body) = answer(&String::from_utf8_lossy(&head), known, &shared);
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nretry-after: 7\r\n\
                 content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        });
    }
}

fn answer(head: &str, known: bool, shared: &Shared) -> (u16, String) {
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method != "GET" {
        shared.writes.fetch_add(1, Ordering::SeqCst);
    }
    if let Some(instead) = shared.instead.lock().expect("a lock").clone() {
        return instead;
    }
    if !known
        && !head.lines().any(|line| line.eq_ignore_ascii_case(&format!("authorization: Bearer {TOKEN}")))
    {
        return (401, r#"{"kind":"Status","message":"Unauthorized"}"#.to_owned());
    }
    match path {
        "/version" => (200, r#"{"gitVersion":"v1.36.3"}"#.to_owned()),
        "/api/v1/namespaces/kube-system" => (200, r#"{"metadata":{"uid":"uid-of-kube-system"}}"#.to_owned()),
        _ => (404, r#"{"message":"not found"}"#.to_owned()),
    }
}
