//! For tests: an edge whose answers the test writes, and what passes over the link.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use proxima_edge_core::edge_config::EdgeConfig;
use proxima_edge_core::link::{Envelope, FromEdge, Serving, ToEdge, content_hash, hex_sha256};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::{Keys, Target};

/// Far beyond anything that happens; only a fault waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// An edge whose answers the test writes.
pub(crate) struct FakeEdge {
    /// Its control port.
    pub(crate) address: SocketAddr,
    /// Pin of its server key.
    pub(crate) pin: String,
    /// What it hears.
    pub(crate) heard: mpsc::Receiver<Heard>,
}

/// What the edge heard, or (`None`) a fresh connection; the answer is what `reply` is given, dropping it hangs up.
pub(crate) struct Heard {
    pub(crate) message: Option<ToEdge>,
    pub(crate) reply: oneshot::Sender<FromEdge>,
}

impl FakeEdge {
    pub(crate) async fn start(operator_pin: &str) -> Self {
        let keys = Keys::generate("edge").unwrap();
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), &keys, operator_pin).await
    }

    /// At this address, with these keys, which edges of one namespace share.
    pub(crate) async fn start_at(address: SocketAddr, keys: &Keys, operator_pin: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heard) = mpsc::channel(16);
        let pin = keys.pin();
        let acceptor = acceptor(keys, operator_pin);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        converse(tls, sender).await;
                    }
                });
            }
        });
        Self { address, pin, heard }
    }

    pub(crate) fn target(&self, name: &str) -> Target {
        Target { name: name.to_owned(), incarnation: 1, address: self.address, pin: self.pin.clone() }
    }

    pub(crate) async fn next(&mut self) -> Heard {
        timeout(PATIENCE, self.heard.recv()).await.expect("the operator speaks").expect("the edge lives")
    }

    /// Answers the next message, which must be `expected`.
    pub(crate) async fn answer(&mut self, expected: Option<&ToEdge>, answer: FromEdge) {
        let heard = self.next().await;
        assert_eq!(heard.message.as_ref(), expected);
        heard.reply.send(answer).unwrap();
    }
}

async fn converse(tls: TlsStream<TcpStream>, heard: mpsc::Sender<Heard>) {
    let mut frames: Framed<_, _> = LengthDelimitedCodec::builder().new_framed(tls);
    let mut message = None;
    loop {
        let (reply, answer) = oneshot::channel();
        heard.send(Heard { message: message.take(), reply }).await.unwrap();
        let Ok(answer) = answer.await else { return };
        let json = serde_json::to_vec(&answer).unwrap();
        if frames.send(Bytes::from(json)).await.is_err() {
            return;
        }
        let Some(Ok(frame)) = frames.next().await else { return };
        message = Some(serde_json::from_slice(&frame).unwrap());
    }
}

fn acceptor(keys: &Keys, operator_pin: &str) -> TlsAcceptor {
    let (certificate, key) = keys.der();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(PinnedClient(operator_pin.to_owned())))
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[derive(Debug)]
struct PinnedClient(String);

impl ClientCertVerifier for PinnedClient {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let spki = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        if hex_sha256(spki.as_ref()) == self.0 {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(rustls::Error::General("wrong pin".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

pub(crate) fn envelope(revision: u64) -> Arc<Envelope> {
    let config = EdgeConfig { requires: vec![], cache: Default::default(), distributions: vec![] };
    let hash = content_hash(&config);
    Arc::new(Envelope { uid: "u".to_owned(), term: 7, revision, epoch: 0, generation: 1, hash, config })
}

pub(crate) fn configure(envelope: &Envelope) -> ToEdge {
    ToEdge::Configure(Box::new(envelope.clone()))
}

pub(crate) fn ping(envelope: &Envelope) -> ToEdge {
    ToEdge::Ping { term: envelope.term, revision: envelope.revision, epoch: envelope.epoch }
}

pub(crate) fn says(envelope: Option<&Envelope>) -> FromEdge {
    let serving = envelope.map(|envelope| Serving {
        uid: envelope.uid.clone(),
        revision: envelope.revision,
        epoch: envelope.epoch,
        hash: envelope.hash.clone(),
    });
    FromEdge { edge: "e".to_owned(), zone: "a".to_owned(), serving, refused: None }
}
