//! Step 9, the pure half: may this response be stored?

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, DATE, EXPIRES, HOST, HeaderName, LAST_MODIFIED, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::cache_control::{self, CacheControl};
use crate::credentials::Unkeyed;
use crate::edge_config::{AllowedMethods, SetCookiePolicy};
use crate::entry::StoredResponse;
use crate::invalidation;
use crate::limits;
use crate::origin_request::{CDN_LOOP, OriginRequest, is_condition_or_range};
use crate::outcome::NotStored;
use crate::request::ViewerRequest;
use crate::respond;
use crate::route::Route;
use crate::timestamp::Timestamp;

/// Head of an origin's response, as received, and when.
#[derive(Clone, Debug)]
pub struct OriginResponse {
    /// Status.
    pub status: StatusCode,
    /// Fields as received; hop-by-hop ones are already removed (see [`end_to_end`]).
    pub headers: HeaderMap,
    /// Length announced by Content-Length; `None` for chunked and close-delimited bodies.
    pub body_length: Option<u64>,
    /// When the request was sent.
    pub requested_at: Timestamp,
    /// When the head was received.
    pub received_at: Timestamp,
}

/// Removes what concerns one connection only: Connection and what it names, Keep-Alive, Proxy-*, TE, Trailer,
/// Transfer-Encoding, Upgrade (RFC 9110 § 7.6.1). Content-Length is removed too: whoever sends the message frames it.
pub fn end_to_end(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named.iter().filter(|&name| !PROTECTED.contains(name)).chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether the answer to a request for a part is what a request for the whole would have brought: the origin took no
/// notice of Range, as it may (RFC 9110 § 14.2), and does not say that it might have.
pub fn is_whole(response: &OriginResponse) -> bool {
    let chosen = || vary(&response.headers, true).is_ok_and(|names| names.iter().any(is_condition_or_range));
    response.status == StatusCode::OK && !response.headers.contains_key(CONTENT_RANGE) && !chosen()
}

impl Route {
    /// Judges a response. `epoch` was read before the request was sent. The length of the body, where unknown, is filled
    /// in when it is complete. `Err` names why it is not stored.
    pub fn storable(
        &self,
        request: &OriginRequest,
        response: &OriginResponse,
        epoch: u64,
    ) -> Result<StoredResponse, NotStored> {
        if request.method == Method::HEAD || !self.caches_method(&request.method) {
            return Err(NotStored::Method);
        }
        self.keep(read(response, epoch), self.unkeyed_credentials(&request.headers))
    }

    /// What is kept of a response that says this of itself.
    pub(crate) fn keep(&self, entry: StoredResponse, unkeyed: Unkeyed) -> Result<StoredResponse, NotStored> {
        let policy = &self.behavior.cache_policy;
        self.check_sharing(&entry, unkeyed)?;
        let vary = vary(&entry.headers, policy.overrides(entry.status))?;
        if !policy.is_fresh(&entry, entry.received_at) && !policy.is_useful_when_stale(&entry) {
            return Err(if entry.cache_control.no_cache { NotStored::NoCache } else { NotStored::NoFreshness });
        }
        Ok(StoredResponse { headers: kept(&entry, policy.set_cookie), vary, ..entry })
    }

    /// Whether the policy lets others have this response, fresh or not, if one such request brought it. Asked when it is
    /// stored, and again whenever it is to be used, since the policy may have changed in between.
    pub(crate) fn check_sharing(&self, entry: &StoredResponse, unkeyed: Unkeyed) -> Result<(), NotStored> {
        let policy = &self.behavior.cache_policy;
        self.check_status(entry)?;
        if !policy.overrides(entry.status) {
            let directives = &entry.cache_control;
            match () {
                () if directives.forbids_storing(entry.status) => return Err(NotStored::NoStore),
                () if directives.private => return Err(NotStored::Private),
                () if entry.varies_on_everything => return Err(NotStored::VaryAny),
                () => {}
            }
        }
        if policy.set_cookie == SetCookiePolicy::Bypass && entry.headers.contains_key(SET_COOKIE) {
            return Err(NotStored::SetCookie);
        }
        if !self.may_share(entry, unkeyed) {
            return Err(NotStored::UnkeyedCredentials);
        }
        Ok(())
    }

    fn check_status(&self, entry: &StoredResponse) -> Result<(), NotStored> {
        let policy = &self.behavior.cache_policy;
        let directives = &entry.cache_control;
        let explicit = entry.has_explicit_freshness();
        if directives.must_understand && !cache_control::is_understood(entry.status) {
            return Err(NotStored::MustUnderstand);
        }
        match entry.status.as_u16() {
            206 => Err(NotStored::Partial),
            100..=199 | 304 => Err(NotStored::Status),
            // RFC 6585 § 3 to § 6: never by a cache.
            428 | 429 | 431 | 511 => Err(NotStored::Status),
            // A malformed or oversized request of one viewer must not answer the others. 401 is on neither of CloudFront's
            // lists: it asks one viewer for credentials.
            400 | 401 | 413 | 416 | 494 if !policy.origin_controlled => Err(NotStored::Status),
            // CloudFront: "caches only when the origin sends max-age or s-maxage".
            403 | 405 | 412 | 415 if !policy.origin_controlled && !directives.names_lifetime() => {
                Err(NotStored::Status)
            }
            _ if explicit || policy.stores_without_lifetime(entry) => Ok(()),
            _ => Err(NotStored::Status),
        }
    }

    /// Whether the response to a POST is what a GET of the same URI would give: it names a lifetime, and Content-Location
    /// says so (RFC 9110 § 9.3.3). Only where the behaviour takes every method and the origin alone controls the cache.
    pub fn stores_for_get(&self, request: &ViewerRequest, response: &OriginResponse) -> bool {
        self.behavior.cache_policy.origin_controlled
            && self.behavior.allowed_methods == AllowedMethods::Any
            && request.method == Method::POST
            && response.status == StatusCode::OK
            && read(response, 0).has_explicit_freshness()
            && invalidation::names_target(request, self, response.headers.get(CONTENT_LOCATION))
    }
}

/// Whether a response that is not stored has taken the place of what is, so that nobody may have that any more. A refusal
/// of one request says nothing of others, nor does a failure; nor what one viewer's credentials brought.
pub fn supersedes(request: &OriginRequest, status: StatusCode) -> bool {
    let of_resource =
        status.is_success() || status.is_redirection() || matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
    of_resource && !request.unkeyed_credentials
}

/// Fields of one connection. Content-Length is not one, but whoever sends the message frames it.
const HOP_BY_HOP: [HeaderName; 11] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    CONTENT_LENGTH,
];

/// Fields that Connection cannot take away, since without them the message would mean something else (a class of faults
/// in other caches: `Connection: content-length`, `Connection: host`). Framing is removed in any case, never by request.
const PROTECTED: [HeaderName; 11] = [
    HOST,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    DATE,
    SET_COOKIE,
    CACHE_CONTROL,
    VARY,
    AUTHORIZATION,
    COOKIE,
    // RFC 8586 § 3: without it a loop would not be seen.
    CDN_LOOP,
];

/// What a response says of itself, unjudged.
pub(crate) fn read(response: &OriginResponse, epoch: u64) -> StoredResponse {
    let headers = &response.headers;
    let cache_control = CacheControl::of_response(headers);
    let expires = headers.contains_key(EXPIRES) && !cache_control.targeted;
    let dated = |name| date_field(headers, name, response.received_at);
    let date = dated(&DATE).unwrap_or(response.received_at);
    StoredResponse {
        status: response.status,
        headers: headers.clone(),
        cache_control,
        expires: expires.then(|| dated(&EXPIRES).unwrap_or(EPOCH)),
        last_modified: dated(&LAST_MODIFIED),
        date,
        requested_at: response.requested_at,
        received_at: response.received_at,
        initial_age: initial_age(response, date),
        epoch,
        generation: 0,
        turn: 0,
        vary: Vec::new(),
        varies_on_everything: headers.get_all(VARY).iter().any(|value| value.as_bytes().contains(&b'*')),
        body_length: response.body_length.unwrap_or(0),
    }
}

const EPOCH: Timestamp = Timestamp::from_millis(0);

/// The first field of this name, as a date, in a message that was received then.
pub(crate) fn date_field(headers: &HeaderMap, name: &HeaderName, received_at: Timestamp) -> Option<Timestamp> {
    Timestamp::from_http_date(headers.get(name)?.to_str().ok()?, received_at)
}

/// `corrected_initial_age` (RFC 9111 § 4.2.3).
fn initial_age(response: &OriginResponse, date: Timestamp) -> Duration {
    let apparent = response.received_at.since(date);
    let delay = response.received_at.since(response.requested_at);
    apparent.max(age_field(&response.headers) + delay)
}

/// The first member of Age; anything but a non-negative integer is ignored (RFC 9111 § 5.1).
fn age_field(headers: &HeaderMap) -> Duration {
    let first = headers.get(AGE).and_then(|value| value.as_bytes().split(|&byte| byte == b',').next());
    Duration::from_secs(first.and_then(|text| cache_control::delta_seconds(text.trim_ascii())).unwrap_or(0))
}

/// Names in Vary: lower case, sorted, once each. What is not a name matches nothing, so it counts as `*`.
fn vary(headers: &HeaderMap, ignore_any: bool) -> Result<Vec<HeaderName>, NotStored> {
    let mut names = Vec::new();
    for value in headers.get_all(VARY) {
        for member in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            match HeaderName::from_bytes(member) {
                _ if member.is_empty() => {}
                Ok(name) if member != b"*" => names.push(name),
                _ if ignore_any => {}
                _ => return Err(NotStored::VaryAny),
            }
        }
    }
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    if names.len() > limits::VARY_NAMES { Err(NotStored::VaryTooLong) } else { Ok(names) }
}

/// The fields to keep, in a map with room for those that every answer adds, and with all values copied into one
/// allocation: as received they are views that would pin whole network buffers.
fn kept(entry: &StoredResponse, set_cookie: SetCookiePolicy) -> HeaderMap {
    let withheld = cache_control::withheld_fields(&entry.headers);
    let keep = |name: &HeaderName| {
        let cookie = *name == SET_COOKIE && set_cookie != SetCookiePolicy::Store;
        !cookie && !matches!(*name, AGE | DATE) && !withheld.contains(name)
    };
    let fields = || entry.headers.iter().filter(|(name, _)| keep(name));
    let mut values = BytesMut::with_capacity(fields().map(|(_, value)| value.len()).sum());
    fields().for_each(|(_, value)| values.put_slice(value.as_bytes()));
    let mut values = values.freeze();
    let mut headers = HeaderMap::with_capacity(fields().count() + 1 + limits::ADDED_HEADERS);
    for (name, value) in fields() {
        let copy = HeaderValue::from_maybe_shared(values.split_to(value.len()));
        headers.append(name.clone(), copy.expect("a copy of a field value is one"));
    }
    headers.insert(DATE, date_value(entry.date));
    respond::reserve(&mut headers);
    headers
}

/// A Date field.
pub(crate) fn date_value(date: Timestamp) -> HeaderValue {
    HeaderValue::try_from(date.to_http_date()).expect("an HTTP date is plain ASCII")
}

#[cfg(test)]
mod tests;
