//! The body that hyper sends: `handle`'s, and a note on the connection while it lasts.
//!
//! In HTTP/2 a body is gone for hyper when it has given its last byte, while the library still waits for room in the
//! viewer's window, for however long. So what the library keeps is counted, and a large body does not end before its last
//! byte is written: until then its stream can stall, and be cut off. So does a small one where much of the connection
//! waits already.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use proxima_edge_core::limits;

use super::phase::InFlight;
use super::streams::{self, Turn};
use crate::body::{BodyError, ReplyBody};
use crate::held::Sending;

/// A reply, and the knowledge that it is in flight.
pub(super) struct ServerBody {
    body: ReplyBody,
    in_flight: InFlight,
    /// Bytes of this body that the library kept when it was asked last.
    kept: u64,
}

impl ServerBody {
    pub(super) fn new(mut body: ReplyBody, in_flight: InFlight) -> Self {
        if let Some(waiting) = in_flight.waiting() {
            body = body.in_pieces_of(limits::HTTP2_PIECE_BYTES);
            if waiting.load(Ordering::Relaxed) > limits::HTTP2_WAITING_BYTES {
                body.follow();
            }
            if let Some(sending) = body.sending() {
                streams::sends(Arc::clone(sending));
            }
        } else if let Some(sending) = body.sending() {
            in_flight.sends(Arc::clone(sending));
        }
        Self { body, in_flight, kept: 0 }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let sending = self.body.sending();
        match (frame, sending, self.in_flight.waiting()) {
            (Poll::Ready(Some(Ok(frame))), sending, waiting) => {
                let size = frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
                if let Some(sending) = sending {
                    sending.gave(size);
                }
                let Some(waiting) = waiting else { return Poll::Ready(Some(Ok(frame))) };
                let piece = |bytes| Piece::of(bytes, waiting, sending);
                Poll::Ready(Some(Ok(frame.map_data(piece))))
            }
            (Poll::Ready(None), Some(sending), Some(_)) if sending.kept() > 0 => Poll::Pending,
            (Poll::Pending, Some(sending), _) => {
                sending.waits();
                Poll::Pending
            }
            (frame, ..) => frame,
        }
    }
}

impl Body for ServerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let body = self.get_mut();
        let frame = body.poll_piece(context);
        let before = std::mem::replace(&mut body.kept, body.body.sending().map_or(0, |sending| sending.kept()));
        match &frame {
            Poll::Ready(Some(_)) => streams::note(Turn::Gave),
            Poll::Ready(None) => streams::note(Turn::Waits),
            Poll::Pending if body.kept == 0 => streams::note(Turn::Waits),
            // The viewer took some of what it was given.
            Poll::Pending if body.kept < before => streams::note(Turn::Gave),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        let followed = self.body.sending().is_some() && self.in_flight.waiting().is_some();
        !followed && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the HTTP/2 library has of a body: counted until it is written, or thrown away.
struct Piece {
    bytes: Bytes,
    waiting: Arc<AtomicU64>,
    sending: Option<Arc<Sending>>,
}

impl Piece {
    fn of(bytes: Bytes, waiting: &Arc<AtomicU64>, sending: Option<&Arc<Sending>>) -> Bytes {
        let size = bytes.len() as u64;
        waiting.fetch_add(size, Ordering::Relaxed);
        if let Some(sending) = sending {
            sending.keeps(size);
        }
        Bytes::from_owner(Self { bytes, waiting: Arc::clone(waiting), sending: sending.cloned() })
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let size = self.bytes.len() as u64;
        self.waiting.fetch_sub(size, Ordering::Relaxed);
        if let Some(sending) = &self.sending {
            sending.let_go(size);
        }
    }
}
