//! The store in memory, on moka.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

use super::{Found, FoundBody, Lookup, ObjectId, StoreKey, Wanted, slice_count, slices_of};
use crate::metrics::Metrics;

/// Bytes that moka and the allocator take for an entry besides what we can see. Measured high: two list nodes, the
/// hash table's slot, an `Arc` or two, and rounding of each allocation.
const ENTRY_OVERHEAD: u64 = 512;

/// Stored responses in memory, bounded by bytes, least recently used out first.
///
/// The eviction policy is LRU: with moka's default (TinyLFU) a full cache admits almost nothing new, and an edge that
/// does not take up a new film is useless.
pub struct MemoryStore {
    cache: ArcSwap<Cache<StoreKey, Value>>,
    metrics: Arc<Metrics>,
    next_object: AtomicU64,
    capacity: AtomicU64,
    /// Bytes inserted since maintenance ran last.
    unmaintained: AtomicU64,
}

#[derive(Clone, Debug)]
enum Value {
    Response { head: Arc<StoredResponse>, body: StoredBody },
    Varies(Arc<[HeaderName]>),
    Slice(Bytes),
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
            cache: ArcSwap::from_pointee(build(capacity, &metrics)),
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
            self.cache.store(Arc::new(build(capacity, &self.metrics)));
        }
    }

    /// Largest body that is stored, bytes: a quarter of the store, so that one object never sweeps it.
    pub fn largest_body(&self) -> u64 {
        self.capacity() / 4
    }

    /// Looks a key up. A large response is found only with all slices that are wanted of it.
    pub async fn lookup(&self, key: &CacheKey, wanted: impl FnOnce(&StoredResponse) -> Wanted) -> Lookup {
        let cache = self.cache.load();
        let Some(value) = cache.get(&StoreKey::Head(key.clone())).await else { return Lookup::Absent };
        match value {
            Value::Response { head, body: StoredBody::Whole(bytes) } => {
                Lookup::Found(Found { head, body: FoundBody::Whole(bytes) })
            }
            Value::Response { head, body: StoredBody::Slices(object) } => {
                let body = match wanted(&head) {
                    Wanted::All => slices(&cache, object, head.body_length).await.map(FoundBody::Slices),
                    Wanted::Parts(ranges) => some_slices(&cache, object, &ranges).await.map(FoundBody::Sparse),
                };
                body.map_or(Lookup::Absent, |body| Lookup::Found(Found { head, body }))
            }
            Value::Varies(names) => Lookup::Varies(names),
            Value::Slice(_) => Lookup::Absent,
        }
    }

    /// An id for the slices of one fill.
    pub fn new_object(&self) -> ObjectId {
        ObjectId(self.next_object.fetch_add(1, Ordering::Relaxed))
    }

    /// Keeps one slice. Unreachable, and soon evicted, unless [`Self::insert_sliced`] follows.
    pub async fn insert_slice(&self, object: ObjectId, index: u64, slice: Bytes) {
        let index = u32::try_from(index).expect("a body of 2^32 slices is larger than any cache");
        self.insert(StoreKey::Slice(object, index), Value::Slice(slice)).await;
    }

    /// Keeps a small response.
    pub async fn insert_whole(&self, key: CacheKey, head: StoredResponse, body: Bytes) {
        self.replace(key, head, StoredBody::Whole(body)).await;
    }

    /// Keeps a large response, all slices of which are already there.
    pub async fn insert_sliced(&self, key: CacheKey, head: StoredResponse, object: ObjectId) {
        self.replace(key, head, StoredBody::Slices(object)).await;
    }

    /// Gives a response that was found, and is still what is kept under this key, a newer head. The body stays where it
    /// is.
    pub async fn refresh(&self, key: CacheKey, found: &Found, head: Arc<StoredResponse>) {
        let (known, whole) = (Arc::clone(&found.head), found.body.whole());
        let renewed = |entry: Option<Entry<StoreKey, Value>>| {
            let body = match entry.map(Entry::into_value) {
                Some(Value::Response { head: kept, body }) => Arc::ptr_eq(&kept, &known).then_some(body),
                Some(Value::Varies(_) | Value::Slice(_)) => None,
                // Evicted meanwhile; a small one is still at hand.
                None => whole.map(StoredBody::Whole),
            };
            std::future::ready(match body {
                Some(body) => Op::Put(Value::Response { head, body }),
                None => Op::Nop,
            })
        };
        self.cache.load_full().entry(StoreKey::Head(key)).and_compute_with(renewed).await;
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
        let result = self.cache.load_full().entry(StoreKey::Head(key)).and_compute_with(removed).await;
        if let CompResult::Removed(entry) = result
            && let Value::Response { head, body: StoredBody::Slices(object) } = entry.into_value()
        {
            self.discard_slices(object, slice_count(head.body_length)).await;
        }
    }

    /// Forgets what is kept under this key.
    pub async fn remove(&self, key: &CacheKey) {
        let removed = self.cache.load_full().remove(&StoreKey::Head(key.clone())).await;
        if let Some(Value::Response { head, body: StoredBody::Slices(object) }) = removed {
            self.discard_slices(object, slice_count(head.body_length)).await;
        }
    }

    /// Notes that responses under this primary key differ by these request headers.
    pub async fn insert_varies(&self, key: CacheKey, names: Arc<[HeaderName]>) {
        self.insert(StoreKey::Head(key), Value::Varies(names)).await;
    }

    /// Forgets the slices of a fill that did not end well.
    pub async fn discard_slices(&self, object: ObjectId, count: u64) {
        let cache = self.cache.load_full();
        for index in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            cache.invalidate(&StoreKey::Slice(object, index)).await;
        }
    }

    /// Runs what moka postpones (evictions among it) and publishes the measured size.
    pub async fn maintain(&self) {
        let cache = self.cache.load_full();
        cache.run_pending_tasks().await;
        self.metrics.cache_bytes.set(cache.weighted_size().cast_signed());
        self.metrics.cache_objects.set(cache.entry_count().cast_signed());
    }

    async fn replace(&self, key: CacheKey, head: StoredResponse, body: StoredBody) {
        let store_key = StoreKey::Head(key);
        let cache = self.cache.load_full();
        let old = cache.get(&store_key).await;
        self.insert(store_key, Value::Response { head: Arc::new(head), body }).await;
        // Slices of the response that was replaced can no longer be found; free them now instead of by age.
        if let Some(Value::Response { head, body: StoredBody::Slices(object) }) = old {
            self.discard_slices(object, slice_count(head.body_length)).await;
        }
    }

    async fn insert(&self, key: StoreKey, value: Value) {
        let weight = u64::from(weigh(&key, &value));
        self.cache.load_full().insert(key, value).await;
        let since = self.unmaintained.fetch_add(weight, Ordering::Relaxed) + weight;
        // moka evicts in batches when it finds the time; unprompted it overshoots its bound several times over.
        if since >= limits::MAINTENANCE_BYTES {
            self.unmaintained.store(0, Ordering::Relaxed);
            self.maintain().await;
        }
    }
}

fn build(capacity: u64, metrics: &Arc<Metrics>) -> Cache<StoreKey, Value> {
    let metrics = Arc::clone(metrics);
    Cache::builder()
        .max_capacity(capacity)
        .weigher(weigh)
        .eviction_policy(EvictionPolicy::lru())
        .eviction_listener(move |_key, _value, cause| {
            if cause == RemovalCause::Size {
                metrics.cache_evictions.inc();
            }
        })
        .build()
}

/// Bytes that an entry takes. moka counts in `u32`; nothing here is larger than a slice and a head.
fn weigh(key: &StoreKey, value: &Value) -> u32 {
    let key_bytes = match key {
        StoreKey::Head(key) => key.as_bytes().len() as u64,
        StoreKey::Slice(..) => 0,
    };
    let value_bytes = match value {
        Value::Response { head, body: StoredBody::Whole(bytes) } => head.weight() + bytes.len() as u64,
        Value::Response { head, body: StoredBody::Slices(_) } => head.weight(),
        Value::Varies(names) => names.iter().map(|name| name.as_str().len() as u64 + 32).sum(),
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
