use http::header::ETAG;
use proptest::prelude::*;

use super::*;
use crate::edge_config::{CacheKeyConfig, CachePolicyConfig, CachedMethods, ForwardConfig, Selection};
use crate::fixture::{NOON, headers, method, origin_controlled, policy, request, response, route, route_with};
use crate::origin_request::Purpose;

/// The verdict on a response to a GET with these fields.
fn judge(route: &Route, fields: &str, response: &OriginResponse) -> Result<StoredResponse, NotStored> {
    let request = route.origin_request(&request(&format!("GET / HTTP/1.1\n{fields}")), Purpose::Fill);
    route.storable(&request, response, 7)
}

fn check(policy: CachePolicyConfig, status: u16, fields: &str, expected: Result<(), NotStored>) {
    let verdict = judge(&route_with(policy), "", &response(status, fields)).map(drop);
    assert_eq!(verdict, expected, "{status} {fields}");
}

fn overriding(min: u64) -> CachePolicyConfig {
    CachePolicyConfig { min_ttl_ms: min, override_origin_directives: true, ..policy() }
}

#[test]
fn hop_by_hop_fields_and_those_that_connection_names_are_removed() {
    let mut fields = headers(
        "Connection: close, X-A\nConnection: x-b,,bad name\nX-A: 1\nX-B: 2\nX-C: 3\nKeep-Alive: 5\nProxy-Authenticate: x\n\
         Proxy-Authorization: x\nProxy-Connection: x\nTE: trailers\nTrailer: x\nTransfer-Encoding: chunked\nUpgrade: h2c\n\
         Content-Length: 5\nETag: \"a\"",
    );
    end_to_end(&mut fields);
    assert_eq!(fields, headers("X-C: 3\nETag: \"a\""));
}

#[test]
fn connection_cannot_take_away_what_gives_a_message_its_meaning() {
    let kept = "Host: a\nContent-Type: b\nContent-Encoding: c\nCache-Control: no-store\nSet-Cookie: d=1\nVary: e\n\
                Authorization: f\nCookie: g=1\nContent-Range: h\nDate: i";
    let names = "Connection: host, content-type, content-encoding, cache-control, set-cookie, vary, authorization, \
                 cookie, content-range, date";
    let mut fields = headers(&format!("{names}\n{kept}"));
    end_to_end(&mut fields);
    assert_eq!(fields, headers(kept));
}

#[test]
fn the_answer_to_a_range_is_the_whole_when_nothing_speaks_against_it() {
    for (status, fields, whole) in [
        (200, "", true),
        (200, "Vary: Accept-Language", true),
        (200, "Vary: *", true),
        (200, "Vary: Accept, range", false),
        (200, "Vary: If-Range", false),
        (200, "Vary: Accept\nVary: If-None-Match", false),
        (200, "Content-Range: bytes 0-1/10", false),
        (203, "", false),
        (206, "Content-Range: bytes 0-1/10", false),
        (206, "", false),
        (304, "", false),
        (404, "", false),
    ] {
        assert_eq!(is_whole(&response(status, fields)), whole, "{status} {fields}");
    }
}

#[test]
fn only_responses_to_cached_methods_are_stored() {
    let fresh = response(200, "Cache-Control: max-age=60");
    for cached in [CachedMethods::GetHead, CachedMethods::GetHeadOptions] {
        let route = route(|distribution| {
            distribution.default_behavior.cached_methods = cached;
            distribution.default_behavior.allowed_methods = crate::edge_config::AllowedMethods::Any;
        });
        for name in ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE", "PROPFIND"] {
            let viewer = crate::request::ViewerRequest { method: method(name), ..request("GET / HTTP/1.1") };
            let verdict = route.storable(&route.origin_request(&viewer, Purpose::Fill), &fresh, 0).map(drop);
            let stored = name == "GET" || name == "OPTIONS" && cached == CachedMethods::GetHeadOptions;
            assert_eq!(verdict, if stored { Ok(()) } else { Err(NotStored::Method) }, "{name} {cached:?}");
        }
    }
}

#[test]
fn status_decides_whether_a_lifetime_must_be_named() {
    let explicit = "Cache-Control: max-age=60";
    for status in [200, 203, 204, 300, 301, 302, 303] {
        check(policy(), status, "", Ok(()));
        check(policy(), status, explicit, Ok(()));
    }
    let expires = "Expires: Sun, 22 Nov 2026 12:05:00 GMT";
    for status in [201, 202, 307, 308, 451, 505] {
        check(policy(), status, "", Err(NotStored::Status));
        check(policy(), status, explicit, Ok(()));
        check(policy(), status, expires, Ok(()));
        check(overriding(60_000), status, "", Err(NotStored::Status));
    }
    // CloudFront: "always caches", and "caches only if the origin adds max-age or s-maxage".
    for status in [404, 410, 414, 500, 501, 502, 503, 504] {
        check(policy(), status, "", Ok(()));
        check(origin_controlled(), status, explicit, Ok(()));
    }
    for status in [403, 405, 412, 415] {
        check(policy(), status, "", Err(NotStored::Status));
        check(policy(), status, expires, Err(NotStored::Status));
        check(policy(), status, explicit, Ok(()));
        check(origin_controlled(), status, expires, Ok(()));
    }
    for status in [428, 429, 431, 511, 304, 101] {
        check(policy(), status, explicit, Err(NotStored::Status));
        check(origin_controlled(), status, explicit, Err(NotStored::Status));
    }
    check(policy(), 206, explicit, Err(NotStored::Partial));
    check(origin_controlled(), 206, explicit, Err(NotStored::Partial));
}

#[test]
fn refusals_of_one_viewers_request_are_not_shared() {
    for status in [400, 401, 413, 416, 494] {
        check(policy(), status, "Cache-Control: max-age=60", Err(NotStored::Status));
        check(overriding(60_000), status, "Cache-Control: max-age=60", Err(NotStored::Status));
        check(origin_controlled(), status, "", Err(NotStored::Status));
        check(origin_controlled(), status, "Cache-Control: max-age=60", Ok(()));
    }
}

#[test]
fn directives_forbid_unless_the_policy_overrides_them() {
    for (directive, reason) in
        [("no-store", NotStored::NoStore), ("private", NotStored::Private), ("no-cache", NotStored::NoCache)]
    {
        let fields = format!("Cache-Control: max-age=60, {directive}");
        check(policy(), 200, &fields, Err(reason));
        check(CachePolicyConfig { min_ttl_ms: 60_000, ..policy() }, 200, &fields, Err(reason));
        check(origin_controlled(), 200, &fields, Err(reason));
        check(overriding(0), 200, &fields, Err(reason));
        check(overriding(60_000), 200, &fields, Ok(()));
        check(overriding(60_000), 404, &fields, Err(reason));
    }
    check(policy(), 200, "Cache-Control: no-cache=\"X-A\", private=\"X-B\"", Ok(()));
}

#[test]
fn what_is_stale_on_arrival_is_not_stored() {
    for fields in [
        "Cache-Control: max-age=0",
        "Cache-Control: s-maxage=0, max-age=60",
        "Expires: 0",
        "Cache-Control: max-age=60\nAge: 60",
        "Cache-Control: max-age=60\nDate: Sun, 22 Nov 2026 11:59:00 GMT",
    ] {
        check(policy(), 200, fields, Err(NotStored::NoFreshness));
    }
    check(origin_controlled(), 200, "", Err(NotStored::NoFreshness));
    check(origin_controlled(), 200, "Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT", Ok(()));
    check(CachePolicyConfig { min_ttl_ms: 60_000, ..policy() }, 200, "Cache-Control: max-age=0", Ok(()));
}

#[test]
fn set_cookie_obeys_the_policy() {
    let fields = "Set-Cookie: a=1\nSet-Cookie: b=2\nX-A: 1";
    let with = |set_cookie| route_with(CachePolicyConfig { set_cookie, ..policy() });
    let verdict = |set_cookie| judge(&with(set_cookie), "", &response(200, fields));
    assert_eq!(verdict(SetCookiePolicy::Bypass).unwrap_err(), NotStored::SetCookie);
    let count = |set_cookie| verdict(set_cookie).unwrap().headers.get_all(SET_COOKIE).iter().count();
    assert_eq!((count(SetCookiePolicy::Strip), count(SetCookiePolicy::Store)), (0, 2));
}

#[test]
fn what_can_be_revalidated_or_served_stale_is_stored_though_it_is_not_fresh() {
    // RFC 9111 § 3; what `no-cache` allows to store, § 5.2.2.4.
    for validator in ["ETag: \"a\"", "Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT"] {
        for directives in ["no-cache", "max-age=0", "no-cache, max-age=600", "s-maxage=0"] {
            for policy in [policy(), origin_controlled()] {
                check(policy, 200, &format!("Cache-Control: {directives}\n{validator}"), Ok(()));
            }
        }
        check(policy(), 200, &format!("Cache-Control: no-store\n{validator}"), Err(NotStored::NoStore));
        check(policy(), 200, &format!("Cache-Control: private\n{validator}"), Err(NotStored::Private));
    }
    check(policy(), 200, "Cache-Control: max-age=0\nLast-Modified: yesterday", Err(NotStored::NoFreshness));
    check(policy(), 200, "Cache-Control: max-age=0, stale-if-error=60", Ok(()));
    check(policy(), 200, "Cache-Control: max-age=0, stale-while-revalidate=60", Ok(()));
    check(policy(), 200, "Cache-Control: max-age=0, stale-if-error=0", Err(NotStored::NoFreshness));
    check(policy(), 200, "Cache-Control: no-cache, stale-if-error=60", Err(NotStored::NoCache));
}

#[test]
fn must_understand_is_for_statuses_that_are_understood() {
    // RFC 9111 § 5.2.2.3.
    for policy in [policy(), origin_controlled()] {
        check(policy.clone(), 200, "Cache-Control: max-age=60, must-understand", Ok(()));
        check(policy.clone(), 200, "Cache-Control: max-age=60, must-understand, no-store", Ok(()));
        check(policy.clone(), 599, "Cache-Control: max-age=60, must-understand", Err(NotStored::MustUnderstand));
        check(policy, 599, "Cache-Control: max-age=60, must-understand, no-store", Err(NotStored::MustUnderstand));
    }
}

#[test]
fn a_lifetime_addressed_to_cdns_is_shared_in_spite_of_credentials() {
    let route = route_with(origin_controlled());
    let verdict = |fields: &str| judge(&route, "Authorization: x", &response(200, fields)).map(drop);
    assert_eq!(verdict("CDN-Cache-Control: max-age=60"), Ok(()));
    assert_eq!(verdict("CDN-Cache-Control: extension\nExpires: 0"), Err(NotStored::UnkeyedCredentials));
    assert_eq!(verdict("Cache-Control: max-age=60"), Err(NotStored::UnkeyedCredentials));
}

#[test]
fn a_targeted_field_hides_expires() {
    let stored =
        judge(&route_with(origin_controlled()), "", &response(200, "CDN-Cache-Control: max-age=60\nExpires: 0"));
    assert_eq!(stored.unwrap().expires, None);
    check(origin_controlled(), 200, "CDN-Cache-Control: no-store\nCache-Control: max-age=60", Err(NotStored::NoStore));
}

#[test]
fn the_response_to_a_post_is_stored_for_get_when_it_says_that_it_is_one() {
    // RFC 9110 § 9.3.3.
    let any = |policy| {
        route(|distribution| {
            distribution.default_behavior.cache_policy = policy;
            distribution.default_behavior.allowed_methods = AllowedMethods::Any;
        })
    };
    let post = crate::request::ViewerRequest { method: method("POST"), ..request("GET /a?b HTTP/1.1") };
    let equal = "Content-Location: /a?b\nCache-Control: max-age=60";
    for (status, fields, expected) in [
        (200, equal, true),
        (201, equal, false),
        (200, "Content-Location: /a\nCache-Control: max-age=60", false),
        (200, "Cache-Control: max-age=60", false),
        (200, "Content-Location: /a?b\nLast-Modified: Sun, 22 Nov 2026 11:00:00 GMT", false),
    ] {
        assert_eq!(any(origin_controlled()).stores_for_get(&post, &response(status, fields)), expected, "{fields}");
        assert!(!any(policy()).stores_for_get(&post, &response(status, fields)));
        assert!(!route_with(origin_controlled()).stores_for_get(&post, &response(status, fields)));
    }
    let put = crate::request::ViewerRequest { method: method("PUT"), ..post };
    assert!(!any(origin_controlled()).stores_for_get(&put, &response(200, equal)));
}

/// The stored fields without the empty places for those that every answer adds.
fn said(stored: &StoredResponse) -> HeaderMap {
    let fields = stored.headers.iter().filter(|(_, value)| !value.is_empty());
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn withheld_fields_are_left_out_of_what_is_stored() {
    let fields = "Set-Cookie: a=1\nX-A: 1\nX-B: 2\nCache-Control: no-cache=\"set-cookie, x-a\"";
    let route = route_with(CachePolicyConfig { set_cookie: SetCookiePolicy::Store, ..policy() });
    let stored = judge(&route, "", &response(200, fields)).unwrap();
    assert_eq!(
        said(&stored),
        headers("X-B: 2\nCache-Control: no-cache=\"set-cookie, x-a\"\nDate: Sun, 22 Nov 2026 12:00:00 GMT")
    );
}

fn check_vary(fields: &str, expected: Result<&[&str], NotStored>) {
    let verdict = judge(&route_with(policy()), "", &response(200, fields)).map(|stored| stored.vary);
    let names = verdict.map(|names| names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
    assert_eq!(names, expected.map(|names| names.iter().map(|&name| name.to_owned()).collect()), "{fields}");
}

#[test]
fn vary_is_a_sorted_set_of_names() {
    check_vary("", Ok(&[]));
    check_vary("Vary:", Ok(&[]));
    check_vary("Vary: X-B, accept , ,x-a,ACCEPT", Ok(&["accept", "x-a", "x-b"]));
    check_vary("Vary: B\nVary: a", Ok(&["a", "b"]));
    check_vary("Vary: *", Err(NotStored::VaryAny));
    check_vary("Vary: Accept, *", Err(NotStored::VaryAny));
    check_vary("Vary: Accept\nVary: , *", Err(NotStored::VaryAny));
    check_vary("Vary: not a name", Err(NotStored::VaryAny));
    let names = |count: usize| (0..count).map(|index| format!("x-{index}")).collect::<Vec<_>>().join(", ");
    assert!(judge(&route_with(policy()), "", &response(200, &format!("Vary: {}", names(16)))).is_ok());
    check_vary(&format!("Vary: {}", names(17)), Err(NotStored::VaryTooLong));
}

#[test]
fn vary_on_everything_yields_to_an_overriding_policy_only() {
    check(CachePolicyConfig { min_ttl_ms: 60_000, ..policy() }, 200, "Vary: *", Err(NotStored::VaryAny));
    check(overriding(60_000), 200, "Vary: *, Accept", Ok(()));
    check(overriding(0), 200, "Vary: *", Err(NotStored::VaryAny));
}

/// Whether responses with these directives are stored when the request had these fields: under OriginControlled, and
/// under a CloudFront policy that also forwards everything.
fn check_credentials(fields: &str, directives: &str, [controlled, cloudfront]: [bool; 2]) {
    let all = CachePolicyConfig { forward: ForwardConfig { all_viewer_headers: true }, ..policy() };
    let response = response(200, &format!("Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT\n{directives}"));
    for (policy, expected) in [(origin_controlled(), controlled), (all, cloudfront)] {
        let verdict = judge(&route_with(policy), fields, &response).map(drop);
        let expected = if expected { Ok(()) } else { Err(NotStored::UnkeyedCredentials) };
        assert_eq!(verdict, expected, "{fields} {directives}");
    }
}

#[test]
fn answers_to_unkeyed_credentials_are_shared_only_when_they_say_so() {
    for fields in ["Authorization: x", "Authorization: x\nCookie: a=1"] {
        check_credentials(fields, "", [false, false]);
        check_credentials(fields, "Cache-Control: max-age=60", [false, false]);
        check_credentials(fields, "Expires: Sun, 22 Nov 2026 12:05:00 GMT", [false, false]);
    }
    check_credentials("Cookie: a=1", "", [false, false]);
    check_credentials("Cookie: a=1", "Cache-Control: max-age=60", [true, false]);
    check_credentials("Cookie: a=1", "Expires: Sun, 22 Nov 2026 12:05:00 GMT", [true, false]);
    for fields in ["Authorization: x", "Cookie: a=1"] {
        for directive in ["public", "s-maxage=60", "must-revalidate, max-age=60"] {
            check_credentials(fields, &format!("Cache-Control: {directive}"), [true, true]);
        }
    }
    check_credentials("X-A: 1", "", [true, true]);
}

#[test]
fn credentials_in_the_key_or_not_forwarded_do_not_matter() {
    let keyed = CachePolicyConfig {
        key: CacheKeyConfig {
            headers: vec!["authorization".to_owned()],
            cookies: Selection::All,
            ..origin_controlled().key
        },
        ..origin_controlled()
    };
    let response = response(200, "Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT");
    let fields = "Authorization: x\nCookie: a=1";
    assert!(judge(&route_with(keyed), fields, &response).is_ok());
    assert!(judge(&route_with(policy()), fields, &response).is_ok());
}

#[test]
fn what_is_stored_is_what_the_origin_said() {
    let fields = "Cache-Control: max-age=600\nETag: \"a\"\nAge: 20\nLast-Modified: Sun, 22 Nov 2026 11:00:00 GMT\n\
                  Expires: Sun, 22 Nov 2026 12:05:00 GMT\nDate: Sun, 22 Nov 2026 11:59:50 GMT\nX-A: 1\nX-A: 2";
    let stored = judge(&route_with(policy()), "", &response(200, fields)).unwrap();
    let at = |seconds: i64| Timestamp::from_millis((NOON.as_millis() as i64 + seconds * 1_000) as u64);
    assert_eq!((stored.status, stored.epoch, stored.body_length), (StatusCode::OK, 7, 5));
    assert_eq!(stored.cache_control.max_age, Some(600));
    assert_eq!((stored.expires, stored.last_modified), (Some(at(300)), Some(at(-3_600))));
    assert_eq!((stored.date, stored.received_at), (at(-10), NOON));
    assert_eq!(stored.headers[ETAG], "\"a\"");
    assert_eq!(stored.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert!(!said(&stored).contains_key(AGE));
    assert_eq!(stored.headers.len(), said(&stored).len() + limits::ADDED_HEADERS, "one place for each added field");
    assert!(stored.weight() > 200);
}

/// Milliseconds of `initial_age` for a response that took half a second.
fn check_age(fields: &str, expected: u64) {
    let route = route_with(CachePolicyConfig { default_ttl_ms: Some(limits::TTL_MILLIS), ..policy() });
    let stored = judge(&route, "", &response(200, fields)).unwrap();
    assert_eq!(stored.initial_age, Duration::from_millis(expected), "{fields}");
}

#[test]
fn initial_age_is_the_greater_of_age_and_date() {
    check_age("", 500);
    check_age("Age: 20", 20_500);
    check_age("Date: Sun, 22 Nov 2026 11:59:30 GMT", 30_000);
    check_age("Age: 20\nDate: Sun, 22 Nov 2026 11:59:30 GMT", 30_000);
    check_age("Age: 40\nDate: Sun, 22 Nov 2026 11:59:30 GMT", 40_500);
    check_age("Date: Sun, 22 Nov 2026 13:00:00 GMT", 500);
    check_age("Date: yesterday", 500);
}

#[test]
fn age_is_read_strictly_and_the_first_counts() {
    for (value, seconds) in [
        ("20", 20),
        ("0020", 20),
        ("20, 30", 20),
        ("", 0),
        ("-5", 0),
        ("+5", 0),
        ("5.5", 0),
        ("5s", 0),
        ("\"5\"", 0),
        ("x, 20", 0),
        ("2147483648", 1 << 31),
        ("99999999999999999999999999", 1 << 31),
    ] {
        check_age(&format!("Age: {value}"), seconds * 1_000 + 500);
    }
    check_age("Age: 20\nAge: 30", 20_500);
}

#[test]
fn date_is_always_stored() {
    for fields in ["", "Date: yesterday"] {
        let stored = judge(&route_with(policy()), "", &response(200, fields)).unwrap();
        assert_eq!(stored.headers[DATE], "Sun, 22 Nov 2026 12:00:00 GMT");
        assert_eq!(stored.date, NOON);
    }
}

proptest! {
    #[test]
    fn never_panics(
        fields in proptest::collection::vec(("(age|date|expires|vary|cache-control|connection|last-modified)", "[ -~]{0,30}"), 0..6),
        status in 100..1000_u16,
        overflow: bool,
    ) {
        let text: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let mut response = response(status, &text.join("\n"));
        if overflow {
            response.received_at = Timestamp::from_millis(u64::MAX);
        }
        end_to_end(&mut response.headers);
        for policy in [policy(), origin_controlled(), overriding(60_000)] {
            if let Ok(stored) = judge(&route_with(policy), "", &response) {
                stored.age(Timestamp::from_millis(u64::MAX));
            }
        }
    }
}

#[test]
fn only_what_is_of_the_resource_and_for_all_supersedes_what_is_stored() {
    let route = route_with(origin_controlled());
    let asked = |fields: &str| route.origin_request(&request(&format!("GET / HTTP/1.1\n{fields}")), Purpose::Fill);
    for (status, expected) in
        [(200, true), (204, true), (302, true), (304, true), (404, true), (410, true), (403, false), (500, false)]
    {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(supersedes(&asked(""), status), expected, "{status}");
        assert!(!supersedes(&asked("Cookie: session=1"), status), "{status}");
    }
}
