//! Changes reach running edges, and the status says which have them.

use std::collections::BTreeSet;

use proxima_tests::process::send_signal;
use serde_json::{Value, json};

use crate::release::{Release, distribution, eventually};
use crate::site::{EdgePod, Site, condition};

/// A behaviour that never keeps what is below `/api/`.
fn api_is_not_kept() -> Value {
    json!({"spec": {"cacheBehaviors": [
        {"pathPattern": "/api/*", "targetOrigin": "site", "cachePolicy": {"managed": "CachingDisabled"}},
    ]}})
}

/// Keeps nothing for longer than so many seconds.
fn longest(seconds: u32) -> Value {
    let ttl = format!("{seconds}s");
    let inline = json!({"basedOn": "CachingOptimized", "ttl": {"min": "0s", "default": ttl, "max": ttl}});
    json!({"spec": {"defaultCacheBehavior": {"cachePolicy": {"managed": null, "inline": inline}}}})
}

/// Every zone of a status says that all its edges have the revision.
fn zones_follow(object: &Value) -> bool {
    let status = &object["status"];
    let zones = status["zones"].as_array().unwrap();
    zones.iter().all(|zone| zone["configured"] == zone["desired"] && zone["revision"] == status["revision"])
}

fn identities(edges: &[EdgePod]) -> Vec<(String, u64)> {
    edges.iter().map(EdgePod::identity).collect()
}

#[tokio::test]
async fn a_behaviour_and_a_ttl_change_on_all_edges_without_a_restart() {
    let mut release = Release::take("live changes").await;
    let namespace = &*release.own_namespace("live").await;
    let site = Site { release: &release, namespace, name: "shop" };
    release.start_origin(namespace, "site", 1).await;
    release.apply_in(namespace, &distribution(site.name, &json!({}))).await.ok();
    let first = site.holds("Deployed").await;
    let edges = site.edges().await;
    assert_eq!(edges.len(), 2 * release.zones().await.len());
    for edge in &edges {
        assert_eq!(site.twice(edge, "/api/list").await, ["Miss", "Hit"], "{}", edge.name);
        assert_eq!(site.twice(edge, "/page").await, ["Miss", "Hit"], "{}", edge.name);
    }

    let second = site.change(&api_is_not_kept()).await;
    assert!(zones_follow(&second), "{:#}", second["status"]);
    assert_ne!(first["status"]["revision"], second["status"]["revision"]);
    for edge in &edges {
        let api = site.twice(edge, "/api/list").await;
        assert!(!api.contains(&"Hit".to_owned()), "{}: {api:?}", edge.name);
        assert_eq!(site.twice(edge, "/page").await, ["Hit", "Hit"], "what was stored before is still there");
    }

    let third = site.change(&longest(0)).await;
    assert!(zones_follow(&third), "{:#}", third["status"]);
    assert_ne!(second["status"]["revision"], third["status"]["revision"]);
    for edge in &edges {
        let page = site.twice(edge, "/page").await;
        assert!(!page.contains(&"Hit".to_owned()), "a TTL holds for what is stored: {}: {page:?}", edge.name);
    }
    assert_eq!(identities(&edges), identities(&site.edges().await), "the same pods, never restarted");
}

#[tokio::test]
async fn an_edge_that_hangs_is_named_by_deployed_while_ready_stays_true() {
    let mut release = Release::take("an edge that hangs").await;
    if !release.is_ours() {
        eprintln!("skipped: the processes of another's cluster cannot be reached");
        return;
    }
    let namespace = &*release.own_namespace("hang").await;
    let site = Site { release: &release, namespace, name: "shop" };
    release.start_origin(namespace, "site", 1).await;
    let zone = release.zones().await.remove(0);
    release.apply_in(namespace, &distribution(site.name, &json!({"zones": [{"name": zone}]}))).await.ok();
    site.holds("Deployed").await;
    let edges = site.edges().await;
    let hanging = &edges[0];

    send_signal(hanging.process(), "STOP");
    release.patch(namespace, site.name, &longest(30)).await;
    let status = site
        .shows("Deployed is False and names the zone", |object| {
            condition(object, "Deployed").is_some_and(|(status, reason, message)| {
                status == "False" && reason == "EdgesUnreachable" && message.contains(&zone)
            })
        })
        .await;
    let (_, _, message) = condition(&status, "Deployed").unwrap();
    assert!(message.contains(&hanging.name), "{message}");
    println!("  {message}");
    let mut readiness = BTreeSet::new();
    eventually("the kubelet sends viewers elsewhere", async || {
        readiness.insert(condition(&site.object().await, "Ready").map(|(status, ..)| status));
        let ready = site.edges().await.iter().filter(|edge| edge.ready).count();
        if ready == 1 { Ok(()) } else { Err(format!("{ready} ready")) }
    })
    .await;
    readiness.insert(condition(&site.object().await, "Ready").map(|(status, ..)| status));
    assert_eq!(readiness, BTreeSet::from([Some("True".to_owned())]), "the other edge of the zone serves");

    send_signal(hanging.process(), "CONT");
    let status = site.holds("Deployed").await;
    assert!(zones_follow(&status), "{:#}", status["status"]);
    assert_eq!(identities(&edges), identities(&site.edges().await), "it was never restarted");
}
