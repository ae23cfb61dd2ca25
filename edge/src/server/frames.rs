//! Under the library that speaks HTTP/2: sees which streams it refuses by itself, so that each has an outcome.
//!
//! What is followed, and how a refused stream is told from others, is the core's `framing::http2`. Of DATA only the nine
//! bytes of the head are looked at.
//!
//! A request head beyond the library's bound is answered by it with a bare 431. That cannot be replaced, for the library
//! remembers what it wrote (HPACK); but fields that nobody has to remember can be added behind. So it says what our own
//! refusals say.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use proxima_edge_core::framing::http2::{Frame, Frames, HEAD_BYTES, literal};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Shared, refused};

/// The fields of an answer that has nothing but a status have at most this many bytes; one of the service has more in
/// its date alone.
const BARE_ANSWER_BYTES: usize = 16;

/// Flag of HEADERS: no CONTINUATION follows.
const END_HEADERS: u8 = 4;

/// A socket that is watched. See the module.
pub(super) struct Watched<S> {
    io: S,
    shared: Shared,
    sent: Frames,
    written: Frames,
    /// An answer of the library with our fields: once begun it must be ended before anything else is written.
    begun: Vec<u8>,
    begun_written: usize,
}

/// Called when the library rests: streams that it has refused have their outcomes.
pub(super) fn rest(shared: &Shared) {
    let refused = shared.phase.streams.borrow_mut().rest();
    for code in refused {
        refused::stream(shared, Some(code));
    }
}

/// An answer of the library in what is about to be written.
struct Bare {
    stream: u32,
    /// Bytes before it.
    at: usize,
    /// Bytes of it.
    length: usize,
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Watches from the beginning of a connection, preface included.
    pub(super) fn new(io: S, shared: Shared) -> Self {
        let (sent, written) = (Frames::sent(), Frames::written());
        Self { io, shared, sent, written, begun: Vec::new(), begun_written: 0 }
    }

    fn poll_end_begun(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.begun_written < self.begun.len() {
            let rest = &self.begun[self.begun_written..];
            self.begun_written += ready!(Pin::new(&mut self.io).poll_write(context, rest))?;
        }
        self.begun_written = 0;
        self.begun.clear();
        Poll::Ready(Ok(()))
    }

    /// The next answer of the library, if these pieces have one, and it is in one of them as a whole.
    fn bare(&self, pieces: &[IoSlice<'_>]) -> Option<Bare> {
        let unserved = self.shared.phase.streams.borrow();
        if unserved.is_empty() {
            return None;
        }
        let (mut frames, mut before) = (self.written, 0);
        for piece in pieces {
            let mut at = 0;
            while at < piece.len() {
                let (here, frame) = frames.next(&piece[at..]);
                at += here;
                let Some(Frame::Headers { stream, length, end: true }) = frame else { continue };
                let (begin, end) = (at.checked_sub(HEAD_BYTES), at + length as usize);
                if let Some(begin) = begin
                    && length as usize <= BARE_ANSWER_BYTES
                    && end <= piece.len()
                    && piece[begin + 4] & END_HEADERS != 0
                    && unserved.has(stream)
                {
                    return Some(Bare { stream, at: before + begin, length: end - begin });
                }
            }
            before += piece.len();
        }
        None
    }

    /// Takes an answer of the library, and begins to write it with our fields.
    fn complete(&mut self, bare: &Bare, frame: &[u8]) {
        self.shared.phase.streams.borrow_mut().answered(bare.stream);
        let mut fields = refused::too_large(&self.shared);
        fields.remove(CONTENT_LENGTH);
        fields.remove(CONTENT_TYPE);
        self.begun.extend_from_slice(frame);
        for (name, value) in &fields {
            literal(name.as_str().as_bytes(), value.as_bytes(), &mut self.begun);
        }
        let length = u32::try_from(self.begun.len() - HEAD_BYTES).expect("a refusal has few fields").to_be_bytes();
        self.begun[..3].copy_from_slice(&length[1..]);
    }

    /// Follows what was written, which is so many bytes of these pieces.
    fn note_written(&mut self, pieces: &[IoSlice<'_>], mut written: usize) {
        let Self { shared, written: frames, .. } = self;
        for piece in pieces {
            let here = piece.len().min(written);
            frames.follow(&piece[..here], |frame| match frame {
                Frame::Headers { stream, .. } => {
                    if shared.phase.streams.borrow_mut().answered(stream) {
                        refused::stream(shared, None);
                    }
                }
                Frame::Reset { stream, code } => shared.phase.streams.borrow_mut().reset(stream, code),
            });
            written -= here;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let Self { shared, sent, .. } = &mut *self;
        sent.follow(&buffer.filled()[before..], |frame| {
            if let Frame::Headers { stream, .. } = frame {
                shared.phase.streams.borrow_mut().begins(stream);
            }
        });
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_end_begun(context))?;
        let Some(bare) = self.bare(pieces) else {
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(context, pieces))?;
            self.note_written(pieces, written);
            return Poll::Ready(Ok(written));
        };
        let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
        if bare.at == 0 {
            self.complete(&bare, &first[..bare.length]);
            return Poll::Ready(Ok(bare.length));
        }
        let before = &first[..first.len().min(bare.at)];
        let written = ready!(Pin::new(&mut self.io).poll_write(context, before))?;
        self.note_written(&[IoSlice::new(before)], written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_end_begun(context))?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_end_begun(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
