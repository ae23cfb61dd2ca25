//! Requests that the cache does not answer reach the origin, and its answers the viewer, as they are.

use proxima_edge_core::edge_config::AllowedMethods;
use proxima_tests::viewer::get_with;
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, config};

#[tokio::test]
async fn conditions_for_the_origin_and_cold_ranges_are_passed_to_it() {
    let cases = [
        ("If-Match: \"v0\"", 412, "ConditionalRequest"),
        ("If-Unmodified-Since: Mon, 02 Nov 2026 08:00:00 GMT", 412, "ConditionalRequest"),
        ("Range: bytes=0-1", 206, "RangeRequest"),
    ];
    let origin = Origin::answering(|head| {
        let status = match head {
            _ if head.count("if-match") + head.count("if-unmodified-since") > 0 => 412,
            _ if head.count("range") > 0 => 206,
            _ => 200,
        };
        Reply::status(status, "ab").field("ETag", "\"v1\"").field("Cache-Control", "max-age=60")
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for (field, status, reason) in cases {
        for _ in 0..2 {
            let answer = get_with(edge.http, "/page", &format!("{field}\r\n")).await;
            assert_eq!((answer.status(), answer.x_cache()), (status, "Miss from proxima"), "{field}");
            assert!(origin.heads().last().unwrap().raw.to_lowercase().contains(&field.to_lowercase()), "{field}");
        }
        edge.log_line(reason, |line| line["reason"] == reason).await;
    }
    let before = origin.requests();
    edge.get("/page").await.expect("Miss", "ab");
    assert_eq!(origin.requests(), before + 1, "nothing of the above was stored");
}

#[tokio::test]
async fn a_request_body_is_streamed_to_the_origin() {
    let half = Gate::closed();
    let signal = half.clone();
    let origin = Origin::start(move |mut exchange: Exchange| {
        let signal = signal.clone();
        async move {
            // The first half arrives while the viewer still holds back the second.
            let first = match exchange.head.request_framing() {
                proxima_tests::http1::Framing::Chunked => exchange.wire.chunk().await.unwrap(),
                _ => exchange.wire.take(5).await,
            };
            assert_eq!(first, b"first");
            signal.pass().await;
            let rest = match exchange.head.request_framing() {
                proxima_tests::http1::Framing::Chunked => {
                    exchange.wire.body(exchange.head.request_framing()).await.bytes
                }
                _ => exchange.wire.take(6).await,
            };
            exchange.write(format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n", rest.len())).await;
            exchange.write(rest).await;
            Some(exchange)
        }
    })
    .await;
    let mut edge_config = config::site(origin.address);
    edge_config.distributions[0].default_behavior.allowed_methods = AllowedMethods::All;
    let edge = Edge::serve(&edge_config).await;
    let framings = [
        ("Content-Length: 11\r\n", "first", "second"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nfirst\r\n", "6\r\nsecond\r\n0\r\n\r\n"),
    ];
    for (requests, (framing, first, second)) in (1..).zip(framings) {
        let mut viewer = edge.viewer().await;
        viewer.send(format!("POST /upload HTTP/1.1\r\nHost: site.test\r\n{framing}\r\n{first}")).await;
        half.arrived(requests).await;
        half.admit(1);
        viewer.send(second).await;
        let answer = viewer.response("POST").await;
        assert_eq!((answer.status(), &*answer.text()), (201, "second"));
        let head = origin.heads().pop().unwrap();
        assert_eq!(head.count("content-length") + head.count("transfer-encoding"), 1, "one framing: {}", head.raw);
    }
}

#[tokio::test]
async fn a_request_body_that_breaks_off_never_looks_whole_to_the_origin() {
    let seen = Gate::closed();
    let signal = seen.clone();
    let origin = Origin::start(move |mut exchange: Exchange| {
        let signal = signal.clone();
        async move {
            let body = exchange.request_body().await;
            if !body.complete {
                signal.admit(1);
            }
            None
        }
    })
    .await;
    let mut edge_config = config::site(origin.address);
    edge_config.distributions[0].default_behavior.allowed_methods = AllowedMethods::All;
    let edge = Edge::serve(&edge_config).await;
    let starts = ["Content-Length: 10\r\n\r\nhalf.", "Transfer-Encoding: chunked\r\n\r\n5\r\nhalf.\r\n"];
    for (count, start) in (1..).zip(starts) {
        let mut viewer = edge.viewer().await;
        viewer.send(format!("POST / HTTP/1.1\r\nHost: site.test\r\n{start}")).await;
        // The edge has sent on what it has; then the viewer is gone.
        proxima_tests::wait_until("the origin sees the request", async || match origin.requests() {
            seen if seen == count => Ok(()),
            seen => Err(seen.to_string()),
        })
        .await;
        drop(viewer);
        seen.pass().await;
    }
}

#[tokio::test]
async fn an_unsafe_request_is_never_sent_twice() {
    let origin = Origin::start(|exchange: Exchange| async move { exchange.reset() }).await;
    let mut edge_config = config::site(origin.address);
    edge_config.distributions[0].default_behavior.allowed_methods = AllowedMethods::All;
    edge_config.distributions[0].origins[0].connection_attempts = 3;
    let edge = Edge::serve(&edge_config).await;
    let mut viewer = edge.viewer().await;
    viewer.send("POST /pay HTTP/1.1\r\nHost: site.test\r\nContent-Length: 2\r\n\r\nhi").await;
    assert_eq!(viewer.response("POST").await.status(), 502);
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn fields_of_the_origin_reach_the_viewer_and_those_of_its_connection_do_not() {
    let origin = Origin::answering(|_| {
        Reply::fresh("body")
            .field("X-App", "1")
            .field("X-App", "2")
            .field("Connection", "X-Hop")
            .field("X-Hop", "1")
            .field("Keep-Alive", "timeout=5")
            .field("X-Cache", "Hit from elsewhere")
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for x_cache in ["Miss from proxima", "Hit from proxima"] {
        let answer = edge.get("/").await;
        let head = &answer.head;
        assert_eq!((head.count("x-app"), head.field("x-hop"), head.field("keep-alive")), (2, None, None));
        assert_eq!((head.count("x-cache"), answer.x_cache()), (1, x_cache));
        assert_eq!((head.count("date"), head.count("content-length"), head.count("via")), (1, 1, 1), "{}", head.raw);
        assert_eq!(head.field("x-proxima-zone"), Some("zone-a"));
        assert!(head.field("x-proxima-request-id").is_some_and(|id| id.len() >= 16), "{}", head.raw);
        assert_eq!(head.field("age").is_some(), x_cache.starts_with("Hit"), "{}", head.raw);
    }
}

#[tokio::test]
async fn an_age_that_came_with_the_response_counts() {
    let origin = Origin::answering(|head| {
        let age = head.target().trim_start_matches('/').to_owned();
        Reply::ok("aged").field("Cache-Control", "max-age=600").field("Age", age)
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/500").await.expect("Miss", "aged");
    let hit = edge.get("/500").await;
    hit.expect("Hit", "aged");
    let age: u64 = hit.head.field("age").unwrap().parse().unwrap();
    assert!((500..600).contains(&age), "{age}");
    edge.get("/600").await.expect("Miss", "aged");
    edge.get("/600").await.expect("Miss", "aged");
}
