//! Nodes that exist in the API only.

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::Access;

impl Access {
    /// Makes a node that is ready and has room for pods. No kubelet is behind it, and nobody minds.
    pub async fn create_node(&self, name: &str, zone: Option<&str>) {
        self.create_node_with(name, zone, json!([])).await;
    }

    /// Makes a node with taints, such as `[{"key": "a", "effect": "NoSchedule"}]`.
    pub async fn create_node_with(&self, name: &str, zone: Option<&str>, taints: Value) {
        let mut labels = json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"});
        if let Some(zone) = zone {
            labels["topology.kubernetes.io/zone"] = zone.into();
        }
        let node = json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}});
        let node: Node = serde_json::from_value(node).expect("a node is of this form");
        let nodes: Api<Node> = Api::all(self.client().await);
        nodes.create(&PostParams::default(), &node).await.expect("a node can be made");
        let room = json!({"cpu": "64", "memory": "256Gi", "pods": "250", "ephemeral-storage": "100Gi"});
        let status = json!({"status": {
            "capacity": room, "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Played"}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
        }});
        let patched = nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await;
        patched.expect("the status of a node can be set");
    }
}
