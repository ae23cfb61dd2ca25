use std::fs;
use std::io::ErrorKind;

use proxima_edge_core::edge_config::{CacheConfig, EdgeConfig};
use proxima_edge_core::link::content_hash;
use proxima_edge_core::timestamp::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::*;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::plan_source::PlanSource;
use crate::process::edge_for_tests;

/// A key and a certificate that says nothing true about it: its dates are long past.
struct Identity {
    certificate: String,
    key: String,
    pin: String,
}

impl Identity {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec!["anything".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(1999, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(1999, 12, 31);
        let certificate = parameters.self_signed(&key).unwrap();
        let pin = pins::pin(certificate.der()).unwrap();
        Self { certificate: certificate.pem(), key: key.serialize_pem(), pin }
    }
}

/// An edge with its control port open, and the operator that it knows.
struct Setting {
    folder: TempDir,
    edge: Arc<Edge>,
    address: SocketAddr,
    operator: Identity,
}

impl Setting {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (server, operator) = (Identity::new(), Identity::new());
        let put = |file: &str, content: &str| fs::write(folder.path().join(file), content).unwrap();
        put("tls.crt", &server.certificate);
        put("tls.key", &server.key);
        put("operator.pin", &format!("{}\n", operator.pin));
        let (clock, metrics) = (Clock::manual(Timestamp::from_millis(1_000)), Arc::new(Metrics::new()));
        let plans = PlanSource::open(folder.path(), folder.path(), clock.clone(), Arc::clone(&metrics));
        let edge = Arc::new(edge_for_tests(plans, clock, metrics));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let keys = Arc::new(Keys::open(folder.path()).unwrap());
        tokio::spawn(serve(Arc::clone(&edge), listener, keys));
        Self { folder, edge, address, operator }
    }

    async fn connect(&self, client: Option<&Identity>) -> io::Result<Operator> {
        let stream = TcpStream::connect(self.address).await?;
        let connector = TlsConnector::from(Arc::new(client_config(client)));
        let name = ServerName::try_from("edge").unwrap();
        Ok(Operator(connector.connect(name, stream).await?))
    }

    /// The operator's connection, after the edge has greeted.
    async fn operator(&self) -> (Operator, FromEdge) {
        let mut operator = self.connect(Some(&self.operator)).await.unwrap();
        let greeting = operator.hear().await.unwrap();
        (operator, greeting)
    }

    /// A counter appears in the text when it first counts, which may be a moment after the visitor was shown the door.
    async fn refused(&self, reason: LinkRefusalReason, count: u64) {
        let line = format!("proxima_edge_link_refusals_total{{reason=\"{}\"}} {count}\n", reason.as_str());
        while !self.edge.metrics.to_text().contains(&line) {
            tokio::task::yield_now().await;
        }
    }
}

fn client_config(client: Option<&Identity>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer));
    match client {
        None => builder.with_no_client_auth(),
        Some(Identity { certificate, key, .. }) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    }
}

/// The operator's own checks are tested where they are.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("the edge speaks TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

struct Operator(tokio_rustls::client::TlsStream<TcpStream>);

impl Operator {
    async fn hear(&mut self) -> io::Result<FromEdge> {
        match frames::read(&mut self.0).await? {
            Frame::Text(text) => Ok(serde_json::from_slice(&text)?),
            other => Err(io::Error::new(ErrorKind::UnexpectedEof, format!("{other:?}"))),
        }
    }

    async fn say_raw(&mut self, text: &[u8]) {
        let length = u32::try_from(text.len()).unwrap();
        self.0.write_all(&length.to_be_bytes()).await.unwrap();
        self.0.write_all(text).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn ask(&mut self, message: &ToEdge) -> FromEdge {
        frames::write(&mut self.0, message).await.unwrap();
        self.hear().await.unwrap()
    }

    async fn is_gone(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]).await, Ok(0) | Err(_))
    }
}

fn envelope(term: u64, revision: u64) -> Envelope {
    let cache = CacheConfig { memory: (100 + revision) << 20 };
    let config = EdgeConfig { requires: Vec::new(), cache, distributions: Vec::new() };
    Envelope { uid: "a".into(), term, revision, epoch: 0, generation: 1, hash: content_hash(&config), config }
}

fn configure(envelope: Envelope) -> ToEdge {
    ToEdge::Configure(Box::new(envelope))
}

fn reason(answer: &FromEdge) -> Option<LinkRefusalReason> {
    answer.refused.as_ref().map(|refused| refused.reason)
}

fn revision(answer: &FromEdge) -> Option<u64> {
    answer.serving.as_ref().map(|serving| serving.revision)
}

#[tokio::test]
async fn operator_is_greeted_and_what_it_sends_is_served_and_written() {
    let setting = Setting::new().await;
    let (mut operator, greeting) = setting.operator().await;
    assert_eq!((greeting.edge.as_str(), greeting.zone.as_str(), &greeting.serving), ("edge-1", "zone-a", &None));
    let answer = operator.ask(&configure(envelope(1, 4))).await;
    assert_eq!((reason(&answer), revision(&answer)), (None, Some(4)));
    assert_eq!(setting.edge.plans.current().unwrap().cache_memory, 104 << 20);
    let written = fs::read_to_string(setting.folder.path().join("state.json")).unwrap();
    let written: Envelope = serde_json::from_str(&written).unwrap();
    assert_eq!(written, envelope(1, 4));
    let answer = operator.ask(&ToEdge::Ping { term: 1, revision: 4, epoch: 0 }).await;
    assert_eq!((reason(&answer), revision(&answer)), (None, Some(4)));
    let (_, greeting) = setting.operator().await;
    assert_eq!(revision(&greeting), Some(4));
    assert!(setting.edge.plans.readiness(false).is_ready());
}

#[tokio::test]
async fn refusals_name_their_reason_are_counted_and_leave_the_connection() {
    let setting = Setting::new().await;
    let (mut operator, _) = setting.operator().await;
    operator.ask(&configure(envelope(5, 5))).await;
    let mut forged = envelope(5, 6);
    forged.hash = "0".repeat(64);
    let mut other = envelope(5, 6);
    other.uid = "b".to_owned();
    for (message, expected) in [
        (configure(envelope(4, 9)), LinkRefusalReason::LowerTerm),
        (configure(envelope(5, 4)), LinkRefusalReason::LowerRevision),
        (configure(forged), LinkRefusalReason::HashMismatch),
        (configure(other), LinkRefusalReason::WrongDistribution),
    ] {
        let answer = operator.ask(&message).await;
        assert_eq!((reason(&answer), revision(&answer)), (Some(expected), Some(5)));
        setting.refused(expected, 1).await;
    }
    for (count, text) in [b"".as_slice(), b"{", b"\xff\xfe", b"[]", br#"{"type":"dance"}"#].into_iter().enumerate() {
        operator.say_raw(text).await;
        let answer = operator.hear().await.unwrap();
        assert_eq!(reason(&answer), Some(LinkRefusalReason::Malformed), "{text:?}");
        setting.refused(LinkRefusalReason::Malformed, count as u64 + 1).await;
    }
    assert_eq!(revision(&operator.ask(&configure(envelope(5, 6))).await), Some(6), "it goes on");
}

#[tokio::test]
async fn frame_that_is_too_long_is_answered_and_ends_the_connection() {
    let setting = Setting::new().await;
    let (mut operator, _) = setting.operator().await;
    let length = u32::try_from(limits::LINK_FRAME_BYTES + 1).unwrap();
    operator.0.write_all(&length.to_be_bytes()).await.unwrap();
    let answer = operator.hear().await.unwrap();
    assert_eq!(reason(&answer), Some(LinkRefusalReason::TooLarge));
    assert!(operator.is_gone().await);
    setting.refused(LinkRefusalReason::TooLarge, 1).await;
}

#[tokio::test]
async fn strangers_hear_nothing_and_are_counted() {
    let setting = Setting::new().await;
    let stranger = Identity::new();
    for (count, client) in [(1, Some(&stranger)), (2, None)] {
        // In TLS 1.3 the client's part of the handshake ends before the edge has judged it.
        if let Ok(mut visitor) = setting.connect(client).await {
            assert!(visitor.hear().await.is_err());
        }
        setting.refused(LinkRefusalReason::WrongPin, count).await;
    }
    assert!(!setting.edge.metrics.to_text().contains("proxima_edge_link_connections 1"));
}

#[tokio::test]
async fn stolen_certificate_without_its_key_is_of_no_use() {
    let setting = Setting::new().await;
    let thief = Identity { certificate: setting.operator.certificate.clone(), ..Identity::new() };
    let certificate = CertificateDer::from_pem_slice(thief.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(thief.key.as_bytes()).unwrap();
    let provider = aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let resolver = rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(vec![certificate], key));
    let mut config = client_config(None);
    config.client_auth_cert_resolver = Arc::new(resolver);
    let stream = TcpStream::connect(setting.address).await.unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("edge").unwrap(), stream).await;
    if let Ok(stream) = connected {
        assert!(Operator(stream).hear().await.is_err());
    }
    let (_, greeting) = setting.operator().await;
    assert_eq!(greeting.serving, None);
}

#[tokio::test]
async fn pins_are_read_anew_for_each_message_and_handshake() {
    let setting = Setting::new().await;
    let (mut operator, _) = setting.operator().await;
    let successor = Identity::new();
    let write = |pins: &[&Identity]| {
        let lines: Vec<&str> = pins.iter().map(|identity| identity.pin.as_str()).collect();
        fs::write(setting.folder.path().join("operator.pin"), lines.join("\n")).unwrap();
    };
    write(&[&setting.operator, &successor]);
    let mut second = setting.connect(Some(&successor)).await.unwrap();
    second.hear().await.unwrap();
    assert_eq!(revision(&operator.ask(&configure(envelope(1, 1))).await), Some(1));
    write(&[&successor]);
    let answer = operator.ask(&configure(envelope(1, 2))).await;
    assert_eq!((reason(&answer), revision(&answer)), (Some(LinkRefusalReason::WrongPin), Some(1)));
    assert!(operator.is_gone().await);
    fs::write(setting.folder.path().join("operator.pin"), "").unwrap();
    assert_eq!(revision(&second.ask(&configure(envelope(1, 2))).await), Some(2), "the last good pins stay in force");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_a_free_place_is_used() {
    let setting = Setting::new().await;
    let mut open = Vec::new();
    for _ in 0..limits::LINK_CONNECTIONS {
        open.push(setting.operator().await.0);
    }
    let mut extra = setting.connect(Some(&setting.operator)).await.unwrap();
    assert!(extra.hear().await.is_err());
    drop(open.pop());
    while setting.edge.metrics.link_connections.get() >= limits::LINK_CONNECTIONS as i64 {
        tokio::task::yield_now().await;
    }
    let mut answered = false;
    while !answered {
        // The place is free a moment after the count has fallen.
        answered = setting.connect(Some(&setting.operator)).await.unwrap().hear().await.is_ok();
    }
}

#[test]
fn folder_without_good_keys_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let identity = Identity::new();
    let missing = |expected: &str| {
        let error = Keys::open(folder.path()).err().expect("something is missing").to_string();
        assert!(error.contains("--link") && error.contains(expected), "{error}");
    };
    missing("operator.pin");
    fs::write(folder.path().join("operator.pin"), &identity.pin).unwrap();
    missing("tls.crt");
    fs::write(folder.path().join("tls.crt"), &identity.certificate).unwrap();
    missing("tls.key");
    fs::write(folder.path().join("tls.key"), Identity::new().key).unwrap();
    missing("tls.key");
    fs::write(folder.path().join("tls.key"), &identity.key).unwrap();
    Keys::open(folder.path()).unwrap();
}
