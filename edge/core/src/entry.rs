//! What is kept of a response besides its body.

use std::time::Duration;

use http::header::ETAG;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::cache_control::CacheControl;
use crate::timestamp::Timestamp;

/// Head of a stored response: what the origin said, unjudged. Freshness is decided at lookup, with the policy of that
/// moment, so that a changed lifetime holds for what is already stored.
#[derive(Clone, Debug)]
pub struct StoredResponse {
    /// Status.
    pub status: StatusCode,
    /// End-to-end fields, without framing, without Age; Date is always there.
    pub headers: HeaderMap,
    /// Cache directives, parsed: Cache-Control, or the field addressed to CDNs.
    pub cache_control: CacheControl,
    /// `Expires`: absent, or the instant; unreadable ones are the epoch (RFC 9111 § 5.3: already expired). Absent too
    /// where a field addressed to CDNs counts instead (RFC 9213 § 2.2).
    pub expires: Option<Timestamp>,
    /// `Last-Modified`, where readable.
    pub last_modified: Option<Timestamp>,
    /// `Date`, or the time of receipt.
    pub date: Timestamp,
    /// When the origin was asked.
    pub requested_at: Timestamp,
    /// When the response head was received.
    pub received_at: Timestamp,
    /// `corrected_initial_age` of RFC 9111 § 4.2.3.
    pub initial_age: Duration,
    /// Invalidation epoch read before the origin request.
    pub epoch: u64,
    /// Count of invalidations by unsafe methods, read before the origin request; see
    /// [`invalidation`](crate::invalidation).
    pub generation: u64,
    /// Place of the origin request among all of them, read before it: what was asked for later is newer.
    pub turn: u64,
    /// Names in `Vary`, lower case, sorted, without repetition.
    pub vary: Vec<HeaderName>,
    /// Whether `*` is among them: it answers nobody else, unless a policy says otherwise.
    pub varies_on_everything: bool,
    /// Length of the body, bytes.
    pub body_length: u64,
}

impl StoredResponse {
    /// Age at `now` (RFC 9111 § 4.2.3, `current_age`).
    pub fn age(&self, now: Timestamp) -> Duration {
        self.initial_age + now.since(self.received_at)
    }

    /// The larger, the newer, of responses for the same request. Not by `Date`, for which RFC 9111 § 4 asks: clocks of
    /// several origin servers differ, and a clock that was set back must not keep out what comes after that.
    pub fn recency(&self) -> (u64, u64) {
        (self.generation, self.turn)
    }

    /// Bytes of memory that this head takes, bookkeeping included. An estimate on the high side.
    pub fn weight(&self) -> u64 {
        // Each field takes a slot of the map and of its index; the map keeps room to spare.
        let fields: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let slots = self.headers.capacity().max(self.headers.len()) * HEADER_SLOT_BYTES;
        let names: usize = self.vary.iter().map(|name| size_of::<HeaderName>() + name.as_str().len()).sum();
        (size_of::<Self>() + fields + slots + names) as u64
    }

    /// Whether the origin can be asked if it has changed (RFC 9110 § 8.8).
    pub(crate) fn has_validator(&self) -> bool {
        self.last_modified.is_some() || self.headers.contains_key(ETAG)
    }

    /// Whether the origin says how long it is fresh.
    pub(crate) fn has_explicit_freshness(&self) -> bool {
        self.cache_control.names_lifetime() || self.expires.is_some()
    }
}

/// Memory of one slot of a header map, bytes: the bucket (hash, name, value, links) and its share of the index.
const HEADER_SLOT_BYTES: usize = size_of::<(HeaderName, HeaderValue)>() + 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOON, stored};

    #[test]
    fn age_grows_from_its_initial_value() {
        let response = StoredResponse { initial_age: Duration::from_secs(5), ..stored("") };
        assert_eq!(response.age(NOON), Duration::from_secs(5));
        assert_eq!(response.age(NOON.plus(Duration::from_secs(7))), Duration::from_secs(12));
        assert_eq!(response.age(Timestamp::from_millis(0)), Duration::from_secs(5));
    }

    #[test]
    fn weight_counts_every_part() {
        let plain = stored("").weight();
        assert!(plain >= size_of::<StoredResponse>() as u64);
        assert!(stored(&format!("X-A: {}", "a".repeat(1_000))).weight() >= plain + 1_000);
        let vary = vec![HeaderName::from_static("accept"); 10];
        assert!(StoredResponse { vary, ..stored("") }.weight() >= plain + 10 * size_of::<HeaderName>() as u64);
    }
}
