//! Without the operator edges serve, start and come back; and when it returns it changes nothing.

use futures::StreamExt;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use proxima_crds::v1alpha1::Distribution;
use proxima_tests::process::send_signal;
use serde_json::json;
use tokio::sync::mpsc;

use crate::release::{ACCOUNT, Release, distribution, eventually};
use crate::site::{EdgePod, Site, x_cache};

/// Every status that is shown from now on, as the sums of desired, ready and configured edges.
async fn counts_shown(site: &Site<'_>) -> mpsc::UnboundedReceiver<(u32, u32, u32)> {
    let objects: Api<Distribution> = Api::namespaced(site.release.client().await, site.namespace);
    let version = site.object().await["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let only = WatchParams::default().fields(&format!("metadata.name={}", site.name)).timeout(290);
    let mut changes = objects.watch(&only, &version).await.expect("Distributions can be watched").boxed();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(WatchEvent::Modified(object))) = changes.next().await {
            let zones = object.status.unwrap_or_default().zones;
            let sum = |field: fn(&proxima_crds::v1alpha1::ZoneStatus) -> u32| zones.iter().map(field).sum();
            let _ = sender.send((sum(|zone| zone.desired), sum(|zone| zone.ready), sum(|zone| zone.configured)));
        }
    });
    receiver
}

/// Waits until all edges are ready, and returns them.
async fn ready_edges(site: &Site<'_>, what: &str, count: usize, is: impl Fn(&[EdgePod]) -> bool) -> Vec<EdgePod> {
    eventually(what, async || {
        let edges = site.edges().await;
        let ready = edges.len() == count && edges.iter().all(|edge| edge.ready);
        if ready && is(&edges) { Ok(edges) } else { Err(format!("{edges:#?}")) }
    })
    .await
}

async fn api_is_not_kept_by(site: &Site<'_>, edge: &EdgePod) {
    let path = "/api/list";
    assert!(!site.twice(edge, path).await.contains(&"Hit".to_owned()), "{} has the change", edge.name);
}

#[tokio::test]
async fn edges_serve_start_and_come_back_without_the_operator_which_then_returns_quietly() {
    let mut release = Release::take("operator down").await;
    if !release.is_ours() {
        eprintln!("skipped: neither processes nor the audit log of another's cluster can be reached");
        return;
    }
    let namespace = &*release.own_namespace("alone").await;
    let site = Site { release: &release, namespace, name: "shop" };
    release.start_origin(namespace, "site", 1).await;
    release.apply_in(namespace, &distribution(site.name, &json!({"edge": {"replicasPerZone": 1}}))).await.ok();
    site.holds("Ready").await;
    let count = release.zones().await.len();
    let edges = ready_edges(&site, "all edges are ready", count, |_| true).await;
    for edge in &edges {
        assert_eq!(site.twice(edge, "/page").await, ["Miss", "Hit"]);
    }

    let api = json!({"pathPattern": "/api/*", "targetOrigin": "site", "cachePolicy": {"managed": "CachingDisabled"}});
    release.patch(namespace, site.name, &json!({"spec": {"cacheBehaviors": [api]}})).await;
    let changed = site.holds("Deployed").await;
    release.kill_operator().await;
    // Its mounted copy is still the old one: the kubelet refreshes it within a minute or so.
    send_signal(edges[0].process(), "KILL");
    let again = |now: &[EdgePod]| now.iter().any(|edge| edge.uid == edges[0].uid && edge.restarts == 1);
    let back = ready_edges(&site, "the killed edge runs again", count, again).await;
    api_is_not_kept_by(&site, back.iter().find(|edge| edge.uid == edges[0].uid).unwrap()).await;

    for edge in &edges[1..] {
        assert_eq!(site.twice(edge, "/page").await, ["Hit", "Hit"], "what is stored");
        assert_eq!(site.twice(edge, "/cold").await, ["Miss", "Hit"], "what is not");
    }
    release.kubectl(&["delete", "pod", &edges[1].name, "-n", namespace, "--wait=false"]).await.ok();
    let replaced = |now: &[EdgePod]| !now.iter().any(|edge| edge.uid == edges[1].uid);
    let now = ready_edges(&site, "a new edge is ready from its boot copy", count, replaced).await;
    let new = now.iter().find(|edge| !edges.iter().any(|old| old.uid == edge.uid)).unwrap();
    api_is_not_kept_by(&site, new).await;
    for zone in release.zones().await {
        let base = site.zone_url(&zone).await;
        site.opens(&base).await;
        let url = format!("{base}/after");
        site.get(&url, 3).await.iter().for_each(|answer| drop(x_cache(answer)));
    }
    returns_quietly(&site, count, &changed["status"]["revision"]).await;
}

/// The operator comes back to what is as it should be: it writes nothing, and shows no edge as lost.
async fn returns_quietly(site: &Site<'_>, count: usize, revision: &serde_json::Value) {
    let edges = u32::try_from(count).unwrap();
    // The objects of earlier tests change as they go, and that would be written too.
    eventually("no other Distribution is left", async || {
        let left = ["get", "distributions", "--all-namespaces", "-o", "jsonpath={.items[*].metadata.namespace}"];
        let namespaces = site.release.kubectl(&left).await.ok();
        if namespaces.trim() == site.namespace { Ok(()) } else { Err(namespaces) }
    })
    .await;
    let mark = site.release.audit_mark().await;
    let mut shown = counts_shown(site).await;
    site.release.scale_operator(1).await;
    site.release.operator_runs().await;
    site.release.links(edges).await;
    let status = site.holds("Deployed").await;
    assert_eq!(&status["status"]["revision"], revision);
    let mut written = site.release.audit(mark, ACCOUNT).await;
    written.retain(|event| event.resource != "leases");
    assert_eq!(written, [], "besides its own Lease it writes nothing");
    while let Ok(counts) = shown.try_recv() {
        assert_eq!(counts, (edges, edges, edges), "no count is ever shown lower than it is");
    }
}
