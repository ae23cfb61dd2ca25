//! Step 8, fill: many viewers, one fetch.
//!
//! The cache, not the first viewer, owns a fetch. For each key at most one fill is in progress over all workers. Its task
//! runs on the worker of the viewer who came first and owns the origin request, the store write and the leader's
//! permit; a viewer who leaves never cancels what others read. Followers on any worker read the progress, an
//! append-only body, as it grows.
//!
//! What followers learn is a closed set of states (`Head`): the response is being stored and streams to all; what was
//! kept still stands, confirmed or for want of a better one; the response may not be stored, so each asks for itself, at
//! once and not one after another; the origin failed, which all share; or the task died, and one of them leads anew.
//!
//! An expired response goes along as `kept`: the task asks the origin by its validators, and gives it a new head when
//! the origin says that it is unchanged.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use proxima_edge_core::collapse::{self, Sharing};
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::{OriginRequest, Purpose};
use proxima_edge_core::outcome::{NotStored, Reason};
use proxima_edge_core::range::RangeSet;
use proxima_edge_core::request::ViewerRequest;
use proxima_edge_core::route::Route;

use http::header::RANGE;
use tokio::sync::{Semaphore, oneshot};

use crate::edge::{Edge, Worker};
use crate::invalidations::Place;
use crate::metrics::Metrics;
use crate::origin::{Fetched, OriginError, RequestBody};
use crate::server::interim::Interim;
use crate::store::Found;

mod passed;
mod progress;
mod ranges;
mod recent_keys;
mod task;
mod variants;

pub use passed::{Asked, head, passed};
pub use progress::{FillHead, FillReader, ReadError};
pub use ranges::ranges;

use progress::{Head, Progress, Standing};
use recent_keys::RecentKeys;
use task::{Fill, Unshared};
use variants::Variants;

/// Fills in progress, by key.
pub struct Fills {
    shards: Vec<Mutex<HashMap<CacheKey, Arc<Progress>>>>,
    hasher: RandomState,
    hit_for_miss: RecentKeys,
    /// Keys whose origin failed a moment ago.
    failed: RecentKeys,
    /// What is kept of resources that vary.
    variants: Variants,
    /// Background refreshes that may still begin.
    refreshes: Arc<Semaphore>,
    /// Fetches so far.
    turns: AtomicU64,
}

/// When a fetch began, by what else happens. Read it before the request goes to the origin.
#[derive(Clone, Copy, Debug)]
struct Begun {
    /// Count of invalidations.
    generation: u64,
    /// Place among all fetches.
    turn: u64,
}

impl Begun {
    fn now(edge: &Edge) -> Self {
        let generation = edge.invalidations.generation();
        Self { generation, turn: edge.fills.turns.fetch_add(1, Ordering::Relaxed) }
    }

    /// Dates what the fetch brought.
    fn stamp(self, head: &mut StoredResponse) {
        (head.generation, head.turn) = (self.generation, self.turn);
    }
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
    /// What was kept: confirmed by the origin, or in place of its failure.
    Kept(Found, Reason),
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
            hit_for_miss: RecentKeys::new(limits::HIT_FOR_MISS),
            failed: RecentKeys::new(limits::ERROR_TTL),
            variants: Variants::new(),
            refreshes: Arc::new(Semaphore::new(limits::REFRESHES)),
            turns: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: &CacheKey) -> MutexGuard<'_, HashMap<CacheKey, Arc<Progress>>> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).expect("less than SHARDS");
        // A panic while the lock is held leaves a map that is still a map.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(edge: &Arc<Edge>, key: &CacheKey, place: Option<Place>, personal: bool) -> Joined {
        Self::join_since(edge, key, place, personal, Begun::now(edge))
    }

    /// For whom already has an answer, to a request that was made then.
    fn join_since(edge: &Arc<Edge>, key: &CacheKey, place: Option<Place>, personal: bool, begun: Begun) -> Joined {
        let mut shard = edge.fills.shard(key);
        // An entry outlives its fill for a moment; whoever comes then reads what is complete. One that began before an
        // invalidation of what is asked for goes on for those who came before it, unlisted; and so does one of which
        // nobody knows yet whether it is for others, when somebody comes whose own will be.
        let listed = shard.get(key).filter(|progress| !edge.is_invalidated(progress.begun.generation, place));
        if let Some(progress) = listed.filter(|progress| personal || progress.is_open()) {
            return match Progress::reader(progress) {
                Some(reader) => Joined::Follow(reader),
                None => Joined::Full,
            };
        }
        if shard.len() >= limits::FILLS / SHARDS {
            return Joined::Full;
        }
        let permit = Permit::new(edge, key, personal, begun);
        shard.insert(key.clone(), Arc::clone(&permit.progress));
        Joined::Lead(permit)
    }

    /// Takes a fill off the table; it goes on for those who read it.
    fn unlist(&self, key: &CacheKey, progress: &Arc<Progress>) {
        let mut shard = self.shard(key);
        if shard.get(key).is_some_and(|listed| Arc::ptr_eq(listed, progress)) {
            shard.remove(key);
        }
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
    /// A fill that nobody can join, unless it is listed. `personal`: its request shows credentials that are not in the
    /// key.
    fn new(edge: &Arc<Edge>, key: &CacheKey, personal: bool, begun: Begun) -> Self {
        edge.metrics.fills.inc();
        let progress = Arc::new(Progress::new(&edge.metrics, begun, personal));
        Self { edge: Arc::clone(edge), key: key.clone(), progress }
    }

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
        self.edge.fills.unlist(&self.key, &self.progress);
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
    /// An expired response that the policy would let this viewer have.
    pub kept: Option<Found>,
    /// Where invalidations of what is asked for are noted; only where the policy knows invalidations.
    pub place: Option<Place>,
    /// Miss or Expired.
    pub reason: Reason,
    /// Where interim responses go, when this request is what asks the origin.
    pub interim: Interim,
}

impl Wish<'_> {
    /// The key that this request has, as far as is known.
    fn own_key(&self, outgoing: &OriginRequest) -> CacheKey {
        match &self.varies {
            Some(names) => self.key.variant(names, &outgoing.headers),
            None => self.key.clone(),
        }
    }

    /// What is kept, in place of an origin that failed; if it may be.
    fn stand_in(&self, edge: &Edge) -> Option<Source> {
        // What was invalidated while the origin was asked is no better than its error.
        let kept = self.kept.as_ref().filter(|kept| !edge.is_invalidated(kept.head.generation, self.place))?;
        let stands_in = self.route.stands_in(&kept.head, self.request, edge.clock.now());
        stands_in.then(|| Source::Kept(kept.clone(), Reason::StaleIfError))
    }
}

/// Fetches through the cache: leads a fill, follows one, or goes alone where that is right.
pub async fn fetch(worker: &Rc<Worker>, wish: Wish<'_>) -> Source {
    let outgoing = Rc::new(wish.route.origin_request(wish.request, Purpose::Fill));
    let key = wish.own_key(&outgoing);
    // CloudFront: after an error, the origin is asked again when the error caching minimum is over.
    if worker.edge.fills.failed.contains(&key, worker.edge.clock.uptime())
        && let Some(source) = wish.stand_in(&worker.edge)
    {
        return source;
    }
    let failed = |status| wish.route.behavior.cache_policy.is_origin_failure(status);
    match fetch_by_key(worker, &wish, &outgoing, key).await {
        // The task stood in for the origin as the policy says; this viewer may accept more.
        Source::Failed(error) => wish.stand_in(&worker.edge).unwrap_or(Source::Failed(error)),
        Source::Origin(fetched, reason, why) if failed(fetched.head.status) => {
            wish.stand_in(&worker.edge).unwrap_or(Source::Origin(fetched, reason, why))
        }
        source => source,
    }
}

async fn fetch_by_key(worker: &Rc<Worker>, wish: &Wish<'_>, outgoing: &Rc<OriginRequest>, mut key: CacheKey) -> Source {
    let edge = &worker.edge;
    for _ in 0..ROUNDS {
        // Where the origin wants to be asked for every request, nobody waits for another's answer.
        if wish.kept.as_ref().is_some_and(|kept| !wish.route.may_wait(&kept.head)) {
            match lead_unlisted(worker, wish, outgoing, &key).await {
                Some(source) => return source,
                None => continue,
            }
        }
        if wish.kept.is_none() && edge.fills.hit_for_miss.contains(&key, edge.clock.uptime()) {
            return pass(worker, wish, Reason::HitForMiss).await;
        }
        let reader = match Fills::join(edge, &key, wish.place, outgoing.unkeyed_credentials) {
            Joined::Full => return pass(worker, wish, Reason::TooManyFollowers).await,
            Joined::Lead(permit) => match lead(worker, wish, outgoing, permit).await {
                Some(source) => return source,
                None => continue,
            },
            Joined::Follow(reader) => reader,
        };
        // A request that shows credentials which are not in the key must not be answered with what another's fetched,
        // unless that turns out to be public; so it does not wait to find out.
        if outgoing.unkeyed_credentials {
            drop(reader);
            return pass(worker, wish, Reason::UnkeyedCredentials).await;
        }
        let joined = joined_at(edge, &reader);
        match follow(&edge.metrics, reader).await {
            (reader, Head::Streaming(head)) => {
                let own = variant_key(wish, outgoing, &head);
                if own != head.key {
                    key = own;
                    continue;
                }
                match wish.route.shares(&head.stored, wish.request, joined) {
                    Sharing::Shared => return Source::Fill(reader, Reason::CollapsedHit),
                    // It goes on for those who came in time; of those who come now, one leads a new one.
                    Sharing::Outlived => edge.fills.unlist(&key, reader.progress()),
                    Sharing::Alone => {
                        drop(reader);
                        return pass(worker, wish, wish.reason).await;
                    }
                }
            }
            (_, Head::Kept(found, standing)) => {
                if let Some(reason) = kept_by_another(edge, wish, &found, standing) {
                    return Source::Kept(found, reason);
                }
                // About what is kept everybody can ask at little cost.
                return match lead_unlisted(worker, wish, outgoing, &key).await {
                    Some(source) => source,
                    None => pass(worker, wish, wish.reason).await,
                };
            }
            (_, Head::NotStorable) => return pass(worker, wish, Reason::HitForMiss).await,
            (_, Head::Failed(error)) => return Source::Failed(error),
            (_, Head::Abandoned | Head::Pending) => {}
        }
    }
    pass(worker, wish, wish.reason).await
}

/// Whether this reader came before the head of what it reads, as far as it can be shared.
fn joined_at(edge: &Edge, reader: &FillReader) -> collapse::Joined {
    match reader.shared_head() {
        Some(_) => collapse::Joined::Late(edge.clock.now()),
        None => collapse::Joined::Waiting,
    }
}

/// Whether, and as what, a follower may have what another's revalidation left standing.
fn kept_by_another(edge: &Edge, wish: &Wish<'_>, found: &Found, standing: Standing) -> Option<Reason> {
    match standing {
        Standing::Confirmed => wish.route.shares_confirmed(&found.head, wish.request).then_some(Reason::CollapsedHit),
        Standing::InPlaceOfError => {
            let stands_in = wish.route.stands_in(&found.head, wish.request, edge.clock.now());
            stands_in.then_some(Reason::StaleIfError)
        }
    }
}

/// The key that this request would have under the response that another's fetch brought.
fn variant_key(wish: &Wish<'_>, outgoing: &OriginRequest, head: &FillHead) -> CacheKey {
    if head.names.is_empty() { wish.key.clone() } else { wish.key.variant(&head.names, &outgoing.headers) }
}

/// Starts the fill and waits for its head like everybody else, but with the first claim to what cannot be shared.
async fn lead(worker: &Rc<Worker>, wish: &Wish<'_>, outgoing: &Rc<OriginRequest>, permit: Permit) -> Option<Source> {
    let reader = Progress::reader(&permit.progress)?;
    let (initiator, unshared) = oneshot::channel();
    tokio::task::spawn_local(Fill::new(worker, wish, outgoing, Some(initiator)).run(permit));
    led(reader, unshared, wish.reason).await
}

/// Starts a fill that nobody joins.
async fn lead_unlisted(
    worker: &Rc<Worker>,
    wish: &Wish<'_>,
    outgoing: &Rc<OriginRequest>,
    key: &CacheKey,
) -> Option<Source> {
    let permit = Permit::new(&worker.edge, key, outgoing.unkeyed_credentials, Begun::now(&worker.edge));
    lead(worker, wish, outgoing, permit).await
}

/// What a fill brings the one who caused it.
async fn led(reader: FillReader, mut unshared: oneshot::Receiver<Unshared>, reason: Reason) -> Option<Source> {
    match reader.head().await {
        Head::Streaming(_) => Some(Source::Fill(reader, reason)),
        Head::Kept(shared, Standing::Confirmed) => {
            // Sent before the head was settled, where it differs from what all others get.
            let own = unshared.try_recv().ok().and_then(Unshared::into_confirmed);
            Some(Source::Kept(own.unwrap_or(shared), Reason::RefreshHit))
        }
        Head::Kept(found, Standing::InPlaceOfError) => Some(Source::Kept(found, Reason::StaleIfError)),
        // The task sends the response before it says so; only a panic in between could lose it.
        Head::NotStorable => match unshared.await.ok()? {
            Unshared::Fetched(fetched, why) => Some(Source::Origin(fetched, reason, why)),
            Unshared::Confirmed(found) => Some(Source::Kept(found, Reason::RefreshHit)),
        },
        Head::Failed(error) => Some(Source::Failed(error)),
        Head::Abandoned | Head::Pending => None,
    }
}

/// Refreshes what is served stale meanwhile, in a task of the cache's own; unless that is being done, too much of it is
/// being done, or the origin has just failed.
pub fn refresh(worker: &Rc<Worker>, wish: &Wish<'_>) {
    let edge = &worker.edge;
    let mut outgoing = wish.route.origin_request(wish.request, Purpose::Fill);
    // What is stored for GET answers HEAD too, but a response to HEAD cannot replace it.
    if outgoing.method == Method::HEAD {
        outgoing.method = Method::GET;
    }
    let outgoing = Rc::new(outgoing);
    let key = wish.own_key(&outgoing);
    if edge.fills.failed.contains(&key, edge.clock.uptime()) {
        return;
    }
    let Ok(place) = Arc::clone(&edge.fills.refreshes).try_acquire_owned() else { return };
    let Joined::Lead(permit) = Fills::join(edge, &key, wish.place, outgoing.unkeyed_credentials) else { return };
    let fill = Fill::new(worker, wish, &outgoing, None);
    tokio::task::spawn_local(async move {
        fill.run(permit).await;
        drop(place);
    });
}

async fn follow(metrics: &Metrics, reader: FillReader) -> (FillReader, Head) {
    let _waiting = Waiting::begin(metrics);
    let head = reader.head().await;
    (reader, head)
}

/// Asks the origin for this viewer alone, under the viewer's own conditions; nothing is stored.
async fn pass(worker: &Rc<Worker>, wish: &Wish<'_>, reason: Reason) -> Source {
    let mut outgoing = wish.route.origin_request(wish.request, Purpose::Pass);
    if RangeSet::of(&wish.request.headers).is_none() {
        // What is not followed here must not make the origin send a multiple of the whole.
        outgoing.headers.remove(RANGE);
    }
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
