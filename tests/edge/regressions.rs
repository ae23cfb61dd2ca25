//! What other caches and proxies were once broken with, by class. Each test names the cases that it stands for.
//!
//! | Class | Cases | Where |
//! |---|---|---|
//! | body left on the connection | CVE-2025-4366, VSV08 (CVE-2022-23959), VSV15 (CVE-2025-30346) | here |
//! | framing read in two ways | CVE-2026-2833, CVE-2026-2835, VSV10, VSV16, CVE-2020-35863, CVE-2021-21299, CVE-2021-32714, CVE-2021-32715, CVE-2022-28129, CVE-2021-44040, CVE-2024-35161, CVE-2024-53868 | the table of `hostile` |
//! | HTTP/2 that becomes another HTTP/1 | VSV07 (CVE-2021-36740), VSV11 (CVE-2022-45060), CVE-2026-42926 | `http2` |
//! | HTTP/2 that costs more than it sends | CVE-2023-44487, CVE-2025-8671, RUSTSEC-2024-0332, CVE-2026-49975, CVE-2026-47774, VSV14 (CVE-2024-30156) | `http2` |
//! | ranges that lead outside a body, or read it many times | CVE-2017-7529, CVE-2018-8005 | `bodies` |
//! | memory that shows what was in it | VSV04, CVE-2026-60005 | `bodies` |
//! | frames of nothing | RUSTSEC-2026-0258 | `bodies` |
//! | key without the host | CVE-2026-2836 | here |
//! | requests that never hit | CVE-2024-35296 | here |
//! | one bad request empties the cache | VSV01, VSV03, VSV05, VSV06, VSV09 | here |

mod bodies;
mod http2;

use proxima_edge_core::edge_config::EdgeConfig;
use proxima_tests::hostile::{Recording, cases, passing};
use proxima_tests::viewer::get_with;
use proxima_tests::{Edge, Origin, Reply, config};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";

#[tokio::test]
async fn cve_2025_4366_a_body_is_not_left_on_the_connection_of_a_hit() {
    let origin = Origin::answering(|head| Reply::fresh(head.target().to_owned())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/page").await.expect("Miss", "/page");
    for framing in [
        format!("Content-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len()),
    ] {
        let mut viewer = edge.viewer().await;
        viewer.send(format!("GET /page HTTP/1.1\r\nHost: site.test\r\n{framing}{SMUGGLED}")).await;
        let answer = viewer.response("GET").await;
        assert_eq!((answer.status(), answer.head.field("connection")), (403, Some("close")));
        assert!(viewer.wire.ended().await, "and nothing more is answered");
    }
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn vsv08_and_vsv15_an_early_refusal_ends_the_connection_with_its_unread_body() {
    let origin = Recording::start().await;
    let edge = Edge::serve(&passing(origin.origin.address)).await;
    // Refused before anybody looks at the body: path, Host, method, size of the target.
    let heads = [
        ("POST /a/../b HTTP/1.1\r\nHost: site.test\r\n".to_owned(), 400),
        ("POST /x HTTP/1.1\r\nHost: a b\r\n".to_owned(), 400),
        ("TRACE /x HTTP/1.1\r\nHost: site.test\r\n".to_owned(), 403),
        (format!("POST /{} HTTP/1.1\r\nHost: site.test\r\n", "x".repeat(8_200)), 414),
    ];
    for (head, status) in heads {
        for framing in [
            format!("Content-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
            format!("Expect: 100-continue\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
        ] {
            let mut viewer = edge.viewer().await;
            viewer.send(format!("{head}{framing}")).await;
            let answer = viewer.response("POST").await;
            assert_eq!((answer.status(), answer.head.field("connection")), (status, Some("close")), "{head:.40}");
            assert!(viewer.wire.ended().await);
        }
    }
    assert_eq!(origin.take(), Vec::<String>::new());
}

#[tokio::test]
async fn an_answer_of_the_origin_before_the_end_of_the_body_ends_the_connection() {
    let origin = Origin::start(|mut exchange: proxima_tests::Exchange| async move {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").await;
        exchange.abandoned().await
    })
    .await;
    let edge = Edge::serve(&passing(origin.address)).await;
    let mut viewer = edge.viewer().await;
    viewer.send("POST /x HTTP/1.1\r\nHost: site.test\r\nContent-Length: 1000000\r\n\r\npart").await;
    let answer = viewer.response("POST").await;
    assert_eq!((answer.status(), &*answer.text(), answer.head.field("connection")), (200, "early", Some("close")));
    // What is on its way is read and thrown away, so that the answer is not lost; then the connection is gone.
    viewer.send("x".repeat(100_000)).await;
    assert!(viewer.wire.ended().await);
}

/// Two distributions that answer to a host each.
fn two_sites(first: &Origin, second: &Origin) -> EdgeConfig {
    let mut edge = config::site(first.address);
    let mut other = config::site(second.address).distributions.remove(0);
    edge.distributions[0].aliases = vec!["a.test".to_owned()];
    other.uid = "00000000-0000-0000-0000-000000000002".into();
    other.name = "default/other".into();
    other.aliases = vec!["b.test".to_owned()];
    edge.distributions.push(other);
    edge
}

#[tokio::test]
async fn cve_2026_2836_the_same_path_of_two_hosts_is_two_objects() {
    let first = Origin::answering(|_| Reply::fresh("of a")).await;
    let second = Origin::answering(|_| Reply::fresh("of b")).await;
    let edge = Edge::serve(&two_sites(&first, &second)).await;
    for x_cache in ["Miss", "Hit"] {
        for (host, body) in [("a.test", "of a"), ("b.test", "of b")] {
            let head = format!("GET /page HTTP/1.1\r\nHost: {host}\r\n\r\n");
            proxima_tests::viewer::raw(edge.http, head).await.expect(x_cache, body);
        }
    }
    // Of one distribution too, once the origin gets to see the Host.
    let origin = Origin::answering(|head| Reply::fresh(head.field("host").unwrap_or_default().to_owned())).await;
    let mut any_host = config::site(origin.address);
    any_host.distributions[0].default_behavior.cache_policy.forward.all_viewer_headers = true;
    let edge = Edge::serve(&any_host).await;
    let mut bodies = Vec::new();
    for host in ["a.test", "b.test", "a.test"] {
        let head = format!("GET /page HTTP/1.1\r\nHost: {host}\r\n\r\n");
        bodies.push(proxima_tests::viewer::raw(edge.http, head).await.text());
    }
    assert!(bodies[0] == bodies[2] && (bodies[0] != bodies[1] || !bodies[0].contains(".test")), "{bodies:?}");
}

#[tokio::test]
async fn cve_2024_35296_a_malformed_accept_encoding_does_not_miss_for_ever() {
    let origin = Origin::answering(|head| Reply::fresh(head.target().to_owned())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/page").await.expect("Miss", "/page");
    for value in ["\u{e9}garbage;;q=x", ";", "gzip;q=nan, *;q=-1", ",,,,", "gzip\tbr"] {
        let answer = get_with(edge.http, "/page", &format!("Accept-Encoding: {value}\r\n")).await;
        answer.expect("Hit", "/page");
    }
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn vsv_assertions_no_hostile_input_ends_the_process_or_empties_the_cache() {
    let origin = Origin::answering(|head| Reply::fresh(head.target().to_owned())).await;
    let mut edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/kept").await.expect("Miss", "/kept");
    for case in cases() {
        let mut viewer = edge.viewer().await;
        viewer.send(&case.bytes).await;
        viewer.wire.finish_writing().await;
        // Whatever it answers.
        viewer.wire.body(proxima_tests::http1::Framing::UntilClose).await;
    }
    assert!(edge.process.exited().is_none());
    edge.get("/kept").await.expect("Hit", "/kept");
    assert_eq!(edge.metrics().await.sum("proxima_edge_panics_total"), 0.0);
}
