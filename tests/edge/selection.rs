//! What part of a representation a viewer gets: conditions and ranges, whatever the cache holds.

use std::sync::Arc;

use proxima_edge_core::edge_config::EdgeConfig;
use proxima_tests::viewer::{get_with, request};
use proxima_tests::{Edge, Exchange, Gate, Head, Origin, Reply, Response, config, wait_until};

mod matrix;

const MIB: usize = 1 << 20;
const LAST_MODIFIED: &str = "Wed, 01 Jan 2020 00:00:00 GMT";

fn bytes(length: usize) -> Arc<[u8]> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// A proper origin: `/LENGTH/name` is so long. It follows conditions, and single ranges.
async fn proper(cache_control: &'static str) -> Origin {
    let body = bytes(16 * MIB);
    Origin::answering(move |head| {
        let length = head.target().split('/').nth(1).and_then(|length| length.parse().ok()).unwrap_or(0);
        reply(head, &body[..length], cache_control)
    })
    .await
}

fn reply(head: &Head, body: &[u8], cache_control: &str) -> Reply {
    let is = |name: &str, value: &str| head.field(name).is_some_and(|field| field.contains(value));
    let (status, range) = match single_range(head, body.len()) {
        _ if head.field("if-match").is_some() && !is("if-match", "\"v1\"") => (412, None),
        _ if is("if-none-match", "\"v1\"") => (304, None),
        _ if head.field("if-none-match").is_none() && is("if-modified-since", LAST_MODIFIED) => (304, None),
        Some(range)
            if head.field("if-range").is_none() || is("if-range", "\"v1\"") || is("if-range", LAST_MODIFIED) =>
        {
            if range.0 < body.len() { (206, Some(range)) } else { (416, Some(range)) }
        }
        _ => (200, None),
    };
    let part = match (status, range) {
        (206, Some((first, end))) => &body[first..end],
        (200, _) => body,
        _ => &[],
    };
    let reply = Reply::status(status, part)
        .field("Cache-Control", cache_control)
        .field("ETag", "\"v1\"")
        .field("Last-Modified", LAST_MODIFIED)
        .field("Content-Location", "/there")
        .field("Vary", "Accept-Language");
    let reply = if status == 304 { reply } else { reply.field("Content-Type", "video/mp4") };
    match (status, range) {
        (206, Some((first, end))) => reply.field("Content-Range", format!("bytes {first}-{}/{}", end - 1, body.len())),
        (416, _) => reply.field("Content-Range", format!("bytes */{}", body.len())),
        _ => reply,
    }
}

/// First byte and end of `bytes=a-b`, `bytes=a-` or `bytes=-n`.
fn single_range(head: &Head, length: usize) -> Option<(usize, usize)> {
    let (first, last) = head.field("range")?.strip_prefix("bytes=")?.split_once('-')?;
    match (first, last) {
        ("", count) => Some((length - count.parse::<usize>().ok()?, length)),
        (first, "") => Some((first.parse().ok()?, length)),
        (first, last) => Some((first.parse().ok()?, length.min(last.parse::<usize>().ok()? + 1))),
    }
}

fn with_memory(origin: &Origin, memory: usize) -> EdgeConfig {
    let mut edge_config = config::site(origin.address);
    edge_config.cache.memory = memory as u64;
    edge_config
}

#[track_caller]
fn expect(answer: &Response, status: u16, x_cache: &str, body: &[u8]) {
    let seen = (answer.status(), answer.x_cache(), answer.body.complete);
    assert_eq!(seen, (status, &*format!("{x_cache} from proxima"), true), "{}", answer.head.raw);
    assert!(answer.body.bytes == body, "{} bytes, expected {}", answer.body.bytes.len(), body.len());
}

#[tokio::test]
async fn a_head_request_has_conditions_but_no_range() {
    let origin = proper("max-age=3600").await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/1000/a").await;
    let answer = request(edge.http, "HEAD", "/1000/a", "Range: bytes=5000-\r\n").await;
    expect(&answer, 200, "Hit", b"");
    assert_eq!(answer.head.field("content-length"), Some("1000"));
    let answer = request(edge.http, "HEAD", "/1000/a", "If-None-Match: \"v1\"\r\n").await;
    expect(&answer, 304, "Hit", b"");
    assert_eq!(origin.requests(), 1);
}

/// RFC 9111 § 5.2.1.7.
#[tokio::test]
async fn only_if_cached_has_conditions_and_ranges_too() {
    let origin = proper("max-age=3600").await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let ask = async |fields: &str| {
        get_with(edge.http, "/1000/a", &format!("Cache-Control: only-if-cached\r\n{fields}")).await
    };
    for fields in ["Range: bytes=0-9\r\n", "If-None-Match: \"v1\"\r\n", "If-Match: \"v1\"\r\n"] {
        assert_eq!((ask(fields).await.status(), origin.requests()), (504, 0), "{fields}");
    }
    edge.get("/1000/a").await;
    expect(&ask("Range: bytes=0-9\r\n").await, 206, "Hit", &bytes(10));
    expect(&ask("If-None-Match: \"v1\"\r\n").await, 304, "Hit", b"");
    expect(&ask("If-Match: \"v1\"\r\n").await, 200, "Hit", &bytes(1000));
    // The origin could say 412, but is not to be asked.
    assert_eq!(ask("If-Match: \"v0\"\r\n").await.status(), 504);
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn a_miss_with_a_condition_fills_the_cache_for_everybody() {
    let origin = proper("max-age=3600").await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for (path, field) in [
        ("/1000/tag", "If-None-Match: \"v1\"".to_owned()),
        ("/1000/date", format!("If-Modified-Since: {LAST_MODIFIED}")),
    ] {
        let answer = get_with(edge.http, path, &format!("{field}\r\n")).await;
        expect(&answer, 304, "Miss", b"");
        let seen = origin.heads().last().unwrap().clone();
        assert_eq!(seen.count("if-none-match") + seen.count("if-modified-since"), 0, "{}", seen.raw);
        edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
        expect(&edge.get(path).await, 200, "Hit", &bytes(1000));
        assert_eq!(origin.requests_for(path), 1);
    }
}

#[tokio::test]
async fn a_condition_is_judged_against_what_is_not_stored_and_then_left_to_the_origin() {
    let origin = proper("no-store").await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let field = "If-None-Match: \"v1\"\r\n";
    for (count, forwarded) in [(1, 0), (2, 1), (3, 1)] {
        let answer = get_with(edge.http, "/1000/a", field).await;
        expect(&answer, 304, "Miss", b"");
        assert_eq!(answer.head.field("etag"), Some("\"v1\""));
        assert_eq!(origin.requests(), count);
        assert_eq!(origin.heads().last().unwrap().count("if-none-match"), forwarded);
    }
    expect(&edge.get("/1000/a").await, 200, "Miss", &bytes(1000));
}

#[tokio::test]
async fn what_is_not_a_success_has_no_conditions_and_no_ranges() {
    let origin =
        Origin::answering(|_| Reply::status(404, "none").field("Cache-Control", "max-age=60").field("ETag", "\"v1\""))
            .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/a").await;
    for field in ["If-None-Match: \"v1\"", "If-None-Match: *", "Range: bytes=0-1", "If-Match: \"v0\""] {
        expect(&get_with(edge.http, "/a", &format!("{field}\r\n")).await, 404, "Hit", b"none");
    }
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn parts_of_an_empty_body_cannot_be_had() {
    let origin = proper("max-age=3600").await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/0/a").await;
    let answer = get_with(edge.http, "/0/a", "Range: bytes=0-\r\n").await;
    assert_eq!((answer.status(), answer.head.field("content-range")), (416, Some("bytes */0")));
    expect(&get_with(edge.http, "/0/a", "Range: bytes=-5\r\n").await, 200, "Hit", b"");
}

/// An origin that sends `first` bytes of each body and holds back the rest until `rest` is passed. Ranges it follows at
/// once.
async fn halting(length: usize, first: usize, rest: &Gate) -> Origin {
    let rest = rest.clone();
    let body = bytes(length);
    Origin::start(move |mut exchange: Exchange| {
        let (rest, body) = (rest.clone(), Arc::clone(&body));
        async move {
            if exchange.head.field("range").is_some() {
                let reply = reply(&exchange.head, &body, "max-age=3600");
                return exchange.reply(reply).await;
            }
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

#[tokio::test]
async fn a_range_waits_for_a_fill_that_is_near_and_asks_for_itself_beyond() {
    let rest = Gate::closed();
    let (length, body) = (12 * MIB, bytes(12 * MIB));
    let origin = halting(length, MIB, &rest).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut leader = edge.viewer().await;
    leader.send_get("/film", "").await;
    let framing = leader.head().await.response_framing("GET");
    edge.metric_reaches("proxima_edge_fill_bytes", |held| held >= MIB as f64).await;

    // What is there already.
    let answer = get_with(edge.http, "/film", "Range: bytes=10-19\r\n").await;
    expect(&answer, 206, "Hit", &body[10..20]);
    expect(&get_with(edge.http, "/film", "If-None-Match: \"v1\"\r\n").await, 304, "Hit", b"");
    let answer = get_with(edge.http, "/film", &format!("Range: bytes={length}-\r\n")).await;
    assert_eq!((answer.status(), answer.head.field("content-range")), (416, Some(&*format!("bytes */{length}"))));

    // What will soon be there.
    let mut near = edge.viewer().await;
    let (first, last) = (2 * MIB, 3 * MIB - 1);
    near.send_get("/film", &format!("Range: bytes={first}-{last}\r\n")).await;
    let near_head = near.head().await;
    assert_eq!(near_head.status(), 206);
    let mut parts = edge.viewer().await;
    parts.send_get("/film", &format!("Range: bytes=0-1,{first}-{last}\r\n")).await;
    let parts_head = parts.head().await;
    assert_eq!(parts_head.status(), 206);
    assert_eq!(origin.requests(), 1);

    // What is far.
    let far = 11 * MIB;
    for field in [format!("Range: bytes={far}-"), "Range: bytes=-1048576".to_owned()] {
        let answer = get_with(edge.http, "/film", &format!("{field}\r\n")).await;
        expect(&answer, 206, "Miss", &body[far..]);
        assert!(origin.heads().last().unwrap().raw.to_lowercase().contains(&field.to_lowercase()));
    }
    assert_eq!(origin.requests(), 3);
    edge.log_line("the far one", |line| line["reason"] == "RangeRequest").await;

    rest.open();
    let seen = near.wire.body(near_head.response_framing("GET")).await;
    assert!(seen.complete && seen.bytes == body[first..=last]);
    let seen = parts.wire.body(parts_head.response_framing("GET")).await;
    let parts = matrix::parts(&parts_head, &seen.bytes);
    assert_eq!(parts.len(), 2);
    assert!(parts[0].bytes == body[..2] && parts[1].bytes == body[first..=last]);
    let seen = leader.wire.body(framing).await;
    assert!(seen.complete && seen.bytes == body[..]);
}

#[tokio::test]
async fn a_range_waits_for_the_head_of_a_fill() {
    let (head, rest) = (Gate::closed(), Gate::closed());
    let gates = (head.clone(), rest.clone());
    let origin = Origin::start(move |mut exchange: Exchange| {
        let (head, rest) = gates.clone();
        async move {
            head.pass().await;
            exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n01234").await;
            rest.pass().await;
            exchange.write("56789").await;
            Some(exchange)
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut leader = edge.viewer().await;
    leader.send_get("/a", "").await;
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 1.0).await;
    let mut follower = edge.viewer().await;
    follower.send_get("/a", "Range: bytes=3-6\r\n").await;
    edge.metric_reaches("proxima_edge_fill_waiters", |waiters| waiters == 1.0).await;
    head.open();
    let seen = follower.head().await;
    assert_eq!((seen.status(), seen.field("content-range")), (206, Some("bytes 3-6/10")));
    assert_eq!(follower.wire.take(2).await, b"34");
    rest.open();
    assert_eq!(follower.wire.take(2).await, b"56");
    assert_eq!(leader.response("GET").await.text(), "0123456789");
    assert_eq!(origin.requests(), 1);
}

/// CloudFront: "How CloudFront processes partial requests for an object": chunked is sent whole.
#[tokio::test]
async fn a_body_of_unknown_length_has_ranges_once_it_is_stored() {
    let rest = Gate::closed();
    let gate = rest.clone();
    let origin = Origin::start(move |mut exchange: Exchange| {
        let rest = gate.clone();
        async move {
            exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            exchange.chunk("01234").await;
            rest.pass().await;
            exchange.chunk("56789").await;
            exchange.chunk("").await;
            Some(exchange)
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut leader = edge.viewer().await;
    leader.send_get("/a", "").await;
    assert_eq!(leader.head().await.status(), 200);
    let mut follower = edge.viewer().await;
    follower.send_get("/a", "Range: bytes=3-6\r\n").await;
    let head = follower.head().await;
    assert_eq!((head.status(), head.field("content-range")), (200, None));
    rest.open();
    assert_eq!(follower.wire.body(head.response_framing("GET")).await.bytes, b"0123456789");
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    expect(&get_with(edge.http, "/a", "Range: bytes=3-6\r\n").await, 206, "Hit", b"3456");
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn a_fill_that_breaks_off_before_a_range_cuts_it_short() {
    let rest = Gate::closed();
    let gate = rest.clone();
    let origin = Origin::start(move |mut exchange: Exchange| {
        let rest = gate.clone();
        async move {
            exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n01234").await;
            rest.pass().await;
            None
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut leader = edge.viewer().await;
    leader.send_get("/a", "").await;
    leader.head().await;
    let mut follower = edge.viewer().await;
    follower.send_get("/a", "Range: bytes=3-6\r\n").await;
    let head = follower.head().await;
    assert_eq!(head.status(), 206);
    rest.open();
    let body = follower.wire.body(head.response_framing("GET")).await;
    assert_eq!((body.bytes.as_slice(), body.complete), (&b"34"[..], false));
}

#[tokio::test]
async fn ranges_are_of_the_variant_that_is_asked_for() {
    let origin = Origin::answering(|head| {
        let body = if head.field("accept-language") == Some("fr") { "français" } else { "english" };
        Reply::fresh(body).field("Vary", "Accept-Language")
    })
    .await;
    let mut edge_config = config::site(origin.address);
    edge_config.distributions[0].default_behavior.cache_policy.forward.all_viewer_headers = true;
    let edge = Edge::serve(&edge_config).await;
    for language in ["fr", "en"] {
        get_with(edge.http, "/a", &format!("Accept-Language: {language}\r\n")).await;
    }
    for (language, part) in [("fr", "fr"), ("en", "en")] {
        let fields = format!("Accept-Language: {language}\r\nRange: bytes=0-1\r\n");
        expect(&get_with(edge.http, "/a", &fields).await, 206, "Hit", part.as_bytes());
    }
    assert_eq!(origin.requests(), 2);
}

/// The class of attacks known as RangeAmp: a small request that makes origin or edge send much.
#[tokio::test]
async fn no_request_for_ranges_makes_the_edge_or_the_origin_send_more_than_the_whole() {
    let origin = proper("max-age=3600").await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let overlapping = format!("Range: bytes={}\r\n", vec!["0-"; 500].join(","));
    // Nothing is stored: the origin does not see it.
    expect(&get_with(edge.http, "/1000/a", &overlapping).await, 200, "Miss", &bytes(1000));
    assert_eq!(origin.heads().last().unwrap().count("range"), 0);
    expect(&get_with(edge.http, "/1000/a", &overlapping).await, 200, "Hit", &bytes(1000));
    // And a byte of a large object does not fetch all of it.
    expect(&get_with(edge.http, "/12000000/b", "Range: bytes=0-0\r\n").await, 206, "Miss", &bytes(1));
    assert_eq!(origin.heads().last().unwrap().field("range"), Some("bytes=0-0"));
}
