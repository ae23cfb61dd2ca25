//! What viewers may send, and what they are told when they may not.

use bytes::Bytes;
use http::Request;
use proxima_tests::h2c::H2c;
use proxima_tests::viewer::{raw, request};
use proxima_tests::{Edge, Origin, Reply, Viewer, config};

async fn edge_and_origin() -> (Edge, Origin) {
    let origin = Origin::answering(|head| Reply::fresh(head.target().to_owned())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    (edge, origin)
}

#[tokio::test]
async fn http_1_1_keeps_the_connection_and_answers_in_order() {
    let (edge, _origin) = edge_and_origin().await;
    let mut viewer = edge.viewer().await;
    viewer.get("/one").await.expect("Miss", "/one");
    viewer.get("/one").await.expect("Hit", "/one");
    let pipelined = ["/one", "/two", "/three", "/one"];
    for path in pipelined {
        viewer.send_get(path, "").await;
    }
    for path in pipelined {
        assert_eq!(viewer.response("GET").await.text(), path);
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_the_connection_ends() {
    let (edge, _origin) = edge_and_origin().await;
    for x_cache in ["Miss", "Hit"] {
        let mut viewer = edge.viewer().await;
        viewer.send("GET /old HTTP/1.0\r\nHost: site.test\r\n\r\n").await;
        viewer.response("GET").await.expect(x_cache, "/old");
        assert!(viewer.wire.ended().await);
    }
}

#[tokio::test]
async fn an_http_1_0_viewer_of_a_chunked_body_gets_no_chunks() {
    let origin = Origin::start(|mut exchange: proxima_tests::Exchange| async move {
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n").await;
        Some(exchange)
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let answer = raw(edge.http, "GET / HTTP/1.0\r\nHost: site.test\r\n\r\n").await;
    assert_eq!((answer.head.field("transfer-encoding"), &*answer.text()), (None, "whole"));
}

fn x_cache(answer: &http::Response<Bytes>) -> &str {
    answer.headers()["x-cache"].to_str().unwrap()
}

#[tokio::test]
async fn cleartext_http_2_shares_the_cache_with_http_1() {
    let (edge, origin) = edge_and_origin().await;
    let mut viewer = H2c::connect(edge.http).await;
    let first = viewer.get("/page?x=1").await;
    assert_eq!((first.status().as_u16(), x_cache(&first)), (200, "Miss from proxima"));
    assert_eq!(first.version(), http::Version::HTTP_2);
    let second = viewer.get("/page?x=1").await;
    assert_eq!((x_cache(&second), &second.body()[..]), ("Hit from proxima", &b"/page?x=1"[..]));
    edge.get("/page?x=1").await.expect("Hit", "/page?x=1");
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn http_2_streams_are_served_concurrently_and_cookie_crumbs_are_joined() {
    let origin = Origin::answering(|head| Reply::ok(head.field("cookie").unwrap_or("none").to_owned())).await;
    let mut edge_config = config::site(origin.address);
    edge_config.distributions[0].default_behavior.cache_policy.forward.all_viewer_headers = true;
    let edge = Edge::serve(&edge_config).await;
    let viewer = H2c::connect(edge.http).await;
    let crumbs = || {
        let request = Request::get("http://site.test/").header("cookie", "a=1").header("cookie", "b=2");
        let mut viewer = viewer.clone();
        async move { viewer.send(request.body(Bytes::new()).unwrap()).await.unwrap() }
    };
    let answers = futures::future::join_all((0..20).map(|_| crumbs())).await;
    assert!(answers.iter().all(|answer| answer.body() == "a=1; b=2"), "{answers:?}");
}

#[tokio::test]
async fn a_body_on_get_or_head_is_refused_and_the_connection_ends() {
    let (edge, origin) = edge_and_origin().await;
    for method in ["GET", "HEAD"] {
        for framing in ["Content-Length: 2\r\n\r\nhi", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"] {
            let mut viewer = edge.viewer().await;
            viewer.send(format!("{method} / HTTP/1.1\r\nHost: site.test\r\n{framing}")).await;
            let answer = viewer.response(method).await;
            assert_eq!((answer.status(), answer.reason()), (403, "BodyNotAllowed"), "{method} {framing:?}");
            assert_eq!(answer.head.field("connection"), Some("close"));
            assert!(viewer.wire.ended().await);
        }
    }
    let mut viewer = edge.viewer().await;
    viewer.send_get("/", "Content-Length: 0\r\n").await;
    assert_eq!(viewer.response("GET").await.status(), 200, "a body of no bytes is none");
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn a_request_target_beyond_8192_bytes_is_414_and_one_of_8192_is_served() {
    let (edge, _origin) = edge_and_origin().await;
    let longest = format!("/{}", "x".repeat(8_191));
    assert_eq!(edge.get(&longest).await.status(), 200);
    let answer = edge.get(&format!("{longest}x")).await;
    assert_eq!((answer.status(), answer.reason()), (414, "UriTooLong"));
    let answer = edge.get(&format!("/?{}", "x".repeat(20_000))).await;
    assert_eq!((answer.status(), answer.reason()), (414, "UriTooLong"));
}

#[tokio::test]
async fn a_head_beyond_32768_bytes_is_494_and_more_than_100_fields_are_refused() {
    let (edge, _origin) = edge_and_origin().await;
    let with = async |fields: String| request(edge.http, "GET", "/", &fields).await;
    assert_eq!(with(format!("X-Long: {}\r\n", "x".repeat(32_000))).await.status(), 200);
    assert_eq!(with("X-Many: 1\r\n".repeat(99)).await.status(), 200);
    let answer = with(format!("X-Long: {}\r\n", "x".repeat(32_768))).await;
    assert_eq!((answer.status(), answer.reason()), (494, "HeadTooLarge"));
    // What the reader of heads does not take at all it refuses by itself, and the edge goes on.
    for fields in ["X-Many: 1\r\n".repeat(100), format!("X-Huge: {}\r\n", "x".repeat(60_000))] {
        let answer = with(fields).await;
        assert!(matches!(answer.status(), 431 | 494), "{}", answer.status());
    }
    assert_eq!(edge.get("/").await.status(), 200);
}

#[tokio::test]
async fn host_is_demanded_once_and_well_formed() {
    let (edge, origin) = edge_and_origin().await;
    let heads = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test/path\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test:port\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n",
        "GET http://user@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ];
    for head in heads {
        let answer = raw(edge.http, head).await;
        assert_eq!(answer.status(), 400, "{head:?}");
    }
    assert_eq!(origin.requests(), 0);
    let absolute = raw(edge.http, "GET http://a.test/page HTTP/1.1\r\nHost: A.test\r\n\r\n").await;
    assert_eq!((absolute.status(), &*absolute.text()), (200, "/page"));
}

#[tokio::test]
async fn http_2_authority_and_host_must_agree() {
    let (edge, _origin) = edge_and_origin().await;
    let mut viewer = H2c::connect(edge.http).await;
    let request = Request::get("http://a.test/").header("host", "b.test").body(Bytes::new()).unwrap();
    assert_eq!(viewer.send(request).await.unwrap().status().as_u16(), 400);
}

#[tokio::test]
async fn paths_that_servers_read_differently_are_refused() {
    let (edge, origin) = edge_and_origin().await;
    let paths = [
        "/a/../b",
        "/../b",
        "/a/..",
        "/a/./b",
        "/.",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a/.%2e",
        "/%2e/b",
        "/a\\b",
        "/a%5cb",
        "/a%5Cb",
        "/a%00b",
        "/a%0db",
        "/a%0Ab",
        "/a%7fb",
    ];
    for path in paths {
        let answer = edge.get(path).await;
        assert_eq!((answer.status(), answer.reason()), (400, "InvalidPath"), "{path}");
    }
    assert_eq!(origin.requests(), 0);
    for path in ["/...", "/a/..b", "/a%2fb", "/a//b", "/%41", "/?x=../y", "/a%20b", "/~a/*", "/a;b=c"] {
        let answer = edge.get(path).await;
        assert_eq!((answer.status(), &*answer.text()), (200, path), "sent to the origin as it came");
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_the_connection_ends() {
    let (edge, origin) = edge_and_origin().await;
    let heads = [
        "HELLO\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/3.7\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nBad Name: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\x00b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ];
    for head in heads {
        let mut viewer = edge.viewer().await;
        viewer.send(head).await;
        if let Some(answer) = viewer.wire.head().await {
            assert!(matches!(answer.status(), 400 | 403), "{head:?}: {}", answer.raw);
            viewer.wire.body(answer.response_framing("GET")).await;
        }
        assert!(viewer.wire.ended().await, "{head:?}: the connection ends");
    }
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn connect_and_trace_are_refused() {
    let (edge, origin) = edge_and_origin().await;
    let trace = request(edge.http, "TRACE", "/", "").await;
    assert_eq!((trace.status(), trace.reason()), (403, "MethodNotAllowed"));
    let mut viewer = Viewer::connect(edge.http).await;
    viewer.send("CONNECT site.test:443 HTTP/1.1\r\nHost: site.test:443\r\n\r\n").await;
    assert!(matches!(viewer.head().await.status(), 400 | 403));
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn a_viewer_can_be_slow_within_a_head() {
    let (edge, _origin) = edge_and_origin().await;
    let mut viewer = edge.viewer().await;
    for byte in "GET /slow HTTP/1.1\r\nHost: site.test\r\n\r\n".bytes() {
        viewer.send([byte]).await;
    }
    viewer.response("GET").await.expect("Miss", "/slow");
}
