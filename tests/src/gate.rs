//! A barrier that a test controls.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::wait::within;

/// Holds everyone who [passes](Gate::pass) until the test lets them.
#[derive(Clone)]
pub struct Gate {
    permits: Arc<Semaphore>,
    arrived: Arc<watch::Sender<usize>>,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self { permits: Arc::new(Semaphore::new(0)), arrived: Arc::new(watch::Sender::new(0)) }
    }

    /// Arrives at the gate and waits until it is let through.
    pub async fn pass(&self) {
        self.arrived.send_modify(|count| *count += 1);
        within("a gate to be opened", self.permits.acquire()).await.expect("never closed").forget();
    }

    /// Lets `count` through, now or when they arrive.
    pub fn admit(&self, count: usize) {
        self.permits.add_permits(count);
    }

    /// Lets everyone through for good.
    pub fn open(&self) {
        self.permits.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Waits until `count` have arrived in total, whether or not they were let through.
    pub async fn arrived(&self, count: usize) {
        let mut arrived = self.arrived.subscribe();
        let seen = within("arrivals at a gate", arrived.wait_for(|seen| *seen >= count)).await;
        drop(seen.expect("the sender lives as long as the gate"));
    }

    /// How many have arrived so far.
    pub fn arrivals(&self) -> usize {
        *self.arrived.borrow()
    }
}
