//! Certificate authorities, and origins that they vouch for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// A certificate authority of its own.
pub struct Authority {
    /// Its certificate, PEM.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new one.
    pub fn generate() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate can be signed").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// An origin on 127.0.0.1 with a certificate for that address, which answers every request with `answer`.
    pub async fn origin(&self, answer: &'static str) -> TlsOrigin {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address is a good name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be signed");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a generated key is well-formed"),
            )
            .expect("key and certificate belong together");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let handshakes = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(server)), Arc::clone(&handshakes), answer));
        TlsOrigin { address, handshakes, task: task.abort_handle() }
    }
}

/// An https origin. Ends when dropped.
pub struct TlsOrigin {
    /// Where it listens.
    pub address: SocketAddr,
    handshakes: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl TlsOrigin {
    /// How many TLS handshakes have succeeded.
    pub fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }
}

impl Drop for TlsOrigin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, handshakes: Arc<AtomicUsize>, answer: &'static str) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        let (acceptor, handshakes) = (acceptor.clone(), Arc::clone(&handshakes));
        tokio::spawn(async move {
            // A client that does not trust the certificate leaves in the middle of the handshake.
            let Ok(stream) = acceptor.accept(tcp).await else { return };
            handshakes.fetch_add(1, Ordering::SeqCst);
            serve(stream, answer).await;
        });
    }
}

/// Answers requests without a body until the connection ends.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) {
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
