//! What `spec.edge` gives to pods and Services: whether a pod can live with it, and the same in Kubernetes' own types.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{self, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use proxima_crds::{
    conditions::Reason,
    scalars::{AnnotationValue, ByteQuantity, CpuQuantity, LabelValue},
    v1alpha1::{Edge, ResourceAmounts, ServiceType, Toleration},
};
use proxima_edge_core::edge_config::CacheConfig;

use super::{PodFields, ServiceFields, ServiceKind};
use crate::distribution::{schema::Fault, sizing::memory_needed};
use crate::limits;

/// What no rule of the definition can say about `spec.edge`.
pub(super) fn check(edge: Option<&Edge>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let Some(edge) = edge else { return faults };
    faults.extend(memory_limit(edge));
    faults.extend(annotations(&edge.pod_annotations, "spec.edge.podAnnotations"));
    if let Some(service) = &edge.service {
        faults.extend(annotations(&service.annotations, "spec.edge.service.annotations"));
    }
    faults
}

/// An edge whose cache may grow beyond its limit is killed again and again, under load.
fn memory_limit(edge: &Edge) -> Option<Fault> {
    let limit = edge.resources.as_ref()?.limits.as_ref()?.memory.as_ref()?;
    let (cache, needed) = (cache_memory(edge)?, needed(edge)?);
    if limit.bytes().ok()? >= needed {
        return None;
    }
    let message = format!(
        "a cache of {} needs a limit of at least {} (its size, a quarter of it but at least 32Mi for what is being sent, 15 % of both, and 64Mi), but this is {limit}; raise it, or \
         lower spec.edge.cache.memory",
        mebibytes(cache),
        mebibytes(needed),
    );
    Some(Fault::new(Reason::MemoryLimitTooLow, "spec.edge.resources.limits.memory", message))
}

/// Bytes of the cache; absent when the specification's text is no number.
fn cache_memory(edge: &Edge) -> Option<u64> {
    match edge.cache.as_ref().and_then(|cache| cache.memory.as_ref()) {
        Some(memory) => memory.bytes().ok(),
        None => Some(CacheConfig::default().memory),
    }
}

fn needed(edge: &Edge) -> Option<u64> {
    cache_memory(edge).map(memory_needed)
}

fn mebibytes(bytes: u64) -> String {
    format!("{}Mi", bytes.div_ceil(1 << 20))
}

/// Kubernetes counts the bytes of all annotations of an object together.
fn annotations(annotations: &BTreeMap<String, AnnotationValue>, field: &str) -> Option<Fault> {
    let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.as_str().len()).sum();
    (bytes > limits::ANNOTATION_BYTES).then(|| {
        let message = format!(
            "keys and values have {bytes} bytes together; at most {} are possible, so shorten or remove some",
            limits::ANNOTATION_BYTES
        );
        Fault::new(Reason::InvalidValue, field, message)
    })
}

/// What pods are given.
pub(super) fn pod_fields(edge: Option<&Edge>) -> PodFields {
    let Some(edge) = edge else { return PodFields::default() };
    PodFields {
        resources: resources(edge),
        node_selector: labels(&edge.node_selector),
        tolerations: edge.tolerations.iter().map(toleration).collect(),
        labels: labels(&edge.pod_labels),
        annotations: texts(&edge.pod_annotations),
        priority_class_name: edge.priority_class_name.as_ref().map(ToString::to_string),
    }
}

/// What the Services are given.
pub(super) fn service_fields(edge: Option<&Edge>) -> ServiceFields {
    let Some(service) = edge.and_then(|edge| edge.service.as_ref()) else { return ServiceFields::default() };
    ServiceFields {
        kind: match service.kind {
            None | Some(ServiceType::ClusterIP) => ServiceKind::ClusterIp,
            Some(ServiceType::NodePort) => ServiceKind::NodePort,
            Some(ServiceType::LoadBalancer) => ServiceKind::LoadBalancer,
        },
        annotations: texts(&service.annotations),
    }
}

/// Requests and limits, completed so that no default of a later stage can bring a request above its limit.
fn resources(edge: &Edge) -> ResourceRequirements {
    let given = edge.resources.clone().unwrap_or_default();
    let (mut requests, mut limits) = (given.requests.unwrap_or_default(), given.limits.unwrap_or_default());
    // As Kubernetes itself does for pods.
    requests = ResourceAmounts {
        cpu: requests.cpu.or_else(|| limits.cpu.clone()),
        memory: requests.memory.or_else(|| limits.memory.clone()),
        ephemeral_storage: requests.ephemeral_storage.or_else(|| limits.ephemeral_storage.clone()),
    };
    if limits.memory.is_none() {
        let bytes = |memory: &ByteQuantity| memory.bytes().unwrap_or_default();
        let enough = needed(edge).unwrap_or_default();
        limits.memory = requests.memory.clone().filter(|memory| bytes(memory) > enough);
    }
    ResourceRequirements {
        requests: quantities(requests),
        limits: quantities(limits),
        ..ResourceRequirements::default()
    }
}

fn quantities(amounts: ResourceAmounts) -> Option<BTreeMap<String, Quantity>> {
    let ResourceAmounts { cpu, memory, ephemeral_storage } = amounts;
    let cpu = cpu.as_ref().map(CpuQuantity::as_str);
    let [memory, storage] = [&memory, &ephemeral_storage].map(|amount| amount.as_ref().map(ByteQuantity::as_str));
    let all = [("cpu", cpu), ("memory", memory), ("ephemeral-storage", storage)];
    let quantities: BTreeMap<_, _> =
        all.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount?.to_owned())))).collect();
    (!quantities.is_empty()).then_some(quantities)
}

fn toleration(toleration: &Toleration) -> v1::Toleration {
    v1::Toleration {
        key: toleration.key.as_ref().map(ToString::to_string),
        operator: toleration.operator.map(|operator| operator.as_str().to_owned()),
        // Kubernetes does not keep an empty one, so that it would look changed for ever.
        value: toleration.value.as_ref().map(ToString::to_string).filter(|value| !value.is_empty()),
        effect: toleration.effect.map(|effect| effect.as_str().to_owned()),
        toleration_seconds: toleration.toleration_seconds,
    }
}

fn labels(labels: &BTreeMap<String, LabelValue>) -> BTreeMap<String, String> {
    labels.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
}

fn texts(annotations: &BTreeMap<String, AnnotationValue>) -> BTreeMap<String, String> {
    annotations.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn edge(value: Value) -> Edge {
        serde_json::from_value(value).unwrap()
    }

    fn resources_of(value: Value) -> Value {
        serde_json::to_value(pod_fields(Some(&edge(value))).resources).unwrap()
    }

    #[test]
    fn every_field_reaches_pods_and_services() {
        let edge = edge(json!({
            "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi", "ephemeral-storage": "1Gi"}},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [
                {"key": "edge", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
                {"operator": "Exists", "value": ""},
            ],
            "podLabels": {"team": "web"},
            "podAnnotations": {"note": "x"},
            "priorityClassName": "high",
            "service": {"type": "LoadBalancer", "annotations": {"lb": "internal"}},
        }));
        let PodFields { resources, node_selector, tolerations, labels, annotations, priority_class_name } =
            pod_fields(Some(&edge));
        assert_eq!(
            serde_json::to_value(resources).unwrap(),
            json!({
                "requests": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"},
                "limits": {"memory": "2Gi", "ephemeral-storage": "1Gi"},
            })
        );
        assert_eq!(
            serde_json::to_value(tolerations).unwrap(),
            json!([
                {"key": "edge", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
                {"operator": "Exists"},
            ])
        );
        let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        assert_eq!((node_selector, labels, annotations), (map("disk", "ssd"), map("team", "web"), map("note", "x")));
        assert_eq!(priority_class_name.as_deref(), Some("high"));
        let service = service_fields(Some(&edge));
        assert_eq!(service, ServiceFields { kind: ServiceKind::LoadBalancer, annotations: map("lb", "internal") });
    }

    #[test]
    fn nothing_given_leaves_everything_to_later_stages() {
        assert_eq!(pod_fields(None), PodFields::default());
        assert_eq!(pod_fields(Some(&edge(json!({})))), PodFields::default());
        assert_eq!(service_fields(Some(&edge(json!({"service": {}})))), ServiceFields::default());
    }

    #[test]
    fn a_request_is_never_above_a_limit_that_follows_from_the_cache() {
        assert_eq!(
            resources_of(json!({"resources": {"requests": {"memory": "1Gi"}}})),
            json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}})
        );
        assert_eq!(
            resources_of(json!({"resources": {"requests": {"memory": "100Mi"}}})),
            json!({"requests": {"memory": "100Mi"}})
        );
        assert_eq!(
            resources_of(json!({"resources": {"limits": {"cpu": "50m"}}})),
            json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "50m"}})
        );
    }

    #[test]
    fn a_memory_limit_must_hold_the_cache_and_the_process() {
        let check_memory = |cache: Value, limit: &str| {
            check(Some(&edge(json!({"cache": cache, "resources": {"limits": {"memory": limit}}}))))
        };
        assert_eq!(check_memory(json!({}), "432Mi"), []);
        assert_eq!(check_memory(json!({"memory": "1Mi"}), "102Mi"), []);
        let faults = check_memory(json!({}), "431Mi");
        assert_eq!((faults.len(), faults[0].reason), (1, Reason::MemoryLimitTooLow));
        assert_eq!(faults[0].field, "spec.edge.resources.limits.memory");
        assert!(faults[0].message.starts_with("a cache of 256Mi needs a limit of at least 432Mi"), "{faults:?}");
        assert!(faults[0].message.contains("but this is 431Mi"), "{faults:?}");
    }

    #[test]
    fn annotations_are_bounded_together() {
        let many: BTreeMap<String, String> = (0..32).map(|index| (format!("a{index}"), "ä".repeat(2_048))).collect();
        let faults = check(Some(&edge(json!({"podAnnotations": many, "service": {"annotations": many}}))));
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["spec.edge.podAnnotations", "spec.edge.service.annotations"]);
        assert!(faults[0].message.contains("at most 131072"), "{faults:?}");
    }
}
