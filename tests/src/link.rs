//! The operator's side of the control port, able to misbehave.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use proxima_edge_core::link::{FromEdge, ToEdge, hex_sha256};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::wait::within;

/// A key with a certificate that it signed itself.
pub struct Identity {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The key, PEM.
    pub key_pem: String,
    /// SHA-256 of the public key, hex.
    pub pin: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    /// A new one.
    pub fn generate(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("the name is valid");
        let certificate = params.self_signed(&key).expect("a certificate can be signed");
        Self {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            pin: hex_sha256(&key.subject_public_key_info()),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }
}

/// What both sides of a link need.
pub struct Keys {
    /// The edge's server key.
    pub edge: Identity,
    /// The operator's client key.
    pub operator: Identity,
}

impl Keys {
    /// New ones.
    pub fn generate() -> Self {
        Self { edge: Identity::generate("proxima-edge"), operator: Identity::generate("proxima-operator") }
    }
}

/// A connection to a control port.
pub struct Link {
    stream: TlsStream<TcpStream>,
}

impl Link {
    /// Connects with a client key, or without one. `Ok` does not yet mean that the edge accepts it: in TLS 1.3 the client
    /// is done first.
    pub async fn connect(to: SocketAddr, edge: &Identity, client: Option<&Identity>) -> io::Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(Exactly { certificate: edge.certificate.clone(), provider: Arc::clone(&provider) });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider knows TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone()));
                builder.with_client_auth_cert(vec![identity.certificate.clone()], key).expect("key and certificate fit")
            }
        };
        let name = ServerName::try_from("proxima-edge").expect("the name is valid");
        let tcp = TcpStream::connect(to).await?;
        let stream = within("a handshake", TlsConnector::from(Arc::new(config)).connect(name, tcp)).await?;
        Ok(Self { stream })
    }

    /// Connects as the operator and reads the edge's first word.
    pub async fn open(to: SocketAddr, keys: &Keys) -> (Self, FromEdge) {
        let mut link =
            Self::connect(to, &keys.edge, Some(&keys.operator)).await.expect("the edge accepts the operator");
        let greeting = link.receive().await.expect("the edge speaks first");
        (link, greeting)
    }

    /// Sends a message and returns the answer.
    pub async fn ask(&mut self, message: &ToEdge) -> FromEdge {
        self.ask_bytes(&serde_json::to_vec(message).expect("a message is JSON")).await
    }

    /// Sends the bytes of a frame and returns the answer.
    pub async fn ask_bytes(&mut self, frame: &[u8]) -> FromEdge {
        let length = u32::try_from(frame.len()).expect("frames are short");
        self.send(&[&length.to_be_bytes(), frame].concat()).await;
        self.receive().await.expect("the edge answers every frame")
    }

    /// Sends bytes without framing.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = within("the edge to read", self.stream.write_all(bytes)).await;
        let _ = self.stream.flush().await;
    }

    /// Reads one message; `None` when the edge ends the connection.
    pub async fn receive(&mut self) -> Option<FromEdge> {
        let length = within("a frame of the edge", self.stream.read_u32()).await.ok()?;
        let mut frame = vec![0; usize::try_from(length).expect("a frame fits memory")];
        within("the rest of a frame", self.stream.read_exact(&mut frame)).await.ok()?;
        Some(
            serde_json::from_slice(&frame)
                .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&frame))),
        )
    }
}

/// Accepts one certificate and no other.
#[derive(Debug)]
struct Exactly {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("not the certificate that this edge was given".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
