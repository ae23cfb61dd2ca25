//! Keys of which something became known a moment ago: their last response could not be stored, or their origin failed.
//!
//! Without the first memory every request for an uncacheable response would wait for the one before it, one after
//! another; without the second one a failing origin would be asked for every request that a stale response answers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;

/// Bytes that a key in a table takes, roughly.
pub(super) fn weight(key: &CacheKey) -> u32 {
    u32::try_from(key.as_bytes().len()).unwrap_or(u32::MAX).saturating_add(ENTRY_BYTES)
}

/// What an entry takes beside the bytes of its key.
const ENTRY_BYTES: u32 = 192;

/// A bounded table of keys, each for the same short time; the oldest makes room for one too many. Only what asks an
/// origin looks at it, so one lock for all workers is no matter.
#[derive(Debug)]
pub(super) struct RecentKeys {
    /// How long a key is known.
    time: Duration,
    known: Mutex<Known>,
}

/// Times are those of [`crate::clock::Clock::uptime`].
#[derive(Debug, Default)]
struct Known {
    until: HashMap<CacheKey, Duration>,
    /// In order of their ends. A key that was noted again stands here more than once, and only its last end counts.
    ends: VecDeque<(Duration, CacheKey)>,
    /// What `ends` takes: never less than what `until` takes, which shares its keys.
    bytes: u64,
}

impl RecentKeys {
    pub(super) fn new(time: Duration) -> Self {
        Self { time, known: Mutex::default() }
    }

    /// Whether a key was noted less than its time ago.
    pub(super) fn contains(&self, key: &CacheKey, uptime: Duration) -> bool {
        self.known().until.get(key).is_some_and(|&until| uptime < until)
    }

    /// Notes a key.
    pub(super) fn insert(&self, key: CacheKey, uptime: Duration) {
        let mut known = self.known();
        known.note(key, uptime + self.time);
        known.forget(uptime);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic while the lock is held leaves a key too many in one of the two.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn note(&mut self, key: CacheKey, until: Duration) {
        // Many requests may learn the same at the same moment.
        if self.until.insert(key.clone(), until) != Some(until) {
            self.bytes += u64::from(weight(&key));
            self.ends.push_back((until, key));
        }
    }

    /// Forgets what has come to its end, and the oldest of what is too much.
    fn forget(&mut self, uptime: Duration) {
        loop {
            let crowded = self.bytes > limits::RECENT_KEYS_BYTES;
            let Some((end, key)) = self.ends.pop_front_if(|(end, _)| crowded || *end <= uptime) else { return };
            self.bytes -= u64::from(weight(&key));
            if self.until.get(&key) == Some(&end) {
                self.until.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    fn key(text: &str) -> CacheKey {
        CacheKey::from_bytes(text.as_bytes())
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_key_is_known_for_its_time_and_not_a_moment_longer() {
        let keys = RecentKeys::new(TIME);
        keys.insert(key("a"), at(100));
        assert!(keys.contains(&key("a"), at(100)));
        assert!(keys.contains(&key("a"), at(110) - Duration::from_micros(1)));
        assert!(!keys.contains(&key("a"), at(110)));
        assert!(!keys.contains(&key("b"), at(100)));
    }

    #[test]
    fn what_is_noted_again_is_known_from_then_on() {
        let keys = RecentKeys::new(TIME);
        keys.insert(key("a"), at(100));
        keys.insert(key("a"), at(105));
        // The first end passes, and takes nothing with it.
        keys.insert(key("b"), at(112));
        assert!(keys.contains(&key("a"), at(112)));
        assert!(!keys.contains(&key("a"), at(115)));
    }

    #[test]
    fn what_has_ended_leaves_nothing_behind() {
        let keys = RecentKeys::new(TIME);
        for number in 0..1_000 {
            keys.insert(key(&format!("{number}")), at(100));
        }
        keys.insert(key("last"), at(110));
        let known = keys.known();
        assert_eq!((known.until.len(), known.ends.len()), (1, 1));
        assert_eq!(known.bytes, u64::from(weight(&key("last"))));
    }

    #[test]
    fn keys_beyond_the_bound_take_the_place_of_the_oldest() {
        let keys = RecentKeys::new(TIME);
        let long = |number: u64| key(&format!("{number:->32000}"));
        let fit = limits::RECENT_KEYS_BYTES / u64::from(weight(&long(0)));
        for number in 0..3 * fit {
            keys.insert(long(number), at(100));
            assert!(keys.known().bytes <= limits::RECENT_KEYS_BYTES);
        }
        let known = keys.known();
        assert_eq!((known.until.len() as u64, known.ends.len() as u64), (fit, fit));
        drop(known);
        assert!(!keys.contains(&long(0), at(101)));
        assert!(!keys.contains(&long(2 * fit - 1), at(101)));
        assert!(keys.contains(&long(2 * fit), at(101)) && keys.contains(&long(3 * fit - 1), at(101)));
    }

    #[test]
    fn one_key_noted_over_and_over_takes_bounded_room() {
        let keys = RecentKeys::new(TIME);
        let long = key(&"x".repeat(32_000));
        for micros in 0..2_000 {
            keys.insert(long.clone(), at(100) + Duration::from_micros(micros));
        }
        let known = keys.known();
        assert!(known.bytes <= limits::RECENT_KEYS_BYTES && known.ends.len() < 600, "{} ends", known.ends.len());
        drop(known);
        assert!(keys.contains(&long, at(105)));
    }
}
