//! Step 2, read: the head of a viewer's request, checked.

mod host;
mod path;

use std::borrow::Cow;
use std::net::SocketAddr;

use bytes::{BufMut, BytesMut};
use http::header::{CONTENT_LENGTH, COOKIE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

pub(crate) use self::host::name as host_name;
pub(crate) use self::path::problem as path_problem;
use crate::conditional;
use crate::limits;
use crate::outcome::Reason;

/// What is known of the connection that a request came on.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// The viewer's address and port.
    pub peer: SocketAddr,
    /// How the viewer speaks to us.
    pub scheme: Scheme,
}

/// http or https.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A viewer's request whose head is well-formed.
#[derive(Clone, Debug)]
pub struct ViewerRequest {
    /// Method, as sent.
    pub method: Method,
    /// Version that the viewer speaks.
    pub version: Version,
    /// Scheme of the connection.
    pub scheme: Scheme,
    /// The viewer's address and port.
    pub peer: SocketAddr,
    /// Host without port, lower case, without a trailing dot; IPv6 without brackets. For matching.
    pub host: String,
    /// Host as sent, port included. For the key and the origin.
    pub authority: HeaderValue,
    /// Request target as sent: raw path and query.
    pub uri: Uri,
    /// Header fields as sent; HTTP/2 cookie crumbs are joined.
    pub headers: HeaderMap,
    /// Whether a body follows: Content-Length above zero, or chunked, or an open HTTP/2 stream.
    pub has_body: bool,
    /// Whether its answer may be something else than the whole representation: it has a precondition or a Range. Asked
    /// often and seldom so, hence found out once.
    pub selects: bool,
}

impl ViewerRequest {
    /// Checks and normalises a request head. `has_body` is what the HTTP library says of the body.
    pub fn read(connection: &ConnectionFacts, head: http::request::Parts, has_body: bool) -> Result<Self, Refusal> {
        check_size(&head)?;
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(Refusal::closing(Reason::MethodNotAllowed, "CONNECT and TRACE are not supported"));
        }
        let has_body = check_framing(&head, has_body)?;
        let target = host::of(&head)?;
        path::check(&head)?;
        let mut headers = head.headers;
        join_cookies(&mut headers);
        let selects = conditional::concerns(&headers);
        Ok(Self {
            method: head.method,
            version: head.version,
            scheme: connection.scheme,
            peer: connection.peer,
            host: target.name,
            authority: target.authority,
            uri: head.uri,
            headers,
            has_body,
            selects,
        })
    }

    /// Raw path, beginning with `/` (or `*` for OPTIONS).
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Raw query string without `?`.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }
}

/// An answer of the edge's own instead of an origin's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Names the refusal and decides the status.
    pub reason: Reason,
    /// For the viewer: what was wrong and what would be right. Says nothing about the inside.
    pub detail: Cow<'static, str>,
    /// Where to go instead.
    pub location: Option<HeaderValue>,
    /// Status, where it differs from the reason's own (a redirected POST is 307).
    pub status: http::StatusCode,
    /// The connection cannot go on.
    pub close: bool,
}

impl Refusal {
    /// A refusal with the reason's own status, on a connection that goes on.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), location: None, status: reason.status(), close: false }
    }

    /// The same, and the connection ends after it.
    pub fn closing(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { close: true, ..Self::new(reason, detail) }
    }
}

/// CloudFront's limits of size, and ours of number. Cookie crumbs count one by one: that is what they cost.
fn check_size(head: &Parts) -> Result<(), Refusal> {
    let uri = &head.uri;
    let origin_form = uri.path_and_query().map_or(0, |target| target.as_str().len());
    // HTTP/2 has the authority beside the path, HTTP/1 within the target.
    let authority = uri.authority().filter(|_| head.version != Version::HTTP_2);
    let target = origin_form + authority.map_or(0, |authority| authority.as_str().len());
    if target > limits::URI_BYTES {
        return Err(Refusal::new(Reason::UriTooLong, "the request target is longer than 8192 bytes"));
    }
    if head.headers.len() > limits::HEADERS {
        return Err(Refusal::new(Reason::HeadTooLarge, "the request has more than 100 header fields"));
    }
    // `METHOD target HTTP/1.1\r\n`, `name: value\r\n` for each field, and the empty line.
    let line = head.method.as_str().len() + target + 12;
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if line + fields + 2 > limits::HEAD_BYTES {
        return Err(Refusal::new(Reason::HeadTooLarge, "request line and header fields are longer than 32768 bytes"));
    }
    Ok(())
}

/// Exactly one statement about the body, and none that other readers could understand differently (RFC 9112 § 6.1,
/// § 6.3). Tells whether a body follows.
fn check_framing(head: &Parts, has_body: bool) -> Result<bool, Refusal> {
    let refuse = |detail| Err(Refusal::closing(Reason::InvalidFraming, detail));
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if let Some(coding) = coding {
        let only_chunked = codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !only_chunked || head.version != Version::HTTP_11 {
            return refuse("the only transfer coding is chunked, once, in HTTP/1.1");
        }
    }
    let mut lengths = head.headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next().map(HeaderValue::as_bytes);
    if lengths.next().is_some() {
        return refuse("Content-Length is repeated");
    }
    if length.is_some_and(|length| length.is_empty() || !length.iter().all(u8::is_ascii_digit)) {
        return refuse("Content-Length is not a number");
    }
    if length.is_some() && coding.is_some() {
        return refuse("Content-Length and Transfer-Encoding exclude each other");
    }
    let announced = length.is_some_and(|length| length.iter().any(|&digit| digit != b'0'));
    let has_body = has_body || coding.is_some() || announced;
    // CloudFront answers 403; the connection ends, since a body that nobody reads must not become the next request.
    if has_body && matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Refusal::closing(Reason::BodyNotAllowed, "GET and HEAD requests have no body"));
    }
    Ok(has_body)
}

/// HTTP/2 may split Cookie into crumbs (RFC 9113 § 8.2.3); everything behind this point sees one field.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let mut joined = BytesMut::new();
    for crumb in headers.get_all(COOKIE) {
        if !joined.is_empty() {
            joined.put_slice(b"; ");
        }
        joined.put_slice(crumb.as_bytes());
    }
    let joined =
        HeaderValue::from_maybe_shared(joined.freeze()).expect("parts of field values, joined by `; `, are one");
    headers.insert(COOKIE, joined);
}

#[cfg(test)]
mod tests;
