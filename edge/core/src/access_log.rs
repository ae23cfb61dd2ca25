//! Step 11, the pure half: one line for each request.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::{Method, StatusCode, Version};
use serde::Serialize;

use crate::limits;
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
        let line = Line {
            time: time(self.at),
            request_id: cut(&self.request_id),
            edge: cut(edge),
            zone: cut(zone),
            client_ip: self.peer.ip().to_canonical(),
            client_port: self.peer.port(),
            scheme: self.scheme.as_str(),
            protocol: protocol(self.version),
            method: cut(self.method.as_str()),
            host: cut(&self.host),
            uri_stem: cut(&self.path),
            uri_query: self.query.as_deref().map(cut),
            user_agent: self.user_agent.as_deref().map(cut),
            referer: self.referer.as_deref().map(cut),
            distribution: self.distribution.as_deref().map(cut),
            behavior: self.behavior.as_deref().map(cut),
            status: self.status.map(|status| status.as_u16()),
            result_type: self.reason.result_type().as_str(),
            detailed_result_type: self.reason.detailed_result_type(),
            reason: self.reason.as_str(),
            not_stored: self.not_stored.map(NotStored::as_str),
            detail: self.detail.as_deref().map(cut),
            content_type: self.content_type.as_deref().map(cut),
            bytes: self.body_bytes,
            request_bytes: self.request_body_bytes,
            time_to_first_byte: self.time_to_first_byte.map(|time| time.as_secs_f64()),
            time_taken: self.time_taken.as_secs_f64(),
            origin_first_byte: self.origin_first_byte.map(|time| time.as_secs_f64()),
            aborted: self.aborted,
        };
        serde_json::to_string(&line).expect("the line has no map keys and no numbers that JSON lacks")
    }
}

/// The line. These names are stable; absent values have no field. Cookies and other credentials have none at all.
#[derive(Serialize)]
struct Line<'a> {
    /// When the request head was complete: RFC 3339, UTC, milliseconds.
    time: String,
    /// `x-edge-request-id`.
    request_id: &'a str,
    /// `x-edge-location`, the process.
    edge: &'a str,
    /// `x-edge-location`, the zone.
    zone: &'a str,
    /// `c-ip`.
    client_ip: IpAddr,
    /// `c-port`.
    client_port: u16,
    /// `cs-protocol`.
    scheme: &'static str,
    /// `cs-protocol-version`.
    protocol: &'static str,
    /// `cs-method`.
    method: &'a str,
    /// `x-host-header`.
    host: &'a str,
    /// `cs-uri-stem`.
    uri_stem: &'a str,
    /// `cs-uri-query`.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_query: Option<&'a str>,
    /// `cs(User-Agent)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    /// `cs(Referer)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<&'a str>,
    /// `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    distribution: Option<&'a str>,
    /// `cache-behavior-path-pattern` of CloudFront's real-time log.
    #[serde(skip_serializing_if = "Option::is_none")]
    behavior: Option<&'a str>,
    /// `sc-status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// `x-edge-result-type`.
    result_type: &'static str,
    /// `x-edge-detailed-result-type`.
    detailed_result_type: &'static str,
    /// The same, more exactly than CloudFront says it.
    reason: &'static str,
    /// Why the response was not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_stored: Option<&'static str>,
    /// More about an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// `sc-content-type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    /// Bytes of the response body; `sc-bytes` without the head.
    bytes: u64,
    /// Bytes of the request body; `cs-bytes` without the head.
    request_bytes: u64,
    /// `time-to-first-byte`, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_first_byte: Option<f64>,
    /// `time-taken`, seconds.
    time_taken: f64,
    /// `origin-fbl`, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_first_byte: Option<f64>,
    /// The response was cut short.
    aborted: bool,
}

/// RFC 3339 in UTC with milliseconds; beyond the year 9999, which the form cannot say, its last instant.
fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX))
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// At most [`limits::LOG_VALUE_BYTES`], cut between characters.
fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(limits::LOG_VALUE_BYTES)]
}

#[cfg(test)]
mod tests;
