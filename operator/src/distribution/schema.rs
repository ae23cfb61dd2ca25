//! A value against the structural schema of its resource definition, as the API server checks it.
//!
//! Collects every fault, with the path of its field. Owns shapes, bounds and lists only; the definition's CEL rules run
//! afterwards, when shapes are known to be right. A keyword that this module does not know is a fault of the definition
//! and found by a test, so that nothing goes unchecked in silence.

use std::fmt::Write;

use proxima_crds::{conditions::Reason, scalars::DURATION_PATTERN};
use serde_json::{Map, Value, json};

/// Something wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of thing is wrong.
    pub reason: Reason,
    /// Path such as `spec.origins[0].http.host`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Fault {
    /// Something wrong with a field.
    pub fn new(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, field: field.into(), message: message.into() }
    }
}

/// Longest list of names in a message.
const NAMES_SHOWN: usize = 16;

/// Every fault of an object, given a schema made by [`of_object`].
pub fn check(schema: &Value, object: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    check_value(schema, object, "", &mut faults);
    faults
}

/// A value without the known fields that are null: the API server takes those as absent.
pub fn without_nulls(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter_map(|(name, value)| match member(schema, name) {
                Some(_) if value.is_null() => None,
                Some(schema) => Some((name.clone(), without_nulls(schema, value))),
                None => Some((name.clone(), value.clone())),
            })
            .collect(),
        Value::Array(items) => match schema.get("items") {
            Some(schema) => items.iter().map(|item| without_nulls(schema, item)).collect(),
            None => value.clone(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Schema of a member of an object.
fn member<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let additional = schema.get("additionalProperties").filter(|schema| schema.is_object());
    schema.get("properties").and_then(|properties| properties.get(name)).or(additional)
}

/// The `openAPIV3Schema` of a kind, and what every Kubernetes object has, which definitions leave out.
pub fn of_object(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": text});
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("apiVersion".into(), text.clone());
        properties.insert("kind".into(), text.clone());
        properties.insert(
            "metadata".into(),
            json!({
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 253},
                    "namespace": {"type": "string", "minLength": 1, "maxLength": 63},
                    "uid": {"type": "string", "minLength": 1, "maxLength": 128},
                    "labels": texts,
                    "annotations": texts,
                    "generation": {"type": "integer"},
                    "resourceVersion": text,
                    "generateName": text,
                    "selfLink": text,
                    "creationTimestamp": text,
                    "deletionTimestamp": text,
                    "deletionGracePeriodSeconds": {"type": "integer"},
                    "finalizers": {"type": "array", "items": text},
                    "ownerReferences": {"type": "array", "items": {"type": "object", "additionalProperties": {}}},
                    "managedFields": {"type": "array", "items": {"type": "object", "additionalProperties": {}}},
                },
            }),
        );
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.push("metadata".into());
    }
    schema
}

fn check_value(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) {
    let kind = schema.get("type").and_then(Value::as_str);
    let message = match (kind, value) {
        (Some("string"), Value::Number(number)) if is_duration(schema) => Some(format!(
            "must be a span of time with its unit, but is the number {number}; write \"{number}s\" for seconds"
        )),
        (Some(kind), _) => wrong_type(kind, value),
        (None, _) if is_int_or_string(schema) => not_int_or_string(value),
        (None, _) => None,
    };
    if let Some(message) = message {
        faults.push(Fault::new(Reason::WrongType, path, message));
        return;
    }
    check_allowed(schema, value, path, faults);
    match value {
        Value::Object(members) => check_object(schema, members, path, faults),
        Value::Array(items) => check_list(schema, items, path, faults),
        Value::String(text) => {
            check_bounds(schema, text.chars().count(), ("minLength", "maxLength", "characters"), path, faults);
        }
        Value::Number(_) => check_range(schema, value, path, faults),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Whether a text is a span of time, which only its rule tells.
fn is_duration(schema: &Value) -> bool {
    let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
    rules.filter_map(|rule| rule.get("rule")?.as_str()).any(|rule| rule.contains(DURATION_PATTERN))
}

/// Whether a value may be a whole number as well as a text, as Kubernetes' quantities may.
fn is_int_or_string(schema: &Value) -> bool {
    schema.get("x-kubernetes-int-or-string").and_then(Value::as_bool).unwrap_or(false)
}

fn not_int_or_string(value: &Value) -> Option<String> {
    match value {
        Value::String(_) => None,
        Value::Number(number) if number.is_i64() || number.is_u64() => None,
        Value::Number(_) => Some(format!("must be a whole number or text, but is {value}; write it in quotes")),
        _ => Some(format!("must be a whole number or text, but is {}", described(value))),
    }
}

/// What is wrong with a value of the wrong type.
fn wrong_type(kind: &str, value: &Value) -> Option<String> {
    let wanted = match (kind, value) {
        ("object", Value::Object(_))
        | ("array", Value::Array(_))
        | ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("number", Value::Number(_)) => return None,
        ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => return None,
        ("object", _) => "fields in a mapping",
        ("array", _) => "a list",
        ("string", _) => "text",
        ("boolean", _) => "true or false",
        ("number" | "integer", _) => "a whole number",
        _ => "of another type",
    };
    Some(match (kind, value) {
        (_, Value::Null) => format!("must be {wanted}, but is empty (null); give a value or remove the field"),
        ("string", Value::Number(_) | Value::Bool(_)) => {
            format!("must be text, but is {}; write it in quotes", described(value))
        }
        ("integer" | "number" | "boolean", Value::String(text)) if !text.is_empty() => {
            format!("must be {wanted}, but is the text {value}; remove quotes and units")
        }
        ("array", _) => format!("must be a list, but is {}; begin each item with '- '", described(value)),
        _ => format!("must be {wanted}, but is {}", described(value)),
    })
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "empty (null)".to_owned(),
        Value::Bool(_) => format!("{value}, a truth value"),
        Value::Number(_) => format!("the number {value}"),
        Value::String(_) => format!("the text {value}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

fn check_allowed(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) {
    let Some(allowed) = schema.get("enum").and_then(Value::as_array) else { return };
    if allowed.contains(value) {
        return;
    }
    let names: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
    let mut message = format!("{value} is not known; use {}", listed(&names));
    if let Some(near) = value.as_str().and_then(|text| nearest(text, &names)) {
        let _ = write!(message, "; did you mean {near}?");
    }
    faults.push(Fault::new(Reason::InvalidValue, path, message));
}

fn check_object(schema: &Value, members: &Map<String, Value>, path: &str, faults: &mut Vec<Fault>) {
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            faults.push(Fault::new(Reason::MissingField, join(path, name), "is required, but missing"));
        }
    }
    check_bounds(schema, members.len(), ("minProperties", "maxProperties", "entries"), path, faults);
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in members {
        match (member(schema, name), properties) {
            (Some(schema), _) => check_value(schema, value, &join(path, name), faults),
            (None, Some(properties)) => faults.push(unknown_field(properties, name, path)),
            (None, None) => {}
        }
    }
}

fn unknown_field(properties: &Map<String, Value>, name: &str, path: &str) -> Fault {
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    let message = match nearest(name, &names) {
        Some(near) => format!("there is no such field; did you mean {near}?"),
        None => format!("there is no such field; there are {}", listed(&names)),
    };
    Fault::new(Reason::UnknownField, join(path, name), message)
}

fn check_list(schema: &Value, items: &[Value], path: &str, faults: &mut Vec<Fault>) {
    check_bounds(schema, items.len(), ("minItems", "maxItems", "items"), path, faults);
    if let Some(item_schema) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            check_value(item_schema, item, &format!("{path}[{index}]"), faults);
        }
    }
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => {
            check_unique(items, path, faults, |item| {
                Some((item.clone(), format!("{item} is there twice; remove one")))
            });
        }
        Some("map") => {
            let keys: Vec<&str> = schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            check_unique(items, path, faults, |item| {
                let identity: Value =
                    keys.iter().map(|key| item.get(*key).cloned()).collect::<Option<Vec<_>>>()?.into();
                let shown =
                    keys.iter().filter_map(|key| Some(format!("{key} {}", item.get(*key)?))).collect::<Vec<_>>();
                Some((identity, format!("{} is there twice; every item needs its own", shown.join(", "))))
            });
        }
        Some(_) | None => {}
    }
}

/// Reports every item whose identity an earlier one has. `identify` gives identity and message.
fn check_unique(
    items: &[Value],
    path: &str,
    faults: &mut Vec<Fault>,
    identify: impl Fn(&Value) -> Option<(Value, String)>,
) {
    let mut seen = std::collections::HashSet::new();
    for (index, item) in items.iter().enumerate() {
        if let Some((identity, message)) = identify(item)
            && !seen.insert(identity)
        {
            faults.push(Fault::new(Reason::DuplicateItem, format!("{path}[{index}]"), message));
        }
    }
}

fn check_bounds(
    schema: &Value,
    size: usize,
    (least, most, unit): (&str, &str, &str),
    path: &str,
    faults: &mut Vec<Fault>,
) {
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    let size = size as u64;
    if let Some(least) = bound(least).filter(|least| size < *least) {
        let message = match size {
            0 => "must not be empty".to_owned(),
            _ => format!("has {size} {unit}; at least {least} are needed"),
        };
        faults.push(Fault::new(Reason::InvalidValue, path, message));
    }
    if let Some(most) = bound(most).filter(|most| size > *most) {
        faults.push(Fault::new(Reason::InvalidValue, path, format!("has {size} {unit}; at most {most} are allowed")));
    }
}

fn check_range(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) {
    let bound = |name| schema.get(name).and_then(Value::as_f64);
    let (least, most) = (bound("minimum"), bound("maximum"));
    let Some(number) = value.as_f64() else { return };
    if least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most) {
        return;
    }
    let message = match (least, most) {
        (Some(least), Some(most)) => format!("{value} is out of range; use {least} to {most}"),
        (Some(least), None) => format!("{value} is out of range; use at least {least}"),
        (None, Some(most)) => format!("{value} is out of range; use at most {most}"),
        (None, None) => return,
    };
    faults.push(Fault::new(Reason::InvalidValue, path, message));
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES_SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_SHOWN { format!("{shown} and others") } else { shown }
}

/// The known name that somebody meant, if one is near enough to a third of its letters.
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = given.to_lowercase();
    known
        .iter()
        .map(|name| (edits(&lower, &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance <= name.len().max(3) / 3)
        .min()
        .map(|(_, name)| name)
}

/// Insertions, removals, replacements and swaps of neighbours that turn one text into another.
fn edits(from: &str, to: &str) -> usize {
    // Nobody means a short name by a text this long, and the cost is the product of both lengths.
    const LONGEST: usize = 64;
    let from: Vec<char> = from.chars().take(LONGEST).collect();
    let to: Vec<char> = to.chars().take(LONGEST).collect();
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    rows[0] = (0..=to.len()).collect();
    for (line, letter) in from.iter().enumerate() {
        rows[line + 1][0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = rows[line][column] + usize::from(letter != other);
            let mut least = replaced.min(rows[line][column + 1] + 1).min(rows[line + 1][column] + 1);
            if line > 0 && column > 0 && *letter == to[column - 1] && from[line - 1] == *other {
                least = least.min(rows[line - 1][column - 1] + 1);
            }
            rows[line + 1][column + 1] = least;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests;
