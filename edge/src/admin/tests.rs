use http_body_util::BodyExt;
use proxima_edge_core::limits;
use proxima_edge_core::timestamp::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::plan_source::PlanSource;
use crate::process::edge_for_tests;

fn edge() -> (TempDir, Edge) {
    let folder = TempDir::new().unwrap();
    let config = r#"{"distributions":[]}"#;
    let hash = proxima_edge_core::link::content_hash(&serde_json::from_str(config).unwrap());
    let boot =
        format!(r#"{{"uid":"a","term":1,"revision":7,"epoch":0,"generation":1,"hash":"{hash}","config":{config}}}"#);
    std::fs::write(folder.path().join("config.json"), boot).unwrap();
    let (clock, metrics) = (Clock::manual(Timestamp::from_millis(1_000)), Arc::new(Metrics::new()));
    let plans = PlanSource::open(folder.path(), folder.path(), clock.clone(), Arc::clone(&metrics));
    (folder, edge_for_tests(plans, clock, metrics))
}

async fn ask(edge: &Edge, method: Method, path: &str) -> (u16, String) {
    let response = answer(edge, &method, path);
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn probes_say_why() {
    let (_folder, edge) = edge();
    assert_eq!(ask(&edge, Method::GET, "/livez").await.0, 200);
    let (status, reason) = ask(&edge, Method::GET, "/readyz").await;
    assert_eq!(status, 503);
    assert!(reason.contains("not yet confirmed"), "{reason}");
    edge.clock.advance(limits::BOOT_GRACE);
    assert_eq!(ask(&edge, Method::HEAD, "/readyz").await.0, 200);
    edge.shutdown.cancel();
    let (status, reason) = ask(&edge, Method::GET, "/readyz").await;
    assert_eq!(status, 503);
    assert!(reason.contains("shutting down"), "{reason}");
    assert_eq!(ask(&edge, Method::GET, "/livez").await.0, 200);
}

#[tokio::test]
async fn metrics_tell_revision_and_readiness_as_of_now() {
    let (_folder, edge) = edge();
    edge.clock.advance(limits::BOOT_GRACE);
    let (status, text) = ask(&edge, Method::GET, "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("proxima_edge_ready 1\n") && text.contains("proxima_edge_revision 7\n"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn anything_else_is_not_there() {
    let (_folder, edge) = edge();
    for path in ["/", "/livez/", "/metrics/x", "/debug"] {
        assert_eq!(ask(&edge, Method::GET, path).await.0, 404, "{path}");
    }
    assert_eq!(ask(&edge, Method::POST, "/livez").await.0, 405);
}
