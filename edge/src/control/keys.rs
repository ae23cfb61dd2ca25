//! The folder of the control port: this edge's own key, and the pins of operators. Read anew for each handshake, since
//! the kubelet replaces mounted files under a running process; what cannot be read leaves the last good one in force.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::KeysError;
use super::pins::{PinVerifier, Pins};

/// Keys and pins, as they are in the folder.
pub struct Keys {
    folder: PathBuf,
    provider: Arc<CryptoProvider>,
    last_good: Mutex<Good>,
}

#[derive(Clone)]
struct Good {
    pins: Pins,
    config: Arc<ServerConfig>,
}

impl Keys {
    /// Reads the folder for the first time; it must be good then.
    pub fn open(folder: &Path) -> Result<Self, KeysError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let last_good = Mutex::new(read(folder, &provider)?);
        Ok(Self { folder: folder.to_owned(), provider, last_good })
    }

    /// What to shake hands with.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.refresh().config
    }

    /// Whether the key of this connection is pinned at this moment.
    pub fn still_pins(&self, stream: &TlsStream<TcpStream>) -> bool {
        let (_, session) = stream.get_ref();
        let Some([certificate, ..]) = session.peer_certificates() else { return false };
        self.refresh().pins.hold(certificate)
    }

    fn refresh(&self) -> Good {
        let fresh = read(&self.folder, &self.provider);
        // The value is replaced whole, so a poisoned one is a good one.
        let mut last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
        match fresh {
            Ok(fresh) => *last_good = fresh,
            Err(error) => tracing::error!(%error, "the last good keys stay in force"),
        }
        last_good.clone()
    }
}

fn read(folder: &Path, provider: &Arc<CryptoProvider>) -> Result<Good, KeysError> {
    let failed = |what, file: &str, detail: String| KeysError { what, path: folder.join(file), detail };

    let pins = std::fs::read_to_string(folder.join("operator.pin"))
        .map_err(|error| error.to_string())
        .and_then(|text| Pins::parse(&text))
        .map_err(|detail| failed("the operator's pins", "operator.pin", detail))?;
    let certificates = CertificateDer::pem_file_iter(folder.join("tls.crt"))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed("the edge's certificate", "tls.crt", error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("tls.key"))
        .map_err(|error| failed("the edge's key", "tls.key", error.to_string()))?;

    let verifier = PinVerifier { pins: pins.clone(), provider: Arc::clone(provider) };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| failed("the protocol versions", "", error.to_string()))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(certificates, key)
        .map_err(|error| failed("the edge's key and certificate", "tls.key", error.to_string()))?;
    // A resumed session would be let in by the pins of an earlier time.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Good { pins, config: Arc::new(config) })
}
