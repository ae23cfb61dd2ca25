//! One edge's link: connect, keep it at what is wanted, report what it answers, connect again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use proxima_edge_core::limits::{LINK_FRAME_BYTES, LINK_HANDSHAKE_TIMEOUT};
use proxima_edge_core::link::{Envelope, FromEdge, Serving, ToEdge};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::backoff::{Backoff, jittered};
use crate::{clock, limits};

/// An edge to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Unique name of the edge.
    pub name: String,
    /// Which process of that name; reports carry it.
    pub incarnation: u64,
    /// Its control port.
    pub address: SocketAddr,
    /// Pin of its server key.
    pub pin: String,
}

/// What is known of an edge from now on.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name of the target.
    pub target: String,
    /// Its incarnation.
    pub incarnation: u64,
    /// The news.
    pub answer: Answer,
}

/// News of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It said this.
    Said(FromEdge),
    /// It is connected, and owes an answer for longer than [`limits::LINK_ANSWER`].
    Silent,
    /// There is no connection, for this reason.
    Lost(String),
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// TCP.
    #[error("cannot connect to the control port {address}: {error}")]
    Connect {
        /// The control port.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// TLS, pins included.
    #[error("cannot agree on TLS with the control port {address}: {error}")]
    Handshake {
        /// The control port.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The connection broke, or a frame was too long.
    #[error("the link broke: {0}")]
    Broken(io::Error),
    /// The edge closed it.
    #[error("the edge closed the link")]
    Closed,
    /// Something came that is not an answer.
    #[error("the edge sent what is not an answer: {0}")]
    Malformed(serde_json::Error),
    /// The edge spoke out of turn.
    #[error("the edge answered what was not asked")]
    Unasked,
    /// No answer for so long that the connection may be dead.
    #[error("the edge has not answered for {0:?}")]
    Silent(Duration),
}

/// Waiting times of a link; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// See [`limits::LINK_PING`].
    pub ping: Duration,
    /// See [`limits::LINK_ANSWER`].
    pub answer: Duration,
    /// See [`limits::LINK_SILENCE`].
    pub silence: Duration,
    /// See [`limits::LINK_RETRY_MIN`].
    pub retry: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            ping: limits::LINK_PING,
            answer: limits::LINK_ANSWER,
            silence: limits::LINK_SILENCE,
            retry: limits::LINK_RETRY_MIN,
        }
    }
}

/// Holds the link to one edge until the wanted configuration has no owner any more.
pub struct Link {
    /// Whom to talk to.
    pub target: Target,
    /// With the operator's key and the edge's pin.
    pub tls: Arc<ClientConfig>,
    /// What the edge shall serve; nothing yet, or it is not known yet.
    pub wanted: watch::Receiver<Option<Arc<Envelope>>>,
    /// Where news go.
    pub reports: mpsc::Sender<Report>,
    /// Waiting times.
    pub timings: Timings,
}

type Frames = Framed<TlsStream<TcpStream>, LengthDelimitedCodec>;

/// Why a conversation ended, when not by an error.
enum End {
    NothingWanted,
    Failed(LinkError),
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        Self::Failed(error)
    }
}

impl Link {
    /// Runs for ever, but for an owner who lost interest.
    pub async fn hold(self) {
        let mut wanted = self.wanted.clone();
        let released = async move {
            while wanted.changed().await.is_ok() {}
            // Time for a farewell on a link that stands; what else is going on is not waited for.
            sleep(limits::LINK_FAREWELL).await;
        };
        tokio::select! {
            () = self.keep() => {}
            () = released => {}
        }
    }

    async fn keep(mut self) {
        let mut backoff = Backoff::new(self.timings.retry, limits::LINK_RETRY_MAX);
        loop {
            let end = match self.open().await {
                Ok(frames) => self.converse(frames, &mut backoff).await,
                Err(error) => End::Failed(error),
            };
            let End::Failed(error) = end else { return };
            if self.wanted.has_changed().is_err() {
                return;
            }
            tracing::debug!(edge = self.target.name, %error, "link lost");
            self.report(Answer::Lost(error.to_string())).await;
            sleep(backoff.pause(clock::fraction())).await;
        }
    }

    async fn open(&self) -> Result<Frames, LinkError> {
        let address = self.target.address;
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let tcp = match timeout(limits::LINK_CONNECT, TcpStream::connect(address)).await {
            Ok(connected) => connected.map_err(|error| LinkError::Connect { address, error })?,
            Err(_) => return Err(LinkError::Connect { address, error: late() }),
        };
        tcp.set_nodelay(true).map_err(|error| LinkError::Connect { address, error })?;
        let name = ServerName::try_from("proxima-edge").expect("a literal DNS name");
        let handshake = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp);
        let tls = match timeout(LINK_HANDSHAKE_TIMEOUT, handshake).await {
            Ok(agreed) => agreed.map_err(|error| LinkError::Handshake { address, error })?,
            Err(_) => return Err(LinkError::Handshake { address, error: late() }),
        };
        let codec = LengthDelimitedCodec::builder().max_frame_length(LINK_FRAME_BYTES).new_codec();
        Ok(Framed::with_capacity(tls, codec, limits::LINK_READ_BYTES))
    }

    async fn converse(&mut self, mut frames: Frames, backoff: &mut Backoff) -> End {
        // TLS 1.3 clients finish before the server has judged their certificate: only the greeting proves both pins.
        let mut said = match self.answer(&mut frames, None).await {
            Ok(greeting) => greeting,
            Err(error) => return error.into(),
        };
        backoff.reset();
        // What the edge refused is not sent again before the next ping: it may lack disk space, which comes back.
        let mut refused: Option<Arc<Envelope>> = None;
        self.report(Answer::Said(said.clone())).await;
        // An edge that already serves what is wanted becomes ready by being told so, hence the ping at once.
        let mut is_confirmed = false;
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            let Some(wanted) = wanted else {
                match self.rest(&mut frames, None).await {
                    Ok(_) => continue,
                    Err(end) => return end,
                }
            };
            let in_vain = refused.as_ref().is_some_and(|envelope| **envelope == *wanted);
            let is_served = serves(said.serving.as_ref(), &wanted);
            let message = if is_served && !is_confirmed {
                ping(&wanted)
            } else if is_served || in_vain {
                match self.rest(&mut frames, Some(self.timings.ping)).await {
                    Ok(Rest::Changed) => continue,
                    Ok(Rest::Over) => {
                        refused = None;
                        ping(&wanted)
                    }
                    Err(end) => return end,
                }
            } else {
                refused = Some(Arc::clone(&wanted));
                ToEdge::Configure(Box::new(Envelope::clone(&wanted)))
            };
            is_confirmed = true;
            said = match self.answer(&mut frames, Some(&message)).await {
                Ok(answer) => answer,
                Err(error) => return error.into(),
            };
            self.report(Answer::Said(said.clone())).await;
        }
    }

    /// Waits for a reason to speak, such as the end of `patience`. The edge has none: what it sends now ends the link.
    async fn rest(&mut self, frames: &mut Frames, patience: Option<Duration>) -> Result<Rest, End> {
        let over = async {
            match patience {
                Some(patience) => sleep(jittered(patience, clock::fraction())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.wanted.changed() => match changed {
                Ok(()) => Ok(Rest::Changed),
                Err(_) => {
                    // A farewell, so that the edge does not take it for a fault. Whether it arrives matters to nobody.
                    let _ = timeout(limits::LINK_FAREWELL, SinkExt::<Bytes>::close(frames)).await;
                    Err(End::NothingWanted)
                }
            },
            () = over => Ok(Rest::Over),
            frame = frames.next() => Err(match frame {
                None => LinkError::Closed,
                Some(Err(error)) => LinkError::Broken(error),
                Some(Ok(_)) => LinkError::Unasked,
            }.into()),
        }
    }

    /// Sends `message`, if any, and waits for the answer that is due then. Lateness is reported once, then waited out.
    async fn answer(&self, frames: &mut Frames, message: Option<&ToEdge>) -> Result<FromEdge, LinkError> {
        let exchange = exchange(frames, message);
        tokio::pin!(exchange);
        if let Ok(answer) = timeout(self.timings.answer, &mut exchange).await {
            return answer;
        }
        self.report(Answer::Silent).await;
        match timeout(self.timings.silence, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(LinkError::Silent(self.timings.answer + self.timings.silence)),
        }
    }

    async fn report(&self, answer: Answer) {
        let Target { name, incarnation, .. } = &self.target;
        let report = Report { target: name.clone(), incarnation: *incarnation, answer };
        // Nobody listens any more only when the whole operator is about to end.
        let _ = self.reports.send(report).await;
    }
}

/// Why a quiet link is used again.
enum Rest {
    Changed,
    Over,
}

fn ping(wanted: &Envelope) -> ToEdge {
    let Envelope { term, revision, epoch, .. } = *wanted;
    ToEdge::Ping { term, revision, epoch }
}

async fn exchange(frames: &mut Frames, message: Option<&ToEdge>) -> Result<FromEdge, LinkError> {
    if let Some(message) = message {
        let json = serde_json::to_vec(message).expect("messages have no map keys and no numbers that JSON lacks");
        frames.send(Bytes::from(json)).await.map_err(LinkError::Broken)?;
        // It is empty, and would keep the room of the largest configuration, on each of thousands of links.
        *frames.write_buffer_mut() = BytesMut::new();
    }
    let frame = frames.next().await.ok_or(LinkError::Closed)?.map_err(LinkError::Broken)?;
    serde_json::from_slice(&frame).map_err(LinkError::Malformed)
}

/// Whether an edge that says `serving` is where `wanted` wants it.
pub fn serves(serving: Option<&Serving>, wanted: &Envelope) -> bool {
    serving.is_some_and(|serving| {
        let Serving { uid, revision, epoch, hash } = serving;
        (uid, *revision, *epoch, hash) == (&wanted.uid, wanted.revision, wanted.epoch, &wanted.hash)
    })
}
