//! Step 7, decide: answer from the cache, or ask the origin?

use std::time::Duration;

use http::Method;
use http::header::{MAX_FORWARDS, SET_COOKIE};

use crate::cache_control::CacheControl;
use crate::conditional;
use crate::edge_config::{CachedMethods, SetCookiePolicy};
use crate::entry::StoredResponse;
use crate::freshness::{Staleness, forbids_stale_to_viewers};
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
    /// The stored response is stale and good enough: send it. `StaleWhileRevalidate`: and refresh it in the background;
    /// `StaleAsRequested`: and leave it.
    ServeStale(Reason),
    /// The stored response has expired: ask the origin whether it has changed, and let others who ask the same wait.
    Revalidate,
    /// Fetch, let others who ask the same wait for it, and store it if it may be stored. `Miss`, `Expired`, or
    /// `UnkeyedCredentials`.
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
        // A body is not in the key, nor who is meant to answer; of the cached methods only OPTIONS can have either.
        let addressed = || request.method == Method::OPTIONS && request.headers.contains_key(MAX_FORWARDS);
        if !self.caches_method(&request.method) || request.has_body || addressed() {
            return Err(Reason::MethodNotCached);
        }
        // Who asks for what is stored or nothing must not be passed through.
        if self.behavior.cache_policy.is_disabled() && !only_if_cached(request) {
            return Err(Reason::CachingDisabled);
        }
        Ok(())
    }

    /// Judges what the lookup found. What was invalidated or purged is not found.
    pub fn decide(&self, found: Option<&StoredResponse>, request: &ViewerRequest, now: Timestamp) -> Decision {
        let usable = found.filter(|response| self.caches_method(&request.method) && self.may_replay(response, request));
        let honored = if self.behavior.cache_policy.honor_request_directives {
            CacheControl::parse(&request.headers)
        } else {
            CacheControl::default()
        };
        // What is stored need not be the latest, so it cannot refute what a viewer believes of the latest.
        let refuted = usable.is_some_and(|response| Representation::stored(response).fails(request));
        if let Some(response) = usable.filter(|_| !honored.no_store && !refuted) {
            if self.satisfies(response, &honored, now) {
                return Decision::Serve;
            }
            if let Some(reason) = self.suffices_stale(response, &honored, now) {
                return Decision::ServeStale(reason);
            }
        }
        if only_if_cached(request) {
            return Decision::Refuse(Refusal::new(Reason::OnlyIfCached, "it is not in the cache, and only-if-cached"));
        }
        if let Err(reason) = self.uses_cache(request) {
            return Decision::Bypass(reason);
        }
        if let Some(reason) = for_origin(request, usable.is_some()) {
            return Decision::Bypass(reason);
        }
        if honored.no_store {
            return Decision::Bypass(Reason::RequestDirective);
        }
        // Its answer has no body, so nobody who wants the body could wait for it.
        if request.method == Method::HEAD {
            return Decision::Bypass(Reason::HeadMiss);
        }
        match (usable, found) {
            (Some(_), _) => Decision::Revalidate,
            (None, Some(response)) => Decision::Fetch(self.unusable(response, request, now)),
            (None, None) => Decision::Fetch(Reason::Miss),
        }
    }

    /// Whether an expired response stands in for a failed origin: by what the origin said, by the policy, or, where
    /// viewers are listened to, by what this one accepts.
    pub fn stands_in(&self, response: &StoredResponse, request: &ViewerRequest, now: Timestamp) -> bool {
        let policy = &self.behavior.cache_policy;
        let accepted = || {
            let seconds = CacheControl::parse(&request.headers).stale_if_error.unwrap_or(0);
            let within = policy.staleness(response, now) < Duration::from_secs(seconds);
            policy.honor_request_directives && within && !forbids_stale_to_viewers(response)
        };
        self.may_replay(response, request) && (policy.may_serve_stale(response, Staleness::IfError, now) || accepted())
    }

    /// Why a response that is stored under the right key may not be used for this request. One that would not be stored
    /// today is as good as not there.
    fn unusable(&self, response: &StoredResponse, request: &ViewerRequest, now: Timestamp) -> Reason {
        match () {
            () if !self.behavior.cache_policy.is_fresh(response, now) => Reason::Expired,
            () if !self.may_share(response, self.unkeyed_credentials(&request.headers)) => Reason::UnkeyedCredentials,
            () => Reason::Miss,
        }
    }

    /// Fresh, and as fresh as the viewer wants it (RFC 9111 § 5.2.1). `immutable` spares what a reload asks, but not
    /// what `no-cache` asks (RFC 8246 § 2).
    fn satisfies(&self, response: &StoredResponse, honored: &CacheControl, now: Timestamp) -> bool {
        let policy = &self.behavior.cache_policy;
        let (age, lifetime) = (response.age(now), policy.lifetime(response));
        let young = |seconds| response.cache_control.immutable || age <= Duration::from_secs(seconds);
        let lasting = |seconds| lifetime.saturating_sub(age) >= Duration::from_secs(seconds);
        lifetime > age
            && !honored.no_cache
            && honored.max_age.is_none_or(young)
            && honored.min_fresh.is_none_or(lasting)
    }

    /// Stale, and still good for this request: while it is refreshed, or since the viewer does not mind.
    fn suffices_stale(&self, response: &StoredResponse, honored: &CacheControl, now: Timestamp) -> Option<Reason> {
        let policy = &self.behavior.cache_policy;
        let stale = policy.staleness(response, now);
        let demanding = honored.no_cache || honored.max_age.is_some() || honored.min_fresh.is_some();
        if policy.is_fresh(response, now) {
            return None;
        }
        if !demanding && policy.may_serve_stale(response, Staleness::WhileRevalidate, now) {
            return Some(Reason::StaleWhileRevalidate);
        }
        let limit = Duration::from_secs(honored.max_stale?);
        let young = honored.max_age.is_none_or(|seconds| response.age(now) <= Duration::from_secs(seconds) + limit);
        let forbidden = forbids_stale_to_viewers(response);
        (!honored.no_cache && honored.min_fresh.is_none() && young && stale <= limit && !forbidden)
            .then_some(Reason::StaleAsRequested)
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
    pub fn may_replay(&self, response: &StoredResponse, request: &ViewerRequest) -> bool {
        // `Strip` stores without the field, so that one with it was stored under another policy.
        let cookie = self.behavior.cache_policy.set_cookie == SetCookiePolicy::Strip;
        !(cookie && response.headers.contains_key(SET_COOKIE))
            && self.check_sharing(response, self.unkeyed_credentials(&request.headers)).is_ok()
    }
}

/// Why a request that the cache cannot answer is not one for a shared fetch: the origin has to see its condition, or it
/// asks for a part, and the whole might be a thousand times as much (RangeAmp), unless the whole is `kept` and likely to
/// be confirmed. Other conditions can be judged when the whole is here.
fn for_origin(request: &ViewerRequest, kept: bool) -> Option<Reason> {
    if !reads(&request.method) {
        return None;
    }
    if conditional::is_for_origin(&request.headers) {
        return Some(Reason::ConditionalRequest);
    }
    let asks_for_part = !kept && request.method == Method::GET && RangeSet::of(&request.headers).is_some();
    asks_for_part.then_some(Reason::RangeRequest)
}

/// The one request directive that is honoured everywhere: it costs the origin nothing (RFC 9111 § 5.2.1.7).
fn only_if_cached(request: &ViewerRequest) -> bool {
    CacheControl::parse(&request.headers).only_if_cached
}

#[cfg(test)]
mod tests;
