//! How long a response may be served without asking the origin.

use std::time::Duration;

use crate::entry::StoredResponse;
use crate::plan::CachePolicy;
use crate::timestamp::Timestamp;

impl CachePolicy {
    /// Freshness lifetime of a response under this policy (CloudFront: "Manage how long content stays in the cache",
    /// with the differences that the README lists; RFC 9111 § 4.2.1, § 4.2.2).
    pub fn lifetime(&self, response: &StoredResponse) -> Duration {
        let directives = &response.cache_control;
        let error = response.status.as_u16() >= 400;
        // What CloudFront's minimum overrides only on request; errors never, as CloudFront's 404 and 501.
        let forbidden = directives.no_store || directives.private || directives.no_cache;
        if forbidden || response.varies_on_everything() {
            let overridden = self.override_origin_directives && !error;
            if !overridden {
                return Duration::ZERO;
            }
            if forbidden {
                return self.min_ttl;
            }
        }
        match explicit(response) {
            // The lifetime of errors has a minimum of its own in CloudFront, which is not this policy's.
            Some(named) if error => named.min(self.max_ttl),
            Some(named) => named.max(self.min_ttl).min(self.max_ttl),
            None if !self.stores_without_lifetime(response) => Duration::ZERO,
            // The maximum is for what the origin names (canon of CloudFront: "consulted only when the origin sends").
            None => match self.default_ttl {
                Some(default) => default.max(self.min_ttl),
                None => heuristic(response).max(self.min_ttl).min(self.max_ttl),
            },
        }
    }

    /// Freshness that is left at `now`, in seconds; negative when it is stale.
    pub fn ttl(&self, response: &StoredResponse, now: Timestamp) -> i64 {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime(response)).saturating_sub(seconds(response.age(now)))
    }

    /// Whether it is fresh at `now`.
    pub fn is_fresh(&self, response: &StoredResponse, now: Timestamp) -> bool {
        self.lifetime(response) > response.age(now)
    }
}

/// Longest heuristic freshness: a day. RFC 9111 § 4.2.2 leaves it open; beyond a day its predecessors asked for a
/// warning, and nobody expects a page to stay unseen for longer without having said so.
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl CachePolicy {
    /// Whether a response that names no lifetime may get the default one. RFC 9110 § 15.1 lists the statuses, for which
    /// heuristics are sound; `public` extends it to all (RFC 9111 § 3). CloudFront adds 302 and 303 and wants 307 and
    /// 308 to name their lifetime. Errors always have to.
    pub(crate) fn stores_without_lifetime(&self, response: &StoredResponse) -> bool {
        match response.status.as_u16() {
            200 | 203 | 204 | 300 | 301 => true,
            308 => self.origin_controlled || response.cache_control.public,
            302 | 303 => !self.origin_controlled || response.cache_control.public,
            400.. => false,
            _ => response.cache_control.public,
        }
    }
}

/// What the origin names: `s-maxage`, else `max-age`, else Expires counted from Date (RFC 9111 § 4.2.1).
fn explicit(response: &StoredResponse) -> Option<Duration> {
    let directives = &response.cache_control;
    let seconds = directives.s_maxage.or(directives.max_age).map(Duration::from_secs);
    seconds.or_else(|| response.expires.map(|expires| expires.since(response.date)))
}

/// A tenth of the time since the last change, at most [`HEURISTIC_MAX`] (RFC 9111 § 4.2.2).
fn heuristic(response: &StoredResponse) -> Duration {
    let unchanged = response.last_modified.map_or(Duration::ZERO, |modified| response.date.since(modified));
    (unchanged / 10).min(HEURISTIC_MAX)
}

#[cfg(test)]
mod tests;
