//! Step 11, the pure half: one line for each request.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode, Version};

use crate::outcome::{NotStored, Reason};
use crate::request::Scheme;
use crate::timestamp::Timestamp;

/// Everything that is said about a request. Names of fields follow CloudFront's log where it has them.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// When the request head was complete.
    pub at: Timestamp,
    /// Also in `X-Proxima-Request-Id`.
    pub request_id: String,
    /// The viewer.
    pub peer: SocketAddr,
    /// http or https.
    pub scheme: Scheme,
    /// HTTP version.
    pub version: Version,
    /// Method.
    pub method: Method,
    /// Host as sent.
    pub host: String,
    /// Raw path.
    pub path: String,
    /// Raw query.
    pub query: Option<String>,
    /// User-Agent.
    pub user_agent: Option<String>,
    /// Referer.
    pub referer: Option<String>,
    /// `namespace/name` of the distribution, once known.
    pub distribution: Option<String>,
    /// Path pattern of the behaviour, `Default (*)` for the default one, once known.
    pub behavior: Option<String>,
    /// Status sent; absent when the viewer left before.
    pub status: Option<StatusCode>,
    /// What became of it.
    pub reason: Reason,
    /// Why the response was not stored, where that was judged.
    pub not_stored: Option<NotStored>,
    /// For people: more about an error. Not sent to the viewer.
    pub detail: Option<String>,
    /// Content-Type sent.
    pub content_type: Option<String>,
    /// Bytes of the body sent.
    pub body_bytes: u64,
    /// Bytes of the request body received.
    pub request_body_bytes: u64,
    /// From the request head to the response head.
    pub time_to_first_byte: Option<Duration>,
    /// From the request head to the end.
    pub time_taken: Duration,
    /// From the origin request to the origin's response head.
    pub origin_first_byte: Option<Duration>,
    /// The response was cut short.
    pub aborted: bool,
}

impl AccessRecord {
    /// One line of JSON, without line end. Values longer than the limit are cut; zone and edge are added by the caller's
    /// identity.
    pub fn to_json(&self, zone: &str, edge: &str) -> String {
        let _ = (zone, edge);
        todo!()
    }
}
