//! The body that hyper sends: `handle`'s, and a note on the connection while it lasts.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::phase::InFlight;
use super::streams::{self, Turn};
use crate::body::{BodyError, ReplyBody};

/// A reply, and the knowledge that it is in flight.
pub(super) struct ServerBody {
    body: ReplyBody,
    _in_flight: InFlight,
}

impl ServerBody {
    pub(super) fn new(body: ReplyBody, in_flight: InFlight) -> Self {
        Self { body, _in_flight: in_flight }
    }
}

impl Body for ServerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.get_mut().body).poll_frame(context);
        streams::note(match &frame {
            Poll::Ready(Some(_)) => Turn::Gave,
            Poll::Ready(None) | Poll::Pending => Turn::Waits,
        });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
