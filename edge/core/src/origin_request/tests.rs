use proptest::prelude::*;

use super::*;
use crate::edge_config::{
    AllowedMethods, CacheKeyConfig, CachePolicyConfig, DistributionConfig, ForwardConfig, HeaderConfig, Selection,
};
use crate::fixture::{headers, method, origin_controlled, policy, request, route, route_with};

const HOP: &str = "Via: 1.1 proxima\nX-Forwarded-For: 192.0.2.7";
const LOOP: &str = "CDN-Loop: proxima; distribution=\"u-1\"";
const NAMED: &str = "User-Agent: proxima\nVia: 1.1 proxima\nX-Forwarded-For: 192.0.2.7";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn keyed(key: CacheKeyConfig) -> Route {
    route_with(CachePolicyConfig { key, ..policy() })
}

/// The fields that a GET with these fields leads to.
fn check(route: &Route, fields: &str, purpose: Purpose, expected: &str) {
    let outgoing = route.origin_request(&request(&format!("GET / HTTP/1.1\n{fields}")), purpose);
    assert_eq!(outgoing.headers, headers(&format!("{expected}\n{LOOP}")), "{purpose:?} {fields}");
}

fn check_target(change: impl FnOnce(&mut DistributionConfig), text: &str, expected: &str) {
    assert_eq!(route(change).origin_request(&request(text), Purpose::Fill).target, expected, "{text}");
}

const EVERYTHING: &str = "Accept: a\nAccept-Language: b\nReferer: c\nUser-Agent: d\nX-Custom: e\nCookie: f=1\n\
    Authorization: g\nOrigin: h\nPragma: i\nCache-Control: no-cache\nX-HTTP-Method-Override: PUT\nX-Forwarded-Host: j\n\
    X-Forwarded-Proto: https\nX-Real-IP: 1.1.1.1\nX-Original-URL: /k\nX-Rewrite-URL: /l\nAccept-Encoding: br\n\
    Expect: 100-continue\nTE: trailers\nUpgrade: h2c\nConnection: x-custom\nKeep-Alive: 5\nProxy-Authorization: m\n\
    Forwarded: for=n\nContent-Type: o\nContent-Length: 0";

#[test]
fn a_policy_sends_only_what_it_names_and_what_is_always_sent() {
    check(&keyed(CacheKeyConfig::default()), EVERYTHING, Purpose::Fill, NAMED);
    let key = CacheKeyConfig {
        headers: names(&["accept", "x-custom", "x-forwarded-host", "authorization", "user-agent", "accept-encoding"]),
        cookies: Selection::All,
        ..CacheKeyConfig::default()
    };
    let expected = "Accept: a\nX-Custom: e\nX-Forwarded-Host: j\nAuthorization: g\nUser-Agent: d\nAccept-Encoding: br\n\
                    Cookie: f=1";
    check(&keyed(key), EVERYTHING, Purpose::Fill, &format!("{expected}\n{HOP}"));
}

#[test]
fn forwarding_everything_leaves_out_one_connections_fields_and_poison() {
    let expected = "Accept: a\nAccept-Language: b\nReferer: c\nUser-Agent: d\nCookie: f=1\nAuthorization: g\nOrigin: h\n\
                    Pragma: i\nCache-Control: no-cache\nAccept-Encoding: br\nContent-Type: o";
    check(&route_with(origin_controlled()), EVERYTHING, Purpose::Fill, &format!("{expected}\n{HOP}"));
}

#[test]
fn every_field_that_poisons_is_sent_only_when_listed() {
    for name in POISONOUS {
        let fields = format!("{name}: x");
        check(&route_with(origin_controlled()), &fields, Purpose::Fill, HOP);
        check(&route_with(origin_controlled()), &fields, Purpose::Pass, HOP);
        check(&keyed(CacheKeyConfig::default()), &fields, Purpose::Fill, NAMED);
        let key = CacheKeyConfig { headers: names(&[name.as_str()]), ..origin_controlled().key };
        let listed = route_with(CachePolicyConfig { key, ..origin_controlled() });
        check(&listed, &fields, Purpose::Fill, &format!("{fields}\n{HOP}"));
    }
}

#[test]
fn connection_takes_nothing_away_that_is_in_the_key() {
    let key = CacheKeyConfig { headers: names(&["x-a"]), cookies: Selection::All, ..CacheKeyConfig::default() };
    let fields = "Connection: x-a, x-b, cookie, host, authorization\nX-A: 1\nX-A: 2\nX-B: 3\nCookie: a=1";
    let all = CachePolicyConfig { forward: ForwardConfig { all_viewer_headers: true }, key: key.clone(), ..policy() };
    check(&route_with(all), fields, Purpose::Fill, &format!("X-A: 1\nX-A: 2\nCookie: a=1\n{HOP}"));
    check(&keyed(key), fields, Purpose::Fill, &format!("X-A: 1\nX-A: 2\nCookie: a=1\n{NAMED}"));
}

#[test]
fn conditions_and_ranges_go_with_a_request_of_its_own_only() {
    let conditions = "If-None-Match: \"a\"\nIf-Modified-Since: b\nIf-Match: \"c\"\nIf-Unmodified-Since: d\nIf-Range: \"e\"\n\
                      Range: bytes=0-1";
    check(&route_with(policy()), conditions, Purpose::Fill, NAMED);
    check(&route_with(policy()), conditions, Purpose::Pass, &format!("{conditions}\n{NAMED}"));
    check(&route_with(origin_controlled()), conditions, Purpose::Fill, HOP);
    check(&route_with(origin_controlled()), conditions, Purpose::Pass, &format!("{conditions}\n{HOP}"));
}

#[test]
fn via_and_forwarded_for_are_extended() {
    let fields = "Via: 1.0 fred\nX-Forwarded-For: 198.51.100.1, 198.51.100.2\nX-Forwarded-For: 198.51.100.3";
    let expected = "Via: 1.0 fred\nVia: 1.1 proxima\n\
                    X-Forwarded-For: 198.51.100.1, 198.51.100.2, 198.51.100.3, 192.0.2.7";
    check(&route_with(origin_controlled()), fields, Purpose::Fill, expected);
    check(&route_with(policy()), fields, Purpose::Fill, &format!("User-Agent: proxima\n{expected}"));
}

#[test]
fn loops_stay_visible_whatever_connection_names() {
    // RFC 8586 § 3.
    let fields = "CDN-Loop: other; x\nConnection: cdn-loop";
    check(&route_with(origin_controlled()), fields, Purpose::Fill, &format!("CDN-Loop: other; x\n{HOP}"));
    check(&route_with(policy()), fields, Purpose::Fill, &format!("CDN-Loop: other; x\n{NAMED}"));
}

#[test]
fn via_names_the_version_of_the_viewer_and_forwarded_for_its_address() {
    for (version, peer, expected) in [
        ("HTTP/1.0", "[2001:db8::1]:5", "Via: 1.0 proxima\nX-Forwarded-For: 2001:db8::1"),
        ("HTTP/1.1", "[::ffff:192.0.2.9]:5", "Via: 1.1 proxima\nX-Forwarded-For: 192.0.2.9"),
        ("HTTP/2", "192.0.2.9:5", "Via: 2 proxima\nX-Forwarded-For: 192.0.2.9"),
    ] {
        let viewer = ViewerRequest { peer: peer.parse().unwrap(), ..request(&format!("GET / {version}\nHost: a")) };
        let outgoing = route_with(origin_controlled()).origin_request(&viewer, Purpose::Fill);
        assert_eq!(outgoing.headers, headers(&format!("{expected}\n{LOOP}")));
    }
}

#[test]
fn accept_encoding_is_sent_as_it_is_keyed() {
    let key = CacheKeyConfig { accept_encoding_gzip: true, accept_encoding_brotli: true, ..CacheKeyConfig::default() };
    let all = CachePolicyConfig { forward: ForwardConfig { all_viewer_headers: true }, key: key.clone(), ..policy() };
    for (sent, expected) in [("zstd, gzip, br", "br,gzip"), ("zstd", "identity")] {
        let fields = format!("Accept-Encoding: {sent}");
        check(&keyed(key.clone()), &fields, Purpose::Fill, &format!("Accept-Encoding: {expected}\n{NAMED}"));
        check(&route_with(all.clone()), &fields, Purpose::Fill, &format!("Accept-Encoding: {expected}\n{HOP}"));
    }
    check(&keyed(key), "", Purpose::Fill, NAMED);
}

/// Fields that a request with a body leads to under a policy that names nothing.
fn check_method(name: &str, expected: &str) {
    let route = route(|distribution| distribution.default_behavior.allowed_methods = AllowedMethods::Any);
    let fields = "Authorization: a\nContent-Type: b\nContent-Encoding: c\nContent-Length: 5\nCookie: d=1\nX-A: e";
    let viewer = request(&format!("POST / HTTP/1.1\n{fields}"));
    let viewer = ViewerRequest { method: method(name), has_body: !matches!(name, "GET" | "HEAD"), ..viewer };
    let outgoing = route.origin_request(&viewer, Purpose::Pass);
    assert_eq!(outgoing.headers, headers(&format!("{expected}\n{NAMED}\n{LOOP}")), "{name}");
    assert_eq!(outgoing.method, viewer.method);
}

#[test]
fn methods_that_are_not_cached_carry_authorization_and_describe_their_body() {
    for name in ["PUT", "POST", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        check_method(name, "Authorization: a\nContent-Type: b\nContent-Encoding: c");
    }
    check_method("GET", "");
    check_method("HEAD", "");
}

#[test]
fn custom_headers_replace_the_viewers() {
    let route = route(|distribution| {
        let header = |name: &str, value: &str| HeaderConfig { name: name.to_owned(), value: value.to_owned() };
        distribution.origins[0].custom_headers =
            vec![header("X-A", "origin"), header("User-Agent", "other"), header("Authorization", "secret")];
        distribution.default_behavior.cache_policy = origin_controlled();
    });
    let fields = "X-A: viewer\nX-A: again\nUser-Agent: curl\nAuthorization: mine";
    let expected = format!("X-A: origin\nUser-Agent: other\nAuthorization: secret\n{HOP}");
    check(&route, fields, Purpose::Fill, &expected);
    let viewer = request(&format!("GET / HTTP/1.1\n{fields}"));
    assert!(!route.origin_request(&viewer, Purpose::Fill).unkeyed_credentials);
}

#[test]
fn the_target_is_origin_path_raw_path_and_selected_query() {
    let all = |distribution: &mut DistributionConfig| {
        distribution.origins[0].path = "/public".to_owned();
        distribution.default_root_object = Some("index.html".to_owned());
        distribution.default_behavior.cache_policy.key.query_strings = Selection::All;
    };
    check_target(all, "GET / HTTP/1.1", "/public/index.html");
    check_target(all, "GET /?a=1 HTTP/1.1", "/public/index.html?a=1");
    check_target(all, "GET //a%2Fb/%7e?x=%20&&y HTTP/1.1", "/public//a%2Fb/%7e?x=%20&&y");
    check_target(all, "GET /a? HTTP/1.1", "/public/a?");
    check_target(all, "GET http://shop.example.com/a?b HTTP/1.1", "/public/a?b");
    check_target(all, "OPTIONS * HTTP/1.1", "*");
    check_target(|_| {}, "GET /a?x=1 HTTP/1.1", "/a");
    let some = |distribution: &mut DistributionConfig| {
        distribution.default_behavior.cache_policy.key.query_strings = Selection::Some(names(&["a"]));
    };
    check_target(some, "GET /x?b=1&a=2&a HTTP/1.1", "/x?a=2&a");
    check_target(some, "GET /x?b=1 HTTP/1.1", "/x");
}

#[test]
fn the_host_sent_is_the_origins_unless_the_viewers_is_forwarded() {
    let host = |scheme: OriginProtocolPolicy, forward: bool, viewer: &str| {
        let route = route(|distribution| {
            distribution.origins[0].protocol_policy = scheme;
            distribution.origins[0].http_port = 8080;
            distribution.default_behavior.cache_policy.key.headers =
                if forward { names(&["host"]) } else { Vec::new() };
        });
        let outgoing = route.origin_request(&request(&format!("GET / HTTP/1.0\nHost: {viewer}")), Purpose::Fill);
        assert!(!outgoing.headers.contains_key(HOST));
        (outgoing.scheme.as_str(), outgoing.host.to_str().unwrap().to_owned())
    };
    use OriginProtocolPolicy::{HttpOnly, HttpsOnly, MatchViewer};
    let own = "site.internal.example";
    assert_eq!(host(HttpOnly, false, "a.example"), ("http", format!("{own}:8080")));
    assert_eq!(host(HttpsOnly, false, "a.example"), ("https", own.to_owned()));
    assert_eq!(host(MatchViewer, false, "a.example"), ("http", format!("{own}:8080")));
    assert_eq!(host(HttpOnly, true, "A.example:81"), ("http", "A.example:81".to_owned()));
    assert_eq!(host(HttpOnly, true, ""), ("http", format!("{own}:8080")));
}

#[test]
fn matching_the_viewer_takes_its_scheme() {
    let route = route(|distribution| distribution.origins[0].protocol_policy = OriginProtocolPolicy::MatchViewer);
    let viewer = ViewerRequest { scheme: Scheme::Https, ..request("GET / HTTP/1.1") };
    assert_eq!(route.origin_request(&viewer, Purpose::Fill).scheme, Scheme::Https);
}

#[test]
fn credentials_outside_the_key_are_noticed() {
    let with = |headers: &[&str], cookies| {
        let key = CacheKeyConfig { headers: names(headers), cookies, ..origin_controlled().key };
        route_with(CachePolicyConfig { key, ..origin_controlled() })
    };
    for (route, fields, expected) in [
        (with(&[], Selection::None), "", false),
        (with(&[], Selection::None), "Authorization: a", true),
        (with(&[], Selection::None), "Cookie: a=1", true),
        (with(&["authorization"], Selection::None), "Authorization: a", false),
        (with(&[], Selection::All), "Cookie: a=1; b=2", false),
        (with(&[], Selection::All), "Cookie: malformed", true),
        (with(&[], Selection::Some(names(&["a"]))), "Cookie: a=1", false),
        (with(&[], Selection::Some(names(&["a"]))), "Cookie: a=1; b=2", true),
        (with(&[], Selection::AllExcept(names(&["a"]))), "Cookie: a=1; b=2", true),
        (route_with(policy()), "Authorization: a\nCookie: a=1", false),
    ] {
        let viewer = request(&format!("GET / HTTP/1.1\n{fields}"));
        assert_eq!(route.origin_request(&viewer, Purpose::Fill).unkeyed_credentials, expected, "{fields}");
    }
}

#[test]
fn options_counts_its_forwards_down() {
    // RFC 9110 § 7.6.2; other methods may leave it alone.
    let route = route_with(origin_controlled());
    for (method, forwards, expected) in [
        ("OPTIONS", "2", Some("1")),
        ("OPTIONS", "1", Some("0")),
        ("OPTIONS", "99999999999999999999", Some("2147483647")),
        ("OPTIONS", "x", None),
        ("GET", "2", Some("2")),
    ] {
        let viewer = request(&format!("{method} / HTTP/1.1\nMax-Forwards: {forwards}"));
        let sent = route.origin_request(&viewer, Purpose::Pass).headers;
        assert_eq!(sent.get(MAX_FORWARDS).map(|value| value.to_str().unwrap()), expected, "{method} {forwards}");
    }
}

#[test]
fn what_only_an_edge_may_say_is_not_taken_from_viewers() {
    let fields = "CloudFront-Viewer-Country: DE\nCloudFront-Forwarded-Proto: https";
    check(&route_with(origin_controlled()), fields, Purpose::Pass, HOP);
    let key = CacheKeyConfig { headers: names(&["cloudfront-viewer-country"]), ..CacheKeyConfig::default() };
    check(&keyed(key.clone()), fields, Purpose::Fill, NAMED);
    let plain = request("GET / HTTP/1.1");
    let lying = request(&format!("GET / HTTP/1.1\n{fields}"));
    assert_eq!(keyed(key.clone()).cache_key(&plain), keyed(key).cache_key(&lying));
}

#[test]
fn some_statuses_answer_only_who_asked_for_them() {
    let answers = |purpose, fields: &str, status: u16| {
        let outgoing =
            route_with(origin_controlled()).origin_request(&request(&format!("GET / HTTP/1.1\n{fields}")), purpose);
        outgoing.is_answered_by(StatusCode::from_u16(status).unwrap())
    };
    for condition in ["If-None-Match: \"a\"", "If-Modified-Since: Sun, 22 Nov 2026 11:00:00 GMT"] {
        assert!(answers(Purpose::Pass, condition, 304) && !answers(Purpose::Pass, condition, 206), "{condition}");
        assert!(!answers(Purpose::Fill, condition, 304), "a fill has no conditions of viewers");
    }
    for range in ["Range: bytes=0-1", "Request-Range: bytes=0-1"] {
        assert!(answers(Purpose::Pass, range, 206) && !answers(Purpose::Pass, range, 304), "{range}");
        assert!(!answers(Purpose::Fill, range, 206), "a fill has no range");
    }
    for status in [200, 204, 301, 404, 412, 416, 500] {
        assert!(answers(Purpose::Fill, "", status), "{status}");
    }
    assert!(!answers(Purpose::Pass, "If-Match: \"a\"", 304));
}

proptest! {
    /// Two viewers that share a key ask the origin for the same, but for what says who they are.
    #[test]
    fn requests_that_share_a_key_are_sent_alike(
        queries in ("[ab=&]{0,6}", "[ab=&]{0,6}"),
        cookies in ("(a|b|c)=[12]; (a|b|c)=[12]", "(a|b|c)=[12]; (a|b|c)=[12]"),
        accepts in ("[xy]{0,1}", "[xy]{0,1}"),
        connection in "(close|accept|cookie|host|x-a)",
    ) {
        let route = keyed(CacheKeyConfig {
            headers: names(&["accept"]),
            cookies: Selection::Some(names(&["a"])),
            query_strings: Selection::Some(names(&["a"])),
            ..CacheKeyConfig::default()
        });
        let viewer = |query: &str, cookie: &str, accept: &str, connection: &str| {
            request(&format!("GET /?{query} HTTP/1.1\nCookie: {cookie}\nAccept: {accept}\nConnection: {connection}"))
        };
        let one = viewer(&queries.0, &cookies.0, &accepts.0, "keep-alive");
        let other = viewer(&queries.1, &cookies.1, &accepts.1, &connection);
        let (first, second) = (route.origin_request(&one, Purpose::Fill), route.origin_request(&other, Purpose::Fill));
        let same = (first.target, first.headers) == (second.target, second.headers);
        prop_assert_eq!(route.cache_key(&one) == route.cache_key(&other), same);
    }
}
