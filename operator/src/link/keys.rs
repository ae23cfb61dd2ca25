//! Key pairs of the link, and the TLS rule that goes with them: a peer is who holds the pinned key, whatever its
//! certificate says. Names, dates and issuers are not looked at, so nothing expires.

use std::sync::Arc;

use proxima_edge_core::link::hex_sha256;
use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// A key pair and a self-signed certificate that carries its public key.
pub struct Keys {
    certificate: rcgen::Certificate,
    pair: KeyPair,
}

/// Why no key pair could be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The library could not make the pair or sign the certificate.
    #[error("cannot make a key pair for the link: {0}")]
    Generate(#[from] rcgen::Error),
    /// The pair does not suit TLS.
    #[error("cannot use the key pair of the link: {0}")]
    Tls(#[from] rustls::Error),
}

impl Keys {
    /// Makes a new pair; `owner` is only a name in the certificate, for people who look at it.
    pub fn generate(owner: &str) -> Result<Self, KeysError> {
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![owner.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, owner);
        Ok(Self { certificate: params.self_signed(&pair)?, pair })
    }

    /// SHA-256 of the public key in its SubjectPublicKeyInfo form, in hex.
    pub fn pin(&self) -> String {
        hex_sha256(&self.pair.subject_public_key_info())
    }

    /// The certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key as PEM.
    pub fn key_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    pub(crate) fn certificate_der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    pub(crate) fn key_der(&self) -> Result<PrivateKeyDer<'static>, KeysError> {
        PrivateKeyDer::try_from(self.pair.serialize_der())
            .map_err(|reason| KeysError::Tls(Error::General(reason.to_owned())))
    }

    /// TLS settings for a connection to the edge whose public key has `edge_pin`.
    pub fn client_config(&self, edge_pin: &str) -> Result<ClientConfig, KeysError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(PinnedServer { pin: edge_pin.to_owned(), provider: Arc::clone(&provider) });
        Ok(ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(vec![self.certificate_der()], self.key_der()?)?)
    }
}

/// Accepts the one server that proves to hold the pinned key.
#[derive(Debug)]
struct PinnedServer {
    pin: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let spki = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        if hex_sha256(spki.as_ref()) == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("the link is TLS 1.3 only".to_owned()))
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
