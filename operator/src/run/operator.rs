//! What all tasks of a run share, and how news find those whom they concern.

use std::sync::Arc;

use kube::api::{ApiResource, DynamicObject};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use kube::{Client, ResourceExt};
use tokio::sync::{Notify, mpsc};

use super::DISTRIBUTIONS;
use super::admin::Health;
use super::events::Events;
use super::hub::Hub;
use super::index::Index;
use super::judgements::Judgements;
use super::metrics::Metrics;
use super::outcome::Outcomes;
use super::placement::{Backoffs, Placements};
use super::report::Written;
use super::secrets::LinkSecrets;
use super::watches::Concerned;
use crate::backoff::Backoff;
use crate::distribution::build::ClusterSettings;
use crate::distribution::gather::ObjectName;
use crate::{clock, limits};

type Reference = ObjectRef<DynamicObject>;

/// Everything that reconciling needs. Shared by all tasks; no lock is held while anybody waits.
pub struct Operator {
    /// The way to the API server.
    pub client: Client,
    /// The kind Distribution.
    pub resource: ApiResource,
    /// What is the same for the edges of every Distribution.
    pub cluster: ClusterSettings,
    /// DNS domain of the cluster.
    pub cluster_domain: String,
    /// Which operator process this is, to the edges.
    pub term: u64,
    /// What is known of the cluster.
    pub index: Index,
    /// Links to the edges.
    pub hub: Hub,
    /// Secrets of the link.
    pub secrets: LinkSecrets,
    /// Pin of the key that edges obey.
    pub operator_pin: String,
    /// What reconciling made of each Distribution.
    pub outcomes: Outcomes,
    /// How each Distribution was judged.
    pub judgements: Judgements,
    /// What was written as status.
    pub written: Written,
    /// Which zones each Distribution has.
    pub placements: Placements,
    /// Pauses after failures of reconciling.
    pub backoffs: Backoffs,
    /// Pauses after failures of writing a status.
    pub report_backoffs: Backoffs,
    /// Events.
    pub events: Events,
    /// Numbers.
    pub metrics: Metrics,
    /// What keeps this process from its work.
    pub health: Arc<Health>,
    pub(super) distributions: Store<DynamicObject>,
    pub(super) reconciles: mpsc::Sender<Reference>,
    pub(super) reports: mpsc::Sender<Reference>,
    /// Told at each first list of a watch, and when one is refused.
    pub(super) synced: Notify,
    /// Told when a Distribution is gone.
    pub(super) untidy: Notify,
}

impl Operator {
    /// Looks again at whom a change concerns.
    pub async fn look_again(&self, concerned: Concerned) {
        match concerned {
            Concerned::Everyone => {
                for object in self.distributions.state() {
                    self.reconcile_soon(&ObjectName::of(&*object)).await;
                }
            }
            Concerned::Objects(name) => {
                self.reconcile_soon(&name).await;
            }
            Concerned::Pods(name) => {
                self.pods_changed(&name);
                self.report_soon(&name).await;
            }
            Concerned::LinkSecret(namespace) => {
                let inside = |object: &DynamicObject| object.namespace().as_deref() == Some(namespace.as_str());
                for object in self.distributions.state_filter(inside) {
                    let name = ObjectName::of(&*object);
                    self.pods_changed(&name);
                    self.reconcile_soon(&name).await;
                }
            }
        }
    }

    /// Tells the hub which Pods there are.
    pub fn pods_changed(&self, name: &ObjectName) {
        // Held until the hub knows: of two who tell it, the later one must not tell what was before.
        let state = self.index.state();
        let pin = state.edge_pin(&name.namespace, &self.operator_pin);
        // Where Secrets may not be watched, the one that a reconcile found stands.
        let pin = pin.or_else(|| if state.link_secrets.is_synced() { None } else { self.hub.pin(name) });
        self.hub.set_pods(name, state.pods_of(name), pin.as_deref());
    }

    /// Has a Distribution reconciled. One that is not there any more is passed over.
    pub async fn reconcile_soon(&self, name: &ObjectName) {
        // Nobody listens any more only when the process is about to end.
        let _ = self.reconciles.send(self.reference(name)).await;
    }

    /// Has its status judged.
    pub async fn report_soon(&self, name: &ObjectName) {
        let _ = self.reports.send(self.reference(name)).await;
    }

    fn reference(&self, name: &ObjectName) -> Reference {
        ObjectRef::new_with(&name.name, self.resource.clone()).within(&name.namespace)
    }

    /// A watch has failed; it is tried again on its own.
    pub fn watch_failed(&self, what: &'static str, error: &watcher::Error) {
        self.metrics.watch_failed(what);
        self.health.failing(what, &error.to_string());
        tracing::warn!(%error, "the watch of {what} failed; it is tried again");
    }

    /// A watch has listed everything, or told of a change.
    pub fn watch_works(&self, what: &'static str) {
        self.health.synced(what);
        self.synced.notify_waiters();
    }

    /// Takes an event of the Distributions themselves into account.
    pub(super) fn observe(&self, event: &Event<DynamicObject>) {
        let facts = |object: &DynamicObject| (ObjectName::of(object), object.uid());
        let event = match event {
            Event::Apply(object) => Event::Apply(facts(object)),
            Event::Delete(object) => Event::Delete(facts(object)),
            Event::Init => Event::Init,
            Event::InitApply(object) => Event::InitApply(facts(object)),
            Event::InitDone => Event::InitDone,
        };
        let is_complete = matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_));
        let (gone, count) = {
            let mut state = self.index.state();
            let changes = state.distributions.observe(event);
            // An object of the same name but another uid is another Distribution.
            let gone: Vec<_> = changes.into_iter().filter(|change| change.before.is_some()).map(|c| c.name).collect();
            (gone, state.distributions.all().count())
        };
        self.metrics.set_distributions(count);
        if is_complete {
            self.watch_works(DISTRIBUTIONS);
        }
        for name in gone {
            tracing::info!(object = %name, "deleted");
            self.forget(&name);
            // Nobody waits for the tidier but itself: it looks at what is, and one call is as good as many.
            self.untidy.notify_one();
        }
    }

    /// Drops all that is remembered of a Distribution.
    fn forget(&self, name: &ObjectName) {
        self.index.state().references.remove(name);
        self.hub.forget(name);
        self.outcomes.forget(name);
        self.judgements.forget(name);
        self.written.forget(name);
        self.placements.forget(name);
        self.backoffs.forget(name);
        self.report_backoffs.forget(name);
    }

    /// To be called after work on a Distribution: one that went meanwhile was forgotten then, and what was noted since
    /// would stay for ever.
    pub fn forget_if_gone(&self, name: &ObjectName) {
        let is_gone = self.index.state().distributions.get(name).is_none();
        if is_gone {
            self.forget(name);
        }
    }

    /// Waits until everything was listed once, but for what may not be.
    pub(super) async fn until_settled(&self) {
        loop {
            // Made before looking, so that what happens in between is not missed.
            let notified = self.synced.notified();
            if self.index.state().is_settled() {
                return;
            }
            notified.await;
        }
    }

    /// Removes link Secrets that no Distribution needs any more, at the start and whenever a Distribution is gone.
    pub(super) async fn tidy(&self) {
        self.until_settled().await;
        // Fails only when the writer is dropped, which is when the process ends.
        let _ = self.distributions.wait_until_ready().await;
        let mut backoff = Backoff::new(limits::RECONCILE_RETRY_MIN, limits::RECONCILE_RETRY_MAX);
        loop {
            let unused = self.index.state().unused_link_secrets();
            let mut failed = false;
            for namespace in unused {
                if let Err(error) = self.secrets.remove(&namespace).await {
                    tracing::warn!(namespace, %error, "could not remove the link Secret; trying again");
                    failed = true;
                }
            }
            if failed {
                tokio::time::sleep(backoff.pause(clock::fraction())).await;
            } else {
                backoff.reset();
                self.untidy.notified().await;
            }
        }
    }
}
