use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::edge_config::{CacheKeyConfig, CachePolicyConfig, ForwardConfig, Selection};
use crate::fixture::{headers, policy, request, route, route_with};
use crate::request::Scheme;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn keyed(key: CacheKeyConfig) -> Route {
    route_with(CachePolicyConfig { key, ..policy() })
}

/// Whether two requests share a key.
fn check(route: &Route, one: &str, other: &str, same: bool) {
    let (first, second) = (route.cache_key(&request(one)), route.cache_key(&request(other)));
    assert_eq!(first == second, same, "{one:?} {other:?}");
}

#[test]
fn by_default_only_distribution_and_path_count() {
    let route = keyed(CacheKeyConfig::default());
    let get = "GET /a HTTP/1.1";
    check(&route, get, "HEAD /a HTTP/1.0\nHost: other.example", true);
    check(&route, get, "GET /a?x=1 HTTP/1.1\nCookie: a=1\nAccept: x\nAccept-Encoding: br\nUser-Agent: y", true);
    check(&route, get, "GET /A HTTP/1.1", false);
    check(&route, get, "GET /a/ HTTP/1.1", false);
    check(&route, get, "GET //a HTTP/1.1", false);
    check(&route, get, "GET /%61 HTTP/1.1", false);
    check(&route, "GET /a%2Fb HTTP/1.1", "GET /a%2fb HTTP/1.1", false);
    check(&route, get, "OPTIONS /a HTTP/1.1", false);
}

#[test]
fn distributions_never_share() {
    let one = keyed(CacheKeyConfig::default());
    let other = route(|distribution| distribution.uid = "u-2".to_owned());
    let request = request("GET /a HTTP/1.1");
    assert_ne!(one.cache_key(&request), other.cache_key(&request));
}

#[test]
fn the_root_is_an_entry_of_its_own_that_names_the_root_object() {
    let with = |object: &str| route(|distribution| distribution.default_root_object = Some(object.to_owned()));
    let route = with("index.html");
    // `/` and `/index.html` may have different behaviours, and so different origins.
    check(&route, "GET / HTTP/1.1", "GET /index.html HTTP/1.1", false);
    check(&route, "GET / HTTP/1.1", "HEAD / HTTP/1.1", true);
    let root = request("GET / HTTP/1.1");
    assert_ne!(route.cache_key(&root), with("home.html").cache_key(&root), "another object counts at once");
    check(&route, "GET / HTTP/1.1", "GET /a/ HTTP/1.1", false);
    check(&route, "OPTIONS / HTTP/1.1", "OPTIONS /index.html HTTP/1.1", false);
}

#[test]
fn scheme_and_host_count_where_configured() {
    let http = request("GET / HTTP/1.1");
    let https = ViewerRequest { scheme: Scheme::Https, ..http.clone() };
    let without = keyed(CacheKeyConfig::default());
    let with = keyed(CacheKeyConfig { scheme: true, host: true, ..CacheKeyConfig::default() });
    assert_eq!(without.cache_key(&http), without.cache_key(&https));
    assert_ne!(with.cache_key(&http), with.cache_key(&https));
    check(&with, "GET / HTTP/1.1\nHost: a.example", "GET / HTTP/1.1\nHost: b.example", false);
    check(&with, "GET / HTTP/1.1\nHost: a.example", "GET / HTTP/1.1\nHost: a.example:8080", false);
    check(&with, "GET / HTTP/1.1\nHost: a.example", "GET / HTTP/1.1\nHost: A.Example", true);
}

#[test]
fn a_forwarded_host_counts_as_it_is_sent() {
    let route = keyed(CacheKeyConfig { headers: names(&["host"]), ..CacheKeyConfig::default() });
    check(&route, "GET / HTTP/1.1\nHost: a.example", "GET / HTTP/1.1\nHost: b.example", false);
    check(&route, "GET / HTTP/1.1\nHost: a.example", "GET / HTTP/1.1\nHost: A.Example", false);
}

#[test]
fn query_strings_count_as_selected() {
    let all = keyed(CacheKeyConfig { query_strings: Selection::All, ..CacheKeyConfig::default() });
    check(&all, "GET /?a=1&b=2 HTTP/1.1", "GET /?b=2&a=1 HTTP/1.1", false);
    check(&all, "GET /?a=1 HTTP/1.1", "GET /?A=1 HTTP/1.1", false);
    check(&all, "GET / HTTP/1.1", "GET /? HTTP/1.1", false);
    let some = Selection::Some(names(&["a"]));
    let some = keyed(CacheKeyConfig { query_strings: some, ..CacheKeyConfig::default() });
    check(&some, "GET /?a=1&b=2 HTTP/1.1", "GET /?b=3&a=1&c HTTP/1.1", true);
    check(&some, "GET /?a=1&a=2 HTTP/1.1", "GET /?a=2&a=1 HTTP/1.1", false);
    check(&some, "GET /?b=2 HTTP/1.1", "GET / HTTP/1.1", true);
    check(&some, "GET /?a HTTP/1.1", "GET / HTTP/1.1", false);
}

#[test]
fn headers_count_by_name_in_any_case_and_value_byte_by_byte() {
    let route = keyed(CacheKeyConfig { headers: names(&["x-a", "x-b"]), ..CacheKeyConfig::default() });
    let get = |fields: &str| format!("GET / HTTP/1.1\n{fields}");
    for (one, other, same) in [
        ("X-A: 1", "x-a: 1", true),
        ("X-A: 1\nX-B: 2", "X-B: 2\nX-A: 1", true),
        ("X-A: 1\nX-C: 2", "X-A: 1", true),
        ("X-A: a", "X-A: A", false),
        ("X-A: 1", "X-B: 1", false),
        ("X-A:", "", false),
        ("X-A: 1, 2", "X-A: 1\nX-A: 2", false),
        ("X-A: 1\nX-A: 2", "X-A: 2\nX-A: 1", false),
        ("X-A: 12", "X-A: 1\nX-A: 2", false),
    ] {
        check(&route, &get(one), &get(other), same);
    }
}

#[test]
fn cookies_count_in_any_order() {
    let some = Selection::Some(names(&["a", "b"]));
    let route = keyed(CacheKeyConfig { cookies: some, ..CacheKeyConfig::default() });
    let get = |cookies: &str| format!("GET / HTTP/1.1\nCookie: {cookies}");
    for (one, other, same) in [
        ("a=1; b=2", "b=2; a=1", true),
        ("a=1; c=3", "a=1", true),
        ("a=1", "a=2", false),
        ("a=1", "A=1", false),
        ("a=1; b=2", "a=1", false),
        ("a=1; a=2", "a=2; a=1", false),
        ("c=3", "d=4", true),
        ("a=", "c=3", false),
    ] {
        check(&route, &get(one), &get(other), same);
    }
    check(&route, "GET / HTTP/2\nCookie: a=1\nCookie: b=2", &get("a=1; b=2"), true);
}

/// The value that goes to the origin, for both flags.
fn check_encoding(gzip: bool, brotli: bool, accepted: Option<&str>, expected: Option<&str>) {
    let key = CacheKeyConfig {
        accept_encoding_gzip: gzip,
        accept_encoding_brotli: brotli,
        headers: names(&["accept-encoding"]),
        ..CacheKeyConfig::default()
    };
    let route = keyed(key);
    let fields = accepted.map_or(String::new(), |value| format!("Accept-Encoding: {value}"));
    let actual = route.behavior.cache_policy.accept_encoding(&headers(&fields));
    assert_eq!(actual, expected, "{gzip} {brotli} {accepted:?}");
}

#[test]
fn accept_encoding_is_normalised_as_in_cloudfront() {
    for (accepted, both, gzip, brotli) in [
        ("gzip, deflate, br, zstd", "br,gzip", "gzip", "br"),
        ("br,gzip", "br,gzip", "gzip", "br"),
        ("gzip", "gzip", "gzip", "identity"),
        ("br", "br", "identity", "br"),
        ("deflate", "identity", "identity", "identity"),
        ("identity", "identity", "identity", "identity"),
        ("", "identity", "identity", "identity"),
        ("GZIP;q=1.0, BR ; q = 0.5", "br,gzip", "gzip", "br"),
        ("gzip;q=0, br", "br", "identity", "br"),
        ("gzip;q=0.000, br;q=0.001", "br", "identity", "br"),
        ("x-gzip", "gzip", "gzip", "identity"),
        ("gzipped, brotli, *", "identity", "identity", "identity"),
    ] {
        check_encoding(true, true, Some(accepted), Some(both));
        check_encoding(true, false, Some(accepted), Some(gzip));
        check_encoding(false, true, Some(accepted), Some(brotli));
        check_encoding(false, false, Some(accepted), None);
    }
    for (gzip, brotli) in [(true, true), (true, false), (false, true), (false, false)] {
        check_encoding(gzip, brotli, None, None);
    }
}

#[test]
fn normalised_accept_encoding_counts_instead_of_the_raw_one() {
    let raw = names(&["accept-encoding"]);
    let ordinary = keyed(CacheKeyConfig { headers: raw.clone(), ..CacheKeyConfig::default() });
    let normalised = keyed(CacheKeyConfig {
        headers: raw,
        accept_encoding_gzip: true,
        accept_encoding_brotli: true,
        ..CacheKeyConfig::default()
    });
    let get = |value: &str| format!("GET / HTTP/1.1\nAccept-Encoding: {value}");
    check(&ordinary, &get("gzip, br"), &get("br, gzip"), false);
    check(&normalised, &get("gzip, br"), &get("br, gzip, zstd"), true);
    check(&normalised, &get("gzip"), &get("br"), false);
    check(&normalised, &get("gzip"), "GET / HTTP/1.1", false);
    check(&normalised, &get("zstd"), "GET / HTTP/1.1", true);
}

#[test]
fn variants_differ_by_the_values_as_sent() {
    let key = keyed(CacheKeyConfig::default()).cache_key(&request("GET / HTTP/1.1"));
    let vary = [HeaderName::from_static("accept"), HeaderName::from_static("x-a")];
    let variant = |fields: &str| key.variant(&vary, &headers(fields));
    assert_eq!(variant("Accept: a\nX-B: 1"), variant("Accept: a\nX-B: 2"));
    assert_ne!(variant("Accept: a"), variant("Accept: b"));
    assert_ne!(variant("Accept:"), variant(""));
    assert_ne!(variant("Accept: a"), variant("X-A: a"));
    // A value that looks like the name of the next field.
    assert_ne!(variant("Accept: x-a"), variant("X-A: x-a"));
    assert_ne!(variant(""), key);
    assert_ne!(key.variant(&vary[..1], &headers("")), variant(""));
}

/// Whether two requests with these values of a field share a variant.
fn check_selecting(name: &str, one: &[&str], other: &[&str], same: bool) {
    let key = keyed(CacheKeyConfig::default()).cache_key(&request("GET / HTTP/1.1"));
    let variant = |values: &[&str]| {
        let lines: Vec<String> = values.iter().map(|value| format!("{name}: {value}")).collect();
        key.variant(&[HeaderName::from_bytes(name.as_bytes()).unwrap()], &headers(&lines.join("\n")))
    };
    assert_eq!(variant(one) == variant(other), same, "{name}: {one:?} {other:?}");
}

#[test]
fn lists_are_compared_without_regard_to_lines_and_space() {
    // RFC 9111 § 4.1.
    check_selecting("foo", &["1, 2"], &["1", "2"], true);
    check_selecting("foo", &["1,2"], &["1 ,\t2"], true);
    check_selecting("foo", &["1, 2"], &["2, 1"], false);
    check_selecting("foo", &["a"], &["A"], false);
    check_selecting("foo", &["1, 2"], &["12"], false);
    check_selecting("foo", &["\"1, 2\""], &["\"1,2\""], false);
    check_selecting("foo", &["\"1\\\", 2\""], &["\"1\\\",2\""], false);
    check_selecting("foo", &["\"1\", 2"], &["\"1\",2"], true);
    check_selecting("foo", &[""], &[], false);
    for name in ["cookie", "authorization", "user-agent"] {
        check_selecting(name, &["a, b"], &["a,b"], false);
        check_selecting(name, &["a", "b"], &["a, b"], false);
    }
}

#[test]
fn what_a_viewer_accepts_is_compared_without_regard_to_order() {
    // RFC 9110 § 12.5: weights, not places, say what is preferred.
    for name in ["accept-language", "accept-encoding", "accept-charset"] {
        check_selecting(name, &["en, de"], &["de, en"], true);
        check_selecting(name, &["en, de"], &["eN", "De,"], true);
        check_selecting(name, &["en;q=0.5"], &["EN ; q=0.5"], true);
        check_selecting(name, &["en;q=0.5"], &["en;q=0.6"], false);
        check_selecting(name, &["en;q=0.5, de"], &["en, de;q=0.5"], false);
        check_selecting(name, &["en"], &["en, de"], false);
    }
    check_selecting("accept", &["text/html, text/plain"], &["text/plain,text/html"], true);
    check_selecting("accept", &["text/html;p=a"], &["text/html;p=A"], false);
}

/// Everything that a policy can name, from a small alphabet, so that delimiters would be mistaken if there were any.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    uid: String,
    path: String,
    query: Option<String>,
    a: Vec<String>,
    b: Vec<String>,
    cookies: Option<String>,
    host: String,
    options: bool,
}

prop_compose! {
    fn asked()(
        uid in "[a1]{1,2}",
        path in "/[a1/]{0,2}",
        query in proptest::option::of("[a=&]{0,3}"),
        a in proptest::collection::vec("[a1]{0,2}", 0..3),
        b in proptest::collection::vec("[a1]{0,2}", 0..3),
        cookies in proptest::option::of("(a=[a1]{0,2}|b=[1]{0,1}; c=)"),
        host in "[ab]",
        options: bool,
    ) -> Asked {
        Asked { uid, path, query, a, b, cookies, host, options }
    }
}

fn key_of(asked: &Asked, ignored: &str) -> CacheKey {
    let route = route(|distribution| {
        distribution.uid = asked.uid.clone();
        distribution.default_behavior.cache_policy = CachePolicyConfig {
            key: CacheKeyConfig {
                host: true,
                headers: names(&["x-a", "x-b"]),
                cookies: Selection::All,
                query_strings: Selection::All,
                ..CacheKeyConfig::default()
            },
            forward: ForwardConfig { all_viewer_headers: true },
            ..policy()
        };
    });
    let query = asked.query.as_ref().map_or(String::new(), |query| format!("?{query}"));
    let method = if asked.options { "OPTIONS" } else { "GET" };
    let mut request = request(&format!("{method} {}{query} HTTP/1.1\nHost: {}", asked.path, asked.host));
    let value = |text: &String| HeaderValue::from_str(text).unwrap();
    for (name, text) in asked.a.iter().map(|text| ("x-a", text)).chain(asked.b.iter().map(|text| ("x-b", text))) {
        request.headers.append(name, value(text));
    }
    request.headers.extend(asked.cookies.as_ref().map(|cookies| (http::header::COOKIE, value(cookies))));
    request.headers.insert("x-ignored", HeaderValue::from_str(ignored).unwrap());
    route.cache_key(&request)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn keys_are_equal_exactly_when_what_is_asked_is(one in asked(), other in asked()) {
        prop_assert_eq!(key_of(&one, "") == key_of(&other, ""), one == other);
    }

    #[test]
    fn what_is_not_selected_does_not_count(asked in asked(), ignored in "[a1]{0,3}") {
        prop_assert_eq!(key_of(&asked, ""), key_of(&asked, &ignored));
    }

    // Random pairs differ in nearly everything; these differ in one place.
    #[test]
    fn one_difference_is_enough(asked in asked(), field in 0..7_usize) {
        let mut other = asked.clone();
        match field {
            0 => other.uid.push('1'),
            1 => other.path.push('a'),
            2 => other.query = Some(other.query.map_or(String::new(), |query| query + "a")),
            3 => other.a.push(String::new()),
            4 => std::mem::swap(&mut other.a, &mut other.b),
            5 => other.cookies = Some(other.cookies.map_or("a=".to_owned(), |cookies| cookies + "1")),
            _ => other.options = !other.options,
        }
        prop_assert_eq!(key_of(&asked, "") == key_of(&other, ""), asked == other);
    }
}
