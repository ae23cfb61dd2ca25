//! The store in memory, on moka.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderName;
use moka::Entry;
use moka::future::Cache;
use moka::notification::RemovalCause;
use moka::ops::compute::{CompResult, Op};
use moka::policy::EvictionPolicy;
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;
use proxima_edge_core::range::ByteRange;

use super::{Allocation, Found, FoundBody, Lookup, ObjectId, Pinned, StoreKey, Wanted, slice_count, slices_of};
use crate::metrics::Metrics;

/// Bytes that moka and the allocator take for an entry besides what we can see. Measured high: two list nodes, the
/// hash table's slot, an `Arc` or two, and rounding of each allocation.
const ENTRY_OVERHEAD: u64 = 512;

/// Stored responses in memory, bounded by bytes, least recently used out first.
///
/// The eviction policy is LRU: with moka's default (TinyLFU) a full cache admits almost nothing new, and an edge that
/// does not take up a new film is useless.
pub struct MemoryStore {
    shelf: ArcSwap<Shelf>,
    metrics: Arc<Metrics>,
    next_object: AtomicU64,
    capacity: AtomicU64,
    /// Bytes inserted since maintenance ran last.
    unmaintained: AtomicU64,
}

/// What is kept, and how many bytes of bodies that is.
struct Shelf {
    cache: Cache<StoreKey, Value>,
    tally: Arc<Tally>,
}

/// Bytes of bodies that are stored: they are not pinned.
struct Tally {
    stored: AtomicI64,
    pinned: Pinned,
}

impl Tally {
    /// Something is about to be kept.
    fn keeps(&self, value: &Value) {
        self.stored.fetch_add(value.body_bytes(), Ordering::Relaxed);
        self.pinned.dec_by(value.body_bytes());
    }

    /// Something is no longer kept, whoever may still be sending it.
    fn gives_up(&self, value: &Value) {
        self.stored.fetch_sub(value.body_bytes(), Ordering::Relaxed);
        self.pinned.inc_by(value.body_bytes());
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // Of what goes with the whole shelf nobody is told one by one.
        self.pinned.inc_by(*self.stored.get_mut());
    }
}

#[derive(Clone, Debug)]
enum Value {
    Response {
        head: Arc<StoredResponse>,
        body: StoredBody,
        /// Of a variant: whether it was found since this was asked last.
        used: Option<Arc<AtomicBool>>,
    },
    /// And the recency of the response that said so.
    Varies(Arc<[HeaderName]>, (u64, u64)),
    Slice(Bytes),
}

impl Value {
    /// Only variants are counted, so only of them it matters whether they are used: others spare the hit what that costs.
    fn response(head: Arc<StoredResponse>, body: StoredBody) -> Self {
        let used = (!head.vary.is_empty()).then(Arc::default);
        Self::Response { head, body, used }
    }

    /// Notes that it was found. Written once, so that workers who find it at the same time share its memory.
    fn mark(&self) {
        if let Self::Response { used: Some(used), .. } = self
            && !used.load(Ordering::Relaxed)
        {
            used.store(true, Ordering::Relaxed);
        }
    }

    /// The larger, the newer.
    fn recency(&self) -> (u64, u64) {
        match self {
            Self::Response { head, .. } => head.recency(),
            Self::Varies(_, recency) => *recency,
            Self::Slice(_) => (0, 0),
        }
    }

    fn body_bytes(&self) -> i64 {
        match self {
            Self::Response { body: StoredBody::Whole(bytes), .. } | Self::Slice(bytes) => {
                (bytes.len() as u64).cast_signed()
            }
            Self::Response { body: StoredBody::Slices(_), .. } | Self::Varies(..) => 0,
        }
    }
}

#[derive(Clone, Debug)]
enum StoredBody {
    Whole(Bytes),
    Slices(ObjectId),
}

impl MemoryStore {
    /// An empty store of this many bytes.
    pub fn new(capacity: u64, metrics: Arc<Metrics>) -> Self {
        metrics.cache_capacity_bytes.set(capacity.cast_signed());
        Self {
            shelf: ArcSwap::from_pointee(Shelf::new(capacity, &metrics)),
            metrics,
            next_object: AtomicU64::new(1),
            capacity: AtomicU64::new(capacity),
            unmaintained: AtomicU64::new(0),
        }
    }

    /// Bytes that the store may take.
    pub fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Changes the capacity. moka cannot change it in place, so a different one begins with an empty store; responses
    /// that are being sent keep what they hold.
    pub fn resize(&self, capacity: u64) {
        if self.capacity.swap(capacity, Ordering::Relaxed) != capacity {
            self.metrics.cache_capacity_bytes.set(capacity.cast_signed());
            self.shelf.store(Arc::new(Shelf::new(capacity, &self.metrics)));
        }
    }

    /// Largest body that is stored, bytes: a quarter of the store, so that one object never sweeps it.
    pub fn largest_body(&self) -> u64 {
        self.capacity() / 4
    }

    /// Looks a key up. A large response is found only with all slices that are wanted of it.
    pub async fn lookup(&self, key: &CacheKey, wanted: impl FnOnce(&StoredResponse) -> Wanted) -> Lookup {
        let shelf = self.shelf.load();
        let cache = &shelf.cache;
        let Some(value) = cache.get(&StoreKey::Head(key.clone())).await else { return Lookup::Absent };
        value.mark();
        match value {
            Value::Response { head, body: StoredBody::Whole(bytes), .. } => {
                Lookup::Found(Found { head, body: FoundBody::Whole(bytes) })
            }
            Value::Response { head, body: StoredBody::Slices(object), .. } => {
                let body = match wanted(&head) {
                    Wanted::All => slices(cache, object, head.body_length).await.map(FoundBody::Slices),
                    Wanted::Parts(ranges) => some_slices(cache, object, &ranges).await.map(FoundBody::Sparse),
                };
                body.map_or(Lookup::Absent, |body| Lookup::Found(Found { head, body }))
            }
            Value::Varies(names, _) => Lookup::Varies(names),
            Value::Slice(_) => Lookup::Absent,
        }
    }

    /// An id for the slices of one fill.
    pub fn new_object(&self) -> ObjectId {
        ObjectId(self.next_object.fetch_add(1, Ordering::Relaxed))
    }

    /// A copy in an allocation of exactly its size: what is kept must be one.
    pub fn copy_of<'a>(&self, parts: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
        Allocation::copy_of(parts, &self.metrics.pinned_bytes)
    }

    /// Keeps one slice. Unreachable, and soon evicted, unless [`Self::insert_sliced`] follows.
    pub async fn insert_slice(&self, object: ObjectId, index: u64, slice: Bytes) {
        let index = u32::try_from(index).expect("a body of 2^32 slices is larger than any cache");
        let (key, slice) = (StoreKey::Slice(object, index), Value::Slice(slice));
        let weight = weigh(&key, &slice);
        let shelf = self.shelf.load_full();
        shelf.tally.keeps(&slice);
        shelf.cache.insert(key, slice).await;
        self.grown(weight).await;
    }

    /// Keeps a small response, unless a newer one is kept. Whether it is.
    pub async fn insert_whole(&self, key: CacheKey, head: StoredResponse, body: Bytes) -> bool {
        self.replace(key, Value::response(Arc::new(head), StoredBody::Whole(body))).await
    }

    /// Keeps a large response, all slices of which are already there, unless a newer one is kept. Whether it is.
    pub async fn insert_sliced(&self, key: CacheKey, head: StoredResponse, object: ObjectId) -> bool {
        let count = slice_count(head.body_length);
        let kept = self.replace(key, Value::response(Arc::new(head), StoredBody::Slices(object))).await;
        if !kept {
            self.discard_slices(object, count).await;
        }
        kept
    }

    /// Gives a response that was found, and is still what is kept under this key, a newer head. The body stays where it
    /// is.
    pub async fn refresh(&self, key: CacheKey, found: &Found, head: Arc<StoredResponse>) {
        let (known, whole) = (Arc::clone(&found.head), found.body.whole());
        let shelf = self.shelf.load_full();
        let renewed = |entry: Option<Entry<StoreKey, Value>>| {
            let kept = match entry.map(Entry::into_value) {
                Some(Value::Response { head: kept, body, used }) => Arc::ptr_eq(&kept, &known).then_some((body, used)),
                Some(Value::Varies(..) | Value::Slice(_)) => None,
                // Evicted meanwhile; a small one is still at hand.
                None => whole.map(|bytes| (StoredBody::Whole(bytes), None)),
            };
            std::future::ready(match kept {
                Some((body, used)) => {
                    let value = Value::Response { head, body, used };
                    shelf.tally.keeps(&value);
                    Op::Put(value)
                }
                None => Op::Nop,
            })
        };
        shelf.cache.entry(StoreKey::Head(key)).and_compute_with(renewed).await;
    }

    /// Forgets a response that was found, if it is still what is kept under this key.
    pub async fn forget(&self, key: CacheKey, found: &Found) {
        let known = Arc::clone(&found.head);
        let removed = |entry: Option<Entry<StoreKey, Value>>| {
            let same = matches!(
                entry.map(Entry::into_value),
                Some(Value::Response { head, .. }) if Arc::ptr_eq(&head, &known)
            );
            std::future::ready(if same { Op::Remove } else { Op::Nop })
        };
        let result = self.shelf.load_full().cache.entry(StoreKey::Head(key)).and_compute_with(removed).await;
        if let CompResult::Removed(entry) = result
            && let Value::Response { head, body: StoredBody::Slices(object), .. } = entry.into_value()
        {
            self.discard_slices(object, slice_count(head.body_length)).await;
        }
    }

    /// Forgets what is kept under this key.
    pub async fn remove(&self, key: &CacheKey) {
        let removed = self.shelf.load_full().cache.remove(&StoreKey::Head(key.clone())).await;
        if let Some(Value::Response { head, body: StoredBody::Slices(object), .. }) = removed {
            self.discard_slices(object, slice_count(head.body_length)).await;
        }
    }

    /// Whether a variant was found since this was asked last.
    pub async fn take_used(&self, key: &CacheKey) -> bool {
        match self.shelf.load_full().cache.get(&StoreKey::Head(key.clone())).await {
            Some(Value::Response { used: Some(used), .. }) => used.swap(false, Ordering::Relaxed),
            _ => false,
        }
    }

    /// Notes that responses under this primary key differ by these request headers, as one of this recency says; unless
    /// what is kept there is newer.
    pub async fn insert_varies(&self, key: CacheKey, names: Arc<[HeaderName]>, recency: (u64, u64)) {
        self.replace(key, Value::Varies(names, recency)).await;
    }

    /// Forgets the slices of a fill that did not end well.
    pub async fn discard_slices(&self, object: ObjectId, count: u64) {
        let cache = &self.shelf.load_full().cache;
        for index in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            cache.invalidate(&StoreKey::Slice(object, index)).await;
        }
    }

    /// Runs what moka postpones (evictions among it) and publishes the measured size.
    pub async fn maintain(&self) {
        let cache = &self.shelf.load_full().cache;
        cache.run_pending_tasks().await;
        // What moka has let go waits on each thread until there is enough of it to be worth freeing: counted by pieces, not
        // by the megabytes that they are here.
        crossbeam_epoch::pin().flush();
        self.metrics.cache_bytes.set(cache.weighted_size().cast_signed());
        self.metrics.cache_objects.set(cache.entry_count().cast_signed());
    }

    /// Puts a value in the place of what is kept under its key, unless that is newer: a response may take long to arrive,
    /// and one that was asked for later may have come meanwhile. Whether it did.
    async fn replace(&self, key: CacheKey, value: Value) -> bool {
        let key = StoreKey::Head(key);
        let weight = weigh(&key, &value);
        let shelf = self.shelf.load_full();
        let mut old = None;
        let newest = |entry: Option<Entry<StoreKey, Value>>| {
            let kept = entry.map(Entry::into_value);
            std::future::ready(if kept.as_ref().is_some_and(|kept| kept.recency() > value.recency()) {
                Op::Nop
            } else {
                old = kept;
                shelf.tally.keeps(&value);
                Op::Put(value)
            })
        };
        let result = shelf.cache.entry(key).and_compute_with(newest).await;
        if let CompResult::Unchanged(_) = result {
            return false;
        }
        // Slices of the response that was replaced can no longer be found; free them now instead of by age.
        if let Some(Value::Response { head, body: StoredBody::Slices(object), .. }) = old {
            self.discard_slices(object, slice_count(head.body_length)).await;
        }
        self.grown(weight).await;
        true
    }

    /// Notes how much was inserted, and runs maintenance when it is due.
    async fn grown(&self, weight: u32) {
        let weight = u64::from(weight);
        let since = self.unmaintained.fetch_add(weight, Ordering::Relaxed) + weight;
        // moka evicts in batches when it finds the time; unprompted it overshoots its bound several times over.
        if since >= limits::MAINTENANCE_BYTES {
            self.unmaintained.store(0, Ordering::Relaxed);
            self.maintain().await;
        }
    }
}

impl Shelf {
    fn new(capacity: u64, metrics: &Arc<Metrics>) -> Self {
        let metrics = Arc::clone(metrics);
        let tally = Arc::new(Tally { stored: AtomicI64::new(0), pinned: metrics.pinned_bytes.clone() });
        let counting = Arc::clone(&tally);
        let cache = Cache::builder()
            .max_capacity(capacity)
            .weigher(weigh)
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_key, value, cause| {
                counting.gives_up(&value);
                if cause == RemovalCause::Size {
                    metrics.cache_evictions.inc();
                }
            })
            .build();
        Self { cache, tally }
    }
}

/// Bytes that an entry takes. moka counts in `u32`; nothing here is larger than a slice and a head.
fn weigh(key: &StoreKey, value: &Value) -> u32 {
    let key_bytes = match key {
        StoreKey::Head(key) => key.as_bytes().len() as u64,
        StoreKey::Slice(..) => 0,
    };
    let value_bytes = match value {
        Value::Response { head, body: StoredBody::Whole(bytes), .. } => head.weight() + bytes.len() as u64,
        Value::Response { head, body: StoredBody::Slices(_), .. } => head.weight(),
        Value::Varies(names, _) => names.iter().map(|name| name.as_str().len() as u64 + 32).sum(),
        Value::Slice(bytes) => bytes.len() as u64,
    };
    u32::try_from(key_bytes + value_bytes + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
}

/// All slices of an object, or nothing: a response is never begun that might not be completed.
async fn slices(cache: &Cache<StoreKey, Value>, object: ObjectId, length: u64) -> Option<Vec<Bytes>> {
    let count = u32::try_from(slice_count(length)).ok()?;
    let mut slices = Vec::with_capacity(count as usize);
    for index in 0..count {
        slices.push(slice(cache, object, index).await?);
    }
    Some(slices)
}

/// The slices that these ranges are in, or nothing.
async fn some_slices(
    cache: &Cache<StoreKey, Value>,
    object: ObjectId,
    ranges: &[ByteRange],
) -> Option<BTreeMap<u64, Bytes>> {
    let mut slices = BTreeMap::new();
    for index in ranges.iter().flat_map(|&range| slices_of(range)) {
        if let btree_map::Entry::Vacant(vacant) = slices.entry(index) {
            vacant.insert(slice(cache, object, u32::try_from(index).ok()?).await?);
        }
    }
    Some(slices)
}

async fn slice(cache: &Cache<StoreKey, Value>, object: ObjectId, index: u32) -> Option<Bytes> {
    match cache.get(&StoreKey::Slice(object, index)).await {
        Some(Value::Slice(bytes)) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
