//! The resource definitions, as the API server gets them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::v1alpha1::Distribution;

const GENERATED: &str = "{{- /* Generated: cargo run -p proxima-crds --example generate */ -}}\n";
/// With its definition Kubernetes would delete every Distribution, so Helm is told to leave it unless the user says no.
const KEEP: &str = "  \
  {{- if .Values.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
";

/// The definition of every kind.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![tidied(Distribution::crd())]
}

/// [`all`] as YAML, a document each, as `kubectl apply` takes it.
pub fn yaml() -> String {
    all().iter().map(|definition| format!("---\n{}", document(definition))).collect()
}

/// The committed files: name and content, one definition each.
pub fn files() -> Vec<(String, String)> {
    all().iter().map(|definition| (file_name(definition), document(definition))).collect()
}

/// The templates of the chart `proxima-crds`: the same definitions, with an annotation that the chart's user decides on.
pub fn chart_files() -> Vec<(String, String)> {
    files().into_iter().map(|(name, text)| (name, chart_template(&text))).collect()
}

/// Descriptions are for people, and may well contain what Helm would take for an instruction.
fn chart_template(document: &str) -> String {
    let escaped = document.replace("{{", "{{ \"{{\" }}");
    let annotated = escaped.replacen("\nmetadata:\n", &format!("\nmetadata:\n{KEEP}"), 1);
    format!("{GENERATED}{annotated}")
}

fn file_name(definition: &CustomResourceDefinition) -> String {
    let names = &definition.spec.names;
    format!("{}.{}.yaml", names.plural, definition.spec.group)
}

fn document(definition: &CustomResourceDefinition) -> String {
    let value = serde_json::to_value(definition).expect("a resource definition is plain data");
    serde_yaml::to_string(&value).expect("plain data can be written as YAML")
}

fn tidied(definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(definition).expect("a resource definition is plain data");
    tidy(&mut value);
    serde_json::from_value(value).expect("tidying keeps the shape of a resource definition")
}

/// Removes what kube's derive writes and the API should not have.
///
/// `nullable`: with it an explicit `null` would be kept, and rules that ask `has(field)` would see it as given.
/// Formats of Rust's unsigned numbers: the API server knows only int32 and int64.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("nullable");
            if let Some(Value::String(format)) = members.get_mut("format") {
                match format.as_str() {
                    "uint8" | "uint16" => *format = "int32".into(),
                    "uint32" => *format = "int64".into(),
                    _ => {}
                }
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Drops an enum's own description, which kube would put in place of the one of a field that holds it.
pub(crate) fn without_description(schema: &mut schemars::Schema) {
    schema.remove("description");
}

#[cfg(test)]
mod tests;
