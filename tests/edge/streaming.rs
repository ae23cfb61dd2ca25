//! Bodies reach viewers as the origin sends them, whole or visibly cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxima_tests::viewer::Viewer;
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, config, wait_until};

async fn crowd(edge: &Edge, count: usize, path: &str) -> Vec<Viewer> {
    let mut viewers = Vec::new();
    for _ in 0..count {
        let mut viewer = edge.viewer().await;
        viewer.send_get(path, "").await;
        viewers.push(viewer);
    }
    viewers
}

#[tokio::test]
async fn every_viewer_has_the_first_chunk_before_the_second_is_released() {
    let (head, second) = (Gate::closed(), Gate::closed());
    let gates = (head.clone(), second.clone());
    let origin = Origin::start(move |mut exchange: Exchange| {
        let (head, second) = gates.clone();
        async move {
            head.pass().await;
            exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            exchange.chunk("first").await;
            second.pass().await;
            exchange.chunk("second").await;
            exchange.chunk("").await;
            Some(exchange)
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;

    let mut early = crowd(&edge, 20, "/stream").await;
    edge.metric_reaches("proxima_edge_fill_waiters", |waiters| waiters == 19.0).await;
    head.open();
    for viewer in &mut early {
        assert_eq!(viewer.head().await.status(), 200);
        assert_eq!(viewer.wire.chunk().await.as_deref(), Some(&b"first"[..]));
    }
    // Who comes while the body is on its way gets all of it too.
    let mut late = crowd(&edge, 5, "/stream").await;
    for viewer in &mut late {
        assert_eq!(viewer.head().await.status(), 200);
        assert_eq!(viewer.wire.chunk().await.as_deref(), Some(&b"first"[..]));
    }
    second.open();
    for viewer in early.iter_mut().chain(&mut late) {
        assert_eq!(viewer.wire.chunk().await.as_deref(), Some(&b"second"[..]));
        assert_eq!(viewer.wire.chunk().await.as_deref(), Some(&b""[..]));
    }
    assert_eq!(origin.requests(), 1);
    edge.get("/stream").await.expect("Hit", "firstsecond");
}

/// An origin that sends these fields and a first chunk, and the end once `rest` is passed; from the second request on a
/// fresh response at once.
async fn unfinished(fields: &'static str, rest: &Gate) -> Origin {
    let (rest, asked) = (rest.clone(), Arc::new(AtomicUsize::new(0)));
    Origin::start(move |mut exchange: Exchange| {
        let (rest, first) = (rest.clone(), asked.fetch_add(1, Ordering::SeqCst) == 0);
        async move {
            if !first {
                return exchange.reply(Reply::fresh("new")).await;
            }
            exchange.write(format!("HTTP/1.1 200 OK\r\n{fields}\r\nTransfer-Encoding: chunked\r\n\r\n")).await;
            exchange.chunk("first").await;
            rest.pass().await;
            exchange.chunk("").await;
            Some(exchange)
        }
    })
    .await
}

#[tokio::test]
async fn who_comes_when_a_body_is_no_longer_fresh_begins_anew_for_all_who_come_then() {
    let rest = Gate::closed();
    let origin = unfinished("Cache-Control: max-age=1", &rest).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut early = edge.viewer().await;
    early.send_get("/stream", "").await;
    assert_eq!(early.head().await.status(), 200);
    // Within its second the body is shared; after it, it is not.
    wait_until("a viewer is no longer given the old body", async || {
        let mut late = edge.viewer().await;
        late.send_get("/stream", "").await;
        late.head().await;
        match origin.requests() {
            1 => Err("it was".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 1.0).await;
    edge.get("/stream").await.expect("Hit", "new");
    rest.open();
    assert_eq!(early.wire.chunk().await.as_deref(), Some(&b"first"[..]));
    assert_eq!(early.wire.chunk().await.as_deref(), Some(&b""[..]));
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    edge.get("/stream").await.expect("Hit", "new");
    assert_eq!(origin.requests(), 2);
}

#[tokio::test]
async fn who_comes_when_a_body_is_stale_shares_it_while_that_is_permitted() {
    let rest = Gate::closed();
    let fields = "Cache-Control: max-age=1, stale-while-revalidate=600\r\nAge: 2";
    let origin = unfinished(fields, &rest).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut viewers = crowd(&edge, 1, "/stream").await;
    assert_eq!(viewers[0].head().await.status(), 200);
    for _ in 0..5 {
        let mut late = edge.viewer().await;
        late.send_get("/stream", "").await;
        assert_eq!(late.head().await.field("x-cache"), Some("Hit from proxima"));
        viewers.push(late);
    }
    rest.open();
    for viewer in &mut viewers {
        assert_eq!(viewer.wire.chunk().await.as_deref(), Some(&b"first"[..]));
        assert_eq!(viewer.wire.chunk().await.as_deref(), Some(&b""[..]));
    }
    assert_eq!(origin.requests(), 1);
}

/// An origin that sends `head` and half a body, and ends in some bad way once `cut` is passed.
async fn dying(head: &'static str, body: &'static str, cut: &Gate, reset: bool) -> Origin {
    let cut = cut.clone();
    Origin::start(move |mut exchange: Exchange| {
        let cut = cut.clone();
        async move {
            exchange.write(format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{head}\r\n{body}")).await;
            cut.pass().await;
            if reset { exchange.reset() } else { None }
        }
    })
    .await
}

async fn check_cut(head: &'static str, body: &'static str, reset: bool) {
    let cut = Gate::closed();
    let origin = dying(head, body, &cut, reset).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut viewers = crowd(&edge, 5, "/cut").await;
    let mut framings = Vec::new();
    for viewer in &mut viewers {
        let head = viewer.head().await;
        assert_eq!(head.status(), 200);
        framings.push(head.response_framing("GET"));
    }
    cut.open();
    for (viewer, framing) in viewers.iter_mut().zip(framings) {
        let body = viewer.wire.body(framing).await;
        assert!(!body.complete, "{head:?}, reset {reset}: a body that broke off must not look whole: {body:?}");
    }
    let before = origin.requests();
    edge.get("/cut").await;
    assert_eq!(origin.requests(), before + 1, "{head:?}, reset {reset}: nothing is stored");
    edge.log_line("the cut is named", |line| line["reason"] == "OriginBodyIncomplete").await;
}

#[tokio::test]
async fn a_body_with_a_length_that_breaks_off_is_cut_for_all_and_not_stored() {
    check_cut("Content-Length: 10\r\n", "half.", false).await;
    check_cut("Content-Length: 10\r\n", "half.", true).await;
}

#[tokio::test]
async fn a_chunked_body_that_breaks_off_is_cut_for_all_and_not_stored() {
    check_cut("Transfer-Encoding: chunked\r\n", "5\r\nhalf.\r\n", false).await;
    check_cut("Transfer-Encoding: chunked\r\n", "5\r\nhalf.\r\n", true).await;
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_cut_by_a_reset() {
    check_cut("Connection: close\r\n", "half.", true).await;
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_stored_when_it_ends_cleanly() {
    let origin = Origin::start(|mut exchange: Exchange| async move {
        exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nall of it").await;
        None
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/whole").await.expect("Miss", "all of it");
    edge.get("/whole").await.expect("Hit", "all of it");
}

#[tokio::test]
async fn what_is_longer_than_a_slice_is_replayed_byte_for_byte() {
    let body: Vec<u8> = (0..3_500_000_u32).map(|index| (index % 251) as u8).collect();
    let sent = body.clone();
    let origin = Origin::answering(move |_| Reply::fresh(sent.clone())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for x_cache in ["Miss from proxima", "Hit from proxima"] {
        let answer = edge.get("/large").await;
        assert_eq!((answer.status(), answer.x_cache(), answer.body.complete), (200, x_cache, true));
        assert_eq!(answer.head.field("content-length"), Some("3500000"));
        assert!(answer.body.bytes == body, "{x_cache}: not the bytes that the origin sent");
    }
}

#[tokio::test]
async fn a_response_larger_than_a_quarter_of_the_cache_is_passed_on_and_not_stored() {
    let origin = Origin::answering(|_| Reply::fresh(vec![b'f'; 17 << 20])).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for requests in 1..=2 {
        let answer = edge.get("/film").await;
        assert_eq!((answer.status(), answer.body.bytes.len(), answer.body.complete), (200, 17 << 20, true));
        assert_eq!((answer.x_cache(), origin.requests()), ("Miss from proxima", requests));
    }
}

#[tokio::test]
async fn a_response_of_unknown_length_that_outgrows_the_cache_is_passed_on_and_not_stored() {
    let origin = Origin::start(|mut exchange: Exchange| async move {
        exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for _ in 0..24 {
            exchange.chunk(vec![b'f'; 1 << 20]).await;
        }
        exchange.chunk("").await;
        Some(exchange)
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for requests in 1..=2 {
        let answer = edge.get("/endless").await;
        assert_eq!((answer.status(), answer.body.bytes.len(), answer.body.complete), (200, 24 << 20, true));
        assert_eq!((answer.x_cache(), origin.requests()), ("Miss from proxima", requests));
    }
}
