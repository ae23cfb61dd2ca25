//! Stage three: what shall exist for a valid Distribution. Pure and total: everything that can fail failed before.
//!
//! [`build`] is for local mode, [`build_cluster`] for a cluster. They share what edges serve and which zones have how
//! many ([`desired_zones`]); what runs the edges differs.

pub mod boot_config;
mod deployment;
mod disruption_budget;
pub mod drift;
pub mod pod;
mod service;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use proxima_crds::v1alpha1::API_VERSION;
use proxima_edge_core::edge_config::EdgeConfig;
use proxima_edge_core::link::content_hash;

pub use self::service::traffic_distribution;
use super::gather::ObjectName;
use super::validate::Validated;
use crate::args::{EdgeSettings, Placement};
use crate::limits;

/// All that shall exist for one Distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The Distribution.
    pub distribution: ObjectName,
    /// Its uid.
    pub uid: String,
    /// What its edges serve; goes into the boot copy and over the link.
    pub config: EdgeConfig,
    /// Content hash of `config`.
    pub hash: String,
    /// Zones, in the order wanted.
    pub zones: Vec<DesiredZone>,
    /// Edges, by zone and replica.
    pub edges: Vec<EdgeProcess>,
}

/// A zone and how many edges it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredZone {
    /// Its name.
    pub name: String,
    /// Edges in it.
    pub replicas: u32,
}

/// One edge of a Distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeProcess {
    /// Unique over all Distributions.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Counts from 0 within the zone.
    pub replica: u32,
    /// Arguments that do not depend on where it will run.
    pub args: Vec<String>,
}

/// What shall exist for `validated`.
pub fn build(validated: Validated, placement: &Placement, edge: &EdgeSettings) -> Desired {
    let zones = desired_zones(&validated, placement);
    let distribution = ObjectName { namespace: validated.namespace, name: validated.name };
    let edges = zones
        .iter()
        .flat_map(|zone| (0..zone.replicas).map(|replica| edge_process(&distribution, &zone.name, replica, edge)));
    Desired {
        edges: edges.collect(),
        distribution: distribution.clone(),
        uid: validated.uid,
        hash: content_hash(&validated.config),
        config: validated.config,
        zones,
    }
}

/// The zones of a Distribution and the edges in each. The command line wins over the Distribution, that over the
/// defaults; a zone's own number over that for all zones.
pub fn desired_zones(validated: &Validated, placement: &Placement) -> Vec<DesiredZone> {
    let replicas_of = |own: Option<u32>| {
        placement.replicas.or(own).or(validated.replicas_per_zone).unwrap_or(placement.default_replicas)
    };
    let named = |zones: &[String]| {
        let zone = |name: &String| DesiredZone { name: name.clone(), replicas: replicas_of(None) };
        zones.iter().map(zone).collect()
    };
    match (&placement.zones, &validated.zones) {
        (Some(zones), _) => named(zones),
        (None, Some(zones)) => zones
            .iter()
            .map(|zone| DesiredZone { name: zone.name.clone(), replicas: replicas_of(zone.replicas) })
            .collect(),
        (None, None) => named(&placement.default_zones),
    }
}

fn edge_process(distribution: &ObjectName, zone: &str, replica: u32, edge: &EdgeSettings) -> EdgeProcess {
    // A pod name and its namespace, in the letters that a host name may have: the edge puts it into Via.
    let name = format!("{}.{}-edge-{zone}-{replica}", distribution.namespace, distribution.name);
    let access_log = if edge.access_log { "stdout" } else { "none" };
    let args = [
        ("--threads", edge.threads.to_string()),
        ("--zone", zone.to_owned()),
        ("--name", name.clone()),
        ("--access-log", access_log.to_owned()),
    ];
    let mut args: Vec<String> = args.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
    // Origins of a local run are on this machine, and its edges must not outlive it.
    args.extend(["--allow-loopback-origins".to_owned(), "--exit-with-stdin".to_owned()]);
    EdgeProcess { name, zone: zone.to_owned(), replica, args }
}

/// What the operator of a cluster is told about edges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Their image. Not the user's to choose: who may write a Distribution must not choose what runs.
    pub edge_image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
    /// Names of Secrets to pull it with, in the Distribution's namespace.
    pub pull_secrets: Vec<String>,
    /// Whether edges write an access log to their standard output.
    pub access_log: bool,
    /// Filter for the edges' own logs.
    pub log: String,
    /// See [`traffic_distribution`].
    pub traffic_distribution: Option<&'static str>,
}

/// All that shall exist for one Distribution in a cluster, but for its boot copy ([`boot_config`]), whose revision only
/// `apply` knows.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterDesired {
    /// The Distribution.
    pub distribution: ObjectName,
    /// Its uid.
    pub uid: String,
    /// The reference to it that every object carries: what the garbage collector goes by.
    pub owner: OwnerReference,
    /// What its edges serve.
    pub config: EdgeConfig,
    /// Content hash of `config`.
    pub hash: String,
    /// The Service in front of all edges.
    pub service: Service,
    /// What each zone has, in the order wanted.
    pub zones: Vec<ZoneObjects>,
}

/// What one zone has.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneObjects {
    /// The zone.
    pub zone: DesiredZone,
    /// Its edges.
    pub deployment: Deployment,
    /// The Service in front of them.
    pub service: Service,
    /// What keeps drains from taking all of them at once.
    pub disruption_budget: Option<PodDisruptionBudget>,
}

/// Where an object belongs.
struct Site<'a> {
    object: &'a ObjectName,
    owner: &'a OwnerReference,
}

impl Site<'_> {
    fn metadata(&self, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
        metadata(self.object, name, labels, self.owner)
    }
}

fn metadata(
    distribution: &ObjectName,
    name: String,
    labels: BTreeMap<String, String>,
    owner: &OwnerReference,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(distribution.namespace.clone()),
        labels: Some(labels),
        owner_references: Some(vec![owner.clone()]),
        ..Default::default()
    }
}

/// The zones of a Distribution in a cluster: those that it names, else those `found`.
pub fn cluster_zones(validated: &Validated, found: Vec<String>) -> Vec<DesiredZone> {
    let placement =
        Placement { zones: None, default_zones: found, replicas: None, default_replicas: limits::EDGES_PER_ZONE };
    desired_zones(validated, &placement)
}

/// The reference by which an object belongs to the Distribution of this name and uid.
pub fn owner_reference(name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: "Distribution".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// What shall exist for `validated` in these zones of a cluster.
pub fn build_cluster(validated: &Validated, zones: &[DesiredZone], settings: &ClusterSettings) -> ClusterDesired {
    let Validated { name, namespace, uid, config, pods, service, .. } = validated;
    let distribution = ObjectName { namespace: namespace.clone(), name: name.clone() };
    let owner = owner_reference(name, uid);
    let site = Site { object: &distribution, owner: &owner };
    let edge = pod::Edge { fields: pods, cache: config.cache.memory, settings };
    let of_zone = |zone: &DesiredZone| ZoneObjects {
        zone: zone.clone(),
        deployment: deployment::deployment(&site, zone, &edge),
        service: service::one_zone(&site, &zone.name),
        disruption_budget: disruption_budget::disruption_budget(&site, zone),
    };
    ClusterDesired {
        uid: uid.clone(),
        config: config.clone(),
        hash: content_hash(config),
        service: service::all_zones(&site, service, settings),
        zones: zones.iter().map(of_zone).collect(),
        owner: owner.clone(),
        distribution: distribution.clone(),
    }
}

#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::validate::{PodFields, ServiceFields, WantedZone};
    use super::*;

    fn validated(zones: Option<&[(&str, Option<u32>)]>, replicas: Option<u32>) -> Validated {
        let zone =
            |(name, replicas): &(&str, Option<u32>)| WantedZone { name: (*name).to_owned(), replicas: *replicas };
        Validated {
            name: "shop".to_owned(),
            namespace: "web".to_owned(),
            uid: "u".to_owned(),
            config: EdgeConfig { requires: vec![], cache: Default::default(), distributions: vec![] },
            zones: zones.map(|zones| zones.iter().map(zone).collect()),
            replicas_per_zone: replicas,
            enabled: true,
            pods: PodFields::default(),
            service: ServiceFields::default(),
        }
    }

    fn placement(zones: Option<&[&str]>, replicas: Option<u32>) -> Placement {
        let text = |zones: &[&str]| zones.iter().map(|zone| (*zone).to_owned()).collect();
        Placement { zones: zones.map(text), default_zones: text(&["a", "b", "c"]), replicas, default_replicas: 1 }
    }

    fn edge() -> EdgeSettings {
        EdgeSettings { binary: PathBuf::from("edge"), threads: 2, access_log: false, log: "warn".to_owned() }
    }

    fn check(validated: Validated, placement: &Placement, expected: &[(&str, u32)]) {
        let desired = build(validated, placement, &edge());
        let zones: Vec<_> = desired.zones.iter().map(|zone| (zone.name.as_str(), zone.replicas)).collect();
        assert_eq!(zones, expected);
        let edges =
            desired.zones.iter().flat_map(|zone| (0..zone.replicas).map(|replica| (zone.name.clone(), replica)));
        let built = desired.edges.iter().map(|edge| (edge.zone.clone(), edge.replica));
        assert!(built.eq(edges), "{:?}", desired.edges);
    }

    #[test]
    fn without_a_word_there_are_three_zones_with_one_edge_each() {
        check(validated(None, None), &placement(None, None), &[("a", 1), ("b", 1), ("c", 1)]);
    }

    #[test]
    fn the_distribution_wins_over_the_defaults_and_a_zone_over_the_distribution() {
        let wanted = validated(Some(&[("x", Some(3)), ("y", None)]), Some(2));
        check(wanted, &placement(None, None), &[("x", 3), ("y", 2)]);
    }

    #[test]
    fn the_command_line_wins_over_the_distribution() {
        let wanted = validated(Some(&[("x", Some(3)), ("y", None)]), Some(2));
        check(wanted.clone(), &placement(Some(&["p"]), None), &[("p", 2)]);
        check(wanted, &placement(None, Some(1)), &[("x", 1), ("y", 1)]);
    }

    #[test]
    fn an_edge_is_told_who_it_is_and_dies_with_its_operator() {
        let desired = build(validated(None, None), &placement(Some(&["a"]), None), &edge());
        let [edge] = &desired.edges[..] else { panic!("one edge") };
        assert_eq!(edge.name, "web.shop-edge-a-0");
        assert_eq!(
            edge.args.join(" "),
            "--threads 2 --zone a --name web.shop-edge-a-0 --access-log none --allow-loopback-origins --exit-with-stdin"
        );
    }

    #[test]
    fn edges_of_different_distributions_have_different_names() {
        let mut other = validated(None, None);
        other.namespace = "dev".to_owned();
        let names = |validated| -> Vec<_> {
            build(validated, &placement(None, None), &edge()).edges.into_iter().map(|edge| edge.name).collect()
        };
        let other = names(other);
        assert!(names(validated(None, None)).iter().all(|name| !other.contains(name)));
    }
}
