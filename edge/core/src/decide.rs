//! Step 7, decide: answer from the cache, or ask the origin?

use http::Method;
use http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, SET_COOKIE,
};

use crate::cache_control::CacheControl;
use crate::edge_config::{CachedMethods, SetCookiePolicy};
use crate::entry::StoredResponse;
use crate::outcome::Reason;
use crate::request::{Refusal, ViewerRequest};
use crate::route::Route;
use crate::timestamp::Timestamp;

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The stored response is fresh: send it.
    Serve,
    /// Fetch, let others who ask the same wait for it, and store it if it may be stored. `Miss` or `Expired`.
    Fetch(Reason),
    /// Pass it to the origin on its own; nothing is stored and nobody waits.
    Bypass(Reason),
    /// Answer without the origin.
    Refuse(Refusal),
}

impl Route {
    /// Whether this request can be answered from the cache or by a shared fetch at all; else the reason to pass it
    /// through. Asked before the lookup, which is skipped for requests that cannot use it.
    pub fn uses_cache(&self, request: &ViewerRequest) -> Result<(), Reason> {
        // A body is not in the key; of the cached methods only OPTIONS can have one.
        if !self.caches_method(&request.method) || request.has_body {
            return Err(Reason::MethodNotCached);
        }
        // Who asks for what is stored or nothing must not be passed through; what is stored answers it whole, without
        // regard to condition and range, as RFC 9110 § 13.2.1 and § 14.2 permit.
        if only_if_cached(request) {
            return Ok(());
        }
        if self.behavior.cache_policy.is_disabled() {
            return Err(Reason::CachingDisabled);
        }
        if CONDITIONS.iter().any(|name| request.headers.contains_key(name)) {
            return Err(Reason::ConditionalRequest);
        }
        if request.headers.contains_key(RANGE) {
            return Err(Reason::RangeRequest);
        }
        Ok(())
    }

    /// Judges what the lookup found.
    pub fn decide(&self, found: Option<&StoredResponse>, request: &ViewerRequest, now: Timestamp) -> Decision {
        let fresh = found.is_some_and(|response| {
            self.caches_method(&request.method)
                && self.behavior.cache_policy.is_fresh(response, now)
                && self.may_replay(response, request)
        });
        if fresh {
            return Decision::Serve;
        }
        if only_if_cached(request) {
            return Decision::Refuse(Refusal::new(Reason::OnlyIfCached, "it is not in the cache, and only-if-cached"));
        }
        if let Err(reason) = self.uses_cache(request) {
            return Decision::Bypass(reason);
        }
        // Its answer has no body, so nobody who wants the body could wait for it.
        if request.method == Method::HEAD {
            return Decision::Bypass(Reason::HeadMiss);
        }
        Decision::Fetch(if found.is_some() { Reason::Expired } else { Reason::Miss })
    }

    /// GET and HEAD always, OPTIONS where the behaviour says so (CloudFront: "Cached HTTP methods").
    pub(crate) fn caches_method(&self, method: &Method) -> bool {
        match *method {
            Method::GET | Method::HEAD => true,
            Method::OPTIONS => self.behavior.cached_methods == CachedMethods::GetHeadOptions,
            _ => false,
        }
    }

    /// Whether the policy of this moment would have stored this response for this request. The one under which it was
    /// stored may have been another.
    fn may_replay(&self, response: &StoredResponse, request: &ViewerRequest) -> bool {
        let policy = &self.behavior.cache_policy;
        let cookie = policy.set_cookie != SetCookiePolicy::Store && response.headers.contains_key(SET_COOKIE);
        !cookie
            && self.check_status(response).is_ok()
            && self.may_share(response, self.unkeyed_credentials(&request.headers))
    }
}

/// Fields that make a request conditional (RFC 9110 § 13.1).
pub(crate) const CONDITIONS: [HeaderName; 5] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];

/// The one request directive that is honoured: it costs the origin nothing (RFC 9111 § 5.2.1.7).
fn only_if_cached(request: &ViewerRequest) -> bool {
    CacheControl::parse(&request.headers).only_if_cached
}

#[cfg(test)]
mod tests;
