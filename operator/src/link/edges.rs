//! All held links: which edges are talked to, and what each shall serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use proxima_edge_core::link::Envelope;
use tokio::sync::{mpsc, watch};

use super::connection::{Link, Report, Target, Timings};
use super::keys::{Keys, KeysError};

/// The links that are held, by name of the edge.
pub struct Edges {
    keys: Keys,
    reports: mpsc::Sender<Report>,
    timings: Timings,
    held: BTreeMap<String, Held>,
}

struct Held {
    target: Target,
    /// Dropping it tells the task to close the connection and end.
    wanted: watch::Sender<Arc<Envelope>>,
}

impl Edges {
    /// Nobody yet. `keys` are the operator's; news go to `reports`.
    pub fn new(keys: Keys, reports: mpsc::Sender<Report>, timings: Timings) -> Self {
        Self { keys, reports, timings, held: BTreeMap::new() }
    }

    /// Talks to `target` from now on and keeps it at `wanted`. A target that changed gets a new connection.
    pub fn hold(&mut self, target: Target, wanted: Arc<Envelope>) -> Result<(), KeysError> {
        if self.held.get(&target.name).is_some_and(|held| held.target == target) {
            self.publish(&target.name, wanted);
            return Ok(());
        }
        let tls = Arc::new(self.keys.client_config(&target.pin)?);
        let (wanted, receiver) = watch::channel(wanted);
        let link = Link {
            target: target.clone(),
            tls,
            wanted: receiver,
            reports: self.reports.clone(),
            timings: self.timings,
        };
        tokio::spawn(link.hold());
        self.held.insert(target.name.clone(), Held { target, wanted });
        Ok(())
    }

    /// What the edge of this name, if it is held, shall serve from now on.
    pub fn publish(&self, name: &str, wanted: Arc<Envelope>) {
        if let Some(held) = self.held.get(name) {
            held.wanted.send_if_modified(|current| {
                let changed = **current != *wanted;
                if changed {
                    *current = wanted;
                }
                changed
            });
        }
    }

    /// Talks to this edge no more.
    pub fn release(&mut self, name: &str) {
        self.held.remove(name);
    }
}
