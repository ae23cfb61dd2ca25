//! Pods of edges, reduced to what the operator acts on.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ContainerState, Pod};

use crate::distribution::gather::ObjectName;
use crate::labels;

/// Phases that a Pod never leaves.
const TERMINAL_PHASES: [&str; 2] = ["Succeeded", "Failed"];

/// A Pod of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgePod {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The Distribution whose edge it is.
    pub distribution: ObjectName,
    /// Its zone, as its label says.
    pub zone: String,
    /// Its address, once it has one.
    pub address: Option<IpAddr>,
    /// It came to its end.
    pub is_terminal: bool,
    /// It answers viewers.
    pub is_ready: bool,
    /// It was asked to end.
    pub is_deleting: bool,
    /// What keeps it from running, in the words of scheduler and kubelet.
    pub trouble: Option<String>,
}

impl EdgePod {
    /// None for a Pod that is not an edge's.
    pub fn read(pod: &Pod) -> Option<Self> {
        let label = |key| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        Some(Self {
            name: pod.metadata.name.clone()?,
            uid: pod.metadata.uid.clone()?,
            distribution: ObjectName { namespace: pod.metadata.namespace.clone()?, name: label(labels::DISTRIBUTION)? },
            zone: label(labels::ZONE)?,
            address: status.and_then(|status| status.pod_ip.as_deref()?.parse().ok()),
            is_terminal: status
                .and_then(|status| status.phase.as_deref())
                .is_some_and(|phase| TERMINAL_PHASES.contains(&phase)),
            is_ready: conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            is_deleting: pod.metadata.deletion_timestamp.is_some(),
            trouble: trouble(pod),
        })
    }

    /// Whether the link talks to it: it may serve viewers, be it ready, not ready or about to end.
    pub fn is_link_target(&self) -> bool {
        self.address.is_some() && !self.is_terminal
    }
}

fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled" && condition.status == "False" && condition.message.is_some()
    });
    if let Some(condition) = unscheduled {
        let reason = condition.reason.as_deref().unwrap_or("Unschedulable");
        return Some(format!("{reason}: {}", condition.message.as_deref().unwrap_or_default()));
    }
    status.container_statuses.iter().flatten().find_map(|container| {
        let ContainerState { waiting, terminated, .. } = container.state.as_ref()?;
        let (reason, message) = match (waiting, terminated) {
            (Some(waiting), _) => (waiting.reason.clone()?, waiting.message.clone()),
            (None, Some(ended)) => (ended.reason.clone()?, ended.message.clone()),
            (None, None) => return None,
        };
        // These are on the way to a start, not in the way of it.
        if matches!(reason.as_str(), "ContainerCreating" | "PodInitializing") {
            return None;
        }
        Some(message.map_or(reason.clone(), |message| format!("{reason}: {message}")))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(status: Value) -> EdgePod {
        let pod = json!({
            "metadata": {
                "name": "shop-edge-a-1", "namespace": "web", "uid": "u",
                "labels": {"proxima.dev/distribution": "shop", "proxima.dev/zone": "a"},
            },
            "status": status,
        });
        EdgePod::read(&serde_json::from_value(pod).unwrap()).expect("it is an edge's")
    }

    #[test]
    fn a_pod_with_an_address_is_talked_to_until_its_end() {
        assert!(!read(json!({"phase": "Pending"})).is_link_target());
        assert!(read(json!({"phase": "Running", "podIP": "10.0.0.1"})).is_link_target());
        assert!(!read(json!({"phase": "Failed", "podIP": "10.0.0.1"})).is_link_target());
    }

    #[test]
    fn a_pod_without_our_labels_is_not_an_edge() {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "x", "namespace": "y", "uid": "z"}})).unwrap();
        assert_eq!(EdgePod::read(&pod), None);
    }

    #[test]
    fn what_keeps_it_from_running_is_told_and_a_start_is_no_trouble() {
        let waiting = |reason: &str| {
            let state = json!({"waiting": {"reason": reason, "message": "why"}});
            let container = json!({"name": "edge", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": state});
            read(json!({"containerStatuses": [container]})).trouble
        };
        assert_eq!(waiting("ImagePullBackOff").as_deref(), Some("ImagePullBackOff: why"));
        assert_eq!(waiting("ContainerCreating"), None);
        let unscheduled =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"});
        assert_eq!(read(json!({"conditions": [unscheduled]})).trouble.as_deref(), Some("Unschedulable: 0/3"));
    }
}
