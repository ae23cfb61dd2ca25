//! The link against an edge that does as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use proxima_edge_core::edge_config::EdgeConfig;
use proxima_edge_core::link::{
    Envelope, FromEdge, LinkRefusal, LinkRefusalReason, Serving, ToEdge, content_hash, hex_sha256,
};
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

use super::{Answer, Edges, Keys, Report, Target, Timings};

/// Far beyond anything that happens; only a fault waits this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Nothing is due before the test says so.
const NEVER: Duration = Duration::from_secs(3_600);

const CALM: Timings = Timings { ping: NEVER, answer: NEVER, silence: NEVER, retry: Duration::from_millis(1) };

/// An edge whose answers the test writes.
struct FakeEdge {
    address: SocketAddr,
    pin: String,
    heard: mpsc::Receiver<Heard>,
}

/// What the edge heard, or (`None`) a fresh connection; the answer is what `reply` is given, dropping it hangs up.
struct Heard {
    message: Option<ToEdge>,
    reply: oneshot::Sender<FromEdge>,
}

impl FakeEdge {
    async fn start(operator_pin: &str) -> Self {
        let keys = Keys::generate("edge").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heard) = mpsc::channel(16);
        let pin = keys.pin();
        let acceptor = acceptor(&keys, operator_pin);
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

    fn target(&self, name: &str) -> Target {
        Target { name: name.to_owned(), incarnation: 1, address: self.address, pin: self.pin.clone() }
    }

    async fn next(&mut self) -> Heard {
        timeout(PATIENCE, self.heard.recv()).await.expect("the operator speaks").expect("the edge lives")
    }

    /// Answers the next message, which must be `expected`.
    async fn answer(&mut self, expected: Option<&ToEdge>, answer: FromEdge) {
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

/// The operator's side: links, and what they report.
struct Operator {
    edges: Edges,
    reports: mpsc::Receiver<Report>,
    pin: String,
}

impl Operator {
    fn new(timings: Timings) -> Self {
        let keys = Keys::generate("operator").unwrap();
        let pin = keys.pin();
        let (sender, reports) = mpsc::channel(64);
        Self { edges: Edges::new(keys, sender, timings), reports, pin }
    }

    async fn next(&mut self) -> Report {
        timeout(PATIENCE, self.reports.recv()).await.expect("a report").expect("the links live")
    }

    async fn reports(&mut self, target: &str, answer: Answer) {
        let report = self.next().await;
        assert_eq!((report.target.as_str(), report.answer), (target, answer));
    }
}

fn envelope(revision: u64) -> Arc<Envelope> {
    let config = EdgeConfig { requires: vec![], cache: Default::default(), distributions: vec![] };
    let hash = content_hash(&config);
    Arc::new(Envelope { uid: "u".to_owned(), term: 7, revision, epoch: 0, generation: 1, hash, config })
}

fn configure(envelope: &Envelope) -> ToEdge {
    ToEdge::Configure(Box::new(envelope.clone()))
}

fn ping(envelope: &Envelope) -> ToEdge {
    ToEdge::Ping { term: envelope.term, revision: envelope.revision, epoch: envelope.epoch }
}

fn says(envelope: Option<&Envelope>) -> FromEdge {
    let serving = envelope.map(|envelope| Serving {
        uid: envelope.uid.clone(),
        revision: envelope.revision,
        epoch: envelope.epoch,
        hash: envelope.hash.clone(),
    });
    FromEdge { edge: "e".to_owned(), zone: "a".to_owned(), serving, refused: None }
}

#[tokio::test]
async fn an_edge_that_serves_nothing_is_configured_and_a_change_is_pushed() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    let (first, second) = (envelope(1), envelope(2));
    operator.edges.hold(edge.target("e"), Arc::clone(&first)).unwrap();
    edge.answer(None, says(None)).await;
    operator.reports("e", Answer::Said(says(None))).await;
    edge.answer(Some(&configure(&first)), says(Some(&first))).await;
    operator.reports("e", Answer::Said(says(Some(&first)))).await;
    operator.edges.publish("e", Arc::clone(&second));
    edge.answer(Some(&configure(&second)), says(Some(&second))).await;
    operator.reports("e", Answer::Said(says(Some(&second)))).await;
}

#[tokio::test]
async fn an_edge_that_already_serves_what_is_wanted_is_only_pinged() {
    let mut operator = Operator::new(Timings { ping: Duration::from_millis(1), ..CALM });
    let mut edge = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(3);
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    edge.answer(None, says(Some(&wanted))).await;
    edge.answer(Some(&ping(&wanted)), says(Some(&wanted))).await;
    edge.answer(Some(&ping(&wanted)), says(Some(&wanted))).await;
}

#[tokio::test]
async fn an_edge_that_already_serves_what_is_wanted_is_told_so_at_once() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(1);
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    edge.answer(None, says(Some(&wanted))).await;
    edge.answer(Some(&ping(&wanted)), says(Some(&wanted))).await;
}

#[tokio::test]
async fn a_ping_that_shows_something_else_is_followed_by_a_push() {
    let mut operator = Operator::new(Timings { ping: Duration::from_millis(1), ..CALM });
    let mut edge = FakeEdge::start(&operator.pin).await;
    let (old, wanted) = (envelope(1), envelope(2));
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    edge.answer(None, says(Some(&wanted))).await;
    edge.answer(Some(&ping(&wanted)), says(Some(&old))).await;
    edge.answer(Some(&configure(&wanted)), says(Some(&wanted))).await;
}

#[tokio::test]
async fn what_was_refused_is_not_sent_again_before_a_ping() {
    let mut operator = Operator::new(Timings { ping: Duration::from_millis(1), ..CALM });
    let mut edge = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(2);
    let refusal = LinkRefusal { reason: LinkRefusalReason::StateNotWritten, detail: "disk full".to_owned() };
    let refusing = FromEdge { refused: Some(refusal), ..says(None) };
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    edge.answer(None, says(None)).await;
    edge.answer(Some(&configure(&wanted)), refusing.clone()).await;
    edge.answer(Some(&ping(&wanted)), says(None)).await;
    edge.answer(Some(&configure(&wanted)), says(Some(&wanted))).await;
    operator.reports("e", Answer::Said(says(None))).await;
    operator.reports("e", Answer::Said(refusing)).await;
}

#[tokio::test]
async fn a_lost_link_is_reported_and_opened_again() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(1);
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    drop(edge.next().await.reply);
    assert!(matches!(operator.next().await.answer, Answer::Lost(_)));
    edge.answer(None, says(Some(&wanted))).await;
    operator.reports("e", Answer::Said(says(Some(&wanted)))).await;
}

#[tokio::test]
async fn an_edge_that_owes_an_answer_is_silent_until_it_answers() {
    let mut operator = Operator::new(Timings { answer: Duration::from_millis(1), ..CALM });
    let mut edge = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(1);
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    let greeting = edge.next().await;
    operator.reports("e", Answer::Silent).await;
    greeting.reply.send(says(Some(&wanted))).unwrap();
    operator.reports("e", Answer::Said(says(Some(&wanted)))).await;
}

#[tokio::test]
async fn an_edge_that_stays_silent_gets_a_new_connection() {
    let short = Duration::from_millis(1);
    let mut operator = Operator::new(Timings { answer: short, silence: short, ..CALM });
    let mut edge = FakeEdge::start(&operator.pin).await;
    operator.edges.hold(edge.target("e"), envelope(1)).unwrap();
    let _unanswered = edge.next().await;
    assert_eq!(edge.next().await.message, None, "a second connection");
}

#[tokio::test]
async fn a_slow_edge_delays_no_other() {
    let mut operator = Operator::new(CALM);
    let mut slow = FakeEdge::start(&operator.pin).await;
    let mut fast = FakeEdge::start(&operator.pin).await;
    let (first, second) = (envelope(1), envelope(2));
    operator.edges.hold(slow.target("slow"), Arc::clone(&first)).unwrap();
    operator.edges.hold(fast.target("fast"), Arc::clone(&first)).unwrap();
    let held_back = slow.next().await;
    fast.answer(None, says(Some(&first))).await;
    operator.reports("fast", Answer::Said(says(Some(&first)))).await;
    fast.answer(Some(&ping(&first)), says(Some(&first))).await;
    operator.reports("fast", Answer::Said(says(Some(&first)))).await;
    operator.edges.publish("slow", Arc::clone(&second));
    operator.edges.publish("fast", Arc::clone(&second));
    fast.answer(Some(&configure(&second)), says(Some(&second))).await;
    operator.reports("fast", Answer::Said(says(Some(&second)))).await;
    drop(held_back);
}

#[tokio::test]
async fn only_the_newest_of_several_changes_is_sent() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    operator.edges.hold(edge.target("e"), envelope(1)).unwrap();
    let greeting = edge.next().await;
    for revision in 2..=9 {
        operator.edges.publish("e", envelope(revision));
    }
    greeting.reply.send(says(None)).unwrap();
    edge.answer(Some(&configure(&envelope(9))), says(Some(&envelope(9)))).await;
}

#[tokio::test]
async fn an_edge_with_another_key_than_the_pinned_one_is_not_talked_to() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    let target = Target { pin: "0".repeat(64), ..edge.target("e") };
    operator.edges.hold(target, envelope(1)).unwrap();
    let Answer::Lost(reason) = operator.next().await.answer else { panic!("not lost") };
    assert!(reason.starts_with("cannot agree on TLS"), "{reason}");
    assert!(edge.heard.try_recv().is_err(), "the handshake must not complete");
}

#[tokio::test]
async fn an_edge_that_expects_another_operator_is_lost_and_gets_no_configuration() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&"0".repeat(64)).await;
    operator.edges.hold(edge.target("e"), envelope(1)).unwrap();
    assert!(matches!(operator.next().await.answer, Answer::Lost(_)));
    assert!(edge.heard.try_recv().is_err(), "the handshake must not complete");
}

#[tokio::test]
async fn a_restarted_edge_is_another_target_and_a_released_one_none() {
    let mut operator = Operator::new(CALM);
    let mut old = FakeEdge::start(&operator.pin).await;
    let mut new = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(1);
    operator.edges.hold(old.target("e"), Arc::clone(&wanted)).unwrap();
    old.answer(None, says(Some(&wanted))).await;
    operator.reports("e", Answer::Said(says(Some(&wanted)))).await;
    operator.edges.hold(Target { incarnation: 2, ..new.target("e") }, Arc::clone(&wanted)).unwrap();
    new.answer(None, says(Some(&wanted))).await;
    assert_eq!(operator.next().await.incarnation, 2);
    operator.edges.release("e");
    operator.edges.publish("e", envelope(2));
    assert!(operator.reports.try_recv().is_err());
}
