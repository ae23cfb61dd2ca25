//! Limits of time that are short enough to be waited for. Those of the longer ones (an idle connection, a body that stands
//! still, a viewer who takes nothing) are shown beside the code, with a clock that jumps.

use proxima_tests::http1::Wire;
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, config, wait_until};

async fn edge_and_origin() -> (Edge, Origin) {
    let origin = Origin::answering(|head| Reply::fresh(head.target().to_owned())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    (edge, origin)
}

/// A request that is refused before its body is looked at.
const REFUSED: &str = "POST /a/../b HTTP/1.1\r\nHost: site.test\r\nContent-Length: 100000000\r\n\r\n";

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_arrives_though_the_viewer_sends_on() {
    let (edge, _origin) = edge_and_origin().await;
    let mut viewer = edge.viewer().await;
    viewer.send(REFUSED).await;
    let answer = viewer.response("POST").await;
    assert_eq!((answer.status(), answer.x_cache()), (400, "Error from proxima"));
    assert!(viewer.wire.ended().await, "our side is closed at once, by an end and not by a reset");
    for _ in 0..20 {
        assert!(viewer.wire.write(vec![b'x'; 10_000]).await, "and the viewer is still listened to");
    }
}

#[tokio::test]
async fn the_rest_of_a_body_that_nobody_needs_is_not_waited_for_for_long() {
    let (edge, _origin) = edge_and_origin().await;
    let mut viewer = edge.viewer().await;
    viewer.send(REFUSED).await;
    assert_eq!(viewer.response("POST").await.status(), 400);
    // Neither sends on nor leaves.
    edge.metric_reaches("proxima_edge_connections", |open| open == 0.0).await;
    assert_eq!(edge.metrics().await.with("proxima_edge_connections_closed_total", &[("reason", "Done")]), 1.0);
    drop(viewer);
}

#[tokio::test]
async fn the_rest_of_a_body_that_nobody_needs_is_not_read_without_end() {
    let (edge, _origin) = edge_and_origin().await;
    let mut viewer = edge.viewer().await;
    viewer.send(REFUSED).await;
    assert_eq!(viewer.response("POST").await.status(), 400);
    let mut sent = 0;
    while viewer.wire.write(vec![b'x'; 64 << 10]).await {
        sent += 64 << 10;
        assert!(sent < 100_000_000, "the whole body was read");
    }
}

#[tokio::test]
async fn a_request_that_is_cut_off_at_the_end_is_logged() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    let origin = Origin::start(move |exchange: Exchange| {
        let gate = waiting.clone();
        async move {
            gate.pass().await;
            exchange.reply(Reply::ok("answer")).await
        }
    })
    .await;
    for second_signal in [false, true] {
        let mut edge = Edge::serve(&config::site(origin.address)).await;
        let mut viewer = edge.viewer().await;
        viewer.send_get("/held", "").await;
        edge.metric_reaches("proxima_edge_fills", |fills| fills == 1.0).await;
        if second_signal {
            edge.process.signal("TERM");
            wait_until("nobody can connect any more", async || match Wire::connect(edge.http).await {
                Err(_) => Ok(()),
                Ok(_) => Err("somebody can".to_owned()),
            })
            .await;
            edge.process.signal("INT");
        } else {
            // The parent is gone: nobody waits for the requests in progress for long.
            edge.process.close_stdin();
        }
        edge.process.ended().await;
        assert!(viewer.wire.ended().await, "without an answer");
        let line = edge.log_line("the request is logged", |line| line["uri_stem"] == "/held").await;
        assert_eq!((line["aborted"].as_bool(), line["status"].is_null()), (Some(true), true));
        assert_eq!(edge.log().len(), 1);
    }
    gate.open();
}
