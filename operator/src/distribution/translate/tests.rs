use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn who() -> Identity {
    Identity { namespace: "web".into(), name: "shop".into(), uid: "uid-1".into() }
}

fn settings(local: bool) -> Settings {
    let api = ServiceName { namespace: "web".into(), name: "api".into() };
    let services = if local {
        Services::Local(BTreeMap::from([(api, "127.0.0.1:9000".to_owned())]))
    } else {
        Services::Cluster(BTreeMap::new())
    };
    Settings { cluster_domain: "cluster.local".into(), services, ca_bundles: BTreeMap::new(), addresses: Vec::new() }
}

fn translated(spec: Value, local: bool) -> EdgeConfig {
    translate(&serde_json::from_value(spec).unwrap(), &who(), &settings(local)).unwrap()
}

/// The policy of a behaviour that names this one.
fn policy(cache_policy: Value) -> CachePolicyConfig {
    let spec = json!({
        "origins": [{"name": "api", "service": {"name": "api", "port": 80}}],
        "defaultCacheBehavior": {"targetOrigin": "api", "cachePolicy": cache_policy},
    });
    translated(spec, false).distributions[0].default_behavior.cache_policy.clone()
}

fn ttl(inline: Value) -> (u64, Option<u64>, u64) {
    let policy = policy(json!({"inline": inline}));
    (policy.min_ttl_ms, policy.default_ttl_ms, policy.max_ttl_ms)
}

const DAY: u64 = 86_400_000;
const YEAR: u64 = 31_536_000_000;

#[test]
fn every_field_reaches_the_edge() {
    let spec = json!({
        "enabled": false,
        "comment": "not for edges",
        "aliases": ["shop.example.com"],
        "defaultRootObject": "index.html",
        "origins": [
            {
                "name": "site",
                "http": {
                    "host": "Site.Example.com",
                    "protocolPolicy": "HttpsOnly",
                    "httpPort": 8080,
                    "httpsPort": 8443,
                    "tls": {"serverName": "TLS.example.com"},
                },
                "path": "/public",
                "customHeaders": [{"name": "X-From", "value": "proxima"}],
                "connectionAttempts": 2,
                "connectionTimeout": "1s500ms",
                "responseTimeout": "1m",
                "keepAliveTimeout": "7s",
            },
            {"name": "api", "service": {"name": "api", "port": 81}},
        ],
        "defaultCacheBehavior": {"targetOrigin": "site", "viewerProtocolPolicy": "RedirectToHttps"},
        "cacheBehaviors": [{
            "pathPattern": "/api/*",
            "targetOrigin": "api",
            "allowedMethods": "All",
            "cachedMethods": "GetHeadOptions",
            "viewerProtocolPolicy": "HttpsOnly",
            "cachePolicy": {"managed": "CachingDisabled"},
        }],
        "edge": {"cache": {"memory": "2Gi"}, "replicasPerZone": 3},
    });
    let default_policy = serde_json::to_value(managed(ManagedCachePolicy::OriginControlled)).unwrap();
    let disabled = serde_json::to_value(managed(ManagedCachePolicy::CachingDisabled)).unwrap();
    let expected = json!({
        "cache": {"memory": 2_147_483_648_u64},
        "distributions": [{
            "uid": "uid-1",
            "name": "web/shop",
            "enabled": false,
            "aliases": ["shop.example.com"],
            "serviceHosts": [
                "shop-edge", "shop-edge.web", "shop-edge.web.svc", "shop-edge.web.svc.cluster.local",
                "shop-edge-*", "shop-edge-*.web", "shop-edge-*.web.svc", "shop-edge-*.web.svc.cluster.local",
            ],
            "defaultRootObject": "index.html",
            "origins": [
                {
                    "name": "site",
                    "host": "site.example.com",
                    "protocolPolicy": "HttpsOnly",
                    "httpPort": 8080,
                    "httpsPort": 8443,
                    "tlsServerName": "tls.example.com",
                    "path": "/public",
                    "customHeaders": [{"name": "X-From", "value": "proxima"}],
                    "connectionAttempts": 2,
                    "connectionTimeoutMs": 1_500,
                    "responseTimeoutMs": 60_000,
                    "keepAliveTimeoutMs": 7_000,
                },
                {
                    "name": "api",
                    "host": "api.web.svc.cluster.local",
                    "protocolPolicy": "HttpOnly",
                    "httpPort": 81,
                    "httpsPort": 443,
                    "path": "",
                    "connectionAttempts": 3,
                    "connectionTimeoutMs": 10_000,
                    "responseTimeoutMs": 30_000,
                    "keepAliveTimeoutMs": 5_000,
                },
            ],
            "defaultBehavior": {
                "targetOrigin": "site",
                "viewerProtocolPolicy": "RedirectToHttps",
                "allowedMethods": "GetHead",
                "cachedMethods": "GetHead",
                "cachePolicy": default_policy,
            },
            "behaviors": [{
                "pathPattern": "/api/*",
                "targetOrigin": "api",
                "viewerProtocolPolicy": "HttpsOnly",
                "allowedMethods": "All",
                "cachedMethods": "GetHeadOptions",
                "cachePolicy": disabled,
            }],
        }],
    });
    assert_eq!(serde_json::to_value(translated(spec, false)).unwrap(), expected);
}

#[test]
fn in_local_mode_only_the_address_of_a_service_differs() {
    let spec = json!({
        "aliases": ["shop.example.com"],
        "origins": [{"name": "api", "service": {"name": "api", "port": 81}}],
        "defaultCacheBehavior": {"targetOrigin": "api"},
    });
    let cluster = translated(spec.clone(), false);
    let mut local = translated(spec, true);
    assert_eq!(local.distributions[0].origins[0].connect_to.take().as_deref(), Some("127.0.0.1:9000"));
    let hosts = local.distributions[0].service_hosts.split_off(8);
    assert_eq!(hosts, ["localhost", "127.0.0.1", "[::1]"]);
    assert_eq!(local, cluster);
}

#[test]
fn viewers_may_use_every_name_of_the_services_and_the_addresses_of_the_load_balancer() {
    let addresses = vec!["203.0.113.7".to_owned(), "[2001:db8::7]".to_owned()];
    let who = Identity { namespace: "web".into(), name: "shop".into(), uid: "u".into() };
    let hosts = service_hosts(&who, &Settings { addresses, ..settings(false) });
    let expected = "shop-edge shop-edge.web shop-edge.web.svc shop-edge.web.svc.cluster.local shop-edge-* shop-edge-*.web \
                    shop-edge-*.web.svc shop-edge-*.web.svc.cluster.local 203.0.113.7 [2001:db8::7]";
    assert_eq!(hosts.join(" "), expected);
}

#[test]
fn memory_is_256_mi_unless_said() {
    let spec = json!({
        "origins": [{"name": "api", "service": {"name": "api", "port": 81}}],
        "defaultCacheBehavior": {"targetOrigin": "api"},
        "edge": {"cache": {}},
    });
    assert_eq!(translated(spec, false).cache.memory, 256 << 20);
}

#[test]
fn no_policy_means_origin_controlled() {
    assert_eq!(policy(Value::Null), managed(ManagedCachePolicy::OriginControlled));
}

#[test]
fn an_empty_inline_policy_has_cloudfronts_defaults() {
    assert_eq!(policy(json!({"inline": {}})), unmanaged());
    assert_eq!(ttl(json!({})), (0, Some(DAY), YEAR));
}

#[test]
fn bounds_that_are_not_given_move_out_of_the_way() {
    for (given, expected) in [
        // CloudFront's rule for a new policy.
        (json!({"ttl": {"min": "48h"}}), (2 * DAY, Some(2 * DAY), YEAR)),
        (json!({"ttl": {"min": "8761h"}}), (8_761 * 3_600_000, Some(8_761 * 3_600_000), 8_761 * 3_600_000)),
        (json!({"ttl": {"default": "8761h"}}), (0, Some(8_761 * 3_600_000), 8_761 * 3_600_000)),
        (json!({"ttl": {"max": "1h"}}), (0, Some(3_600_000), 3_600_000)),
        (json!({"ttl": {"min": "1s", "default": "2s", "max": "3s"}}), (1_000, Some(2_000), 3_000)),
        (json!({"ttl": {"max": "0s"}}), (0, Some(0), 0)),
        // On a managed policy.
        (json!({"basedOn": "CachingOptimized"}), (1_000, Some(DAY), YEAR)),
        (json!({"basedOn": "CachingOptimized", "ttl": {"default": "1m"}}), (1_000, Some(60_000), YEAR)),
        (json!({"basedOn": "CachingOptimized", "ttl": {"default": "0s"}}), (0, Some(0), YEAR)),
        (json!({"basedOn": "CachingOptimized", "ttl": {"max": "500ms"}}), (500, Some(500), 500)),
        (json!({"basedOn": "CachingDisabled", "ttl": {"default": "1h"}}), (0, Some(3_600_000), 3_600_000)),
        (json!({"basedOn": "CachingDisabled", "ttl": {"min": "5s"}}), (5_000, Some(5_000), 5_000)),
        (json!({"basedOn": "OriginControlled", "ttl": {"max": "1h"}}), (0, None, 3_600_000)),
        (json!({"basedOn": "OriginControlled", "ttl": {"default": "1h"}}), (0, Some(3_600_000), YEAR)),
    ] {
        assert_eq!(ttl(given.clone()), expected, "{given}");
    }
}

#[test]
fn single_fields_override_a_managed_policy() {
    let changed = policy(json!({"inline": {
        "basedOn": "UseOriginCacheControlHeaders",
        "setCookie": "Strip",
        "overrideOriginDirectives": true,
        "honorRequestDirectives": true,
        "key": {"cookies": {"behavior": "AllExcept", "names": ["session"]}},
    }}));
    let mut expected = managed(ManagedCachePolicy::UseOriginCacheControlHeaders);
    expected.name = "inline".into();
    expected.set_cookie = edge::SetCookiePolicy::Strip;
    expected.override_origin_directives = true;
    expected.honor_request_directives = true;
    expected.key.cookies = Selection::AllExcept(vec!["session".into()]);
    assert_eq!(changed, expected);
}

#[test]
fn every_managed_policy_is_its_own_base() {
    for name in ManagedCachePolicy::ALL {
        let based = policy(json!({"inline": {"basedOn": name}}));
        assert_eq!(CachePolicyConfig { name: name.as_str().into(), ..based }, managed(name), "{}", name.as_str());
        assert_eq!(policy(json!({"managed": name})), managed(name));
    }
}

#[test]
fn key_headers_are_lower_case_sorted_and_once_only() {
    let names = json!({"behavior": "Some", "names": ["X-B", "Accept-Language", "x-b"]});
    let changed = policy(json!({"inline": {"key": {"headers": names}}}));
    assert_eq!(changed.key.headers, ["accept-language", "x-b"]);
}

#[test]
fn selections_keep_case_and_order() {
    for (given, expected) in [
        (json!({"behavior": "None"}), Selection::None),
        (json!({"behavior": "All"}), Selection::All),
        (json!({"behavior": "Some", "names": ["b", "A"]}), Selection::Some(vec!["b".into(), "A".into()])),
        (json!({"behavior": "AllExcept", "names": ["b"]}), Selection::AllExcept(vec!["b".into()])),
    ] {
        let changed = policy(json!({"inline": {"basedOn": "OriginControlled", "key": {"queryStrings": given}}}));
        assert_eq!(changed.key.query_strings, expected);
    }
}

#[test]
fn text_that_cannot_be_computed_with_is_a_fault_of_its_field() {
    let spec = json!({
        "origins": [{"name": "api", "service": {"name": "api", "port": 81}, "connectionTimeout": "1d"}],
        "defaultCacheBehavior": {"targetOrigin": "api"},
        "edge": {"cache": {"memory": "lots"}},
    });
    let faults = translate(&serde_json::from_value(spec).unwrap(), &who(), &settings(false)).unwrap_err();
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["spec.edge.cache.memory", "spec.origins[0].connectionTimeout"]);
}
