//! Step 8, the pure half: what we ask the origin.

use std::fmt::Write;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    MAX_FORWARDS, RANGE, USER_AGENT, VIA,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use crate::cache_control;
use crate::conditional::CONDITIONS;
use crate::edge_config::OriginProtocolPolicy;
use crate::limits;
use crate::request::{Scheme, ViewerRequest};
use crate::route::Route;
use crate::selection;
use crate::storable::end_to_end;

/// Head of a request to an origin. Hop-by-hop fields and framing are added by whoever sends it.
#[derive(Clone, Debug)]
pub struct OriginRequest {
    /// Method, as the viewer sent it.
    pub method: Method,
    /// How to speak to the origin.
    pub scheme: Scheme,
    /// Request target: origin path, raw path, forwarded query.
    pub target: String,
    /// Host to send.
    pub host: HeaderValue,
    /// All other fields, without Host, Content-Length and Transfer-Encoding.
    pub headers: HeaderMap,
    /// The request carries Authorization or Cookie to the origin without having them in the key.
    pub unkeyed_credentials: bool,
}

/// For which purpose an origin is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To fill the cache: conditions and ranges of the viewer are left out.
    Fill,
    /// For this viewer alone: its conditions and range are passed on.
    Pass,
}

impl OriginRequest {
    /// Whether a response of this status can answer this request: 304 answers a condition, 206 a range, and nothing else
    /// (RFC 9110 § 15.4.5, § 15.3.7).
    pub fn is_answered_by(&self, status: StatusCode) -> bool {
        let has = |name: &HeaderName| self.headers.contains_key(name);
        match status {
            StatusCode::NOT_MODIFIED => has(&IF_NONE_MATCH) || has(&IF_MODIFIED_SINCE),
            StatusCode::PARTIAL_CONTENT => has(&RANGE) || has(&REQUEST_RANGE),
            _ => true,
        }
    }
}

impl Route {
    /// Composes the request: what is in the key, what the policy forwards, custom headers, Via, X-Forwarded-For
    /// (CloudFront: "How CloudFront processes and forwards requests to your custom origin").
    pub fn origin_request(&self, request: &ViewerRequest, purpose: Purpose) -> OriginRequest {
        let origin = &self.behavior.origin;
        let scheme = match origin.protocol_policy {
            OriginProtocolPolicy::HttpOnly => Scheme::Http,
            OriginProtocolPolicy::HttpsOnly => Scheme::Https,
            OriginProtocolPolicy::MatchViewer => request.scheme,
        };
        let mut headers = HeaderMap::with_capacity(request.headers.len() + 8);
        if self.behavior.cache_policy.forward_all_viewer_headers {
            self.forward_all(request, purpose, &mut headers);
        } else {
            self.forward_named(request, purpose, &mut headers);
        }
        if request.method == Method::OPTIONS {
            count_forward(&mut headers);
        }
        add_hop(request, &mut headers);
        self.mark_loop(&mut headers);
        for (name, _) in &origin.custom_headers {
            headers.remove(name);
        }
        for (name, value) in &origin.custom_headers {
            headers.append(name, value.clone());
        }
        OriginRequest {
            method: request.method.clone(),
            scheme,
            target: self.target(request),
            host: self.host_to_send(request, scheme),
            unkeyed_credentials: self.unkeyed_credentials(&headers).any(),
            headers,
        }
    }

    /// Origin path, raw path, selected query. Whatever is sent of the query is in the key.
    fn target(&self, request: &ViewerRequest) -> String {
        let path = self.effective_path(request);
        let prefix = &self.behavior.origin.path;
        let query = selection::query(&self.behavior.cache_policy.key_query_strings, request.query());
        let mut target = String::with_capacity(prefix.len() + path.len() + query.as_ref().map_or(0, |q| q.len() + 1));
        // `OPTIONS *` asks about the server, not about a path of it.
        if path != "*" {
            target.push_str(prefix);
        }
        target.push_str(path);
        if let Some(query) = query {
            target.push('?');
            target.push_str(&query);
        }
        target
    }

    fn host_to_send(&self, request: &ViewerRequest, scheme: Scheme) -> HeaderValue {
        let origin = &self.behavior.origin;
        if self.behavior.cache_policy.forward_host && !request.authority.is_empty() {
            return request.authority.clone();
        }
        match scheme {
            Scheme::Http => origin.http_authority.clone(),
            Scheme::Https => origin.https_authority.clone(),
        }
    }

    /// Every end-to-end field but Host, and what would let a viewer poison the cache.
    fn forward_all(&self, request: &ViewerRequest, purpose: Purpose, headers: &mut HeaderMap) {
        let policy = &self.behavior.cache_policy;
        for (name, value) in &request.headers {
            let listed = policy.key_headers.contains(name);
            let condition = purpose == Purpose::Fill && is_condition_or_range(name);
            let withheld = NEVER_FORWARDED.contains(name) || POISONOUS.contains(name) || is_edges_own(name);
            if !condition && *name != HOST && (listed || !withheld) {
                headers.append(name, value.clone());
            }
        }
        end_to_end(headers);
        // What is in the key is sent, whatever the viewer's Connection names: else the viewer could store the answer to
        // another request than the key says.
        for name in &policy.key_headers {
            if !headers.contains_key(name) {
                for value in request.headers.get_all(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        self.send_accept_encoding(request, headers);
    }

    /// What is in the key, and what CloudFront always sends.
    fn forward_named(&self, request: &ViewerRequest, purpose: Purpose, headers: &mut HeaderMap) {
        let policy = &self.behavior.cache_policy;
        for (name, value) in &request.headers {
            let keyed = policy.key_headers.contains(name);
            let passed = purpose == Purpose::Pass && is_condition_or_range(name);
            if keyed || passed || self.is_always_sent(request, name) {
                headers.append(name, value.clone());
            }
        }
        if !policy.key_headers.contains(&USER_AGENT) {
            headers.insert(USER_AGENT, HeaderValue::from_static("proxima"));
        }
        if let Some(cookies) = selection::cookies(&policy.key_cookies, &request.headers) {
            headers.insert(COOKIE, HeaderValue::try_from(cookies).expect("parts of a field value are one"));
        }
        self.send_accept_encoding(request, headers);
    }

    /// Via and X-Forwarded-For are extended afterwards. Fields that describe a body go with it; Authorization goes with
    /// methods whose responses are not cached.
    fn is_always_sent(&self, request: &ViewerRequest, name: &HeaderName) -> bool {
        let describes_body = request.has_body && name.as_str().starts_with("content-") && *name != CONTENT_LENGTH;
        let authorizes = *name == AUTHORIZATION && !self.caches_method(&request.method);
        describes_body || authorizes || [VIA, X_FORWARDED_FOR, CDN_LOOP].contains(name)
    }

    /// Appends this distribution to CDN-Loop (RFC 8586 § 2).
    fn mark_loop(&self, headers: &mut HeaderMap) {
        let value = format!("{CDN_ID}; distribution=\"{}\"", self.distribution.uid);
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.append(CDN_LOOP, value);
        }
    }

    /// Whether a request has passed through this distribution before, or through too many others of this kind, so that
    /// to send it on would send it round for ever.
    pub(crate) fn is_loop(&self, request: &ViewerRequest) -> bool {
        let own = format!("\"{}\"", self.distribution.uid);
        let mut hops = 0;
        for value in request.headers.get_all(CDN_LOOP) {
            for member in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
                if !parts.next().is_some_and(|id| id.eq_ignore_ascii_case(CDN_ID.as_bytes())) {
                    continue;
                }
                hops += 1;
                if parts.any(|part| part.strip_prefix(b"distribution=") == Some(own.as_bytes())) {
                    return true;
                }
            }
        }
        hops >= limits::CDN_LOOP_HOPS
    }

    fn send_accept_encoding(&self, request: &ViewerRequest, headers: &mut HeaderMap) {
        let policy = &self.behavior.cache_policy;
        if policy.normalises_accept_encoding() {
            headers.remove(ACCEPT_ENCODING);
        }
        if let Some(encodings) = policy.accept_encoding(&request.headers) {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        }
    }
}

/// RFC 8586.
pub(crate) const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
/// Our name there.
const CDN_ID: &str = "proxima";

/// What some viewers of long ago send instead of Range.
const REQUEST_RANGE: HeaderName = HeaderName::from_static("request-range");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Never the viewer's to send: Host is chosen here, Expect concerns one hop (the body is sent without waiting), and the
/// others are statements of proxies (CloudFront: "always removed").
const NEVER_FORWARDED: [HeaderName; 3] =
    [EXPECT, HeaderName::from_static("x-forwarded-proto"), HeaderName::from_static("x-real-ip")];

/// Whether only an edge may set a field (CloudFront: "Add CloudFront request headers"). None is set yet, so that a policy
/// has none in its key.
pub(crate) fn is_edges_own(name: &HeaderName) -> bool {
    name.as_str().starts_with("cloudfront-")
}

/// Fields that make some origins answer for another scheme, host, path or method than those in the key, so that one viewer
/// could poison the cache for others. Forwarded only where the key has them.
const POISONOUS: [HeaderName; 17] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("front-end-https"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-protocol"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-ssl"),
    HeaderName::from_static("x-host"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-url-scheme"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
];

/// Whether a field makes a request one for this viewer's copy or part, and not for the whole.
pub(crate) fn is_condition_or_range(name: &HeaderName) -> bool {
    *name == RANGE || *name == REQUEST_RANGE || CONDITIONS.contains(name)
}

/// How often a request may still be forwarded (RFC 9110 § 7.6.2), where it says so in a way that can be read.
pub(crate) fn forwards_left(headers: &HeaderMap) -> Option<u64> {
    cache_control::delta_seconds(headers.get(MAX_FORWARDS)?.as_bytes())
}

/// One forward less. Whoever may not be forwarded at all is not admitted.
fn count_forward(headers: &mut HeaderMap) {
    match forwards_left(headers) {
        Some(left) => {
            headers.insert(MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
        }
        None => {
            headers.remove(MAX_FORWARDS);
        }
    }
}

/// Appends this hop to Via (RFC 9110 § 7.6.3) and the viewer to X-Forwarded-For (CloudFront: the address of the TCP
/// connection, behind what the viewer sent).
fn add_hop(request: &ViewerRequest, headers: &mut HeaderMap) {
    let via = match request.version {
        Version::HTTP_09 | Version::HTTP_10 => "1.0 proxima",
        Version::HTTP_2 => "2 proxima",
        Version::HTTP_3 => "3 proxima",
        _ => "1.1 proxima",
    };
    headers.append(VIA, HeaderValue::from_static(via));
    let mut addresses = String::new();
    for value in headers.get_all(&X_FORWARDED_FOR) {
        if let Ok(text) = value.to_str()
            && !text.is_empty()
        {
            addresses.push_str(text);
            addresses.push_str(", ");
        }
    }
    write!(addresses, "{}", request.peer.ip().to_canonical()).expect("writing to a String cannot fail");
    let addresses = HeaderValue::try_from(addresses).expect("field values and an address are one field value");
    headers.insert(X_FORWARDED_FOR, addresses);
}

#[cfg(test)]
mod tests;
