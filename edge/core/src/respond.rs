//! Step 10, the pure half: the head of what the viewer gets.

use bytes::Bytes;
use http::{HeaderValue, Response};

use crate::entry::StoredResponse;
use crate::outcome::Reason;
use crate::request::{Refusal, ViewerRequest};
use crate::storable::OriginResponse;
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
    let _ = (response, answer);
    todo!()
}

/// Head for a response straight from the origin. Content-Length is kept where the origin announced it.
pub fn fetched(response: &OriginResponse, answer: Answer<'_>) -> Response<()> {
    let _ = (response, answer);
    todo!()
}

/// A response of the edge's own: a small page that names the reason and the request id, never cached by anyone.
pub fn refused(refusal: &Refusal, answer: Answer<'_>) -> Response<Bytes> {
    let _ = (refusal, answer);
    todo!()
}

/// Whether a response to this request has a body at all (RFC 9110 § 6.4.1: not for HEAD, 204, 304).
pub fn has_body(request: &ViewerRequest, status: http::StatusCode) -> bool {
    request.method != http::Method::HEAD
        && status != http::StatusCode::NO_CONTENT
        && status != http::StatusCode::NOT_MODIFIED
}
