//! The examples that users are told to start from, applied for real.

use std::collections::BTreeSet;

use proxima_crds::v1alpha1::{Distribution, ServiceType};
use proxima_tests::bed::Play;
use proxima_tests::{ControlPlane, Operator, PlayedKubelet};
use serde_json::{Value, json};

use super::{apply, certificate, distributions, until};
use crate::api::examples;

/// Services and ConfigMaps that a Distribution refers to, and that no example has: what a user has before.
fn referred(object: &Distribution, there: &[Value]) -> Vec<Value> {
    let is_there =
        |kind: &str, name: &str| there.iter().any(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    let mut missing = Vec::new();
    for origin in &object.spec.origins {
        let service = origin.service.as_ref().filter(|service| !is_there("Service", service.name.as_str()));
        missing.extend(service.map(|found| super::service(found.name.as_str(), found.port)));
        let tls = origin.http.as_ref().and_then(|http| http.tls.as_ref());
        let bundle = tls.and_then(|tls| tls.ca_bundle_ref.as_ref());
        missing.extend(bundle.filter(|bundle| !is_there("ConfigMap", bundle.name.as_str())).map(|bundle| {
            let data = json!({bundle.key.to_string(): certificate()});
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": bundle.name}, "data": data})
        }));
    }
    missing
}

/// What becomes of an example, and of its edges. Nobody gives addresses to load balancers here.
fn expected(object: &Distribution) -> &'static str {
    let service = object.spec.edge.as_ref().and_then(|edge| edge.service.as_ref());
    match service.and_then(|service| service.kind) {
        Some(ServiceType::LoadBalancer) => "Ready=False AddressPending",
        Some(ServiceType::ClusterIP | ServiceType::NodePort) | None => "Ready=True ZonesReady",
    }
}

#[tokio::test]
async fn examples_are_accepted_for_real_and_their_edges_are_ready() {
    let plane = ControlPlane::exclusive().await;
    let _operator = Operator::start(&plane, &[]).await;
    let namespace = plane.namespace("examples").await;
    let api = distributions(&plane, &namespace).await;
    let mut others = Vec::new();
    let mut distributions = Vec::new();
    for example in examples() {
        let found: Vec<Value> = serde_yaml::from_multiple(&std::fs::read_to_string(&example).unwrap()).unwrap();
        let (ours, more): (Vec<_>, Vec<_>) = found.into_iter().partition(|document| document["kind"] == "Distribution");
        others.extend(more);
        let ours = ours.into_iter().map(|document| serde_json::from_value::<Distribution>(document).unwrap());
        distributions.push((example, ours.collect::<Vec<_>>()));
    }
    let objects = || distributions.iter().flat_map(|(_, objects)| objects);
    let zones: BTreeSet<_> =
        objects().flat_map(|object| object.spec.zones.iter().flatten()).map(|zone| &zone.name).collect();
    for zone in zones {
        plane.create_node(&format!("node-{zone}"), Some(zone.as_str())).await;
    }
    // Origins run images, which nobody here does.
    others
        .iter_mut()
        .filter(|other| other["kind"] == "Deployment")
        .for_each(|other| other["spec"]["replicas"] = json!(0));
    let missing: Vec<_> = objects().flat_map(|object| referred(object, &others)).collect();
    for object in others.iter().chain(&missing) {
        apply(&plane, &namespace, &object.to_string()).await;
    }
    let _kubelet = PlayedKubelet::start(&plane, &namespace, Play::Edges);
    for (example, objects) in distributions.iter().filter(|(_, objects)| !objects.is_empty()) {
        let file = example.to_string_lossy();
        plane.kubectl(&["apply", "-n", &namespace, "-f", &file]).await.ok();
        for object in objects {
            let name = object.metadata.name.as_deref().unwrap();
            until(&api, name, 1, "Accepted=True Valid").await;
            until(&api, name, 1, expected(object)).await;
            let seen = until(&api, name, 1, "Deployed=True EdgesCurrent").await;
            eprintln!("{file}: {name}: {} edges", seen.status.unwrap().edges.unwrap());
            plane.kubectl(&["delete", "distribution", name, "-n", &namespace]).await.ok();
        }
    }
}
