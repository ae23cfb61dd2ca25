//! All held links: which edges are talked to, and what each shall serve.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use proxima_edge_core::link::Envelope;
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};

use super::connection::{Link, Report, Target, Timings};
use super::keys::{Keys, KeysError};

/// The links that are held, by name of the edge.
pub struct Edges {
    keys: Keys,
    /// Shared by all edges of one pin: there may be thousands.
    tls: HashMap<String, Weak<ClientConfig>>,
    reports: mpsc::Sender<Report>,
    timings: Timings,
    held: BTreeMap<String, Held>,
}

struct Held {
    target: Target,
    /// Dropping it tells the task to close the connection and end.
    wanted: watch::Sender<Option<Arc<Envelope>>>,
}

impl Edges {
    /// Nobody yet. `keys` are the operator's; news go to `reports`.
    pub fn new(keys: Keys, reports: mpsc::Sender<Report>, timings: Timings) -> Self {
        Self { keys, tls: HashMap::new(), reports, timings, held: BTreeMap::new() }
    }

    /// Talks to `target` from now on and keeps it at `wanted`. A target that changed gets a new connection. While
    /// nothing is wanted, the edge is only asked what it serves.
    pub fn hold(&mut self, target: Target, wanted: impl Into<Option<Arc<Envelope>>>) -> Result<(), KeysError> {
        let wanted = wanted.into();
        if self.held.get(&target.name).is_some_and(|held| held.target == target) {
            if let Some(wanted) = wanted {
                self.publish(&target.name, wanted);
            }
            return Ok(());
        }
        let tls = self.tls(&target.pin)?;
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
                let changed = current.as_deref() != Some(&*wanted);
                if changed {
                    *current = Some(wanted);
                }
                changed
            });
        }
    }

    /// Talks to this edge no more.
    pub fn release(&mut self, name: &str) {
        self.held.remove(name);
    }

    fn tls(&mut self, pin: &str) -> Result<Arc<ClientConfig>, KeysError> {
        if let Some(tls) = self.tls.get(pin).and_then(Weak::upgrade) {
            return Ok(tls);
        }
        let tls = Arc::new(self.keys.client_config(pin)?);
        self.tls.retain(|_, tls| tls.strong_count() > 0);
        self.tls.insert(pin.to_owned(), Arc::downgrade(&tls));
        Ok(tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_one_pin_share_their_tls_settings_while_any_uses_them() {
        let mut edges = Edges::new(Keys::generate("operator").unwrap(), mpsc::channel(1).0, Timings::default());
        let (first, second) = (edges.tls("a").unwrap(), edges.tls("a").unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        edges.tls("b").unwrap();
        assert!(!edges.tls.contains_key("a"), "nothing is kept of pins that are gone");
    }
}
