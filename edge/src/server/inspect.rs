//! A reader under hyper that follows the framing of HTTP/1 requests, and stops what hyper would let pass.
//!
//! hyper does not show what makes a stream of requests ambiguous, and nothing above it can. So the bytes are followed on
//! their way to it, in place. On a violation the offending byte becomes NUL, which no part of a request may contain:
//! hyper answers 400, in order behind the responses to earlier requests, and closes. What came after that byte never
//! reaches it. What is refused, and why, is the core's `framing`.
//!
//! Known limit: a chunk may turn out malformed after the request to the origin began. That one is then aborted, never
//! ended.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use proxima_edge_core::framing::{Breach, Framing, Position, Violation};
use proxima_edge_core::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::phase::Phase;

/// What hyper gets instead of the first byte that cannot be: NUL, and what ends every part of a message that could go
/// on. In a head that is an empty line, since hyper reads an incomplete head again only when it is complete; in a
/// trailer a carriage return with something else behind it.
const POISON: &[u8] = b"\0\r\0\n\n";

/// What the viewer did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) violation: Violation,
    pub(super) within: Position,
    /// Beginning of the request line, for the log; empty when it came in an earlier read.
    pub(super) line: String,
}

/// A reader that follows. See the module.
pub struct Inspect<S> {
    io: S,
    phase: Rc<Phase>,
    framing: Framing,
    /// What of [`POISON`] hyper has not got yet, once there was a violation.
    poison: Option<&'static [u8]>,
}

impl<S> Inspect<S> {
    /// Follows what is read from the beginning of a connection.
    pub fn new(io: S, phase: Rc<Phase>) -> Self {
        Self { io, phase, framing: Framing::new(), poison: None }
    }

    /// Looks at what was read; on a violation cuts it there.
    fn look(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let read = &buffer.filled()[before..];
        let followed = self.framing.follow(read);
        self.phase.followed(self.framing.position(), self.framing.heads());
        if let Err(Breach { violation, at, within }) = followed {
            let line = self.framing.head_began().map_or(&[][..], |head| &read[head..at]);
            let line = line.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
            let line = String::from_utf8_lossy(&line[..line.len().min(limits::LOG_VALUE_BYTES)]).into_owned();
            *self.phase.broken.borrow_mut() = Some(Broken { violation, within, line });
            buffer.set_filled(before + at);
            self.poison = Some(put(buffer, POISON));
        }
    }
}

/// Puts as much as there is room for; gives back the rest.
fn put<'a>(buffer: &mut ReadBuf<'_>, bytes: &'a [u8]) -> &'a [u8] {
    let (now, later) = bytes.split_at(bytes.len().min(buffer.remaining()));
    buffer.put_slice(now);
    later
}

impl<S: AsyncRead + Unpin> AsyncRead for Inspect<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(poison) = self.poison {
            // After the poison comes the end: what else the viewer sends is nobody's.
            self.poison = Some(put(buffer, poison));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        self.look(buffer, before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inspect<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
