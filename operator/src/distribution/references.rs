//! What a Distribution refers to, read from the object as it stands. Pure.
//!
//! Judges nothing and takes any junk: whoever gathers needs to know what to fetch before anybody can say whether the
//! object is right, and whoever hears of a change needs to know whom it concerns.

use std::collections::BTreeSet;

use serde_json::Value;

use super::validate::ServiceName;

/// Objects of its namespace that a Distribution refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Services that are origins.
    pub services: BTreeSet<ServiceName>,
    /// Names of ConfigMaps that hold certificate authorities.
    pub config_maps: BTreeSet<String>,
}

/// What `value` refers to, as far as it says so where it should.
pub fn references(value: &Value) -> References {
    let namespace = text(value, "/metadata/namespace").unwrap_or("default");
    let mut references = References::default();
    for origin in value.pointer("/spec/origins").and_then(Value::as_array).into_iter().flatten() {
        references.services.extend(
            text(origin, "/service/name")
                .map(|name| ServiceName { namespace: namespace.to_owned(), name: name.to_owned() }),
        );
        references.config_maps.extend(text(origin, "/http/tls/caBundleRef/name").map(str::to_owned));
    }
    references
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_and_config_maps_are_named_once() {
        let tls = |name: &str| json!({"http": {"host": "a", "tls": {"caBundleRef": {"name": name}}}});
        let value = json!({
            "metadata": {"name": "shop", "namespace": "web"},
            "spec": {"origins": [
                {"service": {"name": "api", "port": 80}},
                {"service": {"name": "api", "port": 81}},
                tls("ours"),
                tls("ours"),
                tls("theirs"),
            ]},
        });
        let References { services, config_maps } = references(&value);
        let api = ServiceName { namespace: "web".to_owned(), name: "api".to_owned() };
        assert_eq!(services.into_iter().collect::<Vec<_>>(), [api]);
        assert_eq!(config_maps.into_iter().collect::<Vec<_>>(), ["ours", "theirs"]);
    }

    #[test]
    fn junk_refers_to_nothing() {
        for value in [
            json!(null),
            json!([1]),
            json!({"spec": null}),
            json!({"spec": {"origins": {"service": {"name": "api"}}}}),
            json!({"spec": {"origins": [null, 1, {"service": "api"}, {"service": {"name": 5}}, {"service": {"name": ""}}]}}),
            json!({"spec": {"origins": [{"http": {"tls": null}}, {"http": {"tls": {"caBundleRef": ["a"]}}}]}}),
        ] {
            assert_eq!(references(&value), References::default(), "{value}");
        }
    }
}
