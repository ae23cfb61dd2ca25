//! Bodies and their parts: numbers that wrap, memory that somebody else's bytes were in, and what may follow a body.

use proxima_tests::h2raw::{DATA, END_HEADERS, END_STREAM, HEADERS, RawH2, StreamFate, frame, get, literals};
use proxima_tests::hostile::{Recording, passing};
use proxima_tests::http1::Framing;
use proxima_tests::viewer::get_with;
use proxima_tests::{Edge, Exchange, Origin, Reply, config};

/// 3 MiB of which every 16 bytes say where they are: more than one piece of the store.
fn numbered() -> Vec<u8> {
    (0..3 << 16).flat_map(|index: u32| format!("{index:015}\n").into_bytes()).collect()
}

/// Ranges whose numbers are at or beyond what 32 or 64 bits hold, whose ends are before their beginnings, or that are
/// many: what leaked a cache's own file header elsewhere, or made it read an object as often as there were ranges.
#[tokio::test]
async fn cve_2017_7529_and_cve_2018_8005_no_range_leads_outside_a_body_or_costs_more_than_it() {
    let body = numbered();
    let whole = body.clone();
    let origin = Origin::answering(move |_| Reply::fresh(whole.clone())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/film").await;
    let many = format!("bytes={}", vec!["0-"; 500].join(","));
    let length = body.len();
    let ranges = [
        "bytes=-9223372036854775608".to_owned(),
        "bytes=-17208,-9223372036854758792".to_owned(),
        "bytes=-18446744073709551616".to_owned(),
        "bytes=0-18446744073709551615".to_owned(),
        "bytes=18446744073709551615-".to_owned(),
        "bytes=18446744073709551610-18446744073709551620".to_owned(),
        "bytes=4294967295-4294967297".to_owned(),
        format!("bytes={}-{length}", length - 1),
        format!("bytes={length}-{length}"),
        "bytes=9-5".to_owned(),
        "bytes=1-2,9-5,-0".to_owned(),
        "bytes=0-0,-1,1048575-1048576".to_owned(),
        many,
    ];
    for range in ranges {
        let answer = get_with(edge.http, "/film", &format!("Range: {range}\r\n")).await;
        let got = &answer.body.bytes;
        match (answer.status(), answer.head.field("content-range")) {
            (200, None) => assert!(*got == body, "{range:.60}: another body"),
            (206, Some(part)) => {
                let (span, total) = part.strip_prefix("bytes ").and_then(|part| part.split_once('/')).unwrap();
                let (first, last) = span.split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                assert_eq!(total.parse::<usize>().unwrap(), length, "{range:.60}");
                assert!(*got == body[first..=last], "{range:.60}: not the bytes that it says");
            }
            (206, None) => assert!(got.len() < length + 4_096, "{range:.60}: {} bytes", got.len()),
            (416, Some(part)) => assert_eq!(part, format!("bytes */{length}"), "{range:.60}"),
            other => panic!("{range:.60}: {other:?}"),
        }
    }
    assert_eq!(origin.requests(), 1, "and all of it comes from the store");
}

/// Memory that is used again must not show what was in it: not in what is beyond the end of a short body, not in a part
/// that was never fetched, and not in the edge's own pages.
#[tokio::test]
async fn vsv04_and_cve_2026_60005_nobody_gets_bytes_that_were_another_body() {
    const SECRET: &str = "secret of another";
    let origin = Origin::start(async |mut exchange: Exchange| {
        if exchange.head.target().starts_with("/short") {
            // Announces more than it sends.
            exchange
                .write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 3000000\r\n\r\nbegun")
                .await;
            return exchange.reset();
        }
        exchange.reply(Reply::fresh(SECRET.repeat(180_000)).field("X-Secret", SECRET)).await
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for round in 0..5 {
        edge.get(&format!("/secret/{round}")).await;
        let mut viewer = edge.viewer().await;
        viewer.send_get(&format!("/short/{round}"), "").await;
        let head = viewer.head().await;
        let body = viewer.wire.body(head.response_framing("GET")).await;
        assert!(b"begun".starts_with(&body.bytes), "{}", body.bytes.escape_ascii());
        for (path, fields) in [("/a/../b", ""), ("/short/x", "Range: bytes=0-\r\n"), ("/%zz", "X: y\r\n")] {
            let answer = get_with(edge.http, path, fields).await;
            let text = format!("{:?} {}", answer.head, answer.text());
            assert!(!text.contains("secret"), "{path}: {text}");
        }
    }
}

/// A frame of nothing costs the viewer nine bytes. What it costs here must not add up.
#[tokio::test]
async fn rustsec_2026_0258_data_frames_of_nothing_add_nothing_up() {
    let origin = Origin::start(async |mut exchange: Exchange| {
        exchange.request_body().await;
        exchange.reply(Reply::ok("done")).await
    })
    .await;
    let edge = Edge::serve(&passing(origin.address)).await;
    let before = edge.process.resident();
    let mut viewer = RawH2::connect(edge.http, &[]).await;
    let fields = [&[(&b":method"[..], &b"POST"[..])], &get(b"/x")[1..]].concat();
    let stream = viewer.stream();
    viewer.write(&frame(HEADERS, END_HEADERS, stream, &literals(&fields))).await;
    let nothing = frame(DATA, 0, stream, b"").repeat(1_000);
    for _ in 0..1_000 {
        if !viewer.write(&nothing).await {
            break;
        }
    }
    viewer.write(&frame(DATA, END_STREAM, stream, b"")).await;
    let fate = viewer.fate(stream).await;
    assert!(matches!(fate, StreamFate::Answered(200) | StreamFate::Ended(_)), "{fate:?}");
    super::http2::demand_bounded(&edge, before);
    assert_eq!(edge.get("/other").await.status(), 200);
}

/// A trailer could name what was decided long before it came. It is dropped, in both directions.
#[tokio::test]
async fn trailers_are_dropped_in_both_directions() {
    let origin = Recording::start().await;
    let edge = Edge::serve(&passing(origin.origin.address)).await;
    let mut viewer = edge.viewer().await;
    let head = "POST /x HTTP/1.1\r\nHost: site.test\r\nTrailer: X-After\r\nTransfer-Encoding: chunked\r\n\r\n";
    viewer.send(format!("{head}3\r\nabc\r\n0\r\nX-After: smuggled\r\n\r\n")).await;
    assert_eq!(viewer.response("POST").await.status(), 200);
    // A body with something behind its last chunk would not have counted as complete.
    assert_eq!(origin.take(), ["POST /x abc"]);

    let origin = Origin::start(async |mut exchange: Exchange| {
        let head =
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTrailer: X-After\r\nTransfer-Encoding: chunked\r\n\r\n";
        exchange.write(format!("{head}3\r\nabc\r\n0\r\nX-After: smuggled\r\n\r\n")).await;
        Some(exchange)
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for x_cache in ["Miss", "Hit"] {
        let mut viewer = edge.viewer().await;
        viewer.send("GET /x HTTP/1.1\r\nHost: site.test\r\nTE: trailers\r\nConnection: close\r\n\r\n").await;
        let text = String::from_utf8(viewer.wire.body(Framing::UntilClose).await.bytes).unwrap();
        assert!(text.contains(&format!("{x_cache} from proxima")) && !text.contains("smuggled"), "{text}");
    }
}
