//! Whether a live object is what would be applied, so that nothing is written when nothing changed.
//!
//! Two questions. Does the live object have every value that we want? What the server or others added beside them does
//! not count, since applying would not touch it either. And does it still have something that we gave it once and want
//! no more? There, who owns a field decides (`ownership`): what others added to our labels or annotations is not ours
//! to remove, and trying would mean to write for ever.

mod ownership;

use serde_json::{Map, Value};

use crate::quantity;

/// Lists whose elements have an identity: the name of the list and the fields that make it, as far as an element has
/// them. Others may add elements of their own.
const KEYED_LISTS: [(&str, &[&str]); 8] = [
    ("containers", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("ownerReferences", &["uid"]),
    // Of containers and of Services.
    ("ports", &["containerPort", "port", "protocol"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];
/// Maps that the server takes as one value: a member that we do not want is a difference.
const ATOMIC_MAPS: [&str; 3] = ["labelSelector", "nodeSelector", "selector"];
/// Maps of quantities, and a quantity: spelled in several ways.
const QUANTITIES: [&str; 3] = ["limits", "requests", "sizeLimit"];

/// Whether applying `desired` would change nothing about `live`, the same object as the server has it.
pub fn is_current(desired: &Value, live: &Value) -> bool {
    has_all(desired, live) && !ownership::has_left_over(desired, live)
}

/// Whether `live` has all that `desired` says.
fn has_all(desired: &Value, live: &Value) -> bool {
    covers("", desired, live)
}

/// `name` is that of the field which holds both.
fn covers(name: &str, desired: &Value, live: &Value) -> bool {
    if QUANTITIES.contains(&name) {
        return same_quantities(desired, live);
    }
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            let has_more = ATOMIC_MAPS.contains(&name) && live.keys().any(|key| !desired.contains_key(key));
            !has_more && desired.iter().all(|(key, value)| covers(key, value, member(live, key)))
        }
        (Value::Array(desired), Value::Array(live)) => match keys_of(name) {
            Some(keys) => {
                desired.iter().all(|element| find(live, keys, element).is_some_and(|found| covers("", element, found)))
            }
            None => {
                desired.len() == live.len() && desired.iter().zip(live).all(|(desired, live)| covers("", desired, live))
            }
        },
        (Value::Object(desired), Value::Null) => desired.is_empty(),
        (Value::Array(desired), Value::Null) => desired.is_empty(),
        _ => desired == live,
    }
}

/// What is absent and what is null are the same to the server.
fn member<'a>(members: &'a Map<String, Value>, key: &str) -> &'a Value {
    members.get(key).unwrap_or(&Value::Null)
}

fn same_quantities(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::String(desired), Value::String(live)) => {
            desired == live || quantity::parse(desired).is_some_and(|value| quantity::parse(live) == Some(value))
        }
        (Value::Object(desired), Value::Object(live)) => {
            desired.iter().all(|(key, value)| same_quantities(value, member(live, key)))
        }
        (Value::Object(desired), Value::Null) => desired.is_empty(),
        _ => desired == live,
    }
}

fn keys_of(list: &str) -> Option<&'static [&'static str]> {
    KEYED_LISTS.iter().find(|(name, _)| *name == list).map(|(_, keys)| *keys)
}

/// The element of `list` with the same identity as `wanted`, an element or an identity alone.
fn find<'a>(list: &'a [Value], keys: &[&str], wanted: &Value) -> Option<&'a Value> {
    let identity = |element: &Value, key: &str| {
        let given = element.get(key).cloned();
        // The one field with a default that is part of an identity.
        if key == "protocol" { given.or_else(|| Some("TCP".into())) } else { given }
    };
    list.iter().find(|element| keys.iter().all(|key| identity(element, key) == identity(wanted, key)))
}

#[cfg(test)]
mod tests;
