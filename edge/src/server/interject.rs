//! What is written beside hyper: interim responses, and our refusals in place of hyper's own.
//!
//! Both are written only where they cannot end up inside anything. hyper flushes the socket after it has written all
//! that it has, and until the service has answered it has nothing of the current response. So interim responses that
//! wait are written when hyper flushes. And what hyper writes when all that the service has answered is written can only
//! be an answer that it makes itself, to a head that it could not read: a bare head, and the last that the connection
//! carries. It is kept back, and ours is written instead.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::phase::Phase;

/// A writer under hyper. See the module.
pub struct Interject<S, R> {
    io: S,
    phase: Rc<Phase>,
    /// Makes the answer that is written in place of hyper's, which it is given.
    refuse: R,
    /// What is being written: once begun it must be ended before anything else is.
    begun: Vec<u8>,
    written: usize,
}

impl<S: AsyncWrite + Unpin, R: Fn(&[u8]) -> Vec<u8> + Unpin> Interject<S, R> {
    /// Writes to a fresh connection.
    pub fn new(io: S, phase: Rc<Phase>, refuse: R) -> Self {
        Self { io, phase, refuse, begun: Vec::new(), written: 0 }
    }

    fn poll_end_begun(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.begun.len() {
            self.written += ready!(Pin::new(&mut self.io).poll_write(context, &self.begun[self.written..]))?;
        }
        self.written = 0;
        self.begun.clear();
        Poll::Ready(Ok(()))
    }

    /// Puts our refusal in the place of what hyper writes.
    fn replace(&mut self, hypers: &[u8]) {
        self.phase.refusal_begins();
        self.begun = (self.refuse)(hypers);
    }
}

impl<S: AsyncRead + Unpin, R: Unpin> AsyncRead for Interject<S, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin, R: Fn(&[u8]) -> Vec<u8> + Unpin> AsyncWrite for Interject<S, R> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_end_begun(context))?;
        if self.phase.is_settled() {
            self.replace(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_end_begun(context))?;
        if self.phase.is_settled() {
            let bytes = pieces.iter().flat_map(|piece| piece.iter().copied()).collect::<Vec<_>>();
            self.replace(&bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_end_begun(context))?;
        let waiting = std::mem::take(&mut self.phase.interim.borrow_mut().bytes);
        if !waiting.is_empty() {
            self.begun = waiting;
            ready!(self.poll_end_begun(context))?;
        }
        self.phase.written();
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_end_begun(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
