//! Stage three: what shall exist for a valid Distribution. Pure and total: everything that can fail failed before.

use proxima_edge_core::edge_config::EdgeConfig;
use proxima_edge_core::link::content_hash;

use super::gather::ObjectName;
use super::validate::Validated;
use crate::args::{EdgeSettings, Placement};

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
    let zones = zones(&validated, placement);
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

/// The command line wins over the Distribution, that over the defaults; a zone's own number over that for all zones.
fn zones(validated: &Validated, placement: &Placement) -> Vec<DesiredZone> {
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
