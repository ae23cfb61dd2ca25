//! Keys of which something became known a moment ago: their last response could not be stored, or their origin failed.
//!
//! Without the first memory every request for an uncacheable response would wait for the one before it, one after
//! another; without the second one a failing origin would be asked for every request that a stale response answers.

use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use proxima_edge_core::key::CacheKey;

/// A bounded table of keys, each for a short time.
#[derive(Debug)]
pub(super) struct RecentKeys(Cache<CacheKey, ()>);

impl RecentKeys {
    pub(super) fn new(most: u64, time: Duration) -> Self {
        Self(Cache::builder().max_capacity(most).eviction_policy(EvictionPolicy::lru()).time_to_live(time).build())
    }

    pub(super) fn contains(&self, key: &CacheKey) -> bool {
        self.0.contains_key(key)
    }

    pub(super) async fn insert(&self, key: CacheKey) {
        self.0.insert(key, ()).await;
    }
}
