//! What hyper reads from and writes to: a socket with time limits, gathered writes and a gentle end.
//!
//! * **Time.** A connection is idle, sends a request head, or has requests in flight, as its [`Phase`] tells.
//!   Deadlines are looked at only when a read or write has to wait, and one lazily moved timer serves them all: a busy
//!   connection never touches the timer wheel. The gap between two reads of a request body is judged where the body is
//!   read (with [`BodyGap`]), since only there is it known that more of it is wanted.
//! * **Writes.** Pieces that together are small are copied into one buffer and sent by one plain `send`, which costs
//!   less than `writev` (measured: 4 % of the processor time of a small hit).
//! * **End.** A connection that may still have bytes under way is closed in two steps (RFC 9112 § 9.6): our side first,
//!   then what comes is read and thrown away for a while. A plain close would make the kernel answer those bytes with a
//!   reset, and the viewer would lose the response.
//!
//! What the bytes mean is [`inspect`](super::inspect)'s, one layer above.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use proxima_edge_core::framing::http2::PREFACE;
use proxima_edge_core::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::drain::Registration;
use super::phase::Phase;
use crate::metrics::Closed;

/// Pieces of a write that together are at most this many bytes are copied into one.
const GATHER_BYTES: usize = 16 << 10;

thread_local! {
    /// One buffer for all connections of a worker: between two system calls nothing stays in it.
    static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHER_BYTES));
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1, or not HTTP at all.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
}

/// A socket under hyper. See the module.
pub struct Guarded<S> {
    socket: S,
    phase: Rc<Phase>,
    /// First bytes, read to tell the protocol and not yet given to hyper.
    first: Vec<u8>,
    read_closed: bool,
    blocked: Option<Blocked>,
    linger: Option<Linger>,
    timer: Timer,
}

/// Since when the viewer has taken next to nothing, and how much that was.
struct Blocked {
    since: Instant,
    taken: u64,
}

struct Linger {
    until: Instant,
    bytes_left: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Wraps a fresh connection.
    pub fn new(socket: S, phase: Rc<Phase>) -> Self {
        Self {
            socket,
            phase,
            first: Vec::new(),
            read_closed: false,
            blocked: None,
            linger: None,
            timer: Timer::default(),
        }
    }

    /// Reads until the protocol is clear; hyper gets the same bytes again. None when the connection ends, or should
    /// end, before it has begun.
    pub async fn detect(&mut self, registration: &Registration) -> io::Result<Option<Protocol>> {
        poll_fn(|context| {
            loop {
                let known = self.first.len().min(PREFACE.len());
                if self.first[..known] != PREFACE[..known] {
                    return Poll::Ready(Ok(Some(Protocol::Http1)));
                }
                if known == PREFACE.len() {
                    return Poll::Ready(Ok(Some(Protocol::Http2)));
                }
                if registration.is_draining(context) && self.first.is_empty() {
                    return Poll::Ready(Ok(None));
                }
                let mut buffer = [0_u8; FIRST_READ_BYTES];
                let mut buffer = ReadBuf::new(&mut buffer);
                ready!(self.poll_socket(context, &mut buffer))?;
                if buffer.filled().is_empty() {
                    return Poll::Ready(Ok(if self.first.is_empty() { None } else { Some(Protocol::Http1) }));
                }
                self.first.extend_from_slice(buffer.filled());
            }
        })
        .await
    }

    fn poll_socket(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.socket).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                if buffer.filled().len() > before {
                    self.phase.bytes_came();
                } else {
                    self.read_closed = true;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.read_closed = true;
                Poll::Ready(Err(error))
            }
            Poll::Pending => match self.phase.read_deadline() {
                Some((deadline, closed)) if self.timer.is_over(context, deadline) => {
                    if self.blocked.is_none() {
                        return Poll::Ready(Err(self.time_out(closed)));
                    }
                    // Of the last response the library has the rest, and the viewer is busy with it.
                    self.phase.wait_anew();
                    self.poll_socket(context, buffer)
                }
                _ => Poll::Pending,
            },
        }
    }

    /// Whatever a write came to: while next to nothing can be sent the clock runs.
    fn note_write(&mut self, context: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = &result {
            if let (Some(blocked), Ok(bytes)) = (&mut self.blocked, written) {
                blocked.taken += *bytes as u64;
                if blocked.taken >= limits::WRITE_STALL_BYTES {
                    self.blocked = None;
                }
            }
            return result;
        }
        let since = self.blocked.get_or_insert_with(|| Blocked { since: Instant::now(), taken: 0 }).since;
        if self.timer.is_over(context, since + limits::WRITE_STALL) {
            return Poll::Ready(Err(self.time_out(Closed::WriteStall)));
        }
        if self.phase.is_cut(context.waker()) {
            return Poll::Ready(Err(self.time_out(Closed::Slowest)));
        }
        Poll::Pending
    }

    fn time_out(&self, closed: Closed) -> io::Error {
        self.phase.end(closed);
        io::Error::new(io::ErrorKind::TimedOut, closed.as_str())
    }

    /// Reads and throws away until the viewer has closed too, or enough is enough.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let linger = self.linger.get_or_insert_with(|| Linger {
            until: Instant::now() + limits::DRAIN_TIME,
            bytes_left: limits::DRAIN_BYTES,
        });
        loop {
            let mut buffer = [0_u8; FIRST_READ_BYTES];
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    linger.bytes_left = linger.bytes_left.saturating_sub(buffer.filled().len() as u64);
                    if linger.bytes_left == 0 {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if self.timer.is_over(context, linger.until) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Bytes of a read on the stack: when telling protocols, and when throwing away.
const FIRST_READ_BYTES: usize = 4 << 10;

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..length]);
            self.first.drain(..length);
            return Poll::Ready(Ok(()));
        }
        self.poll_socket(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.note_write(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        if total > GATHER_BYTES {
            let result = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
            return self.note_write(context, result);
        }
        GATHERED.with_borrow_mut(|gathered| {
            gathered.clear();
            for piece in pieces {
                gathered.extend_from_slice(piece);
            }
            self.as_mut().poll_write(context, gathered)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.socket).poll_flush(context).map_ok(|()| 0);
        if result.is_ready() {
            self.blocked = None;
            self.phase.flushed();
        }
        self.note_write(context, result).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
            if self.read_closed || !self.phase.may_have_more() {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(context).map(Ok)
    }
}

/// The longest pause between two reads of a request body ([`limits::BODY_GAP`]), for whoever reads one: only there is
/// it known that more of the body is wanted. Costs a timer only while the body keeps its reader waiting.
#[derive(Debug, Default)]
pub struct BodyGap {
    waiting_since: Option<Instant>,
    timer: Timer,
}

impl BodyGap {
    /// Some of the body came, or its end.
    pub fn moved(&mut self) {
        self.waiting_since = None;
    }

    /// Nothing came yet. Whether that has lasted too long; if not, the task of `context` is woken when it has.
    pub fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        self.timer.is_over(context, since + limits::BODY_GAP)
    }
}

/// One timer for all deadlines of a connection. It is moved to an earlier time at once, to a later one only when it
/// fires.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
}

impl Timer {
    /// Whether `deadline` has passed. If not, the task of `context` is woken then, or before.
    pub(super) fn is_over(&mut self, context: &mut Context<'_>, deadline: Instant) -> bool {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        } else if !sleep.is_elapsed() && self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            return false;
        }
        while sleep.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            sleep.as_mut().reset(deadline);
        }
        self.waker = Some(context.waker().clone());
        false
    }
}

#[cfg(test)]
mod tests;
