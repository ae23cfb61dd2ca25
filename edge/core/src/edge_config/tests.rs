use serde_json::{Value, json};

use super::*;
use crate::fixture::{config, origin_controlled};
use crate::plan::Plan;

/// The least that an operator may write.
fn minimal() -> Value {
    json!({
        "distributions": [{
            "uid": "u-1",
            "name": "web/shop",
            "origins": [{
                "name": "site", "host": "site.example", "protocolPolicy": "HttpOnly", "httpPort": 80, "httpsPort": 443,
                "connectionAttempts": 3, "connectionTimeoutMs": 10000, "responseTimeoutMs": 30000,
                "keepAliveTimeoutMs": 5000,
            }],
            "defaultBehavior": {
                "targetOrigin": "site", "viewerProtocolPolicy": "AllowAll", "allowedMethods": "GetHead",
                "cachedMethods": "GetHead",
                "cachePolicy": {"name": "inline", "minTtlMs": 0, "maxTtlMs": 1000, "key": {}, "setCookie": "Bypass"},
            },
        }],
    })
}

fn read(value: Value) -> EdgeConfig {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_minimal_configuration_is_read_with_its_defaults() {
    let config = read(minimal());
    assert_eq!(config.cache.memory, 256 << 20);
    assert!(config.requires.is_empty());
    let distribution = &config.distributions[0];
    assert!(distribution.enabled && distribution.aliases.is_empty() && distribution.behaviors.is_empty());
    let policy = &distribution.default_behavior.cache_policy;
    assert_eq!((policy.default_ttl_ms, &policy.key), (None, &CacheKeyConfig::default()));
    assert!(!policy.forward.all_viewer_headers && !policy.override_origin_directives && !policy.origin_controlled);
    Plan::compile(&config).unwrap();
}

/// Adds a field to every object of a document.
fn with_unknown_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(with_unknown_fields);
            fields.insert("fromTheFuture".to_owned(), json!({"a": [1, 2]}));
        }
        Value::Array(members) => members.iter_mut().for_each(with_unknown_fields),
        _ => {}
    }
}

#[test]
fn fields_of_a_later_version_are_ignored() {
    let behavior = minimal()["distributions"][0]["defaultBehavior"].clone();
    let mut document = minimal();
    document["distributions"][0]["behaviors"] = json!([behavior]);
    document["distributions"][0]["behaviors"][0]["pathPattern"] = json!("/a/*");
    document["distributions"][0]["origins"][0]["customHeaders"] = json!([{"name": "X-A", "value": "1"}]);
    document["cache"] = json!({"memory": 1 << 20});
    let expected = read(document.clone());
    with_unknown_fields(&mut document);
    assert_eq!(read(document), expected);
}

#[test]
fn features_of_a_later_version_are_refused_by_name() {
    let mut document = minimal();
    document["requires"] = json!(["signedUrls"]);
    let problems = Plan::compile(&read(document)).unwrap_err();
    assert_eq!(problems[0].field, "requires[0]");
    assert!(problems[0].message.starts_with("unknown feature \"signedUrls\""));
}

#[test]
fn what_is_written_is_read_again() {
    let mut config = config();
    config.distributions[0].default_behavior.cache_policy = origin_controlled();
    let policy = &mut config.distributions[0].default_behavior.cache_policy;
    policy.key.cookies = Selection::Some(vec!["a".to_owned()]);
    policy.key.query_strings = Selection::AllExcept(vec!["b".to_owned()]);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<EdgeConfig>(&json).unwrap(), config);
}

#[test]
fn names_in_json_are_stable() {
    let document = serde_json::to_value(config()).unwrap();
    let policy = &document["distributions"][0]["defaultBehavior"]["cachePolicy"];
    assert_eq!(policy["minTtlMs"], 0);
    assert_eq!(policy["key"]["acceptEncodingGzip"], false);
    assert_eq!(policy["key"]["queryStrings"], "none");
    assert_eq!(serde_json::to_value(Selection::AllExcept(vec!["b".to_owned()])).unwrap(), json!({"allExcept": ["b"]}));
    assert_eq!(document["distributions"][0]["origins"][0]["connectionTimeoutMs"], 10_000);
}

#[test]
fn the_example_is_a_configuration_that_can_be_served() {
    let config: EdgeConfig = serde_json::from_str(include_str!("../../../examples/edge-config.json")).unwrap();
    let plan = crate::plan::Plan::compile(&config).unwrap();
    assert_eq!(plan.distributions.len(), 1);
}
