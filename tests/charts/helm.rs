//! Helm, run apart from the user's own settings and from every cluster.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use serde_json::Value;

/// Where an installation by the README goes.
pub(crate) const NAMESPACE: &str = "proxima-system";

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate has a parent folder")
}

/// A text file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// The one YAML document of a text.
pub(crate) fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("not YAML: {error}\n{text}"))
}

/// The value at a path such as `spec.template.spec`.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| &value[key])
}

/// Runs Helm in the folder `charts`.
pub(crate) fn helm(arguments: &[&str]) -> Output {
    let own = tempfile::tempdir().expect("a temporary folder can be made");
    Command::new(program())
        .args(arguments)
        .current_dir(root().join("charts"))
        .env("HELM_CACHE_HOME", own.path())
        .env("HELM_CONFIG_HOME", own.path())
        .env("HELM_DATA_HOME", own.path())
        .env("KUBECONFIG", own.path().join("none"))
        .output()
        .expect("helm runs")
}

/// What Helm writes when it succeeds.
pub(crate) fn helm_ok(arguments: &[&str]) -> String {
    let output = helm(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm {}: {errors}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("helm writes UTF-8")
}

/// What Helm says when it refuses.
pub(crate) fn helm_refusal(arguments: &[&str]) -> String {
    let output = helm(arguments);
    assert!(!output.status.success(), "helm {} succeeded", arguments.join(" "));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The objects of a chart as text, in the order in which Helm creates them, without what differs between versions of
/// Helm: where a document came from and how many blank lines are around it.
pub(crate) fn render(chart: &str, more: &[&str]) -> String {
    let mut arguments = vec!["template", "proxima", chart, "--namespace", NAMESPACE, "--kube-version", "1.33.0"];
    arguments.extend(more);
    let rendered = helm_ok(&arguments);
    let documents = rendered.split("---\n").map(|document| {
        let lines = document.lines().filter(|line| !line.starts_with("# Source: "));
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    });
    documents.filter(|document| !document.is_empty()).map(|document| format!("---\n{document}\n")).collect()
}

/// The objects of a rendered chart.
pub(crate) fn objects(rendered: &str) -> Vec<Value> {
    rendered.split("---\n").filter(|document| !document.trim().is_empty()).map(yaml).collect()
}

/// The only object of a kind with this name.
pub(crate) fn object(objects: &[Value], kind: &str, name: &str) -> Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    let first = found.next().unwrap_or_else(|| panic!("there is no {kind} {name}"));
    assert!(found.next().is_none(), "there are two of {kind} {name}");
    first.clone()
}

fn program() -> PathBuf {
    if let Some(named) = env::var_os("PROXIMA_HELM") {
        return named.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join("helm")).find(|candidate| candidate.is_file()).expect(
        "helm is neither named by PROXIMA_HELM nor on PATH; tests/kube/build helm builds it and prints its folder, \
         or: go install helm.sh/helm/v4/cmd/helm@v4.3.1",
    )
}
