//! The links to all Pods of all Distributions, and what is known of each Pod.
//!
//! Beside the reconciles: they say which Pods there are and what is to be served, and are woken by [`News`] when an
//! answer changed what is known. Nothing here waits while it holds the lock.
//!
//! Must not decide what is to be served, nor judge what the answers mean for a Distribution.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use futures::Stream;
use proxima_edge_core::link::Envelope;
use tokio::sync::{Notify, mpsc};

use super::metrics::Metrics;
use super::pods::EdgePod;
use crate::distribution::build::pod::CONTROL_PORT;
use crate::distribution::gather::ObjectName;
use crate::distribution::status::{Contact, EdgeObservation};
use crate::link::{Answer, Edges, Keys, Report, Target, Timings};
use crate::{clock, limits};

/// The links. Cheap to clone; they end with the last clone.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    since: Instant,
    term: u64,
    control_port: u16,
    news: Arc<Board>,
    metrics: Metrics,
    state: Mutex<State>,
}

struct State {
    links: Edges,
    distributions: BTreeMap<ObjectName, Crowd>,
    /// Whose edge a link target is.
    owners: HashMap<String, ObjectName>,
    /// Numbers the targets, so that an answer of a Pod that is gone is never taken for its successor's.
    incarnations: u64,
}

/// The edges of one Distribution.
struct Crowd {
    /// Since when it is held.
    since: Instant,
    /// What its edges shall serve.
    wanted: Option<Arc<Envelope>>,
    /// Pin of their server key.
    pin: Option<String>,
    edges: BTreeMap<String, Member>,
}

/// One edge.
struct Member {
    uid: String,
    address: SocketAddr,
    observation: EdgeObservation,
    incarnation: u64,
    /// Whether it answered or failed since it is held.
    was_heard: bool,
    /// Since when it owes the answer that shows what was published then.
    awaited: Option<Instant>,
}

/// Distributions of whose edges something else is known than before, each once.
pub struct News(Arc<Board>);

#[derive(Default)]
struct Board {
    changed: Mutex<BTreeSet<ObjectName>>,
    posted: Notify,
}

impl Board {
    fn post(&self, distribution: &ObjectName) {
        lock(&self.changed).insert(distribution.clone());
        self.posted.notify_one();
    }
}

impl News {
    /// The next one. Nothing is lost when it is cancelled.
    pub async fn next(&mut self) -> ObjectName {
        loop {
            if let Some(distribution) = lock(&self.0.changed).pop_first() {
                return distribution;
            }
            self.0.posted.notified().await;
        }
    }

    /// All of them, for ever.
    pub fn into_stream(self) -> impl Stream<Item = ObjectName> + Send + 'static {
        futures::stream::unfold(self, |mut news| async { Some((news.next().await, news)) })
    }
}

impl Hub {
    /// No links yet. `keys` are the operator's client keys; `term` is put into everything that is published.
    pub fn new(keys: Keys, term: u64, metrics: Metrics) -> (Self, News) {
        Self::with_timings(keys, term, metrics, Timings::default(), CONTROL_PORT)
    }

    fn with_timings(keys: Keys, term: u64, metrics: Metrics, timings: Timings, port: u16) -> (Self, News) {
        let (sender, reports) = mpsc::channel(limits::EDGE_EVENTS);
        let news = Arc::<Board>::default();
        let state = State {
            links: Edges::new(keys, sender, timings),
            distributions: BTreeMap::new(),
            owners: HashMap::new(),
            incarnations: 0,
        };
        let shared = Arc::new(Shared {
            since: clock::instant(),
            term,
            control_port: port,
            news: Arc::clone(&news),
            metrics,
            state: Mutex::new(state),
        });
        tokio::spawn(read(reports, Arc::downgrade(&shared)));
        (Self(shared), News(news))
    }

    /// These are the Pods of the Distribution now. New ones get a link, gone ones lose theirs, and those with another
    /// address, uid or pin get a new one. Without `pin`, the one of the namespace's link Secret, nobody is talked to.
    pub fn set_pods(&self, distribution: &ObjectName, pods: Vec<EdgePod>, pin: Option<&str>) {
        let mut state = self.state();
        let state = &mut *state;
        let crowd = state.distributions.entry(distribution.clone()).or_insert_with(|| Crowd::new(clock::instant()));
        if crowd.pin.as_deref() != pin {
            let (links, owners) = (&mut state.links, &mut state.owners);
            crowd.edges.keys().for_each(|pod| release(links, owners, distribution, pod));
            crowd.pin = pin.map(str::to_owned);
            crowd.edges.values_mut().for_each(|member| member.forget(&self.0.metrics));
        }
        let mut gone = std::mem::take(&mut crowd.edges);
        for pod in pods {
            let Some(address) = pod.address.filter(|_| pod.is_link_target()) else { continue };
            let address = SocketAddr::new(address, self.0.control_port);
            let member = match gone.remove(&pod.name) {
                Some(member) if member.uid == pod.uid && member.address == address => member,
                other => {
                    if let Some(mut old) = other {
                        old.forget(&self.0.metrics);
                    }
                    Member::new(&pod, address)
                }
            };
            let member = crowd.edges.entry(pod.name.clone()).or_insert(member);
            member.observe_pod(&pod);
        }
        for (name, mut member) in gone {
            member.forget(&self.0.metrics);
            release(&mut state.links, &mut state.owners, distribution, &name);
        }
        if crowd.edges.is_empty() && crowd.wanted.is_none() {
            // Its last Pods may outlive a Distribution.
            state.distributions.remove(distribution);
        } else {
            state.hold(distribution);
        }
    }

    /// What all edges of the Distribution shall serve from now on.
    pub fn publish(&self, distribution: &ObjectName, envelope: Arc<Envelope>) {
        let term = self.0.term;
        let envelope =
            if envelope.term == term { envelope } else { Arc::new(Envelope { term, ..(*envelope).clone() }) };
        let now = clock::instant();
        let mut state = self.state();
        let state = &mut *state;
        let crowd = state.distributions.entry(distribution.clone()).or_insert_with(|| Crowd::new(now));
        if crowd.wanted.as_ref() == Some(&envelope) {
            return;
        }
        crowd.wanted = Some(Arc::clone(&envelope));
        for (name, member) in &mut crowd.edges {
            member.observation.refused = None;
            member.awaited = (member.is_connected() && !member.observation.is_configured(&envelope)).then_some(now);
            state.links.publish(&target_name(distribution, name), Arc::clone(&envelope));
        }
    }

    /// What was published last, with the term of this process.
    pub fn published(&self, distribution: &ObjectName) -> Option<Arc<Envelope>> {
        self.state().distributions.get(distribution)?.wanted.clone()
    }

    /// The Distribution is gone: its edges are talked to no more.
    pub fn forget(&self, distribution: &ObjectName) {
        let mut state = self.state();
        let state = &mut *state;
        let Some(crowd) = state.distributions.remove(distribution) else { return };
        for (name, mut member) in crowd.edges {
            member.forget(&self.0.metrics);
            release(&mut state.links, &mut state.owners, distribution, &name);
        }
        lock(&self.0.news.changed).remove(distribution);
    }

    /// The pin that was given with the Pods of a Distribution.
    pub fn pin(&self, distribution: &ObjectName) -> Option<String> {
        self.state().distributions.get(distribution)?.pin.clone()
    }

    /// What is known of each Pod that is talked to.
    pub fn observations(&self, distribution: &ObjectName) -> Vec<EdgeObservation> {
        let state = self.state();
        let crowd = state.distributions.get(distribution);
        crowd.into_iter().flat_map(|crowd| crowd.edges.values()).map(|member| member.observation.clone()).collect()
    }

    /// Whether what is known may be shown as it is: every edge answered or failed once since this process holds the
    /// Distribution, or had [`limits::LINK_SETTLE`] to do so. Before, nothing may be counted as lost.
    pub fn is_settled(&self, distribution: &ObjectName, now: Instant) -> bool {
        let had_time = |since| now.saturating_duration_since(since) >= limits::LINK_SETTLE;
        match self.state().distributions.get(distribution) {
            Some(crowd) => crowd.edges.values().all(|member| member.was_heard) || had_time(crowd.since),
            // Nothing was published and no Pod was seen: perhaps there is none, perhaps it will be told of in a moment.
            None => had_time(self.0.since),
        }
    }

    /// The highest revision that an edge said to serve for this uid of the Distribution.
    pub fn highest_revision(&self, distribution: &ObjectName, uid: &str) -> Option<u64> {
        let state = self.state();
        let serving = state.distributions.get(distribution)?.edges.values();
        let serving = serving.filter_map(|member| member.observation.serving.as_ref());
        serving.filter(|serving| serving.uid == uid).map(|serving| serving.revision).max()
    }

    /// Edges with which a link stands.
    pub fn connections(&self) -> usize {
        usize::try_from(self.0.metrics.link_connections().get()).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl State {
    /// Opens the links of this Distribution that are missing.
    fn hold(&mut self, distribution: &ObjectName) {
        let Some(crowd) = self.distributions.get_mut(distribution) else { return };
        let Some(pin) = &crowd.pin else { return };
        for (pod, member) in &mut crowd.edges {
            if member.incarnation != 0 {
                continue;
            }
            self.incarnations += 1;
            member.incarnation = self.incarnations;
            let name = target_name(distribution, pod);
            let (address, incarnation) = (member.address, member.incarnation);
            self.owners.insert(name.clone(), distribution.clone());
            let target = Target { name, incarnation, address, pin: pin.clone() };
            if let Err(error) = self.links.hold(target, crowd.wanted.clone()) {
                member.observation.contact = Contact::Lost(error.to_string());
                member.was_heard = true;
            }
        }
    }
}

impl Crowd {
    fn new(now: Instant) -> Self {
        Self { since: now, wanted: None, pin: None, edges: BTreeMap::new() }
    }
}

impl Member {
    fn new(pod: &EdgePod, address: SocketAddr) -> Self {
        Self {
            uid: pod.uid.clone(),
            address,
            observation: EdgeObservation::starting(&pod.zone, &pod.name),
            incarnation: 0,
            was_heard: false,
            awaited: None,
        }
    }

    /// What the API server says of it.
    fn observe_pod(&mut self, pod: &EdgePod) {
        self.observation.ready = pod.is_ready;
        self.observation.is_terminating = pod.is_deleting;
    }

    /// Whether a link stands, be it silent.
    fn is_connected(&self) -> bool {
        matches!(self.observation.contact, Contact::Answering | Contact::Silent)
    }

    /// As if it had never been heard of.
    fn forget(&mut self, metrics: &Metrics) {
        if self.is_connected() {
            metrics.link_connections().dec();
        }
        self.observation.contact = Contact::Starting;
        (self.incarnation, self.was_heard, self.awaited) = (0, false, None);
    }

    /// Takes an answer to the notes; says whether anything else is known now.
    fn note(&mut self, answer: Answer, wanted: Option<&Envelope>) -> bool {
        let before = self.observation.clone();
        self.observation.note(answer, wanted);
        let is_first = !std::mem::replace(&mut self.was_heard, true);
        is_first || before != self.observation
    }
}

/// Takes reports to the notes, until the hub is gone.
async fn read(mut reports: mpsc::Receiver<Report>, hub: Weak<Shared>) {
    while let Some(report) = reports.recv().await {
        let Some(hub) = hub.upgrade() else { return };
        hub.note(report);
    }
}

impl Shared {
    fn note(&self, report: Report) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let Some(distribution) = state.owners.get(&report.target) else { return };
        let Some(crowd) = state.distributions.get_mut(distribution) else { return };
        let pod = report.target.split_once('/').map_or("", |(_, pod)| pod);
        let Some(member) = crowd.edges.get_mut(pod).filter(|member| member.incarnation == report.incarnation) else {
            return;
        };
        let wanted = crowd.wanted.as_deref();
        let was_connected = member.is_connected();
        let is_news = member.note(report.answer, wanted);
        match (was_connected, member.is_connected()) {
            (false, true) => _ = self.metrics.link_connections().inc(),
            (true, false) => _ = self.metrics.link_connections().dec(),
            _ => {}
        }
        if !member.is_connected() {
            // How long it stays away is not the push's latency.
            member.awaited = None;
        } else if wanted.is_some_and(|wanted| member.observation.is_configured(wanted))
            && let Some(published) = member.awaited.take()
        {
            self.metrics.pushed(clock::instant().saturating_duration_since(published));
        }
        if is_news {
            self.news.post(distribution);
        }
    }
}

fn release(links: &mut Edges, owners: &mut HashMap<String, ObjectName>, distribution: &ObjectName, pod: &str) {
    let name = target_name(distribution, pod);
    links.release(&name);
    owners.remove(&name);
}

/// Names of Pods are unique in their namespace.
fn target_name(distribution: &ObjectName, pod: &str) -> String {
    format!("{}/{pod}", distribution.namespace)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
