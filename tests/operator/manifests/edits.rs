//! A wrong edit of what already serves: viewers notice nothing, the status says what is wrong and what serves, and the
//! last good configuration survives the operator.

use std::net::SocketAddr;

use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams};
use proxima_crds::v1alpha1::{Distribution, DistributionStatus};
use proxima_tests::bed::{Play, PlayedPod};
use proxima_tests::{ControlPlane, Operator, Origin, PlayedKubelet, Reply, wait_until};
use serde_json::{Value, json};

use super::{apply, distributions, service, until};

/// A Distribution whose edges ask their origin below `path`, and with `extra` in its specification.
fn site(origin: SocketAddr, path: &str, extra: Value) -> String {
    let mut origins = vec![json!({
        "name": "site", "path": path,
        "http": {"host": origin.ip().to_string(), "protocolPolicy": "HttpOnly", "httpPort": origin.port()},
    })];
    let mut spec = json!({
        "defaultCacheBehavior": {"targetOrigin": "site", "cachePolicy": {"managed": "CachingDisabled"}},
        "edge": {"replicasPerZone": 1},
    });
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    if let Some(Value::Array(more)) = spec["origins"].as_array_mut().map(|more| json!(more)) {
        origins.extend(more);
    }
    spec["origins"] = json!(origins);
    json!({"apiVersion": "proxima.dev/v1alpha1", "kind": "Distribution", "metadata": {"name": "site"}, "spec": spec})
        .to_string()
}

/// An edit with problems of two kinds.
fn wrong(origin: SocketAddr) -> String {
    let extra = json!({
        "origins": [{"name": "api", "service": {"name": "later", "port": 80}}],
        "edge": {"replicasPerZone": 1, "resources": {"limits": {"memory": "128Mi"}}},
    });
    site(origin, "/two", extra)
}

/// What the edit with generation `generation` leaves standing: one edge that serves revision 1.
fn check_first_still_serves(object: &Distribution, generation: i64) {
    let nothing = "NotAccepted: the specification is not accepted; revision 1 serves on 1/1 edges";
    for kind in ["Deployed", "Ready"] {
        assert_eq!(super::condition(object, kind, generation).unwrap(), format!("{kind}=False {nothing}"));
    }
    let status = object.status.as_ref().unwrap();
    assert_eq!((status.revision.as_deref(), status.edges.as_deref()), (Some("1"), Some("1/1")));
    let zone = &status.zones[0];
    assert_eq!((zone.name.as_str(), zone.desired, zone.ready, zone.configured), ("zone-a", 1, 1, 1));
    assert_eq!(zone.revision.as_deref(), Some("1"));
    assert_eq!(status.addresses.len(), 1, "viewers reach it where they did");
}

async fn check_serves(pod: &PlayedPod, target: &str) {
    let expected = format!("{target}/page");
    wait_until(&format!("the edge asks for {expected}"), async || {
        let answer = pod.get("/page").await;
        if answer.status() == 200 && answer.text() == expected { Ok(()) } else { Err(answer.text()) }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_edit_is_told_and_the_last_good_configuration_serves_on_through_a_restart() {
    let origin = Origin::answering(|head| Reply::ok(head.target().to_owned())).await;
    let plane = ControlPlane::exclusive().await;
    plane.create_node("node-a", Some("zone-a")).await;
    let mut operator = Operator::start(&plane, &[]).await;
    let namespace = plane.namespace("edits").await;
    let api = distributions(&plane, &namespace).await;
    let kubelet = PlayedKubelet::start(&plane, &namespace, Play::Edges);
    apply(&plane, &namespace, &site(origin.address, "/one", json!({}))).await;
    until(&api, "site", 1, "Ready=True").await;
    check_serves(&kubelet.ready(1).await[0], "/one").await;

    let mark = plane.audit_mark().await;
    apply(&plane, &namespace, &wrong(origin.address)).await;
    let object = until(&api, "site", 2, "Accepted=False ServiceNotFound").await;
    check_first_still_serves(&object, 2);
    let text = super::condition(&object, "Accepted", 2).unwrap();
    for field in ["spec.origins[1].service.name: ", "; spec.edge.resources.limits.memory: "] {
        assert!(text.contains(field), "{text}");
    }
    check_serves(&kubelet.pods()[0], "/one").await;

    // A new operator knows the last good one by the boot copy alone, and a new edge needs both.
    operator.kill().await;
    let user = operator.user();
    let operator = operator.restart().await;
    operator.ready().await;
    let before = kubelet.pods()[0].name.clone();
    plane.kubectl(&["delete", "pod", &before, "-n", &namespace, "--wait=false"]).await.ok();
    let pod = wait_until("another edge has taken its place and is told what to serve", async || {
        let object = api.get("site").await.map_err(|error| error.to_string())?;
        let links = operator.metrics().await.sum("proxima_operator_link_connections");
        let pods = kubelet.pods();
        let counts = |status: &DistributionStatus| (status.zones[0].ready, status.zones[0].configured);
        let configured = object.status.as_ref().map(counts) == Some((1, 1));
        match &pods[..] {
            [pod] if pod.name != before && pod.ready && configured && links == 1.0 => Ok(pod.clone()),
            _ => Err(format!("{pods:#?} {links} {:#?}", object.status)),
        }
    })
    .await;
    check_first_still_serves(&until(&api, "site", 2, "Accepted=False ServiceNotFound").await, 2);
    check_serves(&pod, "/one").await;
    let mut written = plane.audit(mark, &user).await;
    written.retain(|event| event.namespace == namespace && event.resource != "events" && event.subresource != "status");
    assert_eq!(written, [], "a refused edit changes nothing, and a new operator has nothing to mend");

    // Half of the problems go by themselves, the other half by an edit.
    apply(&plane, &namespace, &service("later", 80).to_string()).await;
    until(&api, "site", 2, "Accepted=False MemoryLimitTooLow").await;
    let extra = json!({"origins": [{"name": "api", "service": {"name": "later", "port": 80}}]});
    apply(&plane, &namespace, &site(origin.address, "/two", extra)).await;
    let object = until(&api, "site", 3, "Deployed=True").await;
    until(&api, "site", 3, "Ready=True").await;
    assert_eq!(object.status.unwrap().revision.as_deref(), Some("2"));
    check_serves(&kubelet.ready(1).await[0], "/two").await;
}

#[tokio::test]
async fn a_wrong_edit_does_not_take_the_address_of_a_load_balancer_from_the_status() {
    let plane = ControlPlane::exclusive().await;
    plane.create_node("node-a", Some("zone-a")).await;
    let mut operator = Operator::start(&plane, &[]).await;
    let namespace = plane.namespace("balancer").await;
    let api = distributions(&plane, &namespace).await;
    let kubelet = PlayedKubelet::start(&plane, &namespace, Play::StatusOnly);
    let manifest = |port: u16| {
        json!({
            "apiVersion": "proxima.dev/v1alpha1", "kind": "Distribution", "metadata": {"name": "shop"},
            "spec": {
                "origins": [{"name": "site", "service": {"name": "site", "port": port}}],
                "defaultCacheBehavior": {"targetOrigin": "site"},
                "edge": {"replicasPerZone": 1, "service": {"type": "LoadBalancer"}},
            },
        })
        .to_string()
    };
    apply(&plane, &namespace, &service("site", 80).to_string()).await;
    apply(&plane, &namespace, &manifest(80)).await;
    kubelet.ready(1).await;
    let balancer = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}});
    let services: Api<Service> = Api::namespaced(plane.client().await, &namespace);
    let has_address = |object: &Distribution| {
        object.status.as_ref().is_some_and(|status| status.addresses.iter().any(|address| address.value == "192.0.2.7"))
    };
    services.patch_status("shop-edge", &PatchParams::default(), &Patch::Merge(&balancer)).await.unwrap();
    wait_until("the status has the address", async || {
        let object = api.get("shop").await.map_err(|error| error.to_string())?;
        if has_address(&object) { Ok(()) } else { Err(format!("{:#?}", object.status)) }
    })
    .await;
    apply(&plane, &namespace, &manifest(81)).await;
    let object = until(&api, "shop", 2, "Accepted=False ServicePortNotFound").await;
    assert!(has_address(&object), "{:#?}", object.status);
    operator.kill().await;
    let _operator = operator.restart().await;
    apply(&plane, &namespace, &manifest(82)).await;
    let object = until(&api, "shop", 3, "Accepted=False ServicePortNotFound").await;
    assert!(has_address(&object), "{:#?}", object.status);
}
