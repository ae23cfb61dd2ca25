//! The chart of the resource definitions, and what both charts tell a catalogue about them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::helm::{at, objects, read, render, root, yaml};

/// Most bytes of all annotations of one object. `kubectl apply` writes the whole object into one.
const ANNOTATIONS: usize = 256 << 10;

/// The definitions in `crds/yaml`, by name.
fn definitions() -> Vec<Value> {
    let folder = fs::read_dir(root().join("crds/yaml")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let mut definitions: Vec<_> = files.map(|path| yaml(&fs::read_to_string(path).unwrap())).collect();
    definitions.sort_by_key(|definition| at(definition, "metadata.name").to_string());
    definitions
}

#[test]
fn the_chart_installs_the_definitions_and_keeps_them() {
    let mut expected = definitions();
    assert!(!expected.is_empty());
    for definition in &mut expected {
        definition["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
    }
    assert_eq!(objects(&render("proxima-crds", &[])), expected);
}

#[test]
fn the_chart_removes_the_definitions_when_told_so() {
    assert_eq!(objects(&render("proxima-crds", &["--set", "keep=false"])), definitions());
}

#[test]
fn every_definition_is_small_enough_for_plain_apply() {
    for definition in objects(&render("proxima-crds", &[])) {
        let bytes = serde_json::to_vec(&definition).unwrap().len();
        assert!(bytes < ANNOTATIONS, "{}: {bytes} bytes", at(&definition, "metadata.name"));
    }
}

/// An annotation of a chart that holds YAML.
fn annotation(chart: &str, name: &str) -> Value {
    let chart = yaml(&read(&format!("charts/{chart}/Chart.yaml")));
    yaml(chart["annotations"][name].as_str().unwrap_or_else(|| panic!("there is no {name}")))
}

#[test]
fn catalogues_are_told_of_every_kind() {
    let kinds: BTreeSet<_> = definitions()
        .iter()
        .map(|definition| {
            let version = &at(definition, "spec.versions")[0]["name"];
            let [kind, name] = ["spec.names.kind", "metadata.name"].map(|path| at(definition, path));
            format!("{kind} {version} {name}")
        })
        .collect();
    for chart in ["proxima-crds", "proxima"] {
        let told = annotation(chart, "artifacthub.io/crds");
        let told = told.as_array().unwrap().iter();
        let told: BTreeSet<_> =
            told.map(|kind| format!("{} {} {}", kind["kind"], kind["version"], kind["name"])).collect();
        assert_eq!(told, kinds, "{chart}");
    }
}

#[test]
fn the_example_in_catalogues_is_the_quick_start() {
    let example = yaml(&read("crds/examples/quickstart.yaml"));
    for chart in ["proxima-crds", "proxima"] {
        assert_eq!(annotation(chart, "artifacthub.io/crdsExamples"), json!([example]), "{chart}");
    }
}

#[test]
fn catalogues_are_told_of_the_images_that_are_used() {
    let objects = objects(&render("proxima", &[]));
    let deployment = crate::object(&objects, "Deployment", "proxima-operator");
    let container = &at(&deployment, "spec.template.spec.containers")[0];
    let arguments: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
    let edge = arguments.iter().find_map(|argument| argument.strip_prefix("--edge-image=")).unwrap();
    let expected = json!([
        {"name": "proxima-operator", "image": container["image"]},
        {"name": "proxima-edge", "image": edge},
    ]);
    assert_eq!(annotation("proxima", "artifacthub.io/images"), expected);
}
