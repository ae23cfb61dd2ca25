//! Events on Distributions: what changed for the worse or the better, where `kubectl describe` shows it.
//!
//! Never in the way of a reconcile: events wait in a bounded queue, and what does not fit is dropped.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use proxima_crds::v1alpha1::DistributionStatus;
use tokio::sync::mpsc;

use crate::{labels, limits};

/// Good or bad news.
pub use kube::runtime::events::EventType as Kind;

/// An event that is about to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNote {
    /// Good or bad news.
    pub kind: EventType,
    /// A name, such as the reason of a condition.
    pub reason: String,
    /// For people.
    pub note: String,
}

/// Publishes events. Cheap to clone.
#[derive(Clone)]
pub struct Events(mpsc::Sender<(ObjectReference, EventNote)>);

impl Events {
    /// `instance` names this process, such as its Pod.
    pub fn new(client: Client, instance: Option<String>) -> Self {
        let (sender, receiver) = mpsc::channel(limits::EVENTS_QUEUED);
        let reporter = Reporter { controller: labels::MANAGER.to_owned(), instance };
        tokio::spawn(publish(Recorder::new(client, reporter), receiver));
        Self(sender)
    }

    /// Publishes `note` on the object, some time.
    pub fn publish(&self, object: &ObjectReference, note: EventNote) {
        if let Err(error) = self.0.try_send((object.clone(), note)) {
            tracing::debug!(%error, "an event is dropped");
        }
    }
}
