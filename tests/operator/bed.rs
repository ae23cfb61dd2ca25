//! The test bed itself: what tests rely on without looking.

use std::path::{Path, PathBuf};
use std::process::Command;

use proxima_tests::bed::Play;
use proxima_tests::process::{Process, alive, binary, send_signal};
use proxima_tests::{ControlPlane, Keys, Origin, PlayedKubelet, Reply, config, wait_until};
use serde_json::{Value, json};

#[tokio::test]
async fn the_audit_log_tells_who_created_what() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("audit").await;
    plane.kubectl(&["create", "configmap", "before", "-n", &namespace]).await.ok();
    let mark = plane.audit_mark().await;
    plane.kubectl(&["create", "configmap", "after", "-n", &namespace]).await.ok();
    plane.kubectl(&["get", "configmap", "after", "-n", &namespace]).await.ok();
    let mut events = plane.audit(mark, "admin").await;
    events.retain(|event| event.namespace == namespace);
    let seen: Vec<_> = events.iter().map(|event| (&*event.verb, &*event.resource, &*event.name, event.code)).collect();
    assert_eq!(seen, [("create", "configmaps", "after", 201)]);
    assert_eq!(plane.audit(mark, "somebody").await, []);
}

/// Processes whose working directory is in a folder.
fn processes_in(folder: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .collect()
}

#[tokio::test]
async fn a_killed_test_process_leaves_neither_process_nor_folder() {
    let mut command = Command::new(binary("PROXIMA_TEST_BED_BIN", "proxima-test-bed"));
    command.arg("control-plane");
    let mut holder = Process::start(command);
    let folder = holder.line("the bed is up", 0, |line| Some(PathBuf::from(line))).await;
    let pids = processes_in(&folder);
    assert!(pids.len() >= 4, "etcd and three components of Kubernetes, at least: {pids:?}");
    // Its standard input stays open: what the bed notices is the end of the process, not a polite request.
    send_signal(holder.pid(), "KILL");
    wait_until("nothing is left of the bed", async || {
        let left: Vec<_> = pids.iter().filter(|pid| alive(**pid)).collect();
        if left.is_empty() && !folder.exists() { Ok(()) } else { Err(format!("{left:?} in {}", folder.display())) }
    })
    .await;
}

/// A Deployment of `count` pods as they look to a kubelet, with a part of their spec given.
fn deployment(name: &str, count: usize, spec: Value) -> String {
    let labels = json!({"app": name, "proxima.dev/zone": "zone-a"});
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": count, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    });
    object["spec"]["template"]["spec"]["nodeSelector"] = json!({"topology.kubernetes.io/zone": "zone-a"});
    object.to_string()
}

async fn apply(plane: &ControlPlane, namespace: &str, object: &str) {
    plane.kubectl_reading(object, &["apply", "-n", namespace, "-f", "-"]).await.ok();
}

#[tokio::test]
async fn pods_of_a_deployment_are_scheduled_on_played_nodes_and_listed_as_endpoints() {
    let plane = ControlPlane::exclusive().await;
    plane.create_node("node-a", Some("zone-a")).await;
    plane.create_node("node-b", Some("zone-b")).await;
    let namespace = plane.namespace("status").await;
    let spec = json!({"containers": [{"name": "edge", "image": "proxima.test/none:1"}]});
    apply(&plane, &namespace, &deployment("web", 2, spec)).await;
    plane.kubectl(&["expose", "deployment", "web", "--port", "80", "-n", &namespace]).await.ok();
    let kubelet = PlayedKubelet::start(&plane, &namespace, Play::StatusOnly);
    let pods = kubelet.ready(2).await;
    assert!(pods.iter().all(|pod| pod.node == "node-a" && pod.zone == "zone-a"), "{pods:#?}");
    let mut addresses: Vec<_> = pods.iter().map(|pod| pod.ip.to_string()).collect();
    addresses.sort();
    wait_until("both are endpoints", async || {
        let slices = plane.kubectl(&["get", "endpointslices", "-n", &namespace, "-o", "json"]).await.json();
        let endpoints = slices["items"].as_array().unwrap().iter().flat_map(|slice| slice["endpoints"].as_array());
        let mut listed: Vec<_> =
            endpoints.flatten().map(|endpoint| endpoint["addresses"][0].as_str().unwrap().to_owned()).collect();
        listed.sort();
        if listed == addresses { Ok(()) } else { Err(format!("{slices:#}")) }
    })
    .await;
    plane.kubectl(&["delete", "deployment", "web", "-n", &namespace]).await.ok();
    kubelet.ready(0).await;
}

/// The spec of a pod as the operator would write it, with the files of a ConfigMap and a Secret.
fn edge_spec() -> Value {
    let args = "run --boot /etc/proxima/boot --link /etc/proxima/link --state /var/lib/proxima --http 0.0.0.0:8080 \
                --control 0.0.0.0:9443 --admin 0.0.0.0:9090 --access-log none --log info";
    json!({
        "containers": [{
            "name": "edge", "image": "proxima.test/edge:dev", "args": args.split_whitespace().collect::<Vec<_>>(),
            "env": [
                {"name": "PROXIMA_ZONE", "value": "zone-a"},
                {"name": "PROXIMA_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "volumeMounts": [
                {"name": "boot", "mountPath": "/etc/proxima/boot"},
                {"name": "link", "mountPath": "/etc/proxima/link"},
                {"name": "state", "mountPath": "/var/lib/proxima"},
            ],
        }],
        "volumes": [
            {"name": "boot", "configMap": {"name": "boot"}},
            {"name": "link", "secret": {"secretName": "link"}},
            {"name": "state", "emptyDir": {}},
        ],
    })
}

#[tokio::test]
async fn a_played_pod_is_a_real_edge_that_is_restarted_when_it_dies() {
    let origin = Origin::answering(|head| Reply::ok(head.target().to_owned())).await;
    let plane = ControlPlane::exclusive().await;
    plane.create_node("node-a", Some("zone-a")).await;
    let namespace = plane.namespace("edges").await;
    let kubelet = PlayedKubelet::start(&plane, &namespace, Play::Edges);
    apply(&plane, &namespace, &deployment("web", 2, edge_spec())).await;
    // Volumes come after the pods, as they may in a cluster: the pods wait for them.
    let keys = Keys::generate();
    let link = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "link"},
        "stringData": {
            "tls.crt": keys.edge.certificate_pem, "tls.key": keys.edge.key_pem, "operator.pin": keys.operator.pin,
        },
    });
    apply(&plane, &namespace, &link.to_string()).await;
    let envelope = serde_json::to_string(&config::envelope(config::site(origin.address), 1, 1)).unwrap();
    let boot = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "boot"}, "data": {"config.json": envelope},
    });
    apply(&plane, &namespace, &boot.to_string()).await;

    let pods = kubelet.ready(2).await;
    assert_ne!(pods[0].ip, pods[1].ip);
    for pod in &pods {
        let answer = pod.get("/page").await;
        answer.expect("Miss", "/page");
        assert_eq!(answer.head.field("x-proxima-zone"), Some("zone-a"));
    }
    let available = ["wait", "--for=condition=Available", "deployment/web", "-n", &namespace, "--timeout=60s"];
    plane.kubectl(&available).await.ok();

    send_signal(pods[0].pid.unwrap(), "KILL");
    wait_until("the killed edge runs again", async || {
        let now = kubelet.pods();
        let again = now.iter().any(|pod| pod.name == pods[0].name && pod.restarts == 1 && pod.ready);
        if again { Ok(()) } else { Err(format!("{now:#?}")) }
    })
    .await;
    let pids: Vec<_> = kubelet.pods().iter().filter_map(|pod| pod.pid).collect();
    plane.kubectl(&["delete", "deployment", "web", "-n", &namespace]).await.ok();
    kubelet.ready(0).await;
    assert!(!pids.iter().any(|pid| alive(*pid)), "edges end with their pods");
}
