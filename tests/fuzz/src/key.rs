//! Keys: two requests share an entry only if the origin is asked the same for both.

use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName, VIA};
use http::{HeaderMap, Method};
use proxima_edge_core::origin_request::{OriginRequest, Purpose};
use proxima_edge_core::request::ViewerRequest;
use proxima_edge_core::route::Route;

use crate::{input, site};

/// Names in a Vary.
const VARY: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, HeaderName::from_static("x-variant")];

/// The first byte chooses the route. Then two requests, each `METHOD target`, fields, and an empty line.
pub(crate) fn target(data: &[u8]) {
    let ([choice], data) = input::choices::<1>(data);
    let route = site::route(choice);
    let Some((one, data)) = input::request(data) else { return };
    let Some((other, _)) = input::request(data) else { return };
    let (Some(one), Some(other)) = (input::viewer(one), input::viewer(other)) else { return };
    if route.uses_cache(&one).is_err() || route.uses_cache(&other).is_err() {
        return;
    }
    check(route, &one, &other);
}

fn check(route: &Route, one: &ViewerRequest, other: &ViewerRequest) {
    let (key, other_key) = (route.cache_key(one), route.cache_key(other));
    assert_eq!(route.cache_key(&one.clone()), key, "a key depends on the request alone");
    let asked = route.origin_request(one, Purpose::Fill);
    let other_asked = route.origin_request(other, Purpose::Fill);
    let same = key == other_key;
    if same {
        assert_eq!(one.path(), other.path());
        assert_eq!(asks_for_options(one), asks_for_options(other));
        assert_eq!(asked.target, other_asked.target, "one key for two targets");
        assert_eq!(asked.host, other_asked.host, "one key for two hosts");
        assert_eq!(content(&asked), content(&other_asked), "one key for two heads");
        let policy = &route.behavior.cache_policy;
        if policy.key_host || policy.forward_host {
            assert!(one.authority.as_bytes().eq_ignore_ascii_case(other.authority.as_bytes()));
        }
    } else {
        let differ = asks_for_options(one) != asks_for_options(other)
            || (one.path(), one.query()) != (other.path(), other.query())
            || one.authority != other.authority
            || one.headers != other.headers;
        assert!(differ, "two keys for one request");
    }
    let (variant, other_variant) = (key.variant(&VARY, &asked.headers), other_key.variant(&VARY, &other_asked.headers));
    assert_ne!(variant, key, "a variant is not the resource");
    if variant == other_variant {
        assert!(same, "one variant of two resources");
        assert_eq!(members(&asked.headers), members(&other_asked.headers), "one variant for two values");
    }
    let (names, other_names) = (&one.headers, &other.headers);
    if key.variant(&VARY, names) == key.variant(&VARY, other_names) {
        assert_eq!(members(names), members(other_names), "one variant for two values");
    }
}

fn asks_for_options(request: &ViewerRequest) -> bool {
    request.method == Method::OPTIONS
}

/// What the origin may make its answer from: not what tells the way that a request took. To accept `identity` alone and
/// to say nothing is the same to CloudFront's keys.
fn content(request: &OriginRequest) -> HeaderMap {
    let mut headers = request.headers.clone();
    if headers.get(ACCEPT_ENCODING).is_some_and(|value| value == "identity") {
        headers.remove(ACCEPT_ENCODING);
    }
    for name in [VIA, HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("cdn-loop")] {
        headers.remove(name);
    }
    headers
}

/// The one name of [`VARY`] whose values have no order that means nothing; without the space around its members, where
/// no quote could hold a comma.
fn members(headers: &HeaderMap) -> Option<Vec<Vec<u8>>> {
    let values = || headers.get_all(&VARY[2]).iter().map(http::HeaderValue::as_bytes);
    if values().any(|value| value.contains(&b'"')) {
        return None;
    }
    Some(
        values()
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(|member| member.trim_ascii().to_vec())
            .collect(),
    )
}
