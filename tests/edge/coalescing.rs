//! Many viewers, one key: who goes to the origin, who waits, and what the waiting get.

use proxima_edge_core::edge_config::{CachePolicyConfig, EdgeConfig};
use proxima_tests::viewer::{Crowd, Viewer, get_with, request};
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, Response, config, wait_until};
use tokio::task::JoinHandle;

/// Gauge of requests that wait for a fill that another request began.
const WAITERS: &str = "proxima_edge_fill_waiters";

fn forwarding_all(origin: &Origin) -> EdgeConfig {
    let mut edge_config = config::site(origin.address);
    let mut policy: CachePolicyConfig = config::policy();
    policy.forward.all_viewer_headers = true;
    edge_config.distributions[0].default_behavior.cache_policy = policy;
    edge_config
}

#[tokio::test]
async fn a_thousand_viewers_of_one_cold_key_make_one_origin_request() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |_| Reply::fresh("the one answer")).await;
    let edge = Edge::serve(&config::site(origin.address)).await;

    let crowd = Crowd::asks(edge.http, 1000, "/cold");
    edge.metric_reaches(WAITERS, |waiters| waiters == 999.0).await;
    gate.open();

    let answers = crowd.answers().await;
    let misses = answers.iter().filter(|answer| answer.x_cache() == "Miss from proxima").count();
    assert!(answers.iter().all(|answer| answer.status() == 200 && answer.text() == "the one answer"));
    assert_eq!((misses, origin.requests()), (1, 1));
    edge.get("/cold").await.expect("Hit", "the one answer");
    edge.metric_reaches(WAITERS, |waiters| waiters == 0.0).await;
}

#[tokio::test]
async fn different_keys_do_not_wait_for_one_another() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |_| Reply::fresh("answer")).await;
    let edge = Edge::serve(&config::site(origin.address)).await;

    let one = Crowd::asks(edge.http, 1, "/one?x=1");
    let two = Crowd::asks(edge.http, 1, "/one?x=2");
    gate.arrived(2).await;
    gate.open();
    for answer in one.answers().await.into_iter().chain(two.answers().await) {
        answer.expect("Miss", "answer");
    }
}

#[tokio::test]
async fn waiters_for_an_uncacheable_response_are_served_concurrently() {
    const WAITING: usize = 40;
    let (first, others) = (Gate::closed(), Gate::closed());
    let gates = (first.clone(), others.clone());
    let origin = Origin::start(move |exchange: Exchange| {
        let (first, others) = gates.clone();
        async move {
            if first.arrivals() == 0 {
                first.pass().await
            } else {
                others.pass().await
            }
            exchange.reply(Reply::ok("private").field("Cache-Control", "no-store")).await
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;

    let crowd = Crowd::asks(edge.http, WAITING + 1, "/uncacheable");
    edge.metric_reaches(WAITERS, |waiters| waiters == WAITING as f64).await;
    first.arrived(1).await;
    assert_eq!(origin.requests(), 1);
    first.open();
    // None of the others is answered before all of them have arrived: serial fetches would stop here.
    others.arrived(WAITING).await;
    others.open();
    for answer in crowd.answers().await {
        answer.expect("Miss", "private");
    }
    assert_eq!(origin.requests(), WAITING + 1);
}

#[tokio::test]
async fn after_an_uncacheable_response_requests_for_its_key_do_not_wait() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |_| Reply::ok("private").field("Cache-Control", "private, max-age=60")).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    gate.admit(1);
    edge.get("/private").await.expect("Miss", "private");

    let crowd = Crowd::asks(edge.http, 2, "/private");
    gate.arrived(3).await;
    gate.open();
    for answer in crowd.answers().await {
        answer.expect("Miss", "private");
    }
}

#[tokio::test]
async fn followers_of_the_same_variant_stay_and_others_share_one_request_of_their_own() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |head| {
        let language = head.field("x-language").unwrap_or("none").to_owned();
        Reply::fresh(language).field("Vary", "X-Language")
    })
    .await;
    let edge = Edge::serve(&forwarding_all(&origin)).await;

    let http = edge.http;
    let ask = |language: &'static str| {
        let fields = format!("X-Language: {language}\r\n");
        tokio::spawn(async move { (language, get_with(http, "/page", &fields).await) })
    };
    let leader = ask("en");
    gate.arrived(1).await;
    let (alike, others) = (["en"; 3].map(ask), ["de"; 3].map(ask));
    edge.metric_reaches(WAITERS, |waiters| waiters == 6.0).await;

    gate.admit(1);
    let served = async |asked: Vec<JoinHandle<(&str, Response)>>| {
        for asked in asked {
            let (language, answer) = asked.await.unwrap();
            assert_eq!((answer.status(), &*answer.text()), (200, language));
        }
    };
    served(std::iter::once(leader).chain(alike).collect()).await;
    // Those that asked for another variant move on to a request between them. One that the scheduler lets move only when
    // that is answered asks for itself.
    gate.arrived(2).await;
    edge.metric_reaches(WAITERS, |waiters| waiters == 2.0).await;
    gate.open();
    served(others.into()).await;
    assert!((2..=4).contains(&origin.requests()), "{} requests", origin.requests());
    let before = origin.requests();
    get_with(http, "/page", "X-Language: en\r\n").await.expect("Hit", "en");
    get_with(http, "/page", "X-Language: de\r\n").await.expect("Hit", "de");
    get_with(http, "/page", "").await.expect("Miss", "none");
    assert_eq!(origin.requests(), before + 1);
}

#[tokio::test]
async fn who_asks_for_a_variant_of_what_is_known_to_vary_shares_one_request_for_it() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |head| {
        Reply::fresh(head.field("x-language").unwrap_or("none").to_owned()).field("Vary", "X-Language")
    })
    .await;
    let edge = Edge::serve(&forwarding_all(&origin)).await;
    let http = edge.http;
    gate.admit(1);
    get_with(http, "/page", "X-Language: en\r\n").await.expect("Miss", "en");
    let three = [(); 3].map(|()| tokio::spawn(async move { get_with(http, "/page", "X-Language: de\r\n").await }));
    edge.metric_reaches(WAITERS, |waiters| waiters == 2.0).await;
    gate.open();
    for asked in three {
        let answer = asked.await.unwrap();
        assert_eq!((answer.status(), &*answer.text()), (200, "de"));
    }
    assert_eq!(origin.requests(), 2);
}

#[tokio::test]
async fn when_the_leader_leaves_the_others_are_served_and_the_object_is_stored() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |_| Reply::fresh("kept")).await;
    let edge = Edge::serve(&config::site(origin.address)).await;

    let mut leader = Viewer::connect(edge.http).await;
    leader.send_get("/kept", "").await;
    gate.arrived(1).await;
    let followers = Crowd::asks(edge.http, 3, "/kept");
    edge.metric_reaches(WAITERS, |waiters| waiters == 3.0).await;
    drop(leader);
    edge.log_line("the leader is logged as aborted", |line| line["aborted"] == true).await;
    gate.open();

    for answer in followers.answers().await {
        assert_eq!((answer.status(), &*answer.text()), (200, "kept"));
    }
    edge.get("/kept").await.expect("Hit", "kept");
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn when_all_viewers_leave_a_short_rest_is_fetched_and_stored() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |_| Reply::fresh(vec![b'x'; 100_000])).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut only = Viewer::connect(edge.http).await;
    only.send_get("/short", "").await;
    gate.arrived(1).await;
    drop(only);
    edge.log_line("the viewer is logged as aborted", |line| line["aborted"] == true).await;
    gate.open();
    wait_until("the object is stored", async || {
        let answer = edge.get("/short").await;
        if answer.x_cache() == "Hit from proxima" { Ok(()) } else { Err(answer.head.raw) }
    })
    .await;
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn when_all_viewers_leave_a_long_rest_is_not_fetched() {
    let left = Gate::closed();
    let signal = left.clone();
    let origin = Origin::start(move |mut exchange: Exchange| {
        let signal = signal.clone();
        async move {
            // Short of a quarter of the cache, so that it would be stored, and more than 8 MiB short of its end.
            exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 12582912\r\n\r\n").await;
            exchange.write(vec![b'x'; 1 << 20]).await;
            let done = exchange.abandoned().await;
            signal.pass().await;
            done
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut only = Viewer::connect(edge.http).await;
    only.send_get("/long", "").await;
    assert_eq!(only.head().await.status(), 200);
    drop(only);
    left.arrived(1).await;
    left.open();
}

#[tokio::test]
async fn a_head_request_for_what_is_not_stored_goes_as_head_and_leads_nobody() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |_| Reply::fresh("body")).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let http = edge.http;

    let head = tokio::spawn(async move { request(http, "HEAD", "/page", "").await });
    gate.arrived(1).await;
    let get = Crowd::asks(edge.http, 1, "/page");
    gate.arrived(2).await;
    gate.open();
    let head = head.await.unwrap();
    assert_eq!((head.status(), head.head.field("content-length")), (200, Some("4")));
    get.answers().await[0].expect("Miss", "body");
    assert_eq!(origin.heads().iter().map(|head| head.method().to_owned()).collect::<Vec<_>>(), ["HEAD", "GET"]);

    let stored = request(http, "HEAD", "/page", "").await;
    assert_eq!((stored.x_cache(), stored.head.field("content-length")), ("Hit from proxima", Some("4")));
    assert_eq!(origin.requests(), 2);
}

#[tokio::test]
async fn requests_with_credentials_outside_the_key_never_wait() {
    for credentials in ["Cookie: session=1\r\n", "Authorization: Basic YTpi\r\n"] {
        let gate = Gate::closed();
        let origin = Origin::gated(&gate, |_| Reply::fresh("mine")).await;
        let edge = Edge::serve(&forwarding_all(&origin)).await;
        let http = edge.http;
        let ask = || tokio::spawn(async move { get_with(http, "/account", credentials).await });
        let both = [ask(), ask()];
        gate.arrived(2).await;
        gate.open();
        for asked in both {
            asked.await.unwrap().expect("Miss", "mine");
        }
        let sent = origin.heads();
        assert!(sent.iter().all(|head| head.raw.to_lowercase().contains(&credentials.to_lowercase())), "{sent:?}");
    }
}

#[tokio::test]
async fn waiters_share_the_failure_of_the_origin() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |exchange: Exchange| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            exchange.reset()
        }
    })
    .await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let crowd = Crowd::asks(edge.http, 10, "/broken");
    edge.metric_reaches(WAITERS, |waiters| waiters == 9.0).await;
    gate.open();
    for answer in crowd.answers().await {
        assert_eq!((answer.status(), answer.reason()), (502, "OriginCommError"));
    }
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn an_older_response_that_ends_later_does_not_replace_a_newer_one() {
    let (body, rest) = (Gate::closed(), Gate::closed());
    let gates = (body.clone(), rest.clone());
    let origin = Origin::start(move |mut exchange: Exchange| {
        let (body, rest) = gates.clone();
        async move {
            let kept = Reply::ok("kept").field("Cache-Control", "no-cache").field("ETag", "\"0\"");
            match exchange.head.field("x-turn") {
                None => exchange.reply(kept).await,
                Some("1") => {
                    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 8\r\n\r\n";
                    exchange.write(head).await;
                    exchange.write("the ").await;
                    body.pass().await;
                    rest.pass().await;
                    exchange.write("old.").await;
                    Some(exchange)
                }
                Some(_) => exchange.reply(Reply::fresh("the new.")).await,
            }
        }
    })
    .await;
    let edge = Edge::serve(&forwarding_all(&origin)).await;
    edge.get("/page").await.expect("Miss", "kept");
    let http = edge.http;
    // What must be asked about each time is asked about by many at once.
    let older = tokio::spawn(async move { get_with(http, "/page", "X-Turn: 1\r\n").await });
    body.arrived(1).await;
    body.open();
    get_with(http, "/page", "X-Turn: 2\r\n").await.expect("Miss", "the new.");
    edge.get("/page").await.expect("Hit", "the new.");
    rest.open();
    older.await.unwrap().expect("Miss", "the old.");
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    edge.get("/page").await.expect("Hit", "the new.");
}

/// Two viewers at once, of whom one waits for the other: how they are answered, in alphabetical order.
async fn pair(edge: &Edge, gate: &Gate) -> [String; 2] {
    let both = Crowd::asks(edge.http, 2, "/page");
    edge.metric_reaches(WAITERS, |waiters| waiters == 1.0).await;
    gate.open();
    let mut words: Vec<_> = both.answers().await.iter().map(|answer| answer.x_cache().to_owned()).collect();
    words.sort();
    words.try_into().unwrap()
}

/// RFC 9111 § 4: collapsed requests get a response only where the cache may reuse it.
#[tokio::test]
async fn who_waited_for_what_was_stale_when_it_came_asks_for_itself() {
    for directives in ["max-age=60", "max-age=60, must-revalidate", "max-age=60, stale-if-error=600"] {
        let gate = Gate::closed();
        let origin = Origin::gated(&gate, move |_| {
            Reply::ok("old").field("Cache-Control", directives).field("Age", "1000").field("ETag", "\"a\"")
        })
        .await;
        let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
        assert_eq!(pair(&edge, &gate).await, ["Miss from proxima", "Miss from proxima"], "{directives}");
        assert_eq!(origin.requests(), 2, "{directives}");
    }
}

#[tokio::test]
async fn who_waited_for_what_may_be_served_stale_shares_it() {
    let gate = Gate::closed();
    let directives = "max-age=60, stale-while-revalidate=6000";
    let origin =
        Origin::gated(&gate, move |_| Reply::ok("old").field("Cache-Control", directives).field("Age", "1000")).await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    assert_eq!(pair(&edge, &gate).await, ["Hit from proxima", "Miss from proxima"]);
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn who_waited_for_a_confirmation_that_was_stale_when_it_came_asks_for_one_of_its_own() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |head| {
        let known = head.field("if-none-match").is_some();
        let reply = if known { Reply::status(304, "") } else { Reply::ok("old").field("ETag", "\"a\"") };
        reply.field("Cache-Control", "max-age=60").field("Age", "1000")
    })
    .await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    gate.admit(1);
    edge.get("/page").await.expect("Miss", "old");
    assert_eq!(pair(&edge, &gate).await, ["RefreshHit from proxima", "RefreshHit from proxima"]);
    assert_eq!(origin.requests(), 3);
}

#[tokio::test]
async fn nobody_waits_for_the_page_of_a_viewer_who_is_logged_in() {
    let gate = Gate::closed();
    let origin = Origin::gated(&gate, |head| {
        Reply::fresh(if head.field("authorization").is_some() { "mine" } else { "everybody's" })
    })
    .await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    let http = edge.http;
    let mine = tokio::spawn(async move { get_with(http, "/page", "Authorization: Basic YTpi\r\n").await });
    gate.arrived(1).await;
    let others = Crowd::asks(http, 3, "/page");
    // One of them asks, the others wait for that.
    gate.arrived(2).await;
    edge.metric_reaches(WAITERS, |waiters| waiters == 2.0).await;
    gate.open();
    mine.await.unwrap().expect("Miss", "mine");
    let answers = others.answers().await;
    assert!(answers.iter().all(|answer| answer.text() == "everybody's"));
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    edge.get("/page").await.expect("Hit", "everybody's");
    assert_eq!(origin.requests(), 2);
}
