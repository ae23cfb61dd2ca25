use std::{collections::BTreeSet, fs, path::Path};

use kube::core::cel::compile_schema;
use serde_json::Value;

use super::*;

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema() -> Value {
    let definitions = serde_json::to_value(all()).unwrap();
    definitions[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Calls `visit` with every schema and its path.
fn walk(schema: &Value, path: &str, visit: &mut dyn FnMut(&Value, &str)) {
    visit(schema, path);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), visit);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{path}[]"), visit);
    }
    if schema["additionalProperties"].is_object() {
        walk(&schema["additionalProperties"], &format!("{path}[]"), visit);
    }
}

/// Every file in `folder` is what the types say, and there is no other.
fn check_committed(folder: &Path, files: Vec<(String, String)>) {
    let mut expected = BTreeSet::new();
    for (name, text) in files {
        let committed = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(committed == text, "{name} is stale; run: cargo run -p proxima-crds --example generate");
        expected.insert(name);
    }
    let committed = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let committed: BTreeSet<String> = committed.filter(|name| name.ends_with(".yaml")).collect();
    assert_eq!(committed, expected);
}

#[test]
fn committed_definitions_are_what_the_types_say() {
    check_committed(&crate_folder().join("yaml"), files());
}

#[test]
fn committed_templates_of_the_chart_are_what_the_types_say() {
    check_committed(&crate_folder().join("../charts/proxima-crds/templates"), chart_files());
}

#[test]
fn what_helm_would_take_for_an_instruction_is_escaped() {
    let template = chart_template("kind: K\nmetadata:\n  name: a\nspec:\n  text: write {{name}}\n  metadata:\n");
    assert!(template.contains("\n  text: write {{ \"{{\" }}name}}\n"), "{template}");
    assert!(template.contains("\nmetadata:\n  {{- if .Values.keep }}\n  annotations:\n"), "{template}");
    assert!(
        template.ends_with("{{- end }}\n  name: a\nspec:\n  text: write {{ \"{{\" }}name}}\n  metadata:\n"),
        "{template}"
    );
}

#[test]
fn yaml_reads_back_as_the_definitions() {
    let documents: Vec<CustomResourceDefinition> = serde_yaml::from_multiple(&yaml()).unwrap();
    assert_eq!(documents, all());
}

#[test]
fn no_field_takes_null_and_no_number_has_an_unknown_format() {
    walk(&schema(), "", &mut |schema, path| {
        assert!(schema.get("nullable").is_none(), "{path}");
        let format = schema["format"].as_str();
        assert!(matches!(format, None | Some("int32" | "int64" | "date-time")), "{path}: {format:?}");
    });
}

#[test]
fn every_field_is_described() {
    walk(&schema(), "", &mut |schema, path| {
        let inside = path.is_empty() || path.ends_with("[]");
        assert!(inside || schema["description"].is_string(), "{path} has no description");
    });
}

/// The API server refuses a definition whose rules may cost too much, and takes what has no bound as very large.
#[test]
fn every_list_map_and_text_of_the_specification_is_bounded() {
    walk(&schema()["properties"]["spec"], "spec", &mut |schema, path| match schema["type"].as_str() {
        Some("array") => assert!(schema["maxItems"].is_u64(), "{path}"),
        Some("string") => assert!(schema["maxLength"].is_u64() || schema["enum"].is_array(), "{path}"),
        Some("object") if schema.get("additionalProperties").is_some() => {
            assert!(schema["maxProperties"].is_u64(), "{path}");
        }
        None => assert!(schema["maxLength"].is_u64(), "{path}"),
        Some(_) => {}
    });
}

#[test]
fn every_list_says_how_it_is_merged() {
    walk(&schema(), "", &mut |schema, path| {
        if schema["type"] == "array" {
            assert!(schema["x-kubernetes-list-type"].is_string(), "{path}");
        }
    });
}

/// A default arm would make "exactly one" refuse the other.
#[test]
fn no_union_and_no_cache_policy_has_a_default() {
    walk(&schema(), "", &mut |schema, path| {
        let member = ["http", "service", "managed", "inline", "basedOn", "cachePolicy", "caBundleRef"]
            .iter()
            .any(|name| path.ends_with(&format!(".{name}")));
        assert!(!member || schema.get("default").is_none(), "{path}");
    });
}

#[test]
fn every_rule_compiles_and_has_a_message_of_one_line() {
    let mut rules = 0;
    walk(&schema(), "", &mut |schema, path| {
        for result in compile_schema(schema).validations {
            assert!(result.is_ok(), "{path}: {:?}", result.err());
        }
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().unwrap_or_default();
            assert!(!message.is_empty() && !message.contains('\n'), "{path}: {rule}");
            rules += 1;
        }
    });
    assert!(rules >= 30, "{rules}");
}

/// The API server refuses a `fieldPath` that names no field.
#[test]
fn every_field_path_of_a_rule_names_a_field() {
    walk(&schema(), "", &mut |schema, path| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let Some(field) = rule["fieldPath"].as_str() else { continue };
            let mut place = schema;
            for name in field.strip_prefix('.').expect("begins with a dot").split('.') {
                place = &place["properties"][name];
            }
            assert!(place.is_object(), "{path}: {field}");
        }
    });
}

#[test]
fn every_example_obeys_the_rules() {
    let mut seen = 0;
    for entry in fs::read_dir(crate_folder().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for document in serde_yaml::from_multiple::<Value>(&text).unwrap() {
            if document["kind"] != "Distribution" {
                continue;
            }
            let object: Distribution = serde_json::from_value(document).unwrap();
            assert!(object.validate_cel().is_ok(), "{}: {:?}", path.display(), object.validate_cel());
            seen += 1;
        }
    }
    assert_eq!(seen, 8);
}
