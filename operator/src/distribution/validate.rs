//! The judgement of one Distribution: every problem that it has, or what later stages need of it.
//!
//! Three steps, each of which can rely on those before it: the object's shape; everything that it says about itself and
//! about other objects; the edge's own compiler. All problems of a step are reported at once, and a wrong shape that can
//! be read nevertheless does not hold up the second step. Nothing after this stage can be refused.

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

pub(super) mod ca_bundle;
mod edge_fields;
mod pods;
mod references;
mod rules;
mod size;

/// Where a document stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The Services that origins may be.
    pub services: Services,
    /// Data of the ConfigMaps in the Distribution's namespace that it refers to and that exist, by name.
    pub ca_bundles: BTreeMap<String, BTreeMap<String, String>>,
}

impl Settings {
    /// There is no cluster, and viewers come to this machine by loopback names.
    pub fn is_local(&self) -> bool {
        matches!(self.services, Services::Local(_))
    }
}

/// The Services that origins may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Services {
    /// There is no cluster: where on this machine each is, `HOST:PORT`.
    Local(BTreeMap<ServiceName, String>),
    /// Those of the cluster that the Distribution refers to and that exist.
    Cluster(BTreeMap<ServiceName, ServiceFacts>),
}

/// What judgement needs to know of a Service of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Numbers of its TCP ports.
    pub ports: Vec<u16>,
    /// It is of type ExternalName: a name for some host, reached on whatever port that host has.
    pub external_name: bool,
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
    /// What kind of Service is in front of all edges. Those of single zones are of the cluster alone.
    pub kind: ServiceKind,
    /// Its annotations, as load balancers of clouds want them.
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
    /// The kind that the API calls so.
    pub fn named(name: &str) -> Option<Self> {
        [Self::ClusterIp, Self::NodePort, Self::LoadBalancer].into_iter().find(|kind| kind.as_str() == name)
    }

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

/// The definition's schema.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let definitions = serde_json::to_value(proxima_crds::all()).expect("resource definitions are plain data");
    definitions[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
});

/// The same, and what every object has: what manifests are checked against.
static SHAPE: LazyLock<Value> = LazyLock::new(|| schema::of_object(&SCHEMA));

/// Judges one Distribution.
pub fn validate(gathered: &Gathered) -> Result<Validated, Vec<Problem>> {
    judge(gathered).map_err(|faults| located(gathered, faults))
}

fn judge(gathered: &Gathered) -> Result<Validated, Vec<Fault>> {
    let (object, mut faults) = shaped(&gathered.value)?;
    let who = identity(&object);
    for found in [
        rules::check(&object),
        references::check(&object.spec, &who, &gathered.settings),
        pods::check(object.spec.edge.as_ref()),
    ] {
        add_new(&mut faults, found);
    }
    none_of(faults)?;
    let config = translate(&object.spec, &who, &gathered.settings)?;
    Plan::compile(&config).map_err(|problems| {
        problems.iter().map(|problem| edge_fields::fault(problem, &object.spec)).collect::<Vec<_>>()
    })?;
    none_of(Vec::from_iter(size::check(&config)))?;
    let Distribution { spec, .. } = object;
    let edge = spec.edge.as_ref();
    Ok(Validated {
        name: who.name,
        namespace: who.namespace,
        uid: who.uid,
        config,
        zones: spec.zones.map(|zones| {
            zones.iter().map(|zone| WantedZone { name: zone.name.to_string(), replicas: zone.replicas }).collect()
        }),
        replicas_per_zone: edge.and_then(|edge| edge.replicas_per_zone),
        enabled: spec.enabled,
        pods: pods::pod_fields(edge),
        service: pods::service_fields(edge),
    })
}

/// The object, when its shape is right enough to read it, and what is wrong with its shape all the same.
fn shaped(value: &Value) -> Result<(Distribution, Vec<Fault>), Vec<Fault>> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("apiVersion") != API_VERSION || text("kind") != "Distribution" {
        let message = format!(
            "cannot judge a {:?} of {:?}; this build knows Distribution of {API_VERSION}",
            text("kind"),
            text("apiVersion")
        );
        return Err(vec![Fault::new(Reason::UnknownKind, "kind", message)]);
    }
    let mut value = schema::without_nulls(&SHAPE, value);
    let faults = schema::check(&SHAPE, &value);
    // What is there too much does not change what the rest means. Lists that are too long could keep rules busy.
    if !faults.iter().all(|fault| matches!(fault.reason, Reason::UnknownField | Reason::DuplicateItem)) {
        return Err(faults);
    }
    if let Some(members) = value.as_object_mut() {
        // A status in a manifest is what `kubectl get -o yaml` printed once; only the operator writes it.
        members.remove("status");
    }
    match serde_json::from_value(value) {
        Ok(object) => Ok((object, faults)),
        Err(_) if !faults.is_empty() => Err(faults),
        Err(error) => Err(vec![Fault::new(Reason::WrongType, "", format!("cannot read the object: {error}"))]),
    }
}

/// Adds what is found and not said yet: a broken name is not missing as well, and an item that is there twice needs no
/// word about its parts.
fn add_new(faults: &mut Vec<Fault>, found: Vec<Fault>) {
    let said = faults.clone();
    let is_new = |fault: &Fault| {
        !said.iter().any(|earlier| match fault.field.strip_prefix(&earlier.field) {
            Some("") => true,
            Some(rest) => rest.starts_with('.') && earlier.reason == fault.reason,
            None => false,
        })
    };
    faults.extend(found.into_iter().filter(is_new));
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
