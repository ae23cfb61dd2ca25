use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::edge_config::{AllowedMethods, CacheKeyConfig, CachePolicyConfig};
use crate::fixture::{NOON, method, origin_controlled, policy, request, route, route_with, stored};

fn check(route: &Route, found: Option<&StoredResponse>, text: &str, expected: Decision) {
    assert_eq!(route.decide(found, &request(text), NOON.plus(Duration::from_secs(30))), expected, "{text}");
}

fn refused() -> Decision {
    Decision::Refuse(Refusal::new(Reason::OnlyIfCached, "it is not in the cache, and only-if-cached"))
}

fn disabled() -> CachePolicyConfig {
    CachePolicyConfig { default_ttl_ms: Some(0), max_ttl_ms: 0, ..policy() }
}

#[test]
fn fresh_is_served_stale_is_revalidated_and_missing_is_fetched() {
    let route = route_with(policy());
    let fresh = stored("Cache-Control: max-age=31");
    let stale = stored("Cache-Control: max-age=30");
    check(&route, Some(&fresh), "GET / HTTP/1.1", Decision::Serve);
    check(&route, Some(&fresh), "HEAD / HTTP/1.1", Decision::Serve);
    check(&route, Some(&stale), "GET / HTTP/1.1", Decision::Revalidate);
    check(&route, None, "GET / HTTP/1.1", Decision::Fetch(Reason::Miss));
}

#[test]
fn a_changed_lifetime_holds_for_what_is_stored() {
    let found = stored("");
    check(&route_with(policy()), Some(&found), "GET / HTTP/1.1", Decision::Serve);
    let short = CachePolicyConfig { default_ttl_ms: Some(30_000), ..policy() };
    check(&route_with(short), Some(&found), "GET / HTTP/1.1", Decision::Revalidate);
}

#[test]
fn a_head_for_what_is_not_fresh_goes_on_its_own() {
    let route = route_with(policy());
    check(&route, None, "HEAD / HTTP/1.1", Decision::Bypass(Reason::HeadMiss));
    let stale = stored("Cache-Control: max-age=1");
    check(&route, Some(&stale), "HEAD / HTTP/1.1", Decision::Bypass(Reason::HeadMiss));
}

/// Whether the cache can be used, and what is decided when nothing is stored.
fn check_use(policy: CachePolicyConfig, text: &str, expected: Result<(), Reason>) {
    let route = route_with(policy);
    assert_eq!(route.uses_cache(&request(text)), expected, "{text}");
    if let Err(reason) = expected {
        check(&route, None, text, Decision::Bypass(reason));
    }
}

/// RFC 9111 § 4.3.2: what only an origin may judge, and what would bring a thousand times as much.
#[test]
fn some_of_what_is_not_stored_is_not_fetched_whole() {
    let condition = Err(Reason::ConditionalRequest);
    let range = Err(Reason::RangeRequest);
    let stale = stored("Cache-Control: max-age=1");
    for (fields, expected) in [
        ("If-None-Match: \"a\"", Ok(())),
        ("If-Modified-Since: Sun, 22 Nov 2026 11:00:00 GMT", Ok(())),
        ("If-Range: \"a\"", Ok(())),
        ("If-Match: *", condition),
        ("If-Unmodified-Since: x", condition),
        ("Range: bytes=0-1", range),
        ("Range: bytes=0-1\nIf-Range: \"a\"", range),
        ("Range: bytes=0-1\nIf-None-Match: \"a\"", range),
        ("Range: bytes=0-1\nIf-Match: \"a\"", condition),
        // Not followed, so as if it were not there.
        ("Range: bytes=5-6,0-1", Ok(())),
        ("Range: items=0-1", Ok(())),
        ("Cache-Control: no-cache, no-store, max-age=0\nPragma: no-cache", Ok(())),
    ] {
        let route = route_with(policy());
        let absent = expected.map_or_else(Decision::Bypass, |()| Decision::Fetch(Reason::Miss));
        // What is kept is likely to be confirmed, and then a range of it costs nothing more.
        let kept =
            if expected == condition { Decision::Bypass(Reason::ConditionalRequest) } else { Decision::Revalidate };
        let get = format!("GET / HTTP/1.1\n{fields}");
        assert_eq!(route.uses_cache(&request(&get)), Ok(()), "{fields}");
        check(&route, None, &get, absent);
        check(&route, Some(&stale), &get, kept);
        // A HEAD is its own part of the whole; its conditions are sent along.
        let head = if expected == condition { Reason::ConditionalRequest } else { Reason::HeadMiss };
        check(&route, None, &format!("HEAD / HTTP/1.1\n{fields}"), Decision::Bypass(head));
    }
}

#[test]
fn what_is_fresh_is_served_unless_an_origin_must_judge_a_condition_that_it_does_not_meet() {
    let fresh = stored("Cache-Control: max-age=600\nETag: \"a\"\nLast-Modified: Sun, 22 Nov 2026 11:00:00 GMT");
    let asked = Decision::Bypass(Reason::ConditionalRequest);
    for (field, expected) in [
        ("If-None-Match: \"a\"", Decision::Serve),
        ("If-None-Match: \"b\"", Decision::Serve),
        ("Range: bytes=9-", Decision::Serve),
        ("If-Match: \"a\"", Decision::Serve),
        ("If-Match: *", Decision::Serve),
        ("If-Match: \"b\"", asked.clone()),
        ("If-Unmodified-Since: Sun, 22 Nov 2026 11:00:00 GMT", Decision::Serve),
        ("If-Unmodified-Since: Sun, 22 Nov 2026 10:00:00 GMT", asked),
        ("If-Match: \"b\"\nCache-Control: only-if-cached", refused()),
    ] {
        check(&route_with(policy()), Some(&fresh), &format!("GET / HTTP/1.1\n{field}"), expected.clone());
        check(&route_with(policy()), Some(&fresh), &format!("HEAD / HTTP/1.1\n{field}"), expected);
    }
}

#[test]
fn methods_that_are_not_cached_are_passed_through() {
    for cached in [CachedMethods::GetHead, CachedMethods::GetHeadOptions] {
        let route = route(|distribution| {
            distribution.default_behavior.cached_methods = cached;
            distribution.default_behavior.allowed_methods = AllowedMethods::Any;
        });
        let fresh = stored("Cache-Control: max-age=600");
        for name in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "PROPFIND"] {
            let request = ViewerRequest { method: method(name), ..request("GET / HTTP/1.1") };
            let uses = matches!(name, "GET" | "HEAD") || name == "OPTIONS" && cached == CachedMethods::GetHeadOptions;
            assert_eq!(route.uses_cache(&request), if uses { Ok(()) } else { Err(Reason::MethodNotCached) }, "{name}");
            let expected = if uses { Decision::Serve } else { Decision::Bypass(Reason::MethodNotCached) };
            assert_eq!(route.decide(Some(&fresh), &request, NOON), expected, "{name}");
        }
    }
}

#[test]
fn a_request_with_a_body_is_passed_through_since_the_key_does_not_know_it() {
    let route = route(|distribution| {
        distribution.default_behavior.cached_methods = CachedMethods::GetHeadOptions;
        distribution.default_behavior.allowed_methods = AllowedMethods::Any;
    });
    let options = ViewerRequest { method: method("OPTIONS"), ..request("GET / HTTP/1.1") };
    assert_eq!(route.uses_cache(&options), Ok(()));
    assert_eq!(route.uses_cache(&ViewerRequest { has_body: true, ..options }), Err(Reason::MethodNotCached));
}

#[test]
fn a_policy_without_lifetimes_caches_nothing() {
    check_use(disabled(), "GET / HTTP/1.1", Err(Reason::CachingDisabled));
    check_use(disabled(), "HEAD / HTTP/1.1", Err(Reason::CachingDisabled));
}

#[test]
fn only_if_cached_never_reaches_the_origin() {
    let fresh = stored("Cache-Control: max-age=600");
    let only = "Cache-Control: only-if-cached";
    for policy in [policy(), disabled()] {
        let route = route_with(policy);
        for text in [format!("GET / HTTP/1.1\n{only}"), format!("HEAD / HTTP/1.1\n{only}\nRange: bytes=0-1")] {
            check(&route, None, &text, refused());
            assert_eq!(route.uses_cache(&request(&text)), Ok(()));
        }
    }
    check(&route_with(policy()), Some(&fresh), &format!("GET / HTTP/1.1\n{only}"), Decision::Serve);
    let stale = stored("Cache-Control: max-age=1");
    check(&route_with(policy()), Some(&stale), &format!("GET / HTTP/1.1\n{only}"), refused());
}

#[test]
fn what_the_policy_of_now_would_not_store_is_not_served() {
    let cookie = stored("Cache-Control: max-age=600\nSet-Cookie: a=1");
    let get = "GET / HTTP/1.1";
    for (set_cookie, expected) in [
        (SetCookiePolicy::Store, Decision::Serve),
        (SetCookiePolicy::Strip, Decision::Fetch(Reason::Miss)),
        (SetCookiePolicy::Bypass, Decision::Fetch(Reason::Miss)),
    ] {
        check(&route_with(CachePolicyConfig { set_cookie, ..policy() }), Some(&cookie), get, expected);
    }
    let refusal = StoredResponse { status: StatusCode::BAD_REQUEST, ..stored("Cache-Control: max-age=600") };
    check(&route_with(origin_controlled()), Some(&refusal), get, Decision::Serve);
    check(&route_with(policy()), Some(&refusal), get, Decision::Fetch(Reason::Miss));
}

#[test]
fn unkeyed_credentials_are_answered_only_with_what_may_be_shared() {
    let withheld = Decision::Fetch(Reason::UnkeyedCredentials);
    for (fields, directives, expected) in [
        ("", "max-age=600", Decision::Serve),
        ("Authorization: x", "max-age=600", withheld.clone()),
        ("Authorization: x", "max-age=20", Decision::Fetch(Reason::Expired)),
        ("Authorization: x", "max-age=600, public", Decision::Serve),
        ("Authorization: x", "s-maxage=600", Decision::Serve),
        ("Authorization: x", "max-age=600, must-revalidate", Decision::Serve),
        ("Cookie: a=1", "max-age=600", Decision::Serve),
    ] {
        let found = stored(&format!("Cache-Control: {directives}"));
        check(&route_with(origin_controlled()), Some(&found), &format!("GET / HTTP/1.1\n{fields}"), expected);
    }
    let heuristic = stored("Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT");
    check(&route_with(origin_controlled()), Some(&heuristic), "GET / HTTP/1.1", Decision::Serve);
    check(&route_with(origin_controlled()), Some(&heuristic), "GET / HTTP/1.1\nCookie: a=1", withheld);
    // Where they do not reach the origin they do not matter.
    let get = "GET / HTTP/1.1\nAuthorization: x\nCookie: a=1";
    check(&route_with(policy()), Some(&heuristic), get, Decision::Serve);
    let key = CacheKeyConfig { headers: vec!["authorization".to_owned()], ..origin_controlled().key };
    let keyed = CachePolicyConfig { key, ..origin_controlled() };
    check(&route_with(keyed), Some(&heuristic), "GET / HTTP/1.1\nAuthorization: x", Decision::Serve);
}

#[test]
fn stale_is_served_while_it_is_refreshed_within_its_window() {
    // RFC 5861 § 3; the request comes at an age of 30 s.
    let stale = Decision::ServeStale(Reason::StaleWhileRevalidate);
    for (directives, expected) in [
        ("max-age=20, stale-while-revalidate=11", stale.clone()),
        ("max-age=20, stale-while-revalidate=10", Decision::Revalidate),
        ("max-age=20, stale-while-revalidate=0", Decision::Revalidate),
        ("max-age=31, stale-while-revalidate=60", Decision::Serve),
        ("max-age=20, stale-while-revalidate=60, must-revalidate", Decision::Revalidate),
        ("max-age=20, stale-while-revalidate=60, proxy-revalidate", Decision::Revalidate),
        ("max-age=20, stale-while-revalidate=60, no-cache", Decision::Revalidate),
        ("s-maxage=20, stale-while-revalidate=60", stale.clone()),
        ("s-maxage=20, stale-if-error=60", Decision::Revalidate),
        ("max-age=20", Decision::Revalidate),
    ] {
        let found = stored(&format!("Cache-Control: {directives}"));
        for policy in [policy(), origin_controlled()] {
            check(&route_with(policy), Some(&found), "GET / HTTP/1.1", expected.clone());
        }
    }
    // CloudFront: "the lesser of the directive and the maximum TTL".
    let short = CachePolicyConfig { max_ttl_ms: 10_000, default_ttl_ms: Some(0), ..policy() };
    let found = stored("Cache-Control: max-age=10, stale-while-revalidate=60");
    check(&route_with(short), Some(&found), "GET / HTTP/1.1", Decision::Revalidate);
    let head = stored("Cache-Control: max-age=20, stale-while-revalidate=60");
    check(&route_with(policy()), Some(&head), "HEAD / HTTP/1.1", stale);
}

#[test]
fn no_cache_is_revalidated_each_time_and_never_shared_while_waiting() {
    // RFC 9111 § 5.2.2.4.
    let route = route_with(origin_controlled());
    let found = stored("Cache-Control: no-cache, max-age=600\nETag: \"a\"");
    check(&route, Some(&found), "GET / HTTP/1.1", Decision::Revalidate);
    assert!(!route.may_wait(&found));
    assert!(!route.may_wait(&stored("Cache-Control: max-age=0")));
    assert!(route.may_wait(&stored("Cache-Control: max-age=1")));
}

/// Whether a response of this age stands in for a failed origin: under a CloudFront policy, and under OriginControlled.
fn check_stand_in(directives: &str, age: u64, [cloudfront, controlled]: [bool; 2]) {
    let found = stored(&format!("Cache-Control: {directives}"));
    let now = NOON.plus(Duration::from_secs(age));
    for (policy, expected) in [(policy(), cloudfront), (origin_controlled(), controlled)] {
        let name = policy.origin_controlled;
        let stands_in = route_with(policy).stands_in(&found, &request("GET / HTTP/1.1"), now);
        assert_eq!(stands_in, expected, "{directives} at {age}, OriginControlled: {name}");
    }
}

#[test]
fn a_stale_response_stands_in_for_a_failed_origin() {
    // RFC 5861 § 4; CloudFront: "Serve stale (expired) content".
    check_stand_in("max-age=10, stale-if-error=20", 29, [true, true]);
    check_stand_in("max-age=10, stale-if-error=20", 30, [false, false]);
    check_stand_in("max-age=10", 30, [true, false]);
    check_stand_in("max-age=10", 400 * 86_400, [false, false]);
    check_stand_in("max-age=10, stale-if-error=0", 11, [false, false]);
    for forbidding in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        check_stand_in(&format!("max-age=10, stale-if-error=20, {forbidding}"), 11, [false, false]);
        check_stand_in(&format!("max-age=10, {forbidding}"), 11, [false, false]);
    }
    check_stand_in("s-maxage=10", 11, [false, false]);
    check_stand_in("s-maxage=10, stale-if-error=20", 11, [true, true]);
    // Each permission is for its own purpose.
    check_stand_in("s-maxage=10, stale-while-revalidate=1", 12, [false, false]);
    check_stand_in("s-maxage=10, stale-while-revalidate=60", 12, [false, false]);
    // An error that was stored is no better than the next one.
    let error = StoredResponse { status: StatusCode::NOT_FOUND, ..stored("Cache-Control: max-age=10") };
    let late = NOON.plus(Duration::from_secs(30));
    assert!(!route_with(policy()).stands_in(&error, &request("GET / HTTP/1.1"), late));
}

#[test]
fn what_may_not_be_shared_does_not_stand_in_either() {
    let found = stored("Cache-Control: max-age=10, stale-if-error=60");
    let late = NOON.plus(Duration::from_secs(30));
    let route = route_with(origin_controlled());
    assert!(route.stands_in(&found, &request("GET / HTTP/1.1"), late));
    assert!(!route.stands_in(&found, &request("GET / HTTP/1.1\nAuthorization: x"), late));
    let private = stored("Cache-Control: private, max-age=10, stale-if-error=60");
    assert!(!route.stands_in(&private, &request("GET / HTTP/1.1"), late));
}

fn honoring() -> CachePolicyConfig {
    CachePolicyConfig { honor_request_directives: true, ..policy() }
}

/// What becomes of a request with these directives, at an age of 30 s: where they are honoured, and where they are not.
fn check_directives(stored_with: &str, directives: &str, [honored, ignored]: [Decision; 2]) {
    let found = stored(&format!("Cache-Control: {stored_with}"));
    let text = format!("GET / HTTP/1.1\nCache-Control: {directives}");
    check(&route_with(honoring()), Some(&found), &text, honored);
    check(&route_with(policy()), Some(&found), &text, ignored);
}

#[test]
fn request_directives_count_only_where_the_policy_says_so() {
    // RFC 9111 § 5.2.1.
    use Decision::{Revalidate, Serve};
    for (directives, honored) in [
        ("max-age=0", Revalidate),
        ("max-age=29", Revalidate),
        ("max-age=30", Serve),
        ("min-fresh=70", Serve),
        ("min-fresh=71", Revalidate),
        ("no-cache", Revalidate),
        ("no-store", Decision::Bypass(Reason::RequestDirective)),
        ("max-stale=5", Serve),
        ("extension", Serve),
    ] {
        check_directives("max-age=100", directives, [honored, Serve]);
    }
    let as_requested = Decision::ServeStale(Reason::StaleAsRequested);
    for (directives, honored) in [
        ("max-stale=9", Revalidate),
        ("max-stale=10", as_requested.clone()),
        ("max-stale", as_requested.clone()),
        ("max-stale, no-cache", Revalidate),
        ("max-stale, max-age=0", as_requested.clone()),
        ("max-stale=10, max-age=10", Revalidate),
        ("max-stale, min-fresh=1", Revalidate),
    ] {
        check_directives("max-age=20", directives, [honored, Revalidate]);
    }
    for forbidding in ["must-revalidate", "proxy-revalidate", "s-maxage=20", "no-cache"] {
        check_directives(&format!("max-age=20, {forbidding}"), "max-stale", [Revalidate, Revalidate]);
    }
}

#[test]
fn immutable_spares_reloads_but_not_no_cache() {
    // RFC 8246 § 2.
    use Decision::{Revalidate, Serve};
    check_directives("max-age=100, immutable", "max-age=0", [Serve, Serve]);
    check_directives("max-age=100, immutable", "no-cache", [Revalidate, Serve]);
    check_directives("max-age=20, immutable", "max-age=0", [Revalidate, Revalidate]);
}

#[test]
fn a_viewer_may_accept_stale_in_place_of_an_error_where_viewers_count() {
    // RFC 5861 § 4: a request directive too.
    let found = stored("Cache-Control: max-age=10");
    let late = NOON.plus(Duration::from_secs(30));
    let text = |seconds| request(&format!("GET / HTTP/1.1\nCache-Control: stale-if-error={seconds}"));
    let controlled = CachePolicyConfig { honor_request_directives: true, ..origin_controlled() };
    assert!(route_with(controlled.clone()).stands_in(&found, &text(21), late));
    assert!(!route_with(controlled.clone()).stands_in(&found, &text(20), late));
    assert!(!route_with(origin_controlled()).stands_in(&found, &text(21), late));
    for directives in
        ["max-age=10, must-revalidate", "s-maxage=10", "s-maxage=10, stale-if-error=5", "max-age=10, s-maxage=5"]
    {
        let strict = stored(&format!("Cache-Control: {directives}"));
        assert!(!route_with(controlled.clone()).stands_in(&strict, &text(600), late), "{directives}");
    }
}
