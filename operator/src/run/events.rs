//! Events on Distributions: what changed for the better or the worse, where `kubectl describe` shows it.
//!
//! Never in the way of a reconcile: events wait in a bounded queue, and what does not fit is dropped. The library's
//! recorder is not used: it counts an event up whose reason it saw before, and keeps the first one's note, so that the
//! news of a second revision would bear the number of the first.

use std::collections::HashMap;
use std::time::Instant;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use proxima_crds::conditions::{ConditionType, Reason};
use proxima_crds::v1alpha1::DistributionStatus;
use tokio::sync::mpsc;

use super::client::call;
use super::metrics::{Metrics, Verb};
use crate::{clock, labels, limits};

/// Good or bad news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Good.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventKind {
    /// The API server's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// An event that is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNote {
    /// Good or bad news.
    pub kind: EventKind,
    /// What it is about, such as the type of a condition.
    pub action: &'static str,
    /// A name, such as the reason of a condition.
    pub reason: String,
    /// For people.
    pub note: String,
}

/// Publishes events. Cheap to clone; ends with the last clone.
#[derive(Clone)]
pub struct Events(mpsc::Sender<(ObjectReference, EventNote, Timestamp)>);

impl Events {
    /// `instance` names this process, such as its Pod.
    pub fn new(client: Client, instance: &str, metrics: Metrics) -> Self {
        let (sender, receiver) = mpsc::channel(limits::EVENTS_QUEUED);
        tokio::spawn(publish(client, instance.to_owned(), metrics, receiver));
        Self(sender)
    }

    /// Publishes `note` on the object, some time.
    pub fn publish(&self, object: &ObjectReference, note: EventNote) {
        if let Err(error) = self.0.try_send((object.clone(), note, clock::now())) {
            tracing::debug!(%error, "an event is dropped");
        }
    }
}

async fn publish(
    client: Client,
    instance: String,
    metrics: Metrics,
    mut queue: mpsc::Receiver<(ObjectReference, EventNote, Timestamp)>,
) {
    let mut budget = Budget::default();
    while let Some((object, note, time)) = queue.recv().await {
        if !budget.take(object.uid.as_deref().unwrap_or_default(), clock::instant()) {
            tracing::debug!(object = object.name, reason = note.reason, "too many events on this object");
            continue;
        }
        let events: Api<Event> = Api::namespaced(client.clone(), object.namespace.as_deref().unwrap_or("default"));
        metrics.mutating(Verb::Create, "Event");
        if let Err(error) = call(events.create(&PostParams::default(), &event(&instance, object, note, time))).await {
            tracing::debug!(%error, "an event is lost");
        }
    }
}

fn event(instance: &str, object: ObjectReference, note: EventNote, time: Timestamp) -> Event {
    let prefix = object.name.as_deref().unwrap_or(labels::MANAGER);
    Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{prefix}-")),
            namespace: object.namespace.clone(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(time)),
        type_: Some(note.kind.as_str().to_owned()),
        action: Some(note.action.to_owned()),
        reason: Some(note.reason),
        note: Some(cut(note.note)),
        regarding: Some(object),
        reporting_controller: Some(labels::MANAGER.to_owned()),
        reporting_instance: Some(cut_to(instance.to_owned(), limits::EVENT_INSTANCE_BYTES)),
        ..Event::default()
    }
}

fn cut(note: String) -> String {
    cut_to(note, limits::EVENT_NOTE_BYTES)
}

/// At most so many bytes, ending in `…` if it was longer.
fn cut_to(mut text: String, bytes: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes.saturating_sub(ELLIPSIS.len())));
        text.push_str(ELLIPSIS);
    }
    text
}

/// How many events an object may have: a burst, and then one every now and then. Objects that were quiet for long are
/// not kept.
#[derive(Debug, Default)]
struct Budget(HashMap<String, Spent>);

#[derive(Debug)]
struct Spent {
    events: u32,
    since: Instant,
}

impl Budget {
    fn take(&mut self, object: &str, now: Instant) -> bool {
        if self.0.len() >= limits::EVENTS_OBJECTS {
            self.0.retain(|_, spent| {
                spent.recover(now);
                spent.events > 0
            });
            if self.0.len() >= limits::EVENTS_OBJECTS {
                return false;
            }
        }
        let spent = self.0.entry(object.to_owned()).or_insert(Spent { events: 0, since: now });
        spent.recover(now);
        let has_one = spent.events < limits::EVENTS_BURST;
        spent.events += u32::from(has_one);
        has_one
    }
}

impl Spent {
    fn recover(&mut self, now: Instant) {
        let whole = now.saturating_duration_since(self.since).as_secs() / limits::EVENT_RECOVERY.as_secs();
        let recovered = u32::try_from(whole).unwrap_or(u32::MAX);
        self.events = self.events.saturating_sub(recovered);
        self.since = if self.events == 0 { now } else { self.since + limits::EVENT_RECOVERY * recovered };
    }
}

/// What a change of status is worth telling. Counts that go up and down while edges start are not.
pub fn transitions(previous: Option<&DistributionStatus>, current: &DistributionStatus) -> Vec<EventNote> {
    let is_new_revision = previous.and_then(|status| status.revision.as_ref()) != current.revision.as_ref();
    let told = |kind: ConditionType| {
        let before = previous.and_then(|status| find(status, kind));
        let now = find(current, kind)?;
        let is_told = match kind {
            ConditionType::Accepted => accepted(before, now),
            ConditionType::Deployed => deployed(before, now, is_new_revision),
            // No zone has a ready edge on a revision that is on its way to all of them.
            ConditionType::Ready => (holds(now) || !is_new_revision) && ready(before, now),
        };
        let news = if holds(now) { EventKind::Normal } else { EventKind::Warning };
        let (reason, note) = (now.reason.clone(), now.message.clone());
        is_told.then_some(EventNote { kind: news, action: kind.as_str(), reason, note })
    };
    ConditionType::ALL.iter().filter_map(|kind| told(*kind)).collect()
}

/// Every refusal with its own problems, and the end of refusals.
fn accepted(before: Option<&Condition>, now: &Condition) -> bool {
    match before {
        _ if holds(now) => before.is_some_and(|before| !holds(before)),
        Some(before) => holds(before) || (&before.reason, &before.message) != (&now.reason, &now.message),
        None => true,
    }
}

/// Each revision that is live, and each reason that somebody has to look at.
fn deployed(before: Option<&Condition>, now: &Condition, is_new_revision: bool) -> bool {
    if holds(now) {
        return is_new_revision || before.is_none_or(|before| !holds(before));
    }
    is_own_trouble(now) && before.is_none_or(|before| holds(before) || before.reason != now.reason)
}

/// Its beginnings and ends, and what keeps it from beginning unless that is only that edges start.
fn ready(before: Option<&Condition>, now: &Condition) -> bool {
    let held = before.is_some_and(holds);
    if holds(now) {
        return !held;
    }
    let is_new = before.is_none_or(|before| before.reason != now.reason);
    is_own_trouble(now) && (held || (is_new && now.reason != Reason::ZonesNotReady.as_str()))
}

/// Neither the passing state of a rollout, nor what the condition `Accepted` has told already.
fn is_own_trouble(condition: &Condition) -> bool {
    ![Reason::EdgesPending, Reason::NotAccepted].iter().any(|reason| condition.reason == reason.as_str())
}

fn find(status: &DistributionStatus, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

fn holds(condition: &Condition) -> bool {
    condition.status == "True"
}

#[cfg(test)]
mod tests;
