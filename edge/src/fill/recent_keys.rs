//! Keys of which something became known a moment ago: their last response could not be stored, or their origin failed.
//!
//! Without the first memory every request for an uncacheable response would wait for the one before it, one after
//! another; without the second one a failing origin would be asked for every request that a stale response answers.

use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;

/// Bytes that a key in a table takes, roughly.
pub(super) fn weight(key: &CacheKey) -> u32 {
    u32::try_from(key.as_bytes().len()).unwrap_or(u32::MAX).saturating_add(ENTRY_BYTES)
}

/// What an entry takes beside the bytes of its key.
const ENTRY_BYTES: u32 = 128;

/// A bounded table of keys, each for a short time.
#[derive(Debug)]
pub(super) struct RecentKeys(Cache<CacheKey, ()>);

impl RecentKeys {
    pub(super) fn new(time: Duration) -> Self {
        let keys = Cache::builder().eviction_policy(EvictionPolicy::lru()).max_capacity(limits::RECENT_KEYS_BYTES);
        Self(keys.weigher(|key, ()| weight(key)).time_to_live(time).build())
    }

    pub(super) fn contains(&self, key: &CacheKey) -> bool {
        self.0.contains_key(key)
    }

    pub(super) async fn insert(&self, key: CacheKey) {
        self.0.insert(key, ()).await;
    }
}
