//! What has expired is asked about, not fetched again: once for all who wait, and its body stays.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proxima_edge_core::edge_config::AllowedMethods;
use proxima_tests::viewer::{Crowd, get_with, request};
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, config, wait_until};

/// Has expired when it arrives, and can be revalidated.
const EXPIRED: &str = "max-age=60";

fn tagged(body: &'static str, tag: &'static str) -> Reply {
    Reply::ok(body).field("Cache-Control", EXPIRED).field("Age", "100").field("ETag", tag)
}

/// Answers 304 to who knows `tag`, with these fields, and the whole to everybody else.
async fn knowing(tag: &'static str, fields: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::answering(move |head| {
        if head.field("if-none-match") != Some(tag) {
            return tagged("the body", tag).field("X-Version", "1");
        }
        fields.iter().fold(Reply::status(304, ""), |reply, (name, value)| reply.field(name, *value))
    })
    .await
}

#[tokio::test]
async fn a_304_keeps_the_body_and_brings_new_fields() {
    let fields = &[("Cache-Control", "max-age=600"), ("X-Version", "2"), ("ETag", "\"a\"")];
    let origin = knowing("\"a\"", fields).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/a").await.expect("Miss", "the body");

    let refreshed = edge.get("/a").await;
    refreshed.expect("RefreshHit", "the body");
    assert_eq!((refreshed.head.field("x-version"), refreshed.head.field("age")), (Some("2"), Some("0")));
    let hit = edge.get("/a").await;
    hit.expect("Hit", "the body");
    assert_eq!((hit.head.field("x-version"), origin.requests()), (Some("2"), 2));
    edge.log_line("a line says RefreshHit", |line| line["result_type"] == "RefreshHit").await;
    edge.metric_reaches("proxima_edge_revalidated_total", |count| count == 1.0).await;
}

#[tokio::test]
async fn a_304_keeps_a_body_in_slices() {
    let body: Arc<Vec<u8>> = Arc::new((0..3_u32 << 20).map(|byte| (byte % 251) as u8).collect());
    let sent = Arc::clone(&body);
    let origin = Origin::answering(move |head| match head.field("if-none-match") {
        Some(_) => Reply::status(304, "").field("Cache-Control", "max-age=600"),
        None => Reply::ok(sent.to_vec()).field("Cache-Control", EXPIRED).field("Age", "100").field("ETag", "\"a\""),
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for word in ["Miss", "RefreshHit", "Hit", "Hit"] {
        let answer = edge.get("/large").await;
        assert_eq!(answer.x_cache(), format!("{word} from proxima"));
        assert!(answer.body.complete && answer.body.bytes == *body, "{word}");
    }
    assert_eq!(origin.requests(), 2);
}

#[tokio::test]
async fn a_whole_response_replaces_what_has_expired() {
    let turn = AtomicUsize::new(0);
    let origin = Origin::answering(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
        0 => tagged("old", "\"a\""),
        _ => Reply::fresh("new").field("ETag", "\"b\""),
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/a").await.expect("Miss", "old");
    edge.get("/a").await.expect("Miss", "new");
    edge.get("/a").await.expect("Hit", "new");
    assert_eq!(origin.heads()[1].field("if-none-match"), Some("\"a\""));
}

#[tokio::test]
async fn many_viewers_of_what_has_expired_make_one_revalidation() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |head| match head.field("if-none-match") {
        Some(_) => Reply::status(304, "").field("Cache-Control", "max-age=600"),
        None => tagged("the body", "\"a\""),
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    gate.admit(1);
    edge.get("/a").await.expect("Miss", "the body");

    let crowd = Crowd::asks(edge.http, 50, "/a");
    edge.metric_reaches("proxima_edge_fill_waiters", |waiters| waiters == 49.0).await;
    gate.open();
    let words: Vec<String> = crowd
        .answers()
        .await
        .iter()
        .map(|answer| {
            assert_eq!(answer.text(), "the body");
            answer.x_cache().to_owned()
        })
        .collect();
    assert_eq!(words.iter().filter(|word| *word == "RefreshHit from proxima").count(), 1, "{words:?}");
    assert_eq!((words.iter().filter(|word| *word == "Hit from proxima").count(), origin.requests()), (49, 2));
}

#[tokio::test]
async fn no_cache_is_asked_about_by_every_viewer_for_himself() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |head| match head.field("if-none-match") {
        Some(_) => Reply::status(304, ""),
        None => Reply::ok("a").field("Cache-Control", "no-cache").field("ETag", "\"a\""),
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    gate.admit(1);
    edge.get("/a").await.expect("Miss", "a");
    let both = Crowd::asks(edge.http, 2, "/a");
    // Neither is answered before both have asked: one that waited for the other would stop here.
    gate.arrived(3).await;
    gate.open();
    for answer in both.answers().await {
        answer.expect("RefreshHit", "a");
    }
}

#[tokio::test]
async fn a_304_of_another_representation_is_asked_again_without_conditions() {
    let origin = Origin::answering(|head| match head.field("if-modified-since") {
        Some(_) => Reply::status(304, "").field("ETag", "\"b\""),
        None if head.target() == "/a" => {
            tagged("whole", "\"a\"").field("Last-Modified", "Sun, 22 Nov 2026 11:00:00 GMT")
        }
        None => Reply::status(404, ""),
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/a").await.expect("Miss", "whole");
    edge.get("/a").await.expect("Miss", "whole");
    let asked: Vec<bool> = origin.heads().iter().map(|head| head.field("if-none-match").is_some()).collect();
    assert_eq!(asked, [false, true, false]);
}

#[tokio::test]
async fn a_304_of_another_date_is_asked_again_without_conditions() {
    let origin = Origin::answering(|head| match head.field("if-modified-since") {
        Some(_) => Reply::status(304, "").field("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT"),
        None => Reply::ok("whole")
            .field("Cache-Control", "no-cache")
            .field("Last-Modified", "Sun, 22 Nov 2026 11:00:00 GMT"),
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/a").await.expect("Miss", "whole");
    edge.get("/a").await.expect("Miss", "whole");
    let asked: Vec<bool> = origin.heads().iter().map(|head| head.field("if-modified-since").is_some()).collect();
    assert_eq!(asked, [false, true, false]);
}

#[tokio::test]
async fn a_cookie_of_a_304_is_for_the_one_who_asked_and_not_for_those_who_waited() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |head| match head.field("if-none-match") {
        Some(_) => Reply::status(304, "").field("Cache-Control", "max-age=600").field("Set-Cookie", "seen=1"),
        None => tagged("the body", "\"a\""),
    })
    .await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    gate.admit(1);
    edge.get("/a").await.expect("Miss", "the body");
    let three = Crowd::asks(edge.http, 3, "/a");
    edge.metric_reaches("proxima_edge_fill_waiters", |waiters| waiters == 2.0).await;
    gate.open();
    let mut seen = Vec::new();
    for answer in three.answers().await {
        seen.push((answer.x_cache().to_owned(), answer.head.field("set-cookie").map(str::to_owned)));
    }
    seen.sort();
    let waited = ("Hit from proxima".to_owned(), None);
    assert_eq!(seen, [waited.clone(), waited, ("RefreshHit from proxima".to_owned(), Some("seen=1".to_owned()))]);
    assert_eq!(edge.get("/a").await.head.field("set-cookie"), None);
    assert_eq!(origin.requests(), 2);
}

#[tokio::test]
async fn a_304_that_makes_it_private_is_for_its_viewer_alone() {
    let origin = knowing("\"a\"", &[("Cache-Control", "private, max-age=600")]).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/a").await.expect("Miss", "the body");
    edge.get("/a").await.expect("RefreshHit", "the body");
    // It is no longer kept, so there is nothing to ask by.
    edge.get("/a").await.expect("Miss", "the body");
    assert_eq!(origin.heads()[2].field("if-none-match"), None);
}

#[tokio::test]
async fn private_and_no_store_are_never_shared() {
    let count = AtomicUsize::new(0);
    let origin = Origin::answering(move |head| {
        let own = format!("for {}", count.fetch_add(1, Ordering::SeqCst));
        let directives = if head.target() == "/p" { "private, max-age=60" } else { "no-store, max-age=60" };
        let expired = Reply::ok(own).field("ETag", "\"a\"").field("Last-Modified", "Sun, 22 Nov 2026 11:00:00 GMT");
        expired.field("Cache-Control", format!("{directives}, stale-if-error=600, stale-while-revalidate=600"))
    })
    .await;
    for config in [config::site(origin.address), config::origin_controlled(origin.address)] {
        let edge = Edge::serve(&config).await;
        for path in ["/p", "/p", "/n", "/n"] {
            let before = origin.requests();
            edge.get(path).await.expect("Miss", &format!("for {before}"));
        }
    }
    assert!(origin.heads().iter().all(|head| head.field("if-none-match").is_none()));
}

#[tokio::test]
async fn a_head_that_goes_to_the_origin_renews_what_is_stored_for_get() {
    let origin = Origin::answering(|head| match head.method() {
        "HEAD" if head.target() == "/same" => Reply::fresh("the body").field("ETag", "\"a\"").field("X-Version", "2"),
        "HEAD" => Reply::fresh("another").field("ETag", "\"b\""),
        _ => tagged("the body", "\"a\""),
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for path in ["/same", "/other"] {
        edge.get(path).await.expect("Miss", "the body");
        let head = request(edge.http, "HEAD", path, "").await;
        assert_eq!((head.x_cache(), head.text().as_str()), ("Miss from proxima", ""));
    }
    let renewed = edge.get("/same").await;
    renewed.expect("Hit", "the body");
    assert_eq!(renewed.head.field("x-version"), Some("2"));
    edge.get("/other").await.expect("Miss", "the body");
    let asked = origin.heads().pop().unwrap();
    assert_eq!(asked.field("if-none-match"), None, "what has changed is no validator");
}

/// An origin that counts its answers to GET, and answers other methods with `status` and these fields.
async fn counting(status: u16, fields: &'static [(&'static str, &'static str)]) -> Origin {
    let count = Mutex::new(0);
    Origin::answering(move |head| {
        if head.method() != "GET" {
            return fields.iter().fold(Reply::status(status, "done"), |reply, (name, value)| reply.field(name, *value));
        }
        let mut count = count.lock().unwrap();
        *count += 1;
        Reply::fresh(format!("answer {count}"))
    })
    .await
}

#[tokio::test]
async fn an_unsafe_method_invalidates_its_uri_and_those_that_the_answer_names() {
    let origin = counting(201, &[("Location", "/new?x=1"), ("Content-Location", "list")]).await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    for (index, path) in ["/items/1", "/new?x=1", "/items/list", "/new?x=2"].into_iter().enumerate() {
        edge.get(path).await.expect("Miss", &format!("answer {}", index + 1));
        edge.get(path).await.expect("Hit", &format!("answer {}", index + 1));
    }
    assert_eq!(request(edge.http, "PATCH", "/items/1", "").await.status(), 201);
    for (path, word, body) in [
        ("/items/1", "Miss", "answer 5"),
        ("/new?x=1", "Miss", "answer 6"),
        ("/items/list", "Miss", "answer 7"),
        ("/new?x=2", "Hit", "answer 4"),
        ("/items/1", "Hit", "answer 5"),
    ] {
        edge.get(path).await.expect(word, body);
    }
}

#[tokio::test]
async fn a_failed_unsafe_method_and_one_under_a_cloudfront_policy_invalidate_nothing() {
    let origin = counting(500, &[]).await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    edge.get("/a").await.expect("Miss", "answer 1");
    request(edge.http, "POST", "/a", "").await;
    edge.get("/a").await.expect("Hit", "answer 1");

    let origin = counting(200, &[]).await;
    let mut cloudfront = config::site(origin.address);
    cloudfront.distributions[0].default_behavior.allowed_methods = AllowedMethods::All;
    let edge = Edge::serve(&cloudfront).await;
    edge.get("/a").await.expect("Miss", "answer 1");
    request(edge.http, "POST", "/a", "").await;
    edge.get("/a").await.expect("Hit", "answer 1");
}

#[tokio::test]
async fn a_fetch_that_began_before_an_invalidation_answers_nobody_who_comes_after_it() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |exchange: Exchange| {
        let gate = held.clone();
        async move {
            if exchange.head.method() == "GET" && exchange.head.field("x-old").is_some() {
                gate.pass().await;
                return exchange.reply(Reply::fresh("old")).await;
            }
            exchange.reply(Reply::fresh("new")).await
        }
    })
    .await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    let http = edge.http;
    let early = tokio::spawn(async move { get_with(http, "/a", "X-Old: 1\r\n").await });
    gate.arrived(1).await;
    assert_eq!(request(edge.http, "POST", "/a", "").await.status(), 200);
    edge.get("/a").await.expect("Miss", "new");
    gate.open();
    early.await.unwrap().expect("Miss", "old");
    // The old answer may have been stored last; it is not used.
    let last = edge.get("/a").await;
    assert_eq!(last.text(), "new");
}

#[tokio::test]
async fn the_response_to_a_post_is_stored_for_get_where_it_says_that_it_is_one() {
    let origin = Origin::answering(|head| match head.method() {
        "POST" => Reply::fresh("posted").field("Content-Location", head.target()),
        _ => Reply::fresh("fetched"),
    })
    .await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    let posted = request(edge.http, "POST", "/a", "").await;
    posted.expect("Miss", "posted");
    wait_until("the response to be stored", async || {
        let stored = edge.metrics().await.sum("proxima_edge_stored_total");
        if stored == 1.0 { Ok(()) } else { Err(format!("{stored}")) }
    })
    .await;
    edge.get("/a").await.expect("Hit", "posted");
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn a_request_that_comes_back_is_a_loop() {
    let origin = Origin::answering(|_| Reply::fresh("a")).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/a").await.expect("Miss", "a");
    let marked = origin.heads()[0].field("cdn-loop").unwrap().to_owned();
    let looped = get_with(edge.http, "/b", &format!("CDN-Loop: other, {marked}\r\n")).await;
    assert_eq!((looped.status(), looped.reason()), (508, "LoopDetected"));
    get_with(edge.http, "/c", "CDN-Loop: other; x=1\r\n").await.expect("Miss", "a");
    assert_eq!(origin.requests(), 2);
    assert!(origin.heads()[1].raw.contains("cdn-loop: other; x=1"), "{}", origin.heads()[1].raw);
}

#[tokio::test]
async fn what_one_viewer_is_refused_or_told_in_private_keeps_nothing_from_the_others() {
    let origin = Origin::answering(|head| match (head.field("cookie"), head.field("x-odd")) {
        (Some(_), _) => Reply::ok("private").field("Cache-Control", "private").field("Set-Cookie", "a=2"),
        (_, Some(_)) => Reply::status(406, "odd"),
        _ => Reply::fresh("public"),
    })
    .await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    for (path, fields, body) in [("/a", "Cookie: a=1\r\n", "private"), ("/b", "X-Odd: 1\r\n", "odd")] {
        assert_eq!(get_with(edge.http, path, fields).await.text(), body);
        edge.get(path).await.expect("Miss", "public");
        edge.get(path).await.expect("Hit", "public");
    }
}

#[tokio::test]
async fn an_unsafe_request_whose_viewer_left_counts_as_done() {
    let (gate, count) = (Gate::closed(), Mutex::new(0));
    let (held, count) = (gate.clone(), Arc::new(count));
    let origin = Origin::start(move |exchange: Exchange| {
        let (gate, count) = (held.clone(), Arc::clone(&count));
        async move {
            if exchange.head.method() == "PUT" {
                gate.pass().await;
            }
            let number = {
                let mut count = count.lock().unwrap();
                *count += 1;
                *count
            };
            exchange.reply(Reply::fresh(format!("answer {number}"))).await
        }
    })
    .await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    edge.get("/a").await.expect("Miss", "answer 1");
    let http = edge.http;
    let viewer = tokio::spawn(async move { request(http, "PUT", "/a", "").await });
    gate.arrived(1).await;
    edge.get("/a").await.expect("Hit", "answer 1");
    viewer.abort();
    wait_until("what the request may have changed is asked for again", async || {
        let answer = edge.get("/a").await;
        if answer.text() == "answer 1" { Err(answer.text()) } else { Ok(()) }
    })
    .await;
}
