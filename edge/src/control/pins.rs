//! Who may configure this edge: whoever holds a key whose pin is in `operator.pin`.
//!
//! The certificate around the key proves nothing here: its dates, names and issuer are not looked at. What is checked
//! is the key's pin, and the signature that shows possession of the key.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use proxima_edge_core::link::hex_sha256;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls::{PeerIncompatible, client::danger::HandshakeSignatureValid};

/// Public keys, each as the SHA-256 of its SubjectPublicKeyInfo in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins(BTreeSet<String>);

impl Pins {
    /// Reads one pin a line; empty lines are fine.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pins = BTreeSet::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line.len() != 64 || !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!("'{line}' is not a SHA-256 in hex"));
            }
            pins.insert(line.to_ascii_lowercase());
        }
        if pins.is_empty() {
            return Err("there is no pin".to_owned());
        }
        Ok(Self(pins))
    }

    /// Whether the key in this certificate is pinned.
    pub fn hold(&self, certificate: &CertificateDer<'_>) -> bool {
        pin(certificate).is_ok_and(|pin| self.0.contains(&pin))
    }
}

/// The pin of the key in a certificate.
pub fn pin(certificate: &CertificateDer<'_>) -> Result<String, Error> {
    Ok(hex_sha256(ParsedCertificate::try_from(certificate)?.subject_public_key_info().as_ref()))
}

/// Lets pinned keys in.
#[derive(Debug)]
pub struct PinVerifier {
    /// The keys.
    pub pins: Pins,
    /// Whose signature algorithms count.
    pub provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for PinVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.pins.hold(end_entity) {
            Ok(ClientCertVerified::assertion())
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
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a handshake failed since the visitor did not show a pinned key, and not for want of bytes.
pub fn is_about_identity(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    matches!(inner, Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_one_a_line() {
        let (first, second) = ("A".repeat(64), "b".repeat(64));
        let pins = Pins::parse(&format!("{first}\n\n  {second}  \n")).unwrap();
        assert_eq!(pins.0, BTreeSet::from(["a".repeat(64), second]));
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        for text in ["", "\n\n", "abc", &"g".repeat(64), &format!("{}\nabc", "a".repeat(64))] {
            assert!(Pins::parse(text).is_err(), "{text:?}");
        }
    }
}
