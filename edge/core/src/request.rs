//! Step 2, read: the head of a viewer's request, checked.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Method, Uri, Version};

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
}

impl ViewerRequest {
    /// Checks and normalises a request head. `has_body` is what the HTTP library says of the body.
    pub fn read(connection: &ConnectionFacts, head: http::request::Parts, has_body: bool) -> Result<Self, Refusal> {
        let _ = (connection, head, has_body);
        todo!()
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
