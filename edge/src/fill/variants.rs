//! How many variants of one resource are kept.
//!
//! A response that varies by a header of any value (User-Agent, a cookie) would otherwise fill the cache with copies of
//! one page, at the cost of everything else that is in it.

use std::collections::VecDeque;
use std::sync::Arc;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;

use super::recent_keys::weight;

/// Keys of the variants stored lately, by primary key, oldest first. Bounded by what they weigh, since a key holds values
/// that viewers choose.
#[derive(Debug)]
pub(super) struct Variants(Cache<CacheKey, Arc<VecDeque<CacheKey>>>);

impl Variants {
    pub(super) fn new() -> Self {
        let known = Cache::builder().eviction_policy(EvictionPolicy::lru()).max_capacity(limits::VARIANT_KEYS_BYTES);
        let weigher = |primary: &CacheKey, variants: &Arc<VecDeque<CacheKey>>| {
            variants.iter().fold(weight(primary), |sum, key| sum.saturating_add(weight(key)))
        };
        Self(known.weigher(weigher).build())
    }

    /// Notes a variant that is about to be stored; returns the one to forget for it, if there are too many. Of two that
    /// are noted at the same moment one may be overlooked.
    pub(super) async fn note(&self, primary: &CacheKey, variant: &CacheKey) -> Option<CacheKey> {
        let known = self.0.get(primary).await.unwrap_or_default();
        if known.contains(variant) {
            return None;
        }
        let mut known = VecDeque::clone(&known);
        known.push_back(variant.clone());
        let oldest = if known.len() > limits::VARIANTS { known.pop_front() } else { None };
        // Inserted anew, so that it is weighed again.
        self.0.insert(primary.clone(), Arc::new(known)).await;
        oldest
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

    #[tokio::test]
    async fn what_is_known_of_many_resources_with_long_variants_stays_within_its_bound() {
        let variants = Variants::new();
        let long = |text: String| CacheKey::from_bytes(format!("{text:->32000}").as_bytes());
        let resource = limits::VARIANTS as u64 * u64::from(weight(&long(String::new())));
        for page in 0..2 * limits::VARIANT_KEYS_BYTES / resource {
            let primary = long(format!("page {page}"));
            for number in 0..limits::VARIANTS {
                variants.note(&primary, &long(format!("{page} {number}"))).await;
            }
        }
        let weight_of = |primary: &CacheKey, keys: &VecDeque<CacheKey>| {
            keys.iter().chain([primary]).map(|key| u64::from(weight(key))).sum::<u64>()
        };
        let held: u64 = variants.0.iter().map(|(primary, keys)| weight_of(&primary, &keys)).sum();
        // Evictions come in batches, a little late.
        assert!(held <= limits::VARIANT_KEYS_BYTES * 5 / 4, "{held} bytes");
        assert!(held >= limits::VARIANT_KEYS_BYTES / 2, "{held} bytes");
    }
}
