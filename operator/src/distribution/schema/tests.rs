use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// Keywords that [`check`] honours, and those that say nothing about a value.
const KEYWORDS: [&str; 17] = [
    "additionalProperties",
    "default",
    "description",
    "enum",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "properties",
    "required",
    "title",
    "type",
    "x-kubernetes-list-map-keys",
];
/// Honoured too; CEL rules are run by a later check, and `anyOf` only spells out what `x-kubernetes-int-or-string` says.
const MORE_KEYWORDS: [&str; 5] =
    ["anyOf", "format", "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-validations"];

fn collect_keywords(schema: &Value, found: &mut BTreeSet<String>) {
    found.extend(schema.as_object().into_iter().flatten().map(|(name, _)| name.clone()));
    for property in schema["properties"].as_object().into_iter().flatten().map(|(_, property)| property) {
        collect_keywords(property, found);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            collect_keywords(&schema[inner], found);
        }
    }
}

#[test]
fn every_keyword_of_the_definition_is_known() {
    let definitions = serde_json::to_value(proxima_crds::all()).unwrap();
    let schema = &definitions[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = BTreeSet::new();
    collect_keywords(schema, &mut found);
    let known = KEYWORDS.iter().chain(&MORE_KEYWORDS).map(|name| (*name).to_owned()).collect();
    assert_eq!(found.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
}

fn messages(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check_value(schema, value, "x", &mut faults);
    faults.into_iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect()
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let schema = json!({
        "type": "object",
        "required": ["a", "b"],
        "properties": {
            "a": {"type": "integer", "minimum": 1.0, "maximum": 3.0},
            "b": {"type": "boolean"},
            "names": {"type": "array", "maxItems": 3, "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        },
    });
    assert_eq!(
        messages(&schema, &json!({"a": 4, "name": 1, "names": ["x", "y", "x", 1]})),
        [
            "x.b: is required, but missing",
            "x.a: 4 is out of range; use 1 to 3",
            "x.name: there is no such field; did you mean names?",
            "x.names: has 4 items; at most 3 are allowed",
            "x.names[3]: must be text, but is the number 1; write it in quotes",
            "x.names[2]: \"x\" is there twice; remove one",
        ]
    );
}

#[test]
fn whole_numbers_are_not_fractions() {
    let schema = json!({"type": "integer"});
    assert_eq!(messages(&schema, &json!(1.5)), ["x: must be a whole number, but is the number 1.5"]);
    assert!(messages(&schema, &json!(-1)).is_empty());
    assert_eq!(messages(&json!({"minimum": 0.0}), &json!(-1)), ["x: -1 is out of range; use at least 0"]);
    assert_eq!(messages(&json!({"maximum": 0.0}), &json!(1)), ["x: 1 is out of range; use at most 0"]);
}

#[test]
fn length_counts_characters_not_bytes() {
    let schema = json!({"type": "string", "maxLength": 3});
    assert!(messages(&schema, &json!("äöü")).is_empty());
    assert_eq!(messages(&schema, &json!("äöüs")), ["x: has 4 characters; at most 3 are allowed"]);
}

#[test]
fn items_of_a_map_are_told_apart_by_all_their_keys() {
    let schema = json!({
        "type": "array",
        "items": {"type": "object"},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name", "port"],
    });
    let items = json!([{"name": "a", "port": 1}, {"name": "a", "port": 2}, {"name": "a", "port": 1}, {"name": "a"}]);
    assert_eq!(messages(&schema, &items), ["x[2]: name \"a\", port 1 is there twice; every item needs its own"]);
}

#[test]
fn near_names_are_suggested_and_far_ones_are_not() {
    let known = ["targetOrigin", "cachePolicy", "name", "ttl"];
    for (given, expected) in [
        ("targetOriginId", Some("targetOrigin")),
        ("targetorigin", Some("targetOrigin")),
        ("cachePolicyId", Some("cachePolicy")),
        ("nam", Some("name")),
        ("tll", Some("ttl")),
        ("colour", None),
        ("x", None),
        ("", None),
        (&"t".repeat(10_000), None),
    ] {
        assert_eq!(nearest(given, &known), expected, "{given}");
    }
}
