//! Streams and connections of HTTP/2 that never reach the service.

use std::collections::HashSet;

use bytes::Bytes;
use http::Request;
use proxima_tests::h2c::H2c;
use proxima_tests::h2raw::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, RawH2, StreamFate, WINDOW_UPDATE, frame, get, literals,
};
use proxima_tests::hostile::{Recording, passing};
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, config, wait_until};
use serde_json::Value;

use super::edge;

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

/// The lines of the access log once there are so many of them.
async fn lines(edge: &Edge, count: usize) -> Vec<Value> {
    wait_until("all lines are logged", async || match edge.log() {
        log if log.len() >= count => Ok(log),
        log => Err(format!("{} of {count} lines: {log:#?}", log.len())),
    })
    .await
}

/// Requests that the library takes for malformed before anybody else sees them.
fn malformed() -> Vec<Fields<'static>> {
    let with = |field: (&'static [u8], &'static [u8])| [&get(b"/bad")[..], &[field]].concat();
    let mut all: Vec<Fields<'_>> = [
        (&b"connection"[..], &b"close"[..]),
        (b"transfer-encoding", b"chunked"),
        (b"te", b"gzip"),
        (b"content-length", b"5"),
        (b"content-length", b"x"),
        (b"content-length", b"5, 5"),
        (b":path", b"/twice"),
        (b":status", b"200"),
    ]
    .map(with)
    .to_vec();
    // A pseudo-header behind an ordinary one, and one too few.
    all.push([&[(&b"x"[..], &b"y"[..])], &get(b"/bad")[..]].concat());
    all.push(get(b"/bad")[1..].to_vec());
    all
}

#[tokio::test]
async fn every_stream_that_the_library_resets_has_one_line_and_others_none_but_their_own() {
    let (edge, origin) = edge().await;
    edge.get("/page").await.expect("Miss", "/page");
    let mut viewer = RawH2::connect(edge.http, &[]).await;
    let (mut bytes, mut bad, mut good) = (Vec::new(), Vec::new(), Vec::new());
    for fields in malformed() {
        for (fields, streams) in [(fields, &mut bad), (get(b"/page").to_vec(), &mut good)] {
            streams.push(viewer.stream());
            let stream = *streams.last().unwrap();
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &literals(&fields)));
        }
    }
    viewer.write(&bytes).await;
    let (mut resets, mut answers) = (HashSet::new(), HashSet::new());
    while resets.len() < bad.len() || answers.len() < good.len() {
        let frame = viewer.frame().await.expect("the connection goes on");
        assert_ne!(frame.kind, GOAWAY, "{} of {} were reset: {frame:?}", resets.len(), bad.len());
        match frame.kind {
            RST_STREAM => assert!(resets.insert(frame.stream) && frame.error_code() == Some(1), "{frame:?}"),
            HEADERS => assert!(answers.insert(frame.stream)),
            _ => {}
        }
    }
    assert_eq!((resets, answers), (bad.iter().copied().collect(), good.iter().copied().collect()));
    // One behind all of them, so that nothing is still to come.
    let last = viewer.request(&get(b"/last")).await;
    assert_eq!(viewer.fate(last).await, StreamFate::Answered(200));
    let lines = lines(&edge, bad.len() + good.len() + 2).await;
    assert_eq!(lines.len(), bad.len() + good.len() + 2);
    let refused: Vec<_> = lines.iter().filter(|line| line["reason"] == "InvalidRequest").collect();
    assert_eq!(refused.len(), bad.len());
    for line in refused {
        assert_eq!((&line["protocol"], &line["method"]), (&"HTTP/2.0".into(), &"-".into()));
        assert!(line["status"].is_null() && line["detail"] == "the stream was reset: PROTOCOL_ERROR", "{line}");
    }
    let ids: HashSet<_> = lines.iter().map(|line| line["request_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), lines.len(), "each has an id of its own");
    let counted = edge.metrics().await.with("proxima_edge_requests_total", &[("reason", "InvalidRequest")]);
    assert_eq!((counted, origin.requests()), (bad.len() as f64, 2));
}

#[tokio::test]
async fn a_stream_that_is_reset_after_the_service_has_it_has_the_services_line_only() {
    let origin = Recording::start().await;
    let edge = Edge::serve(&passing(origin.origin.address)).await;
    let mut viewer = RawH2::connect(edge.http, &[]).await;
    let post = [&[(&b":method"[..], &b"POST"[..])], &get(b"/short")[1..], &[(b"content-length", b"50")]].concat();
    // Less than was announced, and a window beyond all numbers.
    for (kind, flags, payload) in [(DATA, END_STREAM, &b"short"[..]), (WINDOW_UPDATE, 0, &[0x7f, 0xff, 0xff, 0xff])] {
        let stream = viewer.stream();
        viewer.write(&frame(HEADERS, END_HEADERS, stream, &literals(&post))).await;
        viewer.write(&frame(kind, flags, stream, payload)).await;
        assert_ne!(viewer.fate(stream).await, StreamFate::Answered(200));
    }
    let last = viewer.request(&get(b"/last")).await;
    assert_eq!(viewer.fate(last).await, StreamFate::Answered(200));
    let lines = lines(&edge, 3).await;
    let paths: Vec<_> = lines.iter().map(|line| line["uri_stem"].as_str().unwrap()).collect();
    assert_eq!(paths.iter().filter(|path| **path == "/short").count(), 2, "{lines:#?}");
    assert_eq!(lines.len(), 3, "{lines:#?}");
}

#[tokio::test]
async fn streams_beyond_the_announced_number_are_logged_as_too_many() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    let origin = Origin::start(move |exchange: Exchange| {
        let gate = waiting.clone();
        async move {
            gate.pass().await;
            exchange.reply(Reply::fresh("answer")).await
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut viewer = RawH2::connect(edge.http, &[]).await;
    let mut streams = Vec::new();
    for _ in 0..103 {
        streams.push(viewer.request(&get(b"/held")).await);
    }
    for stream in &streams[100..] {
        assert_eq!(viewer.fate(*stream).await, StreamFate::Ended(Some(7)), "REFUSED_STREAM");
    }
    for line in lines(&edge, 3).await {
        assert_eq!((&line["reason"], &line["result_type"]), (&"TooManyStreams".into(), &"LimitExceeded".into()));
    }
    gate.open();
    assert_eq!(lines(&edge, 103).await.len(), 103);
}

#[tokio::test]
async fn a_head_beyond_the_librarys_bound_is_answered_with_all_marks() {
    let (edge, _origin) = edge().await;
    let mut viewer = H2c::connect(edge.http).await;
    let large = || {
        let half = "x".repeat(40_000);
        Request::get("http://site.test/large").header("x-a", &half).header("x-b", half).body(Bytes::new()).unwrap()
    };
    let mut ids = HashSet::new();
    // More than one, and good ones between them: the memory of HPACK must stay in order.
    for path in ["/a", "/b", "/a"] {
        let answer = viewer.send(large()).await.unwrap();
        let field = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(answer.status().as_u16(), 431);
        assert_eq!(field("x-cache"), "LimitExceeded from proxima");
        assert_eq!(field("cache-status"), "proxima; detail=HeadTooLarge");
        assert_eq!(
            (field("x-proxima-reason"), field("x-proxima-zone")),
            ("HeadTooLarge".to_owned(), "zone-a".to_owned())
        );
        assert!(answer.headers().contains_key("date") && answer.headers().contains_key("via"));
        assert!(answer.body().is_empty() && !answer.headers().contains_key("content-length"));
        ids.insert(field("x-proxima-request-id"));
        let good = viewer.get(path).await;
        assert_eq!((good.status().as_u16(), good.body()), (200, &Bytes::from(path)));
    }
    let log = lines(&edge, 6).await;
    let refused = log.iter().filter(|line| line["reason"] == "HeadTooLarge" && line["status"] == 431);
    let logged: HashSet<_> = refused.map(|line| line["request_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((logged, log.len()), (ids, 6));
}

/// Bursts of malformed streams, of which each is sent when the resets of the one before have come, or at once; counts the
/// resets until the edge ends the connection.
async fn flood(edge: &Edge, patient: bool) -> usize {
    let mut viewer = RawH2::connect(edge.http, &[]).await;
    let block = literals(&[&get(b"/flood")[..], &[(b"connection", b"close")]].concat());
    let (mut resets, mut code) = (0, None);
    for _ in 0..100 {
        let mut burst = Vec::new();
        for _ in 0..50 {
            burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, viewer.stream(), &block));
        }
        let wanted = resets + if patient { 50 } else { 0 };
        if !viewer.write(&burst).await {
            break;
        }
        while code.is_none() && resets < wanted {
            let Some(frame) = viewer.frame().await else { break };
            resets += usize::from(frame.kind == RST_STREAM);
            code = frame.error_code().filter(|_| frame.kind == GOAWAY);
        }
    }
    while let Some(frame) = viewer.frame().await {
        resets += usize::from(frame.kind == RST_STREAM);
        code = code.or(frame.error_code().filter(|_| frame.kind == GOAWAY));
    }
    assert_eq!(code, Some(11), "ENHANCE_YOUR_CALM");
    resets
}

#[tokio::test]
async fn a_flood_of_malformed_streams_has_a_line_for_each_reset_and_one_for_the_connection() {
    for patient in [true, false] {
        let (edge, _origin) = edge().await;
        let resets = flood(&edge, patient).await;
        edge.metric_reaches("proxima_edge_connections_closed_total", |closed| closed >= 1.0).await;
        let log = lines(&edge, resets + 1).await;
        assert_eq!(log.len(), resets + 1);
        assert!(resets <= 1_024 && (resets >= 1_000 || !patient), "{resets} resets");
    }
}

#[tokio::test]
async fn every_connection_that_the_edge_ends_has_one_line() {
    let (edge, _origin) = edge().await;
    let with = |name: &[u8], value: &[u8]| literals(&[&get(b"/x")[..], &[(name, value)]].concat());
    let (head, upper, nul) = (literals(&get(b"/x")), with(b"X-Upper", b"y"), with(b"x", b"y\0"));
    let broken: [(&str, u32, Vec<u8>); 10] = [
        ("DATA of no stream", 1, frame(DATA, 0, 0, b"x")),
        ("fields of no stream", 1, frame(HEADERS, END_HEADERS, 0, &head)),
        ("an even stream", 1, frame(HEADERS, END_HEADERS, 2, &head)),
        ("another frame within fields", 1, [frame(HEADERS, 0, 1, &head), frame(DATA, 0, 1, b"x")].concat()),
        ("an upper case name", 1, frame(HEADERS, END_HEADERS | END_STREAM, 1, &upper)),
        ("a NUL", 1, frame(HEADERS, END_HEADERS | END_STREAM, 1, &nul)),
        ("fields that are no HPACK", 1, frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80])),
        ("a reset of a wrong size", 1, frame(RST_STREAM, 0, 1, b"bad")),
        ("a window beyond all numbers", 3, frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ("a frame that is too long", 6, frame(DATA, 0, 1, &[0; 20_000])),
    ];
    for (count, (what, code, bytes)) in (1..).zip(broken) {
        let mut viewer = RawH2::connect(edge.http, &[]).await;
        viewer.write(&bytes).await;
        assert_eq!(viewer.goaway().await, Some(code), "{what}");
        drop(viewer);
        let log = lines(&edge, count).await;
        let line = log.last().unwrap();
        assert_eq!((log.len(), &line["reason"]), (count, &"InvalidRequest".into()), "{what}: {line}");
        assert_eq!((&line["protocol"], line["status"].is_null()), (&"HTTP/2.0".into(), true), "{what}");
    }
}

#[tokio::test]
async fn an_http_2_viewer_who_leaves_in_order_has_no_line_for_that() {
    let (edge, _origin) = edge().await;
    let mut viewer = RawH2::connect(edge.http, &[]).await;
    let stream = viewer.request(&get(b"/page")).await;
    assert_eq!(viewer.fate(stream).await, StreamFate::Answered(200));
    let stream = viewer.stream();
    viewer.write(&frame(HEADERS, 0, stream, &literals(&get(b"/half")))).await;
    drop(viewer);
    edge.metric_reaches("proxima_edge_connections_closed_total", |closed| closed >= 1.0).await;
    assert_eq!(lines(&edge, 1).await.len(), 1);
}
