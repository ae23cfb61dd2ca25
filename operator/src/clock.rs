//! The only place that reads a clock or a source of chance. Everything that decides takes the time as a parameter.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use k8s_openapi::jiff::Timestamp;

/// Wall-clock time, to the second: conditions carry no fractions.
pub fn now() -> Timestamp {
    let seconds = i64::try_from(unix_time().as_secs()).expect("seconds since 1970 fit 63 bits");
    Timestamp::from_second(seconds).expect("the machine's clock is within the years -9999 to 9999")
}

/// A point on the clock that never jumps, for durations.
#[expect(clippy::disallowed_methods, reason = "the one reading of this clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// Time since this was asked first; never goes back.
pub fn uptime() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let now = instant();
    now.saturating_duration_since(*START.get_or_init(|| now))
}

/// Whole seconds since 1970: the term of an operator that stands for no election.
pub fn unix_seconds() -> u64 {
    unix_time().as_secs()
}

#[expect(clippy::disallowed_methods, reason = "the one reading of the clock")]
fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A number from 0 to 1, different at each call. Good enough to spread retries; never for keys.
pub fn fraction() -> f64 {
    // The standard library seeds each RandomState differently; the hash of nothing is that seed, mixed.
    let bits = RandomState::new().hash_one(()) >> 32;
    bits as f64 / f64::from(u32::MAX)
}
