//! What is valid, to the corners, and what becomes of it.

use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;

#[test]
fn a_valid_manifest_tells_later_stages_all_they_need() {
    let validated = judged(manifest()).unwrap();
    assert_eq!((validated.name.as_str(), validated.namespace.as_str()), ("shop", "web"));
    assert!(validated.enabled);
    assert_eq!(validated.replicas_per_zone, Some(1));
    let zones = [WantedZone { name: "a".into(), replicas: Some(2) }, WantedZone { name: "b".into(), replicas: None }];
    assert_eq!(validated.zones.as_deref(), Some(zones.as_slice()));
    assert_eq!(validated.config.cache.memory, 64 << 20);
    assert_eq!(validated.config.distributions[0].name, "web/shop");
    assert_eq!(validated.config.distributions[0].uid, validated.uid);
    assert_eq!((validated.pods, validated.service), (PodFields::default(), ServiceFields::default()));
}

#[test]
fn what_pods_and_services_are_given_reaches_later_stages() {
    let edge = json!({"podLabels": {"team": "web"}, "service": {"type": "NodePort"}});
    let validated = judged(with("/spec/edge", edge)).unwrap();
    assert_eq!(validated.pods.labels, BTreeMap::from([("team".to_owned(), "web".to_owned())]));
    assert_eq!(validated.service.kind, ServiceKind::NodePort);
}

#[test]
fn certificates_reach_the_edge() {
    let judged = judged(with("/spec/origins/0/http/tls", json!({"caBundleRef": {"name": "ours"}}))).unwrap();
    let bundle = judged.config.distributions[0].origins[0].ca_bundle.as_deref().unwrap_or_default();
    assert!(bundle.starts_with("-----BEGIN CERTIFICATE-----\n"), "{bundle:?}");
}

#[test]
fn absent_fields_stay_absent() {
    let mut manifest = without("/spec/zones");
    manifest["spec"].as_object_mut().unwrap().remove("edge");
    let validated = judged(manifest).unwrap();
    assert_eq!((validated.zones, validated.replicas_per_zone), (None, None));
}

#[test]
fn a_uid_is_kept_and_a_missing_one_depends_on_namespace_and_name_alone() {
    assert_eq!(judged(with("/metadata/uid", json!("3f1e"))).unwrap().uid, "3f1e");
    let made = judged(manifest()).unwrap().uid;
    assert_eq!(judged(with("/spec/comment", json!("changed"))).unwrap().uid, made);
    assert_ne!(judged(with("/metadata/namespace", json!("other"))).unwrap().uid, made);
    assert_ne!(judged(with("/metadata/name", json!("other"))).unwrap().uid, made);
    assert!(Uuid::parse_str(&made).is_ok_and(|uid| uid.get_version_num() == 5));
}

#[test]
fn the_namespace_is_default_unless_named() {
    assert_eq!(judged(without("/metadata/namespace")).unwrap().namespace, "default");
}

#[test]
fn a_printed_object_is_judged_by_its_specification() {
    let mut manifest = with("/status", json!({"edges": "4/4", "revision": "7"}));
    manifest["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    manifest["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Apply"}]);
    manifest["metadata"]["annotations"] = json!({"example.com/note": "x"});
    assert!(judged(manifest).is_ok());
}

#[test]
fn corners_are_accepted() {
    let origin = |changes: Value| {
        let mut origin = json!({"name": "site", "http": {"host": "a", "protocolPolicy": "MatchViewer"}});
        origin.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        ("/spec/origins/0".to_owned(), origin)
    };
    let inline = |inline: Value| ("/spec/defaultCacheBehavior/cachePolicy".to_owned(), json!({"inline": inline}));
    let at = |pointer: &str, value: Value| (pointer.to_owned(), value);
    let names = |count: usize| (0..count).map(|index| format!("name-{index}")).collect::<Vec<_>>();
    let cases = [
        at("/metadata/name", json!("a")),
        at("/metadata/name", json!("a".repeat(40))),
        at("/metadata/name", json!("edge")),
        at("/spec/enabled", json!(false)),
        at("/spec/comment", json!("ä".repeat(128))),
        at("/spec/aliases", json!([])),
        at("/spec/aliases", json!(["localhost", "10.0.0.1", "xn--bcher-kva.example", "_dmarc.example.com"])),
        at("/spec/aliases", json!((0..256).map(|index| format!("h{index}.example.com")).collect::<Vec<_>>())),
        at("/spec/defaultRootObject", json!("de/start%20page.html")),
        at("/spec/cacheBehaviors", json!([])),
        at("/spec/cacheBehaviors/0/pathPattern", json!("*")),
        at("/spec/cacheBehaviors/0/pathPattern", json!("a".repeat(255))),
        at("/spec/cacheBehaviors/0/pathPattern", json!("/A-Za-z0-9_-.*$/~\"'@:+&?")),
        at("/spec/cacheBehaviors/0/cachedMethods", json!("GetHeadOptions")),
        at("/spec/cacheBehaviors/0/allowedMethods", json!("Any")),
        at("/spec/defaultCacheBehavior/viewerProtocolPolicy", json!("HttpsOnly")),
        at("/spec/zones/0/replicas", json!(1000)),
        at("/spec/edge", json!({})),
        at("/spec/edge/cache", json!({})),
        at("/spec/edge/cache/memory", json!("1Mi")),
        at("/spec/edge/cache/memory", json!("16Ti")),
        at("/spec/edge/resources", json!({"requests": {"cpu": 2}, "limits": {"cpu": "2.000", "memory": "432Mi"}})),
        at("/spec/edge/resources", json!({"requests": {"cpu": "1500m", "memory": "64Gi", "ephemeral-storage": "1Mi"}})),
        at("/spec/edge/resources", json!({"requests": {}, "limits": {}})),
        at("/spec/edge/nodeSelector", json!({"kubernetes.io/os": "linux", "a.b-c.example/D_e.f": "", "x": "Y-1"})),
        at("/spec/edge/tolerations", json!([{"operator": "Exists"}, {"key": "a/b", "effect": "NoExecute"}])),
        at("/spec/edge/tolerations", json!([{"key": "a", "value": "", "operator": "Exists"}])),
        at("/spec/edge/podLabels", json!({"app.kubernetes.io/part-of": "shop", "proxima": "yes"})),
        at("/spec/edge/podAnnotations", json!({"example.com/note": "", "json": "{\"a\": 1}\n"})),
        at("/spec/edge/priorityClassName", json!("system-cluster-critical")),
        at("/spec/edge/service", json!({"type": "NodePort", "annotations": {"a.b/c": "x".repeat(4_096)}})),
        origin(json!({"path": "/a/b%20c/~d"})),
        origin(json!({"customHeaders": [{"name": "X-Amz", "value": "a b"}, {"name": "Authorization", "value": "x"}]})),
        origin(json!({"customHeaders": [{"name": "x".repeat(256), "value": "v".repeat(1783)}]})),
        origin(json!({"connectionAttempts": 1, "connectionTimeout": "1s", "responseTimeout": "120s"})),
        origin(json!({"connectionAttempts": 3, "connectionTimeout": "10000ms", "responseTimeout": "2m"})),
        origin(json!({"keepAliveTimeout": "1m59s999ms"})),
        origin(json!({"http": {"host": "a", "protocolPolicy": "HttpOnly", "httpPort": 1024, "httpsPort": 65535}})),
        origin(json!({"http": {"host": "10.1.2.3", "protocolPolicy": "HttpOnly", "httpPort": 443}})),
        origin(json!({"http": {"host": "2001:db8::1", "protocolPolicy": "HttpOnly"}})),
        origin(json!({"http": {"host": "A.Example.COM", "protocolPolicy": "HttpsOnly", "tls": {"serverName": "b"}}})),
        origin(json!({"http": {"host": "a", "protocolPolicy": "HttpsOnly", "tls": {}}})),
        origin(json!({"http": {"host": "a", "protocolPolicy": "HttpsOnly", "tls": {"caBundleRef": {"name": "a.b"}}}})),
        inline(json!({})),
        inline(json!({"ttl": {}})),
        inline(json!({"ttl": {"min": "0s", "default": "0s", "max": "0s"}})),
        inline(json!({"ttl": {"max": "99999h"}, "overrideOriginDirectives": true, "setCookie": "Store"})),
        inline(json!({"key": {"cookies": {"behavior": "None"}, "queryStrings": {"behavior": "All"}}})),
        inline(json!({"key": {"cookies": {"behavior": "AllExcept", "names": names(40)}}})),
        inline(json!({"key": {"queryStrings": {"behavior": "Some", "names": ["a[]", "A", "%C3%BC"]}}})),
        inline(json!({"basedOn": "OriginControlled", "key": {"headers": {"behavior": "None"}}})),
        inline(json!({"key": {"headers": {"behavior": "Some", "names": ["Host", "authorization", "X-A"]}}})),
    ];
    for (pointer, value) in cases {
        let judged = judged(with(&pointer, value.clone()));
        assert!(judged.is_ok(), "{pointer} = {value}: {:?}", judged.unwrap_err());
    }
}

#[test]
fn null_means_absent() {
    for pointer in [
        "/metadata/namespace",
        "/metadata/labels",
        "/spec/enabled",
        "/spec/comment",
        "/spec/aliases",
        "/spec/defaultRootObject",
        "/spec/origins/0/service",
        "/spec/origins/0/path",
        "/spec/origins/0/customHeaders",
        "/spec/origins/0/connectionAttempts",
        "/spec/origins/0/connectionTimeout",
        "/spec/origins/0/http/httpPort",
        "/spec/origins/0/http/tls",
        "/spec/defaultCacheBehavior/viewerProtocolPolicy",
        "/spec/defaultCacheBehavior/cachePolicy",
        "/spec/cacheBehaviors",
        "/spec/cacheBehaviors/0/cachePolicy/managed",
        "/spec/cacheBehaviors/0/cachePolicy/inline/ttl",
        "/spec/cacheBehaviors/0/cachePolicy/inline/key/headers",
        "/spec/zones",
        "/spec/zones/0/replicas",
        "/spec/edge",
        "/spec/edge/cache",
        "/spec/edge/cache/memory",
        "/spec/edge/nodeSelector",
        "/spec/edge/tolerations",
        "/spec/edge/resources",
        "/spec/edge/service",
        "/status",
    ] {
        let null = judged(with(pointer, Value::Null));
        let absent = judged(match with(pointer, Value::Null).pointer(pointer) {
            Some(_) if manifest().pointer(pointer).is_some() => without(pointer),
            _ => manifest(),
        });
        assert!(null.is_ok(), "{pointer}: {:?}", null.unwrap_err());
        assert_eq!(null, absent, "{pointer}");
    }
}

/// Every list and map at its maximum, with texts of ordinary length. Lists inside of lists only a few times: rules are
/// slow without optimisation.
fn largest() -> Value {
    let names = |count: usize, of: &str| (0..count).map(|index| format!("{of}-name-{index}")).collect::<Vec<_>>();
    let entries = |count: usize| -> Value {
        Value::Object((0..count).map(|index| (format!("example.com/key-{index}"), json!("value"))).collect())
    };
    let headers: Value =
        (0..30).map(|index| json!({"name": format!("X-Header-{index}"), "value": "an ordinary value"})).collect();
    let key = json!({
        "headers": {"behavior": "Some", "names": names(40, "X")},
        "cookies": {"behavior": "Some", "names": names(40, "cookie")},
        "queryStrings": {"behavior": "AllExcept", "names": names(40, "query")},
    });
    let mut manifest = manifest();
    let spec = &mut manifest["spec"];
    spec["aliases"] = (0..256).map(|index| format!("host-{index}.shop.example.com")).collect();
    spec["origins"] = (0..128)
        .map(|index| json!({"name": format!("o{index}"), "service": {"name": "api", "port": 80}, "customHeaders": if index < 4 { headers.clone() } else { json!([]) }}))
        .collect();
    spec["defaultCacheBehavior"]["targetOrigin"] = json!("o127");
    spec["cacheBehaviors"] = (0..256)
        .map(|index| {
            json!({
                "pathPattern": format!("/area-{index}/images/*.jpg"),
                "targetOrigin": format!("o{}", index / 2),
                "cachePolicy": {"inline": if index < 4 { json!({"key": key}) } else { json!({}) }},
            })
        })
        .collect();
    spec["zones"] = (0..128).map(|index| json!({"name": format!("zone-{index}")})).collect();
    spec["edge"] = json!({
        "nodeSelector": entries(16),
        "tolerations": (0..32).map(|index| json!({"key": format!("taint-{index}")})).collect::<Vec<_>>(),
        "podLabels": entries(32),
        "podAnnotations": entries(32),
        "service": {"annotations": entries(32)},
    });
    manifest
}

#[test]
fn the_largest_lists_are_accepted() {
    let Validated { config, pods, .. } = judged(largest()).unwrap();
    assert_eq!(config.distributions[0].behaviors.len(), 256);
    assert_eq!((pods.tolerations.len(), pods.labels.len()), (32, 32));
}

#[test]
fn in_local_mode_a_mapped_service_is_connected_to() {
    let mut settings = settings(true);
    let api = ServiceName { namespace: "web".into(), name: "api".into() };
    settings.services = Services::Local(BTreeMap::from([(api, "127.0.0.1:9".into())]));
    let gathered = Gathered { source: Source::default(), value: manifest(), text: String::new(), settings };
    let validated = validate(&gathered).unwrap();
    assert_eq!(validated.config.distributions[0].origins[1].connect_to.as_deref(), Some("127.0.0.1:9"));
}

#[test]
fn every_example_is_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/examples");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            for judged in judged_file(&fs::read_to_string(&path).unwrap()) {
                assert!(judged.is_ok(), "{}: {:?}", path.display(), judged.unwrap_err());
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 8);
}

/// Specifications of which most are valid: parts from lists with corners in them.
fn specification() -> impl Strategy<Value = Value> {
    let pick = |values: Vec<Value>| prop::sample::select(values);
    let origin = (
        pick(vec![
            json!({"http": {"host": "a.example", "protocolPolicy": "MatchViewer"}}),
            json!({"http": {"host": "::1", "protocolPolicy": "HttpOnly", "httpPort": 1024}}),
            json!({"http": {"host": "B_1.example", "protocolPolicy": "HttpsOnly", "tls": {"serverName": "c"}}}),
            json!({"http": {"host": "10.0.0.1", "protocolPolicy": "HttpsOnly", "httpsPort": 65535}}),
            json!({"service": {"name": "api", "port": 65535}}),
        ]),
        pick(vec![Value::Null, json!("/a"), json!("/a%20b/c;d"), json!("/a~!$&'()*+,;=:@")]),
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}",
        "[!-~]([ -~]{0,10}[!-~])?",
        prop::option::of("([A-Za-z0-9_-]{1,5}[.]){0,3}[A-Za-z0-9_]{1,5}"),
    )
        .prop_map(|(mut origin, path, name, value, host)| {
            origin["customHeaders"] = json!([{"name": name, "value": value}]);
            if let Some((host, http)) = host.zip(origin.get_mut("http")) {
                http["host"] = json!(host);
            }
            if !path.is_null() {
                origin["path"] = path;
            }
            origin
        });
    let policy = pick(vec![
        json!({"managed": "UseOriginCacheControlHeaders-QueryStrings"}),
        json!({"inline": {}}),
        json!({"inline": {"basedOn": "CachingDisabled", "ttl": {"min": "1ms"}}}),
        json!({"inline": {"key": {"headers": {"behavior": "Some", "names": ["!", "Host", "ACCEPT-ENCODING"]}}}}),
        json!({"inline": {"key": {"cookies": {"behavior": "Some", "names": ["$Version", "a[0]", "%"]}}}}),
        json!({"inline": {"ttl": {"default": "99999h99999h99999h99999h"}, "setCookie": "Strip"}}),
    ]);
    let behavior = ("[A-Za-z0-9_.*$/~\"'@:+&?-]{1,20}", policy, pick(vec![json!("GetHead"), json!("Any")]));
    let aliases = prop::collection::vec("([*][.])?[a-z0-9_]([-a-z0-9_]{0,5}[a-z0-9_])?([.][a-z0-9]{1,3}){0,2}", 0..4);
    let root = prop::option::of("([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2}){1,8}");
    (prop::collection::vec(origin, 1..4), prop::collection::vec(behavior, 0..5), aliases, root, any::<bool>()).prop_map(
        |(mut origins, behaviors, aliases, root, enabled)| {
            for (index, origin) in origins.iter_mut().enumerate() {
                origin["name"] = json!(format!("o{index}"));
            }
            let behaviors: Value = behaviors
                .into_iter()
                .map(|(pattern, policy, methods)| {
                    json!({
                        "pathPattern": pattern,
                        "targetOrigin": "o0",
                        "cachePolicy": policy,
                        "allowedMethods": methods,
                    })
                })
                .collect();
            let mut spec = json!({
                "enabled": enabled,
                "aliases": aliases,
                "origins": origins,
                "defaultCacheBehavior": {"targetOrigin": "o0"},
                "cacheBehaviors": behaviors,
            });
            if let Some(root) = root {
                spec["defaultRootObject"] = json!(root);
            }
            spec
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// The edge's compiler is the last word, but should have nothing to say: what it refuses, an earlier check with
    /// better words has missed.
    #[test]
    fn what_passes_the_checks_compiles(spec in specification()) {
        let mut manifest = manifest();
        manifest["spec"] = spec;
        if let Err(problems) = judged(manifest) {
            for problem in problems {
                prop_assert!(problem.reason != Reason::NotServable, "{problem}");
            }
        }
    }
}
