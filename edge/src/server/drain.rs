//! The end of a worker: every open connection is told once, and the last one ends the wait.
//!
//! A connection asks on each of its turns whether the worker drains. That is a read of a cell; a cancellation token
//! shared by all workers would take its lock on each turn of each connection.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::sync::Notify;

/// The open connections of one worker.
#[derive(Default)]
pub struct Connections {
    draining: Cell<bool>,
    next: Cell<u64>,
    open: RefCell<HashMap<u64, Option<Waker>>>,
    last_gone: Notify,
}

/// One open connection; dropped when it ends.
pub struct Registration {
    connections: Rc<Connections>,
    number: u64,
    known: Cell<bool>,
}

impl Connections {
    /// None open.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a connection.
    pub fn register(self: &Rc<Self>) -> Registration {
        let number = self.next.get();
        self.next.set(number + 1);
        self.open.borrow_mut().insert(number, None);
        Registration { connections: Rc::clone(self), number, known: Cell::new(false) }
    }

    /// Tells all connections to end, and waits until they have.
    pub async fn drain(&self) {
        self.draining.set(true);
        for waker in self.open.borrow().values().flatten() {
            waker.wake_by_ref();
        }
        while !self.open.borrow().is_empty() {
            self.last_gone.notified().await;
        }
    }
}

impl Registration {
    /// Whether the connection should end. If not, the task of `context` is woken when it should.
    pub fn is_draining(&self, context: &Context<'_>) -> bool {
        if !self.known.get() {
            self.known.set(true);
            self.connections.open.borrow_mut().insert(self.number, Some(context.waker().clone()));
        }
        self.connections.draining.get()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut open = self.connections.open.borrow_mut();
        open.remove(&self.number);
        if open.is_empty() {
            self.connections.last_gone.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn drain_wakes_every_connection_and_waits_for_the_last() {
        let connections = Rc::new(Connections::new());
        let (first, second) = (connections.register(), connections.register());
        let told = |registration: Registration| async move {
            poll_fn(|context| if registration.is_draining(context) { Poll::Ready(()) } else { Poll::Pending }).await;
            registration
        };
        let mut waiting = Box::pin(async { tokio::join!(told(first), told(second)) });
        assert!(waiting.as_mut().now_or_never().is_none());
        let mut drain = Box::pin(connections.drain());
        assert!(drain.as_mut().now_or_never().is_none(), "two are open");
        let (first, second) = waiting.await;
        drop(first);
        assert!(drain.as_mut().now_or_never().is_none(), "one is open");
        drop(second);
        drain.await;
    }

    #[tokio::test]
    async fn drain_of_nothing_is_over_at_once() {
        assert!(Connections::new().drain().now_or_never().is_some());
    }
}
