//! The task that fetches one response, shares it, and stores it.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::freshness::Staleness;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::OriginRequest;
use proxima_edge_core::outcome::NotStored;
use proxima_edge_core::route::Route;
use proxima_edge_core::storable;
use proxima_edge_core::validation::{self, Confirmed};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::progress::{FillHead, Head, Progress, ReadError, Standing};
use super::{Permit, Wish};
use crate::edge::{Edge, Worker};
use crate::invalidations::Place;
use crate::origin::{Fetched, OriginBody, RequestBody};
use crate::server::interim::Interim;
use crate::store::{Found, ObjectId, Store};

/// A response that could not be shared, on its way to the viewer who caused the fetch.
pub(super) enum Unshared {
    /// As it comes from the origin, and why nobody else gets it.
    Fetched(Box<Fetched>, NotStored),
    /// What was kept, confirmed by the origin for this viewer.
    Confirmed(Found),
}

impl Unshared {
    pub(super) fn into_confirmed(self) -> Option<Found> {
        match self {
            Self::Confirmed(found) => Some(found),
            Self::Fetched(..) => None,
        }
    }
}

/// One fetch. Lives on the worker of its initiator.
pub(super) struct Fill {
    worker: Rc<Worker>,
    route: Route,
    request: Rc<OriginRequest>,
    primary: CacheKey,
    varies: Option<Arc<[HeaderName]>>,
    kept: Option<Found>,
    place: Option<Place>,
    interim: Interim,
    /// Absent: nobody waits for it, it is done for those who come later.
    initiator: Option<oneshot::Sender<Unshared>>,
    /// Read before the request is sent: what is purged from then on also covers its response.
    epoch: u64,
}

impl Fill {
    pub(super) fn new(
        worker: &Rc<Worker>,
        wish: &Wish<'_>,
        request: &Rc<OriginRequest>,
        initiator: Option<oneshot::Sender<Unshared>>,
    ) -> Self {
        Self {
            worker: Rc::clone(worker),
            route: wish.route.clone(),
            request: Rc::clone(request),
            primary: wish.key.clone(),
            varies: wish.varies.clone(),
            kept: wish.kept.clone(),
            place: wish.place,
            interim: wish.interim.clone(),
            initiator,
            epoch: worker.edge.plans.epoch(),
        }
    }

    /// Of a response that is at hand already: the epoch before it was asked for.
    pub(super) fn asked_at(self, epoch: u64) -> Self {
        Self { epoch, ..self }
    }

    /// Fetches, and leaves the outcome in the permit's progress. The permit is dropped at the end whatever happens.
    pub(super) async fn run(mut self, permit: Permit) {
        let edge = Arc::clone(&self.worker.edge);
        // Invalidated since it was found: neither a validator nor better than an error.
        self.kept = self.kept.filter(|kept| !edge.is_invalidated(kept.head.generation, self.place));
        let mut request = OriginRequest::clone(&self.request);
        let conditional = self.kept.as_ref().is_some_and(|kept| validation::make_conditional(&mut request, &kept.head));
        let fetched = match self.worker.origins.fetch(&self.route, &request, RequestBody::Empty, &self.interim).await {
            Ok(fetched) if conditional && fetched.head.status == StatusCode::NOT_MODIFIED => {
                if self.confirmed(&permit, &fetched).await {
                    return;
                }
                drop(fetched);
                self.worker.origins.fetch(&self.route, &self.request, RequestBody::Empty, &self.interim).await
            }
            fetched => fetched,
        };
        let failed = match &fetched {
            Ok(fetched) => self.route.behavior.cache_policy.is_origin_failure(fetched.head.status),
            Err(_) => true,
        };
        if failed && let Some(kept) = self.stand_in() {
            if !self.route.behavior.cache_policy.origin_controlled {
                edge.fills.failed.insert(permit.key.clone(), edge.clock.uptime());
            }
            return permit.progress.settle(Head::Kept(kept, Standing::InPlaceOfError));
        }
        match fetched {
            Ok(fetched) => self.finish(permit, fetched).await,
            Err(error) => permit.progress.settle(Head::Failed(error)),
        }
    }

    /// What is kept, where it may be served now that the origin has failed.
    fn stand_in(&self) -> Option<Found> {
        let now = self.worker.edge.clock.now();
        let policy = &self.route.behavior.cache_policy;
        // It may have been invalidated while the origin was asked.
        let valid = |kept: &Found| !self.worker.edge.is_invalidated(kept.head.generation, self.place);
        self.kept.clone().filter(|kept| valid(kept) && policy.may_serve_stale(&kept.head, Staleness::IfError, now))
    }

    /// The origin says that what is kept has not changed. False: it means something else.
    async fn confirmed(&mut self, permit: &Permit, fetched: &Fetched) -> bool {
        let edge = &self.worker.edge;
        let Some(kept) = &self.kept else { return false };
        match self.route.confirm(&kept.head, &self.request, &fetched.head, self.epoch) {
            Confirmed::Kept(mut head) => {
                permit.progress.begun.stamp(&mut head);
                let head = Arc::from(head);
                edge.store.refresh(permit.key.clone(), kept, Arc::clone(&head)).await;
                edge.metrics.revalidated.inc();
                if let Some(own) = self.route.with_own_cookies(&head, &fetched.head)
                    && let Some(initiator) = self.initiator.take()
                {
                    let found = Found { head: Arc::new(own), body: kept.body.clone() };
                    let _ = initiator.send(Unshared::Confirmed(found));
                }
                let found = Found { head, body: kept.body.clone() };
                permit.progress.settle(Head::Kept(found, Standing::Confirmed));
                true
            }
            Confirmed::Unshared(head, why) => {
                if storable::supersedes(&self.request, StatusCode::NOT_MODIFIED) {
                    edge.store.forget(permit.key.clone(), kept).await;
                }
                edge.metrics.not_stored(why);
                let found = Found { head: Arc::from(head), body: kept.body.clone() };
                if let Some(initiator) = self.initiator.take() {
                    // If the initiator left, nobody wants it.
                    let _ = initiator.send(Unshared::Confirmed(found));
                }
                permit.progress.settle(Head::NotStorable);
                true
            }
            Confirmed::Other => false,
        }
    }

    /// Judges a whole response, shares it and stores it, or hands it to the initiator alone.
    pub(super) async fn finish(mut self, mut permit: Permit, fetched: Fetched) {
        let edge = Arc::clone(&self.worker.edge);
        let judged = self.route.storable(&self.request, &fetched.head, self.epoch).and_then(|stored| {
            let too_large = fetched.head.body_length.is_some_and(|length| length > edge.store.largest_body());
            let names = union(self.varies.as_deref(), &stored.vary);
            match () {
                () if too_large => Err(NotStored::TooLarge),
                () if names.len() > limits::VARY_NAMES => Err(NotStored::VaryTooLong),
                () => Ok((stored, names)),
            }
        });
        match judged {
            Ok((mut stored, names)) => {
                permit.progress.begun.stamp(&mut stored);
                let Fetched { head, body } = fetched;
                let key = self.settle_key(&mut permit, names.clone(), stored.recency()).await;
                let head = Arc::new(FillHead { key, names, response: head, stored });
                permit.progress.settle(Head::Streaming(Arc::clone(&head)));
                stream(&edge.store, &mut permit, &head, body, self.initiator.is_none()).await;
            }
            Err(why) => {
                edge.metrics.not_stored(why);
                let status = fetched.head.status;
                let superseded = storable::supersedes(&self.request, status);
                // Other viewers may bring no credentials, and then it can be shared. And a refusal of one request says
                // nothing of others.
                if superseded || (!self.request.unkeyed_credentials && status.is_server_error()) {
                    edge.fills.hit_for_miss.insert(permit.key.clone(), edge.clock.uptime());
                    // It has taken the place of what was kept; a failure has not.
                    if let Some(kept) = self.kept.take().filter(|_| superseded) {
                        edge.store.forget(permit.key.clone(), &kept).await;
                    }
                }
                if let Some(initiator) = self.initiator.take() {
                    // If the initiator left, the response and its connection go with it.
                    let _ = initiator.send(Unshared::Fetched(Box::new(fetched), why));
                }
                permit.progress.settle(Head::NotStorable);
            }
        }
    }

    /// Finds the key to store under, now that it is known what the response varies by, and lists the fill there.
    async fn settle_key(&self, permit: &mut Permit, names: Arc<[HeaderName]>, recency: (u64, u64)) -> CacheKey {
        if names.is_empty() {
            return self.primary.clone();
        }
        let key = self.primary.variant(&names, &self.request.headers);
        if self.varies.as_deref() != Some(&*names) {
            // The marker first, so that nobody finds neither it nor the fill.
            self.worker.edge.store.insert_varies(self.primary.clone(), names, recency).await;
        }
        if key != permit.key {
            permit.move_to(key.clone());
        }
        let used = async |variant: &CacheKey| permit.edge.store.take_used(variant).await;
        if let Some(forgotten) = permit.edge.fills.variants.note(&self.primary, &key, used).await {
            permit.edge.store.remove(&forgotten).await;
        }
        key
    }
}

/// Names known so far and new ones, sorted. A response without Vary among others with it stays a variant of theirs:
/// one odd error page must not replace them all.
fn union(known: Option<&[HeaderName]>, new: &[HeaderName]) -> Arc<[HeaderName]> {
    let mut names: Vec<_> = known.unwrap_or_default().iter().chain(new).cloned().collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names.into()
}

/// Reads the body to its end, shares it, and stores it when it is whole.
async fn stream(store: &Store, permit: &mut Permit, head: &FillHead, mut body: OriginBody, in_background: bool) {
    let edge = Arc::clone(&permit.edge);
    let metrics = &edge.metrics;
    let mut intake = Intake::new(store, Arc::clone(&permit.progress));
    let mut unwanted_since = None;
    let begun = Instant::now();
    let end = loop {
        match body.data().await {
            Some(Ok(bytes)) => intake.take(bytes).await,
            Some(Err(error)) => break Err(error.to_string()),
            None => break Ok(()),
        }
        if edge.held.is_short(store.capacity()) && !intake.makes_room(&edge).await {
            break Err("every viewer left, and memory is short".to_owned());
        }
        if intake.storing && intake.received > store.largest_body() {
            // Its length was not announced, and now it is too large. Nobody new may join a body whose start is gone.
            intake.stop_storing().await;
            permit.unlist();
            permit.edge.fills.hit_for_miss.insert(permit.key.clone(), permit.edge.clock.uptime());
            metrics.not_stored(NotStored::TooLarge);
        }
        permit.progress.room().await;
        let refreshes = in_background && intake.storing && begun.elapsed() < limits::REFRESH_TIME;
        if permit.progress.readers() > 0 || refreshes {
            unwanted_since = None;
            continue;
        }
        let (since, left_at) = *unwanted_since.get_or_insert_with(|| (intake.received, Instant::now()));
        let left = match head.response.body_length {
            Some(length) => length.saturating_sub(intake.received),
            None => intake.received - since,
        };
        if !intake.storing || left > limits::FINISH_BYTES || left_at.elapsed() > limits::FINISH_TIME {
            break Err("every viewer left".to_owned());
        }
    };
    match end {
        Ok(()) if intake.storing => {
            if intake.store(head.key.clone(), head.stored.clone()).await {
                metrics.stored.inc();
            }
            permit.progress.finish(Ok(()));
            // It took the place of others, which may still be being sent.
            edge.held.relieve(store.capacity());
        }
        Ok(()) => permit.progress.finish(Ok(())),
        Err(why) => {
            if intake.storing {
                metrics.not_stored(NotStored::Incomplete);
            }
            intake.stop_storing().await;
            permit.progress.finish(Err(ReadError::Broken(why)));
        }
    }
}

/// Takes a body in, piece by piece, and makes stored slices of it.
struct Intake<'a> {
    store: &'a Store,
    progress: Arc<Progress>,
    object: ObjectId,
    /// Slices stored so far.
    slices: u64,
    /// What came since the last whole slice.
    tail: Vec<Bytes>,
    tail_bytes: u64,
    received: u64,
    storing: bool,
}

impl<'a> Intake<'a> {
    fn new(store: &'a Store, progress: Arc<Progress>) -> Self {
        let object = store.new_object();
        Self { store, progress, object, slices: 0, tail: Vec::new(), tail_bytes: 0, received: 0, storing: true }
    }

    async fn take(&mut self, mut bytes: Bytes) {
        while self.storing && self.tail_bytes + bytes.len() as u64 > limits::SLICE_BYTES {
            let room = usize::try_from(limits::SLICE_BYTES - self.tail_bytes).expect("a slice fits in memory");
            self.append(bytes.split_to(room));
            self.close_slice().await;
        }
        self.append(bytes);
    }

    fn append(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.received += bytes.len() as u64;
        if self.storing {
            self.tail_bytes += bytes.len() as u64;
            self.tail.push(bytes.clone());
        }
        self.progress.push(bytes);
    }

    /// Stores the tail as one slice, and lets readers share the stored allocation.
    async fn close_slice(&mut self) {
        let slice = self.store.copy_of(self.tail.iter());
        self.progress.consolidate(self.slices * limits::SLICE_BYTES, slice.clone());
        self.store.insert_slice(self.object, self.slices, slice).await;
        self.slices += 1;
        self.tail.clear();
        self.tail_bytes = 0;
    }

    /// The body is whole: store it, unless something newer is kept by now.
    async fn store(mut self, key: CacheKey, mut head: StoredResponse) -> bool {
        head.body_length = self.received;
        if self.slices == 0 {
            let body = self.store.copy_of(self.tail.iter());
            self.progress.consolidate(0, body.clone());
            self.store.insert_whole(key, head, body).await
        } else {
            if self.tail_bytes > 0 {
                self.close_slice().await;
            }
            self.store.insert_sliced(key, head, self.object).await
        }
    }

    /// Memory is short: what all viewers have read is let go, and the slowest viewers of all are cut off. It is stored all
    /// the same, unless there is nobody to cut: then it is the fills themselves that take too much. False: nobody reads
    /// it, and it is large.
    async fn makes_room(&mut self, edge: &Edge) -> bool {
        if self.received > limits::SLICE_BYTES {
            // Who comes from now on asks the origin.
            self.progress.keep_window();
        }
        if !edge.held.relieve(self.store.capacity()) && self.storing && self.received > limits::LARGE_BODY_BYTES {
            edge.metrics.not_stored(NotStored::NoRoom);
            self.stop_storing().await;
        }
        self.progress.readers() > 0 || self.received <= limits::LARGE_BODY_BYTES
    }

    async fn stop_storing(&mut self) {
        self.storing = false;
        self.tail = Vec::new();
        self.store.discard_slices(self.object, self.slices).await;
        self.progress.keep_window();
    }
}
