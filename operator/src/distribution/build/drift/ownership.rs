//! Which fields of a live object are ours, from what the server notes about writers (`metadata.managedFields`).
//!
//! Only where users can take something away is asked whether something was left over ([`REMOVABLE`]). Whoever creates
//! an object owns the server's defaults in it too; elsewhere these would look like something that we want no more.

use serde_json::{Map, Value};

use super::{find, keys_of};
use crate::labels::MANAGER;

/// Stands for every element of a list in [`REMOVABLE`].
const EACH: &str = "*";

/// Fields whose members or elements may come to be wanted no more. The server adds none of its own to them.
const REMOVABLE: [&[&str]; 20] = [
    &["metadata", "labels"],
    &["metadata", "annotations"],
    &["data"],
    &["spec", "ports"],
    &["spec", "trafficDistribution"],
    &["spec", "template", "metadata", "labels"],
    &["spec", "template", "metadata", "annotations"],
    &["spec", "template", "spec", "affinity"],
    &["spec", "template", "spec", "containers"],
    &["spec", "template", "spec", "imagePullSecrets"],
    &["spec", "template", "spec", "nodeSelector"],
    &["spec", "template", "spec", "priorityClassName"],
    &["spec", "template", "spec", "tolerations"],
    &["spec", "template", "spec", "topologySpreadConstraints"],
    &["spec", "template", "spec", "volumes"],
    &["spec", "template", "spec", "containers", EACH, "env"],
    &["spec", "template", "spec", "containers", EACH, "ports"],
    &["spec", "template", "spec", "containers", EACH, "resources", "limits"],
    &["spec", "template", "spec", "containers", EACH, "resources", "requests"],
    &["spec", "template", "spec", "containers", EACH, "volumeMounts"],
];

/// Whether `live` has something of ours that `desired` has not.
pub(super) fn has_left_over(desired: &Value, live: &Value) -> bool {
    entries(live).filter(|entry| is_ours(entry)).any(|entry| {
        REMOVABLE.iter().any(|path| {
            let node = Node { name: "", owned: &entry["fieldsV1"], desired, live };
            node.has_left_over(path)
        })
    })
}

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live["metadata"]["managedFields"].as_array().into_iter().flatten()
}

/// Status and scale are written by others, and never by these means.
fn is_ours(entry: &Value) -> bool {
    entry["manager"] == MANAGER && entry["subresource"].as_str().is_none_or(str::is_empty)
}

/// A place in the tree of owned fields, and the same place in both objects.
#[derive(Clone, Copy)]
struct Node<'a> {
    /// Name of the field.
    name: &'a str,
    /// What is owned at and below it (structured-merge-diff, "FieldsV1"): `f:` a member, `k:` an element by identity,
    /// `v:` one by value, `.` the place itself; nothing inside: the whole value.
    owned: &'a Value,
    desired: &'a Value,
    live: &'a Value,
}

impl<'a> Node<'a> {
    fn has_left_over(self, path: &[&'a str]) -> bool {
        match path {
            [] => self.is_left_over() || self.children().any(|child| child.desired.is_null() && !child.live.is_null()),
            [EACH, rest @ ..] => self.children().any(|child| !child.desired.is_null() && child.has_left_over(rest)),
            [name, rest @ ..] => {
                let owned = &self.owned[format!("f:{name}").as_str()];
                let inner = Node { name, owned, desired: &self.desired[*name], live: &self.live[*name] };
                !owned.is_null() && inner.has_left_over(rest)
            }
        }
    }

    /// The whole value is ours, and not wanted.
    fn is_left_over(self) -> bool {
        self.owned.as_object().is_some_and(Map::is_empty) && self.desired.is_null() && !self.live.is_null()
    }

    fn children(self) -> impl Iterator<Item = Node<'a>> {
        self.owned.as_object().into_iter().flatten().filter_map(move |(key, owned)| {
            let (kind, text) = key.split_once(':')?;
            let (desired, live) = match kind {
                "f" => (&self.desired[text], &self.live[text]),
                "k" => {
                    let identity: Value = serde_json::from_str(text).ok()?;
                    (element(self.desired, self.name, &identity), element(self.live, self.name, &identity))
                }
                "v" => {
                    let value: Value = serde_json::from_str(text).ok()?;
                    (equal(self.desired, &value), equal(self.live, &value))
                }
                _ => return None,
            };
            Some(Node { name: text, owned, desired, live })
        })
    }
}

fn element<'a>(list: &'a Value, name: &str, identity: &Value) -> &'a Value {
    let found = keys_of(name).zip(list.as_array()).and_then(|(keys, list)| find(list, keys, identity));
    found.unwrap_or(&Value::Null)
}

fn equal<'a>(list: &'a Value, value: &Value) -> &'a Value {
    list.as_array().and_then(|list| list.iter().find(|element| *element == value)).unwrap_or(&Value::Null)
}
