//! Interim responses: who gets them, and that they never end up inside anything.

use proxima_tests::h2c::H2c;
use proxima_tests::viewer::request;
use proxima_tests::{Edge, Exchange, Gate, Origin, config};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n";
const FINAL: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nfinal";

/// An origin that says 102 and 103, waits for the gate, and answers.
async fn hinting(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |mut exchange: Exchange| {
        let gate = gate.clone();
        async move {
            exchange.write("HTTP/1.1 102 Processing\r\n\r\n").await;
            exchange.write(HINTS).await;
            gate.pass().await;
            exchange.write(FINAL).await;
            Some(exchange)
        }
    })
    .await
}

#[tokio::test]
async fn the_viewer_whose_request_asks_the_origin_gets_them_before_the_response() {
    let gate = Gate::closed();
    let origin = hinting(&gate).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut leader = edge.viewer().await;
    leader.send_get("/page", "").await;
    assert_eq!(leader.head().await.raw, "HTTP/1.1 102 Processing\r\n\r\n");
    assert_eq!(leader.head().await.raw, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
    let mut follower = edge.viewer().await;
    follower.send_get("/page", "").await;
    edge.metric_reaches("proxima_edge_fill_waiters", |waiting| waiting == 1.0).await;
    gate.open();
    leader.response("GET").await.expect("Miss", "final");
    let first = follower.head().await;
    assert_eq!(first.status(), 200, "who waits for another's request gets none: {}", first.raw);
    follower.wire.body(first.response_framing("GET")).await;
    // The connection is in order.
    leader.get("/page").await.expect("Hit", "final");
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn requests_that_pass_through_get_them_behind_earlier_responses() {
    let gate = Gate::closed();
    gate.open();
    let origin = hinting(&gate).await;
    let mut edge_config = config::site(origin.address);
    edge_config.distributions[0].default_behavior.cache_policy = config::policy_of_nothing();
    let edge = Edge::serve(&edge_config).await;
    let mut viewer = edge.viewer().await;
    for path in ["/a", "/b", "/c"] {
        viewer.send_get(path, "").await;
    }
    for _ in 0..3 {
        // An answer that comes at once may overtake them, for then they are thrown away.
        viewer.response("GET").await.expect("Miss", "final");
    }
}

#[tokio::test]
async fn older_and_newer_versions_get_none() {
    let gate = Gate::closed();
    let origin = hinting(&gate).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut viewer = edge.viewer().await;
    viewer.send("GET /old HTTP/1.0\r\nHost: site.test\r\n\r\n").await;
    gate.arrived(1).await;
    let mut other = H2c::connect(edge.http).await;
    let answer = tokio::spawn(async move { other.get("/new").await });
    gate.arrived(2).await;
    gate.open();
    assert_eq!(viewer.head().await.status(), 200);
    assert_eq!(answer.await.unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn more_than_sixteen_or_a_second_100_is_a_fault_of_the_origin() {
    for interim in ["HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17), "HTTP/1.1 100 Continue\r\n\r\n".repeat(2)] {
        let origin = Origin::start(move |mut exchange: Exchange| {
            let interim = interim.clone();
            async move {
                exchange.write(interim).await;
                exchange.abandoned().await
            }
        })
        .await;
        let edge = Edge::serve(&config::site(origin.address)).await;
        let answer = request(edge.http, "GET", "/", "").await;
        assert_eq!((answer.status(), answer.reason()), (502, "OriginInvalidResponse"));
    }
}
