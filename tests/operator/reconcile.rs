//! What the operator makes of Distributions and keeps that way: zones from nodes, edits, drift, dropped objects, foreign
//! ones, and the end.

use proxima_tests::bed::Play;
use proxima_tests::{PlayedKubelet, wait_until};
use serde_json::{Value, json};

use crate::cluster::{Cluster, condition, distribution, owner, uid};

const LABELS: &str = "proxima.dev/distribution";

async fn node(cluster: &Cluster, name: &str, zone: Option<&str>) {
    cluster.plane.create_node(name, zone).await;
}

fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

#[tokio::test]
async fn zones_follow_the_nodes_and_none_is_given_up_within_its_grace() {
    let cluster = Cluster::start(&["--zone-grace", "1h"]).await;
    let one = json!({"edge": {"replicasPerZone": 1}});
    let object = cluster.distribution("web", one).await;
    // Without any node.
    assert_eq!(condition(&object, "Accepted").0, "True");
    for kind in ["Deployed", "Ready"] {
        cluster.reason("web", kind, "NoEligibleZone").await;
    }
    cluster.until_deployments(&[]).await;

    node(&cluster, "node-a", Some("a")).await;
    cluster.until_deployments(&["web-edge-a"]).await;
    node(&cluster, "node-b", Some("b")).await;
    cluster.until_deployments(&["web-edge-a", "web-edge-b"]).await;
    node(&cluster, "node-x", None).await;
    cluster.until_deployments(&["web-edge-a", "web-edge-b", "web-edge-default"]).await;

    // A zone is there while it has nodes, be they cordoned.
    let taint = json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]);
    cluster.admin.merge(&node_path("node-b"), json!({"spec": {"unschedulable": true, "taints": taint}})).await;
    // A tainted one is for those who tolerate it.
    let taint = json!([{"key": "dedicated", "value": "edge", "effect": "NoSchedule"}]);
    cluster.plane.create_node_with("node-t", Some("t"), taint).await;
    let toleration = json!([{"key": "dedicated", "operator": "Equal", "value": "edge", "effect": "NoSchedule"}]);
    cluster.distribution("vip", json!({"edge": {"replicasPerZone": 1, "tolerations": toleration}})).await;
    let all = ["vip-edge-a", "vip-edge-b", "vip-edge-default", "vip-edge-t"];
    let web = ["web-edge-a", "web-edge-b", "web-edge-default"];
    cluster.until_deployments(&[&all[..], &web].concat()).await;
    let only_b = json!({"topology.kubernetes.io/zone": "b"});
    cluster.distribution("pin", json!({"edge": {"replicasPerZone": 1, "nodeSelector": only_b}})).await;
    let expected = [&all[..2], &all[2..], &["pin-edge-b"], &web].concat();
    let mut expected = expected;
    expected.sort_unstable();
    cluster.until_deployments(&expected).await;

    // Gone, for less than the grace.
    let before = cluster.reconciles().await;
    cluster.admin.delete(&node_path("node-b")).await;
    cluster.until_reconciles(before + 3.0).await;
    cluster.reconcile_again("web", 5).await;
    cluster.reconcile_again("pin", 5).await;
    assert_eq!(cluster.deployments().await, expected);
    // Every node gone at once says nothing about any zone.
    for name in ["node-a", "node-x", "node-t"] {
        cluster.admin.delete(&node_path(name)).await;
    }
    cluster.reason("web", "Ready", "NoEligibleZone").await;
    cluster.reconcile_again("web", 3).await;
    assert_eq!(cluster.deployments().await, expected);
}

#[tokio::test]
async fn a_zone_without_nodes_is_given_up_after_the_grace_but_not_the_last_one() {
    let cluster = Cluster::start(&["--zone-grace", "2s"]).await;
    node(&cluster, "node-a", Some("a")).await;
    node(&cluster, "node-b", Some("b")).await;
    cluster.distribution("web", json!({"edge": {"replicasPerZone": 2}})).await;
    cluster.distribution("named", json!({"zones": [{"name": "b"}], "edge": {"replicasPerZone": 1}})).await;
    cluster.until_deployments(&["named-edge-b", "web-edge-a", "web-edge-b"]).await;
    cluster.admin.until(&cluster.path("poddisruptionbudgets", "web-edge-b"), "there", Value::is_object).await;

    cluster.admin.delete(&node_path("node-b")).await;
    cluster.until_deployments(&["named-edge-b", "web-edge-a"]).await;
    cluster.admin.until_gone(&cluster.path("services", "web-edge-b")).await;
    cluster.admin.until_gone(&cluster.path("poddisruptionbudgets", "web-edge-b")).await;
    cluster.admin.get(&cluster.path("services", "named-edge-b")).await;

    cluster.admin.delete(&node_path("node-a")).await;
    cluster.reason("web", "Ready", "NoEligibleZone").await;
    cluster.reconcile_again("web", 3).await;
    assert_eq!(cluster.deployments().await, ["named-edge-b", "web-edge-a"]);
    // As soon as there are nodes again, they tell which zone is gone.
    node(&cluster, "node-c", Some("c")).await;
    cluster.until_deployments(&["named-edge-b", "web-edge-c"]).await;
}

#[tokio::test]
async fn edits_reach_the_objects_and_what_is_taken_back_vanishes() {
    let cluster = Cluster::start(&[]).await;
    let edge = json!({
        "replicasPerZone": 1,
        "nodeSelector": {"disk": "fast", "example.com/pool": "edge"},
        "tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}],
        "podAnnotations": {"example.com/one": "1", "example.com/two": "2"},
        "podLabels": {"team": "web", "tier": "edge"},
        "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}},
        "service": {"type": "ClusterIP", "annotations": {"example.com/lb": "x"}},
    });
    cluster.distribution("web", json!({"zones": [{"name": "a", "replicas": 2}, {"name": "b"}], "edge": edge})).await;
    cluster.until_deployments(&["web-edge-a", "web-edge-b"]).await;
    let deployment = cluster.path("deployments", "web-edge-a");
    let budget = cluster.path("poddisruptionbudgets", "web-edge-a");
    let service = cluster.path("services", "web-edge");
    cluster.admin.until(&budget, "there", Value::is_object).await;
    let boot = cluster.admin.get(&cluster.path("configmaps", "web-edge-boot")).await;

    // The objects were made by POST: the first of these edits is the one that has to take fields back nevertheless.
    let edge = json!({
        "nodeSelector": {"disk": null}, "tolerations": [{"key": "b", "operator": "Exists"}],
        "podAnnotations": {"example.com/two": null}, "podLabels": {"tier": null},
        "resources": {"limits": null, "requests": {"cpu": "1500m"}},
        "service": {"annotations": null},
    });
    cluster.edit("web", json!({"edge": edge})).await;
    let live = cluster.admin.until(&deployment, "without what was taken back", |live| {
        let template = &live["spec"]["template"];
        let container = &template["spec"]["containers"][0];
        template["spec"]["nodeSelector"] == json!({"example.com/pool": "edge"})
            && template["spec"]["tolerations"] == json!([{"key": "b", "operator": "Exists"}])
            && template["metadata"]["annotations"] == json!({"example.com/one": "1"})
            && template["metadata"]["labels"]["tier"].is_null()
            && container["resources"]["requests"]["cpu"] == "1500m"
            && container["resources"]["limits"]["cpu"].is_null()
    });
    assert_eq!(live.await["spec"]["template"]["metadata"]["labels"]["team"], "web");
    cluster.admin.until(&service, "without annotation", |live| live["metadata"]["annotations"].is_null()).await;
    cluster.edit("web", json!({"edge": {"nodeSelector": null, "tolerations": null, "podAnnotations": null}})).await;
    let is_bare = |live: &Value| {
        let template = &live["spec"]["template"];
        let gone = [&template["spec"]["nodeSelector"], &template["spec"]["tolerations"]];
        gone.iter().all(|field| field.is_null()) && template["metadata"]["annotations"].is_null()
    };
    cluster.admin.until(&deployment, "without any of them", is_bare).await;

    cluster.edit("web", json!({"zones": [{"name": "a", "replicas": 1}, {"name": "b"}]})).await;
    cluster.admin.until(&deployment, "one replica", |live| live["spec"]["replicas"] == 1).await;
    cluster.admin.until_gone(&budget).await;
    cluster.edit("web", json!({"zones": [{"name": "a", "replicas": 3}]})).await;
    cluster.admin.until(&deployment, "three replicas", |live| live["spec"]["replicas"] == 3).await;
    cluster.admin.until(&budget, "back", Value::is_object).await;
    cluster.until_deployments(&["web-edge-a"]).await;
    cluster.admin.until_gone(&cluster.path("services", "web-edge-b")).await;

    let before = uid(&cluster.admin.get(&service).await);
    for kind in ["NodePort", "LoadBalancer", "ClusterIP"] {
        cluster.edit("web", json!({"edge": {"service": {"type": kind}}})).await;
        let live = cluster.admin.until(&service, kind, |live| live["spec"]["type"] == kind).await;
        assert_eq!(live["spec"]["ports"][0]["nodePort"].is_null(), kind == "ClusterIP", "{live:#}");
        assert_eq!(uid(&live), before);
        cluster.assert_quiet("web", format!("type {kind}")).await;
    }
    // None of this is the edges' configuration.
    let now = cluster.admin.get(&cluster.path("configmaps", "web-edge-boot")).await;
    assert_eq!(now["metadata"]["resourceVersion"], boot["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn drift_is_put_back_and_what_others_add_stays() {
    let cluster = Cluster::start(&[]).await;
    cluster.distribution("web", json!({"zones": [{"name": "a", "replicas": 2}]})).await;
    let deployment = cluster.path("deployments", "web-edge-a");
    let budget = cluster.path("poddisruptionbudgets", "web-edge-a");
    let service = cluster.path("services", "web-edge");
    let boot = cluster.path("configmaps", "web-edge-boot");
    let wanted = cluster.admin.until(&deployment, "there", Value::is_object).await;
    let selector = cluster.admin.get(&service).await["spec"]["selector"].clone();
    cluster.admin.until(&budget, "there", Value::is_object).await;

    let image = &wanted["spec"]["template"]["spec"]["containers"][0]["image"];
    let patch = json!([
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "example.com/other:1"},
        {"op": "replace", "path": "/spec/replicas", "value": 7},
        {"op": "remove", "path": "/spec/template/spec/containers/0/args"},
        {"op": "add", "path": "/metadata/labels/example.com~1mine", "value": "kept"},
        {"op": "add", "path": "/spec/template/metadata/annotations", "value": {"kubectl.kubernetes.io/restartedAt": "now"}},
    ]);
    let (code, answer) = cluster.admin.send("PATCH", &deployment, "application/json-patch+json", &patch).await;
    assert_eq!(code, 200, "{answer}");
    let live = cluster.admin.until(&deployment, "put back", |live| {
        let container = &live["spec"]["template"]["spec"]["containers"][0];
        container["image"] == *image && live["spec"]["replicas"] == 2 && container["args"].is_array()
    });
    let live = live.await;
    assert_eq!(live["metadata"]["labels"]["example.com/mine"], "kept");
    assert_eq!(live["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"], "now");

    let drift = json!({
        "metadata": {"annotations": {"example.com/mine": "kept"}, "labels": {LABELS: "web", "example.com/mine": "kept"}},
        "spec": {"selector": {LABELS: "other", "extra": "key"}},
    });
    cluster.admin.merge(&service, drift).await;
    let live = cluster.admin.until(&service, "put back", |live| live["spec"]["selector"] == selector).await;
    assert_eq!(live["metadata"]["annotations"]["example.com/mine"], "kept");
    assert_eq!(live["metadata"]["labels"]["example.com/mine"], "kept");
    cluster.admin.merge(&budget, json!({"spec": {"maxUnavailable": 2}})).await;
    cluster.admin.until(&budget, "put back", |live| live["spec"]["maxUnavailable"] == 1).await;

    let revision = |map: &Value| -> u64 {
        let text = map["data"]["config.json"].as_str().unwrap_or_default();
        serde_json::from_str::<Value>(text).ok().and_then(|copy| copy["revision"].as_u64()).unwrap_or_default()
    };
    let before = revision(&cluster.admin.get(&boot).await);
    cluster.admin.merge(&boot, json!({"data": {"config.json": "spoiled"}})).await;
    cluster.admin.until(&boot, "a later revision", |live| revision(live) > before).await;
    cluster.assert_quiet("web", "drift").await;
}

#[tokio::test]
async fn a_dropped_object_is_made_again_and_edges_follow() {
    let cluster = Cluster::start(&[]).await;
    node(&cluster, "node-a", Some("a")).await;
    let kubelet = PlayedKubelet::start(&cluster.plane, &cluster.namespace, Play::Edges);
    cluster.distribution("web", json!({"zones": [{"name": "a", "replicas": 2}]})).await;
    kubelet.ready(2).await;
    cluster.reason("web", "Deployed", "EdgesCurrent").await;
    cluster.reason("web", "Ready", "ZonesReady").await;
    let dist = cluster.path("distributions", "web");
    let dropped = [
        ("services", "web-edge"),
        ("services", "web-edge-a"),
        ("poddisruptionbudgets", "web-edge-a"),
        ("configmaps", "web-edge-boot"),
        ("secrets", "proxima-edge"),
        ("deployments", "web-edge-a"),
    ];
    for (kind, name) in dropped {
        let path = cluster.path(kind, name);
        let before = cluster.admin.get(&path).await;
        let revision = |object: &Value| object["status"]["revision"].as_str().unwrap().parse::<u64>().unwrap();
        let served = revision(&cluster.admin.get(&dist).await);
        cluster.admin.delete(&path).await;
        let is_new = |live: &Value| live.is_object() && uid(live) != uid(&before);
        let after = cluster.admin.until(&path, "made again", is_new).await;
        assert_eq!(owner(&after), owner(&before), "{kind}");
        if kind == "configmaps" {
            cluster.admin.until(&dist, "a later revision", |object| revision(object) > served).await;
        }
        if kind == "secrets" {
            assert_ne!(after["data"]["tls.key"], before["data"]["tls.key"]);
        }
        // With a new key the link has to be made again, and with a new Deployment the edges.
        cluster.reason("web", "Deployed", "EdgesCurrent").await;
    }
    cluster.admin.until(&dist, "all edges", |object| object["status"]["edges"] == "2/2").await;

    cluster.edit("web", json!({"edge": {"service": {"type": "LoadBalancer"}}})).await;
    let message = cluster.reason("web", "Ready", "AddressPending").await;
    assert!(message.contains("ClusterIP") && message.contains("port-forward"), "{message}");
    let service = cluster.path("services", "web-edge");
    let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}});
    cluster.admin.merge(&format!("{service}/status"), address).await;
    cluster.reason("web", "Ready", "ZonesReady").await;
    let addresses = json!([{"type": "IPAddress", "value": "203.0.113.7"}]);
    cluster.admin.until(&dist, "its address", |object| object["status"]["addresses"] == addresses).await;
}

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_reported_and_left_alone() {
    let cluster = Cluster::start(&[]).await;
    let port = json!([{"port": 80}]);
    let labels = json!({"app": "mine"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let foreign = [
        ("services", "one-edge", "Service", json!({"spec": {"ports": port}})),
        ("services", "two-edge-a", "Service", json!({"spec": {"ports": port}})),
        (
            "deployments",
            "three-edge-a",
            "Deployment",
            json!({"spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}}),
        ),
        ("poddisruptionbudgets", "four-edge-a", "PodDisruptionBudget", json!({"spec": {"maxUnavailable": 5}})),
        ("configmaps", "five-edge-boot", "ConfigMap", json!({"data": {"config.json": "mine"}})),
        ("secrets", "proxima-edge", "Secret", json!({"stringData": {"mine": "mine"}})),
    ];
    for (kind, name, kind_name, mut object) in foreign {
        // The Secret is for all Distributions of its namespace.
        object["metadata"] = json!({"name": name});
        let own = if kind == "secrets" { cluster.plane.namespace("foreign").await } else { cluster.namespace.clone() };
        let path = |kind: &str, name: &str| crate::cluster::path(&own, kind, name);
        let object = cluster.admin.create(&path(kind, ""), object).await;
        let distribution_name = if kind == "secrets" { "six" } else { name.split_once("-edge").unwrap().0 };
        let dist = path("distributions", distribution_name);
        let made = distribution(distribution_name, json!({"zones": [{"name": "a", "replicas": 2}]}));
        cluster.admin.create(&path("distributions", ""), made).await;
        let is_told = |object: &Value| condition(object, "Deployed").1 == "ChildConflict";
        let told = cluster.admin.until(&dist, "ChildConflict", is_told).await;
        let message = condition(&told, "Deployed").2;
        assert!(message.contains(&format!("{kind_name} {name}")), "{message}");
        assert_eq!(condition(&told, "Accepted").0, "True");
        let live = cluster.admin.get(&path(kind, name)).await;
        assert_eq!((uid(&live), &live["metadata"]["labels"]), (uid(&object), &Value::Null), "{live:#}");
        assert!(!live["metadata"]["managedFields"].to_string().contains("proxima-operator"), "{live:#}");
        if kind != "configmaps" && kind != "secrets" {
            // One name that is taken holds up nothing else.
            cluster
                .admin
                .until(&path("configmaps", &format!("{distribution_name}-edge-boot")), "made", Value::is_object)
                .await;
            cluster
                .admin
                .until(&path("services", &format!("{distribution_name}-edge")), "made", Value::is_object)
                .await;
        }

        cluster.admin.delete(&path(kind, name)).await;
        let is_ours = |live: &Value| live["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "proxima-operator";
        cluster.admin.until(&path(kind, name), "the operator's", is_ours).await;
        cluster
            .admin
            .until(&path("deployments", &format!("{distribution_name}-edge-a")), "made", Value::is_object)
            .await;
        let is_told = |object: &Value| condition(object, "Deployed").1 != "ChildConflict";
        cluster.admin.until(&dist, "no conflict", is_told).await;
    }
}

#[tokio::test]
async fn objects_of_a_deleted_predecessor_are_waited_for() {
    let cluster = Cluster::start(&[]).await;
    let spec = json!({"zones": [{"name": "a", "replicas": 2}]});
    let first = cluster.distribution("web", spec.clone()).await;
    cluster.until_deployments(&["web-edge-a"]).await;
    let held = [("deployments", "web-edge-a"), ("services", "web-edge"), ("configmaps", "web-edge-boot")];
    for (kind, name) in held {
        let path = cluster.path(kind, name);
        cluster.admin.merge(&path, json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    }
    cluster.admin.delete(&cluster.path("distributions", "web")).await;
    cluster.admin.until_gone(&cluster.path("distributions", "web")).await;
    let second = cluster.distribution("web", spec).await;
    assert_ne!(uid(&first), uid(&second));
    // The last of them is the one without which nothing else is made.
    for (kind, name) in held.into_iter().rev() {
        let message = cluster.reason("web", "Deployed", "PredecessorTerminating").await;
        assert!(message.contains("deleted Distribution of the same name"), "{message}");
        let path = cluster.path(kind, name);
        let live = cluster.admin.until(&path, "ending", |live| live["metadata"]["deletionTimestamp"].is_string()).await;
        assert_eq!(owner(&live), uid(&first));
        cluster.admin.merge(&path, json!({"metadata": {"finalizers": null}})).await;
        cluster.admin.until(&path, "the successor's", |live| owner(live) == uid(&second)).await;
    }
    cluster.admin.until(&cluster.path("distributions", "web"), "no predecessor", |object| {
        condition(object, "Deployed").1 != "PredecessorTerminating"
    });
}

#[tokio::test]
async fn deletion_leaves_nothing_behind() {
    let mut cluster = Cluster::start(&[]).await;
    let spec = json!({"zones": [{"name": "a", "replicas": 2}]});
    cluster.distribution("one", spec.clone()).await;
    cluster.distribution("two", spec.clone()).await;
    cluster.until_deployments(&["one-edge-a", "two-edge-a"]).await;
    let secret = cluster.path("secrets", "proxima-edge");
    let key = uid(&cluster.admin.get(&secret).await);

    cluster.admin.delete(&cluster.path("distributions", "one")).await;
    nothing_left(&cluster, "one").await;
    // The other one's edges need it.
    cluster.reconcile_again("two", 2).await;
    assert_eq!(uid(&cluster.admin.get(&secret).await), key);
    cluster.admin.delete(&cluster.path("distributions", "two")).await;
    nothing_left(&cluster, "two").await;
    cluster.admin.until_gone(&secret).await;

    cluster.distribution("late", spec).await;
    cluster.until_deployments(&["late-edge-a"]).await;
    let status = cluster.operator.terminate().await;
    assert!(status.success(), "{status}");
    cluster.admin.delete(&cluster.path("distributions", "late")).await;
    nothing_left(&cluster, "late").await;
    cluster.admin.get(&secret).await;
    cluster.operator = cluster.operator.restart().await;
    cluster.admin.until_gone(&secret).await;
}

/// Waits until the garbage collector is done with what a Distribution had.
async fn nothing_left(cluster: &Cluster, name: &str) {
    for kind in ["services", "configmaps", "deployments", "poddisruptionbudgets", "pods"] {
        let list = format!("{}?labelSelector={LABELS}={name}", cluster.path(kind, ""));
        wait_until(&format!("no {kind} of {name} are left"), async || {
            let found = cluster.admin.get(&list).await;
            if found["items"] == json!([]) { Ok(()) } else { Err(format!("{found:#}")) }
        })
        .await;
    }
}
