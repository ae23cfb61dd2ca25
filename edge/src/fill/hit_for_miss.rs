//! Keys whose last response could not be stored.
//!
//! Without this memory every request for an uncacheable response would wait for the one before it, one after another.

use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;

use moka::future::Cache;
use moka::policy::EvictionPolicy;

/// A bounded table of keys, each for a short time.
#[derive(Debug)]
pub(super) struct HitForMiss(Cache<CacheKey, ()>);

impl HitForMiss {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(limits::HIT_FOR_MISS_KEYS)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(limits::HIT_FOR_MISS)
                .build(),
        )
    }

    pub(super) fn contains(&self, key: &CacheKey) -> bool {
        self.0.contains_key(key)
    }

    pub(super) async fn insert(&self, key: CacheKey) {
        self.0.insert(key, ()).await;
    }
}
