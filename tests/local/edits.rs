//! Edits of the manifest while viewers are served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use proxima_tests::local::EdgeLine;
use proxima_tests::process::send_signal;
use proxima_tests::viewer::raw;
use proxima_tests::{Local, Origin, wait_until};
use tokio::task::{JoinHandle, JoinSet};

use crate::{MANIFEST, origin, start};

/// Time between two requests of a [`Load`]: 200 each second.
const BETWEEN: Duration = Duration::from_millis(5);
/// Most requests of one load, whatever happens: a minute of it.
const MOST: usize = 12_000;

/// Viewers that ask all edges in turn until they are stopped. Every answer but a whole 200 is a failure.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    task: JoinHandle<Vec<String>>,
}

impl Load {
    fn start(edges: &[EdgeLine]) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let addresses: Vec<_> = edges.iter().map(EdgeLine::http).collect();
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&sent));
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(BETWEEN);
            let mut requests = JoinSet::new();
            for address in addresses.iter().copied().cycle().take(MOST) {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                ticks.tick().await;
                let path = format!("/load/{}", counted.fetch_add(1, Ordering::Relaxed) % 50);
                requests.spawn(async move {
                    let answer = proxima_tests::get(address, &path).await;
                    let good = answer.status() == 200 && answer.body.complete && answer.text() == path;
                    (!good).then(|| format!("{path} at {address}: {}", answer.head.raw))
                });
            }
            let mut failures = Vec::new();
            while let Some(done) = requests.join_next().await {
                failures.extend(done.unwrap_or_else(|error| Some(error.to_string())));
            }
            failures
        });
        Self { stop, sent, task }
    }

    /// Waits until `count` more requests have been sent.
    async fn goes_on(&self, count: usize) {
        let target = self.sent.load(Ordering::Relaxed) + count;
        wait_until("the load goes on", async || match self.sent.load(Ordering::Relaxed) {
            sent if sent >= target => Ok(()),
            sent => Err(format!("{sent} sent")),
        })
        .await;
    }

    async fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.task.await.unwrap();
        assert!(
            failures.is_empty(),
            "{} of {} failed: {failures:#?}",
            failures.len(),
            self.sent.load(Ordering::Relaxed)
        );
    }
}

/// Waits until every edge answers `path` with a body.
async fn everywhere(edges: &[EdgeLine], path: &str, body: &str) {
    for edge in edges {
        wait_until(&format!("{path} is {body:?} in zone {}", edge.zone), async || {
            let answer = edge.get(path).await;
            if answer.text() == body { Ok(()) } else { Err(format!("{}{}", answer.head.raw, answer.text())) }
        })
        .await;
    }
}

#[tokio::test]
async fn edits_under_load_are_live_on_all_edges_and_fail_no_request() {
    let origin = origin().await;
    let mut local = start(MANIFEST, &origin, &[]);
    let edges = local.edges(3).await;
    let pids: Vec<_> = edges.iter().map(|edge| edge.pid).collect();
    let load = Load::start(&edges);
    load.goes_on(200).await;

    // A behaviour with an origin of its own.
    let second = "    - name: api\n      service: {name: site, port: 80}\n      path: /v2\n";
    let manifest = MANIFEST.replace("  defaultCacheBehavior:", &format!("{second}  defaultCacheBehavior:"));
    let behavior = "  cacheBehaviors:\n    - {pathPattern: /api/*, targetOrigin: api}\n";
    let manifest = format!("{manifest}{behavior}");
    local.edit(&manifest);
    everywhere(&edges, "/api/x", "/v2/api/x").await;
    load.goes_on(200).await;

    // A lifetime: what is stored already obeys it.
    for edge in &edges {
        edge.get("/page").await.expect("Miss", "/page");
        edge.get("/page").await.expect("Hit", "/page");
    }
    let manifest = manifest.replace("default: 24h, max: 24h", "default: 0s, max: 24h");
    local.edit(&manifest);
    for edge in &edges {
        wait_until("what was stored is fetched anew", async || match edge.get("/page").await {
            answer if answer.x_cache() == "Miss from proxima" => Ok(()),
            answer => Err(answer.head.raw),
        })
        .await;
    }
    load.goes_on(200).await;

    // An alias: from now on no other host is answered.
    let other = "GET /page HTTP/1.1\r\nHost: other.test\r\n\r\n";
    assert_eq!(raw(edges[0].http(), other).await.status(), 200);
    local.edit(&manifest.replace("spec:\n", "spec:\n  aliases: [site.test]\n"));
    for edge in &edges {
        wait_until("other hosts are refused", async || match raw(edge.http(), other).await {
            answer if answer.reason() == "HostUnknown" => Ok(()),
            answer => Err(answer.head.raw),
        })
        .await;
    }
    load.goes_on(200).await;
    load.finish().await;
    assert_eq!(edges.iter().map(|edge| edge.pid).collect::<Vec<_>>(), pids);
    assert!(pids.iter().all(|pid| proxima_tests::process::alive(*pid)), "no edge was restarted");
}

/// Edits and waits for an explanation; the last good configuration serves on.
async fn explained(local: &Local, edges: &[EdgeLine], manifest: &str, words: &[&str]) {
    let before = local.said().len();
    local.edit(manifest);
    local.says(before, &[&["manifest.yaml"], words].concat()).await;
    for edge in edges {
        assert_eq!(edge.get("/page").await.text(), "/page", "{words:?}: the last good one serves on");
    }
}

#[tokio::test]
async fn a_wrong_edit_is_explained_and_changes_nothing() {
    let origin = origin().await;
    let mut local = start(MANIFEST, &origin, &["--zones", "a,b"]);
    let edges = local.edges(2).await;
    let with = |from: &str, to: &str| {
        assert!(MANIFEST.contains(from), "{from}");
        MANIFEST.replace(from, to)
    };
    // Each names where (line or field path), what is wrong, and what would be right.
    explained(&local, &edges, &with("metadata: {name: shop}", "metadata: {name: shop"), &["manifest.yaml:4", "'}'"])
        .await;
    let unknown = with("    targetOrigin", "    compres: true\n    targetOrigin");
    explained(&local, &edges, &unknown, &["spec.defaultCacheBehavior", "compres"]).await;
    explained(&local, &edges, &with("port: 80", "port: eighty"), &["spec.origins[0].service.port", "whole number"])
        .await;
    explained(&local, &edges, &with("port: 80", "port: 80000"), &["spec.origins[0].service.port", "65535"]).await;
    explained(&local, &edges, &with("default: 24h", "default: 1d"), &["ttl.default", "24h"]).await;
    explained(&local, &edges, &with("targetOrigin: site", "targetOrigin: nowhere"), &["targetOrigin", "nowhere"]).await;
    let both = with(
        "service: {name: site, port: 80}",
        "service: {name: site, port: 80}\n      http: {host: a.test, protocolPolicy: HttpOnly}",
    );
    explained(&local, &edges, &both, &["spec.origins[0]", "exactly one"]).await;
    explained(&local, &edges, &with("kind: Distribution", "kind: Distribuzion"), &["Distribuzion"]).await;

    local.edit(&MANIFEST.replace("spec:\n", "spec:\n  defaultRootObject: home.html\n"));
    everywhere(&edges, "/", "/home.html").await;
}

#[tokio::test]
async fn deployed_is_false_while_an_edge_does_not_answer_and_true_again_after() {
    let origin: Origin = origin().await;
    let mut local = start(MANIFEST, &origin, &[]);
    let edges = local.edges(3).await;
    let stopped = edges.iter().find(|edge| edge.zone == "b").unwrap();
    send_signal(stopped.pid, "STOP");
    let before = local.said().len();
    local.edit(&MANIFEST.replace("default: 24h", "default: 1h"));
    local.says(before, &["Deployed=False", "zone b"]).await;
    edges[0].get("/page").await.expect("Miss", "/page");

    let before = local.said().len();
    send_signal(stopped.pid, "CONT");
    local.says(before, &["Deployed=True"]).await;
    stopped.get("/page").await.expect("Miss", "/page");
}
