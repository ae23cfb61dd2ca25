//! Key pairs of the link, and the TLS rule that goes with them: a peer is who holds the pinned key, whatever its
//! certificate says. Names, dates and issuers are not looked at, so nothing expires.

use std::sync::Arc;

use proxima_edge_core::link::hex_sha256;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// A key pair and a self-signed certificate that carries its public key.
pub struct Keys {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    certificate_pem: String,
    key_pem: String,
    pin: String,
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
    /// What should be a certificate or a key in PEM is none.
    #[error("cannot read the {0} of the link: {1}")]
    Pem(&'static str, #[source] pem::Error),
}

impl Keys {
    /// Makes a new pair; `owner` is only a name in the certificate, for people who look at it.
    pub fn generate(owner: &str) -> Result<Self, KeysError> {
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![owner.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, owner);
        let certificate = params.self_signed(&pair)?;
        Self::from_pem(&certificate.pem(), &pair.serialize_pem())
    }

    /// Reads a pair that was made earlier. Fails too when the certificate is another key's.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, KeysError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|error| KeysError::Pem("certificate", error))?;
        let key =
            PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| KeysError::Pem("private key", error))?;
        CertifiedKey::from_der(vec![certificate.clone()], key.clone_key(), &aws_lc_rs::default_provider())?;
        let pin = certificate_pin(&certificate)?;
        let (certificate_pem, key_pem) = (certificate_pem.to_owned(), key_pem.to_owned());
        Ok(Self { certificate, key, certificate_pem, key_pem, pin })
    }

    /// SHA-256 of the public key in its SubjectPublicKeyInfo form, in hex.
    pub fn pin(&self) -> String {
        self.pin.clone()
    }

    /// The certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key as PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    #[cfg(test)]
    pub(crate) fn der(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        (self.certificate.clone(), self.key.clone_key())
    }

    /// TLS settings for a connection to the edge whose public key has `edge_pin`.
    pub fn client_config(&self, edge_pin: &str) -> Result<ClientConfig, KeysError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(PinnedServer { pin: edge_pin.to_owned(), provider: Arc::clone(&provider) });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        // Edges give no tickets: a resumed session would be let in by the pins of an earlier time.
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn certificate_pin(certificate: &CertificateDer<'_>) -> Result<String, Error> {
    Ok(hex_sha256(ParsedCertificate::try_from(certificate)?.subject_public_key_info().as_ref()))
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
        if certificate_pin(end_entity)? == self.pin {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_pair_is_the_same_pair_when_read_again() {
        let made = Keys::generate("edge").unwrap();
        let read = Keys::from_pem(made.certificate_pem(), made.key_pem()).unwrap();
        assert_eq!(read.pin(), made.pin());
        assert_eq!(read.pin().len(), 64);
        assert!(read.client_config(&made.pin()).is_ok());
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let (one, other) = (Keys::generate("edge").unwrap(), Keys::generate("edge").unwrap());
        assert_ne!(one.pin(), other.pin());
        assert!(matches!(Keys::from_pem(one.certificate_pem(), other.key_pem()), Err(KeysError::Tls(_))));
    }

    #[test]
    fn what_is_no_pem_is_refused_by_name() {
        let keys = Keys::generate("edge").unwrap();
        assert!(matches!(Keys::from_pem("", keys.key_pem()), Err(KeysError::Pem("certificate", _))));
        assert!(matches!(Keys::from_pem(keys.certificate_pem(), "none"), Err(KeysError::Pem("private key", _))));
    }
}
