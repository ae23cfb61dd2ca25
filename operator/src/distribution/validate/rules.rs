//! The resource definition's own CEL rules, run here as the API server runs them.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, Mutex, PoisonError};

use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use proxima_crds::{
    conditions::Reason,
    v1alpha1::{
        API_VERSION, Distribution,
        distribution::{BEHAVIOR_ORIGINS_RULE, BEHAVIOR_PATTERNS_RULE, DEFAULT_ORIGIN_RULE},
    },
};

use serde_json::json;

use super::SCHEMA;
use crate::distribution::schema::Fault;
use crate::limits;

/// The rules, compiled once. What kube derives (`validate_cel`) runs the same engine, but generates and compiles the
/// definition again for every object, which costs more than running the rules.
static RULES: LazyLock<CompiledSchema> = LazyLock::new(|| {
    let mut schema = SCHEMA.clone();
    if let Some(rules) = schema["properties"]["spec"]["x-kubernetes-validations"].as_array_mut() {
        rules.retain(|rule| !rule["rule"].as_str().is_some_and(|rule| REPEATED.contains(&rule)));
    }
    compile_schema(&schema)
});

/// Rules that [`references`](super::references) repeats with the exact field and a suggestion. This engine copies a whole
/// behaviour for each comparison with another, which takes minutes for the largest lists, so they are left out here.
const REPEATED: [&str; 3] = [DEFAULT_ORIGIN_RULE, BEHAVIOR_ORIGINS_RULE, BEHAVIOR_PATTERNS_RULE];

/// Specifications that obey every rule, by hashes that nobody outside can foresee: an object is judged again whenever one
/// of its children changes, and for a large one the rules take seconds.
static OBEYING: LazyLock<(RandomState, Mutex<HashSet<u64>>)> = LazyLock::new(Default::default);

/// Every rule that is broken.
pub(super) fn check(object: &Distribution) -> Vec<Fault> {
    // All that rules look at. The rest of the metadata, such as the record of who owns a field, may be larger than this.
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": "Distribution",
        "metadata": {"name": object.metadata.name},
        "spec": object.spec,
    });
    let (hasher, obeying) = &*OBEYING;
    let hash = hasher.hash_one(object.to_string());
    // Hashes are added whole, so what a panicking thread left is consistent.
    let obeying = || obeying.lock().unwrap_or_else(PoisonError::into_inner);
    if obeying().contains(&hash) {
        return Vec::new();
    }
    let Err(errors) = Validator::new().validate_compiled(&RULES, &object, None) else {
        let mut obeying = obeying();
        if obeying.len() >= limits::OBEYING_SPECIFICATIONS {
            obeying.clear();
        }
        obeying.insert(hash);
        return Vec::new();
    };
    errors
        .into_iter()
        .map(|error| {
            // Rules about the object's name stand at the root, since a definition has no other place for them.
            let field = match error.field_path.as_str() {
                "" => "metadata.name".to_owned(),
                field => field.to_owned(),
            };
            let message = without_field(&field, &error.message).to_owned();
            Fault::new(Reason::RuleViolated, field, message)
        })
        .collect()
}

/// Messages name their field for people who read them without a path; here the path is there already.
fn without_field<'a>(field: &str, message: &'a str) -> &'a str {
    let plain: String = field.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
    match message.split_once(": ") {
        Some((name, rest)) if format!(".{plain}.").contains(&format!(".{name}.")) => rest,
        _ => message,
    }
}
