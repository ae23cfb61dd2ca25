//! What is wrong, where it is said to be wrong, and in which words.

use super::*;

pub(super) fn only_problem(value: Value) -> Problem {
    let case = value.to_string();
    let mut problems = judged(value).expect_err(&case);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

/// Each case is one change of a valid manifest and gives exactly one problem: (pointer, value, field, reason, words).
pub(super) fn check(cases: &[(&str, Value, &str, Reason, &str)]) {
    for (pointer, value, field, reason, words) in cases {
        let problem = only_problem(with(pointer, value.clone()));
        let case = format!("{pointer} = {value}: {problem:?}");
        assert_eq!(problem.field, *field, "{case}");
        assert_eq!(problem.reason, *reason, "{case}");
        assert!(problem.message.contains(words), "{case} lacks {words:?}");
    }
}

#[test]
fn unknown_fields_are_refused_with_a_suggestion() {
    use Reason::UnknownField as R;
    check(&[
        ("/extra", json!(1), "extra", R, "there are apiVersion, kind, metadata, spec, status"),
        ("/metadata/nmae", json!("x"), "metadata.nmae", R, "did you mean name?"),
        ("/spec/alias", json!([]), "spec.alias", R, "did you mean aliases?"),
        ("/spec/defaultRootObjekt", json!("x"), "spec.defaultRootObjekt", R, "did you mean defaultRootObject?"),
        ("/spec/priceClass", json!("x"), "spec.priceClass", R, "there is no such field; there are aliases"),
        ("/spec/origins/0/customHeader", json!([]), "spec.origins[0].customHeader", R, "did you mean customHeaders?"),
        ("/spec/origins/0/http/httpPorts", json!(1), "spec.origins[0].http.httpPorts", R, "did you mean httpPort?"),
        (
            "/spec/origins/1/service/namespace",
            json!("x"),
            "spec.origins[1].service.namespace",
            R,
            "there are name, port",
        ),
        (
            "/spec/cacheBehaviors/0/targetOriginId",
            json!("x"),
            "spec.cacheBehaviors[0].targetOriginId",
            R,
            "did you mean targetOrigin?",
        ),
        (
            "/spec/cacheBehaviors/0/cachePolicy/inline/ttl/maximum",
            json!("1s"),
            "spec.cacheBehaviors[0].cachePolicy.inline.ttl.maximum",
            R,
            "there are default, max, min",
        ),
        ("/spec/edge/services", json!({}), "spec.edge.services", R, "did you mean service?"),
        (
            "/spec/edge/resources",
            json!({"limits": {"nvidia.com/gpu": "1"}}),
            "spec.edge.resources.limits.nvidia.com/gpu",
            R,
            "there are cpu, ephemeral-storage, memory",
        ),
        ("/spec/edge/resources", json!({"claims": []}), "spec.edge.resources.claims", R, "there are limits, requests"),
    ]);
}

#[test]
fn wrong_types_are_refused() {
    use Reason::WrongType as R;
    check(&[
        ("/spec", json!([]), "spec", R, "must be fields in a mapping, but is a list"),
        (
            "/spec/enabled",
            json!("true"),
            "spec.enabled",
            R,
            "must be true or false, but is the text \"true\"; remove quotes",
        ),
        ("/spec/comment", json!(5), "spec.comment", R, "write it in quotes"),
        ("/spec/aliases", json!("shop.example.com"), "spec.aliases", R, "must be a list"),
        ("/spec/aliases/0", Value::Null, "spec.aliases[0]", R, "must be text, but is empty (null)"),
        ("/spec/aliases/0", json!({}), "spec.aliases[0]", R, "must be text, but is a mapping"),
        ("/spec/origins/0/connectionAttempts", json!("3"), "spec.origins[0].connectionAttempts", R, "whole number"),
        ("/spec/origins/0/connectionAttempts", json!(1.5), "spec.origins[0].connectionAttempts", R, "whole number"),
        (
            "/spec/origins/0/connectionTimeout",
            json!(10),
            "spec.origins[0].connectionTimeout",
            R,
            "must be a span of time with its unit, but is the number 10; write \"10s\" for seconds",
        ),
        (
            "/spec/cacheBehaviors/0/cachePolicy/inline/ttl/max",
            json!(3600),
            "spec.cacheBehaviors[0].cachePolicy.inline.ttl.max",
            R,
            "write \"3600s\"",
        ),
        (
            "/spec/edge/resources",
            json!({"requests": {"cpu": 0.5}}),
            "spec.edge.resources.requests.cpu",
            R,
            "0.5; write it in quotes",
        ),
        (
            "/spec/edge/resources",
            json!({"requests": {"cpu": true}}),
            "spec.edge.resources.requests.cpu",
            R,
            "must be a whole number or text",
        ),
        ("/spec/edge/nodeSelector", json!({"a": true}), "spec.edge.nodeSelector.a", R, "write it in quotes"),
        ("/spec/edge/cache/memory", json!(268_435_456), "spec.edge.cache.memory", R, "write it in quotes"),
        (
            "/spec/defaultCacheBehavior/cachePolicy",
            json!("CachingOptimized"),
            "spec.defaultCacheBehavior.cachePolicy",
            R,
            "must be fields in a mapping",
        ),
        ("/metadata/labels", json!({"a": 1}), "metadata.labels.a", R, "write it in quotes"),
    ]);
}

#[test]
fn missing_fields_are_named() {
    for (pointer, field) in [
        ("/metadata/name", "metadata.name"),
        ("/metadata", "metadata"),
        ("/spec", "spec"),
        ("/spec/origins", "spec.origins"),
        ("/spec/defaultCacheBehavior", "spec.defaultCacheBehavior"),
        ("/spec/origins/0/name", "spec.origins[0].name"),
        ("/spec/origins/0/http/host", "spec.origins[0].http.host"),
        ("/spec/origins/0/http/protocolPolicy", "spec.origins[0].http.protocolPolicy"),
        ("/spec/origins/1/service/port", "spec.origins[1].service.port"),
        ("/spec/cacheBehaviors/0/pathPattern", "spec.cacheBehaviors[0].pathPattern"),
        ("/spec/cacheBehaviors/0/targetOrigin", "spec.cacheBehaviors[0].targetOrigin"),
        ("/spec/zones/1/name", "spec.zones[1].name"),
    ] {
        let problem = only_problem(without(pointer));
        assert_eq!((problem.field.as_str(), problem.reason), (field, Reason::MissingField), "{problem:?}");
        assert!(problem.message.contains("is required"), "{problem:?}");
    }
}

#[test]
fn values_out_of_bounds_are_refused() {
    use Reason::InvalidValue as R;
    let long = |count: usize| json!("a".repeat(count));
    let aliases: Value = (0..257).map(|index| format!("h{index}")).collect();
    check(&[
        ("/spec/comment", long(129), "spec.comment", R, "has 129 characters; at most 128"),
        ("/spec/aliases", aliases, "spec.aliases", R, "has 257 items; at most 256"),
        ("/spec/defaultRootObject", json!(""), "spec.defaultRootObject", R, "must not be empty"),
        ("/spec/cacheBehaviors/0/pathPattern", long(256), "spec.cacheBehaviors[0].pathPattern", R, "at most 255"),
        ("/spec/cacheBehaviors/0/pathPattern", json!(""), "spec.cacheBehaviors[0].pathPattern", R, "must not be empty"),
        (
            "/spec/cacheBehaviors/0/allowedMethods",
            json!("getHead"),
            "spec.cacheBehaviors[0].allowedMethods",
            R,
            "did you mean GetHead?",
        ),
        (
            "/spec/cacheBehaviors/0/allowedMethods",
            json!("Everything"),
            "spec.cacheBehaviors[0].allowedMethods",
            R,
            "use GetHead, GetHeadOptions, All, Any",
        ),
        (
            "/spec/defaultCacheBehavior/viewerProtocolPolicy",
            json!("redirect-to-https"),
            "spec.defaultCacheBehavior.viewerProtocolPolicy",
            R,
            "did you mean RedirectToHttps?",
        ),
        (
            "/spec/defaultCacheBehavior/cachePolicy/managed",
            json!("CachingOptimised"),
            "spec.defaultCacheBehavior.cachePolicy.managed",
            R,
            "did you mean CachingOptimized?",
        ),
        (
            "/spec/origins/0/http/protocolPolicy",
            json!("http-only"),
            "spec.origins[0].http.protocolPolicy",
            R,
            "did you mean HttpOnly?",
        ),
        ("/spec/origins/0/connectionAttempts", json!(0), "spec.origins[0].connectionAttempts", R, "use 1 to 3"),
        ("/spec/origins/0/connectionAttempts", json!(4), "spec.origins[0].connectionAttempts", R, "use 1 to 3"),
        ("/spec/origins/0/http/httpPort", json!(0), "spec.origins[0].http.httpPort", R, "use 1 to 65535"),
        ("/spec/origins/0/http/httpsPort", json!(65536), "spec.origins[0].http.httpsPort", R, "use 1 to 65535"),
        ("/spec/origins/1/service/port", json!(-1), "spec.origins[1].service.port", R, "use 1 to 65535"),
        ("/spec/zones", json!([]), "spec.zones", R, "must not be empty"),
        ("/spec/zones/0/replicas", json!(0), "spec.zones[0].replicas", R, "use 1 to 1000"),
        ("/spec/edge/replicasPerZone", json!(1001), "spec.edge.replicasPerZone", R, "use 1 to 1000"),
        (
            "/spec/origins/0/customHeaders/0/value",
            long(1784),
            "spec.origins[0].customHeaders[0].value",
            R,
            "at most 1783",
        ),
        ("/spec/origins/0/customHeaders/0/name", long(257), "spec.origins[0].customHeaders[0].name", R, "at most 256"),
        ("/metadata/namespace", json!("Web"), "metadata.namespace", R, "lower case"),
        ("/metadata/namespace", json!("-web"), "metadata.namespace", R, "lower case"),
    ]);
}

#[test]
fn what_is_there_twice_is_refused() {
    use Reason::DuplicateItem as R;
    let header = |name: &str| json!({"name": name, "value": "1"});
    let behavior = |pattern: &str| json!({"pathPattern": pattern, "targetOrigin": "api"});
    check(&[
        ("/spec/aliases/-", json!("shop.example.com"), "spec.aliases[2]", R, "\"shop.example.com\" is there twice"),
        (
            "/spec/origins/-",
            json!({"name": "api", "service": {"name": "b", "port": 80}}),
            "spec.origins[2]",
            R,
            "name \"api\" is there twice",
        ),
        ("/spec/zones/-", json!({"name": "a"}), "spec.zones[2]", R, "name \"a\" is there twice"),
        ("/spec/origins/0/customHeaders/-", header("X-From"), "spec.origins[0].customHeaders[1]", R, "is there twice"),
        (
            "/spec/origins/0/customHeaders/-",
            header("x-fROM"),
            "spec.origins[0].customHeaders[1].name",
            R,
            "case does not matter",
        ),
        (
            "/spec/cacheBehaviors/-",
            behavior("/api/*"),
            "spec.cacheBehaviors[1].pathPattern",
            R,
            "spec.cacheBehaviors[0], which always wins",
        ),
        ("/spec/cacheBehaviors/-", behavior("api/*"), "spec.cacheBehaviors[1].pathPattern", R, "same paths"),
        (
            "/spec/cacheBehaviors/0/cachePolicy/inline/key/headers/names/-",
            json!("Accept-Language"),
            "spec.cacheBehaviors[0].cachePolicy.inline.key.headers.names[1]",
            R,
            "is there twice",
        ),
    ]);
}

#[test]
fn broken_rules_of_names_and_hosts_are_explained() {
    use Reason::RuleViolated as R;
    let host = "spec.origins[0].http.host";
    check(&[
        ("/metadata/name", json!("a".repeat(41)), "metadata.name", R, "at most 40 characters"),
        ("/metadata/name", json!("1shop"), "metadata.name", R, "begin with a letter"),
        ("/metadata/name", json!("sh.op"), "metadata.name", R, "lower case letters, digits and '-'"),
        ("/metadata/name", json!("shop-edge"), "metadata.name", R, "do not use '-edge-' or end in '-edge'"),
        ("/metadata/name", json!("shop-edge-a"), "metadata.name", R, "do not use '-edge-'"),
        ("/spec/aliases/0", json!("Shop.example.com"), "spec.aliases[0]", R, "lower case"),
        ("/spec/aliases/0", json!("https://shop.example.com"), "spec.aliases[0]", R, "no scheme"),
        ("/spec/aliases/0", json!("shop.example.com:8080"), "spec.aliases[0]", R, "no scheme, port"),
        ("/spec/aliases/0", json!("shop.*.com"), "spec.aliases[0]", R, "only as the first label"),
        ("/spec/aliases/0", json!("*"), "spec.aliases[0]", R, "only as the first label"),
        ("/spec/aliases/0", json!("shop..example"), "spec.aliases[0]", R, "give a host name"),
        ("/spec/origins/0/http/host", json!("http://a"), host, R, "no scheme"),
        ("/spec/origins/0/http/host", json!("a:80"), host, R, "no scheme, port"),
        ("/spec/origins/0/http/host", json!("[::1]"), host, R, "brackets"),
        ("/spec/origins/0/http/host", json!("a/b"), host, R, "path"),
        ("/spec/origins/0/http/host", json!("a.example."), host, R, "host name or address alone"),
        (
            "/spec/origins/0/http/tls",
            json!({"serverName": "a b"}),
            "spec.origins[0].http.tls.serverName",
            R,
            "host name",
        ),
        (
            "/spec/origins/1/service/name",
            json!("api.web"),
            "spec.origins[1].service.name",
            R,
            "the namespace is always the Distribution's own",
        ),
        ("/spec/origins/0/http/host", json!("10.0.0.256"), host, R, "host name or address alone"),
        ("/spec/origins/0/http/host", json!("0x7f.1"), host, R, "host name or address alone"),
        ("/spec/origins/0/http/host", json!("site.0x7f"), host, R, "host name or address alone"),
        ("/spec/aliases/0", json!("10.1"), "spec.aliases[0]", R, "give a host name"),
        ("/spec/aliases/0", json!("*.10.1.2.3"), "spec.aliases[0]", R, "give a host name"),
        ("/spec/zones/0/name", json!("a b"), "spec.zones[0].name", R, "topology.kubernetes.io/zone"),
    ]);
}

#[test]
fn broken_rules_of_origins_are_explained() {
    use Reason::RuleViolated as R;
    let name = "spec.origins[0].customHeaders[0].name";
    let http = json!({"host": "a", "protocolPolicy": "HttpOnly", "tls": {"serverName": "b"}});
    check(&[
        (
            "/spec/origins/0/service",
            json!({"name": "a", "port": 80}),
            "spec.origins[0]",
            R,
            "exactly one of http and service",
        ),
        ("/spec/origins/0", json!({"name": "site"}), "spec.origins[0]", R, "exactly one of http and service"),
        ("/spec/origins/0/http", http, "spec.origins[0].http.tls", R, "never speaks TLS"),
        ("/spec/origins/0/http/httpPort", json!(81), "spec.origins[0].http.httpPort", R, "80, 443 or 1024 to 65535"),
        (
            "/spec/origins/0/http/httpsPort",
            json!(1023),
            "spec.origins[0].http.httpsPort",
            R,
            "80, 443 or 1024 to 65535",
        ),
        ("/spec/origins/0/path", json!("public"), "spec.origins[0].path", R, "begin with '/'"),
        ("/spec/origins/0/path", json!("/public/"), "spec.origins[0].path", R, "do not end with it"),
        ("/spec/origins/0/path", json!("/"), "spec.origins[0].path", R, "do not end with it"),
        ("/spec/origins/0/path", json!("/a//b"), "spec.origins[0].path", R, "empty segments"),
        ("/spec/origins/0/path", json!("/a/../b"), "spec.origins[0].path", R, "'..'"),
        ("/spec/origins/0/path", json!("/a?b"), "spec.origins[0].path", R, "'?'"),
        ("/spec/origins/0/path", json!("/a%zz"), "spec.origins[0].path", R, "percent signs only to encode"),
        ("/spec/origins/0/path", json!("/a%2fb"), "spec.origins[0].path", R, "percent signs only to encode"),
        ("/spec/origins/0/path", json!("/%2E%2e"), "spec.origins[0].path", R, "percent signs only to encode"),
        ("/spec/origins/0/path", json!("/a%00"), "spec.origins[0].path", R, "percent signs only to encode"),
        ("/spec/origins/0/path", json!("/a%5Cb"), "spec.origins[0].path", R, "percent signs only to encode"),
        ("/spec/origins/0/connectionTimeout", json!("1d"), "spec.origins[0].connectionTimeout", R, "a day is 24h"),
        (
            "/spec/origins/0/connectionTimeout",
            json!("10"),
            "spec.origins[0].connectionTimeout",
            R,
            "write a duration as 30s",
        ),
        ("/spec/origins/0/connectionTimeout", json!("11s"), "spec.origins[0].connectionTimeout", R, "use 1s to 10s"),
        ("/spec/origins/0/connectionTimeout", json!("999ms"), "spec.origins[0].connectionTimeout", R, "use 1s to 10s"),
        ("/spec/origins/0/responseTimeout", json!("2m1ms"), "spec.origins[0].responseTimeout", R, "use 1s to 120s"),
        ("/spec/origins/0/keepAliveTimeout", json!("0s"), "spec.origins[0].keepAliveTimeout", R, "use 1s to 120s"),
        ("/spec/origins/0/customHeaders/0/name", json!("CoNTent-LengTH"), name, R, "cannot be set"),
        ("/spec/origins/0/customHeaders/0/name", json!("X-AMZ-Meta"), name, R, "cannot be set"),
        ("/spec/origins/0/customHeaders/0/name", json!("x-Edge-a"), name, R, "cannot be set"),
        ("/spec/origins/0/customHeaders/0/name", json!("X From"), name, R, "no spaces"),
        ("/spec/origins/0/customHeaders/0/name", json!("X-From:"), name, R, "no colon"),
        (
            "/spec/origins/0/customHeaders/0/value",
            json!("a\r\nHost: b"),
            "spec.origins[0].customHeaders[0].value",
            R,
            "printable ASCII",
        ),
        (
            "/spec/origins/0/customHeaders/0/value",
            json!(" a"),
            "spec.origins[0].customHeaders[0].value",
            R,
            "without spaces at its ends",
        ),
    ]);
}

#[test]
fn custom_headers_are_bounded_together() {
    let headers: Value =
        (0..6).map(|index| json!({"name": format!("X-{index}"), "value": "v".repeat(1_783)})).collect();
    let problem = only_problem(with("/spec/origins/0/customHeaders", headers));
    assert_eq!(problem.field, "spec.origins[0].customHeaders");
    assert!(problem.message.contains("at most 10240 characters"), "{problem:?}");
}

#[test]
fn broken_rules_of_behaviors_are_explained() {
    use Reason::RuleViolated as R;
    let default = "spec.defaultCacheBehavior";
    let inline = "/spec/cacheBehaviors/0/cachePolicy/inline";
    let field = "spec.cacheBehaviors[0].cachePolicy.inline";
    let both = json!({"managed": "CachingOptimized", "inline": {}});
    check(&[
        (
            "/spec/defaultCacheBehavior/cachePolicy",
            both,
            &format!("{default}.cachePolicy"),
            R,
            "exactly one of managed and inline",
        ),
        (
            "/spec/defaultCacheBehavior/cachePolicy",
            json!({}),
            &format!("{default}.cachePolicy"),
            R,
            "exactly one of managed and inline",
        ),
        (
            "/spec/defaultCacheBehavior/cachedMethods",
            json!("GetHeadOptions"),
            &format!("{default}.cachedMethods"),
            R,
            "needs allowedMethods",
        ),
        ("/spec/defaultRootObject", json!("/index.html"), "spec.defaultRootObject", R, "remove the leading slash"),
        ("/spec/defaultRootObject", json!("a b"), "spec.defaultRootObject", R, "spaces"),
        ("/spec/defaultRootObject", json!("100%"), "spec.defaultRootObject", R, "percent signs only to encode"),
        ("/spec/defaultRootObject", json!("../a"), "spec.defaultRootObject", R, "'..'"),
        ("/spec/cacheBehaviors/0/pathPattern", json!("/a b"), "spec.cacheBehaviors[0].pathPattern", R, "/images/*.jpg"),
        (
            "/spec/cacheBehaviors/0/pathPattern",
            json!("/a%20"),
            "spec.cacheBehaviors[0].pathPattern",
            R,
            "letters, digits",
        ),
        (
            "/spec/cacheBehaviors/0/pathPattern",
            json!("/[ab]"),
            "spec.cacheBehaviors[0].pathPattern",
            R,
            "letters, digits",
        ),
        (
            &format!("{inline}/ttl/min"),
            json!("2m"),
            &format!("{field}.ttl.min"),
            R,
            "must not be longer than ttl.default",
        ),
        (
            &format!("{inline}/ttl/default"),
            json!("2h"),
            &format!("{field}.ttl.default"),
            R,
            "must not be longer than ttl.max",
        ),
        (
            &format!("{inline}/ttl"),
            json!({"min": "2h", "max": "1h"}),
            &format!("{field}.ttl.min"),
            R,
            "must not be longer than ttl.max",
        ),
        (&format!("{inline}/ttl/max"), json!("365d"), &format!("{field}.ttl.max"), R, "a day is 24h"),
        (&format!("{inline}/ttl/max"), json!("31536000s"), &format!("{field}.ttl.max"), R, "at most five digits"),
        (
            &format!("{inline}/key/headers"),
            json!({"behavior": "Some"}),
            &format!("{field}.key.headers.names"),
            R,
            "list at least one with behavior Some",
        ),
        (
            &format!("{inline}/key/headers/names"),
            json!([]),
            &format!("{field}.key.headers.names"),
            R,
            "list at least one",
        ),
        (
            &format!("{inline}/key/headers/behavior"),
            json!("None"),
            &format!("{field}.key.headers.names"),
            R,
            "none with behavior None",
        ),
        (
            &format!("{inline}/key/headers/names/0"),
            json!("cOOkie"),
            &format!("{field}.key.headers.names"),
            R,
            "use key.cookies",
        ),
        (
            &format!("{inline}/key/headers/names/0"),
            json!("If-None-Match"),
            &format!("{field}.key.headers.names"),
            R,
            "cannot be in the key",
        ),
        (
            &format!("{inline}/key/cookies"),
            json!({"behavior": "All", "names": ["a"]}),
            &format!("{field}.key.cookies.names"),
            R,
            "none with behavior None or All",
        ),
        (
            &format!("{inline}/key/queryStrings"),
            json!({"behavior": "AllExcept"}),
            &format!("{field}.key.queryStrings.names"),
            R,
            "Some or AllExcept",
        ),
        (
            &format!("{inline}/key/queryStrings"),
            json!({"behavior": "Some", "names": ["a=b"]}),
            &format!("{field}.key.queryStrings.names[0]"),
            R,
            "without '='",
        ),
        ("/spec/edge/cache/memory", json!("1000Ki"), "spec.edge.cache.memory", R, "from 1Mi to 16Ti"),
        ("/spec/edge/cache/memory", json!("17Ti"), "spec.edge.cache.memory", R, "from 1Mi to 16Ti"),
        ("/spec/edge/cache/memory", json!("1.5Gi"), "spec.edge.cache.memory", R, "whole number of bytes"),
        ("/spec/edge/cache/memory", json!("512MB"), "spec.edge.cache.memory", R, "512Mi"),
        ("/spec/edge/cache/memory", json!("9999999999999999Ti"), "spec.edge.cache.memory", R, "from 1Mi to 16Ti"),
    ]);
}

#[test]
fn a_message_does_not_repeat_its_field() {
    for (pointer, value) in [
        ("/spec/origins/0/customHeaders/0/value", json!(" a")),
        ("/spec/origins/0/customHeaders/0/name", json!("Host")),
        ("/spec/zones/0/name", json!("a b")),
        ("/spec/edge/podLabels", json!({"a b": ""})),
        ("/spec/edge/service", json!({"annotations": {"a b": ""}})),
        ("/spec/edge/tolerations", json!([{}])),
    ] {
        let problem = only_problem(with(pointer, value));
        let name = problem.message.split(": ").next().unwrap_or_default();
        assert!(!problem.field.contains(name), "{problem}");
    }
}

#[test]
fn origins_that_do_not_exist_are_named_where_they_are_used() {
    use Reason::OriginNotFound as R;
    check(&[
        (
            "/spec/defaultCacheBehavior/targetOrigin",
            json!("sit"),
            "spec.defaultCacheBehavior.targetOrigin",
            R,
            "there is no origin named \"sit\"; did you mean site?",
        ),
        (
            "/spec/cacheBehaviors/0/targetOrigin",
            json!("backend"),
            "spec.cacheBehaviors[0].targetOrigin",
            R,
            "spec.origins has site, api",
        ),
    ]);
}

#[test]
fn objects_of_other_kinds_are_refused() {
    use Reason::UnknownKind as R;
    check(&[
        ("/kind", json!("Distributions"), "kind", R, "this build knows Distribution of proxima.dev/v1alpha1"),
        ("/apiVersion", json!("proxima.dev/v1"), "kind", R, "proxima.dev/v1alpha1"),
    ]);
    assert_eq!(only_problem(json!([1])).reason, R);
}

#[test]
fn an_unmapped_service_is_refused_in_local_mode_only() {
    assert!(judged(manifest()).is_ok());
    let settings = settings(true);
    let gathered = Gathered { source: Source::default(), value: manifest(), text: String::new(), settings };
    let problems = validate(&gathered).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].reason, problems[0].field.as_str()), (Reason::ServiceNotMapped, "spec.origins[1].service"));
    for words in ["web/api", "--origin api=URL", "--serve DIR=api"] {
        assert!(problems[0].message.contains(words), "{:?}", problems[0]);
    }
}

#[test]
fn services_of_the_cluster_must_exist_and_have_the_port() {
    let api = || ServiceName { namespace: "web".into(), name: "api".into() };
    let judged_with = |facts: Option<ServiceFacts>| {
        let services = Services::Cluster(facts.into_iter().map(|facts| (api(), facts)).collect());
        let settings = Settings { services, ..settings(false) };
        validate(&Gathered { source: Source::default(), value: manifest(), text: String::new(), settings })
    };
    let facts = |ports: &[u16]| ServiceFacts { ports: ports.to_vec(), external_name: false };
    assert!(judged_with(Some(facts(&[443, 80]))).is_ok());
    assert!(judged_with(Some(ServiceFacts { external_name: true, ..facts(&[]) })).is_ok());
    for (facts, reason, field, words) in [
        (None, Reason::ServiceNotFound, "spec.origins[1].service.name", "there is no Service web/api; create it"),
        (
            Some(facts(&[443, 8080])),
            Reason::ServicePortNotFound,
            "spec.origins[1].service.port",
            "Service web/api has no TCP port 80; use 443, 8080",
        ),
        (Some(facts(&[])), Reason::ServicePortNotFound, "spec.origins[1].service.port", "it has none"),
    ] {
        let problems = judged_with(facts).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!((problems[0].reason, problems[0].field.as_str()), (reason, field));
        assert!(problems[0].message.contains(words), "{}", problems[0]);
    }
}

#[test]
fn a_configuration_too_large_for_a_config_map_is_refused_with_what_makes_it_large() {
    let names: Vec<String> = (0..40).map(|index| format!("{index:0>256}")).collect();
    let key = json!({"queryStrings": {"behavior": "Some", "names": names}});
    let behaviors = (0..256).map(|index| {
        json!({"pathPattern": format!("/{index}"), "targetOrigin": "api", "cachePolicy": {"inline": {"key": key}}})
    });
    let problem = only_problem(with("/spec/cacheBehaviors", behaviors.collect()));
    assert_eq!((problem.reason, problem.field.as_str()), (Reason::ConfigTooLarge, "spec"));
    for words in ["at most 921600 fit", "of 256 cacheBehaviors, ", "0 of certificate authorities", "of 2 origins"] {
        assert!(problem.message.contains(words), "{problem} lacks {words}");
    }
}

#[test]
fn everything_that_an_object_says_about_itself_and_others_is_judged_in_one_round() {
    let mut manifest = with("/spec/unknown", json!(1));
    manifest["metadata"]["name"] = json!("Shop");
    manifest["spec"]["aliases"] = json!(["a.example", "a.example"]);
    manifest["spec"]["origins"][0]["http"]["tls"] = json!({"caBundleRef": {"name": "ours"}});
    manifest["spec"]["defaultCacheBehavior"]["targetOrigin"] = json!("nowhere");
    manifest["spec"]["edge"]["resources"] = json!({"limits": {"memory": "100Mi"}});
    let settings = settings(false);
    let gathered = Gathered { source: Source::default(), value: manifest, text: String::new(), settings };
    let reasons: std::collections::BTreeSet<_> =
        validate(&gathered).unwrap_err().into_iter().map(|problem| problem.reason).collect();
    let expected = [
        Reason::UnknownField,
        Reason::DuplicateItem,
        Reason::RuleViolated,
        Reason::OriginNotFound,
        Reason::ServiceNotFound,
        Reason::ConfigMapNotFound,
        Reason::MemoryLimitTooLow,
    ];
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_broken_name_is_not_reported_as_missing_too() {
    let problem = only_problem(with("/spec/origins/1/service/name", json!("api.web")));
    assert_eq!(problem.reason, Reason::RuleViolated);
}

#[test]
fn all_problems_of_a_step_are_reported_with_their_lines() {
    let text = "\
apiVersion: proxima.dev/v1alpha1
kind: Distribution
metadata: {name: shop}
spec:
  aliasses: [a]
  origins:
    - name: site
      http: {host: a, protocolPolicy: Http}
  defaultCacheBehavior:
    targetOrigin: 5
";
    let problems = judged_text(text, settings(false)).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "line 5: spec.aliasses: there is no such field; did you mean aliases?",
            "line 8: spec.origins[0].http.protocolPolicy: \"Http\" is not known; use HttpOnly, HttpsOnly, MatchViewer",
            "line 10: spec.defaultCacheBehavior.targetOrigin: must be text, but is the number 5; write it in quotes",
        ]
    );
}

#[test]
fn broken_rules_are_reported_together_and_lines_count_from_the_file() {
    let text = "\
# The first document says nothing.
---
apiVersion: proxima.dev/v1alpha1
kind: Distribution
metadata:
  name: Shop
spec:
  aliases:
    - A
  origins:
    - name: site
  defaultCacheBehavior:
    targetOrigin: site
";
    let problems = judged_text(text, settings(false)).unwrap_err();
    let places: Vec<_> = problems.iter().map(|problem| (problem.line, problem.field.as_str())).collect();
    assert_eq!(places, [(Some(6), "metadata.name"), (Some(9), "spec.aliases[0]"), (Some(11), "spec.origins[0]")]);
}

#[test]
fn a_problem_without_a_place_is_shown_as_its_message() {
    let problem = Problem {
        reason: Reason::SyntaxError,
        field: String::new(),
        message: "cannot read a.yaml:1:2: oh".into(),
        line: Some(1),
    };
    assert_eq!(problem.to_string(), "cannot read a.yaml:1:2: oh");
    let problem = Problem { field: "spec".into(), message: "is wrong".into(), line: None, ..problem };
    assert_eq!(problem.to_string(), "spec: is wrong");
}
