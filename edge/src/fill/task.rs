//! The task that fetches one response, shares it, and stores it.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::OriginRequest;
use proxima_edge_core::outcome::NotStored;
use proxima_edge_core::route::Route;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Permit;
use super::progress::{FillHead, Head, Progress, ReadError};
use crate::edge::Worker;
use crate::origin::{Fetched, OriginBody, RequestBody};
use crate::server::interim::Interim;
use crate::store::{ObjectId, Store, exact_copy};

/// A response that could not be shared, on its way to the viewer who caused the fetch.
pub(super) struct Unshared {
    pub(super) fetched: Box<Fetched>,
    pub(super) why: NotStored,
}

/// One fetch. Lives on the worker of its initiator.
pub(super) struct Fill {
    pub(super) worker: Rc<Worker>,
    pub(super) route: Route,
    pub(super) request: Rc<OriginRequest>,
    pub(super) primary: CacheKey,
    pub(super) varies: Option<Arc<[HeaderName]>>,
    pub(super) interim: Interim,
    pub(super) initiator: oneshot::Sender<Unshared>,
}

impl Fill {
    /// Fetches, and leaves the outcome in the permit's progress. The permit is dropped at the end whatever happens.
    pub(super) async fn run(self, mut permit: Permit) {
        let edge = Arc::clone(&self.worker.edge);
        // Read before the request is sent: what is purged from now on also covers this response.
        let epoch = edge.plans.epoch();
        let fetch = self.worker.origins.fetch(&self.route, &self.request, RequestBody::Empty, &self.interim);
        let fetched = match fetch.await {
            Ok(fetched) => fetched,
            Err(error) => return permit.progress.settle(Head::Failed(error)),
        };
        let judged = self.route.storable(&self.request, &fetched.head, epoch).and_then(|stored| {
            let too_large = fetched.head.body_length.is_some_and(|length| length > edge.store.largest_body());
            let names = union(self.varies.as_deref(), &stored.vary);
            match () {
                () if too_large => Err(NotStored::TooLarge),
                () if names.len() > limits::VARY_NAMES => Err(NotStored::VaryTooLong),
                () => Ok((stored, names)),
            }
        });
        match judged {
            Ok((stored, names)) => {
                let Fetched { head, body } = fetched;
                let key = self.settle_key(&mut permit, names.clone()).await;
                let head = Arc::new(FillHead { key, names, response: head, stored });
                permit.progress.settle(Head::Streaming(Arc::clone(&head)));
                stream(&edge.store, &mut permit, &head, body).await;
            }
            Err(why) => {
                edge.metrics.not_stored(why);
                // Other viewers may bring no credentials, and then it can be shared.
                if why != NotStored::UnkeyedCredentials {
                    permit.edge.fills.hit_for_miss.insert(permit.key.clone()).await;
                }
                // If the initiator left, the response and its connection go with it.
                let _ = self.initiator.send(Unshared { fetched: Box::new(fetched), why });
                permit.progress.settle(Head::NotStorable);
            }
        }
    }

    /// Finds the key to store under, now that it is known what the response varies by, and lists the fill there.
    async fn settle_key(&self, permit: &mut Permit, names: Arc<[HeaderName]>) -> CacheKey {
        if names.is_empty() {
            return self.primary.clone();
        }
        let key = self.primary.variant(&names, &self.request.headers);
        if self.varies.as_deref() != Some(&*names) {
            // The marker first, so that nobody finds neither it nor the fill.
            self.worker.edge.store.insert_varies(self.primary.clone(), names).await;
        }
        if key != permit.key {
            permit.move_to(key.clone());
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
async fn stream(store: &Store, permit: &mut Permit, head: &FillHead, mut body: OriginBody) {
    let metrics = Arc::clone(&permit.edge.metrics);
    let mut intake = Intake::new(store, Arc::clone(&permit.progress));
    let mut unwanted_since = None;
    let end = loop {
        match body.data().await {
            Some(Ok(bytes)) => intake.take(bytes).await,
            Some(Err(error)) => break Err(error.to_string()),
            None => break Ok(()),
        }
        // Fills hold what slow viewers have not read. Together they hold no more than the store may; beyond it each
        // keeps only a window.
        let crowded =
            intake.received > limits::SLICE_BYTES && metrics.fill_bytes.get() > store.capacity().cast_signed();
        if intake.storing && (crowded || intake.received > store.largest_body()) {
            // Its length was not announced, and now it is too large. Nobody new may join a body whose start is gone.
            intake.stop_storing().await;
            permit.unlist();
            permit.edge.fills.hit_for_miss.insert(permit.key.clone()).await;
            metrics.not_stored(NotStored::TooLarge);
        }
        permit.progress.room().await;
        if permit.progress.readers() > 0 {
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
            intake.store(head.key.clone(), head.stored.clone()).await;
            metrics.stored.inc();
            permit.progress.finish(Ok(()));
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
        let slice = exact_copy(self.tail.iter());
        self.progress.consolidate(self.slices * limits::SLICE_BYTES, slice.clone());
        self.store.insert_slice(self.object, self.slices, slice).await;
        self.slices += 1;
        self.tail.clear();
        self.tail_bytes = 0;
    }

    /// The body is whole: store it.
    async fn store(mut self, key: CacheKey, mut head: StoredResponse) {
        head.body_length = self.received;
        if self.slices == 0 {
            let body = exact_copy(self.tail.iter());
            self.store.insert_whole(key, head, body).await;
        } else {
            if self.tail_bytes > 0 {
                self.close_slice().await;
            }
            self.store.insert_sliced(key, head, self.object).await;
        }
    }

    async fn stop_storing(&mut self) {
        self.storing = false;
        self.tail = Vec::new();
        self.store.discard_slices(self.object, self.slices).await;
        self.progress.keep_window();
    }
}
