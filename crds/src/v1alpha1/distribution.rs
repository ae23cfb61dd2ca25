//! The kind `Distribution`: what a user asks for, and what the operator answers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{Behavior, CacheBehavior, Edge, Origin};
use crate::scalars::{Alias, ObjectPath, ZoneName};

/// Rule that the target origin of `defaultCacheBehavior` exists; see [`BEHAVIOR_ORIGINS_RULE`].
pub const DEFAULT_ORIGIN_RULE: &str = "self.origins.exists(o, o.name == self.defaultCacheBehavior.targetOrigin)";

/// Rule that every target origin of `cacheBehaviors` exists. The operator recognises it by this text and names the
/// behaviour that breaks it, which CEL cannot: the path in a rule's answer is fixed.
pub const BEHAVIOR_ORIGINS_RULE: &str =
    "!has(self.cacheBehaviors) || self.cacheBehaviors.all(b, self.origins.exists(o, o.name == b.targetOrigin))";

/// Rule that no two members of `cacheBehaviors` have the same path pattern; see [`BEHAVIOR_ORIGINS_RULE`].
pub const BEHAVIOR_PATTERNS_RULE: &str = "!has(self.cacheBehaviors) || self.cacheBehaviors.all(b, \
                                          self.cacheBehaviors.exists_one(o, o.pathPattern == b.pathPattern))";

/// What is delivered from where, how it is cached, and in which zones (CloudFront: `DistributionConfig`).
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "proxima.dev",
    version = "v1alpha1",
    kind = "Distribution",
    namespaced,
    status = "DistributionStatus",
    derive = "PartialEq",
    shortname = "dist",
    category = "proxima",
    doc = "A Distribution delivers the content of its origins from edge caches in every zone of the cluster. \
           Its fields are those of an Amazon CloudFront distribution, in the shape of Kubernetes.",
    cel,
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("metadata.name: use at most 40 characters, so that the names of the edges' objects fit"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name: use lower case letters, digits and '-', begin with a letter, do not end with '-'"),
    validation = Rule::new("!self.metadata.name.contains('-edge-') && !self.metadata.name.endsWith('-edge')")
        .message("metadata.name: do not use '-edge-' or end in '-edge', which mark the objects of the edges"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Deployed", type_ = "string", json_path = ".status.conditions[?(@.type==\"Deployed\")].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Edges", type_ = "string", json_path = ".status.edges"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Comment", type_ = "string", json_path = ".spec.comment", priority = 1)
)]
#[x_kube(
    validation = Rule::new(DEFAULT_ORIGIN_RULE)
        .message("defaultCacheBehavior.targetOrigin: use the name of one of spec.origins")
        .field_path(".defaultCacheBehavior.targetOrigin"),
    validation = Rule::new(BEHAVIOR_ORIGINS_RULE)
        .message("cacheBehaviors: every targetOrigin must be the name of one of spec.origins")
        .field_path(".cacheBehaviors"),
    validation = Rule::new(BEHAVIOR_PATTERNS_RULE)
        .message("cacheBehaviors: every pathPattern must be there once only; the first would always win")
        .field_path(".cacheBehaviors"),
)]
#[serde(rename_all = "camelCase")]
pub struct DistributionSpec {
    /// Whether viewers are served. While false, edges stay and answer every request with 403. CloudFront: `Enabled`.
    #[serde(default = "enabled")]
    pub enabled: bool,

    /// A note for people, at most 128 characters, shown by `kubectl get -o wide`. CloudFront: `Comment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub comment: Option<String>,

    /// Host names under which viewers come, in lower case; `*.example.com` stands for every name below example.com. Of
    /// several that match, the most specific applies. Without aliases any Host is answered; with them all others get
    /// 403, but for the names of the edges' own Services. At most 256. CloudFront: `Aliases`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub aliases: Vec<Alias>,

    /// What is served for `/`: a path without leading slash such as `index.html`. CloudFront: `DefaultRootObject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_root_object: Option<ObjectPath>,

    /// Servers that the content comes from, 1 to 128. CloudFront: `Origins`.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub origins: Vec<Origin>,

    /// Applies where no path pattern of `cacheBehaviors` matches. CloudFront: `DefaultCacheBehavior`.
    pub default_cache_behavior: Behavior,

    /// Tried in this order; the first whose path pattern matches applies. At most 256. CloudFront: `CacheBehaviors`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub cache_behaviors: Vec<CacheBehavior>,

    /// Zones that get edges, at most 128. Absent: every zone in which the cluster has nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub zones: Option<Vec<Zone>>,

    /// Size, number and place of the edges, and the Services in front of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Edge>,
}

fn enabled() -> bool {
    true
}

/// A zone that gets edges.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Zone {
    /// Name of the zone: the value of its nodes' label `topology.kubernetes.io/zone`.
    pub name: ZoneName,

    /// Edges in this zone, 1 to 1000. Absent: `edge.replicasPerZone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<u32>,
}

/// What the operator saw and did.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DistributionStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Accepted`: the specification is valid. `Deployed`: every edge serves it. `Ready`: viewers are served in every
    /// zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The revision that edges are told to serve: the last generation that was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,

    /// Name under which viewers inside the cluster reach the edges. CloudFront: `DomainName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<String>,

    /// Where viewers reach the edges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub addresses: Vec<Address>,

    /// Edges that serve the revision, and edges wanted, such as `4/4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edges: Option<String>,

    /// The same by zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub zones: Vec<ZoneStatus>,
}

/// Where viewers reach the edges.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// What kind of address this is: `Hostname` or `IPAddress`.
    #[serde(rename = "type")]
    pub kind: AddressType,
    /// The name or address; local mode adds the port.
    pub value: String,
}

/// What kind of address an [`Address`] is.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum AddressType {
    /// A DNS name.
    Hostname,
    /// An IPv4 or IPv6 address.
    IPAddress,
}

/// The edges of one zone.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneStatus {
    /// Name of the zone.
    pub name: String,
    /// Edges wanted.
    pub desired: u32,
    /// Edges that answer viewers.
    pub ready: u32,
    /// Edges that serve the revision.
    pub configured: u32,
    /// The oldest revision that an edge of the zone serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}
