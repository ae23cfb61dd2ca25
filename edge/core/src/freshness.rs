//! How long a response may be served without asking the origin, and for how long after that when the origin cannot help.

use std::time::Duration;

use http::StatusCode;

use crate::entry::StoredResponse;
use crate::limits;
use crate::plan::CachePolicy;
use crate::timestamp::Timestamp;

impl CachePolicy {
    /// The age until which a response is fresh under this policy (CloudFront: "Manage how long content stays in the cache",
    /// with the differences that the README lists; RFC 9111 § 4.2.1, § 4.2.2). What the origin names counts from when the
    /// response was made; the policy's own minimum is time that it stays here, however old it came.
    pub fn lifetime(&self, response: &StoredResponse) -> Duration {
        let here = |least: Duration| if least.is_zero() { least } else { response.initial_age + least };
        let (min_ttl, error_minimum) = (here(self.min_ttl), || here(self.error_minimum(response.status)));
        let directives = &response.cache_control;
        let error = response.status.as_u16() >= 400;
        let forbidden = directives.forbids_storing(response.status) || directives.private || directives.no_cache;
        if forbidden || response.varies_on_everything {
            if !self.overrides(response.status) {
                return Duration::ZERO;
            }
            if forbidden {
                return if error { error_minimum() } else { min_ttl };
            }
        }
        match explicit(response) {
            // CloudFront: "the maximum of the error caching minimum and what the origin names".
            Some(named) if error => named.min(self.max_ttl).max(error_minimum()),
            Some(named) => named.min(self.max_ttl).max(min_ttl),
            None if !self.stores_without_lifetime(response) => Duration::ZERO,
            None if error && !self.origin_controlled => error_minimum(),
            // The maximum is for what the origin names (canon of CloudFront: "consulted only when the origin sends").
            None => match self.default_ttl {
                Some(default) => default.max(min_ttl),
                None if error => heuristic(response).min(self.max_ttl),
                None => heuristic(response).min(self.max_ttl).max(min_ttl),
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

    /// Whether it was fresh when it came, to those who were waiting for it: the time that it took to come is not counted,
    /// since they would wait as long for a fresher one.
    pub(crate) fn arrived_fresh(&self, response: &StoredResponse) -> bool {
        let delay = response.received_at.since(response.requested_at);
        self.lifetime(response) > response.initial_age.saturating_sub(delay)
    }

    /// Whether the minimum wins over what forbids storing. On request only; and never for the errors for which
    /// CloudFront honours the origin's word.
    pub(crate) fn overrides(&self, status: StatusCode) -> bool {
        let listens = match status.as_u16() {
            404 | 410 | 414 | 501 => true,
            status => status >= 400 && !self.caches_error(status),
        };
        self.override_origin_directives && !self.min_ttl.is_zero() && !listens
    }

    /// Least lifetime of an error (CloudFront: default of `ErrorCachingMinTTL`).
    fn error_minimum(&self, status: StatusCode) -> Duration {
        if self.caches_error(status.as_u16()) { limits::ERROR_TTL } else { Duration::ZERO }
    }

    /// Errors that are stored whether or not they name a lifetime (CloudFront: "HTTP 4xx and 5xx status codes that
    /// CloudFront always caches"). RFC 9111 knows no such thing.
    fn caches_error(&self, status: u16) -> bool {
        !self.origin_controlled && !self.is_disabled() && matches!(status, 404 | 410 | 414 | 500..=504)
    }
}

/// What makes an expired response usable without the origin's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// It is being refreshed meanwhile (RFC 5861 § 3).
    WhileRevalidate,
    /// The origin failed (RFC 5861 § 4; CloudFront: "Serve stale (expired) content").
    IfError,
}

impl CachePolicy {
    /// Whether a response that is no longer fresh may still be served (RFC 9111 § 4.2.4). What forbids it, forbids it
    /// whatever else is said; `s-maxage` yields to an explicit permission for this very purpose (RFC 9111 § 5.2.2.10, RFC
    /// 5861), not to what the policy would do unasked.
    pub fn may_serve_stale(&self, response: &StoredResponse, why: Staleness, now: Timestamp) -> bool {
        let directives = &response.cache_control;
        if forbids_stale(response) {
            return false;
        }
        let window = match why {
            Staleness::WhileRevalidate => directives.stale_while_revalidate.map(Duration::from_secs),
            Staleness::IfError => match directives.stale_if_error {
                Some(seconds) => Some(Duration::from_secs(seconds)),
                None => self.serves_stale_unasked(response).then_some(self.max_ttl),
            },
        };
        window.is_some_and(|window| self.staleness(response, now) < window.min(self.max_ttl))
    }

    /// Whether there is a use for it when it is not fresh: it can be revalidated, or the origin says that it may be
    /// served stale. CloudFront's own permission does not count, since it holds for what was fresh once.
    pub(crate) fn is_useful_when_stale(&self, response: &StoredResponse) -> bool {
        let directives = &response.cache_control;
        let named = directives.stale_while_revalidate.max(directives.stale_if_error);
        let stale = named.is_some_and(|seconds| seconds > 0) && !forbids_stale(response);
        stale || response.has_validator()
    }

    /// How long it has been stale.
    pub(crate) fn staleness(&self, response: &StoredResponse, now: Timestamp) -> Duration {
        response.age(now).saturating_sub(self.lifetime(response))
    }

    /// Whether an origin's answer counts as its failure: the statuses of RFC 5861 § 4, or every 5xx as in CloudFront.
    pub fn is_origin_failure(&self, status: StatusCode) -> bool {
        if self.origin_controlled { matches!(status.as_u16(), 500 | 502 | 503 | 504) } else { status.as_u16() >= 500 }
    }

    /// CloudFront serves what expired when the origin fails, also without being told so. An error is not worth it, and
    /// `s-maxage` forbids it.
    fn serves_stale_unasked(&self, response: &StoredResponse) -> bool {
        !self.origin_controlled && response.status.as_u16() < 400 && response.cache_control.s_maxage.is_none()
    }
}

/// Whether the origin forbids to serve it stale in any case.
pub(crate) fn forbids_stale(response: &StoredResponse) -> bool {
    let directives = &response.cache_control;
    directives.must_revalidate || directives.proxy_revalidate || directives.no_cache
}

/// Whether the origin forbids that a viewer takes it stale: `s-maxage` forbids it as `proxy-revalidate` does (RFC 9111
/// § 5.2.2.10), and only the origin itself can permit it again.
pub(crate) fn forbids_stale_to_viewers(response: &StoredResponse) -> bool {
    forbids_stale(response) || response.cache_control.s_maxage.is_some()
}

/// Longest heuristic freshness: a day. RFC 9111 § 4.2.2 leaves it open; beyond a day its predecessors asked for a
/// warning, and nobody expects a page to stay unseen for longer without having said so.
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl CachePolicy {
    /// Whether a response that names no lifetime may get one. RFC 9110 § 15.1 lists the statuses for which heuristics
    /// are sound; `public` extends it to all (RFC 9111 § 3, § 4.2.2). CloudFront adds 302, 303 and some errors, and wants
    /// the other statuses to name their lifetime.
    pub(crate) fn stores_without_lifetime(&self, response: &StoredResponse) -> bool {
        match response.status.as_u16() {
            200 | 203 | 204 | 300 | 301 => true,
            308 | 404 | 405 | 410 | 414 | 501 if self.origin_controlled => true,
            302 | 303 if !self.origin_controlled => true,
            status @ 400.. if !self.origin_controlled => self.caches_error(status),
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
