//! Placeholder.
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

/// Placeholder.
pub struct ReplyBody(Option<Bytes>, #[allow(dead_code)] crate::log::Record);

impl ReplyBody {
    /// Placeholder.
    pub fn new(bytes: Bytes, record: crate::log::Record) -> Self {
        Self(Some(bytes), record)
    }
}

/// Placeholder.
#[derive(Debug, thiserror::Error)]
#[error("placeholder")]
pub struct BodyError;

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
