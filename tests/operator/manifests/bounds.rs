//! Every bound of the schema, one step beyond: made from the schema, so that none can be forgotten.

use futures::StreamExt;
use proxima_tests::ControlPlane;
use serde_json::{Value, json};

use super::schema::{self, DryRun, Place};

/// An object that breaks one bound, and what the answer must contain.
struct Breach {
    object: Value,
    says: [String; 2],
}

/// Texts that say which bound it was; of lists of alternatives, as the API server writes them.
const TOO_LONG: &str = "may not be more than";
const TOO_SHORT: &str = "at least 1 chars";
const TOO_MANY: &str = "must have at most";
const TOO_FEW: &str = "at least 1 items";
const TOO_LARGE: &str = "should be less than or equal to";
const TOO_SMALL: &str = "should be greater than or equal to";
const NO_SUCH: &str = "Unsupported value";
const ABSENT: &str = "Required value";
const WRONG_TYPE: &str = "must be of type";
const TWICE: &str = "Duplicate value";
const UNKNOWN: &str = "unknown field";

/// Everything that can be wrong at one place.
fn breaches_at(object: &Value, place: &Place, value: &Value, schema: &Value) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |broken: Value, field: &Place, what: &str| {
        breaches.push(Breach { object: broken, says: [field.text(), what.to_owned()] });
    };
    let bound = |name: &str| schema[name].as_f64().map(|bound| bound as i64);
    let wrong = if value.is_string() { json!({}) } else { json!("text") };
    if schema["x-kubernetes-int-or-string"] == true {
        breach(place.set(object, json!(true)), place, "must be of type");
    } else {
        breach(place.set(object, wrong), place, WRONG_TYPE);
    }
    if let Some(most) = bound("maxLength") {
        breach(place.set(object, json!("a".repeat(most as usize + 1))), place, TOO_LONG);
    }
    if bound("minLength") == Some(1) {
        breach(place.set(object, json!("")), place, TOO_SHORT);
    }
    if let Some(most) = bound("maximum") {
        breach(place.set(object, json!(most + 1)), place, TOO_LARGE);
    }
    if let Some(least) = bound("minimum") {
        breach(place.set(object, json!(least - 1)), place, TOO_SMALL);
    }
    if schema["enum"].is_array() {
        breach(place.set(object, json!("Nonsense")), place, NO_SUCH);
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let member = place.member(name);
        breach(member.removed(object), &member, ABSENT);
    }
    if schema["properties"].is_object() {
        let member = place.member("nonsense");
        breach(member.set(object, json!(1)), &member, UNKNOWN);
    }
    if let (Some(most), Some(members)) = (bound("maxProperties"), value.as_object()) {
        let one = members.values().next().unwrap();
        let many: serde_json::Map<_, _> = (0..=most).map(|index| (format!("key-{index}"), one.clone())).collect();
        breach(place.set(object, Value::Object(many)), place, TOO_MANY);
    }
    let Some(items) = value.as_array() else { return breaches };
    if let Some(most) = bound("maxItems") {
        let many = (0..=most as usize).map(|index| numbered(&items[0], index));
        breach(place.set(object, many.collect()), place, TOO_MANY);
    }
    if bound("minItems") == Some(1) {
        breach(place.set(object, json!([])), place, TOO_FEW);
    }
    if ["set", "map"].iter().any(|kind| schema["x-kubernetes-list-type"] == *kind) {
        let twice: Vec<_> = items.iter().chain([&items[0]]).cloned().collect();
        breach(place.set(object, json!(twice)), &place.item(items.len()), TWICE);
    }
    breaches
}

/// The item under another name.
pub(super) fn numbered(item: &Value, index: usize) -> Value {
    let mut item = item.clone();
    let name = match item {
        Value::String(_) => &mut item,
        _ if item["pathPattern"].is_string() => &mut item["pathPattern"],
        _ if item["name"].is_string() => &mut item["name"],
        _ => &mut item["key"],
    };
    let text = name.as_str().unwrap();
    *name = match text.strip_suffix('*') {
        Some(stem) => json!(format!("{stem}{index}/*")),
        // In front, so that the names of hosts stay names and are in order.
        None => json!(format!("x{index:03}-{text}")),
    };
    item
}

#[tokio::test]
async fn one_step_beyond_every_bound_of_the_schema_is_refused() {
    let plane = ControlPlane::shared().await;
    plane.apply_crds().await;
    let namespace = plane.namespace("bounds").await;
    let dry_run = DryRun::new(plane.client().await, &namespace);
    let object = schema::everything("bounds");
    assert_eq!(schema::unused(&object), [] as [String; 0], "the object has every field");
    dry_run.create(&object).await.unwrap();
    let mut breaches = Vec::new();
    schema::walk(&object, &mut |place, value, schema| breaches.extend(breaches_at(&object, place, value, schema)));
    eprintln!("{} objects, each with one bound broken", breaches.len());
    assert!(breaches.len() > 200, "{} bounds", breaches.len());
    let answers =
        futures::stream::iter(breaches).map(async |breach| (dry_run.create(&breach.object).await, breach.says));
    let answers: Vec<_> = answers.buffer_unordered(8).collect().await;
    let mut wrong = Vec::new();
    for (answer, says) in answers {
        match answer {
            Ok(_) => wrong.push(format!("accepted: {says:?}")),
            Err(message) if says.iter().all(|text| message.contains(text)) => {}
            Err(message) => wrong.push(format!("no {says:?} in: {message:.600}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
