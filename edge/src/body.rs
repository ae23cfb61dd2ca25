//! Step 10, the body: what hyper reads to answer a viewer.
//!
//! A response is complete only when its source says so. Anything else ends in an error, so that hyper cuts the connection
//! instead of ending the message: a viewer never takes a part for the whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use proxima_edge_core::limits;
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::range::{ByteRange, Segment};

use crate::fill::{FillReader, ReadError};
use crate::held::Sending;
use crate::log::Record;
use crate::origin::{OriginBody, OriginBodyError};
use crate::store::FoundBody;

/// Body of a response to a viewer, and the log record of its request: when the body is dropped, the request is over.
pub struct ReplyBody {
    source: BodySource,
    /// What the source gave and hyper has not got yet.
    rest: Bytes,
    /// Most bytes that hyper gets at once.
    piece: usize,
    /// Length, where it is known beforehand.
    length: Option<u64>,
    sent: u64,
    complete: bool,
    record: Option<Box<Record>>,
    /// What is known of a large one by whoever has to find the slowest.
    sending: Option<Arc<Sending>>,
}

/// Where the bytes come from.
pub enum BodySource {
    /// Nowhere.
    Empty,
    /// One piece.
    Whole(Bytes),
    /// Pieces from the store.
    Pieces(std::vec::IntoIter<Bytes>),
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
    /// Viewers held too much memory.
    #[error("viewers held too much memory, and this one was the slowest")]
    Slowest,
}

impl BodyError {
    fn reason(&self) -> Reason {
        match self {
            Self::Fill(ReadError::TooSlow) | Self::Slowest => Reason::ViewerTooSlow,
            Self::Fill(ReadError::Broken(_)) | Self::Origin(_) => Reason::OriginBodyIncomplete,
        }
    }
}

impl From<FoundBody> for BodySource {
    /// All of a stored body. Where only parts are at hand, nobody reads it.
    fn from(body: FoundBody) -> Self {
        match body {
            FoundBody::Whole(bytes) => Self::Whole(bytes),
            FoundBody::Slices(slices) => Self::Pieces(slices.into_iter()),
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
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        // A few bytes must not hold the slices that they are in.
        if bytes <= limits::LARGE_BODY_BYTES {
            Self::Whole(pieces.concat().into())
        } else {
            Self::Pieces(pieces.into_iter())
        }
    }

    /// Parts of a body that is still arriving.
    pub fn fill_excerpt(reader: FillReader, segments: Vec<Segment>) -> Self {
        Self::Excerpt(Box::new(FillExcerpt { reader, segments: segments.into_iter(), span: None }))
    }
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
        Self {
            source,
            rest: Bytes::new(),
            piece: limits::PIECE_BYTES,
            length,
            sent: 0,
            complete,
            record: None,
            sending: None,
        }
    }

    /// The same in pieces of at most this many bytes: what hyper has got it keeps until the viewer takes it, and asks for
    /// more only then.
    pub fn in_pieces_of(mut self, bytes: usize) -> Self {
        self.piece = bytes;
        self
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
        if self.length.is_none_or(|length| length > limits::LARGE_BODY_BYTES) && self.holds() {
            self.sending = Some(record.begin_sending(self.length));
        }
        self.record = Some(record);
        self
    }

    /// Whether it may hold what the store does not.
    fn holds(&self) -> bool {
        match self.source {
            BodySource::Whole(_) | BodySource::Pieces(_) | BodySource::Fill(_) | BodySource::Excerpt(_) => true,
            // From the origin no more is read than the viewer has room for.
            BodySource::Empty | BodySource::Origin(_) => false,
        }
    }

    /// Where it is noted how fast the viewer takes it: for large ones, and for those that are followed.
    pub fn sending(&self) -> Option<&Arc<Sending>> {
        self.sending.as_ref()
    }

    /// Notes a small one like a large one.
    pub fn follow(&mut self) {
        if self.sending.is_none() && self.holds() && !self.complete {
            self.sending = self.record.as_ref().map(|record| record.begin_sending(self.length));
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match &mut self.source {
            BodySource::Empty => Poll::Ready(None),
            BodySource::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            BodySource::Whole(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            BodySource::Pieces(pieces) => Poll::Ready(pieces.next().map(Ok)),
            BodySource::Excerpt(excerpt) => excerpt.poll_data(cx).map(|data| data.map(|data| data.map_err(Into::into))),
            BodySource::Fill(reader) => reader.poll_data(cx).map(|data| data.map(|data| data.map_err(Into::into))),
            BodySource::Origin(body) => body.poll_data(cx).map(|data| data.map(|data| data.map_err(Into::into))),
        }
    }

    /// The next bytes, as many as hyper gets at once.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut bytes = std::mem::take(&mut self.rest);
        if bytes.is_empty() {
            bytes = match ready!(self.poll_source(cx)) {
                Some(Ok(bytes)) => bytes,
                end => return Poll::Ready(end),
            };
        }
        if bytes.len() > self.piece {
            self.rest = bytes.split_off(self.piece);
        }
        Poll::Ready(Some(Ok(bytes)))
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
        let piece = match &body.sending {
            Some(sending) if sending.is_cut() => Some(Err(BodyError::Slowest)),
            _ => ready!(body.poll_piece(cx)),
        };
        Poll::Ready(match piece {
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
        let Some(record) = &mut self.record else { return };
        let (kept, cut) = self.sending.as_ref().map_or((0, false), |sending| (sending.kept(), sending.is_cut()));
        record.fields.body_bytes = self.sent.saturating_sub(kept);
        if !self.complete || kept > 0 {
            record.fields.aborted = true;
            if cut {
                record.fields.reason = Reason::ViewerTooSlow;
                record.fields.detail = Some(BodyError::Slowest.to_string());
            }
            // A failure of ours is already named; otherwise it was the viewer who left.
            if record.fields.detail.is_none() {
                record.fields.reason = Reason::ViewerAborted;
            }
        }
    }
}
