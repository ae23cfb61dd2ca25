//! Origins that fail: a clear answer with the detailed reason, nothing stored, memory bounded.

use proxima_edge_core::edge_config::OriginConfig;
use proxima_tests::origin::{Refusing, Saturated};
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, config};

/// Short enough to be waited out, long enough for a busy machine's loopback.
const TIMEOUT_MS: u64 = 1_500;

fn impatient(origin: OriginConfig) -> OriginConfig {
    OriginConfig { connection_timeout_ms: TIMEOUT_MS, response_timeout_ms: TIMEOUT_MS, ..origin }
}

/// The answer to a viewer and the log line say what happened.
async fn check(edge: &Edge, status: u16, reason: &str) {
    let answer = edge.get("/fault").await;
    assert_eq!((answer.status(), answer.reason(), answer.x_cache()), (status, reason, "Error from proxima"));
    assert!(answer.body.complete, "an answer of the edge's own is whole");
    assert_ne!(answer.head.field("cache-control"), None, "nobody may store an answer of the edge's own");
    edge.log_line("the reason is logged", |line| line["reason"] == reason).await;
    assert_eq!(edge.metrics().await.sum("proxima_edge_cache_objects"), 0.0, "nothing is stored");
}

/// As [`check`], for an origin that answers requests with the bytes that `answer` makes.
async fn check_answer(answer: impl Fn() -> Vec<u8> + Send + Sync + 'static, status: u16, reason: &str) {
    let answer = std::sync::Arc::new(answer);
    let origin = Origin::start(move |mut exchange: Exchange| {
        let bytes = answer();
        async move {
            exchange.write(bytes).await;
            None
        }
    })
    .await;
    let edge = Edge::serve(&config::with_origin(impatient(config::origin(origin.address)))).await;
    check(&edge, status, reason).await;
    check(&edge, status, reason).await;
    assert!(origin.requests() >= 2, "the failure itself is not stored");
}

#[tokio::test]
async fn an_origin_that_refuses_connections() {
    let refusing = Refusing::bind();
    let edge = Edge::serve(&config::with_origin(config::origin(refusing.address))).await;
    check(&edge, 502, "OriginConnectError").await;
}

#[tokio::test]
async fn an_origin_whose_name_does_not_exist() {
    let nowhere = OriginConfig { host: "nowhere.invalid".into(), ..config::origin("127.0.0.1:80".parse().unwrap()) };
    let edge = Edge::serve(&config::with_origin(nowhere)).await;
    check(&edge, 502, "OriginDnsError").await;
}

#[tokio::test]
async fn an_origin_that_does_not_accept_in_time() {
    let saturated = Saturated::listen().await;
    let edge = Edge::serve(&config::with_origin(impatient(config::origin(saturated.address)))).await;
    check(&edge, 504, "OriginConnectTimeout").await;
}

#[tokio::test]
async fn an_origin_that_stays_silent() {
    let origin = Origin::start(Exchange::abandoned).await;
    let edge = Edge::serve(&config::with_origin(impatient(config::origin(origin.address)))).await;
    check(&edge, 504, "OriginReadTimeout").await;
}

#[tokio::test]
async fn an_origin_that_resets_before_it_answers() {
    let origin = Origin::start(|exchange: Exchange| async move { exchange.reset() }).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    check(&edge, 502, "OriginCommError").await;
}

#[tokio::test]
async fn an_origin_that_closes_before_it_answers() {
    check_answer(Vec::new, 502, "OriginCommError").await;
}

#[tokio::test]
async fn an_origin_that_closes_within_its_head() {
    check_answer(|| b"HTTP/1.1 200 OK\r\nContent-".to_vec(), 502, "OriginCommError").await;
}

#[tokio::test]
async fn an_origin_that_does_not_speak_http() {
    check_answer(|| b"220 mail.test ESMTP\r\n\r\n".to_vec(), 502, "OriginInvalidResponse").await;
}

#[tokio::test]
async fn an_origin_with_two_lengths() {
    let answer = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd";
    check_answer(|| answer.to_vec(), 502, "OriginInvalidResponse").await;
}

#[tokio::test]
async fn an_origin_whose_head_has_no_end() {
    let origin = Origin::start(|mut exchange: Exchange| async move {
        exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n").await;
        let field = format!("X-More: {}\r\n", "x".repeat(4_000));
        // As much as it takes: ends when the edge ends the connection.
        while exchange.wire.write(&field).await {}
        None
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let before = edge.process.resident();
    check(&edge, 502, "OriginHeaderTooBig").await;
    let grown = edge.process.resident().saturating_sub(before);
    assert!(grown < 32 << 20, "the edge kept {grown} bytes of a head without end");
}

#[tokio::test]
async fn an_origin_with_too_many_fields() {
    let answer = || format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-More: 1\r\n".repeat(1_000)).into_bytes();
    check_answer(answer, 502, "OriginHeaderTooBig").await;
}

#[tokio::test]
async fn interim_responses_come_before_the_final_one() {
    let origin = Origin::start(|mut exchange: Exchange| async move {
        for interim in ["103 Early Hints", "100 Continue", "102 Processing", "103 Early Hints"] {
            exchange.write(format!("HTTP/1.1 {interim}\r\n\r\n")).await;
        }
        exchange.reply(Reply::fresh("final")).await
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    edge.get("/page").await.expect("Miss", "final");
    edge.get("/page").await.expect("Hit", "final");
}

/// CloudFront answers 502 to a second 100, and so do we: nobody asked for the first.
#[tokio::test]
async fn an_origin_that_says_continue_twice() {
    let origin = Origin::start(|mut exchange: Exchange| async move {
        exchange.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n").await;
        exchange.abandoned().await
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    check(&edge, 502, "OriginInvalidResponse").await;
}

#[tokio::test]
async fn an_interim_response_without_a_final_one_is_no_answer() {
    let origin = Origin::start(|mut exchange: Exchange| async move {
        exchange.write("HTTP/1.1 103 Early Hints\r\n\r\n").await;
        exchange.abandoned().await
    })
    .await;
    let edge = Edge::serve(&config::with_origin(impatient(config::origin(origin.address)))).await;
    check(&edge, 504, "OriginReadTimeout").await;
}

#[tokio::test]
async fn a_body_that_stalls_is_cut_and_not_stored() {
    let origin = Origin::start(|mut exchange: Exchange| async move {
        exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nhalf.").await;
        exchange.abandoned().await
    })
    .await;
    let edge = Edge::serve(&config::with_origin(impatient(config::origin(origin.address)))).await;
    let answer = edge.get("/stalls").await;
    assert_eq!((answer.status(), answer.body.complete, &*answer.text()), (200, false, "half."));
    edge.log_line("the stall is logged", |line| line["aborted"] == true).await;
    assert_eq!(edge.metrics().await.sum("proxima_edge_cache_objects"), 0.0);
}

#[tokio::test]
async fn what_follows_the_announced_length_is_not_part_of_anything() {
    let origin = Origin::start(|mut exchange: Exchange| async move {
        let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\n";
        exchange.write(format!("{head}good{evil}")).await;
        Some(exchange)
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for (connections, path) in [(1, "/one"), (2, "/two"), (3, "/three")] {
        edge.get(path).await.expect("Miss", "good");
        assert_eq!(origin.connections(), connections, "a connection with unasked bytes is not used again");
    }
    edge.get("/one").await.expect("Hit", "good");
}

#[tokio::test]
async fn an_idle_connection_is_used_again() {
    let origin = Origin::answering(|_| Reply::ok("once")).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut viewer = edge.viewer().await;
    for _ in 0..5 {
        viewer.get("/page").await.expect("Miss", "once");
    }
    let mut other = edge.viewer().await;
    other.get("/page").await.expect("Miss", "once");
    // One for each worker at most.
    assert_eq!(origin.requests(), 6);
    assert!(origin.connections() <= 2, "{} connections", origin.connections());
}

#[tokio::test]
async fn a_connection_that_died_idle_costs_no_request() {
    let closed = Gate::closed();
    let signal = closed.clone();
    let origin = Origin::start(move |exchange: Exchange| {
        let signal = signal.clone();
        async move {
            // Answers as if the connection went on, and closes it.
            exchange.reply(Reply::ok("answer")).await;
            signal.admit(1);
            None
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for _ in 0..5 {
        edge.get("/page").await.expect("Miss", "answer");
        closed.pass().await;
    }
}

#[tokio::test]
async fn a_silent_origin_is_asked_as_often_as_attempts_are_allowed() {
    let origin = Origin::start(Exchange::abandoned).await;
    let patient = impatient(config::origin(origin.address));
    let edge = Edge::serve(&config::with_origin(OriginConfig { connection_attempts: 2, ..patient })).await;
    check(&edge, 504, "OriginReadTimeout").await;
    assert_eq!(origin.requests(), 2);
}
