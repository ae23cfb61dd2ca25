//! How many variants of one resource are kept.
//!
//! A response that varies by a header of any value (User-Agent, a cookie) would otherwise fill the cache with copies of
//! one page, at the cost of everything else that is in it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;

/// Keys of the variants stored lately, by primary key, oldest first.
#[derive(Debug)]
pub(super) struct Variants(Cache<CacheKey, Arc<Mutex<VecDeque<CacheKey>>>>);

impl Variants {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(limits::VARIANT_KEYS).eviction_policy(EvictionPolicy::lru()).build())
    }

    /// Notes a variant that is about to be stored; returns the one to forget for it, if there are too many.
    pub(super) async fn note(&self, primary: &CacheKey, variant: &CacheKey) -> Option<CacheKey> {
        let known = self.0.get_with_by_ref(primary, std::future::ready(Arc::default())).await;
        // Nothing can panic while the lock is held.
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(variant) {
            return None;
        }
        known.push_back(variant.clone());
        if known.len() > limits::VARIANTS { known.pop_front() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_variant_makes_room_for_one_too_many() {
        let variants = Variants::new();
        let key = |number: usize| CacheKey::from_bytes(format!("variant {number}").as_bytes());
        let (page, other) = (CacheKey::from_bytes(b"page"), CacheKey::from_bytes(b"other"));
        for number in 0..limits::VARIANTS {
            assert_eq!(variants.note(&page, &key(number)).await, None);
        }
        assert_eq!(variants.note(&page, &key(5)).await, None, "it is known");
        assert_eq!(variants.note(&other, &key(999)).await, None, "another resource");
        assert_eq!(variants.note(&page, &key(999)).await, Some(key(0)));
        assert_eq!(variants.note(&page, &key(0)).await, Some(key(1)));
    }
}
