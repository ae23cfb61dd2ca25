//! Step 10, the pure half: the head of what the viewer gets.

use bytes::Bytes;
use http::header::{
    AGE, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, LOCATION, RETRY_AFTER, SERVER,
    SET_COOKIE, VIA,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::edge_config::SetCookiePolicy;
use crate::entry::StoredResponse;
use crate::outcome::Reason;
use crate::request::{Refusal, ViewerRequest};
use crate::route::Route;
use crate::storable::{OriginResponse, date_value};
use crate::timestamp::Timestamp;

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
    /// Value of `X-Proxima-Request-Id`.
    pub request_id: HeaderValue,
    /// What became of the request.
    pub reason: Reason,
    /// Now.
    pub now: Timestamp,
}

/// Head for a stored response: its fields, Age, Content-Length, and our marks. The body is sent unless the request is
/// HEAD or the status has none.
pub fn stored(response: &StoredResponse, answer: Answer<'_>) -> Response<()> {
    let mut headers = response.headers.clone();
    headers.insert(AGE, HeaderValue::from(response.age(answer.now).as_secs()));
    if response.status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    } else {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(response.body_length));
    }
    mark(&mut headers, answer);
    head(response.status, headers)
}

/// Head for a response straight from the origin. Content-Length is kept where the origin announced it; Set-Cookie obeys
/// the route's policy.
pub fn fetched(response: &OriginResponse, route: &Route, answer: Answer<'_>) -> Response<()> {
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
    mark(&mut headers, answer);
    head(response.status, headers)
}

/// A response of the edge's own: a small page that names the reason and the request id, never cached by anyone.
pub fn refused(refusal: &Refusal, answer: Answer<'_>) -> Response<Bytes> {
    let page = page(refusal, answer.request_id.to_str().unwrap_or_default());
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
    mark(&mut headers, Answer { reason: refusal.reason, ..answer });
    let mut response = Response::new(Bytes::from(page));
    *response.status_mut() = refusal.status;
    *response.headers_mut() = headers;
    response
}

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const X_PROXIMA_REASON: HeaderName = HeaderName::from_static("x-proxima-reason");
const X_PROXIMA_REQUEST_ID: HeaderName = HeaderName::from_static("x-proxima-request-id");
const X_PROXIMA_ZONE: HeaderName = HeaderName::from_static("x-proxima-zone");

/// Puts placeholders for the fields that [`stored`] sets into the head of a response that is about to be stored. A copy
/// of a map has no room to spare; so those fields are replaced in the copy instead of making it grow for every answer.
pub(crate) fn reserve(headers: &mut HeaderMap) {
    for name in [AGE, CONTENT_LENGTH, X_CACHE, X_PROXIMA_REQUEST_ID, X_PROXIMA_ZONE] {
        headers.insert(name, PLACEHOLDER);
    }
    if !headers.contains_key(VIA) {
        headers.insert(VIA, PLACEHOLDER);
    }
}

/// Takes those places away again. What an origin sent under these names was replaced when they were made, but for Via.
pub(crate) fn clear(headers: &mut HeaderMap) {
    for name in [AGE, CONTENT_LENGTH, X_CACHE, X_PROXIMA_REQUEST_ID, X_PROXIMA_ZONE] {
        headers.remove(name);
    }
    if headers.get(VIA).is_some_and(HeaderValue::is_empty) {
        headers.remove(VIA);
    }
}

/// No field is sent with it.
const PLACEHOLDER: HeaderValue = HeaderValue::from_static("");

/// What every answer carries. An origin's Via stays in front of ours (RFC 9110 § 7.6.3); other fields of these names are
/// replaced.
fn mark(headers: &mut HeaderMap, answer: Answer<'_>) {
    let via = answer.identity.via.clone();
    match headers.get_mut(VIA) {
        Some(placeholder) if placeholder.is_empty() => *placeholder = via,
        _ => {
            headers.append(VIA, via);
        }
    }
    headers.insert(X_CACHE, HeaderValue::from_static(answer.reason.result_type().x_cache()));
    headers.insert(X_PROXIMA_REQUEST_ID, answer.request_id);
    headers.insert(X_PROXIMA_ZONE, answer.identity.zone.clone());
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
