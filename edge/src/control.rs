//! The control port: configurations of the operator in, answers out. The messages are described in
//! [`proxima_edge_core::link`].
//!
//! Runs beside the workers, so that no viewer waits for a configuration to be compiled or written. Judges nothing
//! itself: who may speak is decided by `pins`, what is put in force by [`PlanSource`](crate::plan_source::PlanSource).

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proxima_edge_core::limits;
use proxima_edge_core::link::{Envelope, FromEdge, LinkRefusal, LinkRefusalReason, ToEdge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::edge::Edge;
use crate::plan_source::{raw_config, refusal};

pub mod frames;
pub mod keys;
pub mod pins;

use frames::Frame;
use keys::Keys;

/// Handshakes at once. More than connections, so that strangers who never finish one do not shut out the operator.
const HANDSHAKES: usize = 64;
/// After an error of accepting nothing is accepted for this long.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Answers operators until the process ends.
pub async fn serve(edge: Arc<Edge>, listener: TcpListener, keys: Arc<Keys>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    let connections = Arc::new(Semaphore::new(limits::LINK_CONNECTIONS));
    loop {
        let handshake = Arc::clone(&handshakes).acquire_owned().await.expect("nobody closes the semaphore");
        match listener.accept().await {
            Ok((stream, peer)) => {
                let visit = Visit { edge: Arc::clone(&edge), keys: Arc::clone(&keys), peer };
                tokio::spawn(visit.run(stream, handshake, Arc::clone(&connections)));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection on the control port");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// One connection to the control port.
struct Visit {
    edge: Arc<Edge>,
    keys: Arc<Keys>,
    peer: SocketAddr,
}

/// Counts an operator for as long as it is connected.
struct Presence(Arc<Edge>);

impl Presence {
    fn new(edge: &Arc<Edge>) -> Self {
        edge.plans.operator_connected();
        Self(Arc::clone(edge))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.plans.operator_gone();
    }
}

impl Visit {
    async fn run(self, stream: TcpStream, handshake: OwnedSemaphorePermit, connections: Arc<Semaphore>) {
        let Some(stream) = self.authenticate(stream).await else { return };
        drop(handshake);
        let Ok(_permit) = connections.try_acquire_owned() else {
            tracing::warn!(peer = %self.peer, limit = limits::LINK_CONNECTIONS, "too many operators are connected");
            return;
        };
        tracing::info!(peer = %self.peer, "an operator has connected");
        let presence = Presence::new(&self.edge);
        let ended = self.converse(stream).await;
        drop(presence);
        match ended {
            Ok(()) => tracing::info!(peer = %self.peer, "the operator has gone"),
            Err(error) => tracing::warn!(peer = %self.peer, %error, "the connection of the operator broke"),
        }
    }

    /// The handshake, with the pins and keys of this moment.
    async fn authenticate(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        // A socket that cannot be set up fails the handshake just the same.
        let _ = stream.set_nodelay(true);
        let acceptor = TlsAcceptor::from(self.keys.current());
        match timeout(limits::LINK_HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                if pins::is_about_identity(&error) {
                    self.edge.metrics.link_refused(LinkRefusalReason::WrongPin);
                }
                tracing::warn!(peer = %self.peer, %error, "could not agree with a visitor of the control port");
                None
            }
            Err(_) => {
                tracing::warn!(peer = %self.peer, "a visitor of the control port did not finish its handshake");
                None
            }
        }
    }

    async fn converse(&self, mut stream: TlsStream<TcpStream>) -> io::Result<()> {
        self.answer(&mut stream, None).await?;
        loop {
            let text = match frames::read(&mut stream).await? {
                Frame::Text(text) => text,
                Frame::TooLarge(length) => {
                    let limit = limits::LINK_FRAME_BYTES;
                    let detail = format!("a frame of {length} bytes is longer than {limit}");
                    return self.answer(&mut stream, Some(refusal(LinkRefusalReason::TooLarge, detail))).await;
                }
                Frame::End => return Ok(()),
            };
            // The pin may have been withdrawn since the handshake.
            if !self.keys.still_pins(&stream) {
                let refused = refusal(LinkRefusalReason::WrongPin, "the pin of this key was withdrawn");
                return self.answer(&mut stream, Some(refused)).await;
            }
            let edge = Arc::clone(&self.edge);
            // Compiling takes a while and writing may block; this thread has probes to answer meanwhile.
            let judged = tokio::task::spawn_blocking(move || obey(&edge, &text)).await;
            let judged = judged.map_err(|error| io::Error::other(format!("could not judge a message: {error}")))?;
            self.answer(&mut stream, judged.err()).await?;
        }
    }

    async fn answer<S>(&self, stream: &mut S, refused: Option<LinkRefusal>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(LinkRefusal { reason, detail }) = &refused {
            self.edge.metrics.link_refused(*reason);
            tracing::warn!(peer = %self.peer, reason = reason.as_str(), detail, "refused a message of an operator");
        }
        let answer = FromEdge {
            edge: self.edge.name.clone(),
            zone: self.edge.zone.clone(),
            serving: self.edge.plans.serving(),
            refused,
        };
        frames::write(stream, &answer).await
    }
}

/// Does what a message says, or tells why not.
fn obey(edge: &Edge, text: &[u8]) -> Result<(), LinkRefusal> {
    let malformed = |error: &dyn std::fmt::Display| {
        refusal(LinkRefusalReason::Malformed, format!("could not understand the message: {error}"))
    };
    let text = std::str::from_utf8(text).map_err(|error| malformed(&error))?;
    match serde_json::from_str(text).map_err(|error| malformed(&error))? {
        ToEdge::Configure(envelope) => configure(edge, *envelope, text),
        ToEdge::Ping { term, revision, epoch } => edge.plans.ping(term, revision, epoch),
    }
}

fn configure(edge: &Edge, envelope: Envelope, text: &str) -> Result<(), LinkRefusal> {
    let (revision, generation) = (envelope.revision, envelope.generation);
    edge.plans.install(envelope, raw_config(text))?;
    if let Some(plan) = edge.plans.current() {
        edge.store.resize(plan.cache_memory);
    }
    tracing::info!(revision, generation, "configuration in force");
    Ok(())
}

/// Why the control port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("could not read {what} from --link {path}: {detail}")]
pub struct KeysError {
    /// What was to be read.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub detail: String,
}

#[cfg(test)]
mod tests;
