//! Ranges of what is not stored, from an origin that takes no notice of Range: its whole is a fill that others join.

use proxima_tests::viewer::{Viewer, get_with, request};
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, config, wait_until};

const MIB: usize = 1 << 20;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// An origin that sends head and `first` bytes of its whole when `head` is passed, and the rest when `rest` is.
async fn ignoring(length: usize, first: usize, head: &Gate, rest: &Gate) -> Origin {
    let (head, rest) = (head.clone(), rest.clone());
    Origin::start(move |mut exchange: Exchange| {
        let (head, rest) = (head.clone(), rest.clone());
        async move {
            let body = bytes(length);
            head.pass().await;
            exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: \"v1\"\r\n").await;
            exchange.write(format!("Content-Length: {length}\r\n\r\n")).await;
            exchange.write(&body[..first]).await;
            rest.pass().await;
            exchange.write(&body[first..]).await;
            Some(exchange)
        }
    })
    .await
}

fn open() -> Gate {
    let gate = Gate::closed();
    gate.open();
    gate
}

#[tokio::test]
async fn the_whole_that_comes_for_a_range_is_shared_by_all_who_ask_meanwhile() {
    let (rest, body) = (Gate::closed(), bytes(1000));
    let origin = ignoring(1000, 500, &open(), &rest).await;
    let edge = Edge::serve(&config::site(origin.address)).await;

    let mut first = edge.viewer().await;
    first.send_get("/film", "Range: bytes=400-599\r\n").await;
    let head = first.head().await;
    assert_eq!((head.status(), head.field("content-range")), (206, Some("bytes 400-599/1000")));
    assert_eq!((head.field("x-cache"), head.field("age")), (Some("Miss from proxima"), None));
    assert_eq!(first.wire.take(100).await, body[400..500]);

    let mut whole = edge.viewer().await;
    whole.send_get("/film", "").await;
    let whole_head = whole.head().await;
    assert_eq!((whole_head.status(), whole_head.field("x-cache")), (200, Some("Hit from proxima")));
    let part = get_with(edge.http, "/film", "Range: bytes=0-9\r\n").await;
    assert_eq!((part.status(), part.x_cache(), &part.body.bytes[..]), (206, "Hit from proxima", &body[..10]));
    let other = get_with(edge.http, "/film", "Range: bytes=0-9\r\nIf-Range: \"v1\"\r\n").await;
    assert_eq!((other.status(), other.x_cache()), (206, "Hit from proxima"));

    rest.open();
    assert_eq!(first.wire.take(100).await, body[500..600]);
    assert!(whole.wire.body(whole_head.response_framing("GET")).await.bytes == body);
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    let stored = edge.get("/film").await;
    assert!(stored.x_cache() == "Hit from proxima" && stored.body.bytes == body);
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn those_who_asked_the_origin_at_the_same_moment_share_the_first_whole_where_they_are_near() {
    let (head, rest, length) = (Gate::closed(), Gate::closed(), 12 * MIB);
    let (origin, body) = (ignoring(length, 1000, &head, &rest).await, bytes(length));
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut viewers = Vec::new();
    for (count, range) in (1..).zip(["900-1099", "0-9", "-10"]) {
        let mut viewer = edge.viewer().await;
        viewer.send_get("/film", &format!("Range: bytes={range}\r\n")).await;
        head.arrived(count).await;
        viewers.push(viewer);
    }
    let [mut first, mut near, mut far] = <[Viewer; 3]>::try_from(viewers).ok().unwrap();
    head.admit(1);
    assert_eq!(first.head().await.status(), 206);
    assert_eq!(first.wire.take(100).await, body[900..1000]);

    head.open();
    let answer = near.response("GET").await;
    assert_eq!((answer.status(), answer.x_cache()), (206, "Hit from proxima"));
    assert!(answer.body.bytes == body[..10]);
    // The fill is far from there, so its own whole is as good.
    let far_head = far.head().await;
    assert_eq!((far_head.status(), far_head.field("x-cache")), (200, Some("Miss from proxima")));

    rest.open();
    assert!(far.wire.body(far_head.response_framing("GET")).await.bytes == body);
    assert_eq!(first.wire.take(100).await, body[1000..1100]);
    assert_eq!(origin.requests(), 3);
}

#[tokio::test]
async fn when_the_viewer_has_its_range_a_short_rest_is_fetched_and_stored() {
    let rest = Gate::closed();
    let origin = ignoring(1000, 500, &open(), &rest).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let answer = get_with(edge.http, "/film", "Range: bytes=0-9\r\n").await;
    assert_eq!((answer.status(), answer.body.bytes.len()), (206, 10));
    edge.log_line("the viewer is done", |line| line["reason"] == "RangeRequest").await;
    rest.open();
    wait_until("the object is stored", async || {
        let answer = get_with(edge.http, "/film", "Range: bytes=900-\r\n").await;
        if answer.x_cache() == "Hit from proxima" { Ok(()) } else { Err(answer.head.raw) }
    })
    .await;
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn when_the_viewer_leaves_before_its_range_has_come_a_short_rest_is_stored() {
    let rest = Gate::closed();
    let origin = ignoring(1000, 500, &open(), &rest).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut viewer = edge.viewer().await;
    viewer.send_get("/film", "Range: bytes=900-\r\n").await;
    assert_eq!(viewer.head().await.status(), 206);
    drop(viewer);
    edge.log_line("the viewer is logged as aborted", |line| line["aborted"] == true).await;
    rest.open();
    wait_until("the object is stored", async || {
        let answer = edge.get("/film").await;
        if answer.x_cache() == "Hit from proxima" { Ok(()) } else { Err(answer.head.raw) }
    })
    .await;
    assert_eq!(origin.requests(), 1);
}

/// The class of attacks known as RangeAmp: a byte of a large object does not fetch all of it.
#[tokio::test]
async fn when_the_viewer_has_its_range_a_long_rest_is_not_fetched() {
    // Short of a quarter of the cache, so that it would be stored, and more than 8 MiB short of its end.
    let rest = Gate::closed();
    let origin = ignoring(12 * MIB, MIB, &open(), &rest).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let answer = get_with(edge.http, "/film", "Range: bytes=0-0\r\n").await;
    assert_eq!((answer.status(), answer.head.field("content-range")), (206, Some("bytes 0-0/12582912")));
    edge.log_line("the viewer is done", |line| line["reason"] == "RangeRequest").await;
    rest.open();
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    assert_eq!(edge.metrics().await.sum("proxima_edge_stored_total"), 0.0);
}

#[tokio::test]
async fn what_is_too_large_to_store_goes_to_its_viewer_as_it_comes() {
    let body = bytes(2 * MIB);
    let sent = body.clone();
    let origin = Origin::answering(move |_| Reply::fresh(sent.clone())).await;
    let mut site = config::site(origin.address);
    site.cache.memory = 4 << 20;
    let edge = Edge::serve(&site).await;
    for requests in 1..=2 {
        let answer = get_with(edge.http, "/film", "Range: bytes=0-9\r\n").await;
        assert_eq!((answer.status(), answer.x_cache()), (200, "Miss from proxima"));
        assert!(answer.body.bytes == body);
        assert_eq!(origin.requests(), requests);
    }
}

#[tokio::test]
async fn a_whole_that_was_asked_for_before_an_invalidation_takes_the_place_of_nothing_newer() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |exchange: Exchange| {
        let gate = held.clone();
        async move {
            if exchange.head.field("range").is_some() {
                gate.pass().await;
                return exchange.reply(Reply::fresh("old")).await;
            }
            exchange.reply(Reply::fresh("new")).await
        }
    })
    .await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    let http = edge.http;
    let early = tokio::spawn(async move { get_with(http, "/a", "Range: bytes=0-1\r\n").await });
    gate.arrived(1).await;
    assert_eq!(request(edge.http, "POST", "/a", "").await.status(), 200);
    edge.get("/a").await.expect("Miss", "new");
    gate.open();
    early.await.unwrap().expect("Miss", "old");
    edge.get("/a").await.expect("Hit", "new");
    assert_eq!(origin.requests(), 3);
}
