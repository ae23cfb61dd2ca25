//! Refreshes in the background have no viewer who would lose patience: they end by themselves.

use std::time::Duration;

use proxima_edge_core::request::ViewerRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::fixture;

/// Sends its head, if it has one, and then one chunk whenever this much time has passed.
struct Dripping {
    head: &'static str,
    pause: Duration,
}

impl Dripping {
    async fn answer(self, mut viewer: TcpStream) {
        let mut head = [0; 4_096];
        assert_ne!(viewer.read(&mut head).await.unwrap(), 0);
        viewer.write_all(self.head.as_bytes()).await.unwrap();
        loop {
            sleep(self.pause).await;
            if viewer.write_all(b"1\r\nx\r\n").await.is_err() {
                return;
            }
        }
    }

    /// The time that one refresh from this origin takes.
    async fn refreshed_in(self) -> Duration {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (route, request) = fixture::route(|distribution| {
            let origin = &mut distribution.origins[0];
            (origin.host, origin.http_port) = (address.ip().to_string(), address.port());
        });
        let worker = worker();
        LocalSet::new()
            .run_until(async {
                tokio::task::spawn_local(async move { self.answer(listener.accept().await.unwrap().0).await });
                let begun = Instant::now();
                refresh(&worker, &wish(&route, &request));
                assert_eq!(worker.edge.metrics.fills.get(), 1, "it has begun");
                let over = async {
                    while worker.edge.metrics.fills.get() > 0 {
                        sleep(Duration::from_millis(100)).await;
                    }
                };
                timeout(Duration::from_secs(100_000), over).await.expect("a refresh ends");
                begun.elapsed()
            })
            .await
    }
}

fn wish<'a>(route: &'a Route, request: &'a ViewerRequest) -> Wish<'a> {
    let (key, interim) = (route.cache_key(request), Interim::none());
    Wish { route, request, key, varies: None, kept: None, place: None, reason: Reason::Expired, interim }
}

#[tokio::test(start_paused = true)]
async fn one_that_the_origin_never_answers_ends_with_the_response_timeout() {
    let silent = Dripping { head: "", pause: Duration::from_secs(1_000_000) };
    let time = silent.refreshed_in().await;
    assert!((10..12).contains(&time.as_secs()), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn one_whose_body_stands_still_ends_with_the_response_timeout() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 9\r\n\r\n";
    let still = Dripping { head, pause: Duration::from_secs(1_000_000) };
    let time = still.refreshed_in().await;
    assert!((10..12).contains(&time.as_secs()), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn one_whose_body_drips_for_ever_ends_with_its_own_bound() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
    let dripping = Dripping { head, pause: Duration::from_secs(5) };
    let time = dripping.refreshed_in().await;
    // When its time is over it is like a fill that everybody has left.
    let bound = limits::REFRESH_TIME + limits::FINISH_TIME;
    assert!(time >= bound && time <= bound + Duration::from_secs(15), "{time:?}");
}

#[tokio::test]
async fn none_begins_beyond_so_many_or_while_the_origin_is_known_to_have_failed() {
    let (worker, (route, request)) = (worker(), fixture::route(|_| {}));
    let wish = wish(&route, &request);
    let fills = &worker.edge.fills;
    let begins = async || {
        let local = LocalSet::new();
        local.run_until(async { refresh(&worker, &wish) }).await;
        worker.edge.metrics.fills.get() == 1
    };
    let all = u32::try_from(limits::REFRESHES).unwrap();
    let places = Arc::clone(&fills.refreshes).try_acquire_many_owned(all).unwrap();
    assert!(!begins().await, "all places are taken");
    drop(places);
    fills.failed.insert(wish.key.clone(), worker.edge.clock.uptime());
    assert!(!begins().await, "the origin has just failed");
    worker.edge.clock.advance(limits::ERROR_TTL);
    assert!(begins().await);
}
