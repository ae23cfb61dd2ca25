use super::*;
use crate::edge_config::{CachePolicyConfig, DistributionConfig, HeaderConfig, OriginConfig, PathBehaviorConfig};
use crate::fixture::{behavior, config, distribution, origin, plan, policy};

/// Fields that are found wrong after a change of a valid configuration, in order.
fn check(change: impl FnOnce(&mut EdgeConfig), expected: &[&str]) {
    let mut config = config();
    change(&mut config);
    let problems = Plan::compile(&config).err().unwrap_or_default();
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, expected, "{problems:?}");
}

fn check_distribution(change: impl FnOnce(&mut DistributionConfig), expected: &[&str]) {
    check(|config| change(&mut config.distributions[0]), expected);
}

fn check_origin(change: impl FnOnce(&mut OriginConfig), field: &str) {
    let field = format!("distributions[0].origins[0].{field}");
    check_distribution(|distribution| change(&mut distribution.origins[0]), &[&field]);
}

fn check_policy(change: impl FnOnce(&mut CachePolicyConfig), field: &str) {
    let field = format!("distributions[0].defaultBehavior.cachePolicy.{field}");
    check_distribution(|distribution| change(&mut distribution.default_behavior.cache_policy), &[&field]);
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn a_valid_configuration_compiles() {
    let plan = plan(|config| {
        config.distributions[0].origins[0] = OriginConfig {
            host: "2001:DB8::1".to_owned(),
            connect_to: Some("127.0.0.1:8081".to_owned()),
            http_port: 8080,
            path: "/public/a%20b".to_owned(),
            custom_headers: vec![HeaderConfig { name: "X-From".to_owned(), value: "proxima".to_owned() }],
            ..origin()
        };
        config.distributions[0].default_root_object = Some("index.html".to_owned());
        config.distributions[0].default_behavior.cache_policy.key.headers = strings(&["x-b", "host", "x-a"]);
    });
    let distribution = &plan.distributions[0];
    let origin = &distribution.origins[0];
    assert_eq!((origin.host.as_str(), origin.connect_host.as_str()), ("2001:db8::1", "127.0.0.1"));
    assert_eq!(origin.connect_port, Some(8081));
    assert_eq!(
        (&origin.http_authority, &origin.https_authority),
        (&HeaderValue::from_static("[2001:db8::1]:8080"), &HeaderValue::from_static("[2001:db8::1]"))
    );
    assert_eq!(origin.connection_timeout, Duration::from_secs(10));
    assert_eq!(origin.custom_headers.len(), 1);
    assert_eq!(distribution.default_root_object.as_deref(), Some("/index.html"));
    let policy = &distribution.default_behavior.cache_policy;
    assert_eq!(policy.key_headers, ["x-a", "x-b"]);
    assert!(policy.forward_host && policy.key_host);
    assert_eq!((policy.min_ttl, policy.default_ttl), (Duration::ZERO, Some(Duration::from_secs(86_400))));
}

#[test]
fn an_edge_may_have_nothing_to_serve_yet() {
    check(|config| config.distributions.clear(), &[]);
}

#[test]
fn unknown_features_are_named() {
    let change = |config: &mut EdgeConfig| config.requires = strings(&["signedUrls", "geo"]);
    check(change, &["requires[0]", "requires[1]"]);
    let mut config = config();
    change(&mut config);
    assert_eq!(unknown_features(&config), ["signedUrls", "geo"]);
    let problems = Plan::compile(&config).unwrap_err();
    assert!(problems.iter().all(|problem| problem.message.starts_with("unknown feature")));
}

#[test]
fn all_problems_are_found_at_once() {
    check(
        |config| {
            config.cache.memory = 5;
            config.distributions[0].origins[0].http_port = 0;
            config.distributions[0].origins[0].path = "x".to_owned();
            config.distributions[0].origins[0].connect_to = Some("x".to_owned());
            config.distributions[0].default_behavior.target_origin = "other".to_owned();
            config.distributions[0].default_behavior.cache_policy.min_ttl_ms = u64::MAX;
            config.distributions[0].behaviors =
                vec![PathBehaviorConfig { path_pattern: "a b".to_owned(), behavior: behavior() }];
            config.distributions.push(DistributionConfig { aliases: strings(&["A.example"]), ..distribution() });
        },
        &[
            "cache.memory",
            "distributions[0].origins[0].connectTo",
            "distributions[0].origins[0].httpPort",
            "distributions[0].origins[0].path",
            "distributions[0].defaultBehavior.targetOrigin",
            "distributions[0].defaultBehavior.cachePolicy.minTtlMs",
            "distributions[0].defaultBehavior.cachePolicy.minTtlMs",
            "distributions[0].behaviors[0].pathPattern",
            "distributions[1].uid",
            "distributions[1].aliases[0]",
        ],
    );
}

#[test]
fn uids_origins_and_patterns_are_unique() {
    check_distribution(|distribution| distribution.uid.clear(), &["distributions[0].uid"]);
    check_distribution(|distribution| distribution.origins.push(origin()), &["distributions[0].origins[1].name"]);
    check_distribution(
        |distribution| distribution.origins[0].name.clear(),
        &["distributions[0].origins[0].name", "distributions[0].defaultBehavior.targetOrigin"],
    );
    check_distribution(
        |distribution| {
            let entry = |pattern: &str| PathBehaviorConfig { path_pattern: pattern.to_owned(), behavior: behavior() };
            distribution.behaviors = vec![entry("/a/*"), entry("/b"), entry("a/*")];
        },
        &["distributions[0].behaviors[2].pathPattern"],
    );
}

#[test]
fn references_to_origins_resolve() {
    check_distribution(
        |distribution| distribution.origins.clear(),
        &["distributions[0].origins", "distributions[0].defaultBehavior.targetOrigin"],
    );
    check_distribution(
        |distribution| {
            let mut behavior = behavior();
            behavior.target_origin = "other".to_owned();
            distribution.behaviors = vec![PathBehaviorConfig { path_pattern: "/a".to_owned(), behavior }];
        },
        &["distributions[0].behaviors[0].targetOrigin"],
    );
}

#[test]
fn aliases_are_names_in_lower_case() {
    for alias in
        ["", "*", "*.", "a.*.example", "**.example", "A.example", "a.example.", "a.example:80", "a b", "*.A.example"]
    {
        check_distribution(
            |distribution| distribution.aliases = strings(&["ok.example", alias]),
            &["distributions[0].aliases[1]"],
        );
    }
    check_distribution(
        |distribution| distribution.aliases = strings(&["a.example", "*.a.example", "192.0.2.1", "x_y.example"]),
        &[],
    );
}

#[test]
fn aliases_belong_to_one_distribution() {
    let two = |one: &[&str], other: &[&str], hosts: &[&str]| {
        let (one, other, hosts) = (strings(one), strings(other), strings(hosts));
        move |config: &mut EdgeConfig| {
            config.distributions[0].aliases = one;
            let second =
                DistributionConfig { uid: "u-2".to_owned(), aliases: other, service_hosts: hosts, ..distribution() };
            config.distributions.push(second);
        }
    };
    check(two(&["a.example"], &["b.example", "a.example"], &[]), &["distributions[1].aliases[1]"]);
    check(two(&["*.example"], &["*.example"], &[]), &["distributions[1].aliases[0]"]);
    check(two(&["*.example"], &["a.example", "example"], &[]), &[]);
    check(two(&["a.example", "a.example"], &["b.example"], &[]), &["distributions[0].aliases[1]"]);
    check(two(&["a.example"], &["b.example"], &["a.example"]), &["distributions[1].serviceHosts[0]"]);
    check(two(&["a.example"], &["b.example"], &["b.example", "c.svc", "c.svc"]), &[]);
    check(two(&["a.example"], &["b.example"], &["no:80"]), &["distributions[1].serviceHosts[0]"]);
    check(two(&[], &[], &[]), &["distributions[1].aliases"]);
    check(two(&[], &["b.example"], &[]), &[]);
}

#[test]
fn root_objects_are_paths() {
    for object in ["", "/index.html", "a/../b", "a?b", "a#b", "a b", "a\\b", "%00", "%zz"] {
        check_distribution(
            |distribution| distribution.default_root_object = Some(object.to_owned()),
            &["distributions[0].defaultRootObject"],
        );
    }
    check_distribution(|distribution| distribution.default_root_object = Some("a/b%20c.html".to_owned()), &[]);
}

#[test]
fn origins_have_an_address_and_bounds() {
    for host in ["", "http://a.example", "a.example:80", "[::1]", "a b", "a/b", "256.1.1.1"] {
        check_origin(|origin| origin.host = host.to_owned(), "host");
        check_origin(|origin| origin.tls_server_name = Some(host.to_owned()), "tlsServerName");
    }
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = &certificate[..certificate.len() - 5];
    for bundle in
        ["", "no certificate", cut, &format!("{certificate}{cut}"), &certificate.replace("CERTIFICATE", "KEY")]
    {
        check_origin(|origin| origin.ca_bundle = Some(bundle.to_owned()), "caBundle");
    }
    check(|config| config.distributions[0].origins[0].ca_bundle = Some(format!("ours:\n{certificate}")), &[]);
    for address in ["", "a.example", "a.example:0", "a.example:65536", "::1:80", ":80", "[::1]", "a b:80"] {
        check_origin(|origin| origin.connect_to = Some(address.to_owned()), "connectTo");
    }
    for path in ["a", "/", "/a/", "/a/../b", "/a?b", "/a#b", "/a b"] {
        check_origin(|origin| origin.path = path.to_owned(), "path");
    }
    check_origin(|origin| origin.http_port = 0, "httpPort");
    check_origin(|origin| origin.https_port = 0, "httpsPort");
    check_origin(|origin| origin.connection_attempts = 0, "connectionAttempts");
    check_origin(|origin| origin.connection_attempts = 4, "connectionAttempts");
    check_origin(|origin| origin.connection_timeout_ms = 0, "connectionTimeoutMs");
    check_origin(|origin| origin.response_timeout_ms = 3_600_001, "responseTimeoutMs");
    check_origin(|origin| origin.keep_alive_timeout_ms = 0, "keepAliveTimeoutMs");
}

#[test]
fn custom_headers_are_fields_that_the_edge_does_not_set() {
    let header = |name: &str, value: &str| HeaderConfig { name: name.to_owned(), value: value.to_owned() };
    for name in ["", "a b", "X-\u{e4}", "Host", "content-length", "Connection", "Transfer-Encoding", "Via"] {
        check_origin(|origin| origin.custom_headers = vec![header(name, "x")], "customHeaders[0].name");
    }
    for value in ["a\r\nb", "a\nb", "a\0b"] {
        check_origin(|origin| origin.custom_headers = vec![header("X-A", value)], "customHeaders[0].value");
    }
    check_origin(
        |origin| origin.custom_headers = vec![header("X-A", "1"), header("x-a", "2")],
        "customHeaders[1].name",
    );
}

#[test]
fn policies_have_ordered_bounds_and_real_names() {
    check_policy(|policy| (policy.min_ttl_ms, policy.max_ttl_ms) = (2, 1), "minTtlMs");
    check_policy(|policy| policy.max_ttl_ms = u64::MAX, "maxTtlMs");
    check_policy(|policy| policy.default_ttl_ms = Some(u64::MAX), "defaultTtlMs");
    for name in ["", "X-A", "a b", "cookie", "connection", "range", "if-none-match", "via", "x-forwarded-for"] {
        check_policy(|policy| policy.key.headers = strings(&["accept", name]), "key.headers[1]");
    }
    check_policy(|policy| policy.key.headers = strings(&["x-a", "x-a"]), "key.headers[1]");
    for names in [&["", "a"][..], &["a", "a"]] {
        check_policy(|policy| policy.key.cookies = Selection::Some(strings(names)), "key.cookies");
        check_policy(|policy| policy.key.query_strings = Selection::AllExcept(strings(names)), "key.queryStrings");
    }
}

#[test]
fn cached_methods_are_allowed_methods() {
    let change = |allowed| {
        move |distribution: &mut DistributionConfig| {
            distribution.default_behavior.cached_methods = CachedMethods::GetHeadOptions;
            distribution.default_behavior.allowed_methods = allowed;
        }
    };
    check_distribution(change(AllowedMethods::GetHead), &["distributions[0].defaultBehavior.cachedMethods"]);
    check_distribution(change(AllowedMethods::GetHeadOptions), &[]);
    check_distribution(change(AllowedMethods::Any), &[]);
}

#[test]
fn lists_are_bounded() {
    check_distribution(
        |distribution| distribution.aliases = (0..257).map(|index| format!("a{index}.example")).collect(),
        &["distributions[0].aliases"],
    );
    check_distribution(
        |distribution| {
            let named = |index| OriginConfig { name: format!("o{index}"), ..origin() };
            distribution.origins.extend((0..128).map(named));
        },
        &["distributions[0].origins"],
    );
    check_distribution(
        |distribution| {
            let entry = |index| PathBehaviorConfig { path_pattern: format!("/{index}"), behavior: behavior() };
            distribution.behaviors = (0..257).map(entry).collect();
        },
        &["distributions[0].behaviors"],
    );
}

#[test]
fn a_normalised_accept_encoding_is_no_ordinary_key_header() {
    let compiled = |gzip| {
        let plan = plan(|config| {
            let mut policy = policy();
            policy.key.headers = strings(&["accept-encoding"]);
            policy.key.accept_encoding_gzip = gzip;
            config.distributions[0].default_behavior.cache_policy = policy;
        });
        plan.distributions[0].default_behavior.cache_policy.key_headers.len()
    };
    assert_eq!((compiled(true), compiled(false)), (0, 1));
}

#[test]
fn what_viewers_cannot_say_is_in_no_key() {
    let plan = plan(|config| {
        let mut policy = policy();
        policy.key.headers = strings(&["x-a", "cloudfront-viewer-country"]);
        config.distributions[0].default_behavior.cache_policy = policy;
    });
    assert_eq!(plan.distributions[0].default_behavior.cache_policy.key_headers, ["x-a"]);
}

#[test]
fn caching_is_disabled_when_every_lifetime_is_zero() {
    for (min, default, max, disabled) in [
        (0, Some(0), 0, true),
        (0, Some(0), 1, false),
        (0, None, 0, false),
        (0, Some(1), 0, false),
        (1, Some(0), 1, false),
    ] {
        let plan = plan(|config| {
            config.distributions[0].default_behavior.cache_policy =
                CachePolicyConfig { min_ttl_ms: min, default_ttl_ms: default, max_ttl_ms: max, ..policy() };
        });
        let policy = &plan.distributions[0].default_behavior.cache_policy;
        assert_eq!(policy.is_disabled(), disabled, "{min} {default:?} {max}");
    }
}
