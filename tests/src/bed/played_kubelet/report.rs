//! What a kubelet writes into a pod's status.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

/// What there is to tell about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) ip: IpAddr,
    pub(super) running: bool,
    pub(super) ready: bool,
    pub(super) restarts: u32,
}

/// Writes it. A pod that is gone meanwhile needs none.
pub(super) async fn send(client: &Client, pod: &Pod, report: &Report) -> Result<(), kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let status = json!({"metadata": {"uid": pod.uid()}, "status": status(pod, report)});
    match pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(&status)).await {
        Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => Ok(()),
        other => other.map(|_| ()),
    }
}

fn status(pod: &Pod, report: &Report) -> Value {
    if !report.running {
        return json!({"phase": "Pending"});
    }
    let now = Timestamp::now().to_string();
    let ready = report.ready && gates_open(pod);
    let condition = |kind: &str, value: bool| json!({"type": kind, "status": if value { "True" } else { "False" }, "lastTransitionTime": now});
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| {
        json!({
            "name": container.name, "image": container.image, "imageID": "", "started": true, "ready": report.ready,
            "restartCount": report.restarts, "state": {"running": {"startedAt": now}},
        })
    });
    json!({
        "phase": "Running",
        "podIP": report.ip, "podIPs": [{"ip": report.ip}], "hostIP": "127.0.0.1", "startTime": now,
        "conditions": [
            condition("Initialized", true), condition("ContainersReady", report.ready), condition("Ready", ready),
        ],
        "containerStatuses": containers.collect::<Vec<_>>(),
    })
}

/// Whether all conditions that the pod waits for beside its containers are true.
fn gates_open(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let conditions: Vec<&PodCondition> = conditions.collect();
    let mut gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    gates.all(|gate| conditions.iter().any(|one| one.type_ == gate.condition_type && one.status == "True"))
}
