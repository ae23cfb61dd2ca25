//! Size, number and place of the edges, and what they are given in a cluster.
//!
//! Beyond `replicasPerZone` and `cache` everything here is about pods and Services; local mode has none and ignores it.

use std::collections::BTreeMap;

use kube::{KubeSchema, core::Rule};
use serde::{Deserialize, Serialize};

use crate::scalars::{
    AnnotationValue, ByteQuantity, CpuQuantity, LabelKey, LabelValue, PriorityClassName, QUALIFIED_NAME_PATTERN,
};

/// Labels that the operator itself gives to pods of edges, besides all of the prefix `proxima.dev/`. Selectors are made
/// of them, and selectors cannot change.
pub const RESERVED_POD_LABELS: [&str; 4] = [
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
];

/// Size, number and place of the edges.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Edges in every zone that does not say otherwise, 1 to 1000. Absent: 2 in a cluster, 1 in local mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas_per_zone: Option<u32>,

    /// The cache of each edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<EdgeCache>,

    /// Compute resources of each edge, as a container has them. Absent: what the cache needs. Local mode ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<EdgeResources>,

    /// Labels that a node must have to run edges, at most 16. Zones without such a node get none. Local mode ignores
    /// it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = qualified_keys("nodeSelector"))]
    pub node_selector: BTreeMap<String, LabelValue>,

    /// Taints that a node may have and run edges all the same, at most 32. Local mode ignores it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub tolerations: Vec<Toleration>,

    /// Labels of the edges' pods besides the operator's own, at most 32; none of `proxima.dev/` and none of
    /// `app.kubernetes.io/` `name`, `instance`, `component`, `managed-by`. Local mode ignores it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = qualified_keys("podLabels"), validation = no_reserved_labels())]
    pub pod_labels: BTreeMap<String, LabelValue>,

    /// Annotations of the edges' pods, at most 32 and together at most 128 KiB; none of `proxima.dev/`. Local mode
    /// ignores it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = qualified_keys("podAnnotations"), validation = no_reserved_annotations("podAnnotations"))]
    pub pod_annotations: BTreeMap<String, AnnotationValue>,

    /// Name of a PriorityClass for the edges' pods. Local mode ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<PriorityClassName>,

    /// The Service through which viewers reach the edges of all zones. Local mode ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<EdgeService>,
}

/// Every key must be what Kubernetes calls a qualified name.
fn qualified_keys(field: &str) -> Rule {
    Rule::new(format!("self.all(k, k.matches('{QUALIFIED_NAME_PATTERN}') && k.split('/')[0].size() <= 253)")).message(
        format!(
            "{field}: write a key as NAME or DOMAIN/NAME: a name of at most 63 letters, digits, '-', '_' and '.' that \
             begins and ends with a letter or digit, a domain in lower case of at most 253"
        )
        .as_str(),
    )
}

fn no_reserved_labels() -> Rule {
    let names = RESERVED_POD_LABELS.map(|name| format!("'{name}'")).join(", ");
    Rule::new(format!("!self.exists(k, k.startsWith('proxima.dev/') || k in [{names}])")).message(
        "podLabels: use other keys than those of proxima.dev/ and app.kubernetes.io/name, instance, component and \
         managed-by, which the operator sets",
    )
}

fn no_reserved_annotations(field: &str) -> Rule {
    Rule::new("!self.exists(k, k.startsWith('proxima.dev/'))")
        .message(format!("{field}: use other keys than those of proxima.dev/, which the operator sets").as_str())
}

/// The cache of each edge.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeCache {
    /// Memory of each edge for stored responses, bookkeeping included, 1Mi to 16Ti. Absent: `256Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteQuantity>,
}

/// Compute resources of each edge.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = not_above("cpu", "cpu", |name| format!("string({name})")),
    validation = not_above("memory", "memory", |name| name),
    validation = not_above("ephemeral-storage", "ephemeral__dash__storage", |name| name),
)]
#[serde(rename_all = "camelCase")]
pub struct EdgeResources {
    /// What a node must have free to run an edge. What is absent here and present in `limits` is taken from there; else
    /// memory follows from the cache, and a small amount of cpu is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,

    /// What an edge may use at most. `memory` must be at least what the cache needs: its size, a quarter of it (at
    /// least 32Mi) for what is being sent, 15 % of both, and 64Mi. Absent: no limit on cpu; memory as the cache needs, or as requested where that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// A request above its limit cannot be met. What is no quantity passes: the scalar's own rule explains it. `text` makes
/// text of a name; for what is text already it must do nothing, since the API server loses sight of its length.
fn not_above(field: &str, escaped: &str, text: fn(String) -> String) -> Rule {
    let (request, limit) = (format!("self.requests.{escaped}"), format!("self.limits.{escaped}"));
    let given = format!("has(self.requests) && has(self.limits) && has({request}) && has({limit})");
    let (request, limit) = (text(request), text(limit));
    Rule::new(format!(
        "!({given}) || !isQuantity({request}) || !isQuantity({limit}) || \
         !quantity({request}).isGreaterThan(quantity({limit}))"
    ))
    .message(format!("resources: requests.{field} is above limits.{field}; lower it, or raise the limit").as_str())
}

/// An amount of each resource.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceAmounts {
    /// Processors: `2`, `0.5` or `500m`, up to 9999.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuQuantity>,

    /// Memory, `1Mi` to `16Ti`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteQuantity>,

    /// Space on the node's disk for logs and the edge's state file, `1Mi` to `16Ti`.
    #[serde(default, rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<ByteQuantity>,
}

/// A taint that is tolerated, as a Kubernetes pod has it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.key) || (has(self.operator) && self.operator == 'Exists')")
        .message("tolerations: give a key, or operator Exists to tolerate every taint"),
    validation = Rule::new("!has(self.value) || self.value == '' || !has(self.operator) || self.operator != 'Exists'")
        .message("tolerations: remove value, or use operator Equal; Exists looks at the key alone")
        .field_path(".value"),
    validation = Rule::new("!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')")
        .message("tolerations: remove tolerationSeconds, or use effect NoExecute, the only one that evicts")
        .field_path(".tolerationSeconds"),
)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key of the taint. Absent, with operator `Exists`: every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<LabelKey>,

    /// `Equal` compares key and value, `Exists` the key alone. Absent: `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,

    /// Value of the taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<LabelValue>,

    /// Effect of the taint: `NoSchedule`, `PreferNoSchedule` or `NoExecute`. Absent: every effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,

    /// How long an edge stays on a node that gets a taint with effect `NoExecute`, seconds. Absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub toleration_seconds: Option<i64>,
}

/// How a toleration is compared with a taint.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum TolerationOperator {
    /// Key and value are equal.
    Equal,
    /// The key is equal.
    Exists,
}

impl TolerationOperator {
    /// The name that Kubernetes has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "Equal",
            Self::Exists => "Exists",
        }
    }
}

/// What a taint does.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum TaintEffect {
    /// Pods do not come.
    NoSchedule,
    /// Pods come when nothing else is left.
    PreferNoSchedule,
    /// Pods do not come, and those there go.
    NoExecute,
}

impl TaintEffect {
    /// The name that Kubernetes has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// The Service through which viewers reach the edges of all zones.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeService {
    /// Type of the Service: `ClusterIP` for viewers inside the cluster, `NodePort` or `LoadBalancer` for those outside
    /// too. Absent: `ClusterIP`. A zone's own Service is always of type `ClusterIP`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ServiceType>,

    /// Annotations of the Service, as load balancers of clouds want them, at most 32 and together at most 128 KiB; none
    /// of `proxima.dev/`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = qualified_keys("annotations"), validation = no_reserved_annotations("annotations"))]
    pub annotations: BTreeMap<String, AnnotationValue>,
}

/// Type of a Service.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum ServiceType {
    /// Reached from inside the cluster.
    ClusterIP,
    /// Reached on a port of every node too.
    NodePort,
    /// Reached through a load balancer of the platform too.
    LoadBalancer,
}
