//! The body that hyper sends: `handle`'s, and a note on the connection while it lasts.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};

use super::streams::{self, Turn};
use super::timeouts::InFlight;
use crate::body::{BodyError, ReplyBody};

pin_project_lite::pin_project! {
    /// A reply, and the knowledge that it is in flight.
    #[project = ServerBodyProjection]
    pub(super) enum ServerBody {
        Reply { #[pin] body: ReplyBody, in_flight: InFlight },
        Unconfigured { text: Option<Bytes>, in_flight: InFlight },
    }
}

impl ServerBody {
    pub(super) fn reply(body: ReplyBody, in_flight: InFlight) -> Self {
        Self::Reply { body, in_flight }
    }
}

/// Before the first valid configuration nothing can be said about any request, except that it may be tried again. There
/// is no plan, so none of the usual steps apply.
pub(super) fn unconfigured(in_flight: InFlight) -> Response<ServerBody> {
    let text = Bytes::from_static(b"503: this edge has no configuration yet\n");
    let mut response = Response::new(ServerBody::Unconfigured { text: Some(text), in_flight });
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

impl Body for ServerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project() {
            ServerBodyProjection::Reply { body, .. } => {
                let frame = body.poll_frame(context);
                streams::note(match &frame {
                    Poll::Ready(Some(_)) => Turn::Gave,
                    Poll::Ready(None) | Poll::Pending => Turn::Waits,
                });
                frame
            }
            ServerBodyProjection::Unconfigured { text, .. } => Poll::Ready(text.take().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Reply { body, .. } => body.is_end_stream(),
            Self::Unconfigured { text, .. } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Reply { body, .. } => body.size_hint(),
            Self::Unconfigured { text, .. } => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
