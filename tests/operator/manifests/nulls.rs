//! `null` is what templates leave where a value is missing: it must mean what an absent field means.

use std::sync::Arc;

use futures::StreamExt;
use proxima_tests::ControlPlane;
use serde_json::Value;

use super::schema::{self, DryRun, Place};

/// Every member that the schema does not require.
fn optional(object: &Value) -> Vec<Place> {
    let mut places = Vec::new();
    schema::walk(object, &mut |place, value, schema| {
        let is_required =
            |name: &String| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let members = value.as_object().into_iter().flat_map(|members| members.keys());
        places.extend(members.filter(|name| !is_required(name)).map(|name| place.member(name)));
    });
    places
}

#[tokio::test]
async fn null_in_an_optional_field_means_that_it_is_absent() {
    let plane = ControlPlane::shared().await;
    plane.apply_crds().await;
    let namespace = plane.namespace("nulls").await;
    let dry_run = Arc::new(DryRun::new(plane.client().await, &namespace));
    let object = schema::everything("nulls");
    let places = optional(&object);
    assert!(places.len() > 50, "{} optional fields", places.len());
    let answers = futures::stream::iter(&places).map(async |place| {
        let null = dry_run.create(&place.set(&object, Value::Null)).await;
        (place.text(), null, dry_run.create(&place.removed(&object)).await)
    });
    for (place, null, absent) in answers.buffer_unordered(8).collect::<Vec<_>>().await {
        // Without some fields the object is wrong, such as without both arms of a union. Then it must be as wrong.
        assert_eq!(null, absent, "{place}");
    }
    eprintln!("{} fields", places.len());

    // Once with all the mappings and lists that hold optional fields, and once without.
    let (inner, all) = as_many_as_possible(&dry_run, object, &places).await;
    check_stored(&plane, &namespace, &dry_run, named("inner", inner)).await;
    check_stored(&plane, &namespace, &dry_run, named("all", all.clone())).await;
    // Server-side apply takes no null for a field of a custom resource, whatever the definition: Kubernetes removes nulls
    // where it reads objects, and merges this one later. It says so of every field.
    let all = named("refused", all).to_string();
    let ran = plane.kubectl_reading(&all, &["apply", "--server-side", "-n", &namespace, "-f", "-"]).await;
    assert!(!ran.status.success() && ran.stderr.contains("* spec.comment: Invalid value: \"null\""), "{ran:?}");
}

/// The object with `null` in every field that it can do without: first in those that are no mapping or list.
async fn as_many_as_possible(dry_run: &DryRun, object: Value, places: &[Place]) -> (Value, Value) {
    let mut nulls = object;
    let (containers, values): (Vec<_>, Vec<_>) =
        places.iter().partition(|place| place.get(&nulls).is_object() || place.get(&nulls).is_array());
    let mut objects = Vec::new();
    for places in [values, containers] {
        // Inner fields come after those around them.
        for place in places.into_iter().rev() {
            let candidate = place.set(&nulls, Value::Null);
            if dry_run.create(&candidate).await.is_ok() {
                nulls = candidate;
            }
        }
        objects.push(nulls.clone());
    }
    (objects.remove(0), nulls)
}

/// No null is stored, neither at first nor later.
async fn check_stored(plane: &ControlPlane, namespace: &str, dry_run: &DryRun, object: Value) {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let expected = dry_run.create(&named("another", object.clone())).await.unwrap();
    assert!(object.to_string().matches("null").count() > expected.to_string().matches("null").count());
    for apply in ["create", "apply", "replace"] {
        plane.kubectl_reading(&object.to_string(), &[apply, "-n", namespace, "-f", "-"]).await.ok();
        let stored = plane.kubectl(&["get", "distribution", &name, "-n", namespace, "-o", "json"]).await.json();
        assert_eq!(stored["spec"], expected, "after {apply}");
        assert!(!stored["spec"].to_string().contains("null"), "{stored:#}");
    }
}

fn named(name: &str, object: Value) -> Value {
    let mut object = object;
    object["metadata"]["name"] = name.into();
    object
}
