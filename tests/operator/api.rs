//! What the API server says to the CustomResourceDefinitions and to the examples.

use std::path::{Path, PathBuf};

use proxima_tests::ControlPlane;
use proxima_tests::bed::operator::crds;

/// The manifests that users are told to start from.
pub(crate) fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/examples");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let manifests: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")).collect();
    assert!(!manifests.is_empty(), "there are examples");
    manifests
}

#[tokio::test]
async fn definitions_are_accepted_by_server_side_and_by_plain_apply() {
    // Its own, since a definition that is already there would be accepted for what it was.
    let plane = ControlPlane::start();
    let server_side = plane.kubectl_reading(&crds(), &["apply", "--server-side", "-f", "-"]).await.ok();
    assert!(server_side.contains("distributions.proxima.dev serverside-applied"), "{server_side}");
    plane.kubectl_reading(&crds(), &["delete", "-f", "-"]).await.ok();
    // Plain apply keeps the whole object in an annotation, which has a limit.
    let plain = plane.kubectl_reading(&crds(), &["apply", "-f", "-"]).await.ok();
    assert!(plain.contains("distributions.proxima.dev created"), "{plain}");
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await.ok();
    let conditions = plane.kubectl(&["get", "crd", "distributions.proxima.dev", "-o", "json"]).await.json();
    let structural = conditions["status"]["conditions"].as_array().unwrap();
    assert!(!structural.iter().any(|one| one["type"] == "NonStructuralSchema"), "{structural:#?}");
}

#[tokio::test]
async fn examples_are_accepted() {
    let plane = ControlPlane::shared().await;
    plane.apply_crds().await;
    let namespace = plane.namespace("examples").await;
    for example in examples() {
        let file = example.to_string_lossy();
        plane.kubectl(&["apply", "--dry-run=server", "--namespace", &namespace, "-f", &file]).await.ok();
    }
}
