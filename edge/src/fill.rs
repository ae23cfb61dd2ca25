//! Step 8, fill: many viewers, one fetch.
//!
//! The cache, not the first viewer, owns a fetch. For each key at most one fill is in progress over all workers. Its task
//! runs on the worker of the viewer who came first and owns the origin request, the store write and the leader's
//! permit; a viewer who leaves never cancels what others read. Followers on any worker read the progress, an
//! append-only body, as it grows.
//!
//! What followers learn is a closed set of states (`Head`): the response is being stored and streams to all; it may not
//! be stored, so each asks for itself, at once and not one after another; the origin failed, which all share; or the task
//! died, and one of them leads anew.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proxima_edge_core::decide::Decision;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::{OriginRequest, Purpose};
use proxima_edge_core::outcome::{NotStored, Reason};
use proxima_edge_core::request::ViewerRequest;
use proxima_edge_core::route::Route;

use crate::edge::{Edge, Worker};
use crate::metrics::Metrics;
use crate::origin::{Fetched, OriginError, RequestBody};
use crate::server::interim::Interim;

mod hit_for_miss;
mod near;
mod progress;
mod task;

pub use near::join_near;
pub use progress::{FillHead, FillReader, ReadError};

use hit_for_miss::HitForMiss;
use progress::{Head, Progress};
use task::Unshared;

/// Fills in progress, by key.
pub struct Fills {
    shards: Vec<Mutex<HashMap<CacheKey, Arc<Progress>>>>,
    hasher: RandomState,
    hit_for_miss: HitForMiss,
}

/// Shards of the table: enough that workers seldom meet on one.
const SHARDS: usize = 64;

/// Times that one request may begin anew (its leader died, or its variant turned out to be another) before it is passed
/// to the origin on its own.
const ROUNDS: usize = 4;

/// Where an answer comes from.
pub enum Source {
    /// A fill: read it from the start. `Reason` is this viewer's own (Miss, Expired, CollapsedHit).
    Fill(FillReader, Reason),
    /// The origin, for this viewer alone, and why nobody else gets it.
    Origin(Box<Fetched>, Reason, NotStored),
    /// The origin failed.
    Failed(OriginError),
}

/// What became of an attempt to take part in a fill.
enum Joined {
    Lead(Permit),
    Follow(FillReader),
    Full,
}

impl Fills {
    /// No fill in progress.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            hit_for_miss: HitForMiss::new(),
        }
    }

    fn shard(&self, key: &CacheKey) -> MutexGuard<'_, HashMap<CacheKey, Arc<Progress>>> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).expect("less than SHARDS");
        // A panic while the lock is held leaves a map that is still a map.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(edge: &Arc<Edge>, key: &CacheKey) -> Joined {
        let mut shard = edge.fills.shard(key);
        // An entry outlives its fill for a moment; whoever comes then reads what is complete.
        if let Some(progress) = shard.get(key) {
            return match Progress::reader(progress) {
                Some(reader) => Joined::Follow(reader),
                None => Joined::Full,
            };
        }
        if shard.len() >= limits::FILLS / SHARDS {
            return Joined::Full;
        }
        let progress = Arc::new(Progress::new(&edge.metrics));
        shard.insert(key.clone(), Arc::clone(&progress));
        edge.metrics.fills.inc();
        Joined::Lead(Permit { edge: Arc::clone(edge), key: key.clone(), progress })
    }
}

impl Default for Fills {
    fn default() -> Self {
        Self::new()
    }
}

/// The right and duty to fill one key. Dropped without an end, by a panic or a cancelled task, it wakes the followers
/// and one of them leads anew.
struct Permit {
    edge: Arc<Edge>,
    key: CacheKey,
    progress: Arc<Progress>,
}

impl Permit {
    /// Goes on under the key of a variant. Followers of that variant are found there; whoever asks for the primary key
    /// from now on finds the marker in the store. Where somebody else fills this variant already, this fill goes on
    /// unlisted.
    fn move_to(&mut self, variant: CacheKey) {
        self.unlist();
        if let Entry::Vacant(vacant) = self.edge.fills.shard(&variant).entry(variant.clone()) {
            vacant.insert(Arc::clone(&self.progress));
        }
        self.key = variant;
    }

    fn unlist(&self) {
        let mut shard = self.edge.fills.shard(&self.key);
        if shard.get(&self.key).is_some_and(|listed| Arc::ptr_eq(listed, &self.progress)) {
            shard.remove(&self.key);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.unlist();
        self.progress.abandon();
        self.edge.metrics.fills.dec();
    }
}

/// One viewer's wish: the request and what is known of its key.
pub struct Wish<'a> {
    /// Distribution and behaviour.
    pub route: &'a Route,
    /// The viewer's request.
    pub request: &'a ViewerRequest,
    /// Primary key.
    pub key: CacheKey,
    /// What the lookup found under the primary key, when responses vary.
    pub varies: Option<Arc<[http::HeaderName]>>,
    /// Miss or Expired.
    pub reason: Reason,
    /// Where interim responses go, when this request is what asks the origin.
    pub interim: Interim,
}

/// Fetches through the cache: leads a fill, follows one, or goes alone where that is right.
pub async fn fetch(worker: &Rc<Worker>, wish: Wish<'_>) -> Source {
    let edge = &worker.edge;
    let outgoing = Rc::new(wish.route.origin_request(wish.request, Purpose::Fill));
    let mut key = match &wish.varies {
        Some(names) => wish.key.variant(names, &outgoing.headers),
        None => wish.key.clone(),
    };
    for _ in 0..ROUNDS {
        if edge.fills.hit_for_miss.contains(&key) {
            return pass(worker, &wish, Reason::HitForMiss).await;
        }
        let reader = match Fills::join(edge, &key) {
            Joined::Full => return pass(worker, &wish, Reason::TooManyFollowers).await,
            Joined::Lead(permit) => match lead(worker, &wish, &outgoing, permit).await {
                Some(source) => return source,
                None => continue,
            },
            Joined::Follow(reader) => reader,
        };
        // A request that shows credentials which are not in the key must not be answered with what another's fetched,
        // unless that turns out to be public; so it does not wait to find out.
        if outgoing.unkeyed_credentials {
            drop(reader);
            return pass(worker, &wish, Reason::UnkeyedCredentials).await;
        }
        let late = reader.shared_head().is_some();
        match follow(&edge.metrics, reader).await {
            (reader, Head::Streaming(head)) => {
                let own = variant_key(&wish, &outgoing, &head);
                if own == head.key {
                    // Who waited for it may have it; who comes later gets only what a lookup would give.
                    let now = edge.clock.now();
                    if late && wish.route.decide(Some(&head.stored), wish.request, now) != Decision::Serve {
                        drop(reader);
                        return pass(worker, &wish, Reason::Expired).await;
                    }
                    return Source::Fill(reader, Reason::CollapsedHit);
                }
                key = own;
            }
            (_, Head::NotStorable) => return pass(worker, &wish, Reason::HitForMiss).await,
            (_, Head::Failed(error)) => return Source::Failed(error),
            (_, Head::Abandoned | Head::Pending) => {}
        }
    }
    pass(worker, &wish, wish.reason).await
}

/// The key that this request would have under the response that another's fetch brought.
fn variant_key(wish: &Wish<'_>, outgoing: &OriginRequest, head: &FillHead) -> CacheKey {
    if head.names.is_empty() { wish.key.clone() } else { wish.key.variant(&head.names, &outgoing.headers) }
}

/// Starts the fill and waits for its head like everybody else, but with the first claim to what cannot be shared.
async fn lead(worker: &Rc<Worker>, wish: &Wish<'_>, outgoing: &Rc<OriginRequest>, permit: Permit) -> Option<Source> {
    let reader = Progress::reader(&permit.progress)?;
    let (initiator, unshared) = tokio::sync::oneshot::channel();
    let fill = task::Fill {
        worker: Rc::clone(worker),
        route: wish.route.clone(),
        request: Rc::clone(outgoing),
        primary: wish.key.clone(),
        varies: wish.varies.clone(),
        interim: wish.interim.clone(),
        initiator,
    };
    tokio::task::spawn_local(fill.run(permit));
    match reader.head().await {
        Head::Streaming(_) => Some(Source::Fill(reader, wish.reason)),
        Head::NotStorable => {
            // The task sends the response before it says so; only a panic in between could lose it.
            let Unshared { fetched, why } = unshared.await.ok()?;
            Some(Source::Origin(fetched, wish.reason, why))
        }
        Head::Failed(error) => Some(Source::Failed(error)),
        Head::Abandoned | Head::Pending => None,
    }
}

async fn follow(metrics: &Metrics, reader: FillReader) -> (FillReader, Head) {
    let _waiting = Waiting::begin(metrics);
    let head = reader.head().await;
    (reader, head)
}

/// Asks the origin for this viewer alone, under the viewer's own conditions; nothing is stored.
async fn pass(worker: &Rc<Worker>, wish: &Wish<'_>, reason: Reason) -> Source {
    let outgoing = wish.route.origin_request(wish.request, Purpose::Pass);
    match worker.origins.fetch(wish.route, &outgoing, RequestBody::Empty, &wish.interim).await {
        Ok(fetched) => Source::Origin(Box::new(fetched), reason, NotStored::Bypassed),
        Err(error) => Source::Failed(error),
    }
}

/// The key of the variant that a request asks for.
pub fn variant(route: &Route, request: &ViewerRequest, key: &CacheKey, names: &[http::HeaderName]) -> CacheKey {
    key.variant(names, &route.origin_request(request, Purpose::Fill).headers)
}

/// Counts one waiting follower in the metrics for as long as it waits.
struct Waiting<'a>(&'a Metrics);

impl<'a> Waiting<'a> {
    fn begin(metrics: &'a Metrics) -> Self {
        metrics.fill_waiters.inc();
        Self(metrics)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fill_waiters.dec();
    }
}

#[cfg(test)]
mod tests;
