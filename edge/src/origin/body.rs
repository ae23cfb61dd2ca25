//! Bodies of an exchange with an origin: the viewer's on its way there, the origin's on its way here.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use proxima_edge_core::limits;
use tokio::time::{Instant, Sleep};

use super::chain;
use super::pool::Lease;
use crate::server::timeouts::BodyGap;

/// Body of a request to an origin.
#[derive(Debug)]
pub enum RequestBody {
    /// None.
    Empty,
    /// The viewer's, passed on as it comes. Trailers are dropped.
    Viewer {
        /// What hyper reads from the viewer.
        incoming: Incoming,
        /// How far it has come.
        upload: Rc<Upload>,
        /// Bounds each pause.
        gap: BodyGap,
    },
}

/// Progress of a viewer's body on its way to the origin.
#[derive(Debug, Default)]
pub struct Upload {
    last_progress: Cell<Option<Instant>>,
    bytes: Cell<u64>,
    complete: Cell<bool>,
    failed: Cell<bool>,
    malformed: Cell<bool>,
    abandoned: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Upload {
    /// When the last bytes passed.
    pub fn last_progress(&self) -> Option<Instant> {
        self.last_progress.get()
    }

    /// Bytes passed so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Whether all of it has passed.
    pub fn is_complete(&self) -> bool {
        self.complete.get()
    }

    /// Nobody waits for the rest to pass: the exchange is over.
    pub(super) fn abandon(&self) {
        if !self.complete.get() {
            self.abandoned.set(true);
            if let Some(waker) = self.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Whether what the viewer sent is no body.
    pub fn malformed(&self) -> bool {
        self.malformed.get()
    }

    /// Whether the viewer's side broke off.
    pub fn failed(&self) -> bool {
        self.failed.get()
    }
}

impl RequestBody {
    /// Passes a viewer's body on.
    pub fn viewer(incoming: Incoming) -> Self {
        if incoming.is_end_stream() {
            Self::Empty
        } else {
            Self::Viewer { incoming, upload: Rc::default(), gap: BodyGap::default() }
        }
    }

    /// No body at all.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// A view of the progress that outlives the body.
    pub fn upload(&self) -> Option<Rc<Upload>> {
        match self {
            Self::Empty => None,
            Self::Viewer { upload, .. } => Some(Rc::clone(upload)),
        }
    }
}

/// Why a viewer's body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The connection closed or broke the framing.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// Nothing came for too long.
    #[error("the viewer's body paused for longer than {0:?}")]
    Stalled(Duration),
    /// The response is complete, or nobody wants it any more.
    #[error("the exchange was over before the request's body was")]
    Abandoned,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Self::Viewer { incoming, upload, gap } = self.get_mut() else { return Poll::Ready(None) };
        loop {
            if upload.abandoned.get() {
                return Poll::Ready(Some(Err(UploadError::Abandoned)));
            }
            let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
                *upload.waker.borrow_mut() = Some(cx.waker().clone());
                if !gap.is_over(cx) {
                    return Poll::Pending;
                }
                upload.failed.set(true);
                return Poll::Ready(Some(Err(UploadError::Stalled(limits::BODY_GAP))));
            };
            gap.moved();
            return Poll::Ready(match frame {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    upload.last_progress.set(Some(Instant::now()));
                    upload.bytes.set(upload.bytes.get() + data.len() as u64);
                    upload.complete.set(incoming.is_end_stream());
                    Some(Ok(Frame::data(data)))
                }
                Some(Err(error)) => {
                    upload.failed.set(true);
                    upload.malformed.set(is_malformed(&error));
                    Some(Err(error.into()))
                }
                None => {
                    upload.complete.set(true);
                    None
                }
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Viewer { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Viewer { incoming, .. } => incoming.size_hint(),
        }
    }
}

/// Whether a body was not HTTP, as opposed to not being there.
fn is_malformed(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), InvalidData | InvalidInput))
}

/// Why an origin's body ended before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginBodyError {
    /// The connection closed, was reset, or broke the framing.
    #[error("the origin's body broke off: {0}")]
    Incomplete(String),
    /// Nothing came for the response timeout.
    #[error("the origin's body paused for longer than {0:?}")]
    Silent(Duration),
}

/// Body of an origin's response. Bounds each pause; gives its connection back at the end. Trailers are dropped.
pub struct OriginBody {
    incoming: Incoming,
    lease: Option<Lease>,
    timeout: Duration,
    /// Armed while a read is pending, so that a slow viewer is not mistaken for a slow origin.
    pause: Option<Pin<Box<Sleep>>>,
    pausing: bool,
}

impl std::fmt::Debug for OriginBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OriginBody").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl OriginBody {
    pub(super) fn new(incoming: Incoming, lease: Lease, timeout: Duration) -> Self {
        let mut body = Self { incoming, lease: Some(lease), timeout, pause: None, pausing: false };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    /// The next bytes, never empty; `None` at the proper end.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, OriginBodyError>>> {
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.pausing = false;
                    // Whoever knows the length does not ask for what comes after it.
                    if self.incoming.is_end_stream() {
                        self.give_back();
                    }
                    match frame.into_data() {
                        Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                        // Trailers, or a frame of nothing.
                        Ok(_) | Err(_) => {}
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(OriginBodyError::Incomplete(chain(&error)))));
                }
                Poll::Ready(None) => {
                    self.give_back();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    ready!(self.poll_pause(cx));
                    return Poll::Ready(Some(Err(OriginBodyError::Silent(self.timeout))));
                }
            }
        }
    }

    /// The next bytes, never empty; `None` at the proper end.
    pub async fn data(&mut self) -> Option<Result<Bytes, OriginBodyError>> {
        std::future::poll_fn(|cx| self.poll_data(cx)).await
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = || Instant::now() + self.timeout;
        let pause = match &mut self.pause {
            Some(pause) => {
                if !self.pausing {
                    pause.as_mut().reset(deadline());
                }
                pause
            }
            None => self.pause.insert(Box::pin(tokio::time::sleep(self.timeout))),
        };
        self.pausing = true;
        pause.as_mut().poll(cx)
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}
