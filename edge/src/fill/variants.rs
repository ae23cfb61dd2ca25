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

/// Keys of the variants stored lately, by primary key, in the order in which they have to go. Bounded by what they weigh, since a key holds values
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

    /// Notes a variant that is about to be stored; returns the one to forget for it, if there are too many: the oldest
    /// that nobody has `used` since it was asked last (a second chance), so that junk does not drive out what is asked
    /// for. Of two that are noted at the same moment one may be overlooked.
    pub(super) async fn note(
        &self,
        primary: &CacheKey,
        variant: &CacheKey,
        used: impl AsyncFn(&CacheKey) -> bool,
    ) -> Option<CacheKey> {
        let known = self.0.get(primary).await.unwrap_or_default();
        if known.contains(variant) {
            return None;
        }
        let mut known = VecDeque::clone(&known);
        let forgotten = if known.len() < limits::VARIANTS {
            None
        } else {
            let mut chances = known.len();
            while chances > 0 && used(&known[0]).await {
                known.rotate_left(1);
                chances -= 1;
            }
            known.pop_front()
        };
        known.push_back(variant.clone());
        // Inserted anew, so that it is weighed again.
        self.0.insert(primary.clone(), Arc::new(known)).await;
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn unused(_: &CacheKey) -> bool {
        false
    }

    #[tokio::test]
    async fn the_oldest_variant_makes_room_for_one_too_many() {
        let variants = Variants::new();
        let key = |number: usize| CacheKey::from_bytes(format!("variant {number}").as_bytes());
        let (page, other) = (CacheKey::from_bytes(b"page"), CacheKey::from_bytes(b"other"));
        for number in 0..limits::VARIANTS {
            assert_eq!(variants.note(&page, &key(number), unused).await, None);
        }
        assert_eq!(variants.note(&page, &key(5), unused).await, None, "it is known");
        assert_eq!(variants.note(&other, &key(999), unused).await, None, "another resource");
        assert_eq!(variants.note(&page, &key(999), unused).await, Some(key(0)));
        assert_eq!(variants.note(&page, &key(0), unused).await, Some(key(1)));
    }

    #[tokio::test]
    async fn a_variant_that_is_used_stays_as_long_as_others_are_not() {
        let variants = Variants::new();
        let key = |number: usize| CacheKey::from_bytes(format!("variant {number}").as_bytes());
        let page = CacheKey::from_bytes(b"page");
        for number in 0..limits::VARIANTS {
            assert_eq!(variants.note(&page, &key(number), unused).await, None);
        }
        let hot = async |variant: &CacheKey| *variant == key(0);
        for junk in 1..3 * limits::VARIANTS {
            let forgotten = variants.note(&page, &key(1_000 + junk), hot).await.expect("one has to go");
            assert_ne!(forgotten, key(0));
        }
        let all = async |_: &CacheKey| true;
        let oldest = variants.0.get(&page).await.unwrap()[0].clone();
        assert_eq!(variants.note(&page, &key(1), all).await, Some(oldest), "where all are used, the oldest");
    }

    #[tokio::test]
    async fn what_is_known_of_many_resources_with_long_variants_stays_within_its_bound() {
        let variants = Variants::new();
        let long = |text: String| CacheKey::from_bytes(format!("{text:->32000}").as_bytes());
        let resource = limits::VARIANTS as u64 * u64::from(weight(&long(String::new())));
        for page in 0..2 * limits::VARIANT_KEYS_BYTES / resource {
            let primary = long(format!("page {page}"));
            for number in 0..limits::VARIANTS {
                variants.note(&primary, &long(format!("{page} {number}")), unused).await;
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
