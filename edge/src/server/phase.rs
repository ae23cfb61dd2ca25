//! What one connection is doing: shared between the layers under hyper and the service above it.
//!
//! Plain cells: a connection lives on one thread. The layers below report what they see of the viewer's bytes, the
//! service reports requests, and each asks here what it cannot see itself.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Waker;

use proxima_edge_core::framing::Position;
use proxima_edge_core::framing::http2::Unserved;
use proxima_edge_core::limits;
use tokio::time::Instant;

use super::inspect::Broken;
use super::interim::Waiting;
use crate::held::Sending;
use crate::metrics::Closed;

/// State of a connection. See the module.
#[derive(Debug, Default)]
pub struct Phase {
    in_flight: Cell<u32>,
    /// Requests given to the service so far.
    requests: Cell<u64>,
    /// Of several requests at a time, bytes of the responses that wait in the library's buffers.
    multiplexed: OnceCell<Arc<AtomicU64>>,
    /// The large response that is being written, or was last.
    sending: RefCell<Option<Arc<Sending>>>,
    /// A byte of a request head was read, but the head is not complete.
    head_begun: Cell<bool>,
    /// The last request had a body, of which a part may be under way.
    had_body: Cell<bool>,
    /// The service has answered something that may not be written yet, or is about to.
    unsettled: Cell<bool>,
    /// The connection's last answer is a refusal that has an outcome already.
    refused: Cell<bool>,
    /// Bytes of a request came that the service does not have.
    unserved: Cell<bool>,
    /// Since when the viewer has been waited for; none until a read has to wait.
    waiting_since: Cell<Option<Instant>>,
    ended: Cell<Option<Closed>>,
    pub(super) broken: RefCell<Option<Broken>>,
    pub(super) interim: RefCell<Waiting>,
    /// Of an HTTP/2 connection.
    pub(super) streams: RefCell<Unserved>,
}

/// A request in flight; dropped with its response.
#[derive(Debug)]
pub struct InFlight(Rc<Phase>);

impl Phase {
    /// Several requests at a time: incomplete heads can no longer be told from other frames.
    pub fn multiplexed(&self) {
        self.multiplexed.get_or_init(Arc::default);
        self.head_begun.set(false);
        self.waiting_since.set(None);
    }

    /// A request head is complete.
    pub fn request_begins(self: &Rc<Self>, has_body: bool) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.requests.set(self.requests.get() + 1);
        self.had_body.set(has_body);
        self.unsettled.set(true);
        self.waiting_since.set(None);
        self.sending.take();
        InFlight(Rc::clone(self))
    }

    /// Everything is written.
    pub(super) fn flushed(&self) {
        if self.in_flight.get() == 0 {
            self.sending.take();
        }
    }

    /// Whether the response that is being written has to go. If not, the task of the waker is woken when it has.
    pub(super) fn is_cut(&self, waker: &Waker) -> bool {
        self.sending.borrow().as_ref().is_some_and(|sending| {
            sending.wakes(waker);
            sending.is_cut()
        })
    }

    /// What the viewer is waited for begins anew: it is busy taking a response.
    pub(super) fn wait_anew(&self) {
        self.waiting_since.set(None);
    }

    /// The request that the service was given last, counted from 1.
    pub(super) fn current(&self) -> u64 {
        self.requests.get()
    }

    /// All that there was to write is written.
    pub(super) fn written(&self) {
        if self.in_flight.get() == 0 {
            self.unsettled.set(false);
        }
    }

    /// Whether nothing of what the service answered is left to be written, nor will be without a new request.
    pub(super) fn is_settled(&self) -> bool {
        !self.unsettled.get()
    }

    /// A refusal is being written that no service made.
    pub(super) fn refusal_begins(&self) {
        self.refused.set(true);
        self.unsettled.set(true);
    }

    /// Whether such a refusal was written.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.get()
    }

    /// The task to wake when there is something to be written before the response.
    pub(super) fn waits_with(&self, waker: &Waker) {
        self.interim.borrow_mut().wake_with(waker);
    }

    /// Which limit ended the connection, if one did.
    pub fn ended(&self) -> Option<Closed> {
        self.ended.get()
    }

    /// A limit ends the connection.
    pub(super) fn end(&self, closed: Closed) {
        self.ended.set(Some(closed));
    }

    /// Bytes came, of which nothing is known yet.
    pub(super) fn bytes_came(&self) {
        if self.in_flight.get() == 0 && self.multiplexed.get().is_none() && !self.head_begun.get() {
            self.head_begun.set(true);
            self.waiting_since.set(None);
        }
    }

    /// What the bytes were: where in a request they ended, and how many requests have begun so far.
    pub(super) fn followed(&self, position: Position, begun: u64) {
        self.head_begun.set(position == Position::Head);
        self.unserved.set(begun > self.requests.get() || position != Position::Between);
    }

    /// Until when the viewer may take to send something, and what it means if it does not.
    pub(super) fn read_deadline(&self) -> Option<(Instant, Closed)> {
        if self.in_flight.get() > 0 {
            return None;
        }
        let since = self.waiting_since.get().unwrap_or_else(Instant::now);
        self.waiting_since.set(Some(since));
        Some(if self.head_begun.get() {
            (since + limits::HEAD_TIMEOUT, Closed::HeadTimeout)
        } else {
            (since + limits::IDLE_TIMEOUT, Closed::IdleTimeout)
        })
    }

    /// Bytes that we did not read, or will not, may be on their way. On a multiplexed connection always: what it is ended
    /// for must not be lost.
    pub(super) fn may_have_more(&self) -> bool {
        self.multiplexed.get().is_some() || self.had_body.get() || self.head_begun.get() || self.unserved.get()
    }
}

impl InFlight {
    /// Where it is one of several at a time, bytes of all that wait in the library's buffers.
    pub(super) fn waiting(&self) -> Option<&Arc<AtomicU64>> {
        self.0.multiplexed.get()
    }

    /// Its response is large.
    pub(super) fn sends(&self, sending: Arc<Sending>) {
        self.0.sending.replace(Some(sending));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
        self.0.waiting_since.set(None);
    }
}
