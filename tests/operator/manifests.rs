//! What becomes of manifests: those that the API server refuses, those that only the operator can judge, the largest
//! ones, and the examples.
//!
//! Manifests that people could write are data, in `manifests/refused` and `manifests/not-accepted`. What follows from
//! the schema alone (bounds, nulls) is made from the schema, so that a new field is covered the day it appears.

use std::path::{Path, PathBuf};

use kube::Api;
use proxima_crds::v1alpha1::Distribution;
use proxima_tests::bed::Access;
use proxima_tests::{Keys, wait_until};
use serde_json::{Value, json};

mod bounds;
mod edits;
mod examples;
mod judged;
mod largest;
mod nulls;
mod refused;
mod schema;

/// Data files of a folder beside this one, in order of name.
fn data(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("operator/manifests").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(file).unwrap())
    };
    files.iter().map(read).collect()
}

/// The Distributions of a namespace.
async fn distributions(access: &Access, namespace: &str) -> Api<Distribution> {
    Api::namespaced(access.client().await, namespace)
}

/// Text of a condition: `TYPE=STATUS REASON: MESSAGE`, of the generation that it was judged for.
fn condition(object: &Distribution, kind: &str, generation: i64) -> Option<String> {
    let status = object.status.as_ref()?;
    let found = status.conditions.iter().find(|condition| condition.type_ == kind)?;
    let current = found.observed_generation == Some(generation) && status.observed_generation == Some(generation);
    current.then(|| format!("{kind}={} {}: {}", found.status, found.reason, found.message))
}

/// Waits until a condition of the object's newest generation begins so, and returns the object.
async fn until(api: &Api<Distribution>, name: &str, generation: i64, expected: &str) -> Distribution {
    let kind = expected.split('=').next().unwrap();
    wait_until(&format!("{name} says {expected} of generation {generation}"), async || {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        let says = condition(&object, kind, generation).is_some_and(|text| text.starts_with(expected));
        if says && object.metadata.generation == Some(generation) {
            return Ok(object);
        }
        Err(format!("{:?} {:#?}", object.metadata.generation, object.status))
    })
    .await
}

/// A Service with one port, as an origin needs it.
fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"name": "http", "port": port}]},
    })
}

/// A certificate authority as ConfigMaps hold it.
fn certificate() -> String {
    Keys::generate().edge.certificate_pem
}

/// `kubectl apply --server-side` in a namespace, which must succeed.
async fn apply(access: &Access, namespace: &str, text: &str) {
    access.kubectl_reading(text, &["apply", "--server-side", "-n", namespace, "-f", "-"]).await.ok();
}
