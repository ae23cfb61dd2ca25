//! Step 7, decide: answer from the cache, or ask the origin?

use http::Method;
use http::header::SET_COOKIE;

use crate::cache_control::CacheControl;
use crate::conditional;
use crate::edge_config::{CachedMethods, SetCookiePolicy};
use crate::entry::StoredResponse;
use crate::outcome::Reason;
use crate::part::{Representation, reads};
use crate::range::RangeSet;
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
        // Who asks for what is stored or nothing must not be passed through.
        if only_if_cached(request) {
            return Ok(());
        }
        if self.behavior.cache_policy.is_disabled() {
            return Err(Reason::CachingDisabled);
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
        // What is stored need not be the latest, so it cannot refute what a viewer believes of the latest.
        let refuted = || found.is_some_and(|response| Representation::stored(response).fails(request));
        if fresh && !refuted() {
            return Decision::Serve;
        }
        if only_if_cached(request) {
            return Decision::Refuse(Refusal::new(Reason::OnlyIfCached, "it is not in the cache, and only-if-cached"));
        }
        if let Err(reason) = self.uses_cache(request) {
            return Decision::Bypass(reason);
        }
        if let Some(reason) = for_origin(request) {
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

/// Why a request that the cache cannot answer is not one for a shared fetch: the origin has to see its condition, or it
/// asks for a part, and the whole might be a thousand times as much (RangeAmp). Other conditions can be judged when the
/// whole is here.
fn for_origin(request: &ViewerRequest) -> Option<Reason> {
    if !reads(&request.method) {
        return None;
    }
    if conditional::is_for_origin(&request.headers) {
        return Some(Reason::ConditionalRequest);
    }
    let asks_for_part = request.method == Method::GET && RangeSet::of(&request.headers).is_some();
    asks_for_part.then_some(Reason::RangeRequest)
}

/// The one request directive that is honoured: it costs the origin nothing (RFC 9111 § 5.2.1.7).
fn only_if_cached(request: &ViewerRequest) -> bool {
    CacheControl::parse(&request.headers).only_if_cached
}

#[cfg(test)]
mod tests;
