use serde_json::{Value, json};

use super::*;

fn check(policy: ManagedCachePolicy, expected: Value) {
    assert_eq!(serde_json::to_value(managed(policy)).unwrap(), expected, "{}", policy.as_str());
}

fn key(changes: &[(&str, Value)]) -> Value {
    let mut key = json!({
        "scheme": false,
        "host": false,
        "headers": [],
        "cookies": "none",
        "queryStrings": "none",
        "acceptEncodingGzip": false,
        "acceptEncodingBrotli": false,
    });
    for (name, value) in changes {
        key[*name] = value.clone();
    }
    key
}

fn policy(name: &str, ttl: (u64, u64, u64), key: Value) -> Value {
    json!({
        "name": name,
        "minTtlMs": ttl.0,
        "defaultTtlMs": ttl.1,
        "maxTtlMs": ttl.2,
        "key": key,
        "forward": {"allViewerHeaders": false},
        "setCookie": "Bypass",
        "overrideOriginDirectives": false,
        "originControlled": false,
    })
}

#[test]
fn caching_optimized_keeps_a_day_and_normalises_compression() {
    let key = key(&[("acceptEncodingGzip", json!(true)), ("acceptEncodingBrotli", json!(true))]);
    check(ManagedCachePolicy::CachingOptimized, policy("CachingOptimized", (1_000, 86_400_000, 31_536_000_000), key));
}

#[test]
fn caching_optimized_for_uncompressed_objects_has_the_path_alone_in_its_key() {
    check(
        ManagedCachePolicy::CachingOptimizedForUncompressedObjects,
        policy("CachingOptimizedForUncompressedObjects", (1_000, 86_400_000, 31_536_000_000), key(&[])),
    );
}

#[test]
fn caching_disabled_has_no_lifetime() {
    check(ManagedCachePolicy::CachingDisabled, policy("CachingDisabled", (0, 0, 0), key(&[])));
}

fn viewer_key(query_strings: &str) -> Value {
    key(&[
        ("headers", json!(["host", "origin", "x-http-method", "x-http-method-override", "x-method-override"])),
        ("cookies", json!("all")),
        ("queryStrings", json!(query_strings)),
        ("acceptEncodingGzip", json!(true)),
        ("acceptEncodingBrotli", json!(true)),
    ])
}

#[test]
fn use_origin_cache_control_headers_keys_host_method_override_and_cookies() {
    check(
        ManagedCachePolicy::UseOriginCacheControlHeaders,
        policy("UseOriginCacheControlHeaders", (0, 0, 31_536_000_000), viewer_key("none")),
    );
}

#[test]
fn use_origin_cache_control_headers_query_strings_keys_them_too() {
    check(
        ManagedCachePolicy::UseOriginCacheControlHeadersQueryStrings,
        policy("UseOriginCacheControlHeaders-QueryStrings", (0, 0, 31_536_000_000), viewer_key("all")),
    );
}

#[test]
fn origin_controlled_keys_the_target_uri_and_leaves_freshness_to_the_origin() {
    check(
        ManagedCachePolicy::OriginControlled,
        json!({
            "name": "OriginControlled",
            "minTtlMs": 0,
            "maxTtlMs": 31_536_000_000_u64,
            "key": key(&[("scheme", json!(true)), ("host", json!(true)), ("queryStrings", json!("all"))]),
            "forward": {"allViewerHeaders": true},
            "setCookie": "Bypass",
            "overrideOriginDirectives": false,
            "originControlled": true,
        }),
    );
}

#[test]
fn names_are_those_of_manifests() {
    for policy in ManagedCachePolicy::ALL {
        assert_eq!(serde_json::to_value(policy).unwrap(), json!(policy.as_str()));
    }
}
