//! From `kubectl apply` to hits in every zone.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::release::{Release, distribution};
use crate::site::{Site, x_cache};

#[tokio::test]
async fn every_zone_serves_from_edges_of_its_own_and_asks_the_origin_once() {
    let mut release = Release::take("serving").await;
    let namespace = &*release.own_namespace("serving").await;
    let site = Site { release: &release, namespace, name: "shop" };
    release.start_origin(namespace, "site", 1).await;
    let manifest = distribution(site.name, &json!({"edge": {"replicasPerZone": 1}}));
    let said = release.apply_in(namespace, &manifest).await.ok();
    assert!(said.contains("created"), "{said}");
    site.holds("Ready").await;
    site.holds("Deployed").await;

    let zones = release.zones().await;
    edges_are_in_their_zones(&site, &zones).await;
    for zone in &zones {
        let base = site.zone_url(zone).await;
        site.opens(&base).await;
        let url = format!("{base}/page");
        let answers: Vec<_> = site.get(&url, 2).await.iter().map(x_cache).collect();
        assert_eq!(answers, ["Miss", "Hit"], "zone {zone}");
    }
    assert_eq!(site.origin_requests().await, zones.len() as u64, "one for each zone");

    site.change(&json!({"spec": {"edge": {"replicasPerZone": 2}}})).await;
    site.holds("Ready").await;
    for zone in &zones {
        let url = format!("{}/page", site.zone_url(zone).await);
        let answers: BTreeSet<_> = site.get(&url, 50).await.iter().map(x_cache).collect();
        assert!(answers.contains("Hit"), "zone {zone}: {answers:?}");
    }
    let more = site.origin_requests().await - zones.len() as u64;
    assert!(more <= zones.len() as u64, "{more} more requests of {} new edges", zones.len());
    println!("  {more} more requests to the origin of {} new edges", zones.len());
    pods_are_restricted(&site, zones.len()).await;
}

/// One Deployment for each zone, and every edge on a node of the zone that it claims to be in.
async fn edges_are_in_their_zones(site: &Site<'_>, zones: &[String]) {
    let label = format!("proxima.dev/distribution={}", site.name);
    let deployments = site.release.objects(site.namespace, "deployments", &label).await;
    let zone_of = |object: &Value| object["metadata"]["labels"]["proxima.dev/zone"].as_str().unwrap().to_owned();
    let mut found: Vec<_> = deployments.iter().map(zone_of).collect();
    found.sort();
    assert_eq!(found, zones);
    let edges = site.edges().await;
    assert_eq!(edges.len(), zones.len());
    for edge in edges {
        let node = site.release.object("default", "node", &edge.node).await;
        let zone = &node["metadata"]["labels"]["topology.kubernetes.io/zone"];
        assert_eq!(zone, &*edge.zone, "{} is on {}", edge.name, edge.node);
    }
}

/// The namespace enforces the level already; a Deployment that asks for less is also warned of, and ours is not.
async fn pods_are_restricted(site: &Site<'_>, count: usize) {
    let label = format!("proxima.dev/distribution={}", site.name);
    let deployments = site.release.objects(site.namespace, "deployments", &label).await;
    assert_eq!(deployments.len(), count);
    let create = ["create", "--dry-run=server", "-n", site.namespace, "-f", "-"];
    for deployment in &deployments {
        let mut copy = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "copy"}, "spec": deployment["spec"],
        });
        let ran = site.release.kubectl_reading(&copy.to_string(), &create).await;
        assert!(ran.status.success() && !ran.stderr.contains("PodSecurity"), "{}", ran.stderr);
        copy["spec"]["template"]["spec"]["hostNetwork"] = true.into();
        let ran = site.release.kubectl_reading(&copy.to_string(), &create).await;
        assert!(ran.stderr.contains("PodSecurity"), "what is not restricted is warned of: {}", ran.stderr);
    }
}
