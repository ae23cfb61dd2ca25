//! HTTP/2: what becomes another request in HTTP/1, and what costs the edge more than it costs the viewer.

use proxima_tests::h2raw::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, NEWEST, RST_STREAM, RawH2,
    StreamFate, WINDOW_UPDATE, frame, get, literals, remembered,
};
use proxima_tests::hostile::{Recording, passing};
use proxima_tests::{Edge, Gate, Origin, Reply, config, wait_until};

/// Codes of RFC 9113 § 7.
const CALM: Option<u32> = Some(11);
const PROTOCOL_ERROR: Option<u32> = Some(1);

/// How much more memory an attack may leave the edge with than it had before. Far below what each would take without a
/// bound, and far above what the allocator keeps.
const GROWTH: u64 = 64 << 20;

async fn edge_and_origin() -> (Edge, Origin) {
    let origin = Origin::answering(|head| Reply::fresh(head.target().to_owned())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    (edge, origin)
}

/// Panics unless the edge still serves, has not panicked, and has not grown by much.
#[track_caller]
pub(super) fn demand_bounded(edge: &Edge, before: u64) {
    let after = edge.process.resident();
    assert!(after < before + GROWTH, "memory went from {before} to {after} bytes");
}

#[tokio::test]
async fn vsv07_a_length_that_differs_from_the_data_never_reaches_the_origin() {
    let origin = Recording::start().await;
    let edge = Edge::serve(&passing(origin.origin.address)).await;
    for (length, data) in [(&b"3"[..], &b"GET /smuggled"[..]), (b"50", b"short"), (b"x", b"short"), (b"5, 5", b"short")]
    {
        let mut viewer = RawH2::connect(edge.http, &[]).await;
        let fields = [&[(&b":method"[..], &b"POST"[..])], &get(b"/x")[1..], &[(b"content-length", length)]].concat();
        let stream = viewer.stream();
        viewer.write(&frame(HEADERS, END_HEADERS, stream, &literals(&fields))).await;
        viewer.write(&frame(DATA, END_STREAM, stream, data)).await;
        let fate = viewer.fate(stream).await;
        assert!(!matches!(fate, StreamFate::Answered(200)), "{} and {data:?}: {fate:?}", length.escape_ascii());
    }
    assert_eq!(origin.take(), Vec::<String>::new());
}

#[tokio::test]
async fn vsv11_bytes_of_pseudo_fields_do_not_become_another_request() {
    let origin = Recording::start().await;
    let edge = Edge::serve(&passing(origin.origin.address)).await;
    let good = get(b"/x");
    let bad: [(usize, &[u8]); 17] = [
        (0, b"GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\nGET"),
        (0, b"GE T"),
        (0, b"GET\0"),
        (0, b""),
        (1, b"http://site.test/smuggled?"),
        (1, b"ht tp"),
        (2, b"site.test\r\nX: y"),
        (2, b"site.test x"),
        (2, b"user@site.test"),
        (2, b"site.test/smuggled"),
        (2, b""),
        (3, b"/x HTTP/1.1\r\nX: y\r\n\r\n"),
        (3, b"/x y"),
        (3, b"/x\0"),
        (3, b"/x\x7f"),
        (3, b""),
        (3, b"x"),
    ];
    for (which, value) in bad {
        let mut fields = good;
        fields[which].1 = value;
        let mut viewer = RawH2::connect(edge.http, &[]).await;
        let stream = viewer.request(&fields).await;
        let fate = viewer.fate(stream).await;
        assert!(
            matches!(fate, StreamFate::Answered(400 | 403) | StreamFate::Ended(_)),
            "{}: {fate:?}",
            value.escape_ascii()
        );
    }
    assert_eq!(origin.take(), Vec::<String>::new());
    assert_eq!(origin.origin.requests(), 0);
}

#[tokio::test]
async fn cve_2026_42926_fields_of_http_1_framing_are_malformed_in_http_2() {
    let origin = Recording::start().await;
    let edge = Edge::serve(&passing(origin.origin.address)).await;
    let bad: [(&[u8], &[u8]); 12] = [
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"close"),
        (b"keep-alive", b"1"),
        (b"upgrade", b"h2c"),
        (b"te", b"gzip"),
        (b"X-Upper", b"y"),
        (b"x y", b"z"),
        (b"x:y", b"z"),
        (b"x", b"y\r\nZ: w"),
        (b"x", b"y\0"),
        (b"host", b"other.test"),
        (b":path", b"/twice"),
    ];
    for field in bad {
        let mut viewer = RawH2::connect(edge.http, &[]).await;
        let stream = viewer.request(&[&get(b"/x")[..], &[field]].concat()).await;
        let fate = viewer.fate(stream).await;
        assert!(
            matches!(fate, StreamFate::Answered(400) | StreamFate::Ended(_)),
            "{}: {fate:?}",
            field.0.escape_ascii()
        );
    }
    assert_eq!(origin.origin.requests(), 0);
}

#[tokio::test]
async fn cve_2023_44487_rapid_reset_is_bounded_and_others_are_served() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    let origin = Origin::start(move |exchange: proxima_tests::Exchange| {
        let gate = waiting.clone();
        async move {
            if exchange.head.target() != "/other" {
                gate.pass().await;
            }
            exchange.reply(Reply::fresh("answer")).await
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let before = edge.process.resident();
    let mut viewer = RawH2::connect(edge.http, &[]).await;
    for _ in 0..40 {
        let mut burst = Vec::new();
        for _ in 0..50 {
            let stream = viewer.stream();
            burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &literals(&get(b"/reset"))));
            burst.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        }
        if !viewer.write(&burst).await {
            break;
        }
    }
    assert_eq!(edge.get("/other").await.status(), 200);
    assert!(origin.requests() <= 2, "resets of one object ask the origin for it once: {}", origin.requests());
    demand_bounded(&edge, before);
    assert_eq!(viewer.goaway().await, CALM);
    gate.open();
}

#[tokio::test]
async fn cve_2025_8671_made_you_reset_ends_the_connection() {
    let (edge, origin) = edge_and_origin().await;
    let before = edge.process.resident();
    // Each is an error of the stream, which the edge has to reset: a window beyond 2³¹ - 1, and data behind the end.
    let provocations: [(u8, &[u8], Option<u32>); 2] =
        [(WINDOW_UPDATE, &[0x7f, 0xff, 0xff, 0xff], CALM), (DATA, b"x", PROTOCOL_ERROR)];
    for (kind, payload, expected) in provocations {
        let mut viewer = RawH2::connect(edge.http, &[]).await;
        for _ in 0..30 {
            let mut burst = Vec::new();
            for _ in 0..50 {
                let stream = viewer.stream();
                burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &literals(&get(b"/made"))));
                burst.extend(frame(kind, 0, stream, payload));
            }
            if !viewer.write(&burst).await {
                break;
            }
        }
        let code = viewer.goaway().await;
        assert_eq!(code, expected, "frames of type {kind}");
    }
    assert_eq!(edge.get("/other").await.status(), 200);
    assert!(origin.requests_for("/made") <= 1);
    demand_bounded(&edge, before);
}

#[tokio::test]
async fn rustsec_2024_0332_a_flood_of_continuation_frames_ends_the_connection() {
    let (edge, origin) = edge_and_origin().await;
    let before = edge.process.resident();
    let mut viewer = RawH2::connect(edge.http, &[]).await;
    let stream = viewer.stream();
    viewer.write(&frame(HEADERS, 0, stream, &literals(&get(b"/flood")))).await;
    let more = frame(CONTINUATION, 0, stream, &literals(&[(b"x-more", &[b'x'; 1_000])]));
    let mut sent = 0;
    while sent < 100_000 && viewer.write(&more).await {
        sent += 1;
    }
    assert!(sent < 100_000, "the connection was not ended after {sent} frames");
    demand_bounded(&edge, before);
    assert_eq!((edge.get("/other").await.status(), origin.requests_for("/flood")), (200, 0));
}

#[tokio::test]
async fn rustsec_2024_0332_continuation_frames_of_nothing_end_the_connection_too() {
    let (edge, _origin) = edge_and_origin().await;
    let mut viewer = RawH2::connect(edge.http, &[]).await;
    let stream = viewer.stream();
    viewer.write(&frame(HEADERS, 0, stream, &literals(&get(b"/flood")))).await;
    let nothing = frame(CONTINUATION, 0, stream, b"").repeat(100);
    for _ in 0..100 {
        if !viewer.write(&nothing).await {
            break;
        }
    }
    assert_eq!(viewer.goaway().await, CALM);
    assert_eq!(edge.get("/other").await.status(), 200);
}

/// Requests whose fields are one byte each on the wire and `size` bytes in memory, on all streams of a connection whose
/// windows are shut, so that nothing of them is let go by being answered.
async fn bomb(edge: &Edge, name: &[u8], size: usize, references: usize) -> Vec<StreamFate> {
    let mut viewer = RawH2::connect(edge.http, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let value = vec![b'x'; size];
    let first = [literals(&get(b"/bomb")), remembered(name, &value)].concat();
    let stream = viewer.stream();
    viewer.write(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &first)).await;
    let block = [literals(&get(b"/bomb")), vec![NEWEST; references]].concat();
    let mut streams = Vec::new();
    for _ in 0..90 {
        let stream = viewer.stream();
        if !viewer.write(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).await {
            break;
        }
        streams.push(stream);
    }
    let mut fates = Vec::new();
    for stream in streams {
        match viewer.fate(stream).await {
            ended @ StreamFate::Ended(None) => {
                fates.push(ended);
                break;
            }
            fate => fates.push(fate),
        }
    }
    fates
}

#[tokio::test]
async fn cve_2026_49975_references_of_hpack_pin_no_memory() {
    let (edge, origin) = edge_and_origin().await;
    let before = edge.process.resident();
    // Without a bound 90 streams × 16,000 references × 3 KiB: more than 4 GiB.
    for (size, references) in [(3_000, 16_000), (1, 16_000), (0, 120)] {
        let fates = bomb(&edge, b"x-bomb", size, references).await;
        let refused = fates.iter().all(|fate| matches!(fate, StreamFate::Answered(431 | 494) | StreamFate::Ended(_)));
        assert!(refused && !fates.is_empty(), "{references} references to {size} bytes: {fates:?}");
    }
    demand_bounded(&edge, before);
    assert_eq!(edge.get("/other").await.status(), 200);
    assert!(origin.requests_for("/bomb") <= 1, "only the request without references is good");
}

#[tokio::test]
async fn cve_2026_47774_cookie_crumbs_count_one_by_one() {
    let (edge, origin) = edge_and_origin().await;
    let before = edge.process.resident();
    for references in [120, 1_500, 16_000] {
        let fates = bomb(&edge, b"cookie", 1, references).await;
        let refused = fates.iter().all(|fate| matches!(fate, StreamFate::Answered(431 | 494) | StreamFate::Ended(_)));
        assert!(refused && !fates.is_empty(), "{references} crumbs: {fates:?}");
    }
    demand_bounded(&edge, before);
    assert!(origin.requests_for("/bomb") <= 1);
    assert_eq!(edge.get("/other").await.status(), 200);
}

#[tokio::test]
async fn vsv14_shut_windows_pin_no_copies_and_keep_nobody_waiting() {
    let body = vec![b'b'; 1 << 20];
    let origin = Origin::answering(move |_| Reply::fresh(body.clone())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    assert_eq!(edge.get("/big").await.body.bytes.len(), 1 << 20);
    let before = edge.process.resident();
    let mut viewers = Vec::new();
    for _ in 0..10 {
        let mut viewer = RawH2::connect(edge.http, &[(INITIAL_WINDOW_SIZE, 0)]).await;
        let mut last = 0;
        for _ in 0..100 {
            last = viewer.request(&get(b"/big")).await;
        }
        assert_eq!(viewer.fate(last).await, StreamFate::Answered(200));
        viewers.push(viewer);
    }
    // A thousand answers of 1 MiB, of which nobody takes a byte.
    demand_bounded(&edge, before);
    edge.get("/big").await.expect("Hit", &"b".repeat(1 << 20));
    drop(viewers);
    wait_until("the viewers are gone", async || {
        let open = edge.metrics().await.sum("proxima_edge_connections");
        if open <= 1.0 { Ok(()) } else { Err(format!("{open} connections")) }
    })
    .await;
}

#[tokio::test]
async fn streams_beyond_the_announced_number_are_refused() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    let origin = Origin::start(move |exchange: proxima_tests::Exchange| {
        let gate = waiting.clone();
        async move {
            gate.pass().await;
            exchange.reply(Reply::ok("answer")).await
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut viewer = RawH2::connect(edge.http, &[]).await;
    let mut last = 0;
    for _ in 0..101 {
        last = viewer.request(&get(b"/held")).await;
    }
    assert_eq!(viewer.fate(last).await, StreamFate::Ended(Some(7)), "REFUSED_STREAM");
    gate.open();
    assert_eq!(h2raw::GOAWAY, 7);
}
