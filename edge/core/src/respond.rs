//! Step 10, the pure half: the head of what the viewer gets.

mod add;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE,
    ETAG, HeaderName, LAST_MODIFIED, LOCATION, RETRY_AFTER, SERVER, SET_COOKIE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::cache_status::{self, Handling};
use crate::edge_config::SetCookiePolicy;
use crate::entry::StoredResponse;
use crate::outcome::Reason;
use crate::range::{Framing, Layout};
use crate::request::{Refusal, ViewerRequest};
use crate::route::Route;
use crate::storable::{OriginResponse, date_value};
use crate::timestamp::Timestamp;
use add::Added;
pub(crate) use add::{clear, reserve};

/// What marks every response of this edge process.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Value of `X-Proxima-Zone`.
    pub zone: HeaderValue,
    /// Value of `Via`: `1.1 NAME (proxima)`.
    pub via: HeaderValue,
}

/// Facts of one answer that both kinds of head need.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// Who answers.
    pub identity: &'a Identity,
    /// Value of `X-Proxima-Request-Id`: visible ASCII.
    pub request_id: &'a str,
    /// What became of the request.
    pub reason: Reason,
    /// What `Cache-Status` says beside the reason.
    pub handling: Handling,
    /// Now.
    pub now: Timestamp,
}

/// Head for a stored response: its fields, Age, Content-Length, and our marks. The body is sent unless the request is
/// HEAD or the status has none.
pub fn stored(response: &StoredResponse, answer: &Answer<'_>) -> Response<()> {
    let mut headers = response.headers.clone();
    add::to_stored(&mut headers, |field| match field {
        Added::Age => HeaderValue::from(response.age(answer.now).as_secs()),
        Added::ContentLength => HeaderValue::from(response.body_length),
        mark => answer.mark(mark),
    });
    if response.status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    }
    head(response.status, headers)
}

/// Head for a response straight from the origin. Content-Length is kept where the origin announced it; Set-Cookie obeys
/// the route's policy.
pub fn fetched(response: &OriginResponse, route: &Route, answer: &Answer<'_>) -> Response<()> {
    let mut headers = response.headers.clone();
    if route.behavior.cache_policy.set_cookie == SetCookiePolicy::Strip {
        headers.remove(SET_COOKIE);
    }
    if !headers.contains_key(DATE) {
        headers.insert(DATE, date_value(response.received_at));
    }
    let framed = !matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(length) = response.body_length.filter(|_| framed) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    add::marks(&mut headers, |mark| answer.mark(mark));
    head(response.status, headers)
}

/// Makes the head of a whole response that of a 304 (RFC 9110 § 15.4.5): what describes the body goes. Last-Modified
/// stays where it is the only validator.
pub fn not_modified(response: &mut Response<()>) {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    for name in OF_BYTES.iter().chain(&[CONTENT_TYPE, CONTENT_LANGUAGE]) {
        headers.remove(name);
    }
    if headers.contains_key(ETAG) {
        headers.remove(LAST_MODIFIED);
    }
}

/// Makes the head of a whole 200 that of a 206 with this body (RFC 9110 § 15.3.7). Digests of the content of the whole
/// are not those of a part (RFC 9530 § 2); digests of the representation are. All other fields stay, with or without
/// If-Range: whoever has only a part may need them.
pub fn partial(response: &mut Response<()>, layout: &Layout) {
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let headers = response.headers_mut();
    headers.remove(CONTENT_DIGEST);
    headers.remove(CONTENT_MD5);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(layout.length));
    match &layout.framing {
        Framing::Single(range) => headers.insert(CONTENT_RANGE, range.clone()),
        Framing::Multipart(content_type) => {
            // It would speak of one range of the whole.
            headers.remove(CONTENT_RANGE);
            headers.insert(CONTENT_TYPE, content_type.clone())
        }
    };
}

/// A response of the edge's own: a small page that names the reason and the request id, never cached by anyone.
pub fn refused(refusal: &Refusal, answer: &Answer<'_>) -> Response<Bytes> {
    let page = page(refusal, answer.request_id);
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(page.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(DATE, date_value(answer.now));
    headers.insert(SERVER, HeaderValue::from_static("proxima"));
    headers.insert(X_PROXIMA_REASON, HeaderValue::from_static(refusal.reason.as_str()));
    if let Some(location) = &refusal.location {
        headers.insert(LOCATION, location.clone());
    }
    // What is too much, or not there yet, may be there in a moment (RFC 9110 § 10.2.3).
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if refusal.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let answer = Answer { reason: refusal.reason, handling: Handling::default(), ..answer.clone() };
    add::marks(&mut headers, |mark| answer.mark(mark));
    let mut response = Response::new(Bytes::from(page));
    *response.status_mut() = refusal.status;
    *response.headers_mut() = headers;
    response
}

/// Fields that say what the bytes of a body are. A message without these bytes neither has nor changes them.
/// Content-Location names the representation and is none of them.
pub(crate) const OF_BYTES: [HeaderName; 7] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    CONTENT_DIGEST,
    CONTENT_MD5,
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const X_PROXIMA_REASON: HeaderName = HeaderName::from_static("x-proxima-reason");

impl Answer<'_> {
    /// Value of a field that marks every answer.
    fn mark(&self, mark: Added) -> HeaderValue {
        match mark {
            Added::Via => self.identity.via.clone(),
            Added::CacheStatus => cache_status::value(self.reason, &self.handling),
            Added::XCache => HeaderValue::from_static(self.reason.result_type().x_cache()),
            Added::RequestId => HeaderValue::from_str(self.request_id).unwrap_or(add::PLACEHOLDER),
            Added::Zone => self.identity.zone.clone(),
            Added::Age | Added::ContentLength => add::PLACEHOLDER,
        }
    }
}

fn head(status: StatusCode, headers: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The page of a refusal.
fn page(refusal: &Refusal, request_id: &str) -> String {
    let status = refusal.status;
    let phrase = status.canonical_reason().unwrap_or(refusal.reason.as_str());
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{code} {phrase}</title></head>\n\
         <body>\n<h1>{code} {phrase}</h1>\n<p>{detail}</p>\n<p>Reason: {reason}<br>Request: {request_id}</p>\n\
         </body>\n</html>\n",
        code = status.as_u16(),
        detail = escape(&refusal.detail),
        reason = refusal.reason.as_str(),
        request_id = escape(request_id),
    )
}

/// Text for HTML: details may quote what the viewer sent.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Whether a response to this request has a body at all (RFC 9110 § 6.4.1: not for HEAD, 204, 304).
pub fn has_body(request: &ViewerRequest, status: http::StatusCode) -> bool {
    request.method != http::Method::HEAD
        && status != http::StatusCode::NO_CONTENT
        && status != http::StatusCode::NOT_MODIFIED
}

#[cfg(test)]
mod tests;
