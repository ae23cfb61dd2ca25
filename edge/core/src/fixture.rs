//! Builders for tests: a small valid configuration, and requests from literal text.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use crate::cache_control::CacheControl;
use crate::edge_config::*;
use crate::entry::StoredResponse;
use crate::plan::Plan;
use crate::request::{ConnectionFacts, Refusal, Scheme, ViewerRequest};
use crate::route::Route;
use crate::storable::OriginResponse;
use crate::timestamp::Timestamp;

/// 2026-11-22T12:00:00Z.
pub(crate) const NOON: Timestamp = Timestamp::from_millis(1_795_348_800_000);

pub(crate) fn policy() -> CachePolicyConfig {
    CachePolicyConfig {
        name: "inline".to_owned(),
        min_ttl_ms: 0,
        default_ttl_ms: Some(86_400_000),
        max_ttl_ms: 31_536_000_000,
        key: CacheKeyConfig::default(),
        forward: ForwardConfig::default(),
        set_cookie: SetCookiePolicy::Bypass,
        override_origin_directives: false,
        origin_controlled: false,
        honor_request_directives: false,
    }
}

/// The policy of a behaviour that names none.
pub(crate) fn origin_controlled() -> CachePolicyConfig {
    CachePolicyConfig {
        default_ttl_ms: None,
        key: CacheKeyConfig { scheme: true, host: true, query_strings: Selection::All, ..CacheKeyConfig::default() },
        forward: ForwardConfig { all_viewer_headers: true },
        origin_controlled: true,
        ..policy()
    }
}

pub(crate) fn behavior() -> BehaviorConfig {
    BehaviorConfig {
        target_origin: "site".to_owned(),
        viewer_protocol_policy: ViewerProtocolPolicy::AllowAll,
        allowed_methods: AllowedMethods::GetHead,
        cached_methods: CachedMethods::GetHead,
        cache_policy: policy(),
    }
}

pub(crate) fn origin() -> OriginConfig {
    OriginConfig {
        name: "site".to_owned(),
        host: "site.internal.example".to_owned(),
        connect_to: None,
        protocol_policy: OriginProtocolPolicy::HttpOnly,
        http_port: 80,
        https_port: 443,
        tls_server_name: None,
        ca_bundle: None,
        path: String::new(),
        custom_headers: Vec::new(),
        connection_attempts: 3,
        connection_timeout_ms: 10_000,
        response_timeout_ms: 30_000,
        keep_alive_timeout_ms: 5_000,
    }
}

pub(crate) fn distribution() -> DistributionConfig {
    DistributionConfig {
        uid: "u-1".to_owned(),
        name: "web/shop".to_owned(),
        enabled: true,
        aliases: Vec::new(),
        service_hosts: Vec::new(),
        default_root_object: None,
        origins: vec![origin()],
        default_behavior: behavior(),
        behaviors: Vec::new(),
    }
}

pub(crate) fn config() -> EdgeConfig {
    EdgeConfig { requires: Vec::new(), cache: CacheConfig::default(), distributions: vec![distribution()] }
}

pub(crate) fn plan(change: impl FnOnce(&mut EdgeConfig)) -> Plan {
    let mut config = config();
    change(&mut config);
    Plan::compile(&config).unwrap()
}

/// The default behaviour of the only distribution, after a change of its configuration.
pub(crate) fn route(change: impl FnOnce(&mut DistributionConfig)) -> Route {
    let plan = plan(|config| change(&mut config.distributions[0]));
    let distribution = Arc::clone(&plan.distributions[0]);
    Route { behavior: Arc::clone(&distribution.default_behavior), distribution }
}

/// The default behaviour with this cache policy.
pub(crate) fn route_with(policy: CachePolicyConfig) -> Route {
    route(|distribution| distribution.default_behavior.cache_policy = policy)
}

/// A head from `METHOD target VERSION` and `Name: value` lines. Targets of HTTP/2 are whole URIs.
pub(crate) fn parts(text: &str) -> http::request::Parts {
    let mut lines = text.lines().map(str::trim);
    let mut words = lines.next().unwrap().split(' ');
    let (method, uri) = (words.next().unwrap(), words.next().unwrap());
    let version = match words.next().unwrap_or("HTTP/1.1") {
        "HTTP/1.0" => Version::HTTP_10,
        "HTTP/1.1" => Version::HTTP_11,
        "HTTP/2" => Version::HTTP_2,
        other => panic!("no such version: {other}"),
    };
    let mut head = http::Request::builder().method(method).uri(uri).version(version).body(()).unwrap().into_parts().0;
    head.headers = fields(lines);
    head
}

/// Header fields from `Name: value` lines.
pub(crate) fn headers(text: &str) -> HeaderMap {
    fields(text.lines().map(str::trim))
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value.trim()).unwrap());
    }
    headers
}

pub(crate) fn connection(scheme: Scheme) -> ConnectionFacts {
    ConnectionFacts { peer: SocketAddr::from(([192, 0, 2, 7], 50_000)), scheme }
}

pub(crate) fn read(text: &str) -> Result<ViewerRequest, Refusal> {
    ViewerRequest::read(&connection(Scheme::Http), parts(text), false)
}

/// A request that is well-formed. `Host: shop.example.com` is added when there is none.
pub(crate) fn request(text: &str) -> ViewerRequest {
    let has_host = text.lines().any(|line| line.trim().to_ascii_lowercase().starts_with("host:"));
    read(&if has_host { text.to_owned() } else { format!("{text}\nHost: shop.example.com") }).unwrap()
}

/// A response received at noon, half a second after it was asked for.
pub(crate) fn response(status: u16, text: &str) -> OriginResponse {
    OriginResponse {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers(text),
        body_length: Some(5),
        requested_at: Timestamp::from_millis(NOON.as_millis() - 500),
        received_at: NOON,
    }
}

/// A stored 200 of age zero at noon.
pub(crate) fn stored(text: &str) -> StoredResponse {
    let headers = headers(text);
    let date = |name: &str| headers.get(name).map(|value| Timestamp::from_http_date(value.to_str().unwrap(), NOON));
    StoredResponse {
        status: StatusCode::OK,
        cache_control: CacheControl::of_response(&headers),
        expires: date("expires").map(|date| date.unwrap_or(Timestamp::from_millis(0))),
        last_modified: date("last-modified").flatten(),
        date: date("date").flatten().unwrap_or(NOON),
        requested_at: NOON,
        received_at: NOON,
        initial_age: std::time::Duration::ZERO,
        epoch: 0,
        generation: 0,
        turn: 0,
        vary: Vec::new(),
        varies_on_everything: headers.get_all("vary").iter().any(|value| value.as_bytes().contains(&b'*')),
        body_length: 5,
        headers,
    }
}

pub(crate) fn method(text: &str) -> Method {
    Method::from_bytes(text.as_bytes()).unwrap()
}
