use http::StatusCode;
use proptest::prelude::*;

use super::*;
use crate::edge_config::CachePolicyConfig;
use crate::fixture::{NOON, origin_controlled, policy, route_with, stored};

const DAY: u64 = 86_400;
/// What the policies below have as their maximum, seconds.
const MAX: u64 = 1_000;
/// And as their default.
const DEFAULT: u64 = 100;

fn lifetime(policy: &CachePolicyConfig, response: &StoredResponse) -> u64 {
    route_with(policy.clone()).behavior.cache_policy.lifetime(response).as_secs()
}

/// CloudFront's table, one row: minimum 0; minimum 60; minimum 60 that overrides directives; OriginControlled.
fn check(fields: &str, [zero, minimum, overriding, controlled]: [u64; 4]) {
    let response = stored(&format!("Date: Sun, 22 Nov 2026 12:00:00 GMT\n{fields}"));
    let ttl = |min: u64| CachePolicyConfig {
        min_ttl_ms: min * 1_000,
        default_ttl_ms: Some(DEFAULT * 1_000),
        max_ttl_ms: MAX * 1_000,
        ..policy()
    };
    let override_all = |min| CachePolicyConfig { override_origin_directives: true, ..ttl(min) };
    assert_eq!(lifetime(&ttl(0), &response), zero, "minimum 0: {fields}");
    assert_eq!(lifetime(&override_all(0), &response), zero, "minimum 0, overriding: {fields}");
    assert_eq!(lifetime(&ttl(60), &response), minimum, "minimum 60: {fields}");
    assert_eq!(lifetime(&override_all(60), &response), overriding, "minimum 60, overriding: {fields}");
    assert_eq!(lifetime(&origin_controlled(), &response), controlled, "OriginControlled: {fields}");
}

#[test]
fn max_age_is_clamped() {
    check("Cache-Control: max-age=500", [500, 500, 500, 500]);
    check("Cache-Control: max-age=1000", [MAX, MAX, MAX, 1_000]);
    check("Cache-Control: max-age=1001", [MAX, MAX, MAX, 1_001]);
    check("Cache-Control: max-age=60", [60, 60, 60, 60]);
    check("Cache-Control: max-age=59", [59, 60, 60, 59]);
    check("Cache-Control: max-age=0", [0, 60, 60, 0]);
    check("Cache-Control: max-age=junk", [0, 60, 60, 0]);
    check("Cache-Control: max-age=99999999999", [MAX, MAX, MAX, 365 * DAY]);
}

#[test]
fn without_a_lifetime_the_default_applies() {
    check("", [DEFAULT, DEFAULT, DEFAULT, 0]);
    check("Cache-Control: public", [DEFAULT, DEFAULT, DEFAULT, 0]);
    check("Cache-Control: must-revalidate", [DEFAULT, DEFAULT, DEFAULT, 0]);
    check("ETag: \"a\"", [DEFAULT, DEFAULT, DEFAULT, 0]);
}

#[test]
fn the_default_yields_to_a_higher_minimum_but_not_to_the_maximum() {
    let response = stored("");
    let ttl = |min: u64, default: u64, max: u64| CachePolicyConfig {
        min_ttl_ms: min * 1_000,
        default_ttl_ms: Some(default * 1_000),
        max_ttl_ms: max * 1_000,
        ..policy()
    };
    assert_eq!(lifetime(&ttl(200, 100, 1_000), &response), 200);
    assert_eq!(lifetime(&ttl(0, 5_000, 1_000), &response), 5_000);
    assert_eq!(lifetime(&ttl(0, 0, 1_000), &response), 0);
    assert_eq!(lifetime(&ttl(0, 0, 0), &stored("Cache-Control: max-age=5")), 0);
}

#[test]
fn s_maxage_wins_over_max_age_and_expires() {
    check("Cache-Control: max-age=5, s-maxage=500", [500, 500, 500, 500]);
    check("Cache-Control: s-maxage=5, max-age=500", [5, 60, 60, 5]);
    check("Cache-Control: s-maxage=5000, max-age=500", [MAX, MAX, MAX, 5_000]);
    check("Cache-Control: s-maxage=0, max-age=500", [0, 60, 60, 0]);
    check("Cache-Control: s-maxage=500\nExpires: Sun, 22 Nov 2026 12:01:10 GMT", [500, 500, 500, 500]);
    check("Cache-Control: s-maxage=junk, max-age=500", [0, 60, 60, 0]);
}

#[test]
fn expires_counts_from_date() {
    check("Expires: Sun, 22 Nov 2026 12:05:00 GMT", [300, 300, 300, 300]);
    check("Expires: Sun, 22 Nov 2026 12:00:30 GMT", [30, 60, 60, 30]);
    check("Expires: Sun, 22 Nov 2026 13:00:00 GMT", [MAX, MAX, MAX, 3_600]);
    check("Expires: Sun, 22 Nov 2026 12:00:00 GMT", [0, 60, 60, 0]);
    check("Expires: Sun, 22 Nov 2026 11:00:00 GMT", [0, 60, 60, 0]);
    check("Expires: Sunday, 22-Nov-26 12:05:00 GMT", [300, 300, 300, 300]);
    check("Expires: Sun Nov 22 12:05:00 2026", [300, 300, 300, 300]);
    check("Cache-Control: max-age=500\nExpires: Sun, 22 Nov 2026 12:05:00 GMT", [500, 500, 500, 500]);
    check("Cache-Control: public\nExpires: Sun, 22 Nov 2026 12:05:00 GMT", [300, 300, 300, 300]);
}

#[test]
fn expires_counts_from_date_and_not_from_receipt() {
    for (date, expected) in [("11:59:00", 360), ("12:04:00", 60), ("12:06:00", 0)] {
        let dates = format!("Date: Sun, 22 Nov 2026 {date} GMT\nExpires: Sun, 22 Nov 2026 12:05:00 GMT");
        assert_eq!(lifetime(&policy(), &stored(&dates)), expected, "{date}");
    }
    // Of two, the first counts.
    let twice = "Expires: Sun, 22 Nov 2026 12:05:00 GMT\nExpires: Sun, 22 Nov 2026 12:10:00 GMT";
    assert_eq!(lifetime(&policy(), &stored(twice)), 300);
}

#[test]
fn expires_that_cannot_be_read_is_in_the_past() {
    for value in ["0", "-1", "never", "", "Sun, 22 Nov 2026 12:05:00 UTC", "Sun, 22 Nov 2026", "1795349100"] {
        check(&format!("Expires: {value}"), [0, 60, 60, 0]);
    }
}

#[test]
fn no_store_private_and_no_cache_win_unless_the_policy_overrides_them() {
    for directive in ["no-store", "private", "no-cache"] {
        check(&format!("Cache-Control: {directive}"), [0, 0, 60, 0]);
        check(&format!("Cache-Control: max-age=500, {directive}"), [0, 0, 60, 0]);
        check(&format!("Cache-Control: {directive}, s-maxage=500"), [0, 0, 60, 0]);
        check(&format!("Cache-Control: {directive}\nExpires: Sun, 22 Nov 2026 12:05:00 GMT"), [0, 0, 60, 0]);
    }
    check("Cache-Control: private=\"X-User\", max-age=500", [500, 500, 500, 500]);
    check("Cache-Control: no-cache=\"Set-Cookie\", max-age=500", [500, 500, 500, 500]);
}

#[test]
fn vary_on_everything_wins_unless_the_policy_overrides_it() {
    let response = stored("Vary: *\nCache-Control: max-age=500");
    let minimum = CachePolicyConfig { min_ttl_ms: 60_000, ..policy() };
    assert_eq!(lifetime(&minimum, &response), 0);
    assert_eq!(lifetime(&CachePolicyConfig { override_origin_directives: true, ..minimum }, &response), 500);
}

#[test]
fn heuristic_freshness_is_a_tenth_of_the_age_and_at_most_a_day() {
    for (fields, expected) in [
        ("Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT", 360),
        ("Last-Modified: Thu, 12 Nov 2026 12:00:00 GMT", DAY),
        ("Last-Modified: Thu, 12 Nov 2026 12:00:10 GMT", DAY - 1),
        ("Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT", DAY),
        ("Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT", 0),
        ("Last-Modified: Sun, 22 Nov 2026 13:00:00 GMT", 0),
        ("Last-Modified: yesterday", 0),
        ("Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT\nCache-Control: max-age=5", 5),
        ("Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT\nCache-Control: no-cache", 0),
        ("Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT\nDate: Sun, 22 Nov 2026 11:30:00 GMT", 180),
    ] {
        assert_eq!(lifetime(&origin_controlled(), &stored(fields)), expected, "{fields}");
    }
}

#[test]
fn heuristic_freshness_is_clamped() {
    let response = stored("Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT");
    let ttl = |min: u64, max: u64| CachePolicyConfig {
        min_ttl_ms: min * 1_000,
        max_ttl_ms: max * 1_000,
        ..origin_controlled()
    };
    assert_eq!(lifetime(&ttl(500, 1_000), &response), 500);
    assert_eq!(lifetime(&ttl(0, 100), &response), 100);
}

/// Whether a response of this status gets a lifetime that it does not name: CloudFront policy, and OriginControlled.
fn check_status(status: u16, fields: &str, [cloudfront, controlled]: [bool; 2]) {
    let unchanged = "Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT";
    let response =
        StoredResponse { status: StatusCode::from_u16(status).unwrap(), ..stored(&format!("{unchanged}\n{fields}")) };
    assert_eq!(lifetime(&policy(), &response) > 0, cloudfront, "{status} {fields}");
    assert_eq!(lifetime(&origin_controlled(), &response) > 0, controlled, "{status} {fields}");
}

#[test]
fn only_some_statuses_get_a_lifetime_that_they_do_not_name() {
    for status in [200, 203, 204, 300, 301] {
        check_status(status, "", [true, true]);
    }
    for status in [302, 303] {
        check_status(status, "", [true, false]);
    }
    check_status(308, "", [false, true]);
    for status in [404, 410, 414, 501] {
        check_status(status, "", [true, true]);
    }
    // RFC 9110 § 15.1 and CloudFront have lists of their own.
    check_status(405, "", [false, true]);
    for status in [500, 502, 503, 504] {
        check_status(status, "", [true, false]);
    }
    for status in [201, 202, 205, 299, 305, 307, 400, 401, 403, 451, 505, 599] {
        check_status(status, "", [false, false]);
        check_status(status, "Cache-Control: max-age=5", [true, true]);
        check_status(status, "Cache-Control: public", [status < 400, true]);
    }
}

/// Lifetime of an error: under a CloudFront policy, under one that overrides directives, and under OriginControlled.
fn check_error(status: u16, fields: &str, [cloudfront, overriding, controlled]: [u64; 3]) {
    let minimum = CachePolicyConfig { min_ttl_ms: 60_000, max_ttl_ms: MAX * 1_000, ..policy() };
    let overrides = CachePolicyConfig { override_origin_directives: true, ..minimum.clone() };
    let response = StoredResponse { status: StatusCode::from_u16(status).unwrap(), ..stored(fields) };
    let seen = [&minimum, &overrides, &origin_controlled()].map(|policy| lifetime(policy, &response));
    assert_eq!(seen, [cloudfront, overriding, controlled], "{status} {fields}");
}

#[test]
fn errors_have_a_minimum_of_their_own() {
    // CloudFront: "How CloudFront caches HTTP 4xx and 5xx status codes"; OriginControlled has no minimum.
    for status in [404, 410, 414, 500, 501, 502, 503, 504] {
        check_error(status, "", [10, 10, 0]);
        check_error(status, "Cache-Control: max-age=5", [10, 10, 5]);
        check_error(status, "Cache-Control: max-age=11", [11, 11, 11]);
        check_error(status, "Cache-Control: max-age=5000", [MAX, MAX, 5_000]);
        check_error(status, "Expires: 0", [10, 10, 0]);
        let listens = matches!(status, 404 | 410 | 414 | 501);
        for directive in ["no-store", "private, max-age=50", "no-cache"] {
            check_error(status, &format!("Cache-Control: {directive}"), [0, if listens { 0 } else { 10 }, 0]);
        }
    }
    for status in [403, 405, 451] {
        check_error(status, "", [0, 0, 0]);
        check_error(status, "Cache-Control: max-age=5", [5, 5, 5]);
        check_error(status, "Cache-Control: max-age=5, no-store", [0, 0, 0]);
    }
    let disabled = CachePolicyConfig { default_ttl_ms: Some(0), max_ttl_ms: 0, ..policy() };
    let missing = StoredResponse { status: StatusCode::NOT_FOUND, ..stored("") };
    assert_eq!(lifetime(&disabled, &missing), 0);
}

#[test]
fn a_targeted_field_sets_the_lifetime() {
    // RFC 9213 § 2.2: Cache-Control does not count beside it.
    check("CDN-Cache-Control: max-age=500\nCache-Control: max-age=5, no-store", [500, 500, 500, 500]);
    check("CDN-Cache-Control: no-store\nCache-Control: max-age=500", [0, 0, 60, 0]);
    check("CDN-Cache-Control: max-age=x y\nCache-Control: max-age=500", [500, 500, 500, 500]);
}

#[test]
fn origin_failures_are_the_statuses_of_stale_if_error() {
    for (status, cloudfront, controlled) in [
        (500, true, true),
        (501, true, false),
        (502, true, true),
        (503, true, true),
        (504, true, true),
        (599, true, false),
        (499, false, false),
        (404, false, false),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(route_with(policy()).behavior.cache_policy.is_origin_failure(status), cloudfront, "{status}");
        assert_eq!(route_with(origin_controlled()).behavior.cache_policy.is_origin_failure(status), controlled);
    }
}

#[test]
fn a_response_is_fresh_until_its_age_reaches_its_lifetime() {
    let route = route_with(policy());
    let policy = &route.behavior.cache_policy;
    let response = StoredResponse { initial_age: Duration::from_secs(10), ..stored("Cache-Control: max-age=60") };
    for (millis, fresh) in [(0, true), (49_999, true), (50_000, false), (1 << 50, false)] {
        assert_eq!(policy.is_fresh(&response, NOON.plus(Duration::from_millis(millis))), fresh, "{millis}");
    }
    // A clock that went back makes nothing older.
    assert!(policy.is_fresh(&response, Timestamp::from_millis(0)));
}

/// How long a response that came at this age stays fresh here, seconds.
fn stays(policy: &CachePolicyConfig, age: u64, response: StoredResponse) -> i64 {
    let response = StoredResponse { initial_age: Duration::from_secs(age), ..response };
    route_with(policy.clone()).behavior.cache_policy.ttl(&response, NOON)
}

#[test]
fn the_policys_minimum_counts_from_receipt_and_what_the_origin_names_from_when_it_was_made() {
    let minimum = CachePolicyConfig { min_ttl_ms: 60_000, max_ttl_ms: MAX * 1_000, ..policy() };
    for (age, fields, expected) in [
        (4_000, "Cache-Control: max-age=5", 60),
        (40, "Cache-Control: max-age=5", 60),
        (40, "Cache-Control: max-age=200", 160),
        (190, "Cache-Control: max-age=200", 60),
        (4_000, "Cache-Control: max-age=9000", 60),
        (4_000, "Expires: 0", 60),
        (100_000, "", 60),
        (1, "Cache-Control: no-store", -1),
    ] {
        assert_eq!(stays(&minimum, age, stored(fields)), expected, "{age} {fields}");
    }
    let overriding = CachePolicyConfig { override_origin_directives: true, ..minimum };
    assert_eq!(stays(&overriding, 4_000, stored("Cache-Control: no-store")), 60);
    let heuristic = CachePolicyConfig { default_ttl_ms: None, min_ttl_ms: 60_000, ..origin_controlled() };
    assert_eq!(stays(&heuristic, 4_000, stored("Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT")), 60);
    // Without a minimum, age is all there is.
    assert_eq!(stays(&policy(), 4_000, stored("Cache-Control: max-age=60")), -3_940);
    assert_eq!(stays(&origin_controlled(), 4_000, stored("Cache-Control: max-age=60")), -3_940);
}

#[test]
fn the_error_minimum_counts_from_receipt() {
    let error = |fields: &str| StoredResponse { status: StatusCode::SERVICE_UNAVAILABLE, ..stored(fields) };
    for (age, fields, expected) in [
        (15, "", 10),
        (15, "Cache-Control: max-age=5", 10),
        (15, "Cache-Control: max-age=20", 10),
        (15, "Cache-Control: max-age=40", 25),
        (15, "Cache-Control: no-store", -15),
    ] {
        assert_eq!(stays(&policy(), age, error(fields)), expected, "{age} {fields}");
    }
    assert_eq!(stays(&origin_controlled(), 15, error("")), -15);
}

proptest! {
    #[test]
    fn what_is_stale_never_becomes_fresh(age in 0..3_000_u64, more in 0..3_000_u64, max_age in 0..3_000_u64) {
        let route = route_with(policy());
        let policy = &route.behavior.cache_policy;
        let response = stored(&format!("Cache-Control: max-age={max_age}"));
        let fresh = |seconds| policy.is_fresh(&response, NOON.plus(Duration::from_secs(seconds)));
        prop_assert!(fresh(age) || !fresh(age + more));
        prop_assert_eq!(fresh(age), age < max_age);
    }
}
