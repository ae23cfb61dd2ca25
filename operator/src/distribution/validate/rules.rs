//! The resource definition's own CEL rules, run here as the API server runs them.

use std::sync::LazyLock;

use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use proxima_crds::{
    conditions::Reason,
    v1alpha1::{
        Distribution,
        distribution::{BEHAVIOR_ORIGINS_RULE, BEHAVIOR_PATTERNS_RULE, DEFAULT_ORIGIN_RULE},
    },
};

use super::SCHEMA;
use crate::distribution::schema::Fault;

/// The rules, compiled once. What kube derives (`validate_cel`) runs the same engine, but generates and compiles the
/// definition again for every object, which costs more than running the rules.
static RULES: LazyLock<CompiledSchema> = LazyLock::new(|| compile_schema(&SCHEMA));

/// Rules that [`references`](super::references) repeats with the exact field and a suggestion.
const REPEATED: [&str; 3] = [DEFAULT_ORIGIN_RULE, BEHAVIOR_ORIGINS_RULE, BEHAVIOR_PATTERNS_RULE];

/// Every rule that is broken.
pub(super) fn check(object: &Distribution) -> Vec<Fault> {
    let object = serde_json::to_value(object).expect("a Distribution is plain data");
    let Err(errors) = Validator::new().validate_compiled(&RULES, &object, None) else { return Vec::new() };
    errors
        .into_iter()
        .filter(|error| !REPEATED.contains(&error.rule.as_str()))
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
