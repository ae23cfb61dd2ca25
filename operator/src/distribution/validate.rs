//! The judgement of one Distribution: every problem that it has, or what later stages need of it.
//!
//! Checks in an order in which each can rely on those before it: shape, rules of the resource definition, references
//! between fields and to Services, the edge's own compiler. The first two stop at their end when they found something,
//! as the API server does; all problems of a step are reported at once. Nothing after this stage can be refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use kube::ResourceExt;
use proxima_crds::{
    conditions::Reason,
    v1alpha1::{API_VERSION, Distribution},
};
use proxima_edge_core::{edge_config::EdgeConfig, plan::Plan};
use serde_json::Value;
use uuid::Uuid;

use super::{
    manifest::Lines,
    schema::{self, Fault},
    translate::{Identity, translate},
};

mod edge_fields;
mod references;
mod rules;

/// Where a document stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Path of the file, as it was given.
    pub file: String,
    /// Number of the document in the file, from 1.
    pub document: usize,
    /// First line of the document in the file, from 1.
    pub line: usize,
}

/// A Kubernetes Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What judgement needs to know besides the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// DNS domain of the cluster, such as `cluster.local`.
    pub cluster_domain: String,
    /// Where to connect, `HOST:PORT`, instead of resolving a Service.
    pub services: BTreeMap<ServiceName, String>,
    /// There is no cluster: every Service has to be in `services`, and viewers come to this machine by loopback names.
    pub local: bool,
}

/// An object and all that its judgement needs.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// Where it stands.
    pub source: Source,
    /// The whole manifest document.
    pub value: Value,
    /// Its text, to find the lines of fields; may be empty.
    pub text: String,
    /// What else judgement needs.
    pub settings: Settings,
}

/// What later stages need of a valid Distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated {
    /// Name of the object.
    pub name: String,
    /// Its namespace; `default` when the manifest names none.
    pub namespace: String,
    /// Its uid; where no API server gave it one, made from namespace and name.
    pub uid: String,
    /// What edges are told, proven by [`Plan::compile`].
    pub config: EdgeConfig,
    /// Zones that are asked for. Absent: all there are.
    pub zones: Option<Vec<WantedZone>>,
    /// Edges in a zone that does not say otherwise.
    pub replicas_per_zone: Option<u32>,
    /// Whether viewers are served.
    pub enabled: bool,
    /// What pods of edges are given. Only a cluster has pods.
    pub pods: PodFields,
    /// The Services in front of them.
    pub service: ServiceFields,
}

/// What the user gives to the pods of edges, beyond what all of them have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodFields {
    /// Requests and limits of the edge's container; what is absent follows from the cache.
    pub resources: ResourceRequirements,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that a node may have.
    pub tolerations: Vec<Toleration>,
    /// Labels beside our own.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Name of a PriorityClass.
    pub priority_class_name: Option<String>,
}

/// The Services in front of the edges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFields {
    /// What kind of Service.
    pub kind: ServiceKind,
    /// Annotations of each, as load balancers of clouds want them.
    pub annotations: BTreeMap<String, String>,
}

/// What kind of Service is in front of the edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceKind {
    /// Reached from inside the cluster.
    #[default]
    ClusterIp,
    /// Reached on a port of every node too.
    NodePort,
    /// Reached through a load balancer of the platform too.
    LoadBalancer,
}

impl ServiceKind {
    /// The name that the API has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// A zone that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedZone {
    /// Its name.
    pub name: String,
    /// Edges in it.
    pub replicas: Option<u32>,
}

/// Something wrong, in words for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of thing is wrong.
    pub reason: Reason,
    /// Path such as `spec.origins[0].http.host`; empty when it is about the whole.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// Line in the file.
    pub line: Option<usize>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.field.as_str(), self.line) {
            ("", _) => formatter.write_str(&self.message),
            (field, None) => write!(formatter, "{field}: {}", self.message),
            (field, Some(line)) => write!(formatter, "line {line}: {field}: {}", self.message),
        }
    }
}

/// The schema that manifests are checked against.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let definitions = serde_json::to_value(proxima_crds::all()).expect("resource definitions are plain data");
    definitions[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
});

/// Judges one Distribution.
pub fn validate(gathered: &Gathered) -> Result<Validated, Vec<Problem>> {
    judge(gathered).map_err(|faults| located(gathered, faults))
}

fn judge(gathered: &Gathered) -> Result<Validated, Vec<Fault>> {
    let object = shaped(&gathered.value)?;
    let who = identity(&object);
    none_of(rules::check(&object))?;
    none_of(references::check(&object.spec, &who, &gathered.settings))?;
    let config = translate(&object.spec, &who, &gathered.settings)?;
    Plan::compile(&config).map_err(|problems| {
        problems.iter().map(|problem| edge_fields::fault(problem, &object.spec)).collect::<Vec<_>>()
    })?;
    let Distribution { spec, .. } = object;
    Ok(Validated {
        name: who.name,
        namespace: who.namespace,
        uid: who.uid,
        config,
        zones: spec.zones.map(|zones| {
            zones.iter().map(|zone| WantedZone { name: zone.name.to_string(), replicas: zone.replicas }).collect()
        }),
        replicas_per_zone: spec.edge.and_then(|edge| edge.replicas_per_zone),
        enabled: spec.enabled,
        pods: PodFields::default(),
        service: ServiceFields::default(),
    })
}

/// The object, when its shape is right.
fn shaped(value: &Value) -> Result<Distribution, Vec<Fault>> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("apiVersion") != API_VERSION || text("kind") != "Distribution" {
        let message = format!(
            "cannot judge a {:?} of {:?}; this build knows Distribution of {API_VERSION}",
            text("kind"),
            text("apiVersion")
        );
        return Err(vec![Fault::new(Reason::UnknownKind, "kind", message)]);
    }
    none_of(schema::check(&SCHEMA, value))?;
    let mut value = value.clone();
    if let Some(members) = value.as_object_mut() {
        // A status in a manifest is what `kubectl get -o yaml` printed once; only the operator writes it.
        members.remove("status");
    }
    serde_json::from_value(value)
        .map_err(|error| vec![Fault::new(Reason::WrongType, "", format!("cannot read the object: {error}"))])
}

fn none_of(faults: Vec<Fault>) -> Result<(), Vec<Fault>> {
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn identity(object: &Distribution) -> Identity {
    let name = object.name_any();
    let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
    let uid = object.uid().unwrap_or_else(|| {
        Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{API_VERSION}/{namespace}/{name}").as_bytes()).to_string()
    });
    Identity { namespace, name, uid }
}

fn located(gathered: &Gathered, faults: Vec<Fault>) -> Vec<Problem> {
    let lines = Lines::of(&gathered.text);
    let mut problems: Vec<Problem> = faults
        .into_iter()
        .map(|Fault { reason, field, message }| {
            let line = lines.find(&field).map(|line| gathered.source.line.max(1) + line - 1);
            Problem { reason, field, message, line }
        })
        .collect();
    problems.sort_by_key(|problem| problem.line);
    problems
}

#[cfg(test)]
mod tests;
