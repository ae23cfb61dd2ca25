//! What never reaches the service has an outcome too: a line in the access log, and a count.

mod http2;

use proxima_tests::viewer::raw;
use proxima_tests::{Edge, Origin, Reply, config};

async fn edge() -> (Edge, Origin) {
    let origin = Origin::answering(|head| Reply::fresh(head.target().to_owned())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    (edge, origin)
}

#[tokio::test]
async fn refusals_below_the_service_are_logged_and_counted() {
    let (edge, _origin) = edge().await;
    let inputs = [
        ("GET /lf HTTP/1.1\nHost: a\r\n\r\n".to_owned(), 400, "InvalidFraming", "BareLineFeed", "/lf"),
        ("GET /nine\r\n\r\n".to_owned(), 400, "InvalidRequest", "Version", "/nine"),
        ("GET /f#x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400, "InvalidRequest", "Fragment", "/f"),
        (
            "POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            400,
            "InvalidFraming",
            "LengthAndCoding",
            "/two",
        ),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101)), 494, "HeadTooLarge", "", "-"),
        ("GET \u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400, "InvalidRequest", "", "-"),
    ];
    for (input, status, reason, detail, path) in inputs {
        let answer = raw(edge.http, &input).await;
        assert_eq!((answer.status(), answer.reason()), (status, reason), "{input:?}");
        let id = answer.head.field("x-proxima-request-id").unwrap();
        assert!(answer.body.complete && answer.text().contains(reason) && answer.text().contains(id));
        assert_eq!(answer.head.field("connection"), Some("close"));
        let line = edge.log_line("the refusal is logged", |line| line["request_id"] == id).await;
        assert_eq!(
            (&line["reason"], &line["uri_stem"], &line["status"]),
            (&reason.into(), &path.into(), &status.into())
        );
        assert_eq!(line["result_type"], if status == 494 { "LimitExceeded" } else { "Error" });
        assert_eq!((&line["bytes"], &line["aborted"]), (&answer.body.bytes.len().into(), &false.into()));
        assert!(detail.is_empty() || line["detail"] == detail, "{line}");
        assert_eq!(line["method"], if path == "-" { "-" } else { input.split(' ').next().unwrap() });
    }
    let metrics = edge.metrics().await;
    let refused = |reason| metrics.with("proxima_edge_requests_total", &[("reason", reason), ("status", "4xx")]);
    assert_eq!((refused("InvalidFraming"), refused("InvalidRequest"), refused("HeadTooLarge")), (2.0, 3.0, 1.0));
    let broken = |reason| metrics.with("proxima_edge_framing_violations_total", &[("reason", reason)]);
    assert_eq!((broken("BareLineFeed"), broken("Fragment"), broken("ChunkEnd")), (1.0, 1.0, 0.0));
}

#[tokio::test]
async fn a_refusal_below_the_service_leaves_behind_the_answers_to_earlier_requests() {
    let big = "b".repeat(16 << 20);
    let body = big.clone();
    let origin = Origin::answering(move |_| Reply::fresh(body.clone())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/big").await.expect("Miss", &big);
    let mut viewer = edge.viewer().await;
    viewer.send_get("/big", "").await;
    viewer.send_get("/big", "").await;
    viewer.send("GET /lf HTTP/1.1\nHost: site.test\r\n\r\n").await;
    // More than the sockets hold: the edge is in the middle of the first answer, with all that follows read or to be read.
    let head = viewer.head().await;
    assert_eq!(head.field("x-cache"), Some("Hit from proxima"));
    let first = viewer.wire.body(head.response_framing("GET")).await;
    assert!(first.complete && first.bytes == big.as_bytes());
    viewer.response("GET").await.expect("Hit", &big);
    let refused = viewer.response("GET").await;
    assert_eq!((refused.status(), refused.x_cache()), (400, "Error from proxima"));
    assert!(refused.body.complete && viewer.wire.ended().await, "and nothing behind it");
}

#[tokio::test]
async fn a_refused_head_request_is_answered_without_a_body() {
    let (edge, _origin) = edge().await;
    let mut viewer = edge.viewer().await;
    viewer.send("HEAD /lf HTTP/1.1\nHost: site.test\r\n\r\n").await;
    let answer = viewer.head().await;
    assert_eq!((answer.status(), answer.field("x-cache")), (400, Some("Error from proxima")));
    assert_ne!(answer.field("content-length"), Some("0"), "it tells of the page");
    assert!(viewer.wire.ended().await);
}

#[tokio::test]
async fn a_malformed_chunk_is_invalid_framing_and_a_body_that_ends_early_is_incomplete() {
    let origin = Origin::start(|mut exchange: proxima_tests::Exchange| async move {
        exchange.request_body().await;
        None
    })
    .await;
    let edge = Edge::serve(&proxima_tests::hostile::passing(origin.address)).await;
    let head = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = raw(edge.http, format!("{head}5\r\nhelloXX")).await;
    assert_eq!((answer.status(), answer.reason()), (400, "InvalidFraming"));
    assert_eq!(answer.head.field("connection"), Some("close"));
    let mut viewer = edge.viewer().await;
    viewer.send(format!("{head}5\r\nhel")).await;
    viewer.wire.finish_writing().await;
    edge.log_line("the broken upload is logged", |line| {
        line["uri_stem"] == "/chunked" && line["reason"] != "InvalidFraming"
    })
    .await;
    let violations = edge.metrics().await.sum("proxima_edge_framing_violations_total");
    assert_eq!(violations, 1.0, "leaving is no violation");
}

#[tokio::test]
async fn a_head_that_is_not_complete_in_time_is_logged_and_an_idle_connection_is_not() {
    let (edge, _origin) = edge().await;
    let mut viewer = edge.viewer().await;
    viewer.get("/page").await;
    viewer.send("GET /half HTT").await;
    assert!(viewer.wire.ended().await, "without an answer");
    let line = edge.log_line("the timeout is logged", |line| line["reason"] == "HeadTimeout").await;
    assert_eq!((line["status"].is_null(), &line["method"]), (true, &"-".into()));
    let metrics = edge.metrics().await;
    assert_eq!(metrics.with("proxima_edge_connections_closed_total", &[("reason", "HeadTimeout")]), 1.0);
    assert_eq!(edge.log().len(), 2);
}
