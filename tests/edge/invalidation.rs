//! Unsafe requests that invalidate what is on its way at that moment (RFC 9111 § 4.4).
//!
//! The origin cannot say which of two requests it saw first, so what was asked for before an unsafe request was answered
//! counts as older than that answer.

use proxima_tests::viewer::{get_with, request};
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, Response, config};
use tokio::task::JoinHandle;

/// Has expired when it arrives, may stand in for errors, and can be revalidated.
const EXPIRED: &str = "X-Control: max-age=60, stale-if-error=600\r\nX-Age: 100\r\n";

/// An origin that does what the request says: with `X-Hold` it passes the gate first, then it answers with `X-Status`
/// (200; or `reset`), `X-Body`, and Cache-Control, Age and Content-Location from `X-Control` (an hour), `X-Age` and
/// `X-Location`.
async fn obedient(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |exchange: Exchange| {
        let gate = gate.clone();
        async move {
            let head = exchange.head.clone();
            if head.field("x-hold").is_some() {
                gate.pass().await;
            }
            let status = match head.field("x-status") {
                Some("reset") => return exchange.reset(),
                Some(status) => status.parse().unwrap(),
                None => 200,
            };
            let body = if status == 304 { "" } else { head.field("x-body").unwrap_or("done") };
            let mut reply = Reply::status(status, body).field("ETag", "\"v1\"");
            for (name, said) in [("Age", "x-age"), ("Content-Location", "x-location")] {
                if let Some(value) = head.field(said) {
                    reply = reply.field(name, value);
                }
            }
            exchange.reply(reply.field("Cache-Control", head.field("x-control").unwrap_or("max-age=3600"))).await
        }
    })
    .await
}

struct Scene {
    gate: Gate,
    origin: Origin,
    edge: Edge,
}

impl Scene {
    async fn set() -> Self {
        let gate = Gate::closed();
        let origin = obedient(&gate).await;
        let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
        Self { gate, origin, edge }
    }

    async fn get(&self, path: &str, fields: &str) -> Response {
        get_with(self.edge.http, path, fields).await
    }

    /// A request that the origin has, and holds.
    async fn hold(&self, method: &'static str, fields: &str) -> JoinHandle<Response> {
        let (http, fields) = (self.edge.http, format!("X-Hold: 1\r\n{fields}"));
        let asked = tokio::spawn(async move { request(http, method, "/a", &fields).await });
        self.gate.arrived(1).await;
        asked
    }

    async fn post(&self, path: &str, fields: &str) {
        assert_eq!(request(self.edge.http, "POST", path, fields).await.status(), 200);
    }

    /// Lets go what is held, until all of it has come to its end.
    async fn release(&self) {
        self.gate.open();
        self.edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    }

    /// The next GET is a plain fetch.
    async fn expect_forgotten(&self) {
        let asked = self.origin.requests();
        self.get("/a", "X-Body: new\r\n").await.expect("Miss", "new");
        assert_eq!(self.origin.requests(), asked + 1);
        assert_eq!(self.origin.heads()[asked].field("if-none-match"), None, "what is invalid is no validator");
        self.get("/a", "").await.expect("Hit", "new");
    }
}

#[tokio::test]
async fn a_response_that_was_on_its_way_answers_nobody_afterwards_and_stands_in_for_no_error() {
    let scene = Scene::set().await;
    let early = scene.hold("GET", "X-Body: old\r\nX-Control: max-age=60, stale-if-error=600\r\n").await;
    scene.post("/a", "").await;
    scene.gate.open();
    early.await.unwrap().expect("Miss", "old");
    scene.release().await;
    assert_eq!(scene.get("/a", "X-Status: 503\r\nX-Control: no-store\r\n").await.status(), 503);
    assert_eq!(scene.get("/a", "X-Status: reset\r\n").await.status(), 502);
    let scene = Scene::set().await;
    let early = scene.hold("GET", "X-Body: old\r\n").await;
    scene.post("/a", "").await;
    scene.gate.open();
    early.await.unwrap().expect("Miss", "old");
    scene.release().await;
    scene.expect_forgotten().await;
}

#[tokio::test]
async fn a_response_that_was_on_its_way_does_not_take_the_place_of_what_was_fetched_afterwards() {
    let scene = Scene::set().await;
    let early = scene.hold("GET", "X-Body: old\r\n").await;
    scene.post("/a", "").await;
    scene.get("/a", "X-Body: new\r\n").await.expect("Miss", "new");
    scene.get("/a", "").await.expect("Hit", "new");
    scene.gate.open();
    early.await.unwrap().expect("Miss", "old");
    scene.release().await;
    scene.get("/a", "").await.expect("Hit", "new");
}

#[tokio::test]
async fn a_response_that_was_on_its_way_for_another_uri_is_kept() {
    let scene = Scene::set().await;
    let early = scene.hold("GET", "X-Body: old\r\n").await;
    scene.post("/b", "").await;
    scene.gate.open();
    early.await.unwrap().expect("Miss", "old");
    scene.release().await;
    scene.get("/a", "").await.expect("Hit", "old");
}

#[tokio::test]
async fn a_response_that_was_fetched_before_the_unsafe_request_was_answered_is_older() {
    let scene = Scene::set().await;
    let put = scene.hold("PUT", "").await;
    scene.get("/a", "X-Body: old\r\n").await.expect("Miss", "old");
    scene.get("/a", "").await.expect("Hit", "old");
    scene.gate.open();
    assert_eq!(put.await.unwrap().status(), 200);
    scene.expect_forgotten().await;
}

#[tokio::test]
async fn what_is_kept_stands_in_for_no_error_that_comes_after_its_invalidation() {
    for (said, status) in [("X-Status: 503\r\nX-Control: no-store\r\n", 503), ("X-Status: reset\r\n", 502)] {
        let scene = Scene::set().await;
        scene.get("/a", &format!("{EXPIRED}X-Body: old\r\n")).await.expect("Miss", "old");
        // It would, without the invalidation.
        scene.get("/a", said).await.expect("Hit", "old");
        let early = scene.hold("GET", said).await;
        scene.post("/a", "").await;
        scene.gate.open();
        assert_eq!(early.await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn a_confirmation_that_was_on_its_way_confirms_nothing_for_those_who_come_afterwards() {
    let scene = Scene::set().await;
    scene.get("/a", &format!("{EXPIRED}X-Body: old\r\n")).await.expect("Miss", "old");
    let early = scene.hold("GET", "X-Status: 304\r\n").await;
    assert_eq!(scene.origin.heads()[1].field("if-none-match"), Some("\"v1\""));
    scene.post("/a", "").await;
    scene.gate.open();
    early.await.unwrap().expect("RefreshHit", "old");
    scene.release().await;
    scene.expect_forgotten().await;
}

#[tokio::test]
async fn a_refresh_in_the_background_that_was_on_its_way_renews_nothing() {
    let scene = Scene::set().await;
    let control = "X-Control: max-age=60, stale-while-revalidate=600\r\nX-Age: 100\r\n";
    scene.get("/a", &format!("{control}X-Body: old\r\n")).await.expect("Miss", "old");
    scene.get("/a", "X-Hold: 1\r\nX-Body: refreshed\r\n").await.expect("Hit", "old");
    scene.gate.arrived(1).await;
    scene.post("/a", "").await;
    scene.release().await;
    scene.expect_forgotten().await;
}

#[tokio::test]
async fn a_head_that_was_on_its_way_renews_nothing() {
    let scene = Scene::set().await;
    scene.get("/a", &format!("{EXPIRED}X-Body: old\r\n")).await.expect("Miss", "old");
    let early = scene.hold("HEAD", "X-Body: old\r\n").await;
    scene.post("/a", "").await;
    scene.gate.open();
    assert_eq!(early.await.unwrap().status(), 200);
    scene.expect_forgotten().await;
}

/// Each answer says that it is what a GET would bring (RFC 9110 § 9.3.3), and nobody knows which of them is right.
#[tokio::test]
async fn of_two_posts_that_overtake_one_another_neither_answers_a_get() {
    let scene = Scene::set().await;
    let first = scene.hold("POST", "X-Body: first\r\nX-Location: /a\r\n").await;
    scene.post("/a", "X-Body: second\r\nX-Location: /a\r\n").await;
    scene.edge.metric_reaches("proxima_edge_stored_total", |stored| stored == 1.0).await;
    scene.get("/a", "").await.expect("Hit", "second");
    scene.gate.open();
    first.await.unwrap().expect("Miss", "first");
    scene.release().await;
    assert_eq!(scene.edge.metrics().await.sum("proxima_edge_stored_total"), 1.0);
    scene.expect_forgotten().await;
}

#[tokio::test]
async fn a_post_that_is_overtaken_by_another_unsafe_request_answers_no_get() {
    let scene = Scene::set().await;
    let first = scene.hold("POST", "X-Body: first\r\nX-Location: /a\r\n").await;
    assert_eq!(request(scene.edge.http, "DELETE", "/a", "").await.status(), 200);
    scene.gate.open();
    first.await.unwrap().expect("Miss", "first");
    scene.release().await;
    scene.expect_forgotten().await;
}

#[tokio::test]
async fn a_post_during_which_another_uri_is_invalidated_is_not_overtaken() {
    let scene = Scene::set().await;
    let first = scene.hold("POST", "X-Body: first\r\nX-Location: /a\r\n").await;
    scene.post("/b", "").await;
    scene.gate.open();
    first.await.unwrap().expect("Miss", "first");
    scene.edge.metric_reaches("proxima_edge_stored_total", |stored| stored == 1.0).await;
    scene.get("/a", "").await.expect("Hit", "first");
}
