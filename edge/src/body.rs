//! Step 10, the body: what hyper reads to answer a viewer.
//!
//! A response is complete only when its source says so. Anything else ends in an error, so that hyper cuts the connection
//! instead of ending the message: a viewer never takes a part for the whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::range::{ByteRange, Segment};

use crate::fill::{FillReader, ReadError};
use crate::log::Record;
use crate::origin::{OriginBody, OriginBodyError};
use crate::store::FoundBody;

/// Body of a response to a viewer, and the log record of its request: when the body is dropped, the request is over.
pub struct ReplyBody {
    source: BodySource,
    /// Length, where it is known beforehand.
    length: Option<u64>,
    sent: u64,
    complete: bool,
    record: Option<Box<Record>>,
}

/// Where the bytes come from.
pub enum BodySource {
    /// Nowhere.
    Empty,
    /// One piece.
    Whole(Bytes),
    /// Pieces from the store.
    Pieces(Pieces),
    /// A fill in progress.
    Fill(FillReader),
    /// Parts of a fill in progress. Boxed: rare, and every body has room for the largest.
    Excerpt(Box<FillExcerpt>),
    /// The origin, for this viewer alone.
    Origin(Box<OriginBody>),
}

/// Why a response was cut short.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The fill ended badly.
    #[error(transparent)]
    Fill(#[from] ReadError),
    /// The origin did.
    #[error(transparent)]
    Origin(#[from] OriginBodyError),
}

impl BodyError {
    fn reason(&self) -> Reason {
        match self {
            Self::Fill(ReadError::TooSlow) => Reason::ViewerTooSlow,
            Self::Fill(ReadError::Broken(_)) | Self::Origin(_) => Reason::OriginBodyIncomplete,
        }
    }
}

impl From<FoundBody> for BodySource {
    /// All of a stored body. Where only parts are at hand, nobody reads it.
    fn from(body: FoundBody) -> Self {
        let pinned = body.pinned();
        match body {
            FoundBody::Whole(bytes) => Self::Whole(bytes),
            FoundBody::Slices(slices) => Self::Pieces(Pieces { pieces: slices.into_iter(), pinned }),
            FoundBody::Sparse(_) => Self::Empty,
        }
    }
}

impl BodySource {
    /// Parts of a stored body.
    pub fn stored_excerpt(body: &FoundBody, segments: Vec<Segment>) -> Self {
        let cut = |segment| match segment {
            Segment::Text(text) => vec![text],
            Segment::Span(range) => body.cut(range),
        };
        let pieces: Vec<Bytes> = segments.into_iter().flat_map(cut).collect();
        Self::Pieces(Pieces { pieces: pieces.into_iter(), pinned: body.pinned() })
    }

    /// Parts of a body that is still arriving.
    pub fn fill_excerpt(reader: FillReader, segments: Vec<Segment>) -> Self {
        Self::Excerpt(Box::new(FillExcerpt { reader, segments: segments.into_iter(), span: None }))
    }
}

/// Pieces from the store, and the memory of the slices that they are part of.
pub struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    pinned: u64,
}

/// Reads the parts of a fill one after another.
pub struct FillExcerpt {
    reader: FillReader,
    segments: std::vec::IntoIter<Segment>,
    /// What is left of the part that is being read.
    span: Option<ByteRange>,
}

impl FillExcerpt {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        loop {
            if let Some(span) = self.span.as_mut().filter(|span| span.start < span.end) {
                let data = ready!(self.reader.poll_data_until(cx, span.end));
                if let Some(Ok(bytes)) = &data {
                    span.start += bytes.len() as u64;
                }
                return Poll::Ready(data);
            }
            match self.segments.next() {
                Some(Segment::Text(text)) => return Poll::Ready(Some(Ok(text))),
                Some(Segment::Span(range)) => {
                    self.reader.skip_to(range.start);
                    self.span = Some(range);
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

impl ReplyBody {
    /// A body of a known or unknown length.
    pub fn new(source: BodySource, length: Option<u64>) -> Self {
        let complete = matches!(source, BodySource::Empty) || length == Some(0);
        Self { source, length, sent: 0, complete, record: None }
    }

    /// No body.
    pub fn empty() -> Self {
        Self::new(BodySource::Empty, Some(0))
    }

    /// A small body at hand.
    pub fn whole(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Self::new(BodySource::Whole(bytes), Some(length))
    }

    /// The same, with the record that is logged when it is over.
    pub fn logged(mut self, record: Box<Record>) -> Self {
        record.metrics().pinned_bytes.inc_by(self.pinned());
        self.record = Some(record);
        self
    }

    /// Bytes that this body keeps in memory whether they are still stored or not. Small ones do not matter.
    fn pinned(&self) -> i64 {
        match self.source {
            BodySource::Pieces(Pieces { pinned, .. }) => pinned.cast_signed(),
            BodySource::Empty
            | BodySource::Whole(_)
            | BodySource::Fill(_)
            | BodySource::Excerpt(_)
            | BodySource::Origin(_) => 0,
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match &mut self.source {
            BodySource::Empty => Poll::Ready(None),
            BodySource::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            BodySource::Whole(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            BodySource::Pieces(Pieces { pieces, .. }) => Poll::Ready(pieces.next().map(Ok)),
            BodySource::Excerpt(excerpt) => excerpt.poll_data(cx).map(|data| data.map(|data| data.map_err(Into::into))),
            BodySource::Fill(reader) => reader.poll_data(cx).map(|data| data.map(|data| data.map_err(Into::into))),
            BodySource::Origin(body) => body.poll_data(cx).map(|data| data.map(|data| data.map_err(Into::into))),
        }
    }

    fn fail(&mut self, error: &BodyError) {
        if let Some(record) = &mut self.record {
            record.fields.reason = error.reason();
            record.fields.detail = Some(error.to_string());
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        if body.complete {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(body.poll_source(cx)) {
            Some(Ok(bytes)) => {
                body.sent += bytes.len() as u64;
                body.complete = body.length == Some(body.sent);
                Some(Ok(Frame::data(bytes)))
            }
            Some(Err(error)) => {
                body.fail(&error);
                Some(Err(error))
            }
            None => {
                body.complete = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.complete
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, |length| SizeHint::with_exact(length - self.sent))
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        let pinned = self.pinned();
        let Some(record) = &mut self.record else { return };
        record.metrics().pinned_bytes.dec_by(pinned);
        record.fields.body_bytes = self.sent;
        if !self.complete {
            record.fields.aborted = true;
            // A failure of ours is already named; otherwise it was the viewer who left.
            if record.fields.detail.is_none() {
                record.fields.reason = Reason::ViewerAborted;
            }
        }
    }
}
