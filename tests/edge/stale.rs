//! Serving what has expired: while it is refreshed, and in place of an origin that fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proxima_edge_core::edge_config::EdgeConfig;
use proxima_tests::viewer::request;
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, config, wait_until};

/// What RFC 9111 asks of a shared cache.
fn controlled(address: SocketAddr) -> EdgeConfig {
    let mut site = config::site(address);
    site.distributions[0].default_behavior.cache_policy.origin_controlled = true;
    site
}

/// Has been expired for 40 s when it arrives.
fn expired(body: &'static str, directives: &str) -> Reply {
    Reply::ok(body).field("Cache-Control", format!("max-age=60, {directives}")).field("Age", "100")
}

#[tokio::test]
async fn stale_is_served_at_once_while_one_fetch_in_the_background_refreshes_it() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |exchange: Exchange| {
        let gate = held.clone();
        async move {
            let first = gate.arrivals() == 0;
            gate.pass().await;
            let fresh = Reply::fresh("new");
            exchange.reply(if first { expired("old", "stale-while-revalidate=600") } else { fresh }).await
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    gate.admit(1);
    edge.get("/a").await.expect("Miss", "old");
    // The origin does not answer until all of these are answered.
    for _ in 0..10 {
        edge.get("/a").await.expect("Hit", "old");
    }
    gate.arrived(2).await;
    edge.log_line("a line says why", |line| line["reason"] == "StaleWhileRevalidate").await;
    assert_eq!(origin.requests(), 2);
    gate.open();
    let fresh = wait_until("the refreshed response", async || {
        let answer = edge.get("/a").await;
        if answer.text() == "new" { Ok(answer) } else { Err(answer.text()) }
    })
    .await;
    fresh.expect("Hit", "new");
    assert_eq!(origin.requests(), 2);
}

#[tokio::test]
async fn a_background_refresh_is_a_revalidation_and_needs_no_viewer() {
    let body = vec![b'a'; 12 << 20];
    let whole = Arc::new(body);
    let sent = Arc::clone(&whole);
    let origin = Origin::answering(move |head| {
        let fresh = head.field("if-none-match").is_some();
        let directives = if fresh { "max-age=600" } else { "max-age=60, stale-while-revalidate=600" };
        let age = if fresh { "0" } else { "100" };
        Reply::ok(sent.to_vec()).field("Cache-Control", directives).field("Age", age).field("ETag", "\"a\"")
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    assert_eq!(edge.get("/a").await.x_cache(), "Miss from proxima");
    // Longer than what is fetched to its end when every viewer of a fill has left.
    let head = request(edge.http, "HEAD", "/a", "").await;
    assert_eq!(head.x_cache(), "Hit from proxima");
    wait_until("the refreshed response", async || {
        let age = request(edge.http, "HEAD", "/a", "").await.head.field("age").unwrap_or_default().to_owned();
        if age.len() < 3 { Ok(()) } else { Err(age) }
    })
    .await;
    assert_eq!(origin.requests(), 2);
    assert!(edge.get("/a").await.body.bytes == *whole);
}

/// An origin whose first answer has expired and says `directives`, and that then fails as `how` says.
async fn failing(directives: &'static str, how: &'static str) -> (Origin, Arc<AtomicBool>) {
    let down = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&down);
    let origin = Origin::start(move |exchange: Exchange| {
        let down = flag.load(Ordering::SeqCst);
        async move {
            match how {
                _ if !down => exchange.reply(expired("kept", directives)).await,
                "reset" => exchange.reset(),
                "503" => exchange.reply(Reply::status(503, "down").field("Cache-Control", "no-store")).await,
                _ => exchange.reply(Reply::status(404, "gone").field("Cache-Control", "no-store")).await,
            }
        }
    })
    .await;
    (origin, down)
}

#[tokio::test]
async fn stale_if_error_answers_for_an_origin_that_fails() {
    for how in ["503", "reset"] {
        let (origin, down) = failing("stale-if-error=600", how).await;
        let edge = Edge::serve(&controlled(origin.address)).await;
        edge.get("/a").await.expect("Miss", "kept");
        down.store(true, Ordering::SeqCst);
        let stale = edge.get("/a").await;
        stale.expect("Hit", "kept");
        assert!(stale.head.field("age").unwrap().parse::<u64>().unwrap() >= 100);
        edge.log_line("a line says why", |line| line["reason"] == "StaleIfError").await;
        let head = request(edge.http, "HEAD", "/a", "").await;
        assert_eq!((head.status(), head.x_cache()), (200, "Hit from proxima"));
        down.store(false, Ordering::SeqCst);
        edge.get("/a").await.expect("Miss", "kept");
    }
}

#[tokio::test]
async fn an_origin_that_refuses_connections_is_answered_for_too() {
    let (origin, _) = failing("stale-if-error=600", "503").await;
    let edge = Edge::serve(&controlled(origin.address)).await;
    edge.get("/a").await.expect("Miss", "kept");
    drop(origin);
    edge.get("/a").await.expect("Hit", "kept");
    assert_eq!(edge.get("/b").await.status(), 502);
}

#[tokio::test]
async fn without_permission_an_error_is_an_error() {
    for (directives, how, expected) in [
        ("public", "503", 503),
        ("public", "reset", 502),
        ("stale-if-error=10", "503", 503),
        ("stale-if-error=600, must-revalidate", "503", 503),
        ("stale-if-error=600, proxy-revalidate", "reset", 502),
        ("stale-if-error=600", "404", 404),
    ] {
        let (origin, down) = failing(directives, how).await;
        let edge = Edge::serve(&controlled(origin.address)).await;
        edge.get("/a").await.expect("Miss", "kept");
        down.store(true, Ordering::SeqCst);
        assert_eq!(edge.get("/a").await.status(), expected, "{directives} {how}");
    }
}

#[tokio::test]
async fn cloudfront_policies_serve_stale_unasked_and_spare_the_failing_origin() {
    let down = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&down);
    let origin = Origin::answering(move |_| match flag.load(Ordering::SeqCst) {
        false => expired("kept", "public").field("ETag", "\"a\""),
        true => Reply::status(503, "down"),
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/a").await.expect("Miss", "kept");
    down.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        edge.get("/a").await.expect("Hit", "kept");
    }
    assert_eq!(origin.requests(), 2, "one failure is remembered for ten seconds");
}

#[tokio::test]
async fn cloudfront_policies_keep_errors_for_a_moment_and_origin_controlled_does_not() {
    for (config, requests) in [(config::site as fn(SocketAddr) -> EdgeConfig, 1), (controlled, 2)] {
        let origin = Origin::answering(|_| Reply::status(503, "down")).await;
        let edge = Edge::serve(&config(origin.address)).await;
        for _ in 0..2 {
            let answer = edge.get("/a").await;
            assert_eq!((answer.status(), answer.text().as_str()), (503, "down"));
        }
        assert_eq!(origin.requests(), requests);
    }
}

#[tokio::test]
async fn who_follows_a_refresh_that_a_request_for_a_part_began_gets_the_whole() {
    let body: Arc<[u8]> = (0..3_u32 << 20).map(|index| (index >> 12) as u8).collect();
    let (gate, whole) = (Gate::closed(), Arc::clone(&body));
    let origin = Origin::gated(&gate, move |head| {
        let known = head.field("if-none-match").is_some();
        let reply = if known { Reply::status(304, "") } else { Reply::ok(whole.to_vec()).field("Age", "100") };
        reply.field("Cache-Control", "max-age=60, stale-while-revalidate=600").field("ETag", "\"a\"")
    })
    .await;
    let mut site = config::site(origin.address);
    site.distributions[0].default_behavior.cache_policy.honor_request_directives = true;
    let edge = Edge::serve(&site).await;
    gate.admit(1);
    assert!(edge.get("/a").await.body.bytes == *body);
    let part = request(edge.http, "GET", "/a", "Range: bytes=0-9\r\n").await;
    assert_eq!((part.status(), part.body.bytes.as_slice()), (206, &body[..10]));
    gate.arrived(2).await;
    // Wants the origin's word, so it waits for the refresh.
    let http = edge.http;
    let follower = tokio::spawn(async move { request(http, "GET", "/a", "Cache-Control: no-cache\r\n").await });
    edge.metric_reaches("proxima_edge_fill_waiters", |waiting| waiting == 1.0).await;
    gate.open();
    let answer = follower.await.unwrap();
    assert_eq!((answer.status(), answer.body.bytes.len()), (200, body.len()));
    assert!(answer.body.bytes == *body);
}
