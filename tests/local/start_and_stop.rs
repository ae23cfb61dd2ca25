//! From the first command to the last trace of it.

use std::net::TcpListener;

use proxima_tests::local::EdgeLine;
use proxima_tests::process::{alive, send_signal};
use proxima_tests::{Local, wait_until};

use crate::{MANIFEST, origin, start};

#[tokio::test]
async fn each_zone_misses_once_and_then_hits() {
    let origin = origin().await;
    let mut local = start(MANIFEST, &origin, &[]);
    let edges = local.edges(3).await;
    let zones: Vec<_> = edges.iter().map(|edge| (edge.zone.as_str(), edge.distribution.as_str())).collect();
    assert_eq!(zones, [("a", "default/shop"), ("b", "default/shop"), ("c", "default/shop")]);
    for x_cache in ["Miss", "Hit"] {
        for edge in &edges {
            let answer = edge.get("/page").await;
            answer.expect(x_cache, "/page");
            assert_eq!(answer.head.field("x-proxima-zone"), Some(&*edge.zone));
        }
    }
    assert_eq!(origin.requests(), 3, "one for each zone");
    assert_eq!(origin.heads()[0].field("host"), Some("site.default.svc.cluster.local"), "as in a cluster");
}

#[tokio::test]
async fn a_folder_can_play_the_service() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "<h1>hello</h1>").unwrap();
    let manifest = MANIFEST.replace("spec:\n", "spec:\n  defaultRootObject: index.html\n");
    let served = format!("{}=site", folder.path().display());
    let mut local = Local::start(&manifest, &["--serve", &served, "--zones", "only"]);
    let edges = local.edges(1).await;
    edges[0].get("/").await.expect("Miss", "<h1>hello</h1>");
    edges[0].get("/").await.expect("Hit", "<h1>hello</h1>");
    assert_eq!(edges[0].get("/missing.html").await.status(), 404);
    assert_eq!(edges[0].get("/%2e%2e/secret").await.status(), 400);
}

#[tokio::test]
async fn several_distributions_have_edges_of_their_own() {
    let origin = origin().await;
    let second = MANIFEST.replace("name: shop", "name: blog, namespace: web");
    // A mapping without namespace is for every Service of that name.
    let mut local = start(&format!("{MANIFEST}---\n{second}"), &origin, &["--zones", "x,y", "--replicas", "2"]);
    let edges = local.edges(8).await;
    let count = |name: &str| edges.iter().filter(|edge| edge.distribution == name).count();
    assert_eq!((count("default/shop"), count("web/blog")), (4, 4));
    for edge in &edges {
        edge.get("/page").await.expect("Miss", "/page");
    }
}

/// Waits until neither a process nor a port of a run is left.
async fn nothing_is_left(edges: &[EdgeLine]) {
    wait_until("every edge is gone", async || {
        let left: Vec<_> = edges.iter().filter(|edge| alive(edge.pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    for edge in edges {
        for address in [edge.http(), edge.admin()] {
            TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        }
    }
}

#[tokio::test]
async fn an_interrupt_ends_everything() {
    for signal in ["INT", "TERM"] {
        let origin = origin().await;
        let mut local = start(MANIFEST, &origin, &[]);
        let edges = local.edges(3).await;
        local.process.signal(signal);
        let status = local.process.ended().await;
        assert_eq!(status.code(), Some(0), "{signal}: {status}: {}", local.said());
        nothing_is_left(&edges).await;
    }
}

#[tokio::test]
async fn a_killed_operator_leaves_no_edge_behind() {
    let origin = origin().await;
    let mut local = start(MANIFEST, &origin, &[]);
    let edges = local.edges(3).await;
    local.process.signal("KILL");
    local.process.ended().await;
    nothing_is_left(&edges).await;
}

#[tokio::test]
async fn an_edge_that_dies_is_started_again() {
    let origin = origin().await;
    let mut local = start(MANIFEST, &origin, &[]);
    let edges = local.edges(3).await;
    let victim = &edges[1];
    send_signal(victim.pid, "KILL");
    let again = wait_until("another edge takes its place", async || {
        let edges = local.reported();
        let other = edges.iter().find(|edge| edge.zone == victim.zone && edge.pid != victim.pid);
        other.cloned().ok_or_else(|| format!("{edges:?}"))
    })
    .await;
    assert_eq!(again.http(), victim.http(), "at the same address");
    again.get("/page").await.expect("Miss", "/page");
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let origin = origin().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = format!("site=http://{}", origin.address);
    let mut local = Local::start_with(MANIFEST, &["--listen", &address, "--origin", &site]);
    assert!(!local.process.ended().await.success());
    local.says(0, &[&address]).await;
    assert!(local.reported().is_empty());
}

#[tokio::test]
async fn a_service_that_nothing_plays_is_explained_with_the_flag_to_use() {
    let mut local = Local::start(MANIFEST, &[]);
    assert_eq!(local.process.ended().await.code(), Some(2));
    local.says(0, &["site", "--origin", "--serve"]).await;
}

#[tokio::test]
async fn a_manifest_that_is_wrong_at_the_start_is_explained() {
    let origin = origin().await;
    let mut local = start(&MANIFEST.replace("targetOrigin: site", "targetOrigin: nowhere"), &origin, &[]);
    assert_eq!(local.process.ended().await.code(), Some(2));
    local.says(0, &["manifest.yaml", "targetOrigin", "nowhere"]).await;
}

#[tokio::test]
async fn documents_of_others_are_skipped_and_named() {
    let origin = origin().await;
    let other = "apiVersion: v1\nkind: Service\nmetadata: {name: site}\nspec: {ports: [{port: 80}]}\n";
    let mut local = start(&format!("{other}---\n{MANIFEST}"), &origin, &["--zones", "a"]);
    local.edges(1).await[0].get("/page").await.expect("Miss", "/page");
    local.says(0, &["Service"]).await;
}
